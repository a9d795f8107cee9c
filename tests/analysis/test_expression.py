import anndata
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

from helpers import names
from helpers.analysis import expression, fits, schemas, scoring, screen, stability
from helpers.analysis.design import Comparison
from helpers.errors import DesignError, TableError

MUSC = {"cell_type": "MuSC", "assay": "cells"}


def score(planted, comparison=None, **options):
    prepared = expression.prepare(planted.profiles, **MUSC, comparison=comparison)
    table = fits.tabulate(prepared, expression.fit_age(prepared))
    known = scoring.find_planted(planted.truth, **MUSC)
    return scoring.score_changes(table, known, prepared.design, **options)


@pytest.fixture(scope="module")
def table(planted):
    return expression.age_de(planted.profiles, **MUSC)


def test_the_table_keeps_its_promise(table):
    assert table.columns == list(schemas.AGE_DE.columns)
    assert table["p"].is_sorted()
    assert (table["low"] < table["log2_change"]).all()
    assert (table["log2_change"] < table["high"]).all()
    assert set(table["per"]) == {"decade"}
    assert table["donors"].unique().to_list() == [12]


def test_interval_and_test_agree(table):
    strong = table.filter(pl.col("F") > 0.1)
    excludes_zero = (strong["low"] > 0) | (strong["high"] < 0)
    assert (excludes_zero == (strong["p"] < 0.05)).all()


def test_q_is_the_step_up_by_hand(table):
    p = table["p"].to_numpy()
    n = len(p)
    by_hand = [min(p[j] * n / (j + 1) for j in range(i, n)) for i in range(0, n, 97)]
    assert table["q"].to_numpy()[::97] == pytest.approx(np.minimum(by_hand, 1))


def test_order_of_profiles_and_genes_does_not_matter(planted, table):
    generator = np.random.default_rng(0)
    shuffled = planted.profiles[generator.permutation(12)][
        :, generator.permutation(planted.profiles.n_vars)
    ].copy()
    again = expression.age_de(shuffled, **MUSC)
    assert again.sort("gene")["log2_change"].to_numpy() == pytest.approx(
        table.sort("gene")["log2_change"].to_numpy(), abs=1e-6
    )
    assert again.sort("gene")["p"].to_numpy() == pytest.approx(table.sort("gene")["p"].to_numpy(), rel=1e-5)


def test_planted_truth_is_found_and_nulls_stay_silent(plant):
    for comparison in (Comparison(), Comparison(age_as="bin")):
        scored = pl.concat([score(plant(seed), comparison) for seed in range(5)])
        summary = scoring.summarize_calls(scored)
        assert 0.02 < summary["null_rate"] < 0.08
        assert 0.90 < summary["coverage"] < 0.98
        assert 0.90 < summary["coverage_planted"] < 0.98
        assert 0.9 < summary["slope"] < 1.1
        assert summary["false_discovery_proportion"] < 0.15
        assert summary["power"] > 0.15
        assert summary["right_sign"] == 1


def test_genes_of_sex_pass_for_age_only_where_sex_is_left_out_of_the_model(plant):
    rate = {}
    for covariates in ((names.SEX, names.CHEMISTRY), (names.CHEMISTRY,)):
        flagged = []
        for seed in range(3):
            planted = plant(seed, share=0, sex_share=0.03)
            sex_genes = [f"G{i}" for i in np.flatnonzero(planted.sex)]
            comparison = Comparison(age_as="bin", covariates=covariates)
            table = expression.age_de(planted.profiles, **MUSC, comparison=comparison)
            mine = table.filter(pl.col("gene").is_in(sex_genes))
            flagged += (mine["p"] < 0.05).to_list()
            if names.SEX in covariates:
                assert not (mine["q"] < 0.1).any()
        rate[names.SEX in covariates] = np.mean(flagged)
    assert rate[True] < 0.12
    assert rate[False] > 0.4


def test_men_only_are_one_argument_away(planted):
    table = expression.age_de(planted.profiles, **MUSC, comparison=Comparison(sex="M", age_as="bin"))
    assert table["donors"].unique().to_list() == [8]
    assert set(table["per"]) == {"old over young"}


def test_a_type_of_too_few_donors_is_refused(planted):
    with pytest.raises(DesignError, match="missing: 2 more old donors"):
        expression.age_de(planted.profiles[:6].copy(), **MUSC)


def test_a_type_of_too_few_molecules_is_refused(plant):
    with pytest.raises(DesignError, match=r"only \d genes reach"):
        expression.age_de(plant(1, depth=20, cells=[20] * 12).profiles, **MUSC)


def test_a_donor_without_a_molecule_is_named(planted):
    profiles = planted.profiles.copy()
    profiles.X = sp.csr_matrix(
        profiles.X.toarray() * (profiles.obs[names.DONOR] != "640C").to_numpy()[:, None]
    )
    with pytest.raises(DesignError, match="640C"):
        expression.age_de(profiles, **MUSC)


def test_a_type_or_assay_that_is_not_there_is_named(planted):
    with pytest.raises(TableError, match="no profile has annotation_level0 'FB'; there are MuSC"):
        expression.age_de(planted.profiles, cell_type="FB", assay="cells")
    with pytest.raises(TableError, match="no profile has batch 'nuclei'"):
        expression.age_de(planted.profiles, cell_type="MuSC", assay="nuclei")


def test_everywhere_is_each_test_by_itself_and_refusals_are_listed(planted, table):
    few = planted.profiles[:6].copy()
    few.obs[names.LEVEL0] = "pDC"
    both = anndata.concat([planted.profiles, few], index_unique="-")
    tests, refusals = screen.age_de_everywhere(both)
    assert tests.equals(table)
    assert refusals["cell_type"].to_list() == ["pDC"]
    assert "missing: 2 more old donors" in refusals["reason"][0]
    assert screen.age_de_everywhere(few)[0].is_empty()


def test_a_call_that_rests_on_one_donor_is_not_stable(plant):
    profiles = plant(1, genes=300).profiles
    counts = profiles.X.toarray()
    counts[list(profiles.obs[names.DONOR]).index("640C"), 7] *= 60
    counts[list(profiles.obs[names.DONOR]).index("640C"), 7] += 60
    profiles.X = sp.csr_matrix(counts)
    found = stability.leave_one_out(profiles, **MUSC)
    whole = expression.age_de(profiles, **MUSC)
    assert set(found["gene"]) == set(whole.filter(pl.col("q") < 0.1)["gene"])
    assert found["refits"].to_list() == [12] * found.height
    assert found["stable"].to_list() == (found["largest_p"] < 0.05).to_list()
    assert (found["stable"] & (found["refits_called"] < 12)).any()
    # by hand, for the strongest call
    gene, genes = found["gene"][0], whole["gene"].to_list()
    changes, p, called = [], [], 0
    for donor in profiles.obs[names.DONOR]:
        rest = profiles[profiles.obs[names.DONOR] != donor].copy()
        prepared = expression.prepare(rest, **MUSC, genes=genes)
        refit = fits.tabulate(prepared, expression.fit_age(prepared)).row(
            by_predicate=pl.col("gene") == gene, named=True
        )
        changes.append(refit["log2_change"])
        p.append(refit["p"])
        called += refit["q"] < 0.1
    assert abs(found["smallest_change"][0]) == pytest.approx(min(map(abs, changes)))
    assert found["largest_p"][0] == pytest.approx(max(p))
    assert found["refits_called"][0] == called
    assert found["stable"][0] == (max(p) < 0.05)


def test_a_donor_can_be_left_out_of_the_smallest_group(planted):
    obs = planted.profiles.obs
    young = obs.index[obs[names.AGE_BIN] == "young"][:3]
    few = planted.profiles[[*young, *obs.index[obs[names.AGE_BIN] == "old"]]].copy()
    found = stability.leave_one_out(few, **MUSC, fdr=0.5)
    assert found.height > 0
    assert found["refits"].to_list() == [10] * found.height


def test_change_and_calls_agree_with_pydeseq2(plant):
    import warnings

    planted = plant(3, genes=600, spread=0.25)
    prepared = expression.prepare(planted.profiles, **MUSC, comparison=Comparison(age_as="bin"))
    ours = fits.tabulate(prepared, expression.fit_age(prepared)).sort("gene")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pydeseq2.dds import DeseqDataSet
        from pydeseq2.ds import DeseqStats

        matrix = pd.DataFrame(
            prepared.design.matrix,
            columns=list(prepared.design.columns),
            index=prepared.design.donors["donor"],
        )
        counts = pd.DataFrame(prepared.counts.T.astype(int), columns=prepared.genes, index=matrix.index)
        data = DeseqDataSet(counts=counts, metadata=matrix, design=matrix, quiet=True, n_cpus=1)
        data.deseq2()
        result = DeseqStats(
            data,
            contrast=np.array([0.0, 1, 0, 0]),
            quiet=True,
            n_cpus=1,
            cooks_filter=False,
            independent_filter=False,
        )
        result.summary()
    theirs = result.results_df.loc[ours["gene"].to_list()]
    assert np.corrcoef(theirs["log2FoldChange"], ours["log2_change"])[0, 1] > 0.98
    called = (theirs["padj"] < 0.05).to_numpy()
    mine = ours["q"].to_numpy() < 0.05
    assert (called == mine).mean() > 0.9
