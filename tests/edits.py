"""Ways to spoil a file of a release; each makes a function of the folder or of the table."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from helpers import names


def change(file: str, edit: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    """Rewrite a table, edited."""

    def inflict(folder: Path) -> None:
        path = folder / file
        table = edit(pq.read_table(path))
        pq.write_table(table, path, row_group_size=max(table.num_rows, 1))

    return inflict


def cut(file: str, share: float) -> Callable[[Path], None]:
    """Keep only a share of the bytes of a file."""

    def inflict(folder: Path) -> None:
        path = folder / file
        with path.open("r+b") as stream:
            stream.truncate(int(path.stat().st_size * share))

    return inflict


def overwrite(file: str) -> Callable[[Path], None]:
    """Spoil bytes in the first third of a file, and leave its footer whole."""

    def inflict(folder: Path) -> None:
        path = folder / file
        size = path.stat().st_size
        with path.open("r+b") as stream:
            stream.seek(size // 4)
            stream.write(b"\xff" * max(size // 20, 64))

    return inflict


def exchange(one: str, other: str) -> Callable[[Path], None]:
    """Give two files each other's name."""

    def inflict(folder: Path) -> None:
        aside = folder / "aside"
        (folder / one).rename(aside)
        (folder / other).rename(folder / one)
        aside.rename(folder / other)

    return inflict


def remove(file: str) -> Callable[[Path], None]:
    """Remove a file."""
    return lambda folder: (folder / file).unlink()


def reorder(*, keep: tuple[str, ...] = ()) -> Callable[[pa.Table], pa.Table]:
    """Put rows in another order, the columns `keep` left as they were."""

    def edit(table: pa.Table) -> pa.Table:
        order = np.random.default_rng(0).permutation(table.num_rows)
        moved = table.take(order)
        for name in keep:
            if name in table.column_names:
                moved = moved.set_column(moved.column_names.index(name), name, table.column(name))
        return moved

    return edit


def drop_index(table: pa.Table) -> pa.Table:
    """Put rows in another order and drop their barcodes."""
    moved = reorder()(table)
    stored = [name for name in (names.INDEX_COLUMN,) if name in moved.column_names]
    return moved.drop_columns(stored).replace_schema_metadata(None)


def shuffle(column: str) -> Callable[[pa.Table], pa.Table]:
    """Put one column in another order."""

    def edit(table: pa.Table) -> pa.Table:
        order = np.random.default_rng(1).permutation(table.num_rows)
        return table.set_column(table.column_names.index(column), column, table.column(column).take(order))

    return edit


def replace(column: str | None, make: Callable[[np.ndarray], np.ndarray]) -> Callable[[pa.Table], pa.Table]:
    """Replace one column (the first gene if none) by values made from it."""

    def edit(table: pa.Table) -> pa.Table:
        name = column or next(n for n in table.column_names if n != names.INDEX_COLUMN)
        values = make(table.column(name).to_numpy())
        return table.set_column(table.column_names.index(name), name, pa.array(values))

    return edit


def put(value: float, row: int = 7) -> Callable[[np.ndarray], np.ndarray]:
    """Return values with one of them replaced."""

    def make(values: np.ndarray) -> np.ndarray:
        values = values.copy()
        values[row] = value
        return values

    return make


def exchange_rows(table: pa.Table) -> pa.Table:
    """Exchange the first row and the last."""
    order = np.arange(table.num_rows)
    order[[0, -1]] = order[[-1, 0]]
    return table.take(order)


def genes(table: pa.Table) -> list[str]:
    """Return the columns that are genes."""
    return [name for name in table.column_names if name != names.INDEX_COLUMN]


def reorder_genes(table: pa.Table) -> pa.Table:
    """Move the first gene to the end."""
    symbols = genes(table)
    return table.select([*symbols[1:], symbols[0], *(n for n in table.column_names if n not in set(symbols))])


def exchange_two_genes(table: pa.Table) -> pa.Table:
    """Exchange the values of the densest gene and the sparsest, and leave their names where they are."""
    symbols = genes(table)
    filled = [np.count_nonzero(table.column(gene).to_numpy()) for gene in symbols]
    one, other = symbols[int(np.argmax(filled))], symbols[int(np.argmin(filled))]
    first, second = table.column(one), table.column(other)
    table = table.set_column(table.column_names.index(one), one, second)
    return table.set_column(table.column_names.index(other), other, first)


def all_genes(make: Callable[[np.ndarray], np.ndarray]) -> Callable[[pa.Table], pa.Table]:
    """Replace every gene by values made from it."""

    def edit(table: pa.Table) -> pa.Table:
        symbols = set(genes(table))
        columns = [
            pa.array(make(table.column(name).to_numpy())) if name in symbols else table.column(name)
            for name in table.column_names
        ]
        return pa.table(columns, names=table.column_names)

    return edit


def scale(values: np.ndarray) -> np.ndarray:
    """Return values with mean 0 and standard deviation 1."""
    return ((values - values.mean()) / max(float(values.std()), 1e-6)).astype(np.float32)
