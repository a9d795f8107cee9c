"""Genes that change with age, tested on donors: edgePython's quasi-likelihood behind the project's tables.

The only file that knows edgepython: genes x samples, dictionaries and R-style names end here.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import edgepython as ep
import numpy as np
import polars as pl
from anndata import AnnData
from edgepython import glm_kernels
from scipy import stats

from helpers import names
from helpers.analysis import design, schemas
from helpers.errors import DesignError, TableError

_LOGGER = logging.getLogger(__name__)
_MIN_GENES = 50  # the variance prior is estimated over genes; below this it is not worth the name


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

    def with_design(self, other: design.Design) -> Self:
        """Return the same molecules under another design, such as permuted ages."""
        return replace(self, design=other)

    @property
    def log2_cpm(self) -> np.ndarray:
        """Donors x genes: log2 counts per million after normalization, half a molecule added."""
        return np.log2((self.counts + 0.5) / (self.effective + 1) * 1e6).T


@dataclass(frozen=True)
class Fit:
    """What one quasi-likelihood fit says about age, one value a gene, log2 units."""

    change: np.ndarray
    standard_error: np.ndarray
    df: np.ndarray
    F: np.ndarray
    p: np.ndarray
    mean_log2_cpm: np.ndarray


def prepare(
    profiles: AnnData,
    *,
    cell_type: str,
    assay: str,
    level: str = names.LEVEL0,
    comparison: design.Comparison | None = None,
    min_count: float = 10,
) -> Prepared:
    """Choose the donors and genes of one test, and normalize.

    Parameters
    ----------
    profiles
        From `pseudobulk.sum_by_donor`, one profile a donor, assay and cell type.
    cell_type, assay, level
        Which profiles: ``level`` is the column that holds ``cell_type``.
    comparison
        How age enters, and which donors do.
    min_count
        Molecules, in a profile of median size, that a gene must reach in as many donors as the smaller age group
        has, and in half of all (filterByExpr [1]_).

    Raises
    ------
    DesignError
        If the donors are too few, or hardly any gene is expressed.
    TableError
        If the cell type or the assay is not among the profiles.

    References
    ----------
    .. [1] Chen, Lun and Smyth (2016), F1000Research, doi:10.12688/f1000research.8987.2
    """
    chosen = choose_profiles(profiles, cell_type=cell_type, assay=assay, level=level)
    what = f"{cell_type} in {assay}"
    planned = design.build(chosen.obs, comparison, what=what)
    counts = np.asarray(chosen.X[planned.rows].todense(), dtype=np.float64).T
    _refuse_empty(counts, planned, what)
    kept = ep.filter_by_expr(counts, min_count=min_count, min_sample_size=_find_smallest_group(planned))
    if kept.sum() < _MIN_GENES:
        msg = (
            f"{what}: only {int(kept.sum())} genes reach {min_count:g} molecules in enough of "
            f"{counts.shape[1]} donors, {_MIN_GENES} are needed. Choose a more common cell type or a coarser level."
        )
        raise DesignError(msg)
    counts = np.ascontiguousarray(counts[kept])
    _refuse_empty(counts, planned, what)
    # zeros are many in profiles of few cells: TMM with singleton pairing was made for those
    factors = ep.calc_norm_factors(counts, method="TMMwsp")
    return Prepared(
        counts=counts,
        genes=chosen.var_names.to_numpy(dtype=object)[kept],
        effective=counts.sum(axis=0) * factors,
        design=planned,
        level=level,
        cell_type=cell_type,
        assay=assay,
    )


def fit_age(prepared: Prepared) -> Fit:
    """Fit the quasi-likelihood model and test age.

    The F test is edgeR's [1]_, in which a common negative-binomial dispersion carries the molecules and a gene-wise
    quasi-dispersion, moderated over genes, the differences between donors. The standard error is the one that
    makes the t interval and the F test agree: the change over the root of F.

    Parameters
    ----------
    prepared
        From `prepare`.

    References
    ----------
    .. [1] Lun, Chen and Smyth (2016), doi:10.1007/978-1-4939-3578-9_19
    """
    _warn_of_compilation()
    planned = prepared.design
    offset = np.broadcast_to(np.log(prepared.effective), prepared.counts.shape)
    # robust: one donor far out must not widen the prior of all genes
    fit = ep.glm_ql_fit(prepared.counts, design=planned.matrix, offset=offset, robust=True)
    test = ep.glm_ql_ftest(fit, coef=planned.tested)
    table = test["table"]
    change = table["logFC"].to_numpy(float)
    f_value = table["F"].to_numpy(float)
    df = np.broadcast_to(np.asarray(test["df.total"], dtype=float), change.shape)
    wald = _find_wald_error(fit, planned)
    with np.errstate(divide="ignore", invalid="ignore"):
        from_f = np.abs(change) / np.sqrt(f_value)
    # near zero both numbers vanish and their ratio is noise; there the curvature of the fit serves
    error = np.where(f_value > 0.1, from_f, wald)
    return Fit(
        change, error, df.copy(), f_value, table["PValue"].to_numpy(float), table["logCPM"].to_numpy(float)
    )


def age_de(
    profiles: AnnData,
    *,
    cell_type: str,
    assay: str,
    level: str = names.LEVEL0,
    comparison: design.Comparison | None = None,
    min_count: float = 10,
) -> pl.DataFrame:
    """Test every expressed gene of one cell type and assay for a change with age, donors as units.

    Parameters
    ----------
    profiles, cell_type, assay, level, comparison, min_count
        As in `prepare`.

    Returns
    -------
    Table `schemas.AGE_DE`, smallest p first.

    Raises
    ------
    DesignError
        If the donors are too few; the message says how many of what are missing.
    """
    prepared = prepare(
        profiles, cell_type=cell_type, assay=assay, level=level, comparison=comparison, min_count=min_count
    )
    return tabulate(prepared, fit_age(prepared))


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


def _find_smallest_group(planned: design.Design) -> int:
    # The leverage of the design, filterByExpr's own choice, lets genes pass that two of seven donors have: in
    # simulated atlases their p-values below 1e-4 were 20 times too many (doublets, ambient molecules of one donor).
    groups = planned.donors["group"].value_counts()
    young_and_old = [int(groups.get(group, 0)) for group in (names.YOUNG, names.OLD)]
    return max(min(young_and_old), -(-len(planned.donors) // 2))


def _refuse_empty(counts: np.ndarray, planned: design.Design, what: str) -> None:
    empty = planned.donors["donor"].to_numpy()[counts.sum(axis=0) == 0]
    if len(empty):
        msg = f"{what}: donor(s) {', '.join(empty)} have no molecule of a tested gene. Raise min_cells to leave them out."
        raise DesignError(msg)


def _find_wald_error(fit: dict, planned: design.Design) -> np.ndarray:
    """Take the standard error of the age coefficient, in log2, from the curvature of the quasi-likelihood."""
    scale = np.asarray(fit["average.ql.dispersion"], dtype=float)
    dispersion = np.reshape(np.asarray(fit["dispersion"], dtype=float) / scale, (-1, 1))
    mean = np.asarray(fit["fitted.values"], dtype=float)
    weights = mean / (1 + dispersion * mean)
    x = planned.matrix
    information = np.einsum("gn,ni,nj->gij", np.maximum(weights, 1e-10), x, x)
    covariance = np.linalg.inv(information)[:, planned.tested, planned.tested]
    return np.sqrt(covariance * np.asarray(fit["s2.post"], dtype=float)) / np.log(2)


def _warn_of_compilation() -> None:
    """Say that the first fit on a machine compiles: half a minute without a word looks like a hang."""
    cache = getattr(getattr(glm_kernels.fit_one_group_mat, "_cache", None), "cache_path", None)
    if cache is not None and not any(Path(cache).glob("glm_kernels.*.nbi")):
        _LOGGER.warning("The first fit on this machine compiles edgePython: about half a minute, once.")
