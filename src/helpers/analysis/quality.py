"""Quality of cells: what is measured, what thresholds would remove and whom, sexes, zeros that are structural."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp
from anndata import AnnData

from helpers import names
from helpers.analysis.donors import known
from helpers.errors import TableError

# XIST is expressed from the inactive X; the Y genes are the ones seen in 3' data of male muscle.
FEMALE_GENE = "XIST"
MALE_GENES = ("RPS4Y1", "DDX3Y", "UTY", "KDM5D", "EIF1AY", "USP9Y", "ZFY")

REMOVED_SCHEMA = {
    "rule": pl.String,
    "group": pl.String,
    "cells": pl.Int64,
    "removed": pl.Int64,
    "share_removed": pl.Float64,
}
SEX_SCHEMA = {
    names.DONOR: pl.String,
    names.SEX: pl.String,
    "cells": pl.Int64,
    "share_xist": pl.Float64,
    "share_y": pl.Float64,
    "seen": pl.String,
    "agrees": pl.Boolean,
}
ZEROS_SCHEMA = {
    names.GENE: pl.String,
    "absent_from": pl.String,
    "share_in_other": pl.Float64,
    "seen_in_other": pl.Int64,
    "cells_absent": pl.Int64,
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
        .select(REMOVED_SCHEMA)
    )


def check_sex(obs: pl.DataFrame, expression: pl.DataFrame) -> pl.DataFrame:
    """Compare each donor's sex label with XIST and the Y genes.

    Parameters
    ----------
    obs
        One row a cell.
    expression
        One row a cell, columns `FEMALE_GENE` and those of `MALE_GENES` that the source has.

    Returns
    -------
    polars.DataFrame
        Per donor: cells, share of cells with XIST, share with any Y gene, the sex that the two shares show
        (whichever is larger), and whether it is the label's. Empty without donors or sex genes.
    """
    males = [gene for gene in MALE_GENES if gene in expression.columns]
    if not known(obs, names.DONOR) or not males or FEMALE_GENE not in expression.columns:
        return pl.DataFrame(schema=SEX_SCHEMA)
    if expression.height != obs.height:
        msg = f"{expression.height:,} rows of expression for {obs.height:,} cells: take both from one atlas."
        raise TableError(msg)
    return (
        obs.select(pl.col(names.DONOR).cast(pl.String), pl.col(names.SEX).cast(pl.String))
        .with_columns(
            (expression[FEMALE_GENE] > 0).alias("xist"),
            expression.select(pl.any_horizontal(pl.col(males) > 0).alias("y"))["y"],
        )
        .group_by(names.DONOR)
        .agg(
            pl.col(names.SEX).drop_nulls().first(),
            pl.len().cast(pl.Int64).alias("cells"),
            pl.col("xist").mean().alias("share_xist"),
            pl.col("y").mean().alias("share_y"),
        )
        .with_columns(
            pl.when(pl.col("share_xist") > pl.col("share_y"))
            .then(pl.lit(names.FEMALE))
            .otherwise(pl.lit(names.MALE))
            .alias("seen")
        )
        .with_columns((pl.col("seen") == pl.col(names.SEX)).alias("agrees"))
        .select(SEX_SCHEMA)
        .sort(names.SEX, names.DONOR)
    )


def find_structural_zeros(adata: AnnData, *, min_share: float = 0.05, min_cells: int = 50) -> pl.DataFrame:
    """Find genes that one assay never sees although the other sees them often.

    Parameters
    ----------
    adata
        Cells x genes, both assays; `X` or its zeros alone are read.
    min_share
        Share of cells of the other assay that must express the gene, 0 to 1.
    min_cells
        An assay of fewer cells says nothing about absence.

    Returns
    -------
    polars.DataFrame
        gene, absent_from (assay), share_in_other (0 to 1), seen_in_other (cells), cells_absent (cells without a
        single molecule). A gene seen in a share s of one assay is missing from n independent cells of the other by
        chance with probability (1 - s) ** n if both assays detect alike.
    """
    assays = adata.obs[names.ASSAY].astype(str).to_numpy() if names.ASSAY in adata.obs else np.array([])
    matrix = sp.csr_matrix(adata.X)
    seen = {
        assay: (matrix[assays == assay] > 0).sum(axis=0).A1 if (assays == assay).sum() >= min_cells else None
        for assay in (names.CELLS, names.NUCLEI)
    }
    tables = [pl.DataFrame(schema=ZEROS_SCHEMA)]
    for assay, other in ((names.NUCLEI, names.CELLS), (names.CELLS, names.NUCLEI)):
        if seen[assay] is None or seen[other] is None:
            continue
        share = seen[other] / (assays == other).sum()
        at = np.flatnonzero((seen[assay] == 0) & (share >= min_share))
        tables.append(
            pl.DataFrame(
                {
                    names.GENE: adata.var_names[at].to_list(),
                    "absent_from": [assay] * at.size,
                    "share_in_other": share[at],
                    "seen_in_other": seen[other][at].astype(np.int64),
                    "cells_absent": [int((assays == assay).sum())] * at.size,
                },
                schema=ZEROS_SCHEMA,
            )
        )
    return pl.concat(tables).sort("share_in_other", descending=True)
