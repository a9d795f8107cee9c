"""A doublet score from expression, as Scrublet makes it: how many of a cell's neighbors are made-up doublets.

Method: Wolock, Lopez and Klein (2019), doi:10.1016/j.cels.2018.11.005. Each library by itself, on its most variable
genes; one made-up doublet a cell.
"""

import numpy as np
import scipy.sparse as sp
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from helpers.simulate.planted import generator

GENES, COMPONENTS = 800, 20
EXPECTED = 0.06  # share of doublets that Scrublet assumes when it is told nothing
_LEAST = 10  # cells from which neighbors mean anything


def score(counts: sp.csr_matrix, library: np.ndarray, *, seed: int) -> np.ndarray:
    """Return a score in 0 to 1 for every cell: about the chance that it is a doublet of two unlike cells.

    Counts are cells x genes; cells of one library stand together.
    """
    found = np.zeros(counts.shape[0])
    start = np.flatnonzero(np.r_[True, library[1:] != library[:-1]])
    with threadpool_limits(1):  # sums in one order: the same seed gives the same bytes
        for first, last in zip(start, np.r_[start[1:], len(library)], strict=True):
            if last - first >= _LEAST:
                rng = generator(seed, "scrublet", str(library[first]))
                found[first:last] = _score_library(counts[first:last], rng)
    return found


def _score_library(counts: sp.csr_matrix, rng: np.random.Generator) -> np.ndarray:
    n = counts.shape[0]
    total = np.asarray(counts.sum(axis=1), np.float64).ravel()
    mean = np.asarray(counts.sum(axis=0), np.float64).ravel() / n
    squares = np.asarray(counts.astype(np.float64).power(2).sum(axis=0)).ravel() / n
    # variance beyond what counting gives, over the mean; rare genes last
    excess = (squares - mean**2 - mean) / np.maximum(mean, 1e-9) * (mean > 3 / n)
    chosen = np.sort(np.argsort(-excess, kind="stable")[:GENES])
    dense = counts[:, chosen].toarray().astype(np.float64)
    one, other = rng.integers(0, n, n), rng.integers(0, n, n)
    size = np.median(total)
    cells = np.log1p(dense / total[:, None] * size)
    doublets = np.log1p((dense[one] + dense[other]) / (total[one] + total[other])[:, None] * size)
    center, spread = cells.mean(axis=0), cells.std(axis=0) + 1e-9
    cells, doublets = (cells - center) / spread, (doublets - center) / spread
    vector = np.linalg.eigh(cells.T @ cells)[1][:, -min(COMPONENTS, n - 1) :]
    place = np.r_[cells @ vector, doublets @ vector]
    wanted = round(0.5 * np.sqrt(n)) * 2
    near = NearestNeighbors(n_neighbors=min(wanted, len(place) - 1), algorithm="brute").fit(place)
    neighbors = near.kneighbors(place[:n], return_distance=False)[:, 1:]
    share = ((neighbors >= n).sum(axis=1) + 1) / (neighbors.shape[1] + 2)
    return share * EXPECTED / (1 - EXPECTED - share * (1 - EXPECTED - EXPECTED))
