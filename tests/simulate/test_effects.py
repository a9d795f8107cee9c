"""Planted effects can be found again at the level of the donor."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from scipy import stats

from helpers import names
from helpers.facts import study
from helpers.simulate import cells, cohort, genes
from helpers.simulate.cohort import LATE_TYPE, PLANTED, SILENT

SEED = 11


def fit(y, decades, chemistry):
    """Slope on decades of age over donors, with its p-value, chemistry in the model."""
    design = np.c_[np.ones(len(y)), decades, chemistry]
    found, squares, *_ = np.linalg.lstsq(design, y)
    free = len(y) - design.shape[1]
    error = np.sqrt(squares / free * np.linalg.inv(design.T @ design)[1, 1])
    return found[1], 2 * stats.t.sf(np.abs(found[1]) / error, free)


def test_a_test_over_donors_finds_what_is_planted_and_keeps_its_level_on_average_not_in_each_deal():
    # muscle stem cells of an atlas of a third of the full size
    means = {assay: genes.make_profiles(assay, seed=SEED) for assay in (names.CELLS, names.NUCLEI)}
    planted = genes.list_age_effects(means, seed=SEED)
    frame = cells.make_cells(scale=0.33, seed=SEED).filter(
        (pl.col(cells.TRUE2) == "MuSC") & (pl.col(names.ASSAY) == names.CELLS) & ~pl.col("doublet")
    )
    counts = cells.draw_counts(frame, means, planted, seed=SEED)
    people = frame.select(names.DONOR, names.EXACT_AGE, names.CHEMISTRY).unique(maintain_order=True)
    member = (frame[names.DONOR].to_numpy() == people[names.DONOR].to_numpy()[:, None]).astype(int)
    sums = counts.T.dot(member.T).T
    high = sums.mean(axis=0) > 60
    y = np.log2((sums[:, high] + 0.5) / sums.sum(axis=1, keepdims=True) * 1e6)
    decades, chemistry = people[names.EXACT_AGE].to_numpy() / 10, people[names.CHEMISTRY] == names.V3

    change = genes.age_log(planted, names.CELLS, "MuSC", "MuSC")[0][high] / genes.LN2
    slope = fit(y, decades, chemistry)[0]
    assert stats.linregress(change[change != 0], slope[change != 0]).slope == pytest.approx(1.0, abs=0.2)
    sex = set(genes.list_sex_effects(SEED)[names.GENE])
    plain = (genes.list_genes()["kind"] == "rest") & ~genes.list_genes()[names.GENE].is_in(sex)
    null = (change == 0) & plain.to_numpy()[high]
    assert null.sum() > 1000
    rng = np.random.default_rng(0)
    rates = [(fit(y, rng.permutation(decades), chemistry)[1][null] < 0.05).mean() for _ in range(200)]
    assert np.mean(rates) == pytest.approx(0.05, abs=0.015)
    # genes of a donor move together, so single deals scatter as they do in counts of real people: by about four points
    assert 0.015 < np.std(rates) < 0.08


@pytest.fixture(scope="module")
def planted():
    means = {assay: genes.make_profiles(assay, seed=1) for assay in (names.CELLS, names.NUCLEI)}
    return genes.list_age_effects(means, seed=1)


def test_some_types_have_no_age_effect_but_the_published_and_one_common_type_has_none(planted):
    ageless = cohort.list_types().filter("ageless")[names.LEVEL0].to_list()
    ageless = planted.filter(pl.col(names.LEVEL0).is_in(ageless))
    assert set(ageless["origin"]) == {"published"}
    number = planted.filter(pl.col("origin") == "random").group_by("assay", names.LEVEL0).len()
    assert number["len"].max() <= genes.RANDOM_GENES
    assert number.height > 15
    assert planted.filter(pl.col(names.LEVEL0) == SILENT).is_empty()
    slopes = cohort.list_slopes().filter(pl.col("label") == SILENT)
    assert slopes["log2_change_per_decade"].to_list() == [0, 0]


def test_late_genes_have_the_slope_of_the_line_through_what_begins_at_fifty(planted):
    late = planted.filter((pl.col("origin") == "late") & (pl.col("assay") == names.CELLS))
    assert set(late[names.LEVEL0]) == {LATE_TYPE}
    assert late.height > 40
    age = cohort.list_donors().filter(pl.col("n_cells") > 0)[names.EXACT_AGE].to_numpy()
    line = stats.linregress(age / 10, np.maximum(age - 50, 0) / 10).slope
    assert genes.hinge_slopes()[names.CELLS] == pytest.approx(line)


def test_genes_of_a_donor_move_together_and_genes_of_a_set_more_so():
    people = [f"made-up {i}" for i in range(200)]
    poor = dict.fromkeys(people, 0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(genes, "quality", lambda *_: poor)
        change = np.stack([genes.donor_log(3, donor, "MuSC") for donor in people])
        patch.setattr(genes, "PLANTED", dataclasses.replace(PLANTED, factor_share=0.0))
        plain = np.stack([genes.donor_log(3, donor, "MuSC") for donor in people])
    some = np.random.default_rng(0).choice(change.shape[1], 300, replace=False)
    found = study.gene_sets().filter(pl.col("set") == "ribosome_biogenesis_full")["gene"].to_list()
    members = [genes.positions()[gene] for gene in found]

    def spread(values, columns):
        scaled = values[:, columns] / values[:, columns].std(axis=0)
        return scaled.mean(axis=1).std()

    together = np.corrcoef(change[:, some].T)[np.triu_indices(300, 1)]
    alone = np.corrcoef(plain[:, some].T)[np.triu_indices(300, 1)]
    assert together.std() > 4 * alone.std()
    assert spread(change, members) > 3 * spread(plain, members)
    ratio = change[:, some].std(axis=0) / genes.gene_spread(3)[some]
    assert np.median(ratio) == pytest.approx(1, abs=0.2)
    assert stats.kurtosis(plain[:, some], axis=0).mean() > 1


def test_stress_follows_hospital_days_and_not_age():
    shares = np.array([list(genes.stress_shares(seed).values()) for seed in range(20)])
    mean = np.log(shares).mean(axis=0)
    days, age = (study.donors()[column].to_numpy().astype(float) for column in ("hospital_days", "Age"))
    assert stats.pearsonr(mean, days)[0] > 0.8
    assert abs(stats.linregress(np.c_[days, age][:, 1], mean - 0.1 * days).slope) < 0.005
