"""One file of sentences from some cells of one data set: the piece of work that threads and machines share."""

import errno
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from helpers import ages, names
from helpers.errors import SentenceError
from helpers.files import digest, writing
from helpers.sentences import cells, encode, ranking
from helpers.sentences.encode import BLOCK, EXPRESSED, SENTENCE

FINGERPRINT, REPORT = b"musclebook.fingerprint", b"musclebook.report"
# Cells between two wanted ones that are read and thrown away rather than starting a new read.
GAP = 256
# Sentences of fewer words may be alike by chance: they are not compared between train and test.
FEWEST_COMPARED = 20


@dataclass(frozen=True)
class Job:
    """What the shards of one data set have in common."""

    source: cells.Cells
    encoder: ranking.Encoder
    fingerprint: str
    age_column: str | None
    donor_column: str | None
    species: str = ages.HUMAN
    constants: Mapping[str, str | None] = field(default_factory=dict)
    level: int = 1

    @property
    def renamed(self) -> dict[str, str]:
        """Columns of the source whose name the sentences need, and the name they get."""
        own = {SENTENCE, EXPRESSED, *ages.AGE_SCHEMA, *self.constants, *self._lists}
        return {column: f"obs_{column}" for column in self.source.schema.names if column in own}

    @property
    def _lists(self) -> list[str]:
        return [f"gene_sentence_{name}" for name in self.encoder.lists]

    @property
    def schema(self) -> pa.Schema:
        """Columns and types of every file of the data set, whatever its cells hold."""
        fields = [pa.field(name, pa.string()) for name in (SENTENCE, *self._lists)]
        fields += [pa.field(EXPRESSED, pa.int32())]
        fields += [pa.field(name, pa.float64()) for name in (ages.AGE, ages.AGE_LOWER, ages.AGE_UPPER)]
        fields += [pa.field(ages.AGE_KIND, pa.string())]
        fields += [pa.field(name, pa.string()) for name in self.constants]
        renamed = self.renamed
        fields += [piece.with_name(renamed.get(piece.name, piece.name)) for piece in self.source.schema]
        return pa.schema(fields)


@dataclass(frozen=True)
class Shard:
    """One file: the side, its number, the rows of the source that go into it, its path."""

    side: str
    number: int
    rows: np.ndarray
    path: Path


def parse_ages(obs: pa.Table, *, age_column: str | None, species: str = ages.HUMAN) -> pl.DataFrame:
    """Return age, age_lower, age_upper, age_kind of the cells of `obs`, from the column that states them, if any."""
    if age_column is None:
        return ages.parse_all([None] * obs.num_rows)
    if age_column == names.AGE_GROUP and names.DONOR in obs.column_names:
        columns = (pl.Series(pl.from_arrow(obs[name])) for name in (names.AGE_GROUP, names.DONOR))
        return ages.of_atlas(*columns)
    return ages.parse_all(pl.Series(pl.from_arrow(obs[age_column])), species=species)


def make_shard(job: Job, shard: Shard) -> dict[str, Any]:
    """Write one file, whole or not at all, and return what it holds; a finished one is left as it is."""
    ties: Counter[str] = Counter()
    seen = []
    if not is_finished(job, shard):
        try:
            with writing(shard.path) as part, _writer(part, job) as writer:
                for start, stop in encode.slices(len(shard.rows), BLOCK):
                    table, statistics = _make_group(job, shard.rows[start:stop])
                    ties.update(ranking.count_ties(statistics))
                    seen.append(_look_back(table, job))
                    writer.write_table(table, row_group_size=max(1, table.num_rows))
                writer.add_key_value_metadata(
                    {FINGERPRINT: job.fingerprint.encode(), REPORT: json.dumps(dict(ties)).encode()}
                )
        except OSError as problem:
            if problem.errno != errno.ENOSPC:
                raise
            msg = (
                f"the disk is full: {shard.path} could not be written. Finished files are kept; free some space (or "
                "ask for fewer words) and run the same command again, it goes on where it stopped."
            )
            raise SentenceError(msg) from problem
    else:
        columns = [SENTENCE, EXPRESSED, *_donor_column(job)]
        seen.append(_look_back(pq.ParquetFile(shard.path).read(columns), job))
    metadata = pq.read_metadata(shard.path)
    return {
        "file": f"{shard.path.parent.name}/{shard.path.name}" if shard.side else shard.path.name,
        "side": shard.side,
        "cells": metadata.num_rows,
        "row_groups": metadata.num_row_groups,
        "bytes": shard.path.stat().st_size,
        "sha256": digest(shard.path),
        "report": json.loads(metadata.metadata[REPORT]),
        "hashes": np.concatenate([hashes for hashes, _ in seen]),
        "donors": set().union(*(donors for _, donors in seen)),
    }


def hash_sentences(table: pl.DataFrame) -> np.ndarray:
    """Return a number for each sentence that is long enough to be compared; equal texts have equal numbers."""
    return table.filter(pl.col(EXPRESSED) >= FEWEST_COMPARED)[SENTENCE].hash(seed=0).to_numpy()


def is_finished(job: Job, shard: Shard) -> bool:
    """Tell whether the file of a shard is there and holds what the job would write."""
    if not shard.path.exists():
        return False
    try:
        metadata = pq.read_metadata(shard.path)
    except (OSError, pa.ArrowInvalid) as problem:
        msg = f"{shard.path} is damaged ({problem}). Remove it and run again."
        raise SentenceError(msg) from problem
    found = (metadata.metadata or {}).get(FINGERPRINT, b"").decode()
    if found != job.fingerprint or metadata.num_rows != len(shard.rows):
        msg = f"{shard.path} holds sentences of another run. Choose another folder, or remove this one."
        raise SentenceError(msg)
    return True


def read_rows(source: cells.Cells, rows: np.ndarray) -> Iterator[tuple[cells.Block, pa.Table]]:
    """Read sorted rows of a source, in stretches that are near each other."""
    if not len(rows):
        return
    cuts = np.flatnonzero(np.diff(rows) > GAP) + 1
    for first, last in pairwise([0, *cuts.tolist(), len(rows)]):
        at = first
        while at < last:
            start = int(rows[at])
            to = int(np.searchsorted(rows[at:last], start + BLOCK)) + at
            stop = int(rows[to - 1]) + 1
            wanted = rows[at:to] - start
            block, obs = source.block(start, stop), source.obs(start, stop)
            if len(wanted) < stop - start:
                block, obs = _take_rows(block, wanted), obs.take(cells.masked(wanted))
            yield block, obs
            at = to


def _take_rows(block: cells.Block, wanted: np.ndarray) -> cells.Block:
    starts, columns, values = block
    lengths = np.diff(starts)[wanted]
    new = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    at = np.arange(int(new[-1])) + np.repeat(starts[:-1][wanted] - new[:-1], lengths)
    return new, columns[at], values[at]


def _make_group(job: Job, rows: np.ndarray) -> tuple[pa.Table, np.ndarray]:
    pieces, statistics = [], []
    barcode = job.source.schema.names[0]
    for block, obs in read_rows(job.source, rows):
        made, counts = encode.encode_block(job.encoder, block, barcodes=obs[barcode].combine_chunks())
        statistics.append(counts)
        columns = {name: made[name] for name in made.column_names if name != "barcode"}
        found = parse_ages(obs, age_column=job.age_column, species=job.species).to_arrow()
        columns |= {name: found[name] for name in found.column_names}
        columns |= {name: cells.text_array([value] * obs.num_rows) for name, value in job.constants.items()}
        columns |= {job.renamed.get(name, name): obs[name] for name in obs.column_names}
        pieces.append(
            cells.table({piece.name: pc.cast(columns[piece.name], piece.type) for piece in job.schema})
        )
    return pa.concat_tables(pieces).combine_chunks(), np.concatenate(statistics)


def _donor_column(job: Job) -> list[str]:
    return [] if job.donor_column is None else [job.renamed.get(job.donor_column, job.donor_column)]


def _look_back(table: pa.Table, job: Job) -> tuple[np.ndarray, set[str | None]]:
    """Return the numbers of the sentences and the donors of what stands in a file."""
    columns = [SENTENCE, EXPRESSED, *_donor_column(job)]
    frame = pl.DataFrame(pl.from_arrow(table.select(columns)))
    return hash_sentences(frame), set(frame[columns[-1]].cast(pl.String).unique()) if columns[2:] else set()


def _writer(path: Path, job: Job) -> pq.ParquetWriter:
    schema = job.schema
    long = {SENTENCE, *(name for name in schema.names if name.startswith("gene_sentence_"))}
    repeated = [name for name in schema.names if name not in long and name != job.source.schema.names[0]]
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=job.level,
        use_dictionary=repeated,
        # the smallest and largest of long texts would only swell the footer
        write_statistics=[name for name in schema.names if name not in long],
    )
