"""h5ad files: the portal's, CELLxGENE's, and those with little in them."""

import warnings
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from anndata import AnnData

from helpers import names
from helpers.atlas import h5ad
from helpers.errors import SourceError

REAL = Path(__file__).parents[3] / "shared" / "realdata"


def opened(tmp_path, adata):
    adata.write_h5ad(tmp_path / "c.h5ad")
    return h5ad.H5ad(tmp_path / "c.h5ad")


def cellxgene(micro, x=None, **more):
    """A file as the portal of that schema writes it: genes by Ensembl id, symbols beside."""
    n = micro.n_cells
    odd = np.arange(n) % 2 == 1
    columns = {
        "donor_id": [f"D{i % 4}" for i in range(n)],
        "development_stage": np.where(odd, "29-year-old stage", "eighth decade stage"),
        "sex": np.where(odd, "male", np.where(np.arange(n) == 0, "unknown", "female")),
        "cell_type": np.where(odd, "skeletal muscle satellite cell", "fibroblast"),
        "suspension_type": np.where(odd, "nucleus", "cell"),
        "assay": np.where(odd, "10x 3' v3", "Smart-seq2"),
    }
    obs = pd.DataFrame(columns, index=micro.barcodes, dtype="category").assign(is_primary_data=True)
    var = pd.DataFrame({"feature_name": micro.genes}, index=micro.var[names.ENSEMBL].to_list())
    x = sp.csr_matrix(micro.x) if x is None else x
    return AnnData(x, obs=obs, var=var, obsm={"X_umap": micro.umap}, **more)


def test_the_portals_file_has_the_columns_already(micro, tmp_path):
    adata = AnnData(
        sp.csr_matrix(micro.x), obs=micro.obs, var=micro.var[[names.ENSEMBL, names.SYMBOL, names.N_CELLS]]
    )
    adata.obsm["X_scVI"] = micro.umap
    atlas = opened(tmp_path, adata)
    assert atlas.obs.columns == [names.BARCODE, *names.SAMPLE_COLUMNS]
    assert atlas.missing == [names.GENE_IDS, names.UMAP, names.PCA, names.TSNE]
    micro.assert_held(atlas.to_anndata())
    np.testing.assert_array_equal(atlas.projection(names.SCVI), micro.umap)
    assert not atlas.simulated
    assert atlas.truth("composition") is None


def test_the_cellxgene_schema_is_mapped_and_kept(micro, tmp_path):
    adata = cellxgene(micro)
    adata.raw = AnnData(sp.csr_matrix(micro.counts.astype(np.float32)), obs=adata.obs, var=adata.var)
    atlas = opened(tmp_path, adata)
    about = [names.DONOR, names.SEX, names.ASSAY, names.CHEMISTRY, names.LEVEL0]
    ages = [names.AGE_GROUP, names.AGE_BIN, names.AGE_MIDPOINT, names.EXACT_AGE]
    assert atlas.obs.select(about + ages).head(2).rows() == [
        ("D0", None, "cells", None, "fibroblast", "70-80", "old", 75, None),
        ("D1", "M", "nuclei", "3'v3", "skeletal muscle satellite cell", "25-30", "young", 27.5, 29),
    ]
    assert {"donor_id", "development_stage", "assay", "is_primary_data"} <= set(atlas.obs.columns)
    assert {names.SAMPLE, names.LEVEL1, names.N_COUNTS, names.SCVI} <= set(atlas.missing)
    assert not {names.DONOR, names.SEX, names.AGE_BIN, names.LEVEL0} & set(atlas.missing)
    assert atlas.var[names.GENE].to_list() == micro.genes
    assert atlas.var[names.ENSEMBL].to_list() == list(micro.var[names.ENSEMBL])
    np.testing.assert_array_equal(atlas.genes(["TTN", "ENSG00000000000"]).to_numpy(), micro.x[:, [3, 0]])
    wanted = (atlas.obs[names.SEX] == "F").fill_null(value=False).to_numpy()
    micro.assert_held(
        atlas.to_anndata(cells=pl.col(names.SEX) == "F", genes=["PAX7", "MYH7"]), wanted, [9, 0]
    )
    assert any("counts are taken from raw/X" in note for note in atlas.notes)


STORAGE = {
    "csr": sp.csr_matrix,
    "csc": sp.csc_matrix,
    "dense": np.asarray,
    "dense64": lambda x: x.astype(float),
    "unsorted": lambda x: sp.csr_matrix(x)[:, ::-1],
}


@pytest.mark.parametrize("kind", STORAGE)
def test_any_storage_of_the_matrix_reads_the_same(micro, tmp_path, kind):
    adata = cellxgene(micro, STORAGE[kind](micro.x))
    if kind == "unsorted":
        adata.var = adata.var.iloc[::-1]
    atlas = opened(tmp_path, adata)
    mask = np.arange(40) % 3 == 0
    found, part = atlas.to_anndata(), atlas.to_anndata(cells=mask, genes=["DES", "MYH7", "TTN"])
    micro.assert_held(found, columns=[micro.genes.index(gene) for gene in found.var_names])
    micro.assert_held(part, mask, [10, 0, 3])
    assert found.X.has_sorted_indices


def test_only_counts_are_normalized_as_the_atlas_is(micro, tmp_path):
    atlas = opened(tmp_path, cellxgene(micro, sp.csr_matrix(micro.counts.astype(np.float32))))
    found = atlas.to_anndata()
    np.testing.assert_allclose(found.X.toarray(), micro.x, rtol=1e-6)
    np.testing.assert_array_equal(found.layers[names.COUNTS].toarray(), micro.counts)
    np.testing.assert_allclose(atlas.genes(["TTN"]).to_numpy(), micro.x[:, [3]], rtol=1e-6)
    assert any("made from X" in note for note in atlas.notes)


def test_raw_with_more_genes_in_another_order(micro, tmp_path):
    adata = cellxgene(micro)
    turned = sp.csr_matrix(micro.counts[:, ::-1].astype(np.float32))
    raw = AnnData(turned, obs=adata.obs, var=adata.var.iloc[::-1])
    adata = adata[:, 2:7].copy()
    adata.raw = raw
    atlas = opened(tmp_path, adata)
    micro.assert_held(atlas.to_anndata(), columns=slice(2, 7))
    micro.assert_held(atlas.to_anndata(genes=["XIST", "AC000"]), columns=[5, 2])


def test_a_scaled_matrix_steps_aside_for_the_log_values_in_raw(micro, tmp_path):
    scaled = (micro.x - micro.x.mean(0)).astype(np.float32)
    adata = cellxgene(micro, scaled)
    adata.raw = AnnData(sp.csr_matrix(micro.x), obs=adata.obs, var=adata.var)
    atlas = opened(tmp_path, adata)
    micro.assert_held(atlas.to_anndata())
    assert any("expression is taken from raw/X, not from X, which holds other" in n for n in atlas.notes)


@pytest.mark.parametrize(
    ("shape", "said"),
    [([39, 12], "obs has 40 rows, X has 39"), ([40, 13], "var has 12 rows, X has 13 columns")],
)
def test_tables_and_matrix_of_different_sizes_are_refused(micro, tmp_path, shape, said):
    path = tmp_path / "c.h5ad"
    cellxgene(micro).write_h5ad(path)
    with h5py.File(path, "a") as file:
        file["X"].attrs["shape"] = shape
    with pytest.raises(SourceError, match=said):
        h5ad.H5ad(path)


@pytest.mark.parametrize("name", ["cellxgene_example_valid.h5ad", "cellxgene_example_invalid_CL.h5ad"])
def test_the_cellxgene_fixtures_open(name):
    if not (REAL / name).exists():
        pytest.skip(f"{name} is not on this machine")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        real = anndata.read_h5ad(REAL / name)
    atlas = h5ad.H5ad(REAL / name)
    assert atlas.shape == real.shape
    assert (names.DONOR in atlas.missing) == ("donor_id" not in real.obs)
    np.testing.assert_array_equal(atlas.to_anndata().layers[names.COUNTS].toarray(), real.raw.X.toarray())
