import numpy as np
import polars as pl
import pytest
from scipy import stats

from helpers import names
from helpers.atlas import validate
from helpers.facts import study
from helpers.simulate import cells, cohort, genes


def test_a_simulated_release_passes_validation_with_every_label_and_the_breaks_of_the_real_one(tiny_release):
    report = validate.validate(tiny_release)
    (told,) = report.filter(pl.col("status") != validate.OK).rows(named=True)
    assert (told["check"], told["status"]) == ("label tree", validate.WARNING)
    assert "cDC2 > cDC2 > cDC1" in told["found"]
    labels = report.filter(pl.col("check") == "labels")["found"]
    assert labels.to_list() == [f"{n} labels" for n in study.N_LABELS.values()]


def test_mitochondrial_and_ribosomal_shares_are_those_of_the_counts(tiny_adata):
    counts, obs = tiny_adata.layers[names.COUNTS], tiny_adata.obs
    assert tiny_adata.n_vars == study.N_GENES
    assert tiny_adata.obs_names.str.fullmatch(r".+-[ACGT]{16}").all()
    for column, start in ((names.PERCENT_MITO, "MT-"), (names.PERCENT_RIBO, ("RPS", "RPL"))):
        share = counts[:, tiny_adata.var_names.str.startswith(start)].sum(axis=1)
        np.testing.assert_allclose(obs[column], 100 * np.ravel(share) / obs[names.N_COUNTS], rtol=1e-5)


def test_medians_and_zeros_are_near_the_published_ones(tiny_adata):
    assert tiny_adata.obs[names.N_COUNTS].median() == pytest.approx(study.MEDIAN_COUNTS, rel=0.06)
    assert tiny_adata.obs[names.N_GENES].median() == pytest.approx(study.MEDIAN_GENES, rel=0.06)
    assert 1 - tiny_adata.X.nnz / np.prod(tiny_adata.shape) == pytest.approx(study.ZERO_SHARE, abs=0.003)


def test_nuclei_have_few_mitochondrial_and_ribosomal_molecules(tiny_adata):
    shares = tiny_adata.obs[[names.ASSAY, names.PERCENT_MITO, names.PERCENT_RIBO]]
    median = shares.groupby(names.ASSAY, observed=True).median()
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
    held = tiny_adata[:, ["XIST", *y_genes]].X.toarray() > 0
    (xist_m, *y_m), (xist_f, *y_f) = held[male].mean(axis=0), held[~male].mean(axis=0)
    assert 0 < xist_m < 0.02
    assert xist_f > 0.2
    assert sum(y_f) > 0
    assert max(y_f) < 0.02 < min(y_m)


def test_wrong_labels_and_doublets_are_few_and_known(tiny_cells):
    assert 0.01 < tiny_cells["mislabeled"].mean() < 0.03
    assert 0.008 < tiny_cells["doublet"].mean() < 0.025
    assert (tiny_cells["doublet"] == tiny_cells["doublet_with"].is_not_null()).all()
    same = tiny_cells.filter(~pl.col("mislabeled"))
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


def test_gene_space_holds_what_the_study_names_and_published_directions_are_planted():
    table, directions = genes.list_genes(), study.gene_directions()
    assert table.height == study.N_GENES
    assert table[names.ENSEMBL].is_unique().all()
    sexed = study.genes().filter(pl.col("chromosome").is_in(["X", "Y", "MT"]))["symbol"]
    assert {*directions["gene"], *genes.list_levels()["gene"], *sexed} <= set(table[names.GENE])
    assert (table["kind"] == "mito").sum() == 13
    planted = genes.list_published()["log2_change_per_decade"]
    assert ((planted > 0) == (directions["direction"] == "up")).all()
