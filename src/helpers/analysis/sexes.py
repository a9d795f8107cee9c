"""Sex of each donor, read from XIST and the Y genes."""

import polars as pl

from helpers import names
from helpers.analysis.donors import known
from helpers.errors import TableError

# XIST is expressed from the inactive X; the Y genes are the ones seen in 3' data of male muscle.
FEMALE_GENE = "XIST"
MALE_GENES = ("RPS4Y1", "DDX3Y", "UTY", "KDM5D", "EIF1AY", "USP9Y", "ZFY")

SEX_SCHEMA = {
    names.DONOR: pl.String,
    names.SEX: pl.String,
    "cells": pl.Int64,
    "share_xist": pl.Float64,
    "share_y": pl.Float64,
    "seen": pl.String,
    "agrees": pl.Boolean,
}


def check(obs: pl.DataFrame, expression: pl.DataFrame) -> pl.DataFrame:
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
        (whichever is larger; none if both are zero), and whether it is the label's. Empty without donors or sex genes.
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
            pl.when((pl.col("share_xist") == 0) & (pl.col("share_y") == 0))
            .then(None)
            .when(pl.col("share_xist") > pl.col("share_y"))
            .then(pl.lit(names.FEMALE))
            .otherwise(pl.lit(names.MALE))
            .alias("seen")
        )
        .with_columns((pl.col("seen") == pl.col(names.SEX)).alias("agrees"))
        .select(*SEX_SCHEMA)
        .sort(names.SEX, names.DONOR)
    )


def known_genes(var: pl.DataFrame) -> list[str]:
    """Return those of XIST and the Y genes that the source has."""
    have = set(var[names.GENE])
    return [gene for gene in (FEMALE_GENE, *MALE_GENES) if gene in have]
