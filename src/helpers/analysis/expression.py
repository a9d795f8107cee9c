"""Genes that change with age, tested on donors: edgePython's quasi-likelihood behind the project's tables.

The only file that knows edgepython: genes x samples, dictionaries and R-style names end here.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import edgepython as ep
import numpy as np
import polars as pl
from anndata import AnnData
from edgepython import glm_kernels

from helpers import names
from helpers.analysis import design
from helpers.analysis.fits import Fit, Prepared, choose_profiles, tabulate
from helpers.errors import DesignError

_LOGGER = logging.getLogger(__name__)
# Moderation takes the variances of genes for draws of a scaled inverse chi-square. Where they spread more unevenly the
# prior is too sure of itself: on permuted ages of four simulated atlases p-values below 1e-4 came 1.5 times too often,
# and calls at a rate of 10 % were false in 12 % of cases on average over cell types. With three quarters of the prior
# degrees of freedom the tail is at its level (0.98) and 5 % below 0.05 remain 4.4 %; half of them would be too few.
_PRIOR_TRUST = 0.75
_MIN_GENES = 50  # the variance prior is estimated over genes; below this it is not worth the name


def prepare(
    profiles: AnnData,
    *,
    cell_type: str,
    assay: str,
    level: str = names.LEVEL0,
    comparison: design.Comparison | None = None,
    min_count: float = 10,
    genes: Sequence[str] | None = None,
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
    genes
        Genes to test whatever their expression, in place of that filter.

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
    kept = None if genes is None else chosen.var_names.isin(list(genes))
    kept = _choose_genes(counts, planned, kept=kept, min_count=min_count, what=what)
    others = counts[~kept]
    counts = np.ascontiguousarray(counts[kept])
    _refuse_empty(counts, planned, what)
    # zeros are many in profiles of few cells: TMM with singleton pairing was made for those
    factors = ep.calc_norm_factors(counts, method="TMMwsp")
    return Prepared(
        counts=counts,
        genes=chosen.var_names.to_numpy(dtype=object)[kept],
        other_counts=others,
        other_genes=chosen.var_names.to_numpy(dtype=object)[~kept],
        effective=counts.sum(axis=0) * factors,
        design=planned,
        level=level,
        cell_type=cell_type,
        assay=assay,
    )


def fit_age(prepared: Prepared, *, dispersion: float | None = None) -> Fit:
    """Fit the quasi-likelihood model and test age.

    The F test is edgeR's [1]_ but for a prior that is trusted a little less: a common negative-binomial dispersion
    carries the molecules and a gene-wise quasi-dispersion, moderated over genes, the differences between donors. The
    standard error is the one that
    makes the t interval and the F test agree: the change over the root of F.

    Parameters
    ----------
    prepared
        From `prepare`.
    dispersion
        Common negative-binomial dispersion of an earlier fit of the same molecules; estimated if none, which takes
        most of the time. The gene-wise quasi-dispersions are always estimated.

    References
    ----------
    .. [1] Lun, Chen and Smyth (2016), doi:10.1007/978-1-4939-3578-9_19
    """
    _warn_of_compilation()
    planned = prepared.design
    offset = np.broadcast_to(np.log(prepared.effective), prepared.counts.shape)
    # robust: one donor far out must not widen the prior of all genes
    fit = ep.glm_ql_fit(
        prepared.counts, design=planned.matrix, offset=offset, robust=True, dispersion=dispersion
    )
    _moderate_less(fit)
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
        change=change,
        standard_error=error,
        df=df.copy(),
        F=f_value,
        p=table["PValue"].to_numpy(float),
        mean_log2_cpm=table["logCPM"].to_numpy(float),
        dispersion=float(np.mean(fit["dispersion"])),
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


def _choose_genes(
    counts: np.ndarray, planned: design.Design, *, kept: np.ndarray | None, min_count: float, what: str
) -> np.ndarray:
    """Return which genes are tested: the given ones, else those expressed in enough donors; refuse too few."""
    if kept is None:
        kept = ep.filter_by_expr(counts, min_count=min_count, min_sample_size=_find_smallest_group(planned))
    if kept.sum() < _MIN_GENES:
        msg = (
            f"{what}: only {int(kept.sum())} genes reach {min_count:g} molecules in enough of "
            f"{counts.shape[1]} donors, {_MIN_GENES} are needed. Choose a more common cell type or a coarser level."
        )
        raise DesignError(msg)
    return kept


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


def _moderate_less(fit: dict) -> None:
    """Take `_PRIOR_TRUST` of the prior degrees of freedom and moderate the quasi-dispersions anew."""
    residual = np.asarray(fit["df.residual.adj"], dtype=float)
    prior, center, moderated = (
        np.broadcast_to(np.asarray(fit[key], dtype=float), residual.shape)
        for key in ("df.prior", "s2.prior", "s2.post")
    )
    finite = np.isfinite(prior)
    trusted = np.where(finite, _PRIOR_TRUST * np.where(finite, prior, 0), prior)
    with np.errstate(invalid="ignore", divide="ignore"):
        # residual x own variance, taken back out of the moderated one
        own = np.maximum(moderated * (prior + residual) - prior * center, 0)
        fit["s2.post"] = np.where(finite, (trusted * center + own) / (trusted + residual), moderated)
    fit["df.prior"] = trusted


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
