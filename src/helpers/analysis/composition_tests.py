"""Tests of composition across age, all with one interface and one table of results.

Every row says by how much the share of a type changes (log2, per decade of age, or between two groups), with its
95 % interval. The share is what an assay shows. It is not abundance: when one type grows, the shares of all others
fall. `reference` chooses what a share is a share of; `helpers.analysis.reference` shows what depends on that choice.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from helpers import names
from helpers.analysis import composition_models
from helpers.analysis.composition_checks import ASSAY, MIN_DONORS, TYPE
from helpers.analysis.composition_design import CENTER, Design, assays_of, build, estimable
from helpers.analysis.composition_kernels import (
    CELLS,
    KERNELS,
    MIXED,
    PERMUTATION,
    QUASI,
    TRANSFORM,
    Plan,
)
from helpers.errors import DesignError, ParameterError

METHODS = (QUASI, TRANSFORM, PERMUTATION)
EVERY_METHOD = (*METHODS, MIXED, CELLS)
SCHEMA = {
    TYPE: pl.String,
    ASSAY: pl.String,
    "log2_change": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "standard_error": pl.Float64,
    "p": pl.Float64,
    "q": pl.Float64,
    "donors": pl.Int64,
    "total": pl.Int64,
    "per": pl.String,
    "method": pl.String,
    "reference": pl.String,
    "adjusted_for": pl.String,
    "left_out": pl.String,
}


def slopes(table: pl.DataFrame, *, method: str = QUASI, plan: Plan | None = None) -> pl.DataFrame:
    """Test every type of every assay for a change with age, or between two groups.

    Parameters
    ----------
    table
        From `composition` or `composition_from_counts`.
    method
        ``"quasi-binomial"``: logistic regression of counts, overdispersed between donors. ``"log-ratio"``: linear
        model of log-odds (or log ratios to the reference) with moderated variances. ``"permutation"``: log2 shares, ages exchanged between donors.
        ``"mixed"``: log2 shares of libraries with a random intercept of the donor. ``"chi-square"``: pooled cells of
        young and old, for contrast only.
    plan
        What is compared, adjusted for and left out.

    Returns
    -------
    One row per type and assay, sorted; types that are too rare keep a row with the reason in ``left_out``. The
    Benjamini-Hochberg q is over the types of one assay.

    Raises
    ------
    ParameterError
        If the method is unknown, or cannot use the reference.
    DesignError
        If the donors cannot support the comparison.
    """
    plan = plan or Plan()
    if method not in KERNELS:
        msg = f"{method!r} is not a test of composition: choose one of {list(KERNELS)}."
        raise ParameterError(msg)
    if plan.reference == CENTER and method in {QUASI, CELLS}:
        msg = f"{method!r} compares counts, and the center of the types is not a count: choose 'all' or some types."
        raise ParameterError(msg)
    results = [pl.DataFrame(schema=SCHEMA)]
    for assay in assays_of(table, plan.reference):
        covariates = [] if method == CELLS else plan.covariates_of(assay)
        design = build(
            table, assay=assay, covariates=covariates, reference=plan.reference, exposure=plan.exposure
        )
        if method not in {MIXED, CELLS} and design.units.height > design.donors:
            msg = (
                f"assay {assay!r} has {design.units.height} units of {design.donors} donors: libraries of one donor are "
                f"not replicates. Use method 'mixed', or count donors (unit='donor')."
            )
            raise DesignError(msg)
        results.append(_one_assay(design, method, plan))
    return pl.concat(results)


def run_all(
    table: pl.DataFrame, libraries: pl.DataFrame, *, covariates: Sequence[str] = (), plan: Plan | None = None
) -> pl.DataFrame:
    """Run every test that the plan's frame of reference allows, each adjusted for what its units can estimate.

    Parameters
    ----------
    table
        Composition with donors as units.
    libraries
        The same with libraries as units, for the mixed model.
    covariates
        Columns to adjust for; those that cannot be estimated are left out, assay by assay. The permutation test
        exchanges ages within sexes only: in finer strata too few arrangements are left.
    plan
        The rest of the plan.
    """
    plan = plan or Plan()
    adjusted = replace(plan, covariates=estimable(table, covariates, exposure=plan.exposure))
    coarse = replace(plan, covariates=estimable(table, covariates[:1], exposure=plan.exposure))
    wide = replace(plan, covariates=estimable(libraries, covariates, exposure=plan.exposure))
    counted = plan.reference != CENTER
    results = [slopes(table, method=TRANSFORM, plan=adjusted)]
    results += [slopes(table, method=QUASI, plan=adjusted)] if counted else []
    results += [slopes(table, method=PERMUTATION, plan=coarse), slopes(libraries, method=MIXED, plan=wide)]
    results += [slopes(table, method=CELLS, plan=plan)] if counted else []
    return pl.concat(results)


def count_calls(results: pl.DataFrame, *, fdr: float) -> pl.DataFrame:
    """Return, for each test and assay, types tested and types with an adjusted p below `fdr`."""
    tested = results.filter(pl.col("p").is_not_null())
    counts = tested.group_by("method", ASSAY).agg(
        pl.len().alias("tested"),
        (pl.col("p") < fdr).sum().alias("raw"),
        (pl.col("q") < fdr).sum().alias("called"),
    )
    return counts.sort("method", ASSAY)


def compare(
    table: pl.DataFrame, *, methods: Sequence[str] = METHODS, plan: Plan | None = None
) -> pl.DataFrame:
    """Run several tests on one composition and stack their results."""
    return pl.concat(slopes(table, method=method, plan=plan) for method in methods)


def agreement_of_methods(results: pl.DataFrame) -> dict[str, float | None]:
    """Return how far donor-level tests agree: lowest correlation of two, and the share of types with one sign."""
    donor_level = results.filter((pl.col("method") != CELLS) & pl.col("log2_change").is_not_null())
    if donor_level.is_empty():
        return {"lowest_correlation": None, "same_sign": None}
    wide = (
        donor_level.pivot(on="method", index=[ASSAY, TYPE], values="log2_change")
        .drop(ASSAY, TYPE)
        .drop_nulls()
    )
    effects = wide.to_numpy()
    enough = effects.shape[0] > 2 and effects.shape[1] > 1
    return {
        "lowest_correlation": float(np.corrcoef(effects.T).min()) if enough else None,
        "same_sign": float((np.abs(np.sign(effects).sum(axis=1)) == effects.shape[1]).mean())
        if len(effects)
        else None,
    }


def still_estimable(table: pl.DataFrame, plan: Plan) -> Plan:
    """Return the plan without those covariates that a smaller set of donors can no longer estimate."""
    kept = {
        assay: estimable(
            table.filter(pl.col(ASSAY) == assay), plan.covariates_of(assay), exposure=plan.exposure
        )[assay]
        for assay in table[ASSAY].unique()
    }
    return replace(plan, covariates=kept)


def _one_assay(design: Design, method: str, plan: Plan) -> pl.DataFrame:
    reasons = _reasons(design, plan.min_total)
    tested = np.array([reason is None for reason in reasons])
    columns = {
        name: np.full(len(design.types), np.nan)
        for name in ("log2_change", "low", "high", "standard_error", "p")
    }
    if tested.any():
        answers = KERNELS[method](design, tested, plan)
        for name, values in zip(columns, answers, strict=True):
            columns[name][tested] = values
    columns["q"] = composition_models.adjust(columns["p"])
    frame = pl.DataFrame(
        {
            TYPE: design.types,
            ASSAY: [design.assay] * len(design.types),
            **columns,
            "donors": [design.donors] * len(design.types),
            "total": design.counts.sum(axis=0).astype(int),
            "left_out": reasons,
        },
        schema_overrides={"left_out": pl.String},
    ).with_columns(
        pl.col(list(columns)).fill_nan(None),
        pl.lit("old over young" if method == CELLS and design.per == "decade" else design.per).alias("per"),
        pl.lit(method).alias("method"),
        pl.lit(design.reference).alias("reference"),
        pl.lit("" if method == CELLS else ", ".join(design.terms[:-1])).alias("adjusted_for"),
    )
    return frame.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()).sort(ASSAY, TYPE)


def _reasons(design: Design, min_total: int) -> list[str | None]:
    """Say for each type why it is not tested, or None."""
    donors = design.units[names.DONOR].to_numpy()
    seen = [np.unique(donors[design.counts[:, i] > 0]).size for i in range(len(design.types))]
    reasons: list[str | None] = []
    for i, name in enumerate(design.types):
        total = int(design.counts[:, i].sum())
        if total < min_total:
            reasons.append(f"{total} counted, fewer than {min_total}")
        elif seen[i] < MIN_DONORS:
            reasons.append(f"in {seen[i]} donors, fewer than {MIN_DONORS}")
        elif name == design.reference or (design.counts[:, i] == design.base[:, i]).all():
            reasons.append("is the reference")
        else:
            reasons.append(None)
    return reasons
