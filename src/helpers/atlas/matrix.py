"""The expression matrix, dense columns on disk, read in blocks into CSR: never dense as a whole."""

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from helpers import budget as memory
from helpers import files
from helpers.atlas.columns import find_index
from helpers.errors import ReleaseError
from helpers.kernels import kernel

reading = partial(files.reading, fault=ReleaseError, remedy="Fetch it again with `musclebook download`.")
REMEDY = "Ask for fewer cells (cells=...) or genes (genes=...), or raise the budget."
BLOCK_COLUMNS = 256  # offsets inside a block fit one byte
BLOCK_BYTES = 96 * 2**20  # dense values that one thread holds
# Columns decoded at once: memory that is given back and taken again stays mapped. 256 at once need three times
# the processor time at full size, all of it in page faults.
READ_COLUMNS = 8
TILE_ROWS = 4096
THREADS = 2
ENTRY_BYTES = 8  # CSR: int32 column, float32 value
PIECE_BYTES = 5  # one-byte column, float32 value, before they are joined

Chosen = np.ndarray | None  # numbers of rows or columns; none for all
SCALE = 10_000.0  # the release's normalization: counts per 10,000
KINDS = ("negative", "infinite", "NaN")
UNREADABLE = (OSError, pa.ArrowException, pl.exceptions.PolarsError, ValueError, RecursionError)


@dataclass
class Piece:
    """The nonzero values of one block of columns, row by row."""

    first: int  # column of the matrix that offset 0 stands for
    offsets: np.ndarray  # uint8, columns inside the block
    values: np.ndarray  # float32
    counts: np.ndarray  # uint16, values per row
    tiles: np.ndarray  # int64, first value of each tile of rows


@kernel
def _count(block: np.ndarray, counts: np.ndarray) -> tuple[int, int]:
    """Count nonzero values per row; return the place of a value that is not finite, or -1, -1."""
    n_columns, n_rows = block.shape
    for start in range(0, n_rows, 4096):
        stop = min(start + 4096, n_rows)
        for j in range(n_columns):
            bad = np.float32(0)
            for i in range(start, stop):
                value = block[j, i]
                counts[i] += value != 0
                bad += value - value
            if bad != 0:  # a NaN is unequal to everything
                for i in range(start, stop):
                    if not np.isfinite(block[j, i]):
                        return j, i
    return -1, -1


@kernel
def _fill(block, counts, offsets, values, tiles):
    """Write the nonzero values row by row; note where each tile of rows begins."""
    n_columns, n_rows = block.shape
    cursor = np.empty(4096, np.int64)
    done = 0
    for tile in range(tiles.size):
        start = tile * 4096
        stop = min(start + 4096, n_rows)
        tiles[tile] = done
        for i in range(start, stop):
            cursor[i - start] = done
            done += counts[i]
        for j in range(n_columns):
            for i in range(start, stop):
                value = block[j, i]
                if value != 0:
                    place = cursor[i - start]
                    offsets[place] = j
                    values[place] = value
                    cursor[i - start] = place + 1


@kernel
def _join(first, offsets, values, counts, begin, start, stop, cursor, indices, data):
    """Append the values of rows `start` to `stop` of one piece to the rows of the matrix."""
    place = begin
    for i in range(start, stop):
        at = cursor[i]
        for k in range(counts[i]):
            indices[at + k] = first + offsets[place + k]
            data[at + k] = values[place + k]
        cursor[i] = at + counts[i]
        place += counts[i]


class Expression:
    """A Parquet file of one numeric column per gene, and its metadata."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path):  # once: parsing 29,400 column descriptions takes longer than reading three genes
            self.footer = pq.read_metadata(path)
        self.n_rows = self.footer.num_rows
        self._shared, self._lock = self._open(), threading.Lock()  # opening, too, looks at every column

    def read(self, columns: Sequence[int]) -> pa.Table:
        """Return whole columns by number: gene symbols hold dots, which Parquet readers take for nesting."""
        with self._lock, reading(self.path):
            return _read(self._shared, columns, threads=True)

    def _open(self) -> pq.ParquetFile:
        return pq.ParquetFile(self.path, metadata=self.footer, pre_buffer=False)

    def read_csr(
        self, columns: np.ndarray, *, rows: Chosen, labels: Callable[[int], str], budget: str | int
    ) -> sp.csr_matrix:
        """Return the columns as CSR float32, reading a block at a time on two threads."""
        n_rows, width = self.n_rows if rows is None else len(rows), block_width(self.n_rows)
        found, counting = 0, threading.Lock()  # nonzero values of all threads, held against the budget
        local = threading.local()  # each thread its own file and its own block, used again and again
        few = len(columns) <= width  # opening the file again takes longer than reading a few genes

        def work(first: int) -> Piece:
            nonlocal found
            if not hasattr(local, "file"):
                local.file = self._shared if few else self._open()
                local.block = np.empty((width, n_rows), np.float32)
            wanted = columns[first : first + width]
            block = local.block[: len(wanted)]
            with reading(self.path), self._lock if few else nullcontext():
                _load(local.file, wanted, rows, block)
            piece = _sparsify(block, first, labels)
            with counting:
                found += piece.values.size
                needed = found * (ENTRY_BYTES + PIECE_BYTES)
            memory.require(needed, budget=budget, work="The matrix read so far", remedy=REMEDY)
            return piece

        with ThreadPoolExecutor(THREADS) as pool:
            jobs = [pool.submit(work, first) for first in range(0, len(columns), width)]
            try:
                pieces = [job.result() for job in jobs]
            finally:
                for job in jobs:
                    job.cancel()  # after a failure the rest need not be read
        jobs.clear()
        pa.default_memory_pool().release_unused()
        return _assemble(pieces, n_rows, len(columns))


def block_width(n_rows: int) -> int:
    """Return how many columns of `n_rows` float32 values one block holds."""
    return max(1, min(BLOCK_COLUMNS, BLOCK_BYTES // (4 * max(n_rows, 1))))


def parse_object(text: str) -> dict[str, Any]:
    """Return what a JSON file of a release says, which is always an object."""
    found = json.loads(text)
    if isinstance(found, dict):
        return found
    msg = f"the file holds a {type(found).__name__}, not an object"
    raise ValueError(msg)


def _read(file: pq.ParquetFile, columns: Sequence[int], *, threads: bool = False) -> pa.Table:
    groups = list(range(file.metadata.num_row_groups))
    ordered, places = np.unique(columns, return_inverse=True)
    table = file.reader.read_row_groups(groups, column_indices=ordered.tolist(), use_threads=threads)
    return table.select(places.tolist())


def _load(file: pq.ParquetFile, columns: np.ndarray, rows: Chosen, block: np.ndarray) -> None:
    """Copy columns into the rows of `block`, a few at a time."""
    for start in range(0, len(columns), READ_COLUMNS):
        table = _read(file, columns[start : start + READ_COLUMNS])
        for j, column in enumerate(table.columns, start):
            if rows is not None:
                block[j] = column.to_numpy()[rows]
                continue
            at = 0
            for chunk in column.chunks:
                block[j, at : at + len(chunk)] = chunk.to_numpy(zero_copy_only=False)
                at += len(chunk)


def _sparsify(block: np.ndarray, first: int, labels: Callable[[int], str]) -> Piece:
    n_rows = block.shape[1]
    counts = np.zeros(n_rows, np.uint16)
    j, i = _count(block, counts)
    if j >= 0:
        found = f"the expression of gene {labels(first + j)} is {block[j, i]} in row {i:,}, no number that can be read"
        msg = f"{found}. Fetch the file again, or run `musclebook validate` to list every such gene."
        raise ReleaseError(msg)
    total, tiles = int(counts.sum(dtype=np.int64)), np.zeros(-(-n_rows // TILE_ROWS), np.int64)
    piece = Piece(first, np.empty(total, np.uint8), np.empty(total, np.float32), counts, tiles)
    _fill(block, counts, piece.offsets, piece.values, tiles)
    return piece


def _assemble(pieces: list[Piece], n_rows: int, n_columns: int) -> sp.csr_matrix:
    """Join the pieces into one CSR matrix, a tile of rows at a time."""
    lengths = np.zeros(n_rows, np.int64)
    for piece in pieces:
        lengths += piece.counts
    total = int(lengths.sum())
    indptr = np.zeros(n_rows + 1, np.int64)
    np.cumsum(lengths, out=indptr[1:])
    indices, data = np.empty(total, np.int32), np.empty(total, np.float32)
    cursor = indptr[:-1].copy()

    def join(tile: int) -> None:
        start, stop = tile * TILE_ROWS, min((tile + 1) * TILE_ROWS, n_rows)
        for piece in pieces:
            where = piece.tiles[tile], start, stop
            _join(piece.first, piece.offsets, piece.values, piece.counts, *where, cursor, indices, data)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(join, range(-(-n_rows // TILE_ROWS))))
    pieces.clear()
    if total < np.iinfo(np.int32).max:
        indptr = indptr.astype(np.int32)
    return csr(data, indices, indptr, (n_rows, n_columns))


def csr(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int]) -> sp.csr_matrix:
    """Return a CSR matrix of these arrays without copying or checking them again."""
    matrix = sp.csr_matrix(shape, dtype=data.dtype)
    matrix.data, matrix.indices, matrix.indptr = data, indices, indptr
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    return matrix


@dataclass
class Scan:
    """What the rows (cells) and columns (genes) of an expression file hold."""

    genes: list[str]  # names of the columns without the index
    types: dict[str, list[str]]  # of the columns
    cell_genes: np.ndarray  # values above zero of each cell
    cell_sum: np.ndarray  # of expm1 of the values of each cell
    cell_min: np.ndarray  # smallest and largest value above zero of each cell, 0 for an empty one
    cell_max: np.ndarray
    # of each gene: values above zero, not whole, of each kind of fault; first row of each kind
    found: np.ndarray

    @property
    def zero_share(self) -> float:
        """Share of zeros in the whole matrix."""
        return 1 - int(self.found[:, 0].sum()) / max(len(self.cell_genes) * len(self.genes), 1)

    @property
    def is_numeric(self) -> bool:
        """Whether every column holds floating numbers under a name of its own, and there are some."""
        unique = len(set(self.genes)) == len(self.genes) > 0
        return unique and len(self.cell_genes) > 0 and set(self.types) <= {"float", "double"}


@kernel
def _add_values(values, genes, total, low, high, found):
    for row in range(values.size):
        value = values[row]
        if value == 0:
            continue
        if value > 0 and value < np.inf:
            found[0] += 1
            genes[row] += 1
            total[row] += np.expm1(np.float64(value))
            if value < low[row] or low[row] == 0:
                low[row] = value
            if value > high[row]:
                high[row] = value
            if value != np.floor(value):
                found[1] += 1
        else:
            kind = 2 if value < 0 and value > -np.inf else (3 if np.isinf(value) else 4)
            if found[kind] == 0:
                found[kind + 3] = row
            found[kind] += 1


def scan(path: str | Path, *, progress: Callable[[int, int], None] | None = None) -> Scan:
    """Read every value of an expression file once, a block of columns at a time; its index is left out."""
    expression = Expression(Path(path))
    schema, n_cells = expression.footer.schema.to_arrow_schema(), expression.n_rows
    index = find_index(schema, known=())
    wanted = [(at, name) for at, name in enumerate(schema.names) if name != index]
    by_cell = [np.zeros(n_cells, kind) for kind in (np.int32, np.float64, np.float32, np.float32)]
    result = Scan([name for _, name in wanted], {}, *by_cell, np.zeros((len(wanted), 8), np.int64))
    width = block_width(n_cells)
    for first in range(0, len(wanted), width):
        block = wanted[first : first + width]
        table = expression.read([at for at, _ in block])
        for gene, ((_, name), column) in enumerate(zip(block, table.columns, strict=True), first):
            result.types.setdefault(str(column.type), []).append(name)
            if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
                # a NaN that pandas wrote is a null in the file
                values = np.ascontiguousarray(column.to_numpy(), dtype=np.float32)
                _add_values(values, *by_cell, result.found[gene])
        if progress is not None:
            progress(first + len(block), len(wanted))
    return result
