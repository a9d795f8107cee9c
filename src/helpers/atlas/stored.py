"""Matrices inside an h5ad, sparse or dense, read by rows and columns without the rest, and never trusted."""

from collections.abc import Iterator

import h5py
import numpy as np
import scipy.sparse as sp

from helpers.atlas import matrix
from helpers.errors import SourceError
from helpers.kernels import kernel

BLOCK_VALUES = 2**24  # stored values read at a time
SAMPLED = 200_000
AGAIN = "The file is damaged, or was written by a faulty program: fetch or write it again."
Piece = tuple[np.ndarray, np.ndarray, np.ndarray]


def kind_of(node: h5py.Dataset | h5py.Group) -> str:
    """Return ``csr``, ``csc`` or ``dense``; refuse what is none of these."""
    if isinstance(node, h5py.Dataset):
        if node.ndim == 2 and node.dtype.kind in "biuf":
            return "dense"
        raise _refuse(node, f"is no matrix of numbers, but {node.dtype} of shape {node.shape}")
    said = node.attrs.get("encoding-type", node.attrs.get("h5sparse_format", ""))
    said = said.decode() if isinstance(said, bytes) else str(said)
    absent = sorted({"data", "indices", "indptr"} - set(node))
    if said[:3] not in ("csr", "csc") or absent:
        lacks = ", ".join(absent) or "nothing"
        raise _refuse(node, f"is no matrix that can be read (encoding {said or 'unknown'!r}, lacks {lacks})")
    if node["data"].dtype.kind not in "biuf" or node["indices"].dtype.kind not in "iu":
        raise _refuse(node, f"holds {node['data'].dtype} at {node['indices'].dtype}, no numbers at places")
    return said[:3]


def matrices(group: h5py.Group | None, *, inside: str = "", depth: int = 4) -> Iterator[str]:
    """Give the names of the matrices of a group: a name with a slash is stored as a group in a group."""
    for name in group if isinstance(group, h5py.Group) and depth else ():
        node = group.get(name)  # none for a link to nowhere
        if isinstance(node, h5py.Dataset) or (
            node is not None and {"encoding-type", "h5sparse_format"} & set(node.attrs)
        ):
            yield f"{inside}{name}"
        elif node is not None:
            yield from matrices(node, inside=f"{inside}{name}/", depth=depth - 1)


def shape_of(node: h5py.Dataset | h5py.Group) -> tuple[int, int]:
    """Return rows, columns."""
    stated = node.attrs.get("shape", node.attrs.get("h5sparse_shape"))
    shape = node.shape if isinstance(node, h5py.Dataset) else stated
    return int(shape[0]), int(shape[1])


def count_values(node: h5py.Dataset | h5py.Group) -> int:
    """Return how many values are stored."""
    return int(np.prod(node.shape)) if isinstance(node, h5py.Dataset) else int(node["data"].shape[0])


def sample(node: h5py.Dataset | h5py.Group) -> np.ndarray:
    """Return values from the start, the middle and the end."""
    held, part = (node, max(1, SAMPLED // (3 * max(node.shape[1], 1)))) if isinstance(node, h5py.Dataset) else (
        node["data"], SAMPLED // 3,
    )  # fmt: skip
    starts = sorted({0, max(0, held.shape[0] // 2), max(0, held.shape[0] - part)})
    return np.concatenate([held[start : start + part].ravel() for start in starts])


def read_csr(
    node: h5py.Dataset | h5py.Group,
    rows: np.ndarray | None = None,
    places: np.ndarray | None = None,
    *,
    dtype: type = np.float32,
    log: bool = False,
) -> sp.csr_matrix:
    """Return rows and columns of a stored matrix as CSR, columns sorted, each value once, no zeros."""
    kind, shape = kind_of(node), shape_of(node)
    n_rows = shape[0] if rows is None else len(rows)
    n_columns = shape[1] if places is None else len(places)
    if kind == "dense":
        held = _stack(list(_dense_pieces(node, rows, places)), n_rows, n_columns, dtype)
    elif kind == "csc":
        held = _read_csc(node, rows, places, dtype)
    elif rows is None and places is None:
        held = _read_all(node, shape, dtype)
    else:
        held = _stack(list(_pieces(node, shape, rows, _lookup(places, shape[1]))), n_rows, n_columns, dtype)
    if held.nnz and not held.data.all():
        held.eliminate_zeros()
    if _disorder(held.indptr, held.indices):
        held.has_sorted_indices = False
        held.sort_indices()
        if _disorder(held.indptr, held.indices):
            _add_up(held, log=log)
    return held


def _add_up(held: sp.csr_matrix, *, log: bool) -> None:
    held.has_canonical_format = False
    if log:
        held.data = np.expm1(held.data)
    held.sum_duplicates()
    if log:
        held.data = np.log1p(held.data)


@kernel
def _disorder(indptr: np.ndarray, indices: np.ndarray) -> bool:
    """Tell whether a row has its columns out of order or one of them twice."""
    for row in range(indptr.size - 1):
        for i in range(indptr[row] + 1, indptr[row + 1]):
            if indices[i] <= indices[i - 1]:
                return True
    return False


def _starts(node: h5py.Group, n: int) -> np.ndarray:
    """Return where each row begins, int64, after checking that it can be so."""
    starts, size = node["indptr"][:].astype(np.int64), node["data"].shape[0]
    if starts.size != n + 1 or node["indices"].shape[0] != size:
        found = f"{starts.size:,} row starts, {node['indices'].shape[0]:,} places and {size:,} values"
        raise _refuse(node, f"has {found} for {n:,} rows")
    if starts[0] != 0 or starts[-1] != size or (np.diff(starts) < 0).any():
        raise _refuse(node, f"has row starts that fall or overshoot: they must rise from 0 to {size:,}")
    return starts


def _places(node: h5py.Group, first: int, last: int, n: int) -> np.ndarray:
    """Return the columns of the values from `first` to `last` after checking that there are such columns."""
    found = node["indices"][first:last]
    if found.size and (found.min() < 0 or found.max() >= n):
        wrong = int(found[np.argmax((found < 0) | (found >= n))])
        raise _refuse(node, f"has a value at place {wrong:,}, where there are only {n:,}")
    return found


def _read_all(node: h5py.Group, shape: tuple[int, int], dtype: type) -> sp.csr_matrix:
    starts = _starts(node, shape[0])
    size = int(starts[-1])
    data, indices = np.empty(size, dtype), np.empty(size, np.int32)
    for first in range(0, size, BLOCK_VALUES):
        last = min(first + BLOCK_VALUES, size)
        node["data"].read_direct(data, np.s_[first:last], np.s_[first:last])  # converts on the way
        indices[first:last] = _places(node, first, last, shape[1])
    small = size < np.iinfo(np.int32).max
    return matrix.csr(data, indices, starts.astype(np.int32 if small else np.int64), shape)


def _read_csc(
    node: h5py.Group, rows: np.ndarray | None, places: np.ndarray | None, dtype: type
) -> sp.csr_matrix:
    """Read the wanted columns; the rows of each are then chosen."""
    n_rows, n_columns = shape_of(node)
    wanted = np.arange(n_columns) if places is None else places
    order = np.argsort(wanted)
    lookup = _lookup(rows, n_rows)  # columns of CSC are rows of its transpose
    pieces = list(_pieces(node, (n_columns, n_rows), wanted[order], lookup))
    n_rows = n_rows if rows is None else len(rows)
    held = _stack(pieces, len(wanted), n_rows, dtype)
    turned = sp.csc_matrix((held.data, held.indices, held.indptr), shape=(n_rows, len(wanted)))
    return (turned if places is None else turned[:, np.argsort(order)]).tocsr()


def _lookup(places: np.ndarray | None, n: int) -> np.ndarray:
    if places is None:
        return np.arange(n, dtype=np.int32)
    lookup = np.full(n, -1, np.int32)
    lookup[places] = np.arange(len(places), dtype=np.int32)
    return lookup


@kernel
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


def _pieces(
    node: h5py.Group, shape: tuple[int, int], rows: np.ndarray | None, lookup: np.ndarray
) -> Iterator[Piece]:
    starts = _starts(node, shape[0])
    wanted = np.arange(shape[0]) if rows is None else np.asarray(rows)
    at = 0
    while at < len(wanted):
        first = starts[wanted[at]]
        stop = at + max(1, int(np.searchsorted(starts[wanted[at:] + 1], first + BLOCK_VALUES, side="right")))
        last = starts[wanted[stop - 1] + 1]
        data, indices = node["data"][first:last], _places(node, first, last, shape[1])
        begin, end = starts[wanted[at:stop]] - first, starts[wanted[at:stop] + 1] - first
        yield _pick(data, indices, begin, end, lookup)
        at = stop


def _dense_pieces(node: h5py.Dataset, rows: np.ndarray | None, places: np.ndarray | None) -> Iterator[Piece]:
    height = max(1, BLOCK_VALUES // max(node.shape[1], 1))
    for start in range(0, node.shape[0], height):
        stop = min(start + height, node.shape[0])
        inside = np.arange(start, stop) if rows is None else rows[(rows >= start) & (rows < stop)]
        if inside.size:
            block = node[start:stop][inside - start]
            held = sp.csr_matrix(block if places is None else block[:, places])
            yield held.data, held.indices, np.diff(held.indptr).astype(np.int64)


def _stack(pieces: list[Piece], n_rows: int, n_columns: int, dtype: type) -> sp.csr_matrix:
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


def _refuse(node: h5py.Dataset | h5py.Group, why: str) -> SourceError:
    return SourceError(f"{node.file.filename}: {node.name} {why}. {AGAIN}")
