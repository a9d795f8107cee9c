"""Age tests on donors: planted changes found, nulls silent, refusals that say what is missing."""

import warnings

import anndata
import edgepython as ep
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from patsy import dmatrix

from helpers import names
from helpers.errors import CountsError, DesignError, ParameterError
from helpers.stats import expression, score

MUSC = {"cell_type": "MuSC", "assay": "cells"}


def run(planted, covariates=expression.COVARIATES, *, prior_trust=1.0, **comparison):
    donors = expression.choose_donors(planted.donors, **comparison)
    counts = expression.find_expressed(planted.counts[donors[names.DONOR]])
    formula = expression.write_formula(donors, covariates)
    design = dmatrix(formula, donors, return_type="dataframe")
    return donors, counts, design, expression.run_test(counts, design, prior_trust=prior_trust)


def scored(planted, **comparison):
    donors, _, design, table = run(planted, **comparison)
    seen = np.linalg.lstsq(design, donors["age"] / 10, rcond=None)[0]
    columns = {"decades_seen": seen[design.columns.get_loc("coded_age")], **MUSC, "donors": len(donors)}
    columns = {name: pl.lit(value) for name, value in columns.items()}
    labeled = table.with_columns(**columns, cells_per_donor=1.0)
    return score.score_changes(labeled, planted.truth)


def to_cells(planted, *, per_donor=25, seed=0, **labels):
    """Cells whose sums are the planted molecules, thinned."""
    generator = np.random.default_rng(seed)
    member = np.repeat(np.arange(planted.counts.shape[1]), per_donor)
    molecules = generator.poisson(planted.counts.to_numpy().T[member] / per_donor)
    obs = planted.donors.iloc[member][[names.DONOR]].set_index(np.arange(len(member)).astype(str))
    obs[names.CHEMISTRY] = planted.donors["chemistry"].to_numpy()[member]
    obs = obs.assign(**({names.ASSAY: "cells", names.LEVEL0: "MuSC"} | labels)).astype("category")
    cells = anndata.AnnData(sp.csr_matrix(molecules.astype(np.float32)), obs=obs)
    cells.var_names = planted.counts.index
    cells.layers[names.COUNTS] = sp.csr_matrix(molecules.astype(np.int32))
    return cells


def people(planted):
    return pl.from_pandas(planted.donors.drop(columns="n_cells"))


@pytest.fixture(scope="module")
def table(planted):
    return run(planted)[-1]


def test_the_test_is_edger_as_its_library_has_it(planted, table):
    donors, counts, design, _ = run(planted)
    sizes = counts.sum().to_numpy() * ep.calc_norm_factors(counts.to_numpy(float), method="TMMwsp")
    offset = np.broadcast_to(np.log(sizes), counts.shape)
    fit = ep.glm_ql_fit(counts.to_numpy(float), design=design.to_numpy(), offset=offset, robust=True)
    theirs = ep.glm_ql_ftest(fit, coef=design.columns.get_loc("coded_age"))["table"].set_axis(counts.index)
    ours = table.to_pandas().set_index("gene").loc[counts.index]
    np.testing.assert_allclose(ours["p"], theirs["PValue"])
    np.testing.assert_allclose(ours["log2_change"], theirs["logFC"])
    strong = table.filter(pl.col("F") > 0.1)
    assert (((strong["low"] > 0) | (strong["high"] < 0)) == (strong["p"] < 0.05)).all()
    assert list(design.columns) == ["Intercept", "Sex[T.M]", "chemistry[T.3'v3]", "coded_age"]
    assert donors["age"].is_monotonic_increasing


def test_a_prior_trusted_less_gives_the_same_changes_and_larger_small_p(planted, table):
    careful = run(planted, prior_trust=0.5)[-1].sort("gene")
    stock = table.sort("gene")
    np.testing.assert_allclose(careful["log2_change"], stock["log2_change"])
    assert (careful["df"] < stock["df"]).all()
    assert (careful["p"] < 1e-4).sum() <= (stock["p"] < 1e-4).sum()


def test_planted_truth_is_found_and_nulls_stay_silent(plant):
    for age_as in ("exact", "bin"):
        summary = score.summarize_calls(pl.concat([scored(plant(seed), age_as=age_as) for seed in range(3)]))
        assert 0.02 < summary["null_rate"] < 0.08
        assert 0.90 < summary["coverage"] < 0.98
        assert 0.90 < summary["coverage_planted"] < 0.98
        assert 0.9 < summary["slope"] < 1.1
        assert summary["false_discovery_proportion"] < 0.15
        assert summary["power"] > 0.15
        assert summary["right_sign"] == 1


def test_genes_of_sex_pass_for_age_only_where_sex_is_left_out_of_the_formula(plant):
    rate = {}
    for covariates in (("Sex", "chemistry"), ("chemistry",)):
        flagged = []
        for seed in range(2):
            planted = plant(seed, genes=1000, share=0, sex_share=0.04)
            sex_genes = [f"G{i}" for i in np.flatnonzero(planted.sex)]
            mine = run(planted, covariates, age_as="bin")[-1].filter(pl.col("gene").is_in(sex_genes))
            flagged += (mine["p"] < 0.05).to_list()
        rate["Sex" in covariates] = np.mean(flagged)
    assert rate[True] < 0.12
    assert rate[False] > 0.4


def test_effective_sizes_keep_a_loud_gene_from_moving_the_others(planted):
    loud = planted.counts.copy()
    loud.iloc[0, :6] = loud.iloc[0, :6] * 10 + loud.sum().to_numpy()[:6] // 2
    quiet = expression.find_expressed(planted.counts).index.drop("G0", errors="ignore")
    drift = []
    for sizes in (expression.find_sizes(loud.loc[["G0", *quiet]]), loud.sum().to_numpy()):
        logs = expression.to_log2_cpm(loud.loc[quiet], sizes)
        drift.append(abs((logs.iloc[:, :6].mean(axis=1) - logs.iloc[:, 6:].mean(axis=1)).median()))
    assert drift[0] < 0.1 < drift[1]


def test_terms_that_donors_cannot_tell_apart_are_left_out_with_a_reason(planted):
    men = expression.choose_donors(planted.donors, sex="M", age_as="bin")
    assert men["group"].value_counts().to_dict() == {"young": 5, "old": 3}
    assert expression.choose_terms(men)["why"][0] == "left out: all donors are M"
    same = planted.donors.assign(chemistry=np.where(planted.donors[names.AGE_BIN] == "young", "a", "b"))
    terms = expression.choose_terms(expression.choose_donors(same, age_as="bin"))
    assert "cannot be told apart" in terms["why"][1]
    few = expression.choose_donors(planted.donors.iloc[[0, 1, 2, 6, 7, 8]])
    assert "degrees of freedom" in " ".join(expression.choose_terms(few)["why"])
    lone = planted.donors.copy()
    lone.loc[lone.index[0], "chemistry"] = "3'v2 + 3'v3"
    assert set(expression.choose_donors(lone)["chemistry"]) == {"3'v2 or 3'v2 + 3'v3", "3'v3"}


def test_donors_without_an_exact_age_can_be_young_or_old_by_their_bin(planted):
    unaged = planted.donors.assign(age=np.nan)
    with pytest.raises(DesignError, match=r"12 donor.s. have no age that this coding can read"):
        expression.choose_donors(unaged)
    for table in (unaged, unaged.drop(columns=names.AGE_MIDPOINT)):
        assert expression.choose_donors(table, age_as="bin")["coded_age"].sum() == 7


def test_a_comparison_is_refused_with_all_its_faults_or_with_how_many_donors_of_what_are_missing(planted):
    nonsense = {"age_as": "years", "sex": "X", "young_max": 50, "old_min": 40, "min_donors": 1}
    with pytest.raises(ParameterError, match=r"age_as is 'years'.*sex is 'X'.*not below.*min_donors is 1"):
        expression.choose_donors(planted.donors, **nonsense)
    few = planted.donors[(planted.donors[names.AGE_BIN] == "old") | (planted.donors[names.DONOR] == "470BR")]
    with pytest.raises(DesignError, match=r"pDC in cells .* 1 young .* missing: 2 more young donors\."):
        expression.choose_donors(few, what="pDC in cells")
    with pytest.raises(DesignError, match=r"of sex F .* missing: 3 more young donors"):
        expression.choose_donors(planted.donors, sex="F")
    with pytest.raises(DesignError, match="470BR have several profiles, which are not replicates"):
        expression.choose_donors(pd.concat([planted.donors, planted.donors.head(1)]))


def test_too_few_molecules_a_donor_without_any_and_normalized_values_are_refused(plant, planted):
    with pytest.raises(DesignError, match=r"only \d genes reach"):
        expression.find_expressed(plant(1, depth=20, cells=[20] * 12).counts)
    silent = planted.counts.copy()
    silent["640C"] = 0
    with pytest.raises(DesignError, match="640C have no molecule"):
        expression.find_expressed(silent)
    halves = planted.counts * 1.0
    halves.iloc[3, 1] = 0.5
    with pytest.raises(CountsError, match=rf"first 0\.5 of G3 in {planted.counts.columns[1]}"):
        expression.find_expressed(halves)


def test_sums_over_donors_are_those_of_a_loop(plant):
    planted = plant(2, genes=60)
    cells, donors = to_cells(planted), people(planted)
    cells.obs.loc[cells.obs_names[:3], names.DONOR] = np.nan
    profiles = expression.sum_profiles(cells, donors, min_cells=23)
    counts = cells.layers[names.COUNTS].toarray()
    for donor in profiles.obs_names:
        mine = (cells.obs[names.DONOR] == donor).to_numpy()
        np.testing.assert_array_equal(profiles[donor].layers["sum"].ravel(), counts[mine].sum(axis=0))
        assert profiles.obs.loc[donor, "n_cells"] == mine.sum() >= 23
    assert profiles.n_obs == 11
    assert expression.sum_profiles(cells, donors, min_cells=1000).shape == (0, 60)


def test_the_screen_is_each_test_by_itself_and_refusals_are_listed(plant):
    planted = plant(2, genes=300, share=0.2)
    donors, one = people(planted), to_cells(planted)
    other = to_cells(planted, seed=1, **{names.LEVEL0: "pDC"})[:100].copy()
    tests, refusals = expression.screen(anndata.concat([one, other], index_unique="-"), donors)
    profiles = expression.sum_profiles(one, donors)
    chosen = expression.choose_donors(profiles.obs)
    counts = expression.find_expressed(profiles.to_df("sum").T[chosen[names.DONOR]])
    design = dmatrix(expression.write_formula(chosen), chosen, return_type="dataframe")
    alone = expression.run_test(counts, design)
    assert tests.select(alone.columns).equals(alone)
    assert tests["decades_seen"].unique().to_list() == pytest.approx([1])
    assert refusals["cell_type"].to_list() == ["pDC"]
    assert "more old donors" in refusals["reason"][0]
    assert expression.screen(other, donors)[0].is_empty()


def test_a_type_is_the_one_asked_for_else_the_usual_one_else_the_most_common_that_can_be_tested(plant):
    planted = plant(2, genes=10)
    donors = people(planted)
    common = [to_cells(planted, per_donor=40), to_cells(planted), to_cells(planted, per_donor=20)]
    for one, label in zip(common, ("few donors", "MuSC", "FB"), strict=True):
        one.obs[names.LEVEL0] = label
    common[0] = common[0][common[0].obs[names.DONOR].isin(planted.counts.columns[:5])].copy()
    obs = anndata.concat(common, index_unique="-").obs
    assert expression.choose_type(obs, donors) == "MuSC"
    assert expression.choose_type(obs, donors, "FB") == "FB"
    assert expression.choose_type(obs[obs[names.LEVEL0] != "MuSC"], donors) == "FB"
    with pytest.raises(ParameterError, match=r"annotation_level0 of cells = 'MuSCs' .*Near are: MuSC"):
        expression.choose_type(obs, donors, "MuSCs")
    with pytest.raises(DesignError, match="see batch on the page 'Your own files'"):
        expression.choose_type(obs.assign(batch=None), donors, "MuSC")
    with pytest.raises(DesignError, match="few donors in cells cannot be tested"):
        expression.choose_type(obs, donors, "few donors")


def test_change_and_calls_agree_with_pydeseq2(plant):
    _, counts, design, table = run(plant(3, genes=400, spread=0.25), age_as="bin")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pydeseq2.dds import DeseqDataSet
        from pydeseq2.ds import DeseqStats

        matrix = pd.DataFrame(design.to_numpy(), counts.columns, list(design.columns))
        data = DeseqDataSet(counts=counts.T, metadata=matrix, design=matrix, quiet=True, n_cpus=1)
        data.deseq2()
        contrast = (design.columns == "coded_age").astype(float)
        options = {"quiet": True, "n_cpus": 1, "cooks_filter": False, "independent_filter": False}
        result = DeseqStats(data, contrast=contrast, **options)
        result.summary()
    theirs = result.results_df.loc[table["gene"].to_list()]
    assert np.corrcoef(theirs["log2FoldChange"], table["log2_change"])[0, 1] > 0.98
    assert ((theirs["padj"] < 0.05).to_numpy() == (table["q"] < 0.05).to_numpy()).mean() > 0.9
