"""What seventeen donors can tell: nulls that are run, power, and types that come from one donor."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from scipy import stats

from helpers import names
from helpers.analysis import composition_scoring, composition_tests
from helpers.analysis import draws as made_up
from helpers.analysis.composition_checks import AGE, ASSAY, TOTAL, TYPE, UNIT, N
from helpers.analysis.composition_design import CENTER, estimable
from helpers.analysis.composition_tests import Plan

_CARRIED = (AGE, names.AGE_BIN, "group")


def shuffle_ages(table: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """Give the ages of an assay's donors to its donors in another order; everything else stays with the donor."""
    generator = np.random.default_rng(seed)
    carried = [column for column in _CARRIED if column in table.columns]
    keys = table.select(ASSAY, names.DONOR, *carried).unique([ASSAY, names.DONOR], maintain_order=True)
    keys = keys.sort(ASSAY, names.DONOR)
    moved = []
    for (_,), part in keys.group_by(ASSAY, maintain_order=True):
        order = generator.permutation(part.height)
        moved.append(
            pl.concat([part.select(ASSAY, names.DONOR), part.select(carried)[order]], how="horizontal")
        )
    if not moved:
        return table
    shuffled = table.drop(carried).join(
        pl.concat(moved), on=[ASSAY, names.DONOR], how="left", maintain_order="left"
    )
    return shuffled.select(table.columns)


def run_null(
    table: pl.DataFrame,
    *,
    methods: Sequence[str] = (*composition_tests.METHODS, composition_tests.CELLS),
    plan: Plan | None = None,
    draws: int = 100,
    seed: int = 0,
) -> pl.DataFrame:
    """Repeat tests on shuffled ages, where nothing is to be found.

    Parameters
    ----------
    table
        A composition.
    methods
        Tests that are audited.
    plan
        Of the tests; where shuffled ages leave a covariate that cannot be estimated, it is left out of that draw.
    draws
        Shuffles.
    seed
        Of the shuffles.

    Returns
    -------
    One row per method, assay, type and draw: p.
    """
    plan = plan or Plan()
    quick = replace(plan, draws=min(plan.draws, 400), intervals=False)
    found = [
        pl.DataFrame(
            schema={"method": pl.String, ASSAY: pl.String, TYPE: pl.String, "p": pl.Float64, "draw": pl.Int64}
        )
    ]
    for draw in range(draws):
        null = shuffle_ages(table, seed=seed + draw)
        kept = composition_tests.still_estimable(null, replace(quick, seed=seed + draw))
        for method in methods:
            if plan.reference == CENTER and method in {composition_tests.QUASI, composition_tests.CELLS}:
                continue
            tested = composition_tests.slopes(null, method=method, plan=kept)
            found.append(
                tested.select("method", ASSAY, TYPE, "p")
                .drop_nulls("p")
                .with_columns(pl.lit(draw, pl.Int64).alias("draw"))
            )
    return pl.concat(found)


def false_positives(null: pl.DataFrame, *, alpha: float = 0.05) -> pl.DataFrame:
    """Return the share of null tests with p below `alpha`, by method, with the spread over shuffles."""
    return (
        null.group_by("method", "draw")
        .agg((pl.col("p") < alpha).mean().alias("rate"))
        .group_by("method")
        .agg(
            pl.col("rate").mean().alias("false_positive_rate"),
            pl.col("rate").quantile(0.025).alias("low"),
            pl.col("rate").quantile(0.975).alias("high"),
            pl.len().alias("draws"),
        )
        .sort("method")
    )


def power(results: pl.DataFrame, *, alpha: float = 0.05, wanted: float = 0.8) -> pl.DataFrame:
    """Return what the donors at hand can tell about each type: the smallest change found with the wanted power.

    Parameters
    ----------
    results
        Of a test with standard errors.
    alpha
        Level of the test, without adjustment for the number of types.
    wanted
        Power.

    Returns
    -------
    One row per assay and type: ``detectable`` (log2, per unit of the comparison), and ``detectable_with_twice`` the
    donors. Both assume that the spread between donors stays as found.
    """
    tested = results.filter(pl.col("standard_error").is_not_null())
    terms = tested["adjusted_for"].str.split(", ").list.filter(pl.element() != "").list.len().to_numpy() + 2
    donors = tested["donors"].to_numpy()
    error = tested["standard_error"].to_numpy()
    now = _multiple(np.maximum(donors - terms, 1), alpha, wanted) * error
    twice = _multiple(np.maximum(2 * donors - terms, 1), alpha, wanted) * error / np.sqrt(2)
    return tested.select(ASSAY, TYPE, "donors", "per").with_columns(
        pl.Series("detectable", now, dtype=pl.Float64),
        pl.Series("detectable_with_twice", twice, dtype=pl.Float64),
    )


def sweep(
    table: pl.DataFrame,
    planted: pl.DataFrame,
    *,
    covariates: Sequence[str] = (),
    methods: Sequence[str] = (composition_tests.QUASI, composition_tests.TRANSFORM),
    log2_sd: float = 0.9,
    draws: int = 30,
    seed: int = 0,
) -> pl.DataFrame:
    """Draw compositions for the donors of a table with planted changes, test them, and score the intervals.

    Parameters
    ----------
    table
        Composition with donors as units: its donors, totals and mean shares are kept, its counts are not.
    planted
        ``assay``, ``type``, ``published_per_decade``: the change of abundance of each type; none where absent.
    covariates
        Columns to adjust for where they can be estimated.
    methods
        Tests that are scored.
    log2_sd
        Standard deviation between donors of the log2 abundance of a type.
    draws
        Draws of each assay.
    seed
        Of the first draw.

    Returns
    -------
    One row per method, as `composition_scoring.summarize` gives it.
    """
    scored = []
    for (assay,), part in table.group_by(ASSAY, maintain_order=True):
        own = planted.filter(pl.col(ASSAY) == assay).drop_nulls("published_per_decade")
        plan = adjusted_plan(part, covariates)
        plan = replace(plan, covariates=plan.covariates_of(str(assay)))
        truth = own.select(
            pl.lit("simulated").alias(ASSAY),
            TYPE,
            pl.col("published_per_decade").alias("log2_change_per_decade"),
        )
        for drawn in _draw_like(part, truth, log2_sd=log2_sd, seeds=range(seed, seed + draws)):
            expected = composition_scoring.estimand(drawn, truth, plan=plan)
            tested = composition_tests.compare(drawn, methods=methods, plan=plan)
            scored.append(composition_scoring.score(tested, expected))
    if not scored:
        return pl.DataFrame(
            schema={"method": pl.String, "coverage": pl.Float64, "sign_recovered": pl.Float64}
        )
    return composition_scoring.summarize(pl.concat(scored))


def _draw_like(
    part: pl.DataFrame, truth: pl.DataFrame, *, log2_sd: float, seeds: Iterable[int]
) -> Iterator[pl.DataFrame]:
    """Draw compositions with the donors, totals and mean shares of one assay, changing with age as planted."""
    shares = part.group_by(TYPE).agg((pl.col(N) / pl.col(TOTAL)).mean().alias("share")).sort(TYPE)
    kept = dict(shares.filter(pl.col("share") > 0).iter_rows())
    slopes = dict(truth.select(TYPE, "log2_change_per_decade").iter_rows())
    units = part.unique(UNIT).drop(ASSAY, TYPE, N).sort(UNIT)
    for seed in seeds:
        yield made_up.draw(units, shares=kept, slopes=slopes, concentration=None, log2_sd=log2_sd, seed=seed)


def count_reachable(power: pl.DataFrame, published: pl.DataFrame) -> dict[str, int]:
    """Count types whose published slope (``published_per_decade``) is at least what the donors can detect."""
    both = power.filter(pl.col("per") == "decade").join(published, on=[ASSAY, TYPE], how="inner")
    size = both["published_per_decade"].abs()
    return {
        "types": both.height,
        "reached": int((size >= both["detectable"]).sum()),
        "reached_with_twice": int((size >= both["detectable_with_twice"]).sum()),
    }


def adjusted_plan(table: pl.DataFrame, covariates: Sequence[str], plan: Plan | None = None) -> Plan:
    """Return the plan with those covariates that the donors of each assay can estimate."""
    plan = plan or Plan()
    return replace(plan, covariates=estimable(table, covariates, exposure=plan.exposure))


def _multiple(df: np.ndarray, alpha: float, wanted: float) -> np.ndarray:
    return stats.t.ppf(1 - alpha / 2, df) + stats.t.ppf(wanted, df)
