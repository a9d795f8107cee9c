"""The plan of each data set: which cells go into which file, and what the manifest says."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from helpers.errors import SentenceError
from helpers.files import write_json
from helpers.sentences import ages, cells, encode, holdout, publications, ranking, shards, split
from helpers.sentences import hgnc as hgnc_table
from helpers.sentences.options import DROP, Options
from helpers.sentences.ties import TieReport

# Raised when the files written for the same input and options change.
FORMAT = 1
MANIFEST, PLAN = "manifest.json", "plan.json"


@dataclass(frozen=True)
class Context:
    """What all data sets of a run share."""

    out: Path
    work: Path
    options: Options
    collections: pl.DataFrame | None
    hgnc: hgnc_table.Nomenclature | None
    hgnc_hash: str | None


@dataclass(frozen=True)
class Written:
    """One data set on disk: its folder and its manifest."""

    folder: Path
    manifest: Mapping[str, Any] = field(repr=False)


def ages_of(job: shards.Job) -> pl.DataFrame:
    """Return the ages of all cells of a data set."""
    columns = holdout.age_columns(job.source, job.age_column) or [job.source.schema.names[0]]
    table = job.source.obs(0, job.source.n_cells, columns=columns)
    return shards.parse_ages(table, age_column=job.age_column, species=job.species)


def find_species(source: cells.Cells, stated: Mapping[str, str]) -> str:
    """Return whose life stages the labels of a data set mean: mouse if it says so, else human."""
    said = set(stated.values())
    for column in (cells.ORGANISM, cells.ORGANISM_TERM):
        if column in source.schema.names:
            said |= set(source.obs(0, source.n_cells, columns=[column])[column].unique().to_pylist())
    said.discard(None)
    return ages.MOUSE if said and said <= {"Mus musculus", "NCBITaxon:10090"} else ages.HUMAN


class DataSet:
    """One input on its way to disk."""

    def __init__(self, name: str, source: cells.Cells, context: Context, decided: split.Split | None) -> None:
        options = context.options
        self.name, self.options, self.decided = name, options, decided
        self.folder = context.out / name
        source.prepare()
        self.source = source
        vocabulary = options.rule.vocabulary(source, hgnc=context.hgnc)
        stated = source.organism() or cells.complete_organism(
            {} if options.organism is None else {cells.ORGANISM: options.organism}
        )
        constants = publications.describe(publications.find_id(name), context.collections)
        constants |= {key: value for key, value in stated.items() if key not in source.schema.names}
        self.donor_column = split.find_donors(source.schema.names, donor_column=options.donor_column)
        age_column = ages.find_source(source.schema.names, age_column=options.age_column)
        self.facts = {
            "format": FORMAT,
            "source": {"name": name, "sha256": source.digest(), "cells": source.n_cells},
            "options": options.as_dict(),
            "donor_column": self.donor_column,
            "age_column": age_column,
            "constants": constants,
            "hgnc_sha256": context.hgnc_hash,
            "words_sha256": hashlib.sha256("\n".join(vocabulary.words).encode()).hexdigest(),
            "split": self._describe_split(),
        }
        fingerprint = hashlib.sha256(json.dumps(self.facts, sort_keys=True, default=str).encode()).hexdigest()
        species = find_species(source, stated)
        self.job = shards.Job(
            source, ranking.Encoder(options.rule, vocabulary), fingerprint, age_column, self.donor_column,
            species, constants, options.level,
        )  # fmt: skip

    def plan(self) -> list[shards.Shard]:
        """Return the files to write; note the plan, or refuse a folder that follows another one."""
        here = self.folder / PLAN
        if here.exists() and json.loads(here.read_text())["fingerprint"] != self.job.fingerprint:
            was = json.loads(here.read_text())
            differs = [
                key for key, value in self.facts.items() if was.get(key) != json.loads(json.dumps(value))
            ]
            msg = (
                f"{self.folder} holds sentences of another run (different: {', '.join(differs)}). "
                "Choose another folder, or remove this one."
            )
            raise SentenceError(msg)
        if not here.exists():
            write_json(here, {"fingerprint": self.job.fingerprint, **self.facts})
        made = []
        for side, rows in self._sides().items():
            folder = self.folder / side if side else self.folder
            for number, (start, stop) in enumerate(encode.slices(len(rows), self.options.chunk_cells)):
                made.append(
                    shards.Shard(side, number, rows[start:stop], folder / f"chunk_{number:04d}.parquet")
                )
        return made

    def _sides(self) -> dict[str, np.ndarray]:
        known = np.ones(self.source.n_cells, bool)
        if self.options.missing_age == DROP:
            known = np.array(ages_of(self.job)[ages.AGE].is_not_null())
        if self.options.split == split.NONE:
            return {"": np.flatnonzero(known)}
        if self.options.split == split.CELLS:
            barcodes = encode.barcodes(self.source, 0, self.source.n_cells).to_pylist()
            test = split.split_cells(barcodes, target=self.options.test_fraction, seed=self.options.seed)
        else:
            donors = self.source.obs(0, self.source.n_cells, columns=[self.donor_column])[self.donor_column]
            test = np.array(
                pl.from_arrow(donors)
                .cast(pl.String)
                .is_in(sorted(self.decided.test_donors))
                .fill_null(value=False)
            )
        return {split.TRAIN: np.flatnonzero(known & ~test), split.TEST: np.flatnonzero(known & test)}

    def finish(self, reports: Sequence[Mapping[str, Any]]) -> Written:
        """Check the written files against each other and describe them."""
        ties = TieReport()
        for report in reports:
            ties.merge(report["report"])
        overlap = self._overlap() if self.options.split != split.NONE else None
        if self.options.split == split.DONORS and overlap:
            msg = f"{self.folder}: donors {', '.join(overlap[:5])} are in train and test. This is a fault; report it."
            raise SentenceError(msg)
        manifest = {
            "fingerprint": self.job.fingerprint,
            **self.facts,
            "donors_on_both_sides": None if overlap is None else len(overlap),
            "cells": sum(report["cells"] for report in reports),
            "cells_by_side": _by_side(reports),
            "cells_left_out_without_age": self.source.n_cells - sum(report["cells"] for report in reports),
            "columns": {piece.name: str(piece.type) for piece in self.job.schema},
            "renamed_columns": self.job.renamed,
            "symbols": self.job.encoder.vocabulary.report.as_dict(),
            "ties": {
                **ties.as_dict(),
                "tied_share": ties.tied_share,
                "tied_share_of_top": ties.tied_share_of_top,
            },
            "ages": dict(ages_of(self.job)[ages.AGE_KIND].value_counts(sort=True).iter_rows()),
            "files": [{key: value for key, value in report.items() if key != "report"} for report in reports],
        }
        write_json(self.folder / MANIFEST, manifest)
        return Written(self.folder, manifest)

    def _describe_split(self) -> dict[str, Any]:
        options = self.options
        if options.split == split.NONE:
            return {"kind": split.NONE}
        described = {"kind": options.split, "target_share": options.test_fraction, "seed": options.seed}
        if options.split == split.CELLS:
            return described | {
                "warning": "single cells were split: cells of one donor are in train and in test"
            }
        here = holdout.count_donors(self.name, self.source, options).sort("name")
        test = here["name"].is_in(sorted(self.decided.test_donors))
        return described | {
            "test_donors": here.filter(test)["name"].to_list(),
            "train_donors": here.filter(~test)["name"].to_list(),
            "test_share_of_cells": float(here.filter(test)["cells"].sum() / max(1, here["cells"].sum())),
            "cells_of_unknown_donors": int(self.source.n_cells - here["cells"].sum()),
        }

    def _overlap(self) -> list[str] | None:
        if self.donor_column is None:
            return None
        column = self.job.renamed.get(self.donor_column, self.donor_column)
        sides = []
        for side in (split.TRAIN, split.TEST):
            files = sorted((self.folder / side).glob("chunk_*.parquet"))
            read = [
                pl.read_parquet(path, columns=[column], glob=False)[column].cast(pl.String).unique()
                for path in files
            ]
            sides.append({donor for piece in read for donor in piece.to_list() if split.is_known(donor)})
        return sorted(sides[0] & sides[1])


def _by_side(reports: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for report in reports:
        found[report["side"] or "all"] = found.get(report["side"] or "all", 0) + report["cells"]
    return found
