"""The four maps of the cells: scVI-like, UMAP-like, t-SNE-like from the truth, PCA from the matrix itself."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from helpers import names
from helpers.kernels import njit
from helpers.simulate import cells, cohort
from helpers.simulate.planted import THREADS, generator

LATENT = len(names.PROJECTION_COLUMNS[names.SCVI])
COMPONENTS = len(names.PROJECTION_COLUMNS[names.PCA])
_OVERSAMPLE, _CHUNKS = 10, 8


def make_latent(frame: pl.DataFrame, *, seed: int) -> np.ndarray:
    """Return the scVI-like latent values: true label and own state; donor and assay are all but removed."""
    rng = generator(seed, "scvi")
    centers = {}
    for level0, level2, lineage in cohort.list_labels().select(names.LEVEL0, names.LEVEL2, "lineage").rows():
        steps = ((f"lineage {lineage}", 2.0), (f"type {level0}", 1.1), (f"subtype {level2}", 0.4))
        centers[level2] = sum(sd * generator(seed, "latent", key).normal(size=LATENT) for key, sd in steps)
    mean = np.stack([centers[label] for label in frame[cells.TRUE2]])
    partner = frame["partner"].to_numpy()
    double = partner >= 0
    mean[double] = (mean[double] + mean[partner[double]]) / 2
    donors = frame[names.DONOR].unique(maintain_order=True).to_list()
    left = {donor: 0.12 * generator(seed, "latent donor", donor).normal(size=LATENT) for donor in donors}
    mean += np.stack([left[donor] for donor in frame[names.DONOR]])
    return (0.35 * (mean + 0.6 * rng.normal(size=mean.shape))).astype(np.float32)


def make_plane(frame: pl.DataFrame, latent: np.ndarray, *, seed: int, key: str) -> np.ndarray:
    """Return a two-dimensional map whose islands are the true labels, shaped by the latent values.

    Lineages are placed on a ring, types around them, subtypes around those.
    """
    label, place, radius = frame[cells.TRUE2], {}, {}
    number = dict(label.value_counts().rows())
    lineages = cohort.list_types()["lineage"].unique(maintain_order=True).to_list()
    for level0, level2, lineage in cohort.list_labels().select(names.LEVEL0, names.LEVEL2, "lineage").rows():
        sector = lineages.index(lineage) + 0.3 * generator(seed, key, lineage).random()
        around = (generator(seed, key, name).random() for name in (f"0 {level0}", f"2 {level2}"))
        angles = 2 * np.pi * np.array([sector / len(lineages), *around])
        place[level2] = ([[9.0], [2.4], [0.9]] * np.c_[np.cos(angles), np.sin(angles)]).sum(axis=0)
        radius[level2] = 0.25 + 1.6 * np.sqrt(number.get(level2, 0) / len(frame))
    turn = generator(seed, key, "turn").normal(size=(LATENT, 2)) / np.sqrt(LATENT)
    centers = {name: latent[(label == name).to_numpy()].mean(axis=0) for name in number}
    own = (latent - np.stack([centers[name] for name in label])) @ turn / 0.21
    if key == "tsne":
        length = np.linalg.norm(own, axis=1, keepdims=True)
        own = own / np.maximum(length, 1e-9) * np.sqrt(1 - np.exp(-(length**2) / 2)) * 1.5
    scale = np.array([radius[name] for name in label])[:, None]
    flat = np.stack([place[name] for name in label]) + scale * own
    return (7.0 * flat if key == "tsne" else flat + 5.0).astype(np.float32)


@njit(cache=True, nogil=True, fastmath=True)
def _times(indptr, indices, data, first, last, dense, out):
    """Add the rows `first` to `last` of a CSR matrix times `dense` to `out`."""
    for row in range(first, last):
        for i in range(indptr[row], indptr[row + 1]):
            value, column = data[i], indices[i]
            for k in range(dense.shape[1]):
                out[row, k] += value * dense[column, k]


@njit(cache=True, nogil=True, fastmath=True)
def _times_transposed(indptr, indices, data, first, last, dense, out):
    """Add the transpose of the rows `first` to `last` times `dense` to `out`."""
    for row in range(first, last):
        for i in range(indptr[row], indptr[row + 1]):
            value, column = data[i], indices[i]
            for k in range(dense.shape[1]):
                out[column, k] += value * dense[row, k]


def fit_pca(x: sp.csr_matrix, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores (cells x 50), variances and their shares, by a randomized decomposition of all genes.

    Nothing is corrected: assay, chemistry and donor show, as in the release. Method: doi:10.1137/090771806.
    """
    n, parts = x.shape[0], (x.indptr, x.indices, x.data)
    mean = np.bincount(x.indices, x.data, x.shape[1]) / n
    # the centered matrix is multiplied in fixed chunks: the number of threads never changes a sum
    chunks = list(itertools.pairwise(np.linspace(0, n, _CHUNKS + 1).astype(np.int64)))

    def times(dense: np.ndarray) -> np.ndarray:
        out = np.zeros((n, dense.shape[1]), np.float32)
        small = np.ascontiguousarray(dense, np.float32)
        list(pool.map(lambda chunk: _times(*parts, *chunk, small, out), chunks))
        return out - (mean @ dense).astype(np.float32)

    def transposed(dense: np.ndarray) -> np.ndarray:
        out = np.zeros((_CHUNKS, x.shape[1], dense.shape[1]), np.float32)
        list(pool.map(lambda chunk, own: _times_transposed(*parts, *chunk, dense, own), chunks, out))
        return sum(map(np.float64, out)) - np.outer(mean, dense.sum(axis=0, dtype=np.float64))

    with threadpool_limits(1), ThreadPoolExecutor(THREADS) as pool:
        basis = generator(seed, "pca").normal(size=(x.shape[1], COMPONENTS + _OVERSAMPLE))
        for _ in range(2):
            basis = np.linalg.qr(transposed(times(basis)))[0]
        scores = times(basis)
        gram = np.einsum("ij,ik->jk", scores, scores, dtype=np.float64)
        value, vector = np.linalg.eigh(gram)
        order = np.argsort(value)[::-1][:COMPONENTS]
        vector = vector[:, order] * np.sign((basis @ vector[:, order]).sum(axis=0))
        variance = value[order] / (n - 1)
        total = np.einsum("i,i->", x.data, x.data, dtype=np.float64) - n * (mean**2).sum()
    return scores @ vector.astype(np.float32), variance, variance / (total / (n - 1))
