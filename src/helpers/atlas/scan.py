"""One pass over the expression file: what its columns and rows hold, never the dense matrix."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from helpers import budget as memory
from helpers.atlas import columns
from helpers.kernels import kernel

SCALE = 10_000.0  # the release's normalization: counts per 10,000
KINDS = ("negative", "infinite", "NaN")


class Fault(NamedTuple):
    """A value that no expression matrix may hold: how many there are and where the first one is."""

    kind: str
    count: int
    row: int
    column: str


@dataclass
class Scan:
    """Sums over the rows (cells) and columns (genes) of an expression file.

    ``genes`` are the column names without the index; ``cell_genes`` and ``gene_cells`` count the values above
    zero; ``cell_sum`` adds expm1 of the values of a cell; ``cell_min`` and ``cell_max`` are its smallest and
    largest value above zero (0 for an empty cell).
    """

    genes: list[str]
    cell_genes: np.ndarray
    cell_sum: np.ndarray
    cell_min: np.ndarray
    cell_max: np.ndarray
    gene_cells: np.ndarray
    fractions: int = 0
    faults: list[Fault] = field(default_factory=list)
    types: dict[str, list[str]] = field(default_factory=dict)

    @property
    def zero_share(self) -> float:
        """Share of zeros in the whole matrix."""
        return 1 - int(self.gene_cells.sum()) / max(len(self.cell_genes) * len(self.genes), 1)

    @property
    def is_numeric(self) -> bool:
        """Whether every column holds floating numbers under a name of its own, and there are some."""
        unique = len(set(self.genes)) == len(self.genes) > 0
        return unique and len(self.cell_genes) > 0 and set(self.types) <= {"float", "double"}

    def counts(self) -> np.ndarray:
        """Return the molecules of each cell that its smallest value implies, were that one molecule.

        log1p of counts per 10,000 makes one molecule of a cell with N molecules log1p(10,000 / N).
        """
        one = np.expm1(self.cell_min.astype(np.float64))
        return np.divide(self.cell_sum, one, out=np.zeros_like(one), where=one > 0)

    def _add(self, at: int, column: pa.ChunkedArray, start: int) -> None:
        """Add one column, or the part of it in one row group, whose first row is `start`."""
        name = self.genes[at]
        self.types.setdefault(str(column.type), []).append(name)
        if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
            return
        for piece in column.chunks:
            # a NaN that pandas wrote is a null in the file
            values = np.ascontiguousarray(piece.to_numpy(zero_copy_only=False), dtype=np.float32)
            part, found = slice(start, start + len(values)), np.zeros(8, np.int64)
            by_cell = (self.cell_genes, self.cell_sum, self.cell_min, self.cell_max)
            _add_values(values, *(sums[part] for sums in by_cell), found)
            self.gene_cells[at] += found[0]
            self.fractions += int(found[1])
            for kind, times, row in zip(KINDS, found[2:5], found[5:], strict=True):
                if times:
                    self.faults.append(Fault(kind, int(times), start + int(row), name))
            start += len(values)


@kernel
def _add_values(values, genes, total, low, high, found):
    # found: how many above zero, not whole, negative, infinite, NaN; then the first row of each of the last three
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


def read(
    path: Path, *, budget: str | int = "3 GiB", progress: Callable[[int, int], None] | None = None
) -> Scan:
    """Read every value of an expression file once, a block of columns at a time; its index is left out."""
    with pq.ParquetFile(path, memory_map=True) as file:
        schema, n_cells = file.schema_arrow, file.metadata.num_rows
        index = columns.find_index(schema, known=())
        wanted = [(at, name) for at, name in enumerate(schema.names) if name != index]
        sums, column = 40 * n_cells, 12 * max(n_cells, 1)
        work = "reading one gene of all cells"
        memory.require(sums + column, budget=budget, work=work, remedy="Raise the budget.")
        width = int(min(128, max(1, (memory.to_bytes(budget) - sums) // (4 * column))))
        by_cell = (np.zeros(n_cells, kind) for kind in (np.int32, np.float64, np.float32, np.float32))
        scan = Scan([name for _, name in wanted], *by_cell, np.zeros(len(wanted), np.int64))
        start = 0
        for group in range(file.metadata.num_row_groups):
            for first in range(0, len(wanted), width):
                block = [at for at, _ in wanted[first : first + width]]
                table = file.reader.read_row_group(group, column_indices=block, use_threads=True)
                for offset in range(len(block)):
                    scan._add(first + offset, table.column(offset), start)
                if progress is not None:
                    progress(min(first + width, len(wanted)), len(wanted))
            start += file.metadata.row_group(group).num_rows
    return scan
