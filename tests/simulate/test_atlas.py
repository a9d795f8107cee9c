import numpy as np
import polars as pl
import pytest
from scipy import stats

from helpers import names
from helpers.facts import study
from helpers.simulate import cells, cohort, genes


def test_layout_of_the_atlas(tiny_adata):
    assert tuple(tiny_adata.obs.columns) == (*names.SAMPLE_COLUMNS, names.SIMULATED)
    assert tuple(tiny_adata.var.columns) == names.FEATURE_COLUMNS
    assert tiny_adata.n_vars == study.N_GENES
    assert tiny_adata.X.dtype == np.float32
    assert tiny_adata.X.has_sorted_indices
    assert tiny_adata.obs_names.is_unique
    assert tiny_adata.obs_names.str.fullmatch(r".+-[ACGT]{16}").all()
    assert tiny_adata.var_names.is_unique
    for key, columns in names.PROJECTION_COLUMNS.items():
        assert tiny_adata.obsm[key].shape == (tiny_adata.n_obs, len(columns))
        assert tiny_adata.obsm[key].dtype == np.float32
        assert np.isfinite(tiny_adata.obsm[key]).all()
    for level, n in study.N_LABELS.items():
        assert tiny_adata.obs[level].nunique() == n


def test_values_are_the_log_of_counts_per_ten_thousand(tiny_adata):
    counts = tiny_adata.layers[names.COUNTS]
    assert np.issubdtype(counts.dtype, np.integer)
    total = np.asarray(counts.sum(axis=1))
    some = counts[::50].toarray()
    np.testing.assert_allclose(tiny_adata.X[::50].toarray(), np.log1p(some / total[::50] * 1e4), rtol=1e-6)


def test_quality_columns_are_computed_from_the_counts(tiny_adata):
    counts, obs = tiny_adata.layers[names.COUNTS], tiny_adata.obs
    np.testing.assert_array_equal(obs[names.N_COUNTS], np.asarray(counts.sum(axis=1)).ravel())
    np.testing.assert_array_equal(obs[names.N_GENES], counts.getnnz(axis=1))
    np.testing.assert_array_equal(tiny_adata.var[names.N_CELLS], counts.getnnz(axis=0))
    mito = tiny_adata.var_names.str.startswith("MT-")
    wanted = 100 * np.asarray(counts[:, mito].sum(axis=1)).ravel() / obs[names.N_COUNTS]
    np.testing.assert_allclose(obs[names.PERCENT_MITO], wanted, rtol=1e-5)


def test_medians_and_zeros_are_near_the_published_ones(tiny_adata):
    assert tiny_adata.obs[names.N_COUNTS].median() == pytest.approx(study.MEDIAN_COUNTS, rel=0.06)
    assert tiny_adata.obs[names.N_GENES].median() == pytest.approx(study.MEDIAN_GENES, rel=0.06)
    zeros = 1 - tiny_adata.X.nnz / np.prod(tiny_adata.shape)
    assert zeros == pytest.approx(study.ZERO_SHARE, abs=0.003)


def test_nuclei_have_few_mitochondrial_and_ribosomal_molecules(tiny_adata):
    median = tiny_adata.obs.groupby(names.ASSAY, observed=True)[
        [names.PERCENT_MITO, names.PERCENT_RIBO]
    ].median()
    assert (median.loc[names.NUCLEI] * 5 < median.loc[names.CELLS]).all()


def test_each_type_is_told_by_its_markers(tiny_adata, tiny_cells):
    true = tiny_cells["true_level0"].to_numpy()
    for label, gene in study.markers().rows():
        if (true == label).sum() < 8 or gene in ("TPM3", "MB", "CKM", "TPM2"):
            continue
        values = tiny_adata[:, gene].X
        own, other = values[true == label].mean(), values[true != label].mean()
        assert own > 1.5 * other, (label, gene)


def test_structural_zeros_have_not_one_molecule(tiny_adata):
    for assay, found in genes.STRUCTURAL_ZEROS.items():
        rows = (tiny_adata.obs[names.ASSAY] == assay).to_numpy()
        assert tiny_adata[rows, list(found)].X.nnz == 0
        assert tiny_adata[~rows, list(found)].X.nnz > 0


def test_sex_genes_follow_the_sex_of_the_donor_but_for_what_leaks(tiny_adata):
    male = (tiny_adata.obs[names.SEX] == names.MALE).to_numpy()
    y_genes = ["RPS4Y1", "DDX3Y", "UTY"]
    shares = {
        gene: [(tiny_adata[rows, gene].X.toarray() > 0).mean() for rows in (male, ~male)]
        for gene in ("XIST", *y_genes)
    }
    assert 0 < shares["XIST"][0] < 0.02
    assert shares["XIST"][1] > 0.2
    assert sum(shares[gene][1] for gene in y_genes) > 0
    for gene in y_genes:
        assert shares[gene][1] < 0.02 < shares[gene][0]


def test_wrong_labels_and_doublets_are_few_and_known(tiny_cells):
    frame = tiny_cells
    assert 0.01 < frame["mislabeled"].mean() < 0.03
    assert 0.008 < frame["doublet"].mean() < 0.025
    assert (frame["doublet"] == frame["doublet_with"].is_not_null()).all()
    same = frame.filter(~pl.col("mislabeled"))
    assert (same[names.LEVEL2] == same["true_level2"]).all()


def test_a_doublet_has_the_genes_of_both_cells_and_its_score_comes_from_them(tiny_adata, tiny_cells):
    frame, counts = tiny_cells, tiny_adata.layers[names.COUNTS]
    lineage = dict(cohort.list_labels().select(names.LEVEL2, "lineage").iter_rows())
    own = frame[cells.TRUE2].replace_strict(lineage)
    other = frame["doublet_with"].replace_strict(lineage, default=None)
    unlike = (frame["doublet"] & (own != other)).fill_null(value=False).to_numpy()
    single = (~frame["doublet"]).to_numpy()
    size = np.asarray(counts.sum(axis=1)).ravel()
    assert np.median(size[unlike]) > 1.3 * np.median(size[single])
    score = frame[names.DOUBLET_SCORE].to_numpy()
    assert ((score >= 0) & (score <= 1)).all()
    rank = stats.mannwhitneyu(score[unlike], score[single]).statistic / unlike.sum() / single.sum()
    assert 0.65 < rank < 0.99  # libraries of sixty cells


def test_genes_of_fragments_show_in_other_cells_as_a_library_is_ambient(tiny_release, tiny_adata, tiny_cells):
    ambient = pl.read_parquet(tiny_release / names.TRUTH_FOLDER / "ambient.parquet")
    assert ambient["ambient_share"].is_between(0.002, 0.3).all()
    immune = tiny_cells[cells.TRUE0].is_in(["T-cell", "NK-cell", "B-cell", "B-plasma"])
    rows = (immune & (tiny_cells[names.ASSAY] == names.CELLS)).to_numpy()
    assert (tiny_adata[rows, "ACTA1"].X.toarray() > 0).mean() > 0.02


def test_the_label_tree_breaks_where_the_real_one_does(tiny_adata):
    obs = tiny_adata.obs
    broken = (obs[names.LEVEL2] == "cDC1") & (obs[names.LEVEL1] == "cDC2")
    assert broken.sum() >= 1
    assert (obs.loc[broken, names.LEVEL0] == "cDC2").all()
    parents = obs[~broken].groupby(names.LEVEL2, observed=True)[names.LEVEL0].nunique()
    assert (parents == 1).all()


def test_pca_is_the_one_of_the_matrix(tiny_adata):
    x = tiny_adata.X[:300, ::10].tocsr()
    scores, variance, ratio = cells.fit_pca(x, seed=1)
    dense = x.toarray().astype(np.float64)
    dense -= dense.mean(axis=0)
    value = np.linalg.svd(dense, compute_uv=False) ** 2 / (len(dense) - 1)
    np.testing.assert_allclose(variance[:5], value[:5], rtol=0.02)
    np.testing.assert_allclose(ratio[:5], value[:5] / value.sum(), rtol=0.02)
    np.testing.assert_allclose(scores.var(axis=0, ddof=1), variance, rtol=1e-3)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-3)


def test_gene_space_holds_what_the_study_names():
    table = genes.list_genes()
    assert table.height == study.N_GENES
    assert table[names.ENSEMBL].is_unique().all()
    found = set(table[names.GENE])
    assert set(study.gene_directions()["gene"]) <= found
    assert set(genes.list_levels()["gene"]) <= found
    assert set(study.genes().filter(pl.col("chromosome").is_in(["X", "Y", "MT"]))["symbol"]) <= found
    assert (table["kind"] == "mito").sum() == 13


def test_published_directions_are_planted():
    planted = genes.list_published()["log2_change_per_decade"]
    assert ((planted > 0) == (study.gene_directions()["direction"] == "up")).all()
