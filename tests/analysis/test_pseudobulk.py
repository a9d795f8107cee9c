import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from helpers import names
from helpers.analysis import pseudobulk
from helpers.errors import CountsError, TableError


@pytest.fixture
def cells():
    generator = np.random.default_rng(1)
    n = 300
    donors = generator.choice(["339C", "470BR", "640C"], n)
    obs = pd.DataFrame(
        {
            names.DONOR: pd.Categorical(donors),
            names.ASSAY: pd.Categorical(generator.choice(["cells", "nuclei"], n, p=[0.8, 0.2])),
            names.LEVEL0: pd.Categorical(generator.choice(["MuSC", "FB"], n)),
            names.SEX: pd.Categorical(np.where(donors == "470BR", "M", "F")),
            names.CHEMISTRY: generator.choice([names.V2, names.V3], n),
            names.PERCENT_MITO: generator.random(n),
        },
        index=[f"cell{i}" for i in range(n)],
    )
    adata = anndata.AnnData(sp.csr_matrix((n, 5), dtype=np.float32), obs=obs)
    adata.var_names = [f"G{i}" for i in range(5)]
    adata.layers[names.COUNTS] = sp.csr_matrix(generator.poisson(0.7, (n, 5)).astype(np.int32))
    return adata


def test_a_profile_is_the_sum_over_its_cells(cells):
    profiles = pseudobulk.sum_by_donor(cells, min_cells=1)
    counts = cells.layers[names.COUNTS].toarray()
    for row, (_, profile) in enumerate(profiles.obs.iterrows()):
        here = np.ones(cells.n_obs, dtype=bool)
        for column in names.PROFILE:
            here &= (cells.obs[column] == profile[column]).to_numpy()
        assert profile[names.N_CELLS] == here.sum()
        assert profiles.X[row].toarray().ravel().tolist() == counts[here].sum(axis=0).tolist()
    assert profiles.obs[names.N_CELLS].sum() == cells.n_obs
    assert profiles.obs[pseudobulk.MOLECULES].sum() == counts.sum()


def test_order_of_cells_and_size_of_blocks_do_not_matter(cells, monkeypatch):
    expected = pseudobulk.sum_by_donor(cells, min_cells=1)
    monkeypatch.setattr(pseudobulk, "_BLOCK", 7)
    order = np.random.default_rng(2).permutation(cells.n_obs)
    found = pseudobulk.sum_by_donor(cells[order].copy(), min_cells=1)
    assert (found.X != expected.X).nnz == 0
    pd.testing.assert_frame_equal(found.obs, expected.obs)


def test_dense_counts_give_the_same_profiles(cells):
    expected = pseudobulk.sum_by_donor(cells, min_cells=1)
    cells.layers[names.COUNTS] = cells.layers[names.COUNTS].toarray()
    assert (pseudobulk.sum_by_donor(cells, min_cells=1).X != expected.X).nnz == 0


def test_whole_counts_kept_as_floats_give_the_same_profiles(cells):
    expected = pseudobulk.sum_by_donor(cells, min_cells=1)
    cells.layers[names.COUNTS] = cells.layers[names.COUNTS].astype(np.float32)
    assert (pseudobulk.sum_by_donor(cells, min_cells=1).X != expected.X).nnz == 0


def test_a_profile_of_just_enough_cells_stays(cells):
    smallest = pseudobulk.sum_by_donor(cells, min_cells=1).obs[names.N_CELLS].min()
    assert pseudobulk.sum_by_donor(cells, min_cells=smallest).obs[names.N_CELLS].min() == smallest


def test_small_profiles_are_left_out(cells):
    sizes = cells.obs.groupby(list(names.PROFILE), observed=True).size()
    profiles = pseudobulk.sum_by_donor(cells, min_cells=20)
    assert profiles.n_obs == (sizes >= 20).sum() < len(sizes)
    assert profiles.obs[names.N_CELLS].min() >= 20


def test_sums_beyond_32_bits_do_not_wrap(cells):
    cells.layers[names.COUNTS] = sp.csr_matrix(np.full((300, 5), 2**27, dtype=np.int64))
    assert pseudobulk.sum_by_donor(cells, by=[names.DONOR]).X.max() > 2**31


def test_large_counts_of_32_bits_do_not_wrap_within_a_block(cells):
    cells.layers[names.COUNTS] = sp.csr_matrix(np.full((300, 5), 2**27, dtype=np.int32))
    profiles = pseudobulk.sum_by_donor(cells, by=[names.DONOR])
    assert profiles.X.sum() == 300 * 5 * 2**27


def test_covariates_are_carried_only_where_they_are_constant(cells):
    obs = pseudobulk.sum_by_donor(cells, min_cells=1).obs
    assert obs[names.SEX].tolist() == ["M" if donor == "470BR" else "F" for donor in obs[names.DONOR]]
    assert names.PERCENT_MITO not in obs.columns
    assert set(obs[names.CHEMISTRY]) == {"3'v2 + 3'v3"}
    assert dict(zip(obs[names.DONOR], obs[names.EXACT_AGE], strict=True)) == {
        "339C": 73,
        "470BR": 19,
        "640C": 74,
    }


def test_cells_without_a_label_are_left_out(cells):
    cells.obs[names.LEVEL0] = cells.obs[names.LEVEL0].where(np.arange(300) >= 50)
    assert pseudobulk.sum_by_donor(cells, min_cells=1).obs[names.N_CELLS].sum() == 250


def test_half_counts_that_sum_to_a_whole_are_refused(cells):
    halves = sp.lil_matrix(cells.shape)
    halves[3, 0] = halves[3, 1] = 0.5
    cells.layers[names.COUNTS] = halves.tocsr()
    with pytest.raises(
        CountsError, match=r"2 of 2 stored values are not whole numbers >= 0, first 0.5 in cell 'cell3'"
    ):
        pseudobulk.sum_by_donor(cells)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, 0.25])
def test_values_that_are_no_counts_are_refused(cells, value):
    counts = cells.layers[names.COUNTS].astype(np.float32).tolil()
    counts[299, 4] = value
    cells.layers[names.COUNTS] = counts.tocsr()
    with pytest.raises(CountsError, match="cell 'cell299'"):
        pseudobulk.sum_by_donor(cells)


def test_profiles_that_mix_donors_are_refused(cells):
    with pytest.raises(TableError, match="mix donors"):
        pseudobulk.sum_by_donor(cells, by=[names.LEVEL0])


def test_missing_columns_and_layers_are_named(cells):
    with pytest.raises(TableError, match=r"lack column.* tissue"):
        pseudobulk.sum_by_donor(cells, by=[names.DONOR, "tissue"])
    with pytest.raises(TableError, match="no layer 'molecules'"):
        pseudobulk.sum_by_donor(cells, layer="molecules")


def test_a_donor_of_two_sexes_is_refused(cells):
    cells.obs[names.SEX] = pd.Categorical(["M", "F"] * 150)
    with pytest.raises(TableError, match="Sex has more than one value in donor"):
        pseudobulk.sum_by_donor(cells)
