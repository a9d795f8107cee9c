"""One view on cells in memory and cells in a file: blocks of values, slices of annotation."""

import hashlib
import warnings
import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from anndata.io import read_elem, read_h5ad
from scipy import sparse

from helpers import files, names
from helpers.errors import SentenceError

X, RAW = "X", "raw"
ORGANISM, ORGANISM_TERM = "organism", "organism_ontology_term_id"
# Texts that pandas leaves where a label is missing.
NULL_TEXTS = ("nan", "NaN", "<NA>")
Place = tuple[Path | None, str, str]  # the file, if there is one; the layer; the name of the data set


class Cells:
    """Cells by genes: values in blocks, annotation in slices; of a file, values are read when they are asked for."""

    def __init__(
        self, place: Place, values: Any, obs: pd.DataFrame, var: pd.DataFrame, uns: Mapping[str, Any]
    ) -> None:
        self.place = self.path, self.layer, self.name = place
        self._values = values  # a matrix, or the name of one in the file
        barcode = names.BARCODE if names.BARCODE not in obs.columns else "cell_index"
        self._columns = {barcode: obs.index.to_series()} | {str(column): obs[column] for column in obs}
        self.n_cells = len(obs)
        self.schema = self.obs(0, 0).schema
        self.genes = [str(gene) for gene in var.index]
        told = {str(column): _arrow(var[column]) for column in var.columns}
        self.gene_columns = {
            key: one.to_pylist() for key, one in told.items() if pa.types.is_string(one.type)
        }
        stated = (key for key in (ORGANISM, ORGANISM_TERM) if key in uns)
        self.organism = {key: str(np.ravel(uns[key])[0]) for key in stated}

    def __reduce__(self) -> tuple[Any, ...]:
        """Open the file anew where a copy is sent."""
        return open_cells, self.place

    def block(self, start: int, stop: int) -> sparse.csr_matrix:
        """Return the values of a slice of cells, single or double precision, each column once a row."""
        if not isinstance(self._values, str):
            return _block(self._values[start:stop], self.name)
        # opened for each block: threads and machines share nothing
        with _reading(self.path), h5py.File(self.path) as file:
            node = file[self._values]
            if isinstance(node, h5py.Dataset):
                return _block(node[start:stop], self.path)
            starts = node["indptr"][start : stop + 1].astype(np.int64)
            # the first row of all begins at the first value, else the check below finds damage
            first, last = starts[0] if start else 0, starts[-1]
            arrays = node["data"][first:last], node["indices"][first:last], starts - first
            return _checked(arrays, (stop - start, len(self.genes)), self.path)

    def obs(self, start: int, stop: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the annotation of a slice of cells, the barcode first, with true nulls."""
        wanted = columns or list(self._columns)
        return pa.table({column: _arrow(self._columns[column].iloc[start:stop]) for column in wanted})

    def text(self, column: str) -> pl.Series:
        """Return a column of all cells as text, with true nulls."""
        return pl.Series(pl.from_arrow(_arrow(self._columns[column]))).cast(pl.String)

    def digest(self) -> str:
        """Return a hash that tells this content from another: of the file, or of barcodes, genes, values, labels."""
        if self.path is not None:
            # a checksum of every byte finds what was rewritten in place; it is three times as fast as a whole SHA-256
            checksum = 0
            with _reading(self.path), self.path.open("rb") as stream:
                while block := stream.read(4 * 2**20):
                    checksum = zlib.crc32(block, checksum)
                return files.digest_text(f"{files.fingerprint(self.path)}-{checksum:08x}")
        barcodes, *labels = self._columns
        sha = hashlib.sha256("\n".join([*map(str, self._columns[barcodes]), *self.genes]).encode())
        for start in range(0, self.n_cells, 10_000):
            block = self.block(start, min(start + 10_000, self.n_cells))
            for part in (block.indptr.astype(np.int64), block.indices.astype(np.int32), block.data):
                sha.update(part)
        for column in labels:
            sha.update("\n".join(self.text(column).fill_null("\0")).encode())
        return sha.hexdigest()


def open_cells(source: Any, layer: str = X, name: str | None = None) -> Cells:
    """Open an AnnData, an ``.h5ad`` file or the path of one."""
    if getattr(source, "isbacked", False):
        if source.is_view:
            msg = "a view of a backed AnnData cannot be read row by row; call .to_memory() on it, or give the file."
            raise SentenceError(msg)
        source = source.filename
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        if not path.exists():
            msg = f"{path} does not exist. Give the path of an .h5ad file."
            raise SentenceError(msg)
        place = path, layer, name or dataset_name(path)
        with _reading(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the file is old
            with h5py.File(path) as file:
                opened = _open_file(file, place)
            return opened or _open_memory(read_h5ad(path), place)
    if not hasattr(source, "obs") or not hasattr(source, "var"):
        msg = f"sentences are made from an AnnData or the path of an .h5ad file, not from a {type(source).__name__}."
        raise SentenceError(msg)
    return _open_memory(source, (None, layer, name or "cells"))


def dataset_name(path: Path) -> str:
    """Return the name of a data set: its file name without ``.h5ad`` and ``.gz``."""
    return Path(path).name.removesuffix(".gz").removesuffix(".h5ad")


def _reading(path: Path) -> AbstractContextManager[None]:
    """Name the file when its content cannot be read, and say what to do."""
    remedy = "It may be cut short or not HDF5: compare its size with the source, or fetch it again."
    if path.suffix == ".gz":
        remedy = f"It is compressed as a whole, HDF5 is read in slices. Unpack it first: gunzip {path.name}"
    return files.reading(path, "an .h5ad file", fault=SentenceError, remedy=remedy)


def _open_memory(adata: Any, place: Place) -> Cells:
    held = {} if adata.X is None else {X: adata.X}
    held |= {} if adata.raw is None else {RAW: adata.raw.X}
    held |= {key: values for key, values in adata.layers.items() if key}  # newer anndata lists X among them
    values = _choose(held, place)
    var = _add_columns(adata.raw.var, adata.var) if place[1] == RAW else adata.var
    values = values.tocsr() if sparse.issparse(values) else values
    return Cells(place, values, adata.obs, var, adata.uns)


def _open_file(file: h5py.File, place: Place) -> Cells | None:
    """Open cells whose values and annotation can be read in slices; none for a file that anndata has to read whole."""
    path, layer, _ = place
    if absent := [group for group in ("obs", "var") if group not in file]:
        holds = ", ".join(sorted(file)) or "nothing"
        msg = f"{path} is HDF5 but no .h5ad, lacks {', '.join(absent)}, holds {holds}. Write it with write_h5ad."
        raise SentenceError(msg)
    if isinstance(file["obs"], h5py.Dataset):  # before anndata 0.7
        return None
    held = {X: "X", RAW: "raw/X"} | {key: f"layers/{key}" for key in file.get("layers", ())}
    values = _choose({key: at for key, at in held.items() if at in file}, place)
    node = file[values]
    kind = "array" if isinstance(node, h5py.Dataset) else node.attrs.get("encoding-type")
    if kind == "csc_matrix":
        return None
    if kind not in ("array", "csr_matrix"):
        msg = f"{path} stores values as {kind or 'unknown'!r}; expected csr_matrix, csc_matrix or a dense array."
        raise SentenceError(msg)
    obs, var = read_elem(file["obs"]), read_elem(file["var"])
    if layer == RAW:
        var = _add_columns(read_elem(file["raw/var"]), var)
    shape = tuple(map(int, node.shape if kind == "array" else node.attrs["shape"]))
    if shape != (len(obs), len(var)):
        msg = f"{path} is damaged: {layer!r} has the shape {shape} for {len(obs):,} cells and {len(var):,} genes."
        raise SentenceError(msg)
    uns = file.get("uns", {})
    stated = (key for key in (ORGANISM, ORGANISM_TERM) if isinstance(uns.get(key), h5py.Dataset))
    return Cells(place, values, obs, var, {key: read_elem(uns[key]) for key in stated})


def _choose(held: Mapping[str, Any], place: Place) -> Any:
    path, layer, _ = place
    if layer not in held:
        msg = f"{path or 'the AnnData'} has no {layer!r}; it has: {', '.join(held) or 'no values at all'}."
        raise SentenceError(msg)
    return held[layer]


def _add_columns(raw: pd.DataFrame, var: pd.DataFrame) -> pd.DataFrame:
    """Add to the genes of ``raw`` the columns that only ``var`` has: CELLxGENE leaves the table of ``raw`` bare."""
    absent = [column for column in var.columns if column not in raw.columns]
    return raw.join(var[absent]) if var.index.is_unique else raw


def _block(rows: Any, where: str | Path) -> sparse.csr_matrix:
    rows = rows if sparse.issparse(rows) else sparse.csr_matrix(_precise(np.asarray(rows)))
    return _checked((rows.data, rows.indices, rows.indptr), rows.shape, where)


def _checked(arrays: tuple[Any, ...], shape: tuple[int, int], where: str | Path) -> sparse.csr_matrix:
    """Return rows as the kernels take them, each column once a row."""
    try:
        rows = sparse.csr_matrix((_precise(arrays[0]), *arrays[1:]), shape=shape)
        rows.check_format(full_check=True)
    except ValueError as problem:
        points = "an index of a gene or of a row points outside"
        msg = f"the values of {where} are damaged ({problem}): {points}. Write the file again."
        raise SentenceError(msg) from problem
    if not rows.has_canonical_format:
        rows = rows.copy()  # it may share its arrays with an AnnData
        rows.sum_duplicates()
    return rows


def _precise(values: np.ndarray) -> np.ndarray:
    if values.dtype in (np.float32, np.float64):
        return values
    return values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)


def _arrow(values: pd.Series) -> pa.Array:
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes = values.cat.codes.to_numpy()
        return _texts(values.cat.categories).take(pa.array(codes, mask=codes < 0))
    if pd.api.types.is_bool_dtype(values) or pd.api.types.is_numeric_dtype(values):
        return pa.Array.from_pandas(values)
    return _texts(values, pd.isna(values).to_numpy())


def _texts(values: Any, absent: np.ndarray | None = None) -> pa.Array:
    texts = pa.array([str(value) for value in values], pa.string(), mask=absent)
    return pc.if_else(pc.is_in(texts, pa.array(NULL_TEXTS)), pa.scalar(None, pa.string()), texts)
