"""Checks on the sample metadata: types, labels and their tree, ages, quality columns."""

import numpy as np
import polars as pl

from helpers import names
from helpers.atlas.opened import Opened
from helpers.atlas.report import Report, listing
from helpers.facts import study

_FILE = names.SAMPLE_FILE
_KNOWN = {
    names.AGE_GROUP: names.AGE_GROUPS,
    names.AGE_BIN: (names.YOUNG, names.OLD),
    names.SEX: (names.MALE, names.FEMALE),
    names.ASSAY: (names.CELLS, names.NUCLEI),
    names.CHEMISTRY: (names.V2, names.V3, names.V2_V3),
}
_RANGES = {
    names.N_COUNTS: (0, float("inf")),
    names.N_GENES: (0, float("inf")),
    names.PERCENT_MITO: (0, 100),
    names.PERCENT_RIBO: (0, 100),
    names.DOUBLET_SCORE: (0, 1),
    names.AGE_MIDPOINT: (0, 120),
}
_MOST_STRANGE = 0.1  # share of cells with labels of no known name from which the column is damaged


def check(opened: Opened, report: Report) -> None:
    """Check the sample metadata, if its columns are whole."""
    sample = opened.sample
    if sample is None:
        if _FILE in opened.tables:
            report.skip("labels", _FILE, "its columns are not those of the sample metadata")
        return
    if not _check_types(sample, report):
        return
    for column in _KNOWN:
        _check_words(sample, column, report)
    _check_labels(sample, report)
    _check_tree(sample, report)
    _check_ages(sample, report)
    _check_units(sample, report)
    _check_numbers(sample, report)


def _check_types(sample: pl.DataFrame, report: Report) -> bool:
    texts = [c for c in names.LABEL_COLUMNS if sample.schema[c] != pl.String]
    numbers = [c for c in _RANGES if not sample.schema[c].is_numeric()]
    if texts or numbers:
        wrong = [f"{c} is {sample.schema[c]}" for c in (*texts, *numbers)]
        report.damage(
            "types",
            _FILE,
            f"{len(wrong)} column(s) of the wrong type: {listing(wrong)}",
            expected="text labels, numeric quality columns",
        )
        return False
    report.ok("types", _FILE, "text labels, numeric quality columns")
    empty = {c: n for c in (*names.LABEL_COLUMNS, *_RANGES) if (n := sample[c].null_count())}
    if empty:
        first = next(iter(empty))
        row = sample[first].is_null().arg_true()[0]
        found = (
            f"values missing in {listing([f'{c} ({n:,})' for c, n in empty.items()])}; first in row {row:,}"
        )
        report.damage("complete", _FILE, found, expected="no missing value")
    else:
        report.ok("complete", _FILE, "no missing value")
    return True


def _check_words(sample: pl.DataFrame, column: str, report: Report) -> None:
    strange = sample.filter(~pl.col(column).is_in(_KNOWN[column])).get_column(column)
    expected = f"of {listing(list(_KNOWN[column]), most=8)}"
    if len(strange):
        found = f"{column}: {len(strange):,} cells with {listing(sorted(map(str, strange.unique())))}"
        report.damage("vocabulary", _FILE, found, expected=expected)
    else:
        report.ok("vocabulary", _FILE, f"{column}: {sample[column].n_unique()} values", expected=expected)


def _check_labels(sample: pl.DataFrame, report: Report) -> None:
    tree = study.hierarchy()
    for level in names.LEVELS:
        known = set(tree[level])
        counts = sample[level].value_counts(sort=True)
        strange = counts.filter(~pl.col(level).is_in(list(known)))
        n_strange = int(strange["count"].sum())
        expected = f"of the {study.N_LABELS[level]} published labels"
        found = f"{level}: {len(counts)} labels"
        if n_strange > _MOST_STRANGE * len(sample):
            found = f"{level}: {n_strange:,} of {len(sample):,} cells with unknown labels: {listing(strange[level].to_list())}"
            report.damage("labels", _FILE, found, expected=expected)
        elif n_strange:
            found = f"{level}: {n_strange:,} cells with unknown labels: {listing(strange[level].to_list())}"
            remedy = "Analyses by label keep them apart; correct the spelling if they are published labels."
            report.warn("labels", _FILE, found, expected=expected, remedy=remedy)
        else:
            report.ok("labels", _FILE, found, expected=expected)


def _check_tree(sample: pl.DataFrame, report: Report) -> None:
    tree = study.hierarchy().select(names.LEVELS)
    paths = sample.select(names.LEVELS).group_by(names.LEVELS).len()
    strange = pl.any_horizontal(*(~pl.col(c).is_in(tree[c].to_list()) for c in names.LEVELS))
    breaks = paths.filter(~strange).join(tree, on=names.LEVELS, how="anti").sort("len", descending=True)
    expected = f"labels in the published tree; published: {study.N_HIERARCHY_BREAKS} cells break it (cDC2 > cDC2 > cDC1)"
    if breaks.is_empty():
        report.ok("label tree", _FILE, "no cell breaks the tree", expected=expected)
        return
    usual = (
        (pl.col(names.LEVEL0) == "cDC2") & (pl.col(names.LEVEL1) == "cDC2") & (pl.col(names.LEVEL2) == "cDC1")
    )
    other = breaks.filter(~usual)
    n_cells, n_other = int(breaks["len"].sum()), int(other["len"].sum())
    shown = [" > ".join(row[:3]) + f" ({row[3]:,})" for row in breaks.iter_rows()]
    found = f"cells that break the tree: {n_cells:,}: {listing(shown)}"
    if n_other > 0.01 * len(sample):
        report.damage("label tree", _FILE, found, expected=expected)
    else:
        remedy = "Use one level at a time: a cDC1 of level 2 may be a cDC2 of levels 0 and 1."
        report.warn("label tree", _FILE, found, expected=expected, remedy=remedy)


def _check_ages(sample: pl.DataFrame, report: Report) -> None:
    ages = sample.select(names.AGE_GROUP, names.AGE_BIN, names.AGE_MIDPOINT).with_row_index("row")
    ages = ages.filter(pl.col(names.AGE_GROUP).is_in(names.AGE_GROUPS)).with_columns(
        low=pl.col(names.AGE_GROUP).str.extract(r"^(\d+)").cast(pl.Float64),
        high=pl.col(names.AGE_GROUP).str.extract(r"(\d+)$").cast(pl.Float64),
    )
    middle = (pl.col("low") + pl.col("high")) / 2
    young = pl.when(pl.col("high") <= 40).then(pl.lit(names.YOUNG)).otherwise(pl.lit(names.OLD))
    rules = {
        f"{names.AGE_MIDPOINT} is the middle of {names.AGE_GROUP}": (
            pl.col(names.AGE_MIDPOINT) - middle
        ).abs()
        > 1e-3,
        f"{names.AGE_BIN} is young below 40 years": pl.col(names.AGE_BIN) != young,
    }
    for rule, broken in rules.items():
        wrong = ages.filter(broken)
        if len(wrong):
            first = wrong.row(0, named=True)
            found = (
                f"{len(wrong):,} cells break it, first row {first['row']:,}: {first[names.AGE_GROUP]},"
                f" {first[names.AGE_BIN]}, {first[names.AGE_MIDPOINT]}"
            )
            report.damage("ages", _FILE, found, expected=rule)
        else:
            report.ok("ages", _FILE, f"true of {len(ages):,} cells", expected=rule)


def _check_units(sample: pl.DataFrame, report: Report) -> None:
    """Age and sex belong to a donor; donor, assay and chemistry to a library."""
    for unit, columns in (
        (names.DONOR, (names.AGE_GROUP, names.SEX)),
        (names.SAMPLE, (names.DONOR, names.ASSAY)),
    ):
        for column in columns:
            several = (
                sample.group_by(unit).agg(pl.col(column).n_unique()).filter(pl.col(column) > 1).sort(unit)
            )
            expected = f"one {column} for each {unit}"
            if len(several):
                found = f"{len(several)} {unit} with several {column}: {listing(several[unit].to_list())}"
                remedy = f"The rows of {column} look displaced. Fetch or write {_FILE} again."
                report.damage("donors", _FILE, found, expected=expected, remedy=remedy)
            else:
                report.ok("donors", _FILE, f"{sample[unit].n_unique()} {unit}", expected=expected)
    known = study.donors().select(names.DONOR, pl.col("Age_group_5y"), pl.col("Sex").alias("sex"))
    have = (
        sample.unique(names.DONOR)
        .select(names.DONOR, names.AGE_GROUP, names.SEX)
        .join(known, on=names.DONOR, how="left")
    )
    strange = have.filter(pl.col("Age_group_5y").is_null())[names.DONOR].sort().to_list()
    other = have.filter(
        (pl.col(names.AGE_GROUP) != pl.col("Age_group_5y")) | (pl.col(names.SEX) != pl.col("sex"))
    )
    expected = "the age group and sex that the authors give each of their 17 donors"
    remedy = "Ages of other donors are known as bins only; nothing else depends on it."
    if strange or len(other):
        found = f"{len(strange)} unknown donors {listing(strange)}; {len(other)} with another age or sex {listing(other[names.DONOR].sort().to_list())}"
        report.warn("donors", _FILE, found, expected=expected, remedy=remedy)
    else:
        report.ok("donors", _FILE, f"{len(have)} donors agree", expected=expected)


def _check_numbers(sample: pl.DataFrame, report: Report) -> None:
    for column, (low, high) in _RANGES.items():
        values = sample[column].cast(pl.Float64).fill_null(0).to_numpy()
        wrong = ~np.isfinite(values) | (values < low) | (values > high)
        limits = f"at least {low:g}" if high == float("inf") else f"{low:g} to {high:g}"
        expected = f"{column}: finite, {limits}"
        if wrong.any():
            row = int(np.argmax(wrong))
            found = f"{int(wrong.sum()):,} values outside, first {values[row]:g} in row {row:,}"
            report.damage("values", _FILE, found, expected=expected)
        else:
            shown = f"{values.min():g} to {values.max():g}" if len(values) else "no row"
            report.ok("values", _FILE, shown, expected=expected)
