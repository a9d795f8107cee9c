"""What is asked of an atlas: cells, genes, budgets."""

import numpy as np
import polars as pl
import pytest

from helpers import names
from helpers.atlas import matrix, release
from helpers.errors import BudgetError, CountsError, TableError


@pytest.fixture
def atlas(folder):
    return release.Release(folder)


def test_cells_by_expression_and_by_mask_agree(atlas, micro):
    wanted = (micro.obs[names.SEX] == "M").to_numpy()
    for cells in (pl.col(names.SEX) == "M", wanted, pl.Series(wanted), list(wanted)):
        adata = atlas.to_anndata(cells=cells, genes=["TTN", "ENSG00000000000"])
        micro.assert_held(adata, wanted, [3, 0])
        np.testing.assert_array_equal(adata.obsm[names.UMAP], micro.umap[wanted])
        assert list(adata.obs_names) == [b for b, w in zip(micro.barcodes, wanted, strict=True) if w]
        assert list(adata.var_names) == ["TTN", "MYH7"]


def test_a_subset_is_the_same_from_files_and_from_the_converted_copy(atlas, micro, folder):
    wanted = (micro.obs[names.LEVEL0] == "FB").to_numpy()
    ask = {"cells": wanted, "genes": ["PAX7", "MB", "MYH7"]}
    before = atlas.to_anndata(**ask)
    atlas.to_anndata()
    assert list(folder.glob("*.h5ad"))
    after = atlas.to_anndata(**ask)
    for adata in (before, after):
        micro.assert_held(adata, wanted, [9, 7, 0])
    assert before.obs.equals(after.obs)


def test_counts_of_few_genes_need_the_whole_cell_where_totals_do_not_fit(micro, tmp_path):
    micro.counts[:, 7] = 1
    micro.counts[:, 3] += 1  # TTN alone would show multiples as single molecules
    micro.counts[:, 3] *= 2
    totals = micro.counts.sum(1)
    micro.x = np.log1p(micro.counts / totals[:, None] * 1e4).astype(np.float32)
    for recorded in (totals, totals * 0 + 5, np.full(40, np.nan)):
        micro.obs[names.N_COUNTS] = recorded
        atlas = release.Release(micro.write(tmp_path / f"release-{recorded[0]}"))
        micro.assert_held(atlas.to_anndata(genes=["TTN"]), columns=[3])


def test_an_unknown_gene_is_answered_with_the_nearest(atlas):
    with pytest.raises(TableError, match=r"1 of 2 genes are not in release: 'MYH77' \(nearest: MYH7\)"):
        atlas.genes(["MYH77", "TTN"])
    with pytest.raises(TableError, match="'nonsense' "):
        atlas.to_anndata(genes=["nonsense"])


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (np.ones(3, bool), "one truth value for each of the 40 cells, but it is 3 values"),
        (np.arange(40), "of type Int64"),
        (pl.col("sexx") == "M", "cannot be made: .*sexx"),
        (pl.col(names.SEX) == "X", "no cell of release fits"),
    ],
)
def test_a_choice_that_chooses_nothing_is_refused(atlas, cells, message):
    with pytest.raises(TableError, match=message):
        atlas.to_anndata(cells=cells)


def test_a_budget_is_held_before_anything_is_read(atlas, monkeypatch):
    monkeypatch.setattr(matrix.Expression, "read_csr", lambda *_, **__: pytest.fail("the matrix was read"))
    with pytest.raises(BudgetError, match=r"40 cells x 12 genes needs about .* 1.0 KiB. Ask for fewer"):
        atlas.to_anndata(budget="1 KiB")


def test_values_that_are_not_counts_are_refused_unless_counts_are_not_asked_for(micro, tmp_path):
    micro.x = np.where(micro.x > 0, micro.x * 1.01, 0).astype(np.float32)
    atlas = release.Release(micro.write(tmp_path / "r"))
    with pytest.raises(CountsError, match="not log1p of normalized counts in"):
        atlas.to_anndata()
    assert not list((tmp_path / "r").glob("*.h5ad"))  # nothing half-right is kept
    assert names.COUNTS not in atlas.to_anndata(counts=False).layers
    assert "not log1p of normalized counts in" in atlas.to_anndata(counts="try").uns["no_counts"]
