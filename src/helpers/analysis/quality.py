"""Quality of cells: what is measured, what thresholds would remove, and whom."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from helpers import names
from helpers.analysis.donors import known

REMOVED_SCHEMA = {
    "rule": pl.String,
    "group": pl.String,
    "cells": pl.Int64,
    "removed": pl.Int64,
    "share_removed": pl.Float64,
}


@dataclass(frozen=True)
class Thresholds:
    """Limits a cell must keep: genes and counts at least, mitochondrial percent and doublet score at most."""

    min_genes: int
    min_counts: int
    max_percent_mito: float
    max_doublet_score: float

    def rules(self) -> dict[str, pl.Expr]:
        """Return, per rule, the expression that is true for a cell to remove."""
        return {
            f"fewer than {self.min_genes:,} genes": pl.col(names.N_GENES) < self.min_genes,
            f"fewer than {self.min_counts:,} counts": pl.col(names.N_COUNTS) < self.min_counts,
            f"more than {self.max_percent_mito:g} % mitochondrial": pl.col(names.PERCENT_MITO)
            > self.max_percent_mito,
            f"doublet score above {self.max_doublet_score:g}": pl.col(names.DOUBLET_SCORE)
            > self.max_doublet_score,
        }


def summarize(obs: pl.DataFrame, *, by: Sequence[str]) -> pl.DataFrame:
    """Give cells and the median of each quality column per group, largest group first.

    Columns that the source lacks stay null; an empty table when a grouping column is missing.
    """
    by = list(by)
    columns = [column for column in names.QUALITY_COLUMNS if column in obs.columns]
    if not known(obs, *by):
        return pl.DataFrame(
            schema={**dict.fromkeys(by, pl.String), "cells": pl.Int64, **dict.fromkeys(columns, pl.Float64)}
        )
    return (
        obs.group_by(pl.col(column).cast(pl.String) for column in by)
        .agg(pl.len().cast(pl.Int64).alias("cells"), *(pl.col(column).median() for column in columns))
        .sort("cells", *by, descending=[True, *[False] * len(by)])
    )


def removed(obs: pl.DataFrame, thresholds: Thresholds, *, by: str | None = None) -> pl.DataFrame:
    """Count what each threshold, and any of them, would remove, overall or per group.

    Parameters
    ----------
    obs
        One row a cell, with the quality columns; a missing measure removes nobody.
    thresholds
        The limits.
    by
        Column of groups, such as the donor or the cell type; one group "all cells" if none.

    Returns
    -------
    polars.DataFrame
        rule, group, cells, removed, share_removed (0 to 1). Rules whose measure the source lacks are left out.
    """
    if by is not None and not known(obs, by):
        return pl.DataFrame(schema=REMOVED_SCHEMA)
    rules = {rule: test for rule, test in thresholds.rules().items() if known(obs, *test.meta.root_names())}
    if not rules:
        return pl.DataFrame(schema=REMOVED_SCHEMA)
    tests = {rule: test.fill_null(value=False) for rule, test in rules.items()}
    tests["any of these"] = pl.any_horizontal(list(tests.values()))
    group = pl.lit("all cells") if by is None else pl.col(by).cast(pl.String)
    return (
        obs.select(group.alias("group"), *(test.alias(rule) for rule, test in tests.items()))
        .unpivot(index="group", variable_name="rule", value_name="hit")
        .group_by("rule", "group", maintain_order=True)
        .agg(pl.len().cast(pl.Int64).alias("cells"), pl.col("hit").sum().cast(pl.Int64).alias("removed"))
        .with_columns((pl.col("removed") / pl.col("cells")).alias("share_removed"))
        .select(*REMOVED_SCHEMA)
    )


def spread(obs: pl.DataFrame) -> dict[str, float | None]:
    """Give medians over all barcodes, and how many-fold median counts differ between types and between donors.

    The range over donors is the largest one found within an assay; groups of fewer than 20 barcodes are left out.
    """

    def fold(*by: str) -> float | None:
        if not known(obs, *by, names.N_COUNTS):
            return None
        ranges = (
            obs.group_by(by)
            .agg(pl.len().alias("n"), pl.col(names.N_COUNTS).median().alias("middle"))
            .filter((pl.col("n") >= 20) & (pl.col("middle") > 0))
            .group_by(by[0] if len(by) > 1 else pl.lit(1))
            .agg((pl.col("middle").max() / pl.col("middle").min()).alias("fold"))
        )
        return None if ranges.is_empty() else float(ranges["fold"].max())

    def median(column: str) -> float | None:
        return float(obs[column].median()) if known(obs, column) else None

    return {
        "median_genes": median(names.N_GENES),
        "median_counts": median(names.N_COUNTS),
        "type_range": fold(names.LEVEL0),
        "donor_range": fold(names.ASSAY, names.DONOR),
    }


def hardest_hit(
    overall: pl.DataFrame, types: pl.DataFrame, people: pl.DataFrame
) -> dict[str, float | str | None]:
    """Name the type and the donor that lose the largest share under all rules together.

    Parameters
    ----------
    overall, types, people
        What `removed` returns without groups, by type and by donor. Groups of fewer than 20 cells are passed over.
    """

    def worst(table: pl.DataFrame) -> tuple[str | None, float | None]:
        rows = table.filter((pl.col("rule") == "any of these") & (pl.col("cells") >= 20))
        rows = rows.sort("share_removed", "group", descending=[True, False])
        return (rows["group"][0], rows["share_removed"][0]) if rows.height else (None, None)

    total = overall.filter(pl.col("rule") == "any of these")
    (kind, kind_share), (donor, donor_share) = worst(types), worst(people)
    return {
        "overall": float(total["share_removed"][0]) if total.height else None,
        "type": kind,
        "type_share": kind_share,
        "donor": donor,
        "donor_share": donor_share,
    }
