"""Which donors are held out: decided over all data sets of a folder, and kept beside them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from helpers.errors import SentenceError
from helpers.files import write_json
from helpers.sentences import ages, cells, shards, split
from helpers.sentences.options import Options

SPLIT = "split.json"


def decide(named: Mapping[str, cells.Cells], out: Path, options: Options) -> split.Split | None:
    """Put every donor of all inputs on one side, and keep the decision in ``split.json``.

    A donor that several data sets share is on one side in all of them. Donors decided by an earlier run stay.

    Raises
    ------
    SentenceError
        If a data set names no donors, or the folder was split in another way.
    """
    if options.split != split.DONORS:
        return None
    here = out / SPLIT
    rule = {"seed": options.seed, "test_fraction": options.test_fraction}
    before = json.loads(here.read_text()) if here.exists() else {**rule, "sides": {}}
    if any(before[key] != value for key, value in rule.items()):
        msg = (
            f"{out} is split with seed {before['seed']} and test_fraction {before['test_fraction']}, not "
            f"{rule['seed']} and {rule['test_fraction']}. Choose another folder, or remove this one."
        )
        raise SentenceError(msg)
    donors = _merge([count_donors(name, source, options) for name, source in named.items()])
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
        0, source.n_cells, columns=list(dict.fromkeys([column, *age_columns(source, age_column)]))
    )
    stated = shards.parse_ages(table, age_column=age_column)
    frame = pl.DataFrame({"name": pl.from_arrow(table[column]).cast(pl.String), "age": stated[ages.AGE]})
    grouped = frame.group_by("name").agg(pl.col("age").median(), pl.len().alias("cells"))
    return grouped.filter(pl.Series([split.is_known(donor) for donor in grouped["name"]], dtype=pl.Boolean))


def age_columns(source: cells.Cells, age_column: str | None) -> list[str]:
    """Return the columns that the ages of a data set are read from."""
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
