"""A simulated atlas in memory: the same AnnData as the release, with its planted truth."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
from anndata import AnnData

from helpers import names
from helpers.errors import ParameterError
from helpers.simulate import cells, donors, doublets, effects, genes, maps, matrix, profiles, sampling
from helpers.simulate.planted import DEFAULT, Planted

DEFAULT_SCALE, DEFAULT_SEED = 0.08, 1
SMALLEST_SCALE = 0.001


@dataclass(frozen=True)
class Simulation:
    """Everything one simulation made: the atlas, the cells with their truth, the planted effects."""

    adata: AnnData
    cells: pl.DataFrame
    age_effects: pl.DataFrame
    variance: np.ndarray
    variance_ratio: np.ndarray
    scale: float
    seed: int
    planted: Planted = DEFAULT


def list_libraries() -> pl.DataFrame:
    """Return the libraries with the exact age and sex of their donors."""
    people = donors.list_donors().select(names.DONOR, names.EXACT_AGE, names.SEX, names.AGE_BIN)
    return donors.list_libraries().join(people, on=names.DONOR, maintain_order="left")


def _observe(frame: pl.DataFrame, counts: sp.csr_matrix) -> pd.DataFrame:
    """Return the 16 columns of the sample metadata, with the quality columns computed from the counts."""
    table = genes.list_genes()
    total = np.asarray(counts.sum(axis=1)).ravel().astype(np.float64)
    frame = frame.with_columns(
        pl.Series(names.N_COUNTS, total.astype(np.float32)),
        pl.Series(names.N_GENES, np.diff(counts.indptr).astype(np.int64)),
        *(
            pl.Series(
                name,
                100 * np.asarray(counts @ table[names.GENE].str.contains(start).to_numpy()).ravel() / total,
            )
            for name, start in ((names.PERCENT_MITO, "^MT-"), (names.PERCENT_RIBO, "^RP[LS]"))
        ),
    )
    obs = frame.select(names.SAMPLE_COLUMNS).to_pandas()
    obs.index = pd.Index(frame[names.BARCODE].to_list())
    for column in names.LABEL_COLUMNS:
        obs[column] = pd.Categorical(obs[column])
    for column in (names.PERCENT_MITO, names.PERCENT_RIBO):
        obs[column] = obs[column].astype(np.float32)
    return obs


def _describe_genes(counts: sp.csr_matrix) -> pd.DataFrame:
    """Return the four columns of the feature metadata."""
    table = genes.list_genes()
    var = pd.DataFrame(
        {
            names.ENSEMBL: table[names.ENSEMBL].to_list(),
            names.SYMBOL: table[names.SYMBOL].to_list(),
            names.N_CELLS: maps.sum_columns(counts.indices, counts.data, counts.shape[1])[1],
            names.GENE_IDS: table[names.GENE].to_list(),
        }
    )
    var.index = pd.Index(table[names.GENE].to_list())
    return var


def simulate(
    *,
    scale: float = DEFAULT_SCALE,
    seed: int = DEFAULT_SEED,
    threads: int = 2,
    planted: Planted = DEFAULT,
) -> Simulation:
    """Simulate an atlas with its truth.

    Parameters
    ----------
    scale
        Share of the release's 183,161 cells; one gives exactly the published number of every label.
    seed
        Everything random follows from it: the same seed gives the same atlas, whatever the number of threads.
    threads
        Threads that draw molecules.
    planted
        What is planted beside types and ages, and how strongly.

    Raises
    ------
    ParameterError
        If `scale` is not a share.
    """
    if not SMALLEST_SCALE <= scale <= 1:
        msg = f"scale {scale!r} is not a share of the release: give a number from {SMALLEST_SCALE} to 1."
        raise ParameterError(msg)
    means = {assay: profiles.make_profiles(assay, seed=seed) for assay in (names.CELLS, names.NUCLEI)}
    age_effects = effects.list_age_effects(means, seed=seed, planted=planted)
    frame = cells.make_cells(scale=scale, seed=seed, planted=planted)
    plan = matrix.Plan(means, age_effects, seed, planted)
    counts = matrix.draw_counts(frame, list_libraries(), plan=plan, threads=threads)
    scored = doublets.score(counts, frame[names.SAMPLE].to_numpy(), seed=seed)
    frame = frame.with_columns(pl.Series(names.DOUBLET_SCORE, scored))
    total = np.asarray(counts.sum(axis=1)).ravel()
    values = np.empty(counts.nnz, np.float32)
    sampling.log_normalize(counts.indptr, counts.data, total, values)
    x = sp.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)
    latent = maps.make_latent(frame, seed=seed)
    scores, variance, ratio = maps.fit_pca(x, seed=seed, threads=threads)
    adata = AnnData(
        x, obs=_observe(frame, counts), var=_describe_genes(counts), layers={names.COUNTS: counts}
    )
    adata.obsm[names.SCVI] = latent
    adata.obsm[names.UMAP] = maps.make_plane(frame, latent, seed=seed, key="umap")
    adata.obsm[names.PCA] = scores
    adata.obsm[names.TSNE] = maps.make_plane(frame, latent, seed=seed, key="tsne")
    return Simulation(adata, frame, age_effects, variance, ratio, scale, seed, planted)


def build(*, scale: float = DEFAULT_SCALE, seed: int = DEFAULT_SEED) -> AnnData:
    """Return a simulated atlas: X log-normalized, layer of counts, 16 columns, four maps. See `simulate`."""
    return simulate(scale=scale, seed=seed).adata
