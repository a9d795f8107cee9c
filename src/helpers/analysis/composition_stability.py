"""What one donor makes of a composition: results without each donor, and types that come from one."""

import polars as pl

from helpers import names
from helpers.analysis.composition_checks import ASSAY, TOTAL, TYPE, N
from helpers.analysis.composition_design import assays_of
from helpers.analysis.composition_tests import QUASI, Plan, slopes, still_estimable


def leave_one_out(table: pl.DataFrame, *, method: str = QUASI, plan: Plan | None = None) -> pl.DataFrame:
    """Repeat a test without each donor in turn.

    Returns
    -------
    One row per type and assay: the effect of all donors, the smallest and the largest effect without one donor, the
    donor whose removal moves it most, and whether any removal turns its sign.
    """
    plan = plan or Plan()
    table = table.filter(pl.col(ASSAY).is_in(assays_of(table, plan.reference)))
    whole = slopes(table, method=method, plan=plan).select(TYPE, ASSAY, "log2_change")
    parts = [
        pl.DataFrame(schema={TYPE: pl.String, ASSAY: pl.String, "without": pl.Float64, "donor": pl.String})
    ]
    for donor in table[names.DONOR].unique().sort():
        own = pl.col(names.DONOR) == donor
        kept = table.filter(~own, pl.col(ASSAY).is_in(table.filter(own)[ASSAY].unique().implode()))
        fitted = slopes(kept, method=method, plan=still_estimable(kept, plan))
        parts.append(
            fitted.select(TYPE, ASSAY, pl.col("log2_change").alias("without"), pl.lit(donor).alias("donor"))
        )
    every = pl.concat(parts).join(whole, on=[TYPE, ASSAY]).drop_nulls()
    moved = (pl.col("without") - pl.col("log2_change")).abs()
    return (
        every.group_by(ASSAY, TYPE)
        .agg(
            pl.col("log2_change").first(),
            pl.col("without").min().alias("lowest"),
            pl.col("without").max().alias("highest"),
            pl.col("donor").sort_by(moved).last().alias("most_influential"),
            (pl.col("without").sign() != pl.col("log2_change").sign()).any().alias("sign_turns"),
        )
        .sort(ASSAY, TYPE)
    )


def without(
    table: pl.DataFrame, donor: str, *, method: str = QUASI, plan: Plan | None = None
) -> pl.DataFrame:
    """Return the effects of all donors beside those without one donor (``log2_change_without``, its interval, p)."""
    plan = plan or Plan()
    kept = table.filter(pl.col(names.DONOR) != donor)
    whole = slopes(table, method=method, plan=plan)
    rest = slopes(kept, method=method, plan=still_estimable(kept, plan))
    columns = ["log2_change", "low", "high", "p"]
    return whole.select(ASSAY, TYPE, *columns).join(
        rest.select(ASSAY, TYPE, *columns), on=[ASSAY, TYPE], suffix="_without", how="left"
    )


def dominance(table: pl.DataFrame) -> pl.DataFrame:
    """Say how much of each type comes from one donor.

    Shares are added up over donors, so that a donor with many cells does not count for more.

    Returns
    -------
    One row per assay and type: the donor with the largest part, that part, the effective number of donors (inverse
    Simpson index), donors in which the type was seen, and its count.
    """
    by_donor = table.group_by(ASSAY, TYPE, names.DONOR).agg(pl.col(N).sum(), pl.col(TOTAL).sum())
    part = by_donor.with_columns((pl.col(N) / pl.col(TOTAL)).alias("share")).with_columns(
        (pl.col("share") / pl.col("share").sum().over(ASSAY, TYPE)).alias("part")
    )
    return (
        part.filter(pl.col("part").is_finite())
        .group_by(ASSAY, TYPE)
        .agg(
            pl.col(names.DONOR).sort_by("part", names.DONOR).last().alias("largest_donor"),
            pl.col("part").max().alias("largest_part"),
            (1 / (pl.col("part") ** 2).sum()).alias("effective_donors"),
            (pl.col(N) > 0).sum().cast(pl.Int64).alias("donors_seen"),
            pl.col(N).sum().alias("total"),
        )
        .sort(pl.col("largest_part"), ASSAY, TYPE, descending=[True, False, False])
    )
