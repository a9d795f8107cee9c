"""Words that enter and leave sentences with age, tested over donors."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse, stats

from helpers.sentences.ranking import Ranked
from helpers.sentences.words import presence

CHANGES_SCHEMA = {
    "word": pl.String,
    "change_per_decade": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "p": pl.Float64,
    "q": pl.Float64,
    "share_of_cells": pl.Float64,
    "donors": pl.Int64,
}


@dataclass(frozen=True)
class Group:
    """Cells of one type and assay, and the donors among them that have enough cells."""

    label: str | None
    assay: str | None
    donors: tuple[str, ...]
    rows: np.ndarray

    @property
    def title(self) -> str:
        """Name for captions and sentences."""
        if self.label is None:
            return "no cell type"
        return self.label if self.assay is None else f"{self.label}, {self.assay}"


def choose_group(cells: pl.DataFrame, *, min_cells: int = 20) -> Group:
    """Return the type and assay with the most donors of known age, then the most cells.

    Parameters
    ----------
    cells
        From `words.about_cells`.
    min_cells
        Cells that a donor needs.
    """
    known = cells.with_row_index("row").drop_nulls(["donor", "age", "label"])
    counted = known.group_by("label", "assay", "donor").len().filter(pl.col("len") >= min_cells)
    groups = (
        counted.group_by("label", "assay")
        .agg(pl.len().alias("donors"), pl.col("len").sum().alias("cells"), pl.col("donor").sort())
        .sort("donors", "cells", "label", descending=[True, True, False])
    )
    if groups.is_empty():
        return Group(None, None, (), np.zeros(0, np.int64))
    best = groups.row(0, named=True)
    rows = known.filter(
        pl.col("label") == best["label"],
        pl.col("assay").eq_missing(best["assay"]),
        pl.col("donor").is_in(best["donor"]),
    )["row"]
    return Group(best["label"], best["assay"], tuple(best["donor"]), rows.to_numpy())


def changes(
    ranked: Ranked, cells: pl.DataFrame, group: Group, *, top: int, min_share: float = 0.05
) -> pl.DataFrame:
    """Return the words that enter or leave the sentences of a type with age, tested over donors.

    For each donor, the share of cells whose first `top` words hold the word; a straight line of the shares on age,
    donors weighing the same; t interval with the donors' degrees of freedom; Benjamini and Hochberg's q [1]_.

    Parameters
    ----------
    ranked
        Sentences.
    cells
        From `words.about_cells`.
    group
        From `choose_group`.
    top
        First words looked at.
    min_share
        Words that fewer cells of every donor have are left out.

    References
    ----------
    .. [1] Benjamini and Hochberg (1995), doi:10.1111/j.2517-6161.1995.tb02031.x
    """
    shares, years = donor_shares(ranked, cells, group, top=top)
    usable = (
        np.flatnonzero((shares >= min_share).any(axis=0) & (np.ptp(shares, axis=0) > 0)) if len(years) else []
    )
    if len(years) < 4 or np.ptp(years) == 0 or not len(usable):
        return pl.DataFrame(schema=CHANGES_SCHEMA)
    slope, error = _lines(shares[:, usable], years)
    free = len(years) - 2
    with np.errstate(divide="ignore"):
        p = 2 * stats.t.sf(np.abs(slope / error), free)
    reach = stats.t.ppf(0.975, free) * error
    return pl.DataFrame(
        {
            "word": [ranked.vocabulary.words[i] for i in usable],
            "change_per_decade": slope,
            "lower": slope - reach,
            "upper": slope + reach,
            "p": p,
            "q": stats.false_discovery_control(p),
            "share_of_cells": shares[:, usable].mean(axis=0),
            "donors": np.full(len(usable), len(years)),
        },
        schema=CHANGES_SCHEMA,
    ).sort("p", "word")


def permute(
    ranked: Ranked, cells: pl.DataFrame, group: Group, *, top: int, n_permutations: int = 200, seed: int = 0
) -> np.ndarray:
    """Return how many words have p below 0.001 when ages are dealt anew to the donors, one number a deal.

    Parameters
    ----------
    ranked, cells, group, top
        As for `changes`.
    n_permutations
        Deals.
    seed
        Of the deals.
    """
    shares, years = donor_shares(ranked, cells, group, top=top)
    if len(years) < 4 or np.ptp(years) == 0:
        return np.zeros(0, np.int64)
    usable = (shares >= 0.05).any(axis=0) & (np.ptp(shares, axis=0) > 0)
    rng = np.random.default_rng(seed)
    limit = stats.t.isf(0.0005, len(years) - 2)
    counts = []
    for _ in range(n_permutations):
        slope, error = _lines(shares[:, usable], rng.permutation(years))
        with np.errstate(divide="ignore"):
            counts.append(int((np.abs(slope / error) > limit).sum()))
    return np.array(counts)


def donor_shares(
    ranked: Ranked, cells: pl.DataFrame, group: Group, *, top: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of a donor's cells that have each word, donors x words, and the donors' ages in years."""
    part = cells[group.rows]
    numbers = {donor: i for i, donor in enumerate(group.donors)}
    code = np.array([numbers[donor] for donor in part["donor"]], dtype=np.int64)
    spread = sparse.csr_matrix(
        (np.ones(len(code)), (code, np.arange(len(code)))), shape=(len(numbers), len(code))
    )
    sums = np.asarray((spread @ presence(ranked.take(group.rows), top=top)).todense())
    years = part.group_by("donor").agg(pl.col("age").mean()).sort("donor")["age"].to_numpy()
    return sums / np.maximum(np.bincount(code, minlength=len(numbers)), 1)[:, None], years


def _lines(shares: np.ndarray, years: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x = (years - years.mean()) / 10
    y = shares - shares.mean(axis=0)
    slope = x @ y / (x @ x)
    left = ((y - np.outer(x, slope)) ** 2).sum(axis=0)
    return slope, np.sqrt(left / (len(x) - 2) / (x @ x))
