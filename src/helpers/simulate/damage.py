"""Damaged copies of a release: what goes wrong with files, made on purpose for tests and for teaching."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from helpers import names


@dataclass(frozen=True)
class Damage:
    """One way to damage a release: the file to blame, what is done to it, and the doing."""

    file: str
    story: str
    inflict: Callable[[Path], None]

    def __call__(self, folder: Path) -> None:
        """Damage the release in `folder`, for good."""
        self.inflict(Path(folder))


def copy(release: Path, folder: Path, *, damage: str) -> Path:
    """Copy a release and damage the copy; the release itself is left alone.

    Parameters
    ----------
    release
        Folder of a whole release.
    folder
        New folder for the copy.
    damage
        One of `DAMAGES`.

    Returns
    -------
    pathlib.Path
        `folder`.
    """
    shutil.copytree(release, folder)
    DAMAGES[damage](folder)
    return Path(folder)


def _change(file: str, edit: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    def inflict(folder: Path) -> None:
        path = folder / file
        table = edit(pq.read_table(path))
        pq.write_table(table, path, row_group_size=max(table.num_rows, 1))

    return inflict


def _cut(file: str, share: float) -> Callable[[Path], None]:
    def inflict(folder: Path) -> None:
        path = folder / file
        with path.open("r+b") as stream:
            stream.truncate(int(path.stat().st_size * share))

    return inflict


def _overwrite(file: str) -> Callable[[Path], None]:
    """Spoil bytes in the first third of a file, and leave its footer whole."""

    def inflict(folder: Path) -> None:
        path = folder / file
        size = path.stat().st_size
        with path.open("r+b") as stream:
            stream.seek(size // 4)
            stream.write(b"\xff" * max(size // 20, 64))

    return inflict


def _exchange(one: str, other: str) -> Callable[[Path], None]:
    def inflict(folder: Path) -> None:
        aside = folder / "aside"
        (folder / one).rename(aside)
        (folder / other).rename(folder / one)
        aside.rename(folder / other)

    return inflict


def _remove(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def _reorder(*, keep: tuple[str, ...] = ()) -> Callable[[pa.Table], pa.Table]:
    """Put rows in another order, the columns `keep` left as they were."""

    def edit(table: pa.Table) -> pa.Table:
        order = np.random.default_rng(0).permutation(table.num_rows)
        moved = table.take(order)
        for name in keep:
            if name in table.column_names:
                moved = moved.set_column(moved.column_names.index(name), name, table.column(name))
        return moved

    return edit


def _drop_index(table: pa.Table) -> pa.Table:
    moved = _reorder()(table)
    stored = [name for name in (names.INDEX_COLUMN,) if name in moved.column_names]
    return moved.drop_columns(stored).replace_schema_metadata(None)


def _shuffle(column: str) -> Callable[[pa.Table], pa.Table]:
    def edit(table: pa.Table) -> pa.Table:
        order = np.random.default_rng(1).permutation(table.num_rows)
        return table.set_column(table.column_names.index(column), column, table.column(column).take(order))

    return edit


def _replace(column: str | None, make: Callable[[np.ndarray], np.ndarray]) -> Callable[[pa.Table], pa.Table]:
    """Replace one column (the first gene if none) by values made from it."""

    def edit(table: pa.Table) -> pa.Table:
        name = column or next(n for n in table.column_names if n != names.INDEX_COLUMN)
        values = make(table.column(name).to_numpy())
        return table.set_column(table.column_names.index(name), name, pa.array(values))

    return edit


def _put(value: float, row: int = 7) -> Callable[[np.ndarray], np.ndarray]:
    def make(values: np.ndarray) -> np.ndarray:
        values = values.copy()
        values[row] = value
        return values

    return make


def _exchange_rows(table: pa.Table) -> pa.Table:
    order = np.arange(table.num_rows)
    order[[0, -1]] = order[[-1, 0]]
    return table.take(order)


def _genes(table: pa.Table) -> list[str]:
    return [name for name in table.column_names if name != names.INDEX_COLUMN]


def _reorder_genes(table: pa.Table) -> pa.Table:
    genes = _genes(table)
    return table.select([*genes[1:], genes[0], *(n for n in table.column_names if n not in set(genes))])


def _exchange_two_genes(table: pa.Table) -> pa.Table:
    """Exchange the values of the densest gene and the sparsest, and leave their names where they are."""
    genes = _genes(table)
    filled = [np.count_nonzero(table.column(gene).to_numpy()) for gene in genes]
    one, other = genes[int(np.argmax(filled))], genes[int(np.argmin(filled))]
    first, second = table.column(one), table.column(other)
    table = table.set_column(table.column_names.index(one), one, second)
    return table.set_column(table.column_names.index(other), other, first)


def _all_genes(make: Callable[[np.ndarray], np.ndarray]) -> Callable[[pa.Table], pa.Table]:
    def edit(table: pa.Table) -> pa.Table:
        genes = set(_genes(table))
        columns = [
            pa.array(make(table.column(name).to_numpy())) if name in genes else table.column(name)
            for name in table.column_names
        ]
        return pa.table(columns, names=table.column_names)

    return edit


def _scale(values: np.ndarray) -> np.ndarray:
    return ((values - values.mean()) / max(float(values.std()), 1e-6)).astype(np.float32)


_E, _S, _F = names.EXPRESSION_FILE, names.SAMPLE_FILE, names.FEATURE_FILE
_P = names.PROJECTION_FILES

DAMAGES: dict[str, Damage] = {
    **{
        f"missing {file}": Damage(file, "the file is not there", _remove(file))
        for file in names.RELEASE_FILES
    },
    "truncated expression": Damage(_E, "the transfer stopped half-way", _cut(_E, 0.5)),
    "truncated metadata": Damage(_S, "the transfer stopped half-way", _cut(_S, 0.5)),
    "truncated projection": Damage(_P[names.PCA], "the last byte is missing", _cut(_P[names.PCA], 0.999)),
    "truncated JSON": Damage(
        names.UNSTRUCTURED_FILE, "the transfer stopped half-way", _cut(names.UNSTRUCTURED_FILE, 0.5)
    ),
    "spoiled expression": Damage(
        _E, "bytes inside the file are overwritten, its footer is whole", _overwrite(_E)
    ),
    "empty expression": Damage(_E, "no bytes", _cut(_E, 0)),
    "empty features": Damage(_F, "no bytes", _cut(_F, 0)),
    "empty license": Damage(names.LICENSE_FILE, "no bytes", _cut(names.LICENSE_FILE, 0)),
    "no rows": Damage(
        _P[names.UMAP], "columns, but no row", _change(_P[names.UMAP], lambda t: t.slice(0, 0))
    ),
    "swapped metadata": Damage(_S, "sample and feature metadata under each other's name", _exchange(_S, _F)),
    "swapped projections": Damage(
        _P[names.UMAP], "UMAP and t-SNE under each other's name", _exchange(_P[names.UMAP], _P[names.TSNE])
    ),
    "swapped expression": Damage(
        _E, "expression and scVI under each other's name", _exchange(_E, _P[names.SCVI])
    ),
    "swapped reports": Damage(
        names.STRUCTURE_FILE,
        "a report replaced by the license",
        _exchange(names.STRUCTURE_FILE, names.LICENSE_FILE),
    ),
    "reordered expression": Damage(
        _E, "rows in another order", _change(_E, _reorder(keep=(names.INDEX_COLUMN,)))
    ),
    "exchanged cells": Damage(_E, "two rows exchanged", _change(_E, _exchange_rows)),
    "reordered metadata": Damage(_S, "rows in another order, barcodes with them", _change(_S, _reorder())),
    "reordered metadata under its barcodes": Damage(
        _S, "rows in another order, barcodes left", _change(_S, _reorder(keep=(names.INDEX_COLUMN,)))
    ),
    "reordered projection": Damage(
        _P[names.UMAP], "rows in another order, barcodes with them", _change(_P[names.UMAP], _reorder())
    ),
    "reordered projection without barcodes": Damage(
        _P[names.SCVI], "rows in another order, no barcodes", _change(_P[names.SCVI], _drop_index)
    ),
    "reordered genes": Damage(_E, "the first gene moved to the end", _change(_E, _reorder_genes)),
    "exchanged genes": Damage(
        _E, "the values of two genes exchanged under their names", _change(_E, _exchange_two_genes)
    ),
    "reordered features": Damage(_F, "genes in another order", _change(_F, _reorder())),
    "shuffled ages": Damage(_S, "ages in another order than donors", _change(_S, _shuffle(names.AGE_GROUP))),
    "shuffled counts": Damage(_S, "n_counts in another order", _change(_S, _shuffle(names.N_COUNTS))),
    "missing cells": Damage(
        _P[names.TSNE],
        "the last tenth of the rows is gone",
        _change(_P[names.TSNE], lambda t: t.slice(0, t.num_rows * 9 // 10)),
    ),
    "missing rows": Damage(_E, "the last row is gone", _change(_E, lambda t: t.slice(0, t.num_rows - 1))),
    "missing gene": Damage(_E, "one gene is gone", _change(_E, lambda t: t.drop_columns(_genes(t)[3:4]))),
    "missing dimension": Damage(
        _P[names.SCVI], "one dimension is gone", _change(_P[names.SCVI], lambda t: t.drop_columns(["SCVI7"]))
    ),
    "missing column": Damage(_S, "the donors are gone", _change(_S, lambda t: t.drop_columns([names.DONOR]))),
    "NaN in expression": Damage(_E, "one NaN", _change(_E, _replace(None, _put(np.nan)))),
    "infinite expression": Damage(_E, "one infinite value", _change(_E, _replace(None, _put(np.inf)))),
    "negative expression": Damage(_E, "one negative value", _change(_E, _replace(None, _put(-1.0)))),
    "scaled expression": Damage(
        _E, "every gene with mean 0 and standard deviation 1", _change(_E, _all_genes(_scale))
    ),
    "raw expression": Damage(
        _E,
        "whole numbers in place of log values",
        _change(_E, _all_genes(lambda v: np.rint(np.expm1(v)).astype(np.float32))),
    ),
    "other logarithm": Damage(
        _E,
        "log2 in place of the natural logarithm",
        _change(_E, _all_genes(lambda v: (v / np.log(2)).astype(np.float32))),
    ),
    "text expression": Damage(
        _E, "one gene as text", _change(_E, _replace(None, lambda v: v.astype(str).astype(object)))
    ),
    "NaN in projection": Damage(
        _P[names.PCA], "one NaN", _change(_P[names.PCA], _replace("PCA3", _put(np.nan)))
    ),
    "text in projection": Damage(
        _P[names.PCA],
        "numbers as text",
        _change(_P[names.PCA], _replace("PCA3", lambda v: v.astype(str).astype(object))),
    ),
    "text counts": Damage(
        _S, "n_counts as text", _change(_S, _replace(names.N_COUNTS, lambda v: v.astype(str).astype(object)))
    ),
    "numeric labels": Damage(
        _S,
        "cell types as numbers",
        _change(_S, _replace(names.LEVEL0, lambda v: np.unique(v.astype(str), return_inverse=True)[1])),
    ),
    "NaN in metadata": Damage(
        _S,
        "one n_genes missing",
        _change(_S, _replace(names.N_GENES, lambda v: _put(np.nan)(v.astype(float)))),
    ),
    "wrong midpoints": Damage(
        _S, "ages ten years off", _change(_S, _replace(names.AGE_MIDPOINT, lambda v: v + 10))
    ),
    "unknown assay": Damage(
        _S,
        "'cells' written as 'cell'",
        _change(_S, _replace(names.ASSAY, lambda v: np.where(v == "cells", "cell", v).astype(object))),
    ),
    "wrong cell type": Damage(
        _S,
        "half of the cell types exchanged",
        _change(_S, _replace(names.LEVEL0, lambda v: np.concatenate([v[len(v) // 2 :], v[: len(v) // 2]]))),
    ),
}
