"""Does a call rest on one person? Every test again without each donor in turn."""

from dataclasses import replace

import numpy as np
import polars as pl
from anndata import AnnData

from helpers import names
from helpers.analysis import design, expression, fits, schemas
from helpers.errors import DesignError


def leave_one_out(
    profiles: AnnData,
    *,
    cell_type: str,
    assay: str,
    level: str = names.LEVEL0,
    comparison: design.Comparison | None = None,
    min_count: float = 10,
    fdr: float = 0.1,
) -> pl.DataFrame:
    """Test again without each donor and say which calls stay.

    Parameters
    ----------
    profiles, cell_type, assay, level, comparison, min_count
        As in `expression.prepare`.
    fdr
        q-value below which a gene is called, with all donors and in every refit.

    Returns
    -------
    Table `schemas.STABILITY`: the genes called with all donors, smallest q first.

    Raises
    ------
    DesignError
        If the donors are too few even with all of them.
    """
    options = {
        "cell_type": cell_type,
        "assay": assay,
        "level": level,
        "comparison": comparison,
        "min_count": min_count,
    }
    whole = expression.prepare(profiles, **options)
    called = fits.tabulate(whole, expression.fit_age(whole)).filter(pl.col("q") < fdr)
    donors = whole.design.donors["donor"].tolist()
    # one donor fewer than the least that a test may have is what leaving one out means
    asked = comparison or design.Comparison()
    options["comparison"] = replace(asked, min_donors=max(asked.min_donors - 1, 2))
    refits = [
        refit for donor in donors if (refit := _refit_without(profiles, donor, whole, options)) is not None
    ]
    if not refits or called.is_empty():
        return schemas.STABILITY.empty() if called.is_empty() else _without_refits(called)
    summary = _summarize(called, pl.concat(refits), fdr)
    table = called.select("gene", "log2_change", "q").join(summary, on="gene", how="left")
    table = table.with_columns(pl.col("refits", "refits_called").fill_null(0))
    return schemas.STABILITY.check(table.with_columns(stable=pl.col("holds") == len(donors))).sort(
        "q", "gene"
    )


def _summarize(called: pl.DataFrame, refits: pl.DataFrame, fdr: float) -> pl.DataFrame:
    """Say of each called gene how small its change, how large its p became, and how many refits agree."""
    together = refits.join(called.select("gene", pl.col("log2_change").alias("all")), on="gene")
    together = together.with_columns(
        toward=pl.col("log2_change") * pl.col("all").sign(),
        same=pl.col("log2_change").sign() == pl.col("all").sign(),
    )
    return together.group_by("gene").agg(
        smallest_change=pl.col("log2_change").sort_by("toward").first(),
        most_influential=pl.col("left_out").sort_by("toward").first(),
        largest_p=pl.col("p").max(),
        refits=pl.len().cast(pl.Int64),
        refits_called=((pl.col("q") < fdr) & pl.col("same")).sum().cast(pl.Int64),
        holds=((pl.col("p") < 0.05) & pl.col("same")).sum().cast(pl.Int64),
    )


def _refit_without(profiles: AnnData, donor: str, whole: fits.Prepared, options: dict) -> pl.DataFrame | None:
    kept = (profiles.obs[names.DONOR].astype(str) != donor).to_numpy()
    try:
        # the genes stay: a call must not be lost because another filter is met
        prepared = expression.prepare(profiles[kept], **options, genes=list(whole.genes))
    except DesignError:
        return None
    table = fits.tabulate(prepared, expression.fit_age(prepared))
    return table.select("gene", "log2_change", "p", "q", left_out=pl.lit(donor))


def _without_refits(called: pl.DataFrame) -> pl.DataFrame:
    nothing = np.zeros(called.height, dtype=np.int64)
    table = called.select("gene", "log2_change", "q").with_columns(
        smallest_change=pl.lit(None, dtype=pl.Float64),
        largest_p=pl.lit(None, dtype=pl.Float64),
        refits=nothing,
        refits_called=nothing,
        most_influential=pl.lit(None, dtype=pl.String),
        stable=pl.lit(value=False),
    )
    return schemas.STABILITY.check(table).sort("q", "gene")
