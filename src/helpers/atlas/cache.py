"""The converted atlas: one h5ad beside the release or in the cache folder, never stale, never half."""

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
from helpers.atlas import matrix, stored
from helpers.atlas.stored import Chosen

logger = logging.getLogger(__name__)

FORMAT = "1"  # of the converted file; another number makes all older ones stale
KEY = "musclebook_key"
SPARE = 2**28  # bytes to leave free on the disk
WAIT = 900  # seconds that a second process waits for the first to convert


def find(folder: Path, key: str) -> Path | None:
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


def store(folder: Path, key: str, adata: AnnData, *, simulation: dict | None) -> Path | None:
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
        return path
    return None


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


def read(
    path: Path, rows: Chosen, places: Chosen, *, counts: bool
) -> tuple[sp.csr_matrix, sp.csr_matrix | None]:
    """Return values and counts of a file that `find` gave: cells ascending, genes in the order wanted, none for all."""
    with h5py.File(path, "r") as file:
        values = stored.read_csr(file["X"], rows, places)
        if not counts:
            return values, None
        group = file[f"layers/{names.COUNTS}"]
        if rows is None and places is None:
            data = np.empty(group["data"].shape, np.int32)
            if data.size:
                group["data"].read_direct(data)
            return values, matrix.csr(data, values.indices, values.indptr, values.shape)
        return values, stored.read_csr(group, rows, places, dtype=np.int32)


def _places(folder: Path, key: str) -> list[Path]:
    """Return where the converted file may be: beside the release first."""
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
