"""Arrangements of ages over donors: every one where they are few, a seeded sample where they are many.

A permutation test asks how often chance alone, giving the same ages to the same donors in another order, would make
a statistic as extreme as the one observed [1]_. It assumes only that donors could be exchanged.

References
----------
.. [1] Phipson and Smyth (2010), Statistical Applications in Genetics and Molecular Biology,
   doi:10.2202/1544-6115.1585 (why a permutation p-value is never zero)
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import factorial, prod

import numpy as np
import pandas as pd
import polars as pl

from helpers.errors import DesignError

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]

ENUMERATED = 200_000
FEWEST = 21  # ways below which a permutation p cannot fall under one in twenty with more than the observed one left
# Statistics closer than this share of their largest value count as tied: sums in another order differ in the last bits.
_TIE = 1e-9


@dataclass(frozen=True)
class Arrangements:
    """Rows of values over units (first the observed one), and the stratum of each unit as a number."""

    values: np.ndarray
    strata: np.ndarray
    exact: bool
    total: int
    within: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Arrangements looked at, the observed one among them."""
        return self.values.shape[0]

    @property
    def smallest_p(self) -> float:
        """The smallest two-sided p-value that these arrangements can give."""
        return self._step / self.n

    @property
    def _step(self) -> int:
        """Arrangements that tie at least: two, where each has a mirror image among the others, as in equal groups."""
        sums = set()
        for code in np.unique(self.strata):
            own = np.sort(self.values[0, self.strata == code])
            sums |= set((own + own[::-1]).tolist())
        return 2 if self.exact and len(sums) == 1 else 1

    def below(self, alpha: float = 0.05) -> float:
        """Return the share of p-values that chance alone puts at or below `alpha`: less than it, where ways are few.

        Examples
        --------
        >>> round(deal([0, 0, 0, 1, 1, 1, 1]).below(0.05), 4)
        0.0286
        """
        return math.floor(alpha * self.n / self._step + 1e-9) * self._step / self.n

    def sentence(self, alpha: float = 0.05) -> str:
        """Say in English how many ways there are, the smallest p, and what chance alone puts below `alpha`."""
        where = f" within {' and '.join(self.within)}" if self.within else ""
        ways = (
            f"There are {self.total:,} ways to deal the values over the donors{where}, all of them counted"
            if self.exact
            else f"Of {self.total:,} ways to deal the values over the donors{where}, {self.n:,} were drawn"
        )
        chance = self.below(alpha)
        below = f"chance alone puts {chance:.1%} of tests" if chance else "chance alone puts no test"
        return f"{ways}; the smallest possible p is {self.smallest_p:.2g}, and {below} at or below {alpha:g}."


def count(values: Sequence[float] | np.ndarray, *, strata: Sequence[object] | None = None) -> int:
    """Count the distinct arrangements of values over units, within strata.

    Examples
    --------
    >>> count([0, 0, 1, 1])
    6
    """
    return prod(_count_one(values) for values in _split(np.asarray(values, float), strata)[1])


def arrange(
    values: Sequence[float] | np.ndarray,
    *,
    strata: Sequence[object] | None = None,
    draws: int = 20_000,
    limit: int = ENUMERATED,
    seed: int = 0,
) -> Arrangements:
    """Return arrangements of values over units: all of them where they are at most `limit`, else a sample."""
    observed = np.asarray(values, dtype=float)
    places, parts = _split(observed, strata)
    total = prod(_count_one(part) for part in parts)
    if total < 2:
        few = f"ages cannot be dealt over {observed.size} donor(s). Choose a more common cell type or fewer cells a donor."
        alike = (
            f"{observed.size} units have one arrangement only: within every stratum all values are equal. "
        )
        raise DesignError(few if observed.size < 2 else f"{alike}Use coarser strata, or none.")
    codes = np.empty(observed.size, dtype=int)
    for code, place in enumerate(places):
        codes[place] = code
    if total <= limit:
        return Arrangements(_enumerate(observed, places, parts, total), codes, exact=True, total=total)
    generator = np.random.default_rng(seed)
    drawn = np.tile(observed, (draws + 1, 1))
    for place in places:
        drawn[1:, place] = generator.permuted(drawn[1:, place], axis=1)
    return Arrangements(drawn, codes, exact=False, total=total)


def deal(
    values: Sequence[float] | np.ndarray,
    *,
    strata: pd.DataFrame | pl.DataFrame | None = None,
    draws: int = 999,
    fewest: int = FEWEST,
    seed: int = 1,
) -> Arrangements:
    """Deal values over donors, among donors alike in as many columns of `strata` as leave enough ways.

    Where young and old differ in sex or chemistry, dealing ages over all donors breaks that tie, and the null then
    holds nothing of it: a gene of men passes for a gene of youth. Dealing within keeps it.

    Parameters
    ----------
    values
        One value per donor, such as age (years).
    strata
        One row per donor, the column that matters most first. Columns are left off from the right until at least
        `fewest` arrangements remain; ``.within`` of the result names those kept, none if none could be.
    draws, fewest
        Arrangements drawn where there are more than that, and those that a stratification must leave.

    Examples
    --------
    >>> donors = pl.DataFrame({"Sex": list("MMMMFFFF"), "chemistry": list("22332233")})
    >>> deal([20, 25, 70, 75, 60, 65, 30, 35], strata=donors).within
    ('Sex',)
    """
    columns = [] if strata is None else list(strata.columns)
    while columns:
        rows = zip(*(list(strata[column]) for column in columns), strict=True)
        labels = [" | ".join(map(str, row)) for row in rows]
        if count(values, strata=labels) >= fewest:
            break
        columns.pop()
    else:
        labels = None
    found = arrange(values, strata=labels, draws=draws, limit=draws, seed=seed)
    return replace(found, within=tuple(columns))


def slope(values: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Return the statistic of a straight line: the product of centered values and responses (arrangements x types)."""
    centered = values - values.mean(axis=1, keepdims=True)
    return centered @ responses


def p_values(
    arrangements: Arrangements,
    responses: np.ndarray,
    *,
    statistic: Statistic = slope,
    tolerance: float = _TIE,
) -> np.ndarray:
    """Return two-sided permutation p-values, one per column of responses.

    Responses are units x types, in the order of the units of the arrangements. The statistic takes arrangements x units
    and units x types and returns arrangements x types; larger in size is more extreme, and what lies within `tolerance`,
    a share of the largest, is tied and counts against the observed one. The observed arrangement is always among those
    counted, so that p is never zero: 1 / arrangements at least.
    """
    # in blocks of types: 200,000 arrangements of all types at once would take hundreds of MB
    blocks = np.array_split(responses, max(1, responses.shape[1] // 16), axis=1)
    return np.concatenate([_p_one(np.abs(statistic(arrangements.values, b)), tolerance) for b in blocks])


def _p_one(sizes: np.ndarray, tolerance: float) -> np.ndarray:
    bar = sizes[0] - tolerance * sizes.max(axis=0)
    return (sizes >= bar).mean(axis=0)


def center(
    arrangements: Arrangements, responses: np.ndarray, *, weights: np.ndarray | None = None
) -> np.ndarray:
    """Take from responses (units x types) the weighted mean of their stratum."""
    weights = np.ones_like(responses) if weights is None else weights
    centered = np.array(responses, dtype=float)
    for code in np.unique(arrangements.strata):
        own = arrangements.strata == code
        centered[own] -= (weights[own] * centered[own]).sum(axis=0) / weights[own].sum(axis=0)
    return centered


def fit_slopes(
    arrangements: Arrangements,
    responses: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    level: float = 0.95,
    steps: int = 40,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return slope, lower and upper bound and two-sided p-value of every column of responses.

    A slope b belongs to the interval where the responses minus b x value show no relation to the values. The bounds
    are found by bisection; where the arrangements are too few to reject anything they are infinite.

    Parameters
    ----------
    arrangements, responses
        From `arrange` or `deal`, and units x types.
    weights
        Units x types: the precision of each response, which must not be derived from the values that are exchanged.
    level
        Coverage.
    steps
        Halvings of the search range; 0 leaves the bounds out (not a number).
    """
    weights = np.ones_like(responses, dtype=float) if weights is None else weights
    values = arrangements.values - arrangements.values.mean()
    observed = np.repeat(values[0][:, None], responses.shape[1], axis=1)
    own = values @ (weights * center(arrangements, observed, weights=weights))
    scores = weights * center(arrangements, responses, weights=weights)
    cross = values @ scores
    slopes = cross[0] / own[0]
    if not steps:
        unknown = np.full_like(slopes, np.nan)
        return slopes, unknown, unknown, p_values(arrangements, scores)
    residual = scores - weights * center(arrangements, observed, weights=weights) * slopes
    spread = np.sqrt((residual**2).sum(axis=0) / own[0] / weights.mean(axis=0)) + 1e-12
    bounds = []
    for sign in (-1.0, 1.0):
        near, far = np.zeros_like(slopes), 100.0 * spread
        unbounded = _p_one(np.abs(cross - own * (slopes + sign * far)), _TIE) > 1 - level
        for _ in range(steps):
            middle = (near + far) / 2
            kept = _p_one(np.abs(cross - own * (slopes + sign * middle)), _TIE) > 1 - level
            near, far = np.where(kept, middle, near), np.where(kept, far, middle)
        bounds.append(np.where(unbounded, sign * np.inf, slopes + sign * far))
    return slopes, bounds[0], bounds[1], p_values(arrangements, scores)


def _split(values: np.ndarray, strata: Sequence[object] | None) -> tuple[list[np.ndarray], list[np.ndarray]]:
    if strata is None:
        places = [np.arange(values.size)]
    else:
        labels = pl.Series([str(label) for label in strata])
        places = [(labels == label).to_numpy().nonzero()[0] for label in labels.unique(maintain_order=True)]
    return places, [values[place] for place in places]


def _count_one(values: np.ndarray) -> int:
    _, times = np.unique(values, return_counts=True)
    return factorial(values.size) // prod(factorial(int(n)) for n in times)


def _enumerate(
    observed: np.ndarray, places: list[np.ndarray], parts: list[np.ndarray], total: int
) -> np.ndarray:
    listed = np.empty((total, observed.size))
    outer, inner = 1, total
    for place, part in zip(places, parts, strict=True):
        rows = _list_one(part)
        inner //= rows.shape[0]
        listed[:, place] = np.tile(np.repeat(rows, inner, axis=0), (outer, 1))
        outer *= rows.shape[0]
    # the observed one leads: every test reads its statistic from the first row
    first = int(np.flatnonzero((listed == observed).all(axis=1))[0])
    listed[[0, first]] = listed[[first, 0]]
    return listed


def _list_one(values: np.ndarray) -> np.ndarray:
    """List distinct arrangements: place the copies of one value at a time among the places still free."""
    distinct, times = np.unique(values, return_counts=True)
    listed = np.zeros((1, values.size))
    free = np.arange(values.size)[None, :]
    for value, n in zip(distinct[:-1], times[:-1], strict=True):
        chosen = np.array(list(combinations(range(free.shape[1]), int(n))))
        kept = np.array([np.setdiff1d(np.arange(free.shape[1]), row) for row in chosen])
        taken = free[:, chosen].reshape(-1, int(n))
        listed = np.repeat(listed, len(chosen), axis=0)
        np.put_along_axis(listed, taken, value, axis=1)
        free = free[:, kept].reshape(len(listed), -1)
    np.put_along_axis(listed, free, distinct[-1], axis=1)
    return listed
