"""Inside an h5ad: matrices of others, read in part and never trusted, and our own converted copy, never stale, never half."""

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import filelock
import h5py
import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from helpers import files, names
from helpers.atlas import matrix
from helpers.atlas.matrix import Chosen
from helpers.errors import SourceError

logger = logging.getLogger(__name__)

BLOCK_VALUES = 2**24  # stored values read at a time
SAMPLED = 200_000
Node = h5py.Dataset | h5py.Group
FORMAT = "1"  # of the converted copy; another number makes all older ones stale
KEY = "musclebook_key"
SPARE = 2**28  # bytes to leave free on the disk
WAIT = 900  # seconds that a second process waits for the first to convert


def kind_of(node: Node) -> str:
    """Return ``csr``, ``csc`` or ``dense``; refuse what is none of these."""
    if isinstance(node, h5py.Dataset):
        if node.ndim == 2 and node.dtype.kind in "biuf":
            return "dense"
        raise _refuse(node, f"is no matrix of numbers, but {node.dtype} of shape {node.shape}")
    said = node.attrs.get("encoding-type", "")
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
        if isinstance(node, h5py.Dataset) or (node is not None and "encoding-type" in node.attrs):
            yield f"{inside}{name}"
        elif node is not None:
            yield from matrices(node, inside=f"{inside}{name}/", depth=depth - 1)


def shape_of(node: Node) -> tuple[int, int]:
    """Return rows, columns."""
    shape = node.shape if isinstance(node, h5py.Dataset) else node.attrs.get("shape")
    return int(shape[0]), int(shape[1])


def sample(node: Node) -> np.ndarray:
    """Return values from the start, the middle and the end."""
    dense = isinstance(node, h5py.Dataset)
    held = node if dense else node["data"]
    part = max(1, SAMPLED // 3 // max(node.shape[1] if dense else 1, 1))
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
    again = "The file is damaged, or was written by a faulty program: fetch or write it again."
    return SourceError(f"{node.file.filename}: {node.name} {why}. {again}")


def find_copy(folder: Path, key: str) -> Path | None:
    """Return the converted file of a release whose content has this hash, or none; damaged ones are not used."""
    return next((path for path in _places(folder, key) if path.is_file() and _whole(path, key)), None)


@contextmanager
def converting(key: str) -> Iterator[None]:
    """Hold the right to convert a release: a second process waits and then finds the file."""
    folder = files.cache_folder() / "locks"
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(filelock.FileLock(folder / f"{key[:16]}.lock", timeout=WAIT))
        except (OSError, filelock.Timeout) as problem:
            logger.info("converting without a lock: %s", problem)
        yield


def store_copy(folder: Path, key: str, adata: AnnData, *, simulation: dict | None) -> None:
    """Write the converted file where there is room and leave, else not at all."""
    for path in _places(folder, key):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.require_room(path, int(_bytes_of(adata) * 1.2) + SPARE)
            write(path, adata, key=key, simulation=simulation)
        except OSError as problem:
            logger.info("the converted atlas cannot be kept as %s: %s", path, problem)
            continue
        for other in folder.glob(f"{names.STEM}.converted-*.h5ad") if path.parent == folder else ():
            if other != path:  # made from an older state of the same release
                with suppress(OSError):
                    other.unlink()
        return


def write(path: Path, adata: AnnData, *, key: str, simulation: dict | None) -> None:
    """Write an AnnData as an uncompressed h5ad, whole or not at all; counts share the index arrays of `X`."""
    bare = AnnData(adata.X, obs=adata.obs, var=adata.var, obsm=dict(adata.obsm), uns=dict(adata.uns))
    files.drop_leftovers(path)
    with files.writing(path) as part:
        # HDF5 may crash the process later if a disk fills under it
        files.require_room(path, _bytes_of(adata))
        bare.write_h5ad(part)
        with h5py.File(part, "a") as file:
            if names.COUNTS in adata.layers:
                _write_counts(file, adata.layers[names.COUNTS], adata.X)
            if simulation is not None:
                file.attrs[names.SIMULATION] = json.dumps(simulation)
            file.attrs[KEY] = f"{FORMAT}:{key}"  # last: a file without it is not whole


def read_copy(
    path: Path, rows: Chosen, places: Chosen, *, counts: bool
) -> tuple[sp.csr_matrix, sp.csr_matrix | None]:
    """Return values and counts of a file that `find_copy` gave: cells ascending, genes in the order wanted, none for all."""
    with h5py.File(path, "r") as file:
        values = read_csr(file["X"], rows, places)
        if not counts:
            return values, None
        group = file[f"layers/{names.COUNTS}"]
        if rows is None and places is None:
            data = np.empty(group["data"].shape, np.int32)
            if data.size:
                group["data"].read_direct(data)
            return values, matrix.csr(data, values.indices, values.indptr, values.shape)
        return values, read_csr(group, rows, places, dtype=np.int32)


def _places(folder: Path, key: str) -> list[Path]:
    """Return where the converted copy may be: beside the release first."""
    name = f"{names.STEM}.converted-{key[:16]}.h5ad"
    return [folder / name, files.cache_folder() / "converted" / name]


def _whole(path: Path, key: str) -> bool:
    try:
        with h5py.File(path, "r") as file:
            same = file.attrs.get(KEY) == f"{FORMAT}:{key}"
            values, counted = file["X/data"], file[f"layers/{names.COUNTS}/data"]
            return bool(same and values.shape == counted.shape and file["X/indptr"][-1] == values.shape[0])
    except (OSError, KeyError) as problem:
        logger.warning("%s is not used: %s", path, problem)
        return False


def _write_counts(file: h5py.File, held: sp.csr_matrix, values: sp.csr_matrix) -> None:
    group = file.require_group("layers").create_group(names.COUNTS)
    group.attrs.update(file["X"].attrs)
    group.create_dataset("data", data=held.data)
    shared = np.shares_memory(held.indices, values.indices)
    for part in ("indices", "indptr"):  # shared: a hard link, the same array under a second name
        group[part] = file["X"][part] if shared else getattr(held, part)


def _bytes_of(adata: AnnData) -> int:
    held = adata.X.data.nbytes * 3 + adata.X.indptr.nbytes + 500 * adata.n_obs + 200 * adata.n_vars
    return int(held + sum(value.nbytes for value in adata.obsm.values()))
