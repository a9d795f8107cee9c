"""One view on cells in memory and cells in a file: blocks of values, slices of annotation."""

import hashlib
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
ORGANISMS = {"NCBITaxon:9606": "Homo sapiens", "NCBITaxon:10090": "Mus musculus"}
# Dense values are read in pieces of this many bytes, so that a block of cells never stands in memory as a whole.
DENSE_BYTES = 32 * 2**20
# Texts that pandas leaves where a label is missing.
NULL_TEXTS = ("nan", "NaN", "<NA>")


class Cells:
    """Cells by genes, read in slices by `block` and `obs`; genes and what is stated of the whole are read at once."""

    n_cells: int
    schema: pa.Schema

    def __init__(
        self, path: Path | None, layer: str, name: str, var: pd.DataFrame, uns: Mapping[str, Any]
    ) -> None:
        self.path, self.layer, self.name = path, layer, name
        self.genes = [str(gene) for gene in var.index]
        columns = {str(column): _arrow(var[column]) for column in var.columns}
        self.gene_columns = {
            column: values.to_pylist()
            for column, values in columns.items()
            if pa.types.is_string(values.type)
        }
        stated = {key: str(np.ravel(uns[key])[0]) for key in (ORGANISM, ORGANISM_TERM) if key in uns}
        self.organism = complete_organism(stated)

    def __reduce__(self) -> tuple[Any, ...]:
        """Open the file anew where a copy is sent."""
        return open_cells, (self.path, self.layer, self.name)

    def digest(self) -> str:
        """Return a hash that tells this content from another."""
        # a checksum of every byte finds what was rewritten in place; it is three times as fast as a whole SHA-256
        checksum = 0
        with reading(self.path), self.path.open("rb") as stream:
            while block := stream.read(4 * 2**20):
                checksum = zlib.crc32(block, checksum)
            return files.digest_text(f"{files.fingerprint(self.path)}-{checksum:08x}")


class MemoryCells(Cells):
    """Cells of an AnnData in memory, or of a file that cannot be read row by row."""

    def __init__(self, adata: Any, path: Path | None, layer: str, name: str) -> None:
        matrix, var = _values(adata, layer)
        super().__init__(path, layer, name, var, adata.uns)
        self._values = matrix.tocsr() if sparse.issparse(matrix) else matrix
        barcode = barcode_name(list(adata.obs.columns))
        columns = {barcode: pa.array([str(cell) for cell in adata.obs.index], pa.string())}
        columns |= {str(column): _arrow(adata.obs[column]) for column in adata.obs.columns}
        self._table = pa.table(columns)
        self.n_cells, self.schema = self._table.num_rows, self._table.schema

    def block(self, start: int, stop: int) -> sparse.csr_matrix:
        """Return the values of a slice of cells, float32 or float64, each column once a row."""
        if sparse.issparse(self._values):
            rows = self._values[start:stop]
            return as_block(rows.data, rows.indices, rows.indptr, len(self.genes))
        return _dense_block(self._values, start, stop)

    def obs(self, start: int, stop: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the annotation of a slice of cells, the barcode first, with true nulls."""
        return self._table.select(columns or self.schema.names).slice(start, stop - start)

    def digest(self) -> str:
        """Return the hash of the file, or the SHA-256 of barcodes, genes, values and labels."""
        if self.path is not None:
            return super().digest()
        sha = hashlib.sha256("\n".join([*self._table.column(0).to_pylist(), *self.genes]).encode())
        for start in range(0, self.n_cells, 10_000):
            block = self.block(start, min(start + 10_000, self.n_cells))
            for part in (block.indptr.astype(np.int64), block.indices.astype(np.int32), block.data):
                sha.update(part)
        for column in self._table.columns[1:]:
            labels = pl.Series(pl.from_arrow(column)).cast(pl.String).fill_null("\0").str.join("\n")
            sha.update(labels.item().encode() if len(labels) else b"")
        return sha.hexdigest()


class H5adCells(Cells):
    """Cells of one .h5ad file; it is opened for each slice, so that threads do not wait for each other."""

    def __init__(self, file: h5py.File, path: Path, layer: str, name: str) -> None:
        var = read_elem(file["var"])
        if layer == RAW:
            var = _add_columns(read_elem(file["raw/var"]), var)
        uns = file.get("uns", {})
        stated = {
            key: read_elem(uns[key])
            for key in (ORGANISM, ORGANISM_TERM)
            if isinstance(uns.get(key), h5py.Dataset)
        }
        super().__init__(path, layer, name, var, stated)
        self._where = _find(file, path, layer)
        node = file[self._where]
        shape = node.shape if isinstance(node, h5py.Dataset) else node.attrs["shape"]
        self.n_cells, n_genes = (int(size) for size in shape)
        self.schema = self._read_obs(file, 0, 0).schema
        if n_genes != len(self.genes):
            msg = f"{path}: {layer!r} has {n_genes:,} columns for {len(self.genes):,} genes; the file is damaged."
            raise SentenceError(msg)

    def block(self, start: int, stop: int) -> sparse.csr_matrix:
        """Return the values of a slice of cells."""
        with reading(self.path), h5py.File(self.path) as file:
            node = file[self._where]
            if isinstance(node, h5py.Dataset):
                return _dense_block(node, start, stop)
            starts = node["indptr"][start : stop + 1].astype(np.int64)
            first, last = starts[0], starts[-1]
            if (start == 0 and first) or (np.diff(starts) < 0).any():
                msg = "its rows point outside of its values"
                raise ValueError(msg)  # worded by `reading`
            parts = node["data"][first:last], node["indices"][first:last]
            return as_block(*parts, starts - first, len(self.genes))

    def obs(self, start: int, stop: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the annotation of a slice of cells."""
        with reading(self.path), h5py.File(self.path) as file:
            return self._read_obs(file, start, stop, columns)

    def _read_obs(
        self, file: h5py.File, start: int, stop: int, columns: Sequence[str] | None = None
    ) -> pa.Table:
        obs = file["obs"]
        order = [str(column) for column in obs.attrs.get("column-order", [])]
        barcode = barcode_name(order)
        index = obs.attrs.get("_index", "_index")
        return pa.table({
            column: _column(obs[index if column == barcode else column], start, stop, parent=obs)
            for column in columns or [barcode, *order]
        })  # fmt: skip


def open_cells(source: Any, layer: str = X, name: str | None = None) -> Cells:
    """Open an AnnData, an ``.h5ad`` file or the path of one."""
    if getattr(source, "isbacked", False):
        if source.is_view:
            msg = "a view of a backed AnnData cannot be read row by row; call .to_memory() on it, or give the file."
            raise SentenceError(msg)
        source = Path(source.filename)
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        name = name or dataset_name(path)
        with reading(path), h5py.File(path) as file:
            if _is_by_row(file, path, layer):
                return H5adCells(file, path, layer, name)
        with reading(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the file is old
            return MemoryCells(read_h5ad(path), path, layer, name)
    if not hasattr(source, "obs") or not hasattr(source, "var"):
        msg = f"sentences are made from an AnnData or the path of an .h5ad file, not from a {type(source).__name__}."
        raise SentenceError(msg)
    return MemoryCells(source, None, layer, name or "cells")


def dataset_name(path: Path) -> str:
    """Return the name of a data set: its file name without ``.h5ad`` and ``.gz``."""
    return Path(path).name.removesuffix(".gz").removesuffix(".h5ad")


def complete_organism(stated: Mapping[str, str]) -> dict[str, str]:
    """Add the name of the organism to its term, or the term to its name."""
    found = dict(stated)
    for term, name in ORGANISMS.items():
        if found.get(ORGANISM) == name or found.get(ORGANISM_TERM) == term:
            found.setdefault(ORGANISM, name)
            found.setdefault(ORGANISM_TERM, term)
    return found


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Name the file when its content cannot be read, and say what to do."""
    try:
        yield
    except SentenceError as problem:
        if path.name in str(problem):
            raise
        msg = f"{path}: {problem}"
        raise SentenceError(msg) from problem
    except MemoryError:
        raise
    except Exception as problem:  # h5py and anndata raise many kinds, not all of them by a public name
        if not path.exists():
            msg = f"{path} does not exist. Give the path of an .h5ad file."
        elif path.suffix == ".gz":
            msg = f"{path} is compressed as a whole, and HDF5 is read in slices. Unpack it first: gunzip {path.name}"
        else:
            msg = (
                f"{path} cannot be read as an .h5ad file ({str(problem)[:200]}). It may be cut short or not HDF5: "
                f"compare its size with the source, or fetch it again.{files.pointer_hint(path)}"
            )
        raise SentenceError(msg) from problem


def as_block(values: np.ndarray, columns: np.ndarray, starts: np.ndarray, n_genes: int) -> sparse.csr_matrix:
    """Return rows as the kernels take them: checked, single or double precision, each column once a row."""
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
    try:
        rows = sparse.csr_matrix((values, columns, starts), shape=(len(starts) - 1, n_genes))
        rows.check_format(full_check=True)
    except ValueError as problem:
        msg = f"the values are damaged ({problem}): an index of a gene or of a row points outside. Write the file again."
        raise SentenceError(msg) from problem
    if not rows.has_canonical_format:
        rows = rows.copy()  # it may share its arrays with an AnnData
        rows.sum_duplicates()
    return rows


def barcode_name(columns: Sequence[str]) -> str:
    """Return the name under which the index of the cells is written."""
    return names.BARCODE if names.BARCODE not in columns else "cell_index"


def _values(adata: Any, layer: str) -> tuple[Any, pd.DataFrame]:
    found, var = adata.layers.get(layer), adata.var
    if layer == X:
        found = adata.X
    elif layer == RAW and adata.raw is not None:
        found, var = adata.raw.X, _add_columns(adata.raw.var, var)
    if found is None:
        here = ["X"] * (adata.X is not None) + ["raw"] * (adata.raw is not None)
        here += [key for key in adata.layers if key]  # newer anndata lists X among them, as None
        msg = f"the AnnData has no {layer!r}; it has: {', '.join(here) or 'no values at all'}."
        raise SentenceError(msg)
    return found, var


def _add_columns(raw: pd.DataFrame, var: pd.DataFrame) -> pd.DataFrame:
    """Add to the genes of ``raw`` the columns that only ``var`` has: CELLxGENE leaves the table of ``raw`` bare."""
    absent = [column for column in var.columns if column not in raw.columns]
    return raw.join(var[absent]) if var.index.is_unique else raw


def _is_by_row(file: h5py.File, path: Path, layer: str) -> bool:
    """Tell whether values and annotation can be read in slices of cells; refuse a file that is no .h5ad."""
    if absent := [name for name in ("obs", "var") if name not in file]:
        msg = (
            f"{path} is HDF5 but no .h5ad: it lacks {', '.join(absent)} and holds "
            f"{', '.join(sorted(file)) or 'nothing'}. Write it with anndata's write_h5ad."
        )
        raise SentenceError(msg)
    if isinstance(file["obs"], h5py.Dataset):  # before anndata 0.7
        return False
    node = file[_find(file, path, layer)]
    kind = "array" if isinstance(node, h5py.Dataset) else node.attrs.get("encoding-type")
    if kind not in ("array", "csr_matrix", "csc_matrix"):
        msg = f"the values are stored as {kind or 'unknown'!r}; expected csr_matrix, csc_matrix or a dense array."
        raise SentenceError(msg)
    return kind != "csc_matrix"


def _find(file: h5py.File, path: Path, layer: str) -> str:
    """Return where the values of a layer are."""
    where = {X: "X", RAW: "raw/X"}.get(layer, f"layers/{layer}")
    if where not in file:
        here = ["X"] * ("X" in file) + ["raw"] * ("raw/X" in file) + list(file.get("layers", []))
        msg = f"{path} has no {layer!r}; it has: {', '.join(here) or 'no values at all'}."
        raise SentenceError(msg)
    return where


def _dense_block(values: Any, start: int, stop: int) -> sparse.csr_matrix:
    """Turn rows of a dense matrix, read in pieces, into a block of the values that are not zero."""
    step = max(1, DENSE_BYTES // max(1, values.shape[1] * values.dtype.itemsize))
    pieces = []
    for at in range(start, max(stop, start + 1), step):
        dense = np.asarray(values[at : min(at + step, stop)])
        rows, columns = np.nonzero(dense)
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(dense)))])
        pieces.append(as_block(dense[rows, columns], columns, starts, values.shape[1]))
    return sparse.vstack(pieces, format="csr")


def _column(node: h5py.Group | h5py.Dataset, start: int, stop: int, *, parent: h5py.Group) -> pa.Array:
    """Return a slice of a column of a file."""
    if isinstance(node, h5py.Group) and "codes" in node:
        return _labeled(node["codes"][start:stop], _read_labels(node["categories"]))
    if "categories" in node.attrs:  # anndata 0.7: codes that point to their labels
        return _labeled(node[start:stop], _read_labels(parent[node.attrs["categories"]]))
    mask = None
    if isinstance(node, h5py.Group):  # a nullable type
        node, mask = node["values"], node["mask"][start:stop].astype(bool)
    if h5py.check_string_dtype(node.dtype):
        return _texts(node.asstr()[start:stop], mask)
    values = node[start:stop]
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    return pa.array(values, mask=mask, from_pandas=mask is None)


def _read_labels(node: h5py.Group | h5py.Dataset) -> Any:
    if isinstance(node, h5py.Group):  # a nullable type
        return read_elem(node)
    return node.asstr()[()] if h5py.check_string_dtype(node.dtype) else node[()]


def _arrow(values: pd.Series) -> pa.Array:
    """Return a column of pandas."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return _labeled(values.cat.codes.to_numpy(), values.cat.categories)
    if pd.api.types.is_bool_dtype(values) or pd.api.types.is_numeric_dtype(values):
        return pa.Array.from_pandas(values)
    return _texts(values, pd.isna(values).to_numpy())


def _labeled(codes: np.ndarray, labels: Any) -> pa.Array:
    return _texts(labels).take(pa.array(codes, mask=codes < 0))


def _texts(values: Any, absent: np.ndarray | None = None) -> pa.Array:
    texts = pa.array([str(value) for value in values], pa.string(), mask=absent)
    return pc.if_else(pc.is_in(texts, pa.array(NULL_TEXTS)), pa.scalar(None, pa.string()), texts)
