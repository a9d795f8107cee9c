"""Variances of genes over chosen cells, without a copy of the matrix."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

_BLOCK = 8_192  # cells at a time


def variances(matrix: sp.csr_matrix, groups: Sequence[np.ndarray] | None = None) -> np.ndarray:
    """Return the variance of every column over each group of rows, summed block by block in double precision.

    Parameters
    ----------
    matrix
        Cells x genes.
    groups
        Row numbers of each group; groups may share rows. All rows are one group if none.

    Returns
    -------
    numpy.ndarray
        Groups x genes.

    Examples
    --------
    >>> variances(sp.csr_matrix([[1.0, 0], [3, 0], [5, 6]]), [np.array([0, 1]), np.array([1, 2])]).tolist()
    [[1.0, 0.0], [1.0, 9.0]]
    """
    rows = [np.arange(matrix.shape[0])] if groups is None else groups
    member = np.zeros((len(rows), matrix.shape[0]), dtype=bool)
    for number, group in enumerate(rows):
        member[number, group] = True
    sums, squares = np.zeros((2, len(rows), matrix.shape[1]))
    for start in range(0, matrix.shape[0], _BLOCK):
        block = sp.csr_matrix(matrix[start : start + _BLOCK])
        here = member[:, start : start + _BLOCK].astype(np.float64)
        values = block.data.astype(np.float64)
        shape = (block.indices, block.indptr)
        sums += here @ sp.csr_matrix((values, *shape), shape=block.shape)
        squares += here @ sp.csr_matrix((values**2, *shape), shape=block.shape)
    n = np.maximum(member.sum(axis=1), 1)[:, None]
    return np.maximum(squares / n - (sums / n) ** 2, 0)


def most_variable(variance: np.ndarray, top: int) -> np.ndarray:
    """Return the places of the `top` largest variances, in ascending order of place."""
    top = min(top, len(variance))
    return np.sort(np.argpartition(-variance, top - 1)[:top])
