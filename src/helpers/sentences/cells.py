"""One view on cells in memory and cells in a file: blocks of values, slices of annotation."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from helpers.errors import SentenceError
from helpers.sentences import arrow

X, RAW = "X", "raw"
ORGANISM, ORGANISM_TERM = "organism", "organism_ontology_term_id"
ORGANISMS = {"NCBITaxon:9606": "Homo sapiens", "NCBITaxon:10090": "Mus musculus"}
# Dense values are read in pieces of this many bytes, so that a block of cells never stands in memory as a whole.
DENSE_BYTES = 32 * 2**20

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

    def prepare(self) -> None:
        """Do what must be done once before blocks are read by several workers."""

    def digest(self) -> str:
        """Return a hash that tells this content from another."""


class MemoryCells:
    """Cells of an AnnData in memory."""

    def __init__(self, adata: Any, *, layer: str = X, name: str = "cells") -> None:
        import scipy.sparse as sp

        self.name, self.layer, self.n_cells = name, layer, int(adata.n_obs)
        matrix, self._var = self._matrix(adata, layer)
        self._values = matrix.tocsr() if sp.issparse(matrix) else matrix
        self._sparse = sp.issparse(matrix)
        self.genes = [str(gene) for gene in self._var.index]
        self._uns = {key: adata.uns[key] for key in (ORGANISM, ORGANISM_TERM) if key in adata.uns}
        self._table = arrow.obs_table(adata.obs)
        self.schema = self._table.schema

    @staticmethod
    def _matrix(adata: Any, layer: str) -> tuple[Any, Any]:
        if layer == X:
            found, var = adata.X, adata.var
        elif layer == RAW:
            found = None if adata.raw is None else adata.raw.X
            var = adata.var if adata.raw is None else raw_gene_table(adata.raw.var, adata.var)
        else:
            found, var = adata.layers.get(layer), adata.var
        if found is None:
            here = [
                *(["X"] if adata.X is not None else []),
                *(["raw"] if adata.raw is not None else []),
                *filter(None, adata.layers),  # newer anndata lists X among them, as None
            ]
            msg = f"the AnnData has no {layer!r}; it has: {', '.join(here) or 'no values at all'}."
            raise SentenceError(msg)
        return found, var

    def gene_columns(self) -> dict[str, list[str | None]]:
        """Return the text columns of the gene table."""
        return text_columns(self._var)

    def block(self, start: int, stop: int) -> Block:
        """Return the values of a slice of cells as CSR."""
        if self._sparse:
            first, last = self._values.indptr[start], self._values.indptr[stop]
            starts = self._values.indptr[start : stop + 1].astype(np.int64) - int(first)
            return as_block(starts, self._values.indices[first:last], self._values.data[first:last])
        return join_blocks(
            from_dense(np.asarray(self._values[at:to])) for at, to in dense_pieces(start, stop, self._values)
        )

    def obs(self, start: int, stop: int, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the annotation of a slice of cells."""
        table = self._table.slice(start, stop - start)
        return table if columns is None else table.select(list(columns))

    def organism(self) -> dict[str, str]:
        """Return the organism stated in ``uns``."""
        return complete_organism({key: str(value) for key, value in self._uns.items()})

    def prepare(self) -> None:
        """Nothing: the cells are in memory, row by row."""

    def digest(self) -> str:
        """Return the SHA-256 of barcodes, genes and values."""
        sha = hashlib.sha256("\n".join([*self._table.column(0).to_pylist(), *self.genes]).encode())
        for start in range(0, self.n_cells, 10_000):
            for part in self.block(start, min(start + 10_000, self.n_cells)):
                sha.update(part)
        for column in self._table.columns[1:]:
            sha.update(
                repr(column.to_pylist() if self.n_cells < 1_000 else column.unique().to_pylist()).encode()
            )
        return sha.hexdigest()


def open_cells(source: Any, *, layer: str = X, name: str | None = None, work: Path | None = None) -> Cells:
    """Open an AnnData, an ``.h5ad`` file or the path of one.

    Parameters
    ----------
    source
        AnnData (in memory or backed) or path.
    layer
        ``"X"``, ``"raw"`` or the name of a layer.
    name
        What the cells are called; none: the stem of the file.
    work
        Folder for the row-wise copy of a column-wise file; none: a temporary folder.

    Raises
    ------
    SentenceError
        If the source cannot be read or lacks the layer.
    """
    from helpers.sentences import h5ad

    if isinstance(source, str | Path):
        return h5ad.H5adCells(Path(source), layer=layer, name=name, work=work)
    if getattr(source, "isbacked", False):
        if source.is_view:
            msg = "a view of a backed AnnData cannot be read row by row; call .to_memory() on it, or give the file."
            raise SentenceError(msg)
        return h5ad.H5adCells(Path(source.filename), layer=layer, name=name, work=work)
    if not hasattr(source, "obs") or not hasattr(source, "var"):
        msg = f"sentences are made from an AnnData or the path of an .h5ad file, not from a {type(source).__name__}."
        raise SentenceError(msg)
    return MemoryCells(source, layer=layer, name=name or "cells")


def as_block(starts: np.ndarray, columns: np.ndarray, values: np.ndarray) -> Block:
    """Bring the three arrays of a CSR block to the types that the kernels are compiled for."""
    if values.dtype == np.float16 or (values.dtype.kind in "iub" and values.dtype.itemsize <= 2):
        values = values.astype(np.float32)
    elif values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    return (
        np.ascontiguousarray(starts, dtype=np.int64),
        np.ascontiguousarray(columns, dtype=np.int32),
        np.ascontiguousarray(values),
    )


def from_dense(values: np.ndarray) -> Block:
    """Turn dense cells x genes into a CSR block of the values that are not zero."""
    rows, columns = np.nonzero(values)
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(values)))])
    return as_block(starts, columns, values[rows, columns])


def join_blocks(blocks: Iterator[Block]) -> Block:
    """Put CSR blocks of consecutive cells into one."""
    pieces = list(blocks)
    if not pieces:
        return as_block(np.zeros(1), np.zeros(0), np.zeros(0, np.float32))
    shifts = np.cumsum([0] + [int(starts[-1]) for starts, _, _ in pieces])
    starts = [piece[0][:-1] + shift for piece, shift in zip(pieces, shifts[:-1], strict=True)]
    return as_block(
        np.concatenate([*starts, shifts[-1:]]),
        np.concatenate([columns for _, columns, _ in pieces]),
        np.concatenate([values for _, _, values in pieces]),
    )


def dense_pieces(start: int, stop: int, values: Any) -> Iterator[tuple[int, int]]:
    """Cut a slice of cells into pieces of at most `DENSE_BYTES`."""
    step = max(1, DENSE_BYTES // max(1, values.shape[1] * values.dtype.itemsize))
    for at in range(start, stop, step):
        yield at, min(at + step, stop)


def raw_gene_table(raw_var: Any, var: Any) -> Any:
    """Return the gene table of ``raw`` with the columns that only ``var`` has: CELLxGENE leaves it bare."""
    absent = [column for column in var.columns if column not in raw_var.columns]
    return raw_var.join(var[absent]) if var.index.is_unique else raw_var


def text_columns(table: Any) -> dict[str, list[str | None]]:
    """Return the text columns of a pandas table as lists, with None where a text is missing."""
    import pandas as pd

    found = {}
    for column in table.columns:
        values = table[column]
        if not (pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)):
            found[str(column)] = [None if pd.isna(value) else str(value) for value in values]
    return found


def complete_organism(stated: Mapping[str, str]) -> dict[str, str]:
    """Add the name of the organism to its term, or the term to its name."""
    found = dict(stated)
    if ORGANISM_TERM in found and ORGANISM not in found and found[ORGANISM_TERM] in ORGANISMS:
        found[ORGANISM] = ORGANISMS[found[ORGANISM_TERM]]
    by_name = {name: term for term, name in ORGANISMS.items()}
    if ORGANISM in found and ORGANISM_TERM not in found and found[ORGANISM] in by_name:
        found[ORGANISM_TERM] = by_name[found[ORGANISM]]
    return found
