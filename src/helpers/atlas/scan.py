"""One pass over the expression file: what its columns and rows hold, never the dense matrix."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from helpers.atlas import columns, matrix
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

    def _add(self, at: int, column: pa.ChunkedArray) -> None:
        """Add one column."""
        name = self.genes[at]
        self.types.setdefault(str(column.type), []).append(name)
        if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
            return
        # a NaN that pandas wrote is a null in the file
        values, found = np.ascontiguousarray(column.to_numpy(), dtype=np.float32), np.zeros(8, np.int64)
        _add_values(values, self.cell_genes, self.cell_sum, self.cell_min, self.cell_max, found)
        self.gene_cells[at] = found[0]
        self.fractions += int(found[1])
        for kind, times, row in zip(KINDS, found[2:5], found[5:], strict=True):
            if times:
                self.faults.append(Fault(kind, int(times), int(row), name))


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


def read(path: Path, *, progress: Callable[[int, int], None] | None = None) -> Scan:
    """Read every value of an expression file once, a block of columns at a time; its index is left out."""
    expression = matrix.Expression(str(path), pq.read_metadata(path))
    schema, n_cells = expression.footer.schema.to_arrow_schema(), expression.n_rows
    index = columns.find_index(schema, known=())
    wanted = [(at, name) for at, name in enumerate(schema.names) if name != index]
    by_cell = (np.zeros(n_cells, kind) for kind in (np.int32, np.float64, np.float32, np.float32))
    scan = Scan([name for _, name in wanted], *by_cell, np.zeros(len(wanted), np.int64))
    width = matrix.block_width(n_cells)
    for first in range(0, len(wanted), width):
        block = wanted[first : first + width]
        table = expression.read([at for at, _ in block])
        for offset, column in enumerate(table.columns):
            scan._add(first + offset, column)
        if progress is not None:
            progress(first + len(block), len(wanted))
    return scan
