"""One kernel per test of composition: a design and the types that can be tested in, effects with intervals out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from helpers import names
from helpers.analysis import arrangements, composition_models
from helpers.analysis.composition_checks import GROUP
from helpers.analysis.composition_design import ALL, CENTER, Design
from helpers.analysis.composition_mixed import mixed

QUASI, TRANSFORM, PERMUTATION, MIXED, CELLS = (
    "quasi-binomial",
    "log-ratio",
    "permutation",
    "mixed",
    "chi-square",
)


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
    intervals
        Whether the permutation test also finds its intervals, which takes most of its time.
    """

    covariates: Sequence[str] | Mapping[str, Sequence[str]] = ()
    reference: str | Sequence[str] = ALL
    exposure: str | None = None
    min_total: int = 20
    strata: Sequence[str] | None = None
    draws: int = 20_000
    seed: int = 0
    intervals: bool = True

    def covariates_of(self, assay: str) -> list[str]:
        """Return the covariates of one assay."""
        return list(
            self.covariates.get(assay, ()) if isinstance(self.covariates, Mapping) else self.covariates
        )


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
    """Fit log2 odds where shares are of all, else log2 ratios.

    The spread of a log share shrinks as the share nears one, that of log-odds does not: only on the scale of odds are
    the variances of a dominant and of a rare type alike enough to be drawn together.
    """
    response, factor = log_shares(design, tested), np.ones(int(tested.sum()))
    if design.reference == ALL:
        share = _floor(design, tested)
        response, factor = np.log2(share / (1 - share)), (1 - share).mean(axis=0)
    weights = _weights(design, tested, response, design.matrix)
    fit = composition_models.linear(response, design.matrix, weights=weights)
    effect, margin = fit.effect * factor, fit.margin * factor
    return effect, effect - margin, effect + margin, fit.error * factor, fit.p


def _permutation(design: Design, tested: np.ndarray, plan: Plan) -> tuple[np.ndarray, ...]:
    """Exchange ages between units of one stratum; covariates that are strata are held fixed by that."""
    strata = design.units.select(_categories(design) if plan.strata is None else list(plan.strata))
    labels = strata.rows() if strata.width else None
    drawn = arrangements.arrange(design.exposure, strata=labels, draws=plan.draws, seed=plan.seed)
    response = log_shares(design, tested)
    # the precision must not know the ages that are exchanged: it comes from the strata alone
    inside = (drawn.strata[:, None] == np.unique(drawn.strata)).astype(float)
    weights = _weights(design, tested, response, inside)
    steps = 40 if plan.intervals else 0
    effect, low, high, p = arrangements.fit_slopes(drawn, response, weights=weights, steps=steps)
    fit = composition_models.linear(response, np.column_stack([inside, design.exposure]), weights=weights)
    return effect, low, high, fit.error, p


def _categories(design: Design) -> list[str]:
    return [term for term in design.terms[:-1] if not design.units[term].dtype.is_numeric()]


def _mixed(design: Design, tested: np.ndarray, plan: Plan) -> tuple[np.ndarray, ...]:  # noqa: ARG001
    donors = design.units[names.DONOR].to_numpy()
    response = log_shares(design, tested)
    weights = _weights(design, tested, response, design.matrix)
    fit, _ = mixed(response, design.matrix, donors, weights=weights)
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


KERNELS: dict[str, Callable[[Design, np.ndarray, Plan], tuple[np.ndarray, ...]]] = {
    QUASI: _quasi,
    TRANSFORM: _transform,
    PERMUTATION: _permutation,
    MIXED: _mixed,
    CELLS: _cells,
}
