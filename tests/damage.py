"""Damaged copies of a release: what goes wrong with files, made on purpose."""

import shutil
from collections.abc import Callable
from operator import methodcaller
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from helpers import names

Edit = Callable[[pa.Table], pa.Table]


class Damage(NamedTuple):
    file: str
    inflict: Callable[[Path], None]

    def __call__(self, folder: Path) -> None:
        self.inflict(Path(folder) / self.file)


def copy(release: Path, folder: Path, *, damage: str) -> Path:
    shutil.copytree(release, folder)
    DAMAGES[damage](folder)
    return Path(folder)


def cut(share: float) -> Callable[[Path], None]:
    def inflict(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return inflict


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    start, length = len(data) // 4, max(len(data) // 20, 64)
    data[start : start + length] = b"\xff" * length
    path.write_bytes(data)


def swap(other: str) -> Callable[[Path], None]:
    def inflict(path: Path) -> None:
        one, two = path.read_bytes(), path.with_name(other).read_bytes()
        path.write_bytes(two)
        path.with_name(other).write_bytes(one)

    return inflict


def change(edit: Edit) -> Callable[[Path], None]:
    def inflict(path: Path) -> None:
        table = edit(pq.read_table(path))
        pq.write_table(table, path, row_group_size=max(table.num_rows, 1))

    return inflict


def put(table: pa.Table, column: str, values: pa.ChunkedArray | pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(column), column, values)


def genes(table: pa.Table) -> list[str]:
    return [name for name in table.column_names if name != names.INDEX_COLUMN]


def reorder(*keep: str) -> Edit:
    def edit(table: pa.Table) -> pa.Table:
        moved = table.take(np.random.default_rng(0).permutation(table.num_rows))
        for name in set(keep) & set(table.column_names):
            moved = put(moved, name, table.column(name))
        return moved

    return edit


def drop_index(table: pa.Table) -> pa.Table:
    return reorder()(table).select(genes(table)).replace_schema_metadata(None)


def replace(column: str | None, make: Callable[[np.ndarray], np.ndarray]) -> Edit:
    def edit(table: pa.Table) -> pa.Table:
        name = column or genes(table)[0]
        return put(table, name, pa.array(make(table.column(name).to_numpy())))

    return edit


def one(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def make(values: np.ndarray) -> np.ndarray:
        values = values.astype(float if values.dtype.kind == "i" else values.dtype)
        values[7] = value
        return values

    return make


def exchange_two_genes(table: pa.Table) -> pa.Table:
    filled = {gene: np.count_nonzero(table.column(gene).to_numpy()) for gene in genes(table)}
    dense, sparse = max(filled, key=filled.get), min(filled, key=filled.get)
    return put(put(table, dense, table.column(sparse)), sparse, table.column(dense))


def all_genes(make: Callable[[np.ndarray], np.ndarray]) -> Edit:
    def edit(table: pa.Table) -> pa.Table:
        for gene in genes(table):
            table = put(table, gene, pa.array(make(table.column(gene).to_numpy())))
        return table

    return edit


def scale(values: np.ndarray) -> np.ndarray:
    return ((values - values.mean()) / max(float(values.std()), 1e-6)).astype(np.float32)


_E, _S, _F = names.EXPRESSION_FILE, names.SAMPLE_FILE, names.FEATURE_FILE
_SCVI, _UMAP, _PCA, _TSNE = names.PROJECTION_FILES.values()
_BARCODES = names.INDEX_COLUMN
AS_TEXT = methodcaller("astype", "U")  # what is done to values

# The file to blame, and what is done to its bytes.
_BYTES = {
    **{f"missing {file}": (file, Path.unlink) for file in names.RELEASE_FILES},
    "truncated expression": (_E, cut(0.5)),
    "truncated metadata": (_S, cut(0.5)),
    "truncated projection": (_PCA, cut(0.999)),
    "truncated JSON": (names.UNSTRUCTURED_FILE, cut(0.5)),
    "spoiled expression": (_E, spoil),
    "empty expression": (_E, cut(0)),
    "empty features": (_F, cut(0)),
    "empty license": (names.LICENSE_FILE, cut(0)),
    "swapped metadata": (_S, swap(_F)),
    "swapped projections": (_UMAP, swap(_TSNE)),
    "swapped expression": (_E, swap(_SCVI)),
    "swapped reports": (names.STRUCTURE_FILE, swap(names.LICENSE_FILE)),
}
# The file to blame, and what is done to its table.
_TABLES = {
    "no rows": (_UMAP, lambda table: table.slice(0, 0)),
    "reordered expression": (_E, reorder(_BARCODES)),
    "exchanged cells": (_E, lambda table: table.take([len(table) - 1, *range(1, len(table) - 1), 0])),
    "reordered metadata": (_S, reorder()),
    "reordered metadata under its barcodes": (_S, reorder(_BARCODES)),
    "reordered projection": (_UMAP, reorder()),
    "reordered projection without barcodes": (_SCVI, drop_index),
    "reordered genes": (_E, lambda table: table.select([*table.column_names[1:], table.column_names[0]])),
    "exchanged genes": (_E, exchange_two_genes),
    "reordered features": (_F, reorder()),
    "shuffled ages": (_S, replace(names.AGE_GROUP, np.random.default_rng(1).permutation)),
    "shuffled counts": (_S, replace(names.N_COUNTS, np.random.default_rng(1).permutation)),
    "missing cells": (_TSNE, lambda table: table.slice(0, table.num_rows * 9 // 10)),
    "missing rows": (_E, lambda table: table.slice(0, table.num_rows - 1)),
    "missing gene": (_E, lambda table: table.drop_columns(genes(table)[3:4])),
    "missing dimension": (_SCVI, lambda table: table.drop_columns(["SCVI7"])),
    "missing column": (_S, lambda table: table.drop_columns([names.DONOR])),
    "NaN in expression": (_E, replace(None, one(np.nan))),
    "infinite expression": (_E, replace(None, one(np.inf))),
    "negative expression": (_E, replace(None, one(-1.0))),
    "scaled expression": (_E, all_genes(scale)),
    "raw expression": (_E, all_genes(lambda values: np.rint(np.expm1(values)).astype(np.float32))),
    "other logarithm": (_E, all_genes(lambda values: (values / np.log(2)).astype(np.float32))),
    "text expression": (_E, replace(None, AS_TEXT)),
    "NaN in projection": (_PCA, replace("PCA3", one(np.nan))),
    "text in projection": (_PCA, replace("PCA3", AS_TEXT)),
    "text counts": (_S, replace(names.N_COUNTS, AS_TEXT)),
    "numeric labels": (_S, replace(names.LEVEL0, lambda values: pd.factorize(values)[0])),
    "NaN in metadata": (_S, replace(names.N_GENES, one(np.nan))),
    "wrong midpoints": (_S, replace(names.AGE_MIDPOINT, lambda values: values + 10)),
    "unknown assay": (_S, replace(names.ASSAY, lambda values: np.where(values == "cells", "cell", values))),
    "wrong cell type": (_S, replace(names.LEVEL0, lambda values: np.roll(values, len(values) // 2))),
}
DAMAGES = {name: Damage(*what) for name, what in _BYTES.items()}
DAMAGES |= {name: Damage(file, change(edit)) for name, (file, edit) in _TABLES.items()}
