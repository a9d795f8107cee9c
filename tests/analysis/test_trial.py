import anndata
import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from helpers import names
from helpers.analysis import gene_scores, naive, pseudobulk, scoring, screen, trial
from helpers.analysis.design import Comparison


def to_cells(planted, *, per_donor=25, seed=0):
    """Cells whose sums are the planted profiles, thinned."""
    generator = np.random.default_rng(seed)
    profiles = planted.profiles
    member = np.repeat(np.arange(profiles.n_obs), per_donor)
    molecules = generator.poisson(profiles.X.toarray()[member] / per_donor)
    total = np.maximum(molecules.sum(axis=1, keepdims=True), 1)
    cells = anndata.AnnData(
        sp.csr_matrix(np.log1p(molecules / total * 1e4).astype(np.float32)),
        obs=profiles.obs.drop(columns=names.N_CELLS)
        .iloc[member]
        .set_index(np.arange(len(member)).astype(str)),
    )
    cells.var_names = profiles.var_names
    cells.layers[names.COUNTS] = sp.csr_matrix(molecules.astype(np.int32))
    return cells


@pytest.fixture(scope="module")
def cells(plant):
    return to_cells(plant(2, genes=200, cells=[100] * 12, depth=20, share=0.2))


@pytest.fixture(scope="module")
def begun(cells):
    profiles, problem = trial.sum_profiles(cells, level=names.LEVEL0, min_cells=10)
    return trial.begin(profiles, cell_type="MuSC", assay="cells", refusal=problem)


def test_a_trial_knows_its_donors_terms_and_calls(begun):
    assert begun.refusal is None
    assert begun.donors.height == 12
    assert begun.donors["years"].is_sorted()
    assert begun.groups["donors"].sum() == 12
    assert begun.residual_df == 8
    assert begun.age_inflation > 1
    assert (begun.calls["q"] < 0.1).all()
    assert begun.detectable().height == 3


def test_leading_genes_come_with_their_values_and_donors(begun):
    genes, values, donors = begun.leading(top=3)
    assert genes == begun.table["gene"].head(3).to_list()
    assert values.shape == (donors.height, 3)
    place = list(begun.prepared.genes).index(genes[1])
    molecules = begun.prepared.counts[place]
    by_hand = np.log2((molecules + 0.5) / (begun.prepared.effective + 1) * 1e6)
    assert values[:, 1] == pytest.approx(by_hand)
    row = begun.gene(genes[0])
    assert row["interval"] == (row["low"], row["high"])
    assert begun.gene("none")["q"] is None


def test_the_naive_test_sees_the_same_donors_and_the_null_the_same_genes(begun, cells):
    table, chosen = begun.compare_cells(cells)
    expressing = np.asarray((cells.X > 0).mean(axis=0)).ravel()
    assert set(table["gene"]) == set(cells.var_names[expressing >= 0.02])
    assert set(table["gene"]) != set(begun.prepared.genes)
    assert list(chosen.var_names) == list(begun.prepared.genes)
    null = begun.permute(chosen, n=3, seed=1)
    assert null.p_cells.shape == null.p_donors.shape == (3, len(begun.prepared.genes))


def test_genes_of_sex_are_those_of_y_and_few_of_x():
    listed = naive.list_sex_genes()
    assert {"RPS4Y1", "DDX3Y", "UTY", "KDM5D", "XIST", "RPS4X"} <= set(listed)
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("column", [names.DONOR, names.LEVEL0, names.ASSAY])
def test_a_source_without_a_label_steps_aside_and_says_which(cells, column):
    blank = cells.copy()
    blank.obs[column] = np.full(blank.n_obs, None, dtype=object)
    profiles, problem = trial.sum_profiles(blank, level=names.LEVEL0, min_cells=10)
    assert profiles is None
    assert column in problem
    step_aside(trial.begin(profiles, cell_type="MuSC", assay="cells", refusal=problem), blank)


def test_a_source_without_ages_steps_aside(cells):
    blank = cells.copy()
    blank.obs = blank.obs.drop(columns=[names.EXACT_AGE, names.AGE_MIDPOINT, names.AGE_BIN])
    blank.obs[names.DONOR] = "X" + blank.obs[names.DONOR].astype(str)
    profiles, problem = trial.sum_profiles(blank, level=names.LEVEL0, min_cells=10)
    assert problem is None
    refused = trial.begin(profiles, cell_type="MuSC", assay="cells", refusal=problem)
    assert "lack an age" in refused.refusal
    step_aside(refused, blank)


def test_halves_for_counts_step_aside(cells):
    halves = cells.copy()
    halves.layers[names.COUNTS] = halves.layers[names.COUNTS] * 0.5
    profiles, problem = trial.sum_profiles(halves, level=names.LEVEL0, min_cells=10)
    assert profiles is None
    assert "not molecules" in problem


def step_aside(refused, cells):
    """Everything the page asks of a refused trial has an answer."""
    assert refused.prepared is None
    assert refused.table.is_empty()
    assert refused.calls.is_empty()
    assert refused.donors.is_empty()
    assert refused.groups.is_empty()
    assert refused.terms.is_empty()
    assert refused.detectable().is_empty()
    assert refused.residual_df is refused.age_inflation is None
    table, chosen = refused.compare_cells(cells)
    assert table.is_empty()
    null = refused.permute(chosen, n=5, seed=0)
    assert null.rate() is None
    assert refused.leave_one_out().is_empty()
    assert refused.leading(top=3)[1].size == 0
    assert refused.score(None).is_empty()
    assert refused.gene("CCL2")["interval"] is None
    scores = gene_scores.score_donors(refused.prepared, gene_scores.read_sets())
    changes = gene_scores.change_with_age(refused.prepared, scores)
    assert gene_scores.find_change(changes, gene_scores.RIBOSOME)["change"] is None
    tests, _ = screen.age_de_everywhere(None)
    scored = screen.score_everywhere(None, tests, None)
    assert scoring.summarize_calls(scored)["coverage"] is None
    assert scoring.summarize_calls(scored)["false_discovery_proportion"] is None
    assert scoring.find_power(scored).is_empty()
    assert screen.summarize_tests(scored).is_empty()
    assert screen.count_calls(tests).is_empty()
    assert scoring.compare_directions(tests, scoring.read_published()).is_empty()


def test_all_types_are_scored_each_by_its_own_design(planted):
    tests, _ = screen.age_de_everywhere(planted.profiles)
    scored = screen.score_everywhere(planted.profiles, tests, planted.truth)
    summary = screen.summarize_tests(scored)
    assert summary["cells_per_donor"][0] == np.median(planted.profiles.obs[names.N_CELLS])
    again = trial.begin(planted.profiles, cell_type="MuSC", assay="cells").score(planted.truth)
    assert summary["coverage"][0] == scoring.summarize_calls(again)["coverage"]


def test_shared_calls_are_told_from_specific_ones():
    tests = pl.DataFrame(
        {
            "cell_type": ["A", "A", "B", "B"],
            "assay": ["cells"] * 4,
            "gene": ["G", "H", "G", "H"],
            "q": [0.01, 0.02, 0.05, 0.5],
            "log2_change": [1.0, -1.0, 1.0, 1.0],
            "donors": [8, 8, 9, 9],
        }
    )
    counts = screen.count_calls(tests).sort("cell_type")
    assert counts.select("calls", "up", "down", "only_here", "shared").rows() == [
        (2, 1, 1, 1, 1),
        (1, 1, 0, 0, 1),
    ]


def test_sums_of_the_cells_are_the_profiles(cells):
    profiles, _ = trial.sum_profiles(cells, level=names.LEVEL0, min_cells=1)
    assert profiles.obs[pseudobulk.MOLECULES].sum() == cells.layers[names.COUNTS].sum()


def test_the_comparison_reaches_every_test(planted):
    men = trial.begin(planted.profiles, cell_type="MuSC", assay="cells", comparison=Comparison(sex="M"))
    assert set(men.donors["sex"]) == {"M"}
    women = trial.begin(planted.profiles, cell_type="MuSC", assay="cells", comparison=Comparison(sex="F"))
    assert "missing: 3 more young donors" in women.refusal


def test_genes_of_sex_are_looked_up_in_both_lists():
    over_cells = pl.DataFrame(
        {
            "gene": ["A", "XIST", "UTY"],
            "log2_change": [1.0, 2.0, -1.0],
            "q": [0.01, 0.02, 0.3],
            "p": [0.001, 0.002, 0.2],
        }
    )
    over_donors = pl.DataFrame({"gene": ["UTY", "A"], "log2_change": [0.1, 0.2], "q": [0.9, 0.8]})
    found = naive.compare_sex_genes(over_cells, over_donors)
    assert found.select("gene", "rank_cells", "q_cells", "q_donors").rows() == [
        ("XIST", 2, 0.02, None),
        ("UTY", 3, 0.3, 0.9),
    ]
