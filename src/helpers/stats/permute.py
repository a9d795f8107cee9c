"""Arrangements of ages over donors: every one where they are few, a seeded sample where they are many.

A permutation test asks how often chance alone, giving the same ages to the same donors in another order, would make
a statistic as extreme as the one observed [1]_. It assumes only that donors could be exchanged.

References
----------
.. [1] Phipson and Smyth (2010), Statistical Applications in Genetics and Molecular Biology,
   doi:10.2202/1544-6115.1585 (why a permutation p-value is never zero)
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import factorial, prod

import numpy as np
import pandas as pd
import polars as pl

from helpers.errors import DesignError

FEWEST = 21  # ways below which a permutation p cannot fall under one in twenty with more than the observed one left
# Statistics closer than this share of their largest value count as tied: sums in another order differ in the last bits.
_TIE = 1e-9
_LEVEL = 1 - 0.95


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
        """The smallest two-sided p: of two, where each arrangement has a mirror image, as in equal groups, else of one."""
        sums = set()
        for code in np.unique(self.strata):
            own = np.sort(self.values[0, self.strata == code])
            sums |= set((own + own[::-1]).tolist())
        return (2 if self.exact and len(sums) == 1 else 1) / self.n

    def sentence(self) -> str:
        """Say in English how many ways there are, the smallest p, and what chance alone puts at or below 0.05."""
        where = f" within {' and '.join(self.within)}" if self.within else ""
        ways = f"{self.total:,} ways to deal the values over the donors{where}"
        ways = f"There are {ways}, all of them counted" if self.exact else f"Of {ways}, {self.n:,} were drawn"
        # p-values come in steps, which are coarse where ways are few
        chance = math.floor(0.05 / self.smallest_p + 1e-9) * self.smallest_p
        below = f"chance alone puts {chance:.1%} of tests" if chance else "chance alone puts no test"
        return f"{ways}; the smallest possible p is {self.smallest_p:.2g}, and {below} at or below 0.05."


def deal(
    values: Sequence[float] | np.ndarray,
    *,
    strata: pd.DataFrame | pl.DataFrame | None = None,
    draws: int = 999,
    seed: int = 1,
) -> Arrangements:
    """Deal values over donors, among donors alike in as many columns of `strata` as leave enough ways.

    Where young and old differ in sex or chemistry, dealing ages over all donors breaks that tie, and the null then
    holds nothing of it: a gene of men passes for a gene of youth. Dealing within keeps it.

    `strata` has one row per donor, the column that matters most first. Columns are left off from the right until at
    least 21 arrangements remain; ``.within`` of the result names those kept, none if none could be. Where there are
    more arrangements than `draws`, so many are drawn; otherwise each is listed.

    Examples
    --------
    >>> donors = pl.DataFrame({"Sex": list("MMMMFFFF"), "chemistry": list("22332233")})
    >>> deal([20, 25, 70, 75, 60, 65, 30, 35], strata=donors).within
    ('Sex',)
    """
    observed = np.asarray(values, dtype=float)
    columns = [] if strata is None else list(strata.columns)
    while True:
        rows = [tuple(row) for row in zip(*(map(str, strata[column]) for column in columns), strict=True)]
        codes = np.array([rows.index(row) for row in rows], int)
        codes = codes if columns else np.zeros(observed.size, int)
        places = [np.flatnonzero(codes == code) for code in np.unique(codes)]
        total = prod(_count_orders(observed[place]) for place in places)
        if total >= FEWEST or not columns:
            break
        columns.pop()
    if observed.size < 2:
        msg = f"ages cannot be dealt over {observed.size} donor(s). Choose a more common cell type or fewer cells a donor."
        raise DesignError(msg)
    if total < 2:
        msg = f"{observed.size} donors have one arrangement only: their values are all equal. Take donors that differ."
        raise DesignError(msg)
    exact = total <= draws
    if exact:
        dealt = np.empty((total, observed.size))
        orders = [list(_order(observed[place].tolist())) for place in places]
        for row, parts in zip(dealt, product(*orders), strict=True):
            for place, part in zip(places, parts, strict=True):
                row[place] = part
        # the observed one leads: every test reads its statistic from the first row
        first = int(np.flatnonzero((dealt == observed).all(axis=1))[0])
        dealt[[0, first]] = dealt[[first, 0]]
    else:
        generator = np.random.default_rng(seed)
        dealt = np.tile(observed, (draws + 1, 1))
        for place in places:
            dealt[1:, place] = generator.permuted(dealt[1:, place], axis=1)
    return Arrangements(dealt, codes, exact=exact, total=total, within=tuple(columns))


def p_values(arrangements: Arrangements, responses: np.ndarray) -> np.ndarray:
    """Return two-sided permutation p-values of a straight line, one per column of responses (units x types).

    The observed arrangement is always among those counted, so that p is never zero: 1 / arrangements at least.
    """
    centered = arrangements.values - arrangements.values.mean(axis=1, keepdims=True)
    return _share_as_far(centered @ responses)


def _share_as_far(statistics: np.ndarray) -> np.ndarray:
    sizes = np.abs(statistics)
    return (sizes >= sizes[0] - _TIE * sizes.max(axis=0)).mean(axis=0)


def fit_slopes(
    arrangements: Arrangements, responses: np.ndarray, *, steps: int = 40
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return slope, lower and upper bound (95 %) and two-sided p-value of every column of responses.

    A slope b belongs to the interval where the responses minus b x value show no relation to the values. The bounds
    are found by halving the search range in `steps` (0: not a number); infinite where ways are too few to reject.
    """
    values = arrangements.values - arrangements.values.mean()
    observed, scores = values[0][:, None].copy(), np.array(responses, dtype=float)
    for centered in (observed, scores):  # what differs between strata is no slope
        for code in np.unique(arrangements.strata):
            stratum = arrangements.strata == code
            centered[stratum] -= centered[stratum].mean(axis=0)
    own, cross = values @ observed, values @ scores
    slopes = cross[0] / own[0]
    p = p_values(arrangements, scores)
    if not steps:
        unknown = np.full_like(slopes, np.nan)
        return slopes, unknown, unknown, p
    spread = np.sqrt(((scores - observed * slopes) ** 2).sum(axis=0) / own[0]) + 1e-12
    bounds = []
    for sign in (-1.0, 1.0):
        near, far = np.zeros_like(slopes), 100.0 * spread
        unbounded = _share_as_far(cross - own * (slopes + sign * far)) > _LEVEL
        for _ in range(steps):
            middle = (near + far) / 2
            kept = _share_as_far(cross - own * (slopes + sign * middle)) > _LEVEL
            near, far = np.where(kept, middle, near), np.where(kept, far, middle)
        bounds.append(np.where(unbounded, sign * np.inf, slopes + sign * far))
    return slopes, *bounds, p


def _count_orders(values: np.ndarray) -> int:
    _, times = np.unique(values, return_counts=True)
    return factorial(values.size) // prod(factorial(int(n)) for n in times)


def _order(values: list[float]) -> Iterator[list[float]]:
    """Give every distinct order of values once: the smallest on each choice of places, the others around them."""
    if not values:
        yield []
        return
    smallest = min(values)
    others = [value for value in values if value != smallest]
    for places in combinations(range(len(values)), len(values) - len(others)):
        for order in _order(others):
            for place in places:
                order.insert(place, smallest)
            yield order
