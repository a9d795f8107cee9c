"""Nulls that are run: ages permuted over donors, and what each test then calls."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl
from anndata import AnnData

from helpers import names
from helpers.analysis import design, expression, fits, naive, schemas

DONORS, CELLS = "donors", "cells"
_MAX_TRIES = 100  # draws for each permutation wanted, before few distinct ones are taken as all there are


@dataclass(frozen=True)
class Null:
    """What permuted ages give: one row a permutation and test, and the p-values of the donor-level test."""

    summary: pl.DataFrame  # schemas.NULL
    p_donors: np.ndarray  # permutations x genes
    p_cells: np.ndarray | None  # permutations x genes, where cells were given
    genes: np.ndarray
    possible: int  # distinct permutations of the design, the observed one not counted
    complete: bool  # whether all of them were run

    def rate(self, test: str = DONORS) -> float | None:
        """Mean false-positive rate of a test over permutations, None where it was not run."""
        chosen = self.summary.filter(pl.col("test") == test)["false_positive_rate"]
        return None if chosen.is_empty() else float(chosen.mean())

    def exceeds(self, calls: int) -> float:
        """Share of permutations, the observed ages counted as one, with at least this many calls on donors.

        Parameters
        ----------
        calls
            Genes called with the observed ages.
        """
        null = self.summary.filter(pl.col("test") == DONORS)["calls"].to_numpy()
        return float((1 + (null >= calls).sum()) / (1 + len(null)))


def permute_ages(planned: design.Design, *, n: int, seed: int) -> tuple[np.ndarray, int]:
    """Permute ages over the donors within each sex: all distinct ways where there are at most `n`, else a sample.

    Parameters
    ----------
    planned
        Design of the test.
    n
        Permutations wanted.
    seed
        Of the sample.

    Returns
    -------
    Orders (permutations x donors, for `Design.with_age_of`), the observed order never among them, and how many
    distinct permutations there are.

    """
    age = planned.matrix[:, planned.tested]
    strata = [
        np.flatnonzero(planned.donors["sex"].to_numpy() == sex) for sex in sorted(set(planned.donors["sex"]))
    ]
    possible = math.prod(_count_arrangements(age[stratum]) for stratum in strata) - 1
    if possible <= n:
        orders = list(_enumerate_orders(age, strata))
    else:
        orders = _sample_orders(age, strata, n=n, generator=np.random.default_rng(seed))
    return np.array(orders, dtype=int).reshape(len(orders), len(age)), possible


def run_null(
    prepared: fits.Prepared,
    *,
    cells: AnnData | None = None,
    n: int = 100,
    alpha: float = 0.05,
    fdr: float = 0.1,
    seed: int = 0,
) -> Null:
    """Run the donor-level test, and the one over cells, on permuted ages.

    Every permutation is a quasi-likelihood fit with gene-wise dispersions found anew. Genes, normalization and the
    common negative-binomial dispersion hardly depend on who is old, and are those of the observed ages.

    Parameters
    ----------
    prepared
        From `expression.prepare`.
    cells
        The same cell type and assay, cells x genes, for the naive test; skipped if none.
    n
        Permutations wanted; all distinct ones where they are fewer.
    alpha
        p-value below which a gene counts as a false positive.
    fdr
        q-value below which a gene counts as called.
    seed
        Of the sample of permutations.
    """
    planned = prepared.design
    orders, possible = permute_ages(planned, n=n, seed=seed)
    dispersion = expression.fit_age(prepared).dispersion
    permuted = (prepared.with_design(planned.with_age_of(order)) for order in orders)
    fits = [expression.fit_age(one, dispersion=dispersion).p for one in permuted]
    p_donors = np.array(fits).reshape(len(orders), len(prepared.genes))
    rows = _summarize(p_donors, DONORS, alpha=alpha, fdr=fdr)
    p_cells = None
    if cells is not None:
        p_cells = _test_cells(cells, planned, orders)
        rows += _summarize(p_cells, CELLS, alpha=alpha, fdr=fdr)
    summary = pl.DataFrame(rows, schema=schemas.NULL.empty().schema)
    return Null(
        summary=schemas.NULL.check(summary),
        p_donors=p_donors,
        p_cells=p_cells,
        genes=prepared.genes,
        possible=possible,
        complete=len(orders) == possible,
    )


def _test_cells(cells: AnnData, planned: design.Design, orders: np.ndarray) -> np.ndarray:
    codes, sums, ties = naive.rank_by_donor(cells)
    sizes = cells.obs[names.DONOR].astype(str).value_counts()[codes].to_numpy()
    group = dict(zip(planned.donors["donor"], range(len(planned.donors)), strict=True))
    positions = np.array([group[code] for code in codes])
    is_old = planned.donors["group"].to_numpy() == names.OLD
    labels = is_old[orders][:, positions] if len(orders) else np.zeros((0, len(codes)), dtype=bool)
    return naive.compare_donors(sums, ties, sizes, labels)


def _summarize(p: np.ndarray, test: str, *, alpha: float, fdr: float) -> list[dict]:
    return [
        {
            "permutation": number,
            "test": test,
            "genes": len(values),
            "false_positive_rate": float((values < alpha).mean()),
            "calls": int((fits.adjust(values) < fdr).sum()),
        }
        for number, values in enumerate(p)
    ]


def _count_arrangements(values: np.ndarray) -> int:
    repeats = math.prod(math.factorial(count) for count in Counter(values.tolist()).values())
    return math.factorial(len(values)) // repeats


def _enumerate_orders(age: np.ndarray, strata: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Give one order for each distinct arrangement of ages but the observed one."""
    for parts in product(*(_arrange(age[stratum]) for stratum in strata)):
        order = np.arange(len(age))
        for stratum, part in zip(strata, parts, strict=True):
            order[stratum] = stratum[list(part)]
        if not np.array_equal(age[order], age):
            yield order


def _arrange(values: np.ndarray) -> list[tuple[int, ...]]:
    """List one order for each distinct arrangement of the values."""
    if len(values) == 0:
        return [()]
    orders = []
    for value in np.unique(values):
        first = int(np.flatnonzero(values == value)[0])
        rest = np.delete(np.arange(len(values)), first)
        orders += [(first, *rest[list(order)]) for order in _arrange(values[rest])]
    return orders


def _sample_orders(
    age: np.ndarray, strata: list[np.ndarray], *, n: int, generator: np.random.Generator
) -> list[np.ndarray]:
    seen, orders = {tuple(age)}, []
    for _ in range(n * _MAX_TRIES):
        order = np.arange(len(age))
        for stratum in strata:
            order[stratum] = generator.permutation(stratum)
        arranged = tuple(age[order])
        if arranged not in seen:
            seen.add(arranged)
            orders.append(order)
        if len(orders) == n:
            break
    return orders
