"""Representations and networks: measures against plain loops, mixing that knows a batch, edges that differ."""

from itertools import combinations

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.decomposition import PCA

from helpers import names
from helpers.analysis import networks, representation
from helpers.analysis import representation_cards as cards
from helpers.errors import SourceError, TableError


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(0)
    labels = rng.choice(["FB", "MuSC", "MF-I"], 600)
    donors = rng.choice([f"D{i}" for i in range(10)], 600)
    center = {"FB": [0, 0, 0], "MuSC": [9, 0, 0], "MF-I": [0, 9, 0]}
    mixed = np.array([center[name] for name in labels]) + rng.normal(size=(600, 3))
    shift = {f"D{i}": rng.normal(0, 6, 3) for i in range(10)}
    apart = mixed + np.array([shift[name] for name in donors])
    return labels, donors, mixed, apart


def test_purity_and_mixing_are_those_of_a_plain_loop():
    labels = np.array(["a"] * 30 + ["b"] * 30)
    groups = np.array(["x", "y"] * 30)
    rng = np.random.default_rng(1)
    neighbors = np.array([rng.permutation(np.delete(np.arange(60), i))[:10] for i in range(60)])
    found = representation.mixing(neighbors, groups, labels)
    values = []
    for cell in range(60):
        near = [groups[n] for n in neighbors[cell] if labels[n] == labels[cell]]
        if len(near) < 3:
            continue
        shares = [near.count(name) / len(near) for name in ("x", "y")]
        entropy = -sum(s * np.log(s) for s in shares if s > 0)
        values.append(min(entropy / np.log(2), 1))
    assert found == pytest.approx(np.mean(values))


def test_a_view_that_keeps_donors_apart_mixes_less_and_carries_labels_worse(cells):
    labels, donors, mixed, apart = cells
    good = representation.measure(mixed, labels=labels, donors=donors, assays=None)
    bad = representation.measure(apart, labels=labels, donors=donors, assays=None)
    assert good["donor_mixing"] > 0.8 > bad["donor_mixing"]
    assert good["label_transfer_f1"] > 0.95 > bad["label_transfer_f1"]
    assert good["kmeans_ari"] > 0.95
    assert good["assay_mixing"] is None


def test_scaling_and_order_of_cells_do_not_matter(cells):
    labels, donors, mixed, _ = cells
    order = np.random.default_rng(5).permutation(len(labels))
    first = representation.measure(mixed, labels=labels, donors=donors, assays=None)
    second = representation.measure(mixed[order] * 7, labels=labels[order], donors=donors[order], assays=None)
    for name in ("silhouette", "neighbor_purity", "donor_mixing"):
        assert first[name] == pytest.approx(second[name])


def test_age_is_gained_where_the_view_knows_it_and_not_elsewhere(cells):
    labels, donors, mixed, _ = cells
    years = {f"D{i}": 20.0 + 6 * i for i in range(10)}
    aged = np.column_stack([mixed, [years[name] / 4 for name in donors]])
    knows = representation.measure(aged, labels=labels, donors=donors, assays=None, donor_ages=years)
    blind = representation.measure(mixed, labels=labels, donors=donors, assays=None, donor_ages=years)
    assert knows["age_gain_years"] > 5
    assert blind["age_gain_years"] < 5


def test_broken_points_are_refused(cells):
    labels, donors, mixed, _ = cells
    broken = mixed.copy()
    broken[3, 0] = np.nan
    with pytest.raises(TableError, match="all finite: False"):
        representation.measure(broken, labels=labels, donors=donors, assays=None)


def test_the_sparse_components_are_those_of_a_dense_pca():
    rng = np.random.default_rng(2)
    dense = rng.poisson(0.5, (200, 40)).astype(np.float32)
    found = representation.principal_components(sp.csr_matrix(dense), dimensions=5, top=40)
    wanted = PCA(5, svd_solver="full").fit_transform(dense)
    assert np.allclose(np.abs(found), np.abs(wanted), atol=1e-3)


def test_sentences_of_two_kinds_come_apart():
    rng = np.random.default_rng(0)
    words = [[f"A{i}" for i in range(20)], [f"B{i}" for i in range(20)]]
    texts = [" ".join(rng.permutation(words[i % 2])[:10]) for i in range(100)]
    points = representation.from_sentences(texts, dimensions=3)
    labels = np.array(["a", "b"] * 50)
    assert representation.measure(points, labels=labels, donors=None, assays=None)["neighbor_purity"] > 0.95


def test_a_table_of_the_wrong_length_is_refused(tmp_path):
    adata = ad.AnnData(sp.csr_matrix((4, 3), dtype=np.float32))
    path = tmp_path / "mine.parquet"
    pl.DataFrame({"x": [1.0, 2.0]}).write_parquet(path)
    with pytest.raises(TableError, match="2 rows and 1 numeric columns for 4 cells"):
        cards.gather(adata, {}, extra=str(path))
    with pytest.raises(TableError, match="neither a key of obsm"):
        cards.gather(adata, {}, extra="X_none")


def atlas_with_an_edge(*, seed=0):
    """Ten donors; genes G0 and G1 vary together in the old alone."""
    rng = np.random.default_rng(seed)
    blocks, obs = [], []
    for donor in range(10):
        old = donor >= 5
        x = rng.normal(3, 1, (60, 12))
        if old:
            x[:, 1] = x[:, 0] + rng.normal(0, 0.3, 60)
        blocks.append(np.maximum(x, 0))
        obs += [(f"D{donor}", "old" if old else "young")] * 60
    table = pd.DataFrame(obs, columns=[names.DONOR, names.AGE_BIN], index=[f"c{i}" for i in range(600)])
    table[names.LEVEL0], table[names.ASSAY] = "MuSC", "cells"
    var = pd.DataFrame(index=[f"G{i}" for i in range(12)])
    return ad.AnnData(sp.csr_matrix(np.vstack(blocks).astype(np.float32)), obs=table, var=var)


def test_a_planted_edge_is_the_first_and_the_others_are_silent():
    per_donor = networks.correlate(atlas_with_an_edge(), cell_type="MuSC", assay="cells")
    edges = networks.compare_ages(per_donor, n_permutations=199)
    assert set(edges.row(0)[:2]) == {"G0", "G1"}
    assert edges["p"][0] < 0.02
    assert (edges["p"][1:] < 0.05).mean() < 0.2


def confounded(chemistry=False):
    """Sixteen donors, young and old in both sexes but mostly young men and old women; G0 and G1 go together in men."""
    rng = np.random.default_rng(7)
    sexes, ages = ["M"] * 8 + ["F"] * 8, ["young"] * 6 + ["old"] * 2 + ["young"] * 2 + ["old"] * 6
    blocks, rows = [], []
    for donor, (sex, age) in enumerate(zip(sexes, ages, strict=True)):
        x = rng.normal(3, 1, (60, 12))
        if sex == "M":
            x[:, 1] = x[:, 0] + rng.normal(0, 0.3, 60)
        blocks.append(np.maximum(x, 0))
        kit = f"kit{donor % 2}" if chemistry else f"kit of {donor}"
        rows += [(f"D{donor:02}", age, sex, kit)] * 60
    obs = pd.DataFrame(rows, columns=[names.DONOR, names.AGE_BIN, names.SEX, names.CHEMISTRY])
    obs = obs.assign(**{names.LEVEL0: "MuSC", names.ASSAY: "cells"}).set_index(
        np.arange(len(obs)).astype(str)
    )
    var = pd.DataFrame(index=[f"G{i}" for i in range(12)])
    return ad.AnnData(sp.csr_matrix(np.vstack(blocks).astype(np.float32)), obs=obs, var=var)


def test_an_edge_of_men_is_not_taken_for_an_edge_of_youth():
    adata = confounded()
    edges = networks.compare_ages(networks.correlate(adata, cell_type="MuSC", assay="cells"))
    pair = edges.filter((pl.col("gene") == "G0") & (pl.col("partner") == "G1")).row(0, named=True)
    assert pair["dealt_within"] == "sex"
    assert pair["arrangements"] == 28 * 28
    assert abs(pair["young"] - pair["old"]) > 0.2  # the plain means differ, since most young are men
    assert abs(pair["difference"]) < 0.3
    assert pair["p"] > 0.1
    adata.obs = adata.obs.drop(columns=names.SEX)
    plain = networks.compare_ages(networks.correlate(adata, cell_type="MuSC", assay="cells"))
    assert set(plain["dealt_within"]) == {"all donors"}


def test_bins_are_dealt_within_the_finest_strata_that_leave_enough_ways():
    young = np.array([True] * 6 + [False] * 2 + [True] * 2 + [False] * 6)
    sex, kit = ["M"] * 8 + ["F"] * 8, ["a", "b"] * 8
    both = {names.SEX: sex, names.CHEMISTRY: kit}
    assert networks.choose_strata(young, both)[0] == "sex and chemistry"
    assert networks.choose_strata(young, both)[1][:2] == [("M", "a"), ("M", "b")]
    assert networks.choose_strata(young, {names.SEX: sex, names.CHEMISTRY: list(range(16))})[0] == "sex"
    assert networks.choose_strata(young, {names.CHEMISTRY: kit})[0] == "all donors"
    split = {names.SEX: ["M" if one else "F" for one in young]}
    assert networks.choose_strata(young, split) == ("all donors", None)
    edges = networks.compare_ages(
        networks.correlate(confounded(chemistry=True), cell_type="MuSC", assay="cells")
    )
    assert edges["dealt_within"][0] == "sex and chemistry"


def test_difference_and_p_within_strata_are_those_of_a_plain_loop():
    rng = np.random.default_rng(3)
    young = np.array([True, True, False, False, False, True, False, False])
    sex = np.array(["M"] * 4 + ["F"] * 4)
    z = rng.normal(size=(8, 3))
    given = {"z": z, "young": young, "genes": ["A", "B", "C"], "covariates": {names.SEX: list(sex)}}
    found = networks.compare_ages(given, n_permutations=24).sort("gene", "partner")

    def gap(dealt):  # difference within each sex, weighted as least squares does
        parts, weights = [], []
        for name in ("M", "F"):
            own = sex == name
            old, new = z[own & ~dealt], z[own & dealt]
            weights.append(len(old) * len(new) / own.sum())
            parts.append(old.mean(axis=0) - new.mean(axis=0))
        return np.average(parts, axis=0, weights=weights)

    deals = []
    for men in combinations(range(4), 2):
        for woman in range(4, 8):
            dealt = np.zeros(8, bool)
            dealt[[*men, woman]] = True
            deals.append(gap(dealt))
    wanted = (np.abs(deals) >= np.abs(gap(young)) - 1e-12).mean(axis=0)
    assert found["arrangements"].to_list() == [24] * 3
    assert np.allclose(found["difference"], gap(young))
    assert np.allclose(found["p"], wanted)


def test_a_donor_network_is_the_correlation_of_its_cells():
    adata = atlas_with_an_edge()
    per_donor = networks.correlate(adata, cell_type="MuSC", assay="cells")
    dense = adata[adata.obs[names.DONOR] == "D7"].X.toarray()
    wanted = np.corrcoef(dense, rowvar=False)[np.triu_indices(12, 1)]
    found = np.tanh(per_donor["z"][per_donor["donors"].index("D7")])
    assert np.allclose(found, np.clip(wanted, -0.999, 0.999), atol=1e-4)


def test_too_few_donors_give_no_edges():
    adata = atlas_with_an_edge()
    few = adata[adata.obs[names.DONOR].isin(["D0", "D9"])].copy()
    assert networks.compare_ages(networks.correlate(few, cell_type="MuSC", assay="cells")).is_empty()


def test_a_network_in_varp_is_read_and_compared(tmp_path):
    adata = ad.AnnData(sp.csr_matrix((2, 3), dtype=np.float32), var=pd.DataFrame(index=["A", "B", "C"]))
    adata.varp["GRN"] = sp.csr_matrix(np.array([[9.0, 2, 0], [0, 0, -3], [0, 0, 0]]))
    path = tmp_path / "grn.h5ad"
    adata.write_h5ad(path)
    found = networks.read_grn(path)
    assert found.rows() == [("B", "C", -3.0), ("A", "B", 2.0)]
    mine = pl.DataFrame({"gene": ["B", "A"], "partner": ["A", "C"]})
    assert networks.overlap(mine, found) == {
        "edges_first": 2,
        "edges_second": 2,
        "shared": 1,
        "jaccard": 1 / 3,
    }
    with pytest.raises(SourceError, match=r"no varp\['NET'\]; it has GRN"):
        networks.read_grn(path, key="NET")


def test_a_file_that_is_no_h5ad_is_refused(tmp_path):
    path = tmp_path / "grn.h5ad"
    path.write_bytes(b"not hdf5")
    with pytest.raises(SourceError, match="cannot be read as an h5ad"):
        networks.read_grn(path)
    with h5py.File(tmp_path / "empty.h5ad", "w"):
        pass
    with pytest.raises(SourceError, match="it has none"):
        networks.read_grn(tmp_path / "empty.h5ad")


def test_two_sentences_are_enough_for_a_view():
    assert representation.from_sentences(["MYH7 TNNT1 DCN", "MYH7 TNNT1 PAX7"]).shape[0] == 2


def test_a_type_whose_donors_all_have_too_few_cells_has_no_network():
    found = networks.correlate(atlas_with_an_edge(), cell_type="MuSC", assay="cells", min_cells=10**6)
    assert found["donors"] == []
    adata = atlas_with_an_edge()
    most = int(adata.obs[names.DONOR].value_counts().max())
    found = networks.correlate(adata, cell_type="MuSC", assay="cells", min_cells=most + 1)
    assert found["z"].shape[0] == 0
    assert networks.compare_ages(found).is_empty()
