"""Matrices inside an h5ad, sparse or dense, read by rows and columns without the rest, and never trusted."""

from collections.abc import Iterator

import h5py
import numpy as np
import scipy.sparse as sp

from helpers.errors import SourceError

BLOCK_VALUES = 2**24  # stored values read at a time
SAMPLED = 200_000
Node = h5py.Dataset | h5py.Group
Chosen = np.ndarray | None  # numbers of rows or columns; none for all
AGAIN = "The file is damaged, or was written by a faulty program: fetch or write it again."


def kind_of(node: Node) -> str:
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
        encoded = node is not None and {"encoding-type", "h5sparse_format"} & set(node.attrs)
        if encoded or isinstance(node, h5py.Dataset):
            yield f"{inside}{name}"
        elif node is not None:
            yield from matrices(node, inside=f"{inside}{name}/", depth=depth - 1)


def shape_of(node: Node) -> tuple[int, int]:
    """Return rows, columns."""
    stated = node.attrs.get("shape", node.attrs.get("h5sparse_shape"))
    shape = node.shape if isinstance(node, h5py.Dataset) else stated
    return int(shape[0]), int(shape[1])


def sample(node: Node) -> np.ndarray:
    """Return values from the start, the middle and the end."""
    dense = isinstance(node, h5py.Dataset)
    held, part = node if dense else node["data"], SAMPLED // 3
    part = max(1, part // max(node.shape[1], 1)) if dense else part
    starts = sorted({0, max(0, held.shape[0] // 2), max(0, held.shape[0] - part)})
    return np.concatenate([held[start : start + part].ravel() for start in starts])


def read_csr(
    node: Node, rows: Chosen = None, places: Chosen = None, *, dtype: type = np.float32, log: bool = False
) -> sp.csr_matrix:
    """Return rows (ascending) and columns of a stored matrix as CSR, columns sorted, each value once, no zeros."""
    shape = shape_of(node)
    if kind_of(node) == "csc":  # its columns are rows of the transpose, and read in their own order
        wanted = np.arange(shape[1]) if places is None else places
        order = np.argsort(wanted)
        turned = _read(node, shape[::-1], wanted[order], rows, dtype)
        held = turned[np.argsort(order)].T.tocsr()
    else:
        held = _read(node, shape, rows, places, dtype)
    if held.nnz and not held.data.all():
        held.eliminate_zeros()
    held.sort_indices()
    if not held.has_canonical_format:  # a value in two parts: they are added before the logarithm
        held.data = np.expm1(held.data) if log else held.data
        held.sum_duplicates()
        held.data = np.log1p(held.data) if log else held.data
    return held


def _read(node: Node, shape: tuple[int, int], rows: Chosen, places: Chosen, dtype: type) -> sp.csr_matrix:
    """Read ascending rows a block at a time, and keep of each block what is wanted; a whole matrix is one block."""
    dense = isinstance(node, h5py.Dataset)
    starts = np.arange(shape[0] + 1) * shape[1] if dense else _starts(node, shape[0])
    wanted = np.arange(shape[0]) if rows is None else rows
    most = starts[-1] if rows is None and places is None and not dense else BLOCK_VALUES
    blocks, first = [], 0
    while first < shape[0]:
        stop = max(first + 1, int(np.searchsorted(starts, starts[first] + most, side="right")) - 1)
        inside = wanted[(wanted >= first) & (wanted < stop)] - first
        if inside.size:
            block = node[first:stop] if dense else _block(node, starts[first : stop + 1], shape[1])
            block = sp.csr_matrix(block, dtype=dtype)
            block = block if len(inside) == stop - first else block[inside]
            blocks.append(block if places is None else block[:, places])
        first = stop
    if not blocks:
        return sp.csr_matrix((len(wanted), shape[1] if places is None else len(places)), dtype=dtype)
    return blocks[0] if len(blocks) == 1 else sp.vstack(blocks, format="csr")


def _starts(node: h5py.Group, n: int) -> np.ndarray:
    """Return where each row begins, int64."""
    starts, size = node["indptr"][:].astype(np.int64), node["data"].shape[0]
    if starts.size != n + 1 or node["indices"].shape[0] != size or starts[0] != 0 or starts[-1] != size:
        found = f"{starts.size:,} row starts, {node['indices'].shape[0]:,} places and {size:,} values"
        raise _refuse(node, f"has {found} for {n:,} rows, which do not fit together")
    return starts


def _block(node: h5py.Group, starts: np.ndarray, width: int) -> sp.csr_matrix:
    """Return consecutive rows once it is sure that their values stand where there are columns."""
    first, last = starts[0], starts[-1]
    arrays = node["data"][first:last], node["indices"][first:last], starts - first
    try:
        block = sp.csr_matrix(arrays, shape=(len(starts) - 1, width))
        block.check_format(full_check=True)
    except ValueError as problem:
        raise _refuse(node, f"is damaged: {problem}") from problem
    return block


def _refuse(node: Node, why: str) -> SourceError:
    return SourceError(f"{node.file.filename}: {node.name} {why}. {AGAIN}")
