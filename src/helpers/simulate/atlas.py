"""A simulated atlas in memory: the same AnnData as the release, with its planted truth."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
from anndata import AnnData

from helpers import names
from helpers.errors import ParameterError
from helpers.simulate import cells, effects, genes, maps, matrix

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


def _observe(frame: pl.DataFrame, counts: sp.csr_matrix) -> pd.DataFrame:
    """Return the 16 columns of the sample metadata, with the quality columns computed from the counts."""
    symbols = genes.list_genes()[names.GENE]
    total = np.asarray(counts.sum(axis=1)).ravel().astype(np.float64)
    mito, ribo = (
        (100 * (counts @ symbols.str.contains(start).to_numpy()) / total).astype(np.float32)
        for start in ("^MT-", "^RP[LS]")
    )
    quality = (total.astype(np.float32), np.diff(counts.indptr).astype(np.int64), mito, ribo)
    computed = dict(zip(names.QUALITY_COLUMNS[:4], quality, strict=True))
    obs = frame.with_columns(**computed).select(names.SAMPLE_COLUMNS).to_pandas()
    obs.index = pd.Index(frame[names.BARCODE].to_list())
    return obs.astype(dict.fromkeys(names.LABEL_COLUMNS, "category"))


def _describe_genes(counts: sp.csr_matrix) -> pd.DataFrame:
    """Return the four columns of the feature metadata."""
    var = genes.list_genes().select(names.ENSEMBL, names.SYMBOL, names.GENE).to_pandas()
    var.insert(2, names.N_CELLS, counts.getnnz(axis=0))
    return var.rename(columns={names.GENE: names.GENE_IDS}).set_index(pd.Index(var[names.GENE].to_list()))


def simulate(*, scale: float = DEFAULT_SCALE, seed: int = DEFAULT_SEED) -> Simulation:
    """Simulate an atlas with its truth.

    Parameters
    ----------
    scale
        Share of the release's 183,161 cells; one gives exactly the published number of every label.
    seed
        Everything random follows from it: the same seed gives the same atlas, whatever the number of threads.
    """
    if not SMALLEST_SCALE <= scale <= 1:
        msg = f"scale {scale!r} is not a share of the release: give a number from {SMALLEST_SCALE} to 1."
        raise ParameterError(msg)
    means = {assay: genes.make_profiles(assay, seed=seed) for assay in (names.CELLS, names.NUCLEI)}
    age_effects = effects.list_age_effects(means, seed=seed)
    frame = cells.make_cells(scale=scale, seed=seed)
    counts = matrix.draw_counts(frame, means, age_effects, seed=seed)
    scored = cells.score_doublets(counts, frame[names.SAMPLE].to_numpy(), seed=seed)
    frame = frame.with_columns(pl.Series(names.DOUBLET_SCORE, scored))
    total = np.asarray(counts.sum(axis=1)).ravel()
    values = np.empty(counts.nnz, np.float32)
    matrix.log_normalize(counts.indptr, counts.data, total, values)
    x = sp.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)
    latent = maps.make_latent(frame, seed=seed)
    scores, variance, ratio = maps.fit_pca(x, seed=seed)
    obs, var = _observe(frame, counts), _describe_genes(counts)
    adata = AnnData(x, obs=obs, var=var, layers={names.COUNTS: counts})
    adata.obsm[names.SCVI] = latent
    adata.obsm[names.UMAP] = maps.make_plane(frame, latent, seed=seed, key="umap")
    adata.obsm[names.PCA] = scores
    adata.obsm[names.TSNE] = maps.make_plane(frame, latent, seed=seed, key="tsne")
    return Simulation(adata, frame, age_effects, variance, ratio, scale, seed)
