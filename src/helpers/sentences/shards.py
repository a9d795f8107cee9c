"""One file of sentences from some cells of one data set: the piece of work that threads and machines share."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from helpers import ages, names
from helpers.errors import SentenceError
from helpers.files import digest, reading, writing
from helpers.sentences import cells, encode
from helpers.sentences.encode import BLOCK, EXPRESSED, SENTENCE

FINGERPRINT, REPORT = b"musclebook.fingerprint", b"musclebook.report"
# Cells between two wanted ones that are read and thrown away rather than starting a new read.
GAP = 256
# Cells of a row group.
GROUP = 2_000
# Sentences of fewer words may be alike by chance: they are not compared between train and test.
FEWEST_COMPARED = 20


class Shard(NamedTuple):
    """One finished file: what its manifest says of it, the ties of its words, a number for each long sentence."""

    facts: dict[str, Any]
    ties: dict[str, int]
    hashes: np.ndarray


@dataclass(frozen=True)
class Job:
    """What the files of one data set have in common; ``counts`` holds what the plan counted and left out."""

    source: cells.Cells
    encoder: encode.Encoder
    plan: Mapping[str, Any]
    species: str
    counts: Mapping[str, Any]

    @property
    def renamed(self) -> dict[str, str]:
        """Columns of the source whose name the sentences need, and the name they get."""
        own = {SENTENCE, EXPRESSED, *ages.AGE_SCHEMA, *self.plan["constants"], *self._lists}
        return {column: f"obs_{column}" for column in self.source.schema.names if column in own}

    @property
    def schema(self) -> pa.Schema:
        """Columns and types of every file of the data set, whatever its cells hold."""
        own = dict.fromkeys((SENTENCE, *self._lists), pa.string()) | {EXPRESSED: pa.int32()}
        own |= dict.fromkeys((ages.AGE, ages.AGE_LOWER, ages.AGE_UPPER), pa.float64())
        own |= dict.fromkeys((ages.AGE_KIND, *self.plan["constants"]), pa.string())
        renamed = self.renamed
        given = [piece.with_name(renamed.get(piece.name, piece.name)) for piece in self.source.schema]
        return pa.schema([*own.items(), *given])

    @property
    def _lists(self) -> list[str]:
        return [f"gene_sentence_{name}" for name in self.encoder.lists]


def parse_ages(obs: pa.Table, age_column: str | None, species: str = ages.HUMAN) -> pl.DataFrame:
    """Return age, age_lower, age_upper, age_kind of the cells of `obs`, from the column that states them, if any."""
    if age_column is None:
        return ages.parse_all([None] * obs.num_rows)
    stated = pl.Series(pl.from_arrow(obs[age_column]))
    if age_column == names.AGE_GROUP and names.DONOR in obs.column_names:
        return ages.of_atlas(stated, pl.Series(pl.from_arrow(obs[names.DONOR])))
    return ages.parse_all(stated, species=species)


def make_shard(job: Job, side: str, rows: np.ndarray, path: Path) -> Shard:
    """Write one file, whole or not at all, and return what it holds; a finished one is left as it is."""
    ties: Counter[str] = Counter()
    hashes = []
    if _is_finished(job, rows, path):
        hashes.append(read_hashes(path))
    else:
        with writing(path) as part, _writer(part, job) as writer:
            for start in range(0, len(rows), GROUP):
                table, statistics = _make_group(job, rows[start : start + GROUP])
                ties.update(encode.count_ties(statistics))
                hashes.append(_hash_sentences(table))
                writer.write_table(table, row_group_size=table.num_rows)
            report = json.dumps(dict(ties)).encode()
            writer.add_key_value_metadata({FINGERPRINT: job.plan["fingerprint"].encode(), REPORT: report})
    metadata = pq.read_metadata(path)
    facts = {
        "file": f"{side}/{path.name}".lstrip("/"),
        "side": side,
        "cells": metadata.num_rows,
        "row_groups": metadata.num_row_groups,
        "bytes": path.stat().st_size,
        "sha256": digest(path),
    }
    return Shard(facts, json.loads(metadata.metadata[REPORT]), np.concatenate(hashes))


def read_hashes(path: Path) -> np.ndarray:
    """Return a number for each sentence of a file that is long enough to be compared; equal texts have equal ones."""
    return _hash_sentences(pq.ParquetFile(path).read([SENTENCE, EXPRESSED]))


def _hash_sentences(table: pa.Table) -> np.ndarray:
    frame = pl.DataFrame(pl.from_arrow(table.select([SENTENCE, EXPRESSED])))
    return frame.filter(pl.col(EXPRESSED) >= FEWEST_COMPARED)[SENTENCE].hash(seed=0).to_numpy()


def _is_finished(job: Job, rows: np.ndarray, path: Path) -> bool:
    """Tell whether a file is there and holds what the job would write."""
    if not path.exists():
        return False
    with reading(path, fault=SentenceError, remedy="Remove it and run again."):
        metadata = pq.read_metadata(path)
    found = (metadata.metadata or {}).get(FINGERPRINT, b"").decode()
    if found != job.plan["fingerprint"] or metadata.num_rows != len(rows):
        msg = f"{path} holds sentences of another run. Choose another folder, or remove this one."
        raise SentenceError(msg)
    return True


def _read_rows(source: cells.Cells, rows: np.ndarray) -> Iterator[tuple[sparse.csr_matrix, pa.Table]]:
    """Read sorted rows of a source, in stretches that are near each other."""
    for near in np.split(rows, np.flatnonzero(np.diff(rows) > GAP) + 1):
        for wanted in np.split(near, np.flatnonzero(np.diff((near - near[0]) // BLOCK)) + 1):
            start, stop = int(wanted[0]), int(wanted[-1]) + 1
            block, obs = source.block(start, stop), source.obs(start, stop)
            if len(wanted) < stop - start:
                block, obs = block[wanted - start], obs.take(pa.array(wanted - start))
            yield block, obs


def _make_group(job: Job, rows: np.ndarray) -> tuple[pa.Table, np.ndarray]:
    pieces, statistics = [], []
    schema, renamed = job.schema, job.renamed
    for block, obs in _read_rows(job.source, rows):
        columns, counts = job.encoder.encode(block, obs.column(0))
        statistics.append(counts)
        found = parse_ages(obs, job.plan["age_column"], job.species).to_arrow()
        columns |= dict(zip(found.column_names, found.columns, strict=True))
        for name, value in job.plan["constants"].items():
            columns[name] = pa.repeat(pa.scalar(value, pa.string()), obs.num_rows)
        columns |= {renamed.get(name, name): obs[name] for name in obs.column_names}
        pieces.append(pa.table({name: columns[name] for name in schema.names}).cast(schema))
    return pa.concat_tables(pieces).combine_chunks(), np.concatenate(statistics)


def _writer(path: Path, job: Job) -> pq.ParquetWriter:
    schema = job.schema
    short = [name for name in schema.names if name != SENTENCE and not name.startswith("gene_sentence_")]
    repeated = [name for name in short if name != job.source.schema.names[0]]
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=job.plan["options"]["level"],
        use_dictionary=repeated,
        # the smallest and largest of long texts would only swell the footer
        write_statistics=short,
    )
