"""Releases as different programs write them, opened and checked."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers import names
from helpers.atlas import release
from helpers.errors import ReleaseError


def assert_same(atlas, micro):
    """The atlas holds exactly what was written, whichever way."""
    assert atlas.obs[names.BARCODE].to_list() == micro.barcodes
    assert atlas.var[names.GENE].to_list() == micro.genes
    np.testing.assert_array_equal(atlas.genes(micro.genes).to_numpy(), micro.x)
    adata = atlas.to_anndata()
    micro.assert_held(adata)
    assert (list(adata.obs_names), list(adata.var_names)) == (micro.barcodes, micro.genes)
    np.testing.assert_array_equal(adata.obsm[names.UMAP], micro.umap)


def test_a_plain_release_is_read_as_written(folder, micro):
    (folder / names.PROJECTION_FILES[names.PCA]).unlink()
    atlas = release.Release(folder)
    assert_same(atlas, micro)
    assert not atlas.simulated
    assert atlas.truth("age_expression") is None
    assert atlas.projection(names.PCA) is None
    assert names.PCA in atlas.missing
    assert names.UMAP not in atlas.missing


def put(folder, micro, what, change):
    """Change a table of the release, barcodes or genes as its index, to one of pandas or polars."""
    file, table = {
        "obs": (names.SAMPLE_FILE, micro.obs),
        "var": (names.FEATURE_FILE, micro.var),
        "x": (names.EXPRESSION_FILE, pd.DataFrame(micro.x, micro.barcodes, micro.genes)),
        "umap": (names.PROJECTION_FILES[names.UMAP], pd.DataFrame(micro.umap, micro.barcodes, ["UMAP1", "UMAP2"])),
    }[what]  # fmt: skip
    table = change(table)
    (table.write_parquet if isinstance(table, pl.DataFrame) else table.to_parquet)(folder / file)


def bare(frame):
    return pl.from_pandas(frame.reset_index(drop=True))


def reverse(frame):
    return frame.iloc[::-1]


WAYS = {  # the same release, written otherwise: table, change, what is noted
    "barcodes in the expression, its rows reversed": ("x", lambda f: pl.from_pandas(reverse(f).reset_index(names=names.INDEX_COLUMN)), "aligned by barcode"),
    "barcodes in the expression under a name": ("x", lambda f: pl.from_pandas(reverse(f).reset_index(names="barcode")), "aligned by barcode"),
    "a phantom index of row numbers": ("x", lambda f: bare(f).with_row_index(names.INDEX_COLUMN), ""),
    "cells with an index of a name": ("obs", lambda f: f.rename_axis("barcode"), ""),
    "barcodes in the expression alone": ("obs", lambda f: f.reset_index(drop=True), "has no barcodes: they are those of"),
    "a map in another order": ("umap", reverse, ""),
    "genes in another order": ("var", reverse, "aligned by __index_level_0__"),
    "genes in another order by id": ("var", lambda f: reverse(f).set_index(names.ENSEMBL), "aligned by gene_ids"),
    "genes in another order by number": ("var", lambda f: reverse(f).reset_index(drop=True), "aligned by gene_ids"),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_a_release_written_another_way_is_the_same(folder, micro, way):
    what, change, noted = WAYS[way]
    if "alone" in way:
        put(folder, micro, "x", lambda f: f)
    put(folder, micro, what, change)
    atlas = release.Release(folder)
    assert_same(atlas, micro)
    assert atlas.var[names.N_CELLS].to_list() == list(micro.var[names.N_CELLS])
    assert noted in " ".join(atlas.notes)


def test_barcodes_are_made_from_row_numbers_and_said_so(folder, micro):
    micro.obs.reset_index(drop=True).to_parquet(folder / names.SAMPLE_FILE)
    atlas = release.Release(folder)
    assert atlas.obs[names.BARCODE].to_list()[:2] == ["row-000000", "row-000001"]
    assert names.BARCODE in atlas.missing
    assert any("made from row numbers" in note for note in atlas.notes)
    np.testing.assert_array_equal(atlas.projection(names.UMAP), micro.umap)  # aligned by order


def test_absent_columns_are_null_and_named(folder, micro):
    micro.obs.drop(columns=[names.SEX, names.DOUBLET_SCORE]).to_parquet(folder / names.SAMPLE_FILE)
    atlas = release.Release(folder)
    assert {names.SEX, names.DOUBLET_SCORE} <= set(atlas.missing)
    assert atlas.obs[names.SEX].null_count() == 40
    assert atlas.to_anndata().obs[names.SEX].isna().all()


def test_symbols_that_come_twice_are_made_unique_and_reported(folder, micro):
    arrays = [pa.array(column) for column in micro.x.T]
    twice = ["MB" if gene == "CKM" else gene for gene in micro.genes]
    pq.write_table(pa.Table.from_arrays(arrays, names=twice), folder / names.EXPRESSION_FILE)
    table = micro.var.assign(SYMBOL=twice, gene_ids=twice).reset_index(drop=True)
    table.to_parquet(folder / names.FEATURE_FILE)
    atlas = release.Release(folder)
    assert atlas.var[names.GENE].to_list()[7:9] == ["MB", "MB-1"]
    np.testing.assert_array_equal(atlas.genes(["MB-1", "MB"]).to_numpy(), micro.x[:, [8, 7]])
    assert any("made unique: MB" in note for note in atlas.notes)


@pytest.mark.parametrize("dtype", ["float64", "int32"])
def test_other_number_types_are_converted_and_noted(folder, micro, dtype):
    values = micro.counts if dtype == "int32" else micro.x
    put(folder, micro, "x", lambda _: pd.DataFrame(values.astype(dtype), columns=micro.genes))
    atlas = release.Release(folder)
    assert any("12 expression columns are not float32" in note for note in atlas.notes)
    adata = atlas.to_anndata()
    assert adata.X.dtype == np.float32
    np.testing.assert_array_equal(adata.layers[names.COUNTS].toarray(), micro.counts)


def strange(frame):
    return frame.set_axis(["strange", *frame.index[1:]])


def holed(frame, bad=np.nan):
    frame.loc[frame.index[5], "TP53"] = bad
    return frame.reset_index(drop=True)


REFUSED = {
    "row numbers in another order": ("x", lambda f: bare(f).with_row_index(names.INDEX_COLUMN).reverse(), "not the row numbers"),
    "other barcodes": ("x", strange, r"expression\.parquet lacks 1 of the 40 barcodes.*first 'lib"),
    "wrong types, all at once": ("obs", lambda f: f.assign(n_genes="many", n_counts="few"), r"'n_counts' should be Float64.*'n_genes' should be Int64.*'many'"),
    "cells of two releases": ("obs", lambda f: f.iloc[:-3], r"37 rows, .* has 40.*mixed"),
    "a map of fewer cells": ("umap", lambda f: f.iloc[:30], r"30 rows, .* has 40"),
    "a map of other cells": ("umap", strange, "X_umap.parquet lacks 1 of the 40 barcodes"),
    "other genes": ("var", lambda f: f.assign(SYMBOL="x", gene_ids="y").reset_index(drop=True), "does not name the genes.*MYH7"),
    "fewer genes": ("var", lambda f: f.iloc[:-1], r"11 genes, .* has 12"),
    "texts": ("x", lambda f: f.astype({"MYH7": str, "TTN": str}), "2 gene columns are not numbers, first MYH7"),
    "NaN": ("x", holed, "gene TP53 is .* in row 5"),
    "infinite": ("x", lambda f: holed(f, np.inf), "gene TP53 is .* in row 5"),
    "a null of Parquet, not a NaN": ("x", lambda f: pl.from_pandas(holed(f), nan_to_null=True), "gene TP53 is .* in row 5"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_rightly_is_refused_in_words(folder, micro, name):
    what, change, said = REFUSED[name]
    put(folder, micro, what, change)
    with pytest.raises(ReleaseError, match=said):
        release.Release(folder).to_anndata()


def test_a_missing_file_is_answered_with_the_nearest_name(folder):
    (folder / names.EXPRESSION_FILE).rename(folder / "skeletal_muscle_10x_expresion.parquet")
    with pytest.raises(ReleaseError, match=r"is not a release: it lacks .*\(is \S+_expresion.parquet it\?\)"):
        release.Release(folder)
