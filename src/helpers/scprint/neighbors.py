"""Nearest neighbors of a few thousand cells, exact."""

import numpy as np


def nearest(points: np.ndarray, *, k: int, among: np.ndarray | None = None, rows: int = 512) -> np.ndarray:
    """Find the nearest neighbors by Euclidean distance.

    Parameters
    ----------
    points
        Cells x dimensions.
    k
        Neighbors a cell.
    among
        Cells to choose from; the points themselves, each without itself, if none.
    rows
        Cells handled at once.

    Returns
    -------
    numpy.ndarray
        Cells x k row numbers of `among`, nearest first.
    """
    pool = points if among is None else among
    pool = pool.astype(np.float32, copy=False)
    # centered: far from the origin single precision would round distances away
    middle = pool.mean(axis=0)
    pool = pool - middle
    length = (pool**2).sum(axis=1)
    k = min(k, len(pool) - (among is None))
    found = np.empty((len(points), k), np.int64)
    for first in range(0, len(points), rows):
        block = points[first : first + rows].astype(np.float32, copy=False) - middle
        apart = length[None, :] - 2 * (block @ pool.T)
        if among is None:
            here = np.arange(len(block))
            apart[here, first + here] = np.inf
        near = np.argpartition(apart, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(apart, near, axis=1), axis=1, kind="stable")
        found[first : first + rows] = np.take_along_axis(near, order, axis=1)
    return found
