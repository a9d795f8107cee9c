"""The plan of each data set: which donors go where, which cells into which file, what the manifest says."""

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
from helpers.sentences import ages, cells, encode, publications, ranking, shards, split
from helpers.sentences import hgnc as hgnc_table
from helpers.sentences.options import DROP, Options
from helpers.sentences.ties import TieReport

# Raised when the files written for the same input and options change.
FORMAT = 1
MANIFEST, PLAN, SPLIT = "manifest.json", "plan.json", "split.json"


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


def hold(name: str, source: Any, context: Context) -> cells.Cells:
    """Open an input; cells in memory are opened once, a file where it is needed."""
    if hasattr(source, "block"):
        return source
    return cells.open_cells(source, layer=context.options.rule.layer, name=name, work=context.work)


def decide(named: Mapping[str, Any], context: Context) -> split.Split | None:
    """Put every donor of all inputs on one side, and keep the decision in ``split.json``.

    A donor that several data sets share is on one side in all of them. Donors decided by an earlier run stay.

    Raises
    ------
    SentenceError
        If a data set names no donors, or the folder was split in another way.
    """
    options = context.options
    if options.split != split.DONORS:
        return None
    here = context.out / SPLIT
    rule = {"seed": options.seed, "test_fraction": options.test_fraction}
    before = json.loads(here.read_text()) if here.exists() else {**rule, "sides": {}}
    if any(before[key] != value for key, value in rule.items()):
        msg = (
            f"{context.out} is split with seed {before['seed']} and test_fraction {before['test_fraction']}, not "
            f"{rule['seed']} and {rule['test_fraction']}. Choose another folder, or remove this one."
        )
        raise SentenceError(msg)
    donors = _merge(
        [count_donors(name, hold(name, source, context), options) for name, source in named.items()]
    )
    found = split.split_donors(
        donors, target=options.test_fraction, seed=options.seed, settled=before["sides"]
    )
    sides = dict(before["sides"]) | {donor.name: found.side(donor.name) for donor in donors}
    write_json(here, {**rule, "sides": dict(sorted(sides.items()))})
    return found


def count_donors(name: str, source: cells.Cells, options: Options) -> pl.DataFrame:
    """Return the donors of a data set: name, cells, median age; cells of unknown donors are left out.

    Raises
    ------
    SentenceError
        If no column names the donors.
    """
    column = split.find_donors(source.schema.names, donor_column=options.donor_column)
    if column is None:
        msg = (
            f"{name} names no donors (columns: {', '.join(source.schema.names)}), so that whole donors cannot be held "
            "out. Name the column, or ask for no split, or for a split by cell."
        )
        raise SentenceError(msg)
    age_column = ages.find_source(source.schema.names, age_column=options.age_column)
    table = source.obs(
        0, source.n_cells, columns=list(dict.fromkeys([column, *_age_columns(source, age_column)]))
    )
    stated = shards.parse_ages(table, age_column=age_column)
    frame = pl.DataFrame({"name": pl.from_arrow(table[column]).cast(pl.String), "age": stated[ages.AGE]})
    grouped = frame.group_by("name").agg(pl.col("age").median(), pl.len().alias("cells"))
    return grouped.filter(pl.Series([split.is_known(donor) for donor in grouped["name"]], dtype=pl.Boolean))


def ages_of(job: shards.Job) -> pl.DataFrame:
    """Return the ages of all cells of a data set."""
    columns = _age_columns(job.source, job.age_column) or [job.source.schema.names[0]]
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

    def __init__(self, name: str, source: Any, context: Context, decided: split.Split | None) -> None:
        options = context.options
        self.name, self.options, self.decided = name, options, decided
        self.folder = context.out / name
        opened = hold(name, source, context)
        opened.prepare()
        self.source = opened
        vocabulary = options.rule.vocabulary(opened, hgnc=context.hgnc)
        stated = opened.organism() or cells.complete_organism(
            {} if options.organism is None else {cells.ORGANISM: options.organism}
        )
        constants = publications.describe(publications.find_id(name), context.collections)
        constants |= {key: value for key, value in stated.items() if key not in opened.schema.names}
        self.donor_column = split.find_donors(opened.schema.names, donor_column=options.donor_column)
        age_column = ages.find_source(opened.schema.names, age_column=options.age_column)
        self.facts = {
            "format": FORMAT,
            "source": {"name": name, "sha256": opened.digest(), "cells": opened.n_cells},
            "options": options.as_dict(),
            "donor_column": self.donor_column,
            "age_column": age_column,
            "constants": constants,
            "hgnc_sha256": context.hgnc_hash,
            "words_sha256": hashlib.sha256("\n".join(vocabulary.words).encode()).hexdigest(),
            "split": self._describe_split(),
        }
        fingerprint = hashlib.sha256(json.dumps(self.facts, sort_keys=True, default=str).encode()).hexdigest()
        species = find_species(opened, stated)
        self.job = shards.Job(
            opened, ranking.Encoder(options.rule, vocabulary), fingerprint, age_column, self.donor_column,
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
        here = count_donors(self.name, self.source, options).sort("name")
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
                pl.read_parquet(path, columns=[column])[column].cast(pl.String).unique() for path in files
            ]
            sides.append({donor for piece in read for donor in piece.to_list() if split.is_known(donor)})
        return sorted(sides[0] & sides[1])


def _age_columns(source: cells.Cells, age_column: str | None) -> list[str]:
    wanted = [age_column] if age_column else []
    if age_column == ages.AGE_SOURCES[-1] and split.DONOR_COLUMNS[0] in source.schema.names:
        wanted.append(split.DONOR_COLUMNS[0])
    return wanted


def _merge(tables: Sequence[pl.DataFrame]) -> list[split.Donor]:
    merged = (
        pl.concat(tables)
        .group_by("name")
        .agg(pl.col("age").median(), pl.col("cells").sum())
        .sort("name")
    )  # fmt: skip
    return [
        split.Donor(name, age, cells_)
        for name, age, cells_ in merged.select("name", "age", "cells").iter_rows()
    ]


def _by_side(reports: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for report in reports:
        found[report["side"] or "all"] = found.get(report["side"] or "all", 0) + report["cells"]
    return found
