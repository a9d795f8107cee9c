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


def _centers(seed: int) -> dict[str, np.ndarray]:
    """Return the latent center of each finest label: lineage, type and subtype add up."""
    place = {}
    for level0, level2, lineage in cohort.list_labels().select(names.LEVEL0, names.LEVEL2, "lineage").rows():
        steps = ((f"lineage {lineage}", 2.0), (f"type {level0}", 1.1), (f"subtype {level2}", 0.4))
        place[level2] = sum(sd * generator(seed, "latent", key).normal(size=LATENT) for key, sd in steps)
    return place


def make_latent(frame: pl.DataFrame, *, seed: int) -> np.ndarray:
    """Return the scVI-like latent values: true label and own state; donor and assay are all but removed."""
    rng = generator(seed, "scvi")
    centers = _centers(seed)
    mean = np.stack([centers[label] for label in frame[cells.TRUE2]])
    partner = frame["partner"].to_numpy()
    double = partner >= 0
    mean[double] = (mean[double] + mean[partner[double]]) / 2
    donors = frame[names.DONOR].unique(maintain_order=True).to_list()
    left = {donor: 0.12 * generator(seed, "latent donor", donor).normal(size=LATENT) for donor in donors}
    mean += np.stack([left[donor] for donor in frame[names.DONOR]])
    return (0.35 * (mean + 0.6 * rng.normal(size=mean.shape))).astype(np.float32)


def _islands(frame: pl.DataFrame, *, seed: int, key: str) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Place every finest label in the plane: lineages on a ring, types around them, subtypes around those."""
    number = dict(frame[cells.TRUE2].value_counts().rows())
    lineages = cohort.list_types()["lineage"].unique(maintain_order=True).to_list()
    place, radius = {}, {}
    for level0, level2, lineage in cohort.list_labels().select(names.LEVEL0, names.LEVEL2, "lineage").rows():
        sector = lineages.index(lineage) + 0.3 * generator(seed, key, lineage).random()
        center = 9.0 * _unit(2 * np.pi * sector / len(lineages))
        center = center + 2.4 * _unit(2 * np.pi * generator(seed, key, f"0 {level0}").random())
        place[level2] = center + 0.9 * _unit(2 * np.pi * generator(seed, key, f"2 {level2}").random())
        radius[level2] = 0.25 + 1.6 * np.sqrt(number.get(level2, 0) / len(frame))
    return place, radius


def _unit(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle)])


def make_plane(frame: pl.DataFrame, latent: np.ndarray, *, seed: int, key: str) -> np.ndarray:
    """Return a two-dimensional map whose islands are the true labels, shaped by the latent values."""
    place, radius = _islands(frame, seed=seed, key=key)
    label = frame[cells.TRUE2].to_list()
    turn = generator(seed, key, "turn").normal(size=(LATENT, 2)) / np.sqrt(LATENT)
    centers = {name: latent[(frame[cells.TRUE2] == name).to_numpy()].mean(axis=0) for name in set(label)}
    own = (latent - np.stack([centers[name] for name in label])) @ turn / 0.21
    if key == "tsne":
        length = np.linalg.norm(own, axis=1, keepdims=True)
        own = own / np.maximum(length, 1e-9) * np.sqrt(1 - np.exp(-(length**2) / 2)) * 1.5
    scale = np.array([radius[name] for name in label])[:, None]
    flat = np.stack([place[name] for name in label]) + scale * own
    return (flat * (7.0 if key == "tsne" else 1.0) + (0.0 if key == "tsne" else 5.0)).astype(np.float32)


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


class _Centered:
    """A CSR matrix with its column means taken off, multiplied in fixed chunks: threads never change a sum."""

    def __init__(self, x: sp.csr_matrix) -> None:
        self.x = x
        self.mean = np.bincount(x.indices, x.data, x.shape[1]) / x.shape[0]
        edges = np.linspace(0, x.shape[0], _CHUNKS + 1).astype(np.int64)
        self.chunks = list(itertools.pairwise(edges))

    def times(self, dense: np.ndarray) -> np.ndarray:
        """Return the centered matrix times `dense`."""
        out = np.zeros((self.x.shape[0], dense.shape[1]), np.float32)
        small = np.ascontiguousarray(dense, np.float32)
        with ThreadPoolExecutor(THREADS) as pool:
            parts = (self.x.indptr, self.x.indices, self.x.data)
            list(pool.map(lambda c: _times(*parts, *c, small, out), self.chunks))
        return out - (self.mean @ dense).astype(np.float32)

    def transposed(self, dense: np.ndarray) -> np.ndarray:
        """Return the transpose of the centered matrix times `dense`."""

        def part(chunk: tuple[int, int]) -> np.ndarray:
            out = np.zeros((self.x.shape[1], dense.shape[1]), np.float32)
            _times_transposed(self.x.indptr, self.x.indices, self.x.data, *chunk, dense, out)
            return out

        with ThreadPoolExecutor(THREADS) as pool:
            total = sum(np.float64(piece) for piece in pool.map(part, self.chunks))
        return total - np.outer(self.mean, dense.sum(axis=0, dtype=np.float64))


def fit_pca(x: sp.csr_matrix, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores (cells x 50), variances and their shares, by a randomized decomposition of all genes.

    Nothing is corrected: assay, chemistry and donor show, as in the release. Method: doi:10.1137/090771806.
    """
    matrix = _Centered(x)
    with threadpool_limits(1):
        basis = generator(seed, "pca").normal(size=(x.shape[1], COMPONENTS + _OVERSAMPLE))
        for _ in range(2):
            basis = np.linalg.qr(matrix.transposed(matrix.times(basis)))[0]
        scores = matrix.times(basis)
        gram = np.einsum("ij,ik->jk", scores, scores, dtype=np.float64)
        value, vector = np.linalg.eigh(gram)
        order = np.argsort(value)[::-1][:COMPONENTS]
        vector = vector[:, order] * np.sign((basis @ vector[:, order]).sum(axis=0))
        variance = value[order] / (x.shape[0] - 1)
        total = np.einsum("i,i->", x.data, x.data, dtype=np.float64) - x.shape[0] * (matrix.mean**2).sum()
    return scores @ vector.astype(np.float32), variance, variance / (total / (x.shape[0] - 1))
