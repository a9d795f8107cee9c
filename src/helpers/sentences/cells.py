"""One view on cells in memory and cells in a file: blocks of values, slices of annotation."""

import errno
import hashlib
import threading
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
import polars as pl
import pyarrow as pa
from scipy import sparse

from helpers import files, names
from helpers.errors import SentenceError
from helpers.sentences import kernels

X, RAW = "X", "raw"
ORGANISM, ORGANISM_TERM = "organism", "organism_ontology_term_id"
ORGANISMS = {"NCBITaxon:9606": "Homo sapiens", "NCBITaxon:10090": "Mus musculus"}
# Dense values are read in pieces of this many bytes, so that a block of cells never stands in memory as a whole.
DENSE_BYTES = 32 * 2**20
# Texts that pandas leaves where a label is missing.
NULL_TEXTS = ("nan", "NaN", "<NA>")

Block = tuple[np.ndarray, np.ndarray, np.ndarray]


class Cells(Protocol):
    """Cells by genes, read in slices."""

    name: str
    n_cells: int
    genes: Sequence[str]
    schema: pa.Schema
    layer: str

    def gene_columns(self) -> Mapping[str, Sequence[str | None]]:
        """Return the text columns of the gene table."""

    def block(self, start: int, stop: int) -> Block:
        """Return the values of a slice of cells as CSR: int64 starts, int32 columns, float32 or float64 values."""

    def obs(self, start: int, stop: int, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the annotation of a slice of cells, the barcode first, with true nulls."""

    def organism(self) -> dict[str, str]:
        """Return organism and organism_ontology_term_id where they are stated for the whole file."""

    def digest(self) -> str:
        """Return a hash that tells this content from another."""


class MemoryCells:
    """Cells of an AnnData in memory."""

    def __init__(self, adata: Any, *, layer: str = X, name: str = "cells") -> None:
        self.name, self.layer, self.n_cells = name, layer, int(adata.n_obs)
        matrix, self._var = _values(adata, layer)
        self._values = matrix.tocsr() if sparse.issparse(matrix) else matrix
        self.genes = [str(gene) for gene in self._var.index]
        self._uns = {key: str(adata.uns[key]) for key in (ORGANISM, ORGANISM_TERM) if key in adata.uns}
        self._table = obs_table(adata.obs)
        self.schema = self._table.schema

    def gene_columns(self) -> dict[str, list[str | None]]:
        """Return the text columns of the gene table."""
        table = obs_table(self._var).drop_columns([barcode_name(list(self._var.columns))])
        return {
            name: table[name].to_pylist()
            for name in table.column_names
            if pa.types.is_string(table[name].type)
        }

    def block(self, start: int, stop: int) -> Block:
        """Return the values of a slice of cells as CSR."""
        if sparse.issparse(self._values):
            first, last = self._values.indptr[start], self._values.indptr[stop]
            starts = self._values.indptr[start : stop + 1].astype(np.int64) - int(first)
            parts = self._values.indices[first:last], self._values.data[first:last]
            return as_block(starts, *parts, len(self.genes))
        return _dense_block(self._values, start, stop)

    def obs(self, start: int, stop: int, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the annotation of a slice of cells."""
        found = self._table.slice(start, stop - start)
        return found if columns is None else found.select(list(columns))

    def organism(self) -> dict[str, str]:
        """Return the organism stated in ``uns``."""
        return complete_organism(self._uns)

    def digest(self) -> str:
        """Return the SHA-256 of barcodes, genes, values and labels."""
        sha = hashlib.sha256("\n".join([*self._table.column(0).to_pylist(), *self.genes]).encode())
        for start in range(0, self.n_cells, 10_000):
            for part in self.block(start, min(start + 10_000, self.n_cells)):
                sha.update(part)
        for column in self._table.columns[1:]:
            hashes = pl.Series(pl.from_arrow(column)).cast(pl.String).fill_null("\0").str.join("\n")
            sha.update(hashes.item().encode() if len(hashes) else b"")
        return sha.hexdigest()


class LoadedCells(MemoryCells):
    """Cells of a file that cannot be read row by row: column-wise, or older than anndata 0.7. Loaded as a whole."""

    def __init__(self, path: Path, *, layer: str, name: str) -> None:
        from anndata.io import read_h5ad

        self.path = path
        with reading(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the file is old
            super().__init__(read_h5ad(path), layer=layer, name=name)

    def digest(self) -> str:
        """Return a hash of the file."""
        return _file_digest(self.path)

    def __reduce__(self) -> tuple[Any, ...]:
        """Load the file anew where a copy is sent."""
        return open_cells, (self.path, self.layer, self.name)


class H5adCells:
    """Cells of one .h5ad file; slices are read when asked for.

    Each thread opens the file for itself; copies sent to another process open it there.
    """

    def __init__(self, path: Path, *, layer: str, name: str) -> None:
        self.path, self.layer, self.name = path, layer, name
        self._local = threading.local()
        node = self._file[_find(self._file, path, layer)]
        self._where = node.name
        shape = node.shape if isinstance(node, h5py.Dataset) else node.attrs["shape"]
        self.n_cells, n_genes = (int(size) for size in shape)
        self._var = _raw(self._file, "var") if layer == RAW else "var"
        self.genes = [str(gene) for gene in _texts(_index(self._file[self._var]))]
        self.schema = self.obs(0, 0).schema
        if n_genes != len(self.genes):
            msg = f"{path}: {layer!r} has {n_genes:,} columns for {len(self.genes):,} genes; the file is damaged."
            raise SentenceError(msg)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open file behind when sent elsewhere."""
        return {key: value for key, value in self.__dict__.items() if key != "_local"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the file anew where the copy is used."""
        self.__dict__.update(state)
        self._local = threading.local()

    @property
    def _file(self) -> h5py.File:
        if not hasattr(self._local, "file"):
            self._local.file = h5py.File(self.path, "r")
        return self._local.file

    def digest(self) -> str:
        """Return a hash of the file."""
        with reading(self.path):
            return _file_digest(self.path)

    def gene_columns(self) -> dict[str, list[str | None]]:
        """Return the text columns of the gene table; those that ``raw`` lacks come from ``var``."""
        with reading(self.path):
            found = _text_columns(self._file[self._var])
            index = _texts(_index(self._file["var"])) if self._var != "var" else []
            if index and len(set(index)) == len(index):
                for column, values in _text_columns(self._file["var"]).items():
                    by_gene = dict(zip(index, values, strict=True))
                    found.setdefault(column, [by_gene.get(gene) for gene in self.genes])
            return found

    def block(self, start: int, stop: int) -> Block:
        """Return the values of a slice of cells as CSR."""
        with reading(self.path):
            node = self._file[self._where]
            if isinstance(node, h5py.Dataset):
                return _dense_block(node, start, stop)
            starts = node["indptr"][start : stop + 1].astype(np.int64)
            first, last = int(starts[0]), int(starts[-1])
            begins = first == 0 or start > 0
            if not begins or not 0 <= first <= last <= min(len(node["indices"]), len(node["data"])):
                msg = "its rows point outside of its values"
                raise ValueError(msg)  # worded by `reading`
            return as_block(
                starts - first, node["indices"][first:last], node["data"][first:last], len(self.genes)
            )

    def obs(self, start: int, stop: int, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the annotation of a slice of cells, the barcode first."""
        with reading(self.path):
            obs = self._file["obs"]
            order = [str(column) for column in obs.attrs.get("column-order", [])]
            barcode = barcode_name(order)
            nodes = {
                name: _index(obs) if name == barcode else obs[name] for name in columns or [barcode, *order]
            }
            return table({name: _column(node, start, stop, parent=obs) for name, node in nodes.items()})

    def organism(self) -> dict[str, str]:
        """Return the organism stated in ``uns``."""
        with reading(self.path):
            uns = self._file.get("uns", {})
            keys = [key for key in (ORGANISM, ORGANISM_TERM) if isinstance(uns.get(key), h5py.Dataset)]
            return complete_organism({key: _texts(uns[key][()])[0] for key in keys})


def open_cells(source: Any, layer: str = X, name: str | None = None, *, values: bool = True) -> Cells:
    """Open an AnnData, an ``.h5ad`` file or the path of one."""
    if getattr(source, "isbacked", False):
        if source.is_view:
            msg = "a view of a backed AnnData cannot be read row by row; call .to_memory() on it, or give the file."
            raise SentenceError(msg)
        source = Path(source.filename)
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        with reading(path):
            with h5py.File(path, "r") as file:
                node = file[_find(file, path, layer)]
                rows = not values or _encoding(node) != "csc_matrix"
                rows = rows and isinstance(file["obs"], h5py.Group)
            return (H5adCells if rows else LoadedCells)(path, layer=layer, name=name or dataset_name(path))
    if not hasattr(source, "obs") or not hasattr(source, "var"):
        msg = f"sentences are made from an AnnData or the path of an .h5ad file, not from a {type(source).__name__}."
        raise SentenceError(msg)
    return MemoryCells(source, layer=layer, name=name or "cells")


def dataset_name(path: Path) -> str:
    """Return the name of a data set: its file name without ``.h5ad`` and ``.gz``.

    Examples
    --------
    >>> dataset_name(Path("10cc50a0-af80-4fa1-b668-893dd5c0113a.h5ad"))
    '10cc50a0-af80-4fa1-b668-893dd5c0113a'
    """
    return Path(path).name.removesuffix(".gz").removesuffix(".h5ad")


def complete_organism(stated: Mapping[str, str]) -> dict[str, str]:
    """Add the name of the organism to its term, or the term to its name."""
    found = dict(stated)
    terms = {name: term for term, name in ORGANISMS.items()}
    for have, want, table_ in ((ORGANISM_TERM, ORGANISM, ORGANISMS), (ORGANISM, ORGANISM_TERM, terms)):
        if have in found and want not in found and found[have] in table_:
            found[want] = table_[found[have]]
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
    except (OSError, LookupError, RuntimeError, ValueError, TypeError) as problem:
        if isinstance(problem, OSError) and problem.errno == errno.ENOSPC:
            raise
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


def as_block(starts: np.ndarray, columns: np.ndarray, values: np.ndarray, n_genes: int) -> Block:
    """Bring the arrays of a CSR block to the types that the kernels are compiled for, each column once a row."""
    if values.dtype == np.float16 or (values.dtype.kind in "iub" and values.dtype.itemsize <= 2):
        values = values.astype(np.float32)
    elif values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    starts = np.ascontiguousarray(starts, dtype=np.int64)
    columns = np.ascontiguousarray(columns, dtype=np.int32 if columns.dtype == np.int32 else np.int64)
    state = kernels.check(starts, columns, n_genes)
    if state == 2 or starts[-1] != len(columns):
        msg = "the values are damaged: an index of a gene or of a row points outside. Write the file again."
        raise SentenceError(msg)
    if state == 1:
        rows = sparse.csr_matrix((values, columns, starts), shape=(len(starts) - 1, n_genes), copy=True)
        rows.sum_duplicates()
        starts, columns, values = rows.indptr.astype(np.int64), rows.indices, rows.data
    return starts, columns.astype(np.int32, copy=False), np.ascontiguousarray(values)


def table(columns: Mapping[str, Any]) -> pa.Table:
    """Return Arrow columns as a table; ``pa.table`` would import pandas, which costs more than the work here."""
    return pa.Table.from_arrays(list(columns.values()), names=list(columns))


def masked(values: np.ndarray, absent: np.ndarray | None = None) -> pa.Array:
    """Return numbers or truth values as an Arrow array, null where `absent`."""
    series = pl.Series(values.astype(np.float32) if values.dtype == np.float16 else values)
    if absent is not None and absent.any():
        series = pl.select(pl.when(~pl.Series(absent)).then(series)).to_series()
    return series.to_arrow()


def text_array(values: Sequence[str | None]) -> pa.Array:
    """Return texts as an Arrow array."""
    return pl.Series(values, dtype=pl.String).to_arrow().cast(pa.string())


def barcode_name(columns: Sequence[str]) -> str:
    """Return the name under which the index of the cells is written."""
    return names.BARCODE if names.BARCODE not in columns else "cell_index"


def obs_table(obs: Any) -> pa.Table:
    """Return the rows of a pandas table, its index first, with true nulls."""
    import pandas as pd

    columns = {barcode_name(list(obs.columns)): text_array([str(cell) for cell in obs.index])}
    for column in obs.columns:
        values = obs[column]
        if isinstance(values.dtype, pd.CategoricalDtype):
            labels = [str(label) for label in values.cat.categories]
            columns[str(column)] = _labeled(values.cat.codes.to_numpy(), labels)
        elif pd.api.types.is_bool_dtype(values) or pd.api.types.is_numeric_dtype(values):
            columns[str(column)] = pa.Array.from_pandas(values)
        else:
            texts = [None if pd.isna(value) else str(value) for value in values]
            columns[str(column)] = _clean(text_array(texts))
    return table(columns)


def _values(adata: Any, layer: str) -> tuple[Any, Any]:
    found, var = adata.layers.get(layer), adata.var
    if layer == X:
        found = adata.X
    elif layer == RAW and adata.raw is not None:
        # CELLxGENE leaves the gene table of raw bare: the columns that only var has are added
        found, var = adata.raw.X, adata.raw.var
        absent = [column for column in adata.var.columns if column not in var.columns]
        var = var.join(adata.var[absent]) if adata.var.index.is_unique else var
    if found is None:
        here = ["X"] * (adata.X is not None) + ["raw"] * (adata.raw is not None)
        here += [key for key in adata.layers if key]  # newer anndata lists X among them, as None
        msg = f"the AnnData has no {layer!r}; it has: {', '.join(here) or 'no values at all'}."
        raise SentenceError(msg)
    return found, var


def _find(file: h5py.File, path: Path, layer: str) -> str:
    """Return where the values of a layer are; refuse a file that is no .h5ad or has none."""
    if absent := [name for name in ("obs", "var") if name not in file]:
        msg = (
            f"{path} is HDF5 but no .h5ad: it lacks {', '.join(absent)} and holds "
            f"{', '.join(sorted(file)) or 'nothing'}. Write it with anndata's write_h5ad."
        )
        raise SentenceError(msg)
    where = {X: "X", RAW: _raw(file, "X")}.get(layer, f"layers/{layer}")
    if where not in file:
        here = ["X"] * ("X" in file) + ["raw"] * (_raw(file, "X") in file) + list(file.get("layers", []))
        msg = f"{path} has no {layer!r}; it has: {', '.join(here) or 'no values at all'}."
        raise SentenceError(msg)
    return where


def _raw(file: h5py.File, part: str) -> str:
    # anndata wrote "raw.X" before it wrote groups
    return f"raw.{part}" if f"raw.{part}" in file else f"raw/{part}"


def _file_digest(path: Path) -> str:
    # a checksum of every byte finds what was rewritten in place; it is three times as fast as a whole SHA-256
    checksum = 0
    with path.open("rb") as stream:
        while block := stream.read(4 * 2**20):
            checksum = zlib.crc32(block, checksum)
    return files.digest_text(f"{files.fingerprint(path)}-{checksum:08x}")


def _dense_block(values: Any, start: int, stop: int) -> Block:
    """Turn rows of a dense matrix, read in pieces, into a CSR block of the values that are not zero."""
    step = max(1, DENSE_BYTES // max(1, values.shape[1] * values.dtype.itemsize))
    pieces = [np.asarray(values[at : min(at + step, stop)]) for at in range(start, stop, step)]
    found = [np.nonzero(piece) for piece in pieces]
    counts = [np.bincount(rows, minlength=len(piece)) for (rows, _), piece in zip(found, pieces, strict=True)]
    kept = [piece[where] for where, piece in zip(found, pieces, strict=True)]
    return as_block(
        np.concatenate([[0], np.cumsum(np.concatenate([*counts, np.zeros(0, np.int64)]))]),
        np.concatenate([columns for _, columns in found] or [np.zeros(0, np.int64)]),
        np.concatenate(kept or [np.zeros(0, np.float32)]),
        values.shape[1],
    )


def _encoding(node: Any) -> str:
    if isinstance(node, h5py.Dataset):
        return "array"
    found = node.attrs.get("encoding-type", "")
    found = found.decode() if isinstance(found, bytes) else str(found)
    if not found and "h5sparse_format" in node.attrs:  # before anndata 0.7: read as a whole, like columns
        return "csc_matrix"
    if found not in {"csr_matrix", "csc_matrix"}:
        msg = f"the values are stored as {found or 'unknown'!r}; expected csr_matrix, csc_matrix or a dense array."
        raise SentenceError(msg)
    return found


def _index(group: Any) -> Any:
    return group[group.attrs.get("_index", "_index")]


def _texts(values: Any) -> list[str]:
    if isinstance(values, h5py.Group):  # a nullable or a categorical index
        return ["" if text is None else text for text in _column(values, 0, None, parent=None).to_pylist()]
    values = values[()] if isinstance(values, h5py.Dataset) else values
    return [value.decode() if isinstance(value, bytes) else str(value) for value in np.atleast_1d(values)]


def _text_columns(group: Any) -> dict[str, list[str | None]]:
    found = {}
    for name in group.attrs.get("column-order", []):
        values = _column(group[name], 0, None, parent=group)
        if pa.types.is_string(values.type):
            found[str(name)] = values.to_pylist()
    return found


def _column(node: Any, start: int, stop: int | None, *, parent: Any) -> pa.Array:
    piece = slice(start, stop)
    if isinstance(node, h5py.Group):
        if "codes" in node:
            return _labeled(node["codes"][piece], _texts(node["categories"]))
        return _plain(node["values"][piece], mask=node["mask"][piece].astype(bool))
    if "categories" in node.attrs:  # anndata 0.7: codes that point to their labels
        return _labeled(node[piece], _texts(parent[node.attrs["categories"]]))
    return _plain(node[piece])


def _plain(values: np.ndarray, *, mask: np.ndarray | None = None) -> pa.Array:
    if values.dtype.kind in "OSU":
        texts = [value.decode() if isinstance(value, bytes) else str(value) for value in values]
        if mask is not None:
            texts = [None if absent else text for text, absent in zip(texts, mask, strict=True)]
        return _clean(text_array(texts))
    if values.dtype.kind == "f" and mask is None:
        mask = np.isnan(values)
    if h5py.check_enum_dtype(values.dtype):
        values = values.astype(bool)
    return masked(values, mask)


def _labeled(codes: np.ndarray, labels: Sequence[str]) -> pa.Array:
    texts = pl.Series(pl.from_arrow(_clean(text_array(labels))), dtype=pl.String)
    places = pl.Series(pl.from_arrow(masked(codes.astype(np.int32), codes < 0)))
    return texts.gather(places).to_arrow().cast(pa.string())


def _clean(values: pa.Array) -> pa.Array:
    texts = pl.Series(pl.from_arrow(values), dtype=pl.String)
    absent = texts.is_in(list(NULL_TEXTS)).fill_null(value=False)
    if not absent.any():
        return values.cast(pa.string())
    return pl.select(pl.when(~absent).then(texts)).to_series().to_arrow().cast(pa.string())
