"""Matrices inside an h5ad, sparse or dense, read by rows and columns without the rest, and never trusted."""

from collections.abc import Iterator

import h5py
import numpy as np
import scipy.sparse as sp

from helpers.errors import SourceError

BLOCK_VALUES = 2**24  # stored values read at a time
SAMPLED = 200_000
AGAIN = "The file is damaged, or was written by a faulty program: fetch or write it again."


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


def sample(node: h5py.Dataset | h5py.Group) -> np.ndarray:
    """Return values from the start, the middle and the end."""
    held, part = node, SAMPLED // 3
    if isinstance(node, h5py.Dataset):
        part = max(1, part // max(node.shape[1], 1))
    else:
        held = node["data"]
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
    """Return rows (ascending) and columns of a stored matrix as CSR, columns sorted, each value once, no zeros."""
    kind, shape = kind_of(node), shape_of(node)
    if kind == "csr" and rows is None and places is None:
        held = _read_all(node, shape, dtype)
    elif kind == "csc":  # its columns are rows of the transpose, and read in their own order
        wanted = np.arange(shape[1]) if places is None else places
        order = np.argsort(wanted)
        turned = _stack(_blocks(node, shape[::-1], wanted[order], dtype), len(wanted), rows, shape[0], dtype)
        held = (turned if places is None else turned[np.argsort(order)]).T.tocsr()
    else:
        wanted = np.arange(shape[0]) if rows is None else np.asarray(rows)
        blocks = (_dense_blocks if kind == "dense" else _blocks)(node, shape, wanted, dtype)
        held = _stack(blocks, len(wanted), places, shape[1], dtype)
    if held.nnz and not held.data.all():
        held.eliminate_zeros()
    held.sort_indices()
    if not held.has_canonical_format:  # a value in two parts: they are added before the logarithm
        held.data = np.expm1(held.data) if log else held.data
        held.sum_duplicates()
        held.data = np.log1p(held.data) if log else held.data
    return held


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
    """Read a whole matrix into its own arrays: no copy is made of it."""
    starts = _starts(node, shape[0])
    size = int(starts[-1])
    data, indices = np.empty(size, dtype), np.empty(size, np.int32)
    for first in range(0, size, BLOCK_VALUES):
        last = min(first + BLOCK_VALUES, size)
        node["data"].read_direct(data, np.s_[first:last], np.s_[first:last])  # converts on the way
        indices[first:last] = _places(node, first, last, shape[1])
    return sp.csr_matrix((data, indices, starts), shape=shape)


def _blocks(
    node: h5py.Group, shape: tuple[int, int], wanted: np.ndarray, dtype: type
) -> Iterator[sp.csr_matrix]:
    """Give the wanted rows, ascending, a block of stored values at a time."""
    starts = _starts(node, shape[0])
    at = 0
    while at < len(wanted):
        first = starts[wanted[at]]
        stop = at + max(1, int(np.searchsorted(starts[wanted[at:] + 1], first + BLOCK_VALUES, side="right")))
        begin, end = wanted[at], wanted[stop - 1] + 1
        places = _places(node, first, starts[end], shape[1]).astype(np.int32)
        values = node["data"][first : starts[end]].astype(dtype)
        block = sp.csr_matrix(
            (values, places, starts[begin : end + 1] - first), shape=(end - begin, shape[1])
        )
        yield block[wanted[at:stop] - begin]
        at = stop


def _dense_blocks(
    node: h5py.Dataset, shape: tuple[int, int], wanted: np.ndarray, dtype: type
) -> Iterator[sp.csr_matrix]:
    height = max(1, BLOCK_VALUES // max(shape[1], 1))
    for start in range(0, shape[0], height):
        inside = wanted[(wanted >= start) & (wanted < start + height)]
        if inside.size:
            yield sp.csr_matrix(node[start : start + height][inside - start].astype(dtype))


def _stack(
    blocks: Iterator[sp.csr_matrix], n_rows: int, places: np.ndarray | None, width: int, dtype: type
) -> sp.csr_matrix:
    chosen = [block if places is None else block[:, places] for block in blocks]
    width = width if places is None else len(places)
    return sp.vstack(chosen, format="csr") if chosen else sp.csr_matrix((n_rows, width), dtype=dtype)


def _refuse(node: h5py.Dataset | h5py.Group, why: str) -> SourceError:
    return SourceError(f"{node.file.filename}: {node.name} {why}. {AGAIN}")
