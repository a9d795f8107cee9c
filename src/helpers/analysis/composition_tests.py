"""Tests of composition across age, all with one interface and one table of results.

Every row says by how much the share of a type changes (log2, per decade of age, or between two groups), with its
95 % interval. The share is what an assay shows. It is not abundance: when one type grows, the shares of all others
fall. `reference` chooses what a share is a share of; `helpers.analysis.reference` shows what depends on that choice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from helpers import names
from helpers.analysis import arrangements, composition_models
from helpers.analysis.composition import ASSAY, GROUP, MIN_DONORS, TYPE
from helpers.analysis.composition_design import ALL, CENTER, Design, build, estimable
from helpers.errors import ParameterError

QUASI, TRANSFORM, PERMUTATION, MIXED, CELLS = (
    "quasi-binomial",
    "log-ratio",
    "permutation",
    "mixed",
    "chi-square",
)
METHODS = (QUASI, TRANSFORM, PERMUTATION)
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


@dataclass(frozen=True)
class Plan:
    """What a test compares, adjusts for and leaves out.

    Parameters
    ----------
    covariates
        Columns to adjust for, the same in every assay or by assay (see `composition_design.estimable`).
    reference
        What a share is a share of: ``"all"``, ``"center"`` (geometric mean of the types; not for counts), or types.
    exposure
        Column that is compared; ages where there are any, else the two groups.
    min_total
        Counts of a type that an assay needs, in at least three donors.
    strata
        Columns within which the permutation test exchanges ages; the covariates that are categories where None.
    draws
        Arrangements drawn where there are too many to list.
    seed
        Of those draws.
    """

    covariates: Sequence[str] | Mapping[str, Sequence[str]] = ()
    reference: str | Sequence[str] = ALL
    exposure: str | None = None
    min_total: int = 20
    strata: Sequence[str] | None = None
    draws: int = 20_000
    seed: int = 0

    def covariates_of(self, assay: str) -> list[str]:
        """Return the covariates of one assay."""
        return list(
            self.covariates.get(assay, ()) if isinstance(self.covariates, Mapping) else self.covariates
        )


def slopes(table: pl.DataFrame, *, method: str = QUASI, plan: Plan | None = None) -> pl.DataFrame:
    """Test every type of every assay for a change with age, or between two groups.

    Parameters
    ----------
    table
        From `composition` or `composition_from_counts`.
    method
        ``"quasi-binomial"``: logistic regression of counts, overdispersed between donors. ``"log-ratio"``: linear
        model of log2 shares with moderated variances. ``"permutation"``: log2 shares, ages exchanged between donors.
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
    if method not in _KERNELS:
        msg = f"{method!r} is not a test of composition: choose one of {list(_KERNELS)}."
        raise ParameterError(msg)
    if plan.reference == CENTER and method in {QUASI, CELLS}:
        msg = f"{method!r} compares counts, and the center of the types is not a count: choose 'all' or some types."
        raise ParameterError(msg)
    results = [pl.DataFrame(schema=SCHEMA)]
    for assay in table[ASSAY].unique().sort():
        covariates = [] if method == CELLS else plan.covariates_of(assay)
        design = build(
            table, assay=assay, covariates=covariates, reference=plan.reference, exposure=plan.exposure
        )
        results.append(_one_assay(design, method, plan))
    return pl.concat(results)


def compare(
    table: pl.DataFrame, *, methods: Sequence[str] = METHODS, plan: Plan | None = None
) -> pl.DataFrame:
    """Run several tests on one composition and stack their results."""
    return pl.concat(slopes(table, method=method, plan=plan) for method in methods)


def leave_one_out(table: pl.DataFrame, *, method: str = QUASI, plan: Plan | None = None) -> pl.DataFrame:
    """Repeat a test without each donor in turn.

    Returns
    -------
    One row per type and assay: the effect of all donors, the smallest and the largest effect without one donor, the
    donor whose removal moves it most, and whether any removal turns its sign.
    """
    plan = plan or Plan()
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
        answers = _KERNELS[method](design, tested, plan)
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
    seen = [
        design.units.filter(pl.Series(design.counts[:, i] > 0))[names.DONOR].n_unique()
        for i in range(len(design.types))
    ]
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


def log_shares(design: Design, tested: np.ndarray) -> np.ndarray:
    """Return log2 of each type's share in the design's frame of reference (units x tested types).

    A type that is absent needs a finite share: half a count is added in a unit of average size, and in proportion in
    others, so that small units are not credited with larger shares.
    """
    counts, base = design.counts[:, tested], design.base[:, tested]
    prior = 0.5 * design.totals[:, None] / design.totals.mean()
    if design.reference == CENTER:
        logs = np.log2(counts + prior)
        return logs - logs.mean(axis=1, keepdims=True)
    return np.log2((counts + prior) / (base + 2 * prior))


def _weights(design: Design, tested: np.ndarray, response: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the precision of log2 shares from the counts that a model without noise would expect."""
    share = np.exp2(matrix @ np.linalg.lstsq(matrix, np.log2(_floor(design, tested)), rcond=None)[0])
    return composition_models.precision(response, share * design.totals[:, None], matrix)


def _floor(design: Design, tested: np.ndarray) -> np.ndarray:
    counts = design.counts[:, tested]
    prior = 0.5 * design.totals[:, None] / design.totals.mean()
    return (counts + prior) / (design.totals[:, None] + 2 * prior)


def _quasi(design: Design, tested: np.ndarray, plan: Plan) -> tuple[np.ndarray, ...]:  # noqa: ARG001
    counts = design.counts[:, tested]
    if design.reference == ALL:
        fit, fitted = composition_models.quasi_binomial(counts, design.base[:, tested], design.matrix)
        # a slope of log-odds b is a slope b (1 - p) of the log share, averaged here over the units
        factor = (1 - fitted).mean(axis=0) / np.log(2)
    else:
        fit, _ = composition_models.quasi_binomial(counts, counts + design.base[:, tested], design.matrix)
        factor = np.full(counts.shape[1], 1 / np.log(2))
    effect, margin = fit.effect * factor, fit.margin * factor
    return effect, effect - margin, effect + margin, fit.error * factor, fit.p


def _transform(design: Design, tested: np.ndarray, plan: Plan) -> tuple[np.ndarray, ...]:  # noqa: ARG001
    response = log_shares(design, tested)
    weights = _weights(design, tested, response, design.matrix)
    fit = composition_models.linear(response, design.matrix, weights=weights)
    return fit.effect, fit.effect - fit.margin, fit.effect + fit.margin, fit.error, fit.p


def _permutation(design: Design, tested: np.ndarray, plan: Plan) -> tuple[np.ndarray, ...]:
    """Exchange ages between units of one stratum; covariates that are strata are held fixed by that."""
    strata = design.units.select(_categories(design) if plan.strata is None else list(plan.strata))
    labels = strata.rows() if strata.width else None
    drawn = arrangements.arrange(design.exposure, strata=labels, draws=plan.draws, seed=plan.seed)
    response = log_shares(design, tested)
    # the precision must not know the ages that are exchanged: it comes from the strata alone
    inside = (drawn.strata[:, None] == np.unique(drawn.strata)).astype(float)
    weights = _weights(design, tested, response, inside)
    effect, low, high, p = arrangements.fit_slopes(drawn, response, weights=weights)
    fit = composition_models.linear(response, np.column_stack([inside, design.exposure]), weights=weights)
    return effect, low, high, fit.error, p


def _categories(design: Design) -> list[str]:
    return [term for term in design.terms[:-1] if not design.units[term].dtype.is_numeric()]


def _mixed(design: Design, tested: np.ndarray, plan: Plan) -> tuple[np.ndarray, ...]:  # noqa: ARG001
    donors = design.units[names.DONOR].to_numpy()
    response = log_shares(design, tested)
    weights = _weights(design, tested, response, design.matrix)
    fit, _ = composition_models.mixed(response, design.matrix, donors, weights=weights)
    return fit.effect, fit.effect - fit.margin, fit.effect + fit.margin, fit.error, fit.p


def _cells(design: Design, tested: np.ndarray, plan: Plan) -> tuple[np.ndarray, ...]:  # noqa: ARG001
    if names.AGE_BIN in design.units.columns:
        late = (design.units[names.AGE_BIN] == names.OLD).to_numpy()
    elif GROUP in design.units.columns:
        late = design.exposure == design.exposure.max()
    else:
        late = design.exposure > np.median(design.exposure)
    effect, error, p = composition_models.chi_square(
        design.counts[~late].sum(axis=0), design.counts[late].sum(axis=0)
    )
    effect, error, p = effect[tested], error[tested], p[tested]
    return effect, effect - 1.96 * error, effect + 1.96 * error, error, p


_KERNELS: dict[str, Callable[[Design, np.ndarray, Plan], tuple[np.ndarray, ...]]] = {
    QUASI: _quasi,
    TRANSFORM: _transform,
    PERMUTATION: _permutation,
    MIXED: _mixed,
    CELLS: _cells,
}
