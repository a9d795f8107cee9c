"""What goes into a test across age of one cell type, and what comes out of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import polars as pl
from anndata import AnnData
from scipy import stats

from helpers import names
from helpers.analysis import design, schemas
from helpers.errors import TableError


@dataclass(frozen=True)
class Prepared:
    """Molecules of one cell type and assay, filtered and normalized, with the design of the test."""

    counts: np.ndarray  # genes x donors, float64
    genes: np.ndarray  # symbols
    effective: np.ndarray  # effective library size of each donor: molecules x TMM factor
    design: design.Design
    level: str
    cell_type: str
    assay: str
    other_counts: np.ndarray  # genes x donors: genes too rare for a test of their own
    other_genes: np.ndarray

    def with_design(self, other: design.Design) -> Self:
        """Return the same molecules under another design, such as permuted ages."""
        return replace(self, design=other)

    @property
    def log2_cpm(self) -> np.ndarray:
        """Donors x genes: log2 counts per million after normalization, half a molecule added."""
        return _to_log2_cpm(self.counts, self.effective)

    def find(self, genes: Sequence[str], *, min_mean: float = 1) -> tuple[list[str], np.ndarray]:
        """Return the expressed ones of some genes, and their log2 counts per million (donors x genes).

        Parameters
        ----------
        genes
            Symbols; those not measured are left out.
        min_mean
            Molecules that a profile must hold on average.
        """
        counts = np.concatenate([self.counts, self.other_counts])
        symbols = np.concatenate([self.genes, self.other_genes]).astype(str)
        wanted = np.isin(symbols, list(genes)) & (counts.mean(axis=1) >= min_mean)
        return symbols[wanted].tolist(), _to_log2_cpm(counts[wanted], self.effective)


@dataclass(frozen=True)
class Fit:
    """What one quasi-likelihood fit says about age, one value a gene, log2 units."""

    change: np.ndarray
    standard_error: np.ndarray
    df: np.ndarray
    F: np.ndarray
    p: np.ndarray
    mean_log2_cpm: np.ndarray
    dispersion: float  # negative-binomial, common to all genes


def tabulate(prepared: Prepared, fit: Fit) -> pl.DataFrame:
    """Write a fit as table `schemas.AGE_DE`, smallest p first.

    Parameters
    ----------
    prepared, fit
        From `prepare` and `fit_age`.
    """
    reach = stats.t.isf(0.025, fit.df) * fit.standard_error
    table = pl.DataFrame(
        {
            "level": prepared.level,
            "cell_type": prepared.cell_type,
            "assay": prepared.assay,
            "gene": prepared.genes.astype(str),
            "per": prepared.design.per,
            "log2_change": fit.change,
            "low": fit.change - reach,
            "high": fit.change + reach,
            "standard_error": fit.standard_error,
            "df": fit.df,
            "F": fit.F,
            "p": fit.p,
            "q": adjust(fit.p),
            "mean_log2_cpm": fit.mean_log2_cpm,
            "donors_expressing": (prepared.counts > 0).sum(axis=1).astype(np.int64),
            "donors": pl.Series([prepared.counts.shape[1]] * len(fit.p), dtype=pl.Int64),
        }
    )
    return schemas.AGE_DE.check(table).sort("p", "gene")


def adjust(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Adjust p-values by Benjamini and Hochberg (1995), doi:10.1111/j.2517-6161.1995.tb02031.x.

    Parameters
    ----------
    p
        P-values, none missing.

    Examples
    --------
    >>> adjust([0.01, 0.02, 0.03]).round(3).tolist()
    [0.03, 0.03, 0.03]
    """
    return stats.false_discovery_control(np.asarray(p, dtype=float)) if len(p) else np.zeros(0)


def choose_profiles(profiles: AnnData, *, cell_type: str, assay: str, level: str) -> AnnData:
    """Choose the profiles of one cell type and assay.

    Parameters
    ----------
    profiles, cell_type, assay, level
        As in `prepare`.
    """
    for column, value in ((level, cell_type), (names.ASSAY, assay)):
        if column not in profiles.obs.columns:
            msg = f"profiles lack column {column!r}; sum cells by {names.PROFILE} with the level asked for."
            raise TableError(msg)
        known = sorted(profiles.obs[column].astype(str).unique())
        if value not in known:
            msg = f"no profile has {column} {value!r}; there are {', '.join(known) or 'no profiles at all'}."
            raise TableError(msg)
    chosen = (profiles.obs[level].astype(str) == cell_type) & (profiles.obs[names.ASSAY].astype(str) == assay)
    return profiles[chosen.to_numpy()]


def _to_log2_cpm(counts: np.ndarray, effective: np.ndarray) -> np.ndarray:
    return np.log2((counts + 0.5) / (effective + 1) * 1e6).T
