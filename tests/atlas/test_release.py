"""Releases as different programs write them, opened and checked."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers import names
from helpers.atlas import reader, release
from helpers.errors import ReleaseError


def open_folder(folder):
    return reader.Atlas(release.Release(folder))


def assert_same(atlas, micro):
    """The atlas holds exactly what was written, whichever way."""
    assert atlas.obs[names.BARCODE].to_list() == micro.barcodes
    assert atlas.var[names.GENE].to_list() == micro.genes
    np.testing.assert_array_equal(atlas.genes(micro.genes).to_numpy(), micro.x)
    adata = atlas.to_anndata()
    np.testing.assert_array_equal(adata.X.toarray(), micro.x)
    np.testing.assert_array_equal(adata.layers[names.COUNTS].toarray(), micro.counts)
    assert adata.X.dtype == np.float32
    assert adata.layers[names.COUNTS].dtype == np.int32
    assert list(adata.obs_names) == micro.barcodes
    assert list(adata.var_names) == micro.genes
    np.testing.assert_array_equal(adata.obsm[names.UMAP], micro.umap)


def test_a_plain_release_is_read_as_written(folder, micro):
    atlas = open_folder(folder)
    assert_same(atlas, micro)
    assert not atlas.simulated
    assert atlas.truth("age_expression") is None
    assert atlas.projection(names.PCA) is None
    assert names.PCA in atlas.missing
    assert names.UMAP not in atlas.missing


def test_tables_are_typed_and_in_the_order_of_the_release(folder, micro):
    obs, var = open_folder(folder).obs, open_folder(folder).var
    assert obs.columns == [names.BARCODE, *names.SAMPLE_COLUMNS]
    assert var.columns == [names.GENE, *names.FEATURE_COLUMNS]
    assert all(obs[name].dtype == pl.String for name in names.LABEL_COLUMNS)
    assert obs[names.N_GENES].dtype == pl.Int64
    assert obs[names.N_COUNTS].dtype == pl.Float64
    assert obs[names.LEVEL0].to_list() == list(micro.obs[names.LEVEL0])
    adata = open_folder(folder).to_anndata(counts=False)
    assert list(adata.obs.columns) == list(names.SAMPLE_COLUMNS)
    assert adata.obs[names.LEVEL0].dtype == "category"


@pytest.mark.parametrize("rows", [7, 40])
def test_many_row_groups_are_read_as_one(folder, micro, rows):
    frame = pd.DataFrame(micro.x, columns=micro.genes)
    assert_same(open_folder(micro.write_expression(folder, frame, row_group_size=rows)), micro)


@pytest.mark.parametrize("index", [names.INDEX_COLUMN, "barcode", "index"])
def test_barcodes_in_the_expression_align_its_rows(folder, micro, index):
    order = np.random.default_rng(0).permutation(micro.n_cells)
    frame = pl.DataFrame(micro.x[order], schema=micro.genes)
    frame = frame.insert_column(0, pl.Series(index, [micro.barcodes[i] for i in order]))
    atlas = open_folder(micro.write_expression(folder, frame))
    assert_same(atlas, micro)
    assert any("aligned by barcode" in note for note in atlas.notes)


def test_a_phantom_index_of_row_numbers_is_no_gene(folder, micro):
    frame = pl.DataFrame(micro.x, schema=micro.genes).with_row_index(names.INDEX_COLUMN)
    assert_same(open_folder(micro.write_expression(folder, frame)), micro)


def test_row_numbers_in_another_order_are_refused(folder, micro):
    frame = pl.DataFrame(micro.x, schema=micro.genes).with_row_index(names.INDEX_COLUMN).reverse()
    with pytest.raises(ReleaseError, match="not the row numbers"):
        open_folder(micro.write_expression(folder, frame))


def test_other_barcodes_are_refused(folder, micro):
    frame = pd.DataFrame(micro.x, columns=micro.genes, index=["strange", *micro.barcodes[1:]])
    with pytest.raises(ReleaseError, match=f"lacks 1 of the 40 barcodes.*{micro.barcodes[0]}"):
        open_folder(micro.write_expression(folder, frame))


@pytest.mark.parametrize("name", ["barcode", "index", None])
def test_the_metadata_index_may_be_named(folder, micro, name):
    micro.obs.rename_axis(name).to_parquet(folder / names.SAMPLE_FILE)
    assert_same(open_folder(folder), micro)


def test_metadata_written_by_polars_as_plain_strings(folder, micro):
    table = pl.from_pandas(micro.obs.astype(dict.fromkeys(names.LEVELS, str)))
    table.insert_column(0, pl.Series("barcode", micro.barcodes)).write_parquet(folder / names.SAMPLE_FILE)
    assert_same(open_folder(folder), micro)


def test_barcodes_are_made_from_row_numbers_and_said_so(folder, micro):
    micro.obs.reset_index(drop=True).to_parquet(folder / names.SAMPLE_FILE)
    atlas = open_folder(folder)
    assert atlas.obs[names.BARCODE].to_list()[:2] == ["row-000000", "row-000001"]
    assert names.BARCODE in atlas.missing
    assert any("made from row numbers" in note for note in atlas.notes)
    np.testing.assert_array_equal(atlas.projection(names.UMAP), micro.umap)  # aligned by order


def test_barcodes_only_in_the_expression_are_used(folder, micro):
    micro.obs.reset_index(drop=True).to_parquet(folder / names.SAMPLE_FILE)
    micro.write_expression(folder, pd.DataFrame(micro.x, columns=micro.genes, index=micro.barcodes))
    assert_same(open_folder(folder), micro)


def test_absent_columns_are_null_and_named(folder, micro):
    micro.obs.drop(columns=[names.SEX, names.DOUBLET_SCORE]).to_parquet(folder / names.SAMPLE_FILE)
    atlas = open_folder(folder)
    assert {names.SEX, names.DOUBLET_SCORE} <= set(atlas.missing)
    assert atlas.obs[names.SEX].null_count() == 40
    assert atlas.to_anndata().obs[names.SEX].isna().all()


def test_columns_of_a_wrong_type_are_refused_all_at_once(folder, micro):
    micro.obs.assign(n_genes="many", n_counts="few").to_parquet(folder / names.SAMPLE_FILE)
    said = r"'n_counts' should be Float64.*'n_genes' should be Int64.*'many'"
    with pytest.raises(ReleaseError, match=said):
        open_folder(folder)


def test_a_projection_in_another_order_is_aligned(folder, micro):
    order = np.random.default_rng(1).permutation(micro.n_cells)
    table = pd.DataFrame(micro.umap[order], index=np.array(micro.barcodes)[order], columns=["UMAP1", "UMAP2"])
    table.to_parquet(folder / names.PROJECTION_FILES[names.UMAP])
    assert_same(open_folder(folder), micro)


def test_a_projection_of_other_cells_is_refused(folder, micro):
    path = folder / names.PROJECTION_FILES[names.UMAP]
    pd.DataFrame(micro.umap[:30], index=micro.barcodes[:30], columns=["UMAP1", "UMAP2"]).to_parquet(path)
    with pytest.raises(ReleaseError, match=r"30 rows, .* has 40"):
        open_folder(folder).projection(names.UMAP)
    pd.DataFrame(micro.umap, index=["x", *micro.barcodes[1:]], columns=["UMAP1", "UMAP2"]).to_parquet(path)
    with pytest.raises(ReleaseError, match="lacks 1 of the 40 barcodes"):
        open_folder(folder).projection(names.UMAP)


@pytest.mark.parametrize("index", [None, names.ENSEMBL, "row"])
def test_a_feature_table_in_another_order_finds_its_genes_by_name(folder, micro, index):
    table = micro.var.iloc[::-1].assign(row=range(12))
    table = table if index is None else table.set_index(index, drop=index == "row")
    table.to_parquet(folder / names.FEATURE_FILE)
    atlas = open_folder(folder)
    assert atlas.var[names.N_CELLS].to_list() == list(micro.var[names.N_CELLS])
    assert_same(atlas, micro)


def test_a_feature_table_of_other_genes_is_refused(folder, micro):
    other = micro.var.assign(SYMBOL="x", gene_ids="y").set_axis([f"g{i}" for i in range(12)])
    other.to_parquet(folder / names.FEATURE_FILE)
    with pytest.raises(ReleaseError, match=r"does not name the genes.*MYH7"):
        open_folder(folder)
    micro.var.iloc[:-1].to_parquet(folder / names.FEATURE_FILE)
    with pytest.raises(ReleaseError, match=r"11 genes, .* has 12"):
        open_folder(folder)


def test_symbols_that_come_twice_are_made_unique_and_reported(folder, micro):
    arrays = [pa.array(column) for column in micro.x.T]
    twice = ["MB" if gene == "CKM" else gene for gene in micro.genes]
    pq.write_table(pa.Table.from_arrays(arrays, names=twice), folder / names.EXPRESSION_FILE)
    table = micro.var.assign(SYMBOL=twice, gene_ids=twice).reset_index(drop=True)
    table.to_parquet(folder / names.FEATURE_FILE)
    atlas = open_folder(folder)
    assert atlas.var[names.GENE].to_list()[7:9] == ["MB", "MB-1"]
    np.testing.assert_array_equal(atlas.genes(["MB-1", "MB"]).to_numpy(), micro.x[:, [8, 7]])
    assert any("made unique: MB" in note for note in atlas.notes)


def test_a_symbol_with_a_dot_is_not_taken_for_nesting(folder, micro):
    table = open_folder(folder).genes(["AC000", "AC000.1"])
    np.testing.assert_array_equal(table.to_numpy(), micro.x[:, [2, 1]])


@pytest.mark.parametrize("dtype", ["float64", "int32"])
def test_other_number_types_are_converted_and_noted(folder, micro, dtype):
    values = micro.counts if dtype == "int32" else micro.x
    frame = pd.DataFrame(values.astype(dtype), columns=micro.genes)
    atlas = open_folder(micro.write_expression(folder, frame))
    assert any("12 expression columns are not float32" in note for note in atlas.notes)
    adata = atlas.to_anndata()
    assert adata.X.dtype == np.float32
    np.testing.assert_array_equal(adata.layers[names.COUNTS].toarray(), micro.counts)


def test_text_in_expression_columns_is_refused(folder, micro):
    frame = pd.DataFrame(micro.x, columns=micro.genes).astype({"MYH7": str, "TTN": str})
    with pytest.raises(ReleaseError, match=r"2 gene columns are not numbers, first MYH7"):
        open_folder(micro.write_expression(folder, frame))


@pytest.mark.parametrize("bad", [np.nan, np.inf, None])
def test_values_that_are_no_numbers_are_refused_with_gene_and_row(folder, micro, bad):
    frame = pd.DataFrame(micro.x, columns=micro.genes)
    frame.loc[5, "TP53"] = bad
    if bad is None:  # a null of Parquet, not a NaN
        frame = pl.from_pandas(frame, nan_to_null=True)
    with pytest.raises(ReleaseError, match=r"gene TP53 is .* in row 5"):
        open_folder(micro.write_expression(folder, frame)).to_anndata()


def test_files_of_two_releases_are_told_apart(folder, micro):
    micro.obs.iloc[:-3].to_parquet(folder / names.SAMPLE_FILE)
    with pytest.raises(ReleaseError, match=r"37 rows, .* has 40.*mixed"):
        open_folder(folder)


def test_a_missing_file_is_named_with_what_is_there(folder):
    (folder / names.EXPRESSION_FILE).rename(folder / "skeletal_muscle_10x_expresion.parquet")
    with pytest.raises(ReleaseError, match=r"is not a release: it lacks .*\(is \S+_expresion.parquet it\?\)"):
        open_folder(folder)


def test_without_a_feature_file_the_genes_are_those_of_the_expression(folder, micro):
    (folder / names.FEATURE_FILE).unlink()
    atlas = open_folder(folder)
    assert atlas.var[names.GENE].to_list() == micro.genes
    assert names.FEATURE_FILE in atlas.missing
    assert names.ENSEMBL in atlas.missing


def test_a_simulated_release_says_so(folder):
    (folder / "truth").mkdir()
    (folder / "truth" / "simulation.json").write_text(json.dumps({"seed": 7, "scale": 0.02, "version": 1}))
    pl.DataFrame({"gene": ["CCL2"]}).write_parquet(folder / "truth" / "sex_expression.parquet")
    atlas = open_folder(folder)
    assert atlas.simulated
    assert atlas.describe()["seed"] == 7
    assert atlas.truth("sex_expression")["gene"].to_list() == ["CCL2"]
    assert atlas.truth("composition") is None
