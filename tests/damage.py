"""Damaged releases: what goes wrong with files, made on purpose, and what `validate` must say of it."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from helpers import names


class Damage(NamedTuple):
    file: str  # the one to blame
    inflict: Callable[[Path], None]
    check: str = ".*"
    said: str = ""

    def __call__(self, folder):
        self.inflict(Path(folder) / self.file)
        return folder


def cut(share):
    return lambda path: path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def written(text):
    return lambda path: path.write_text(text)


def spoil(path):
    data = bytearray(path.read_bytes())
    start, length = len(data) // 4, max(len(data) // 20, 64)
    data[start : start + length] = b"\xff" * length
    path.write_bytes(data)


def swap(other):
    def inflict(path):
        one, two = path.read_bytes(), path.with_name(other).read_bytes()
        path.write_bytes(two)
        path.with_name(other).write_bytes(one)

    return inflict


def table(edit):
    def inflict(path):
        changed = edit(pq.read_table(path))
        pq.write_table(changed, path, row_group_size=max(changed.num_rows, 1))

    return inflict


def genes(held):
    return [name for name in held.column_names if name != names.INDEX_COLUMN]


def put(held, column, values):
    return held.set_column(held.column_names.index(column), column, values)


def reorder(*keep):
    def edit(held):
        moved = held.take(np.random.default_rng(0).permutation(held.num_rows))
        for name in set(keep) & set(held.column_names):
            moved = put(moved, name, held.column(name))
        return moved

    return table(edit)


def column(name, make):
    """Change the values of one column, of the first gene if none is named, of every gene for "genes"."""

    def edit(held):
        for chosen in genes(held) if name == "genes" else [name or genes(held)[0]]:
            held = put(held, chosen, pa.array(make(held.column(chosen).to_numpy())))
        return held

    return table(edit)


def one(value):
    def make(values):
        values = values.astype(float if values.dtype.kind == "i" else values.dtype)
        values[7] = value
        return values

    return make


def shuffle(values):
    return values[np.random.default_rng(1).permutation(len(values))]


def as_text(values):
    return values.astype(str).astype(object)


def exchange_two_genes(held):
    filled = {gene: np.count_nonzero(held.column(gene).to_numpy()) for gene in genes(held)}
    dense, sparse = max(filled, key=filled.get), min(filled, key=filled.get)
    return put(put(held, dense, held.column(sparse)), sparse, held.column(dense))


def scale(values):
    return ((values - values.mean()) / max(float(values.std()), 1e-6)).astype(np.float32)


_E, _S, _F = names.EXPRESSION_FILE, names.SAMPLE_FILE, names.FEATURE_FILE
_SCVI, _UMAP, _PCA, _TSNE = names.PROJECTION_FILES.values()
_BARCODES, _SETTINGS = names.INDEX_COLUMN, names.UNSTRUCTURED_FILE

DAMAGES = {name: Damage(*what) for name, what in {
    **{f"missing {file}": (file, Path.unlink, "readable", rf"missing .*Fetch or write {file} again") for file in names.RELEASE_FILES},
    "truncated expression": (_E, cut(0.5), "readable", r"cannot be read as a whole Parquet file \([\d,]+ bytes\): "),
    "truncated metadata": (_S, cut(0.5)),
    "truncated projection": (_PCA, cut(0.9)),
    "truncated JSON": (_SETTINGS, cut(0.5), "readable", r"unstructured_metadata\.json .*a JSON object"),
    "nested JSON": (names.VALIDATION_FILE, written("[" * 200_000 + "]" * 200_000), ".*", "recursion|nested"),
    "a list": (names.STRUCTURE_FILE, written("[1]"), ".*", "holds a list, not an object"),
    "text for settings": (_SETTINGS, written('{"pca": "fifty"}'), ".*", "wrong kind under 'pca'"),
    "text for numbers": (_SETTINGS, written('{"pca": {"variance": [1, "2"]}}'), ".*", "wrong kind under 'pca'"),
    "text for labels": (names.STRUCTURE_FILE, written('{"annotation_mapping": "many"}'), ".*", "of the wrong kind"),
    "spoiled expression": (_E, spoil),
    "empty expression": (_E, cut(0)),
    "empty features": (_F, cut(0), "readable", r"empty, 0 bytes"),
    "swapped metadata": (_S, swap(_F), "columns", r"the columns of .*feature_metadata\.parquet.* look swapped: give .* each its own name"),
    "swapped projections": (_UMAP, swap(_TSNE), "columns", r"X_umap\.parquet damaged the columns of .*X_tsne\.parquet"),
    "swapped expression": (_E, swap(_SCVI), "columns", r"expression\.parquet damaged the columns of .*X_scVI\.parquet"),
    "no rows": (_UMAP, table(lambda held: held.slice(0, 0)), "rows", r"X_umap\.parquet damaged 0 rows"),
    "reordered expression": (_E, reorder(_BARCODES), "recomputed", r"n_genes differs in \d+ of 680 rows, first row \d+: .*do not belong together"),
    "exchanged cells": (_E, table(lambda held: held.take([held.num_rows - 1, *range(1, held.num_rows - 1), 0])), "recomputed", r"n_counts differs in 2 of 680 rows, first row 0"),
    "reordered metadata": (_S, reorder(), "barcodes", r"sample_metadata\.parquet damaged the rows in another order: row 0 is 'lib"),
    "reordered metadata under its barcodes": (_S, reorder(_BARCODES), "recomputed", r"n_genes differs in"),
    "reordered projection": (_UMAP, reorder()),
    "reordered projection without barcodes": (_SCVI, lambda path: (reorder()(path), table(lambda held: held.select(genes(held)).replace_schema_metadata(None))(path)), "aligned", r"X_scVI\.parquet .*rows of .*X_scVI\.parquet are in another order"),
    "reordered genes": (_E, table(lambda held: held.select([*held.column_names[1:], held.column_names[0]])), "genes", r"220 genes in another place, first column 0"),
    "exchanged genes": (_E, table(exchange_two_genes), "recomputed", r"feature_metadata\.parquet damaged n_cells differs in 2 of 220 rows"),
    "shuffled ages": (_S, column(names.AGE_GROUP, shuffle), "donors", r"680 cells break it, first row 0: 470BR, \S+ one Age_group for each DonorID"),
    "shuffled counts": (_S, column(names.N_COUNTS, shuffle), "recomputed", r"n_counts differs in"),
    "missing cells": (_TSNE, table(lambda held: held.slice(0, held.num_rows * 9 // 10)), "rows", r"X_tsne\.parquet damaged 612 rows, other files 680"),
    "missing gene": (_E, table(lambda held: held.drop_columns(genes(held)[3:4])), "genes", r"219 columns, 220 genes in .*Fetch or write both"),
    "missing dimension": (_SCVI, table(lambda held: held.drop_columns(["SCVI7"])), "columns", r"X_scVI\.parquet damaged 29 columns, 1 missing: 'SCVI7'"),
    "missing column": (_S, table(lambda held: held.drop_columns([names.DONOR])), "columns", r"15 columns, 1 missing: 'DonorID'"),
    "NaN in expression": (_E, column(None, one(np.nan)), "values", r"1 NaN values in 1 genes, first in row 7, gene 'XIST'"),
    "infinite expression": (_E, column(None, one(np.inf)), "values", r"1 infinite values in 1 genes, first in row 7"),
    "negative expression": (_E, column(None, one(-1.0)), "values", r"1 negative values in 1 genes, first in row 7"),
    "scaled expression": (_E, column("genes", scale)),
    "raw expression": (_E, column("genes", lambda values: np.rint(np.expm1(values))), "value range", r"whole numbers only, up to \d+: raw counts"),
    "other logarithm": (_E, column("genes", lambda values: values / np.float32(np.log(2))), "value range|normalization", r"expm1 of the values of a cell adds up to 10,000|up to 1"),
    "text expression": (_E, column(None, as_text), "types", r"1 of 220 columns are not float32, first 'XIST': string"),
    "NaN in projection": (_PCA, column("PCA3", one(np.nan)), "values", r"1 values missing or infinite, first in row 7, PCA3"),
    "text in projection": (_PCA, column("PCA3", as_text), "types", r"1 column\(s\) of the wrong type: 'PCA3 is String'"),
    "text counts": (_S, column(names.N_COUNTS, as_text), "types", r"1 column\(s\) of the wrong type: 'n_counts is String'"),
    "numeric labels": (_S, column(names.LEVEL0, lambda values: np.unique(values.astype(str), return_inverse=True)[1]), "types", r"'annotation_level0 is Int64'"),
    "NaN in metadata": (_S, column(names.N_GENES, one(np.nan)), "recomputed", r"n_genes differs in 1 of 680 rows, first row 7: stated nan"),
    "wrong midpoints": (_S, column(names.AGE_MIDPOINT, lambda values: values + 10), "ages", r"680 cells break it, first row 0: \S+, (young|old), \S+ age_numeric is the middle of Age_group"),
    "unknown assay": (_S, column(names.ASSAY, lambda values: np.where(values == "cells", "cell", values).astype(object)), "vocabulary", r"\d+ cells break it, first row 0: cell batch is one of 'cells', 'nuclei'"),
    "wrong cell type": (_S, column(names.LEVEL0, lambda values: np.roll(values, len(values) // 2)), "label tree", r"cells that break the tree"),
}.items()}  # fmt: skip
