"""A signature against its genes: random sets of the same size, and the signature without each of its genes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
from anndata import AnnData

from helpers import names
from helpers.analysis import signatures
from helpers.analysis.composition_design import choose_covariates, design_matrix
from helpers.analysis.signature_tests import COVARIATES

NULL_SCHEMA = {
    "signature": pl.String,
    "slope_per_decade": pl.Float64,
    "null_low": pl.Float64,
    "null_high": pl.Float64,
    "empirical_p": pl.Float64,
    "sets": pl.Int64,
}
WITHOUT_SCHEMA = {"signature": pl.String, "gene": pl.String, "slope_per_decade": pl.Float64}


def random_null(
    profiles: AnnData,
    sets: Mapping[str, Sequence[str]],
    *,
    cell_type: str,
    assay: str,
    n_random: int,
    seed: int = 0,
) -> pl.DataFrame:
    """Set each signature's slope beside those of random gene sets of like size and expression.

    A tissue-wide drift, a change of library size or of chemistry moves every set. Only a signature that moves more
    than random sets do says something of its own.

    Parameters
    ----------
    profiles
        Profiles x genes, molecules.
    sets
        Genes by signature.
    cell_type, assay
        Which profiles.
    n_random
        Random sets a signature; genes are drawn from the same tenth of mean expression.
    seed
        Of the draw.

    Returns
    -------
    polars.DataFrame
        signature, slope per decade (of the same model as `signature_tests.slopes`, so that band and estimate can be compared), central
        95 % of the null, empirical two-sided p (distance from the middle of the null, the observed one counted), number
        of random sets.
    """
    logs, people, labels = _one_type(profiles, cell_type, assay)
    gene_slopes = _gene_slopes(logs, people)
    if gene_slopes is None:
        return pl.DataFrame(schema=NULL_SCHEMA)
    bins = np.argsort(np.argsort(logs.mean(axis=0))) * 10 // logs.shape[1]
    members = [np.flatnonzero(bins == number) for number in range(10)]
    place = {gene: number for number, gene in enumerate(labels)}
    rng = np.random.default_rng(seed)
    rows = []
    for name, genes in sets.items():
        at = np.array([place[gene] for gene in genes if gene in place])
        if len(at) < signatures.MIN_GENES:
            continue
        draws = np.stack(
            [members[bins[gene]][rng.integers(0, len(members[bins[gene]]), n_random)] for gene in at]
        )
        null = gene_slopes[draws].mean(axis=0)
        found = float(gene_slopes[at].mean())
        middle = np.median(null)
        extreme = int((np.abs(null - middle) >= abs(found - middle) - 1e-12).sum())
        low, high = np.quantile(null, [0.025, 0.975])
        rows.append((name, found, float(low), float(high), (1 + extreme) / (1 + n_random), n_random))
    return pl.DataFrame(rows, schema=NULL_SCHEMA, orient="row").sort("empirical_p", "signature")


def without_one_gene(
    profiles: AnnData, sets: Mapping[str, Sequence[str]], *, cell_type: str, assay: str
) -> pl.DataFrame:
    """Return the slope of each signature, of the same model as `signature_tests.slopes`, with each of its genes left out in turn."""
    logs, people, labels = _one_type(profiles, cell_type, assay)
    found = _gene_slopes(logs, people)
    if found is None:
        return pl.DataFrame(schema=WITHOUT_SCHEMA)
    gene_slopes = dict(zip(labels, found, strict=True))
    rows = []
    for name, genes in sets.items():
        mine = {gene: gene_slopes[gene] for gene in genes if gene in gene_slopes}
        if len(mine) > signatures.MIN_GENES:
            total = sum(mine.values())
            rows += [(name, gene, (total - slope) / (len(mine) - 1)) for gene, slope in mine.items()]
    return pl.DataFrame(rows, schema=WITHOUT_SCHEMA, orient="row")


def _gene_slopes(logs: np.ndarray, people: pl.DataFrame) -> np.ndarray | None:
    """Return each gene's slope per decade, or none with too few donors or one age.

    A least-squares slope is linear in what is fitted: the slope of a score is the mean of its genes' slopes.
    """
    if people.height < 5 or people["age"].n_unique() < 2:
        return None
    kept = choose_covariates(people, COVARIATES, exposure="age")
    return np.linalg.pinv(design_matrix(people, exposure="age", covariates=kept))[-1] @ logs


def _one_type(profiles: AnnData, cell_type: str, assay: str) -> tuple[np.ndarray, pl.DataFrame, list[str]]:
    obs = profiles.obs
    here = (obs[names.LEVEL0].astype(str) == cell_type) & (obs[names.ASSAY].astype(str) == assay)
    ages = obs[names.EXACT_AGE].astype(float)
    if names.AGE_MIDPOINT in obs:
        ages = ages.fillna(obs[names.AGE_MIDPOINT].astype(float))
    rows = np.flatnonzero((here & ages.notna()).to_numpy())
    counts = sp.csr_matrix(profiles.X)[rows]
    if not len(rows):
        return np.empty((0, 0)), pl.DataFrame(schema={"age": pl.Float64}), []
    seen = np.flatnonzero(np.asarray(counts.mean(axis=0)).ravel() >= 5)
    logs = signatures.log_profiles(profiles[rows])[:, seen]
    people = pl.DataFrame(
        {names.DONOR: obs[names.DONOR].astype(str).to_numpy()[rows].tolist(), "age": ages.to_numpy()[rows]}
        | {
            column: [None if pd.isna(value) else str(value) for value in obs[column].to_numpy()[rows]]
            for column in COVARIATES
            if column in obs
        }
    )
    return logs, people, profiles.var_names[seen].to_list()
