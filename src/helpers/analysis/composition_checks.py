"""What a count table must be before it is tested: every fault named, the first place of each, what to do."""

from collections.abc import Sequence

import polars as pl

from helpers import names
from helpers.errors import DesignError, TableError

TYPE, ASSAY, UNIT, N, TOTAL, GROUP = "type", "assay", "unit", "n", "total", "group"
AGE = names.EXACT_AGE
MIN_DONORS = 3


def require_columns(table: pl.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a table that lacks columns, or has empty cells in them."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        msg = f"columns {missing} are missing; the table has {table.columns}."
        raise TableError(msg)
    empty = {column: table[column].null_count() for column in columns if table[column].null_count()}
    if empty:
        column, n = next(iter(empty.items()))
        row = int(table[column].is_null().arg_max() or 0)
        msg = f"{sum(empty.values())} empty values in {list(empty)}, first in row {row} of {column!r} ({n} there). Fill or drop these rows."
        raise TableError(msg)


def check_counts(table: pl.DataFrame) -> None:
    """Refuse counts that are negative, not whole, of no donor, or given twice; all faults in one message."""
    faults = []
    blank = table.filter(pl.col(names.DONOR).cast(pl.String).str.strip_chars() == "")
    if blank.height:
        faults.append(f"{blank.height} rows name no donor")
    if not table[N].dtype.is_numeric():
        faults.append(f"counts are {table[N].dtype}, not numbers")
    else:
        bad = table.filter(
            (pl.col(N) < 0) | (pl.col(N) != pl.col(N).round(0)) | ~pl.col(N).cast(pl.Float64).is_finite()
        )
        if bad.height:
            row = bad.row(0, named=True)
            where = f"donor {row[names.DONOR]!r}, type {row[TYPE]!r}"
            faults.append(f"{bad.height} counts are not whole numbers >= 0, first {row[N]} in {where}")
    twice = table.filter(pl.struct(ASSAY, names.DONOR, TYPE).is_duplicated())
    if twice.height:
        row = twice.row(0, named=True)
        faults.append(
            f"{twice.height} rows share donor and type, first donor {row[names.DONOR]!r}, type {row[TYPE]!r}: add them up first"
        )
    if faults:
        msg = "; ".join(faults) + "."
        raise TableError(msg)


def check_donors(table: pl.DataFrame, units: pl.DataFrame, *, constant: Sequence[str], exposure: str) -> None:
    """Refuse donors without counts, values that change within a donor, columns that never change, too few donors."""
    for column in constant:
        varying = (
            table.group_by(names.DONOR).agg(pl.col(column).n_unique().alias("k")).filter(pl.col("k") > 1)
        )
        if varying.height:
            donor = varying.sort(names.DONOR)[names.DONOR][0]
            msg = f"{column!r} has several values within {varying.height} donors, first {donor!r}: one value per donor is needed."
            raise TableError(msg)
    faults = []
    empty = units.filter(pl.col(TOTAL) == 0)
    if empty.height:
        faults.append(
            f"{empty.height} donors have a total of zero, first {empty[names.DONOR][0]!r}: drop them"
        )
    same = [column for column in constant if units[column].n_unique() < 2]
    if same:
        faults.append(
            f"columns {same} are the same in every donor, so that their effect cannot be estimated: drop them"
        )
    faults += _check_replicates(units, exposure)
    if faults:
        msg = "; ".join(faults) + "."
        raise DesignError(msg)


def _check_replicates(units: pl.DataFrame, exposure: str) -> list[str]:
    faults = []
    for (assay,), part in units.group_by(ASSAY, maintain_order=True):
        if exposure == AGE:
            if part.height < MIN_DONORS:
                faults.append(f"assay {assay!r} has {part.height} donors; at least {MIN_DONORS} are needed")
            continue
        sizes = dict(part.group_by(GROUP).len().sort(GROUP).iter_rows())
        if len(sizes) != 2:
            faults.append(f"assay {assay!r} has {len(sizes)} groups {sorted(sizes)}; two are compared")
        faults += [
            f"group {name!r} of assay {assay!r} has {n} donors; at least {MIN_DONORS} are needed"
            for name, n in sizes.items()
            if n < MIN_DONORS
        ]
    return faults
