import math

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy import stats

from helpers import names
from helpers.analysis import design, expression, naive, permutation
from helpers.analysis.design import Comparison

MUSC = {"cell_type": "MuSC", "assay": "cells"}


@pytest.fixture(scope="module")
def prepared(plant):
    return expression.prepare(plant(5, genes=300, share=0).profiles, **MUSC)


@pytest.fixture
def cells():
    generator = np.random.default_rng(3)
    donors = np.repeat(["470BR", "411C", "583B", "339C", "640C", "362C"], 30)
    values = generator.poisson(generator.gamma(0.5, 1, (180, 40)) + 0.5 * (donors == "339C")[:, None])
    obs = pd.DataFrame(
        {names.DONOR: donors, names.LEVEL0: "MuSC", names.ASSAY: "cells"}, index=map(str, range(180))
    )
    adata = anndata.AnnData(sp.csr_matrix(np.log1p(values).astype(np.float32)), obs=obs)
    adata.var_names = [f"G{i}" for i in range(40)]
    return adata


GROUPS = {"470BR": "young", "411C": "young", "583B": "young", "339C": "old", "640C": "old", "362C": "old"}


def test_men_only_has_all_permutations_of_five_and_three(planted):
    planned = design.build(planted.profiles.obs, Comparison(sex="M", age_as="bin"))
    orders, possible = permutation.permute_ages(planned, n=100, seed=0)
    assert possible == len(orders) == math.comb(8, 3) - 1
    arranged = {tuple(planned.matrix[order, 1]) for order in orders}
    assert len(arranged) == possible
    assert tuple(planned.matrix[:, 1]) not in arranged


def test_a_sample_never_holds_the_observed_ages(planted):
    planned = design.build(planted.profiles.obs, Comparison(sex="M", age_as="bin"))
    orders, possible = permutation.permute_ages(planned, n=54, seed=0)
    assert (len(orders), possible) == (54, 55)
    arranged = {tuple(planned.matrix[order, 1]) for order in orders}
    assert tuple(planned.matrix[:, 1]) not in arranged
    assert len(arranged) == 54


def test_a_sample_is_distinct_within_sex_and_seeded(prepared):
    planned = prepared.design
    orders, possible = permutation.permute_ages(planned, n=25, seed=4)
    ties = 2  # two of the eight men, and none of the four women, have one age
    assert possible >= math.factorial(8) * math.factorial(4) // ties - 1
    assert len({tuple(planned.matrix[order, 1]) for order in orders}) == 25
    sex = planned.donors["sex"].to_numpy()
    assert all((sex[order] == sex).all() for order in orders)
    assert np.array_equal(orders, permutation.permute_ages(planned, n=25, seed=4)[0])
    assert not np.array_equal(orders, permutation.permute_ages(planned, n=25, seed=5)[0])


def test_ages_and_groups_move_together(prepared):
    order = np.random.default_rng(0).permutation(12)
    moved = prepared.design.with_age_of(order)
    assert (moved.donors["years"].to_numpy() == prepared.design.donors["years"].to_numpy()[order]).all()
    assert moved.matrix[:, 1] * 10 == pytest.approx(moved.donors["years"].to_numpy(float))
    assert ((moved.donors["years"] >= 50) == (moved.donors["group"] == "old")).all()
    assert (moved.matrix[:, 2:] == prepared.design.matrix[:, 2:]).all()


def test_the_null_of_donors_is_near_its_level(prepared):
    null = permutation.run_null(prepared, n=12, seed=1)
    assert 0.02 < null.rate() < 0.08
    assert null.p_donors.shape == (12, len(prepared.genes))
    assert null.rate("cells") is None
    assert not null.complete
    first = expression.fit_age(
        prepared.with_design(
            prepared.design.with_age_of(permutation.permute_ages(prepared.design, n=12, seed=1)[0][0])
        )
    )
    # the common dispersion is held: p-values all but those of a fit from scratch
    assert np.abs(null.p_donors[0] - first.p).max() < 0.02
    assert abs((null.p_donors[0] < 0.05).mean() - (first.p < 0.05).mean()) < 0.01


def test_share_of_permutations_with_as_many_calls_counts_the_observed_one(prepared):
    null = permutation.run_null(prepared, n=4, seed=1)
    assert null.exceeds(10**6) == pytest.approx(1 / 5)
    assert null.exceeds(0) == 1


def test_cells_as_replicates_fail_the_null_that_donors_pass(plant):
    planted = plant(6, genes=120, share=0, cells=[40] * 12, depth=2000)
    generator = np.random.default_rng(0)
    profiles = planted.profiles
    member = np.repeat(np.arange(12), 40)
    molecules = generator.poisson(generator.gamma(2, profiles.X.toarray()[member] / 40 / 2))
    cells = anndata.AnnData(
        sp.csr_matrix(np.log1p(molecules / molecules.sum(1, keepdims=True) * 1e4).astype(np.float32)),
        obs=profiles.obs.iloc[member].set_index(np.arange(480).astype(str)),
    )
    cells.var_names = profiles.var_names
    prepared = expression.prepare(profiles, **MUSC, comparison=Comparison(age_as="bin"))
    chosen = naive.choose_cells(cells, **MUSC, genes=prepared.genes)
    null = permutation.run_null(prepared, cells=chosen, n=20, seed=2)
    assert null.rate("donors") < 0.08
    assert null.rate("cells") > 0.2


def test_the_naive_test_is_scipys(cells):
    found = naive.cell_level_de(cells, groups=GROUPS).sort("gene")
    values = cells.X.toarray()
    old = cells.obs[names.DONOR].map(GROUPS).to_numpy() == "old"
    expected = [
        stats.mannwhitneyu(values[old, j], values[~old, j], use_continuity=False, method="asymptotic").pvalue
        for j in range(40)
    ]
    by_name = dict(zip(cells.var_names, expected, strict=True))
    assert found["p"].to_numpy() == pytest.approx([by_name[gene] for gene in found["gene"]], rel=1e-6)


def test_ranks_summed_by_donor_give_the_same_p(cells):
    codes, sums, ties = naive.rank_by_donor(cells)
    is_old = np.array([[GROUPS[code] == "old" for code in codes]])
    p = naive.compare_donors(sums, ties, np.full(6, 30), is_old)[0]
    scanpys = naive.cell_level_de(cells, groups=GROUPS)
    by_name = dict(zip(scanpys["gene"], scanpys["p"], strict=True))
    assert p == pytest.approx([by_name[gene] for gene in cells.var_names], rel=1e-6)


def test_cells_of_one_group_cannot_be_compared(cells):
    from helpers.errors import DesignError, TableError

    with pytest.raises(DesignError, match="needs young and old ones"):
        naive.cell_level_de(cells, groups=dict.fromkeys(GROUPS, "old"))
    with pytest.raises(TableError, match="no cell is 'FB'"):
        naive.choose_cells(cells, cell_type="FB", assay="cells")
