"""Prediction of age held against the types in which an effect was planted."""

import polars as pl

from helpers import names


def compare(
    scan: pl.DataFrame, truth: pl.DataFrame | None, *, fdr: float = 0.05, least: int = 20
) -> dict[str, int | None]:
    """Count planted types that were called, and calls without a plant.

    Parameters
    ----------
    scan
        What `age_types.scan` returns.
    truth
        Planted effects of age (assay, annotation_level0, gene), or none for real data.
    fdr
        A type is called below this q.
    least
        Genes with an effect that make a type a planted one; a handful of published genes do not make a clock.

    Returns
    -------
    dict
        `planted`, `found` and `false`, types and assays among those tested; none without a truth.
    """
    if truth is None:
        return {"planted": None, "found": None, "false": None}
    counts = truth.group_by(
        pl.col(names.LEVEL0).cast(pl.String).alias("type"), pl.col("assay").cast(pl.String)
    ).len()
    both = scan.join(counts, on=["type", "assay"], how="left").with_columns(pl.col("len").fill_null(0))
    planted, called = pl.col("len") >= least, pl.col("q") < fdr
    return {
        "planted": both.filter(planted).height,
        "found": both.filter(planted & called).height,
        "false": both.filter(~planted & called & (pl.col("len") == 0)).height,
    }
