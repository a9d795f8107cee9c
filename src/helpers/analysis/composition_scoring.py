"""Composition results against a planted truth.

What is planted is the change of *abundance*. What an assay shows is a *share*, so that the quantity a test estimates
is the planted change minus the change of everything together. That second part depends on how common the other types
are; it is taken from the data, after the planted change is removed, within the categories that the model adjusts for.
In a frame of reference made of types the estimand is a difference of planted slopes and needs no data.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from helpers import names
from helpers.analysis.composition_checks import AGE, ASSAY, TYPE
from helpers.analysis.composition_design import ALL, CENTER, DECADE, Design, assays_of, build, estimable
from helpers.analysis.composition_kernels import CELLS
from helpers.analysis.composition_tests import Plan

CENTER_AGE = 48.0


def estimand(table: pl.DataFrame, truth: pl.DataFrame, *, plan: Plan | None = None) -> pl.DataFrame:
    """Return what a test would find in endless cells of these donors, were donors to differ in nothing but age.

    Parameters
    ----------
    table
        The composition that is tested.
    truth
        ``assay``, ``type`` and ``log2_change_per_decade`` of the abundance; types that are absent do not change.
    plan
        Of the test: its reference, covariates and exposure decide what it estimates.

    Returns
    -------
    One row per assay and type: ``planted`` (abundance) and ``estimand`` (log2 share, per decade or between groups).
    """
    plan = plan or Plan()
    rows = [
        pl.DataFrame(
            schema={ASSAY: pl.String, TYPE: pl.String, "planted": pl.Float64, "estimand": pl.Float64}
        )
    ]
    for assay in assays_of(table, plan.reference):
        design = build(
            table,
            assay=assay,
            covariates=plan.covariates_of(assay),
            reference=plan.reference,
            exposure=plan.exposure,
        )
        known = dict(truth.filter(pl.col(ASSAY) == assay).select(TYPE, "log2_change_per_decade").iter_rows())
        planted = np.array([known.get(name, 0.0) for name in design.types])
        frame = {
            ASSAY: assay,
            TYPE: design.types,
            "planted": planted,
            "estimand": _expected(design, planted, plan),
        }
        rows.append(pl.DataFrame(frame).select(rows[0].columns))
    return pl.concat(rows)


def score(results: pl.DataFrame, expected: pl.DataFrame) -> pl.DataFrame:
    """Set results beside what was planted: covered, sign right, and whether the change was large enough to tell.

    Returns
    -------
    The tested rows of `results` with ``planted``, ``estimand``, ``covered`` (estimand inside the interval),
    ``telling`` (estimand larger than twice its standard error) and ``sign_right``.
    """
    joined = results.filter(pl.col("log2_change").is_not_null()).join(expected, on=[ASSAY, TYPE], how="inner")
    return joined.with_columns(
        pl.col("estimand").is_between(pl.col("low"), pl.col("high")).alias("covered"),
        (pl.col("estimand").abs() > 2 * pl.col("standard_error")).alias("telling"),
        (pl.col("estimand").sign() == pl.col("log2_change").sign()).alias("sign_right"),
    )


def summarize(scored: pl.DataFrame, *, by: Sequence[str] = ("method",)) -> pl.DataFrame:
    """Return coverage, bias, error and sign recovery, one row per group of `by`."""
    gap = pl.col("log2_change") - pl.col("estimand")
    return (
        scored.group_by(list(by))
        .agg(
            pl.len().alias("types"),
            pl.col("covered").mean().alias("coverage"),
            gap.mean().alias("bias"),
            (gap**2).mean().sqrt().alias("root_mean_square_error"),
            (pl.col("high") - pl.col("low")).median().alias("median_width"),
            pl.col("telling").sum().alias("telling"),
            pl.col("sign_right").filter(pl.col("telling")).mean().alias("sign_recovered"),
        )
        .sort(list(by))
    )


def read_truth(truth: pl.DataFrame | None, *, level: str) -> pl.DataFrame | None:
    """Return planted changes of one level of labels as ``assay``, ``type``, ``log2_change_per_decade``, if there are any."""
    if truth is None:
        return None
    own = truth.filter(pl.col("level") == level).rename({"label": TYPE})
    return own.select(ASSAY, TYPE, "log2_change_per_decade") if own.height else None


def score_all(
    results: pl.DataFrame,
    table: pl.DataFrame,
    truth: pl.DataFrame | None,
    *,
    covariates: Sequence[str] = (),
    plan: Plan | None = None,
) -> pl.DataFrame:
    """Score the results of all tests, each against what a test of that design estimates.

    Parameters
    ----------
    results
        From `composition_tests.run_all`.
    table
        Composition with donors as units.
    truth
        From `read_truth`; None gives no rows.
    covariates
        As given to the tests.
    plan
        As given to the tests.
    """
    plan = plan or Plan()
    empty = {"planted": pl.Float64, "estimand": pl.Float64}
    flags = dict.fromkeys(("covered", "telling", "sign_right"), pl.Boolean)
    scored = [pl.DataFrame(schema={**results.schema, **empty, **flags})]
    if truth is not None and table.height:
        fitted = replace(plan, covariates=estimable(table, covariates, exposure=plan.exposure))
        young_old = replace(plan, exposure=names.AGE_BIN)
        for method, own in (("donors", fitted), ("cells", young_old)):
            rows = results.filter((pl.col("method") == CELLS) == (method == "cells"))
            scored.append(score(rows, estimand(table, truth, plan=own)))
    return pl.concat(scored)


def beside_published(results: pl.DataFrame, published: pl.DataFrame, *, age_sd: float) -> pl.DataFrame:
    """Set effects per decade beside published slopes, both per standard deviation of age.

    Parameters
    ----------
    results
        Of one test, per decade of age; effects between two groups have no slope and come out null.
    published
        ``assay``, ``type``, ``published_per_sd``, ``clear``.
    age_sd
        Years in a standard deviation of age.
    """
    scale = pl.when(pl.col("per") == "decade").then(age_sd / DECADE)
    return results.join(published, on=[ASSAY, TYPE], how="inner").select(
        ASSAY,
        TYPE,
        (pl.col("log2_change") * scale).alias("found_per_sd"),
        (pl.col("low") * scale).alias("low_per_sd"),
        (pl.col("high") * scale).alias("high_per_sd"),
        "p",
        "q",
        "published_per_sd",
        "clear",
    )


def agree(joined: pl.DataFrame) -> dict[str, float | int | None]:
    """Return how far found and published slopes agree: types, correlation, signs, and signs of the clear ones."""
    both = joined.drop_nulls(["found_per_sd", "published_per_sd"])
    clear = both.filter("clear")
    same = both["found_per_sd"].sign() == both["published_per_sd"].sign()
    enough = both.height > 2
    return {
        "types": both.height,
        "correlation": float(np.corrcoef(both["found_per_sd"], both["published_per_sd"])[0, 1])
        if enough
        else None,
        "same_sign": int(same.sum()),
        "clear_types": clear.height,
        "clear_same_sign": int((clear["found_per_sd"].sign() == clear["published_per_sd"].sign()).sum()),
    }


def _expected(design: Design, planted: np.ndarray, plan: Plan) -> np.ndarray:
    decades = (design.units[AGE].to_numpy() - CENTER_AGE) / DECADE
    change = np.outer(decades, planted)
    frame = change.mean(axis=1, keepdims=True) if design.reference == CENTER else _frame(design, change, plan)
    return np.linalg.lstsq(design.matrix, change - frame, rcond=None)[0][-1]


def _frame(design: Design, change: np.ndarray, plan: Plan) -> np.ndarray:
    """Return log2 of how much the reference grows, for every unit, given how common its types are there."""
    share = design.counts / design.totals[:, None] / np.exp2(change)
    share /= share.sum(axis=1, keepdims=True)
    if design.reference != ALL:
        parts = [plan.reference] if isinstance(plan.reference, str) else list(plan.reference)
        share = share * np.isin(design.types, parts)
        share /= share.sum(axis=1, keepdims=True)
    categories = [
        term for term in design.terms[:-1] if term != names.SEX and not design.units[term].dtype.is_numeric()
    ]
    keys = (
        [str(row) for row in design.units.select(categories).rows()] if categories else ["all"] * len(share)
    )
    typical = np.array([share[np.array(keys) == key].mean(axis=0) for key in keys])
    return np.log2((typical * np.exp2(change)).sum(axis=1, keepdims=True))
