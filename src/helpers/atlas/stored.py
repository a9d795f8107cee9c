"""Matrices inside an h5ad, sparse or dense, read by rows and columns without the rest."""

from collections.abc import Iterator

import h5py
import numba as nb
import numpy as np
import scipy.sparse as sp

from helpers.atlas import matrix
from helpers.errors import SourceError

BLOCK_VALUES = 2**24  # stored values read at a time
SAMPLED = 200_000


def kind_of(node: h5py.Dataset | h5py.Group) -> str:
    """Return ``csr``, ``csc`` or ``dense``.

    Raises
    ------
    SourceError
        If the node is none of these.
    """
    if isinstance(node, h5py.Dataset):
        if node.ndim == 2 and node.dtype.kind in "biuf":
            return "dense"
        msg = (
            f"{node.file.filename}: {node.name} is no matrix of numbers, but {node.dtype} of shape {node.shape}. Write "
            f"the file again with a recent anndata."
        )
        raise SourceError(msg)
    said = node.attrs.get("encoding-type", node.attrs.get("h5sparse_format", ""))
    said = said.decode() if isinstance(said, bytes) else str(said)
    parts = {"data", "indices", "indptr"} - set(node)
    if said[:3] in ("csr", "csc") and not parts:
        return said[:3]
    msg = (
        f"{node.file.filename}: {node.name} is no matrix that can be read (encoding {said or 'unknown'!r}, lacks "
        f"{', '.join(sorted(parts)) or 'nothing'}). Write the file again with a recent anndata."
    )
    raise SourceError(msg)


def shape_of(node: h5py.Dataset | h5py.Group) -> tuple[int, int]:
    """Return rows, columns."""
    shape = (
        node.shape
        if isinstance(node, h5py.Dataset)
        else node.attrs.get("shape", node.attrs.get("h5sparse_shape"))
    )
    return int(shape[0]), int(shape[1])


def count_values(node: h5py.Dataset | h5py.Group) -> int:
    """Return how many values are stored."""
    return int(np.prod(node.shape)) if isinstance(node, h5py.Dataset) else int(node["data"].shape[0])


def sample(node: h5py.Dataset | h5py.Group) -> np.ndarray:
    """Return values from the start, the middle and the end."""
    if isinstance(node, h5py.Dataset):
        rows = max(1, SAMPLED // (3 * max(node.shape[1], 1)))
        starts = {0, max(0, node.shape[0] // 2), max(0, node.shape[0] - rows)}
        return np.concatenate([node[start : start + rows].ravel() for start in sorted(starts)])
    data, part = node["data"], SAMPLED // 3
    starts = {0, max(0, data.shape[0] // 2), max(0, data.shape[0] - part)}
    return np.concatenate([data[start : start + part] for start in sorted(starts)])


def read_csr(
    node: h5py.Dataset | h5py.Group,
    rows: np.ndarray | None = None,
    places: np.ndarray | None = None,
    *,
    dtype: type = np.float32,
    clean: bool = True,
) -> sp.csr_matrix:
    """Return rows and columns of a stored matrix as CSR.

    Parameters
    ----------
    node
        Group of a sparse matrix, or dataset of a dense one.
    rows, places
        Rows in ascending order and columns in the order wanted, each once; none for all.
    dtype
        Type of the values returned.
    clean
        Whether to drop stored zeros and sort columns; not needed for files of our own.
    """
    kind = kind_of(node)
    shape = shape_of(node)
    n_rows = shape[0] if rows is None else len(rows)
    n_columns = shape[1] if places is None else len(places)
    if kind == "csr" and rows is None and places is None:
        held = _read_all(node, shape, dtype)
    elif kind == "csc":
        held = _read_csc(node, rows, places, dtype)
    else:
        lookup = _lookup(places, shape[1])
        pieces = _csr_pieces(node, rows, lookup) if kind == "csr" else _dense_pieces(node, rows, places)
        held = _stack(list(pieces), n_rows, n_columns, dtype)
    if clean or places is not None:
        if held.nnz and not held.data.all():
            held.eliminate_zeros()
        held.has_sorted_indices = False
        held.sort_indices()
    return held


def _read_all(node: h5py.Group, shape: tuple[int, int], dtype: type) -> sp.csr_matrix:
    indptr = node["indptr"][:]
    small = indptr[-1] < np.iinfo(np.int32).max
    parts = []
    for name, wanted in (("data", dtype), ("indices", np.int32)):
        held = np.empty(node[name].shape, wanted)
        if held.size:
            node[name].read_direct(held)  # converts on the way, without a second array
        parts.append(held)
    return matrix.csr(parts[0], parts[1], indptr.astype(np.int32 if small else np.int64), shape)


def _read_csc(
    node: h5py.Group, rows: np.ndarray | None, places: np.ndarray | None, dtype: type
) -> sp.csr_matrix:
    """Read the wanted columns; the rows of each are then chosen."""
    shape = shape_of(node)
    lookup = _lookup(rows, shape[0])
    wanted = np.arange(shape[1]) if places is None else places
    order = np.argsort(wanted)
    pieces = list(_csr_pieces(node, wanted[order], lookup))  # columns of CSC are rows of its transpose
    n_rows = shape[0] if rows is None else len(rows)
    held = _stack(pieces, len(wanted), n_rows, dtype)
    turned = sp.csc_matrix((held.data, held.indices, held.indptr), shape=(n_rows, len(wanted)))
    if places is not None:
        turned = turned[:, np.argsort(order)]
    return turned.tocsr()


def _lookup(places: np.ndarray | None, n: int) -> np.ndarray:
    if places is None:
        return np.arange(n, dtype=np.int32)
    lookup = np.full(n, -1, np.int32)
    lookup[places] = np.arange(len(places), dtype=np.int32)
    return lookup


@nb.njit(nogil=True, cache=True)
def _pick(
    data: np.ndarray, indices: np.ndarray, starts: np.ndarray, stops: np.ndarray, lookup: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values, new columns and lengths of the rows between `starts` and `stops`."""
    lengths = np.zeros(starts.size, np.int64)
    for row in range(starts.size):
        for i in range(starts[row], stops[row]):
            lengths[row] += lookup[indices[i]] >= 0
    total = lengths.sum()
    values, columns = np.empty(total, data.dtype), np.empty(total, np.int32)
    at = 0
    for row in range(starts.size):
        for i in range(starts[row], stops[row]):
            column = lookup[indices[i]]
            if column >= 0:
                values[at] = data[i]
                columns[at] = column
                at += 1
    return values, columns, lengths


def _csr_pieces(
    node: h5py.Group, rows: np.ndarray | None, lookup: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    indptr = node["indptr"][:].astype(np.int64)
    wanted = np.arange(indptr.size - 1) if rows is None else np.asarray(rows)
    at = 0
    while at < len(wanted):
        first = indptr[wanted[at]]
        stop = at + max(1, int(np.searchsorted(indptr[wanted[at:] + 1], first + BLOCK_VALUES, side="right")))
        last = indptr[wanted[stop - 1] + 1]
        data, indices = node["data"][first:last], node["indices"][first:last]
        yield _pick(
            data, indices, indptr[wanted[at:stop]] - first, indptr[wanted[at:stop] + 1] - first, lookup
        )
        at = stop


def _dense_pieces(
    node: h5py.Dataset, rows: np.ndarray | None, places: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    height = max(1, BLOCK_VALUES // max(node.shape[1], 1))
    for start in range(0, node.shape[0], height):
        stop = min(start + height, node.shape[0])
        inside = np.arange(start, stop) if rows is None else rows[(rows >= start) & (rows < stop)]
        if not inside.size:
            continue
        block = node[start:stop][inside - start]
        held = sp.csr_matrix(block if places is None else block[:, places])
        yield held.data, held.indices, np.diff(held.indptr).astype(np.int64)


def _stack(
    pieces: list[tuple[np.ndarray, np.ndarray, np.ndarray]], n_rows: int, n_columns: int, dtype: type
) -> sp.csr_matrix:
    lengths = np.concatenate([piece[2] for piece in pieces]) if pieces else np.zeros(n_rows, np.int64)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    data, indices = np.empty(indptr[-1], dtype), np.empty(indptr[-1], np.int32)
    at = 0
    for values, columns, _ in pieces:
        data[at : at + values.size], indices[at : at + values.size] = values, columns
        at += values.size
    if at < np.iinfo(np.int32).max:
        indptr = indptr.astype(np.int32)
    return matrix.csr(data, indices, indptr, (n_rows, n_columns))
