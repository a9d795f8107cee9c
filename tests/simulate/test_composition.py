import numpy as np
import polars as pl
import pytest
from scipy import stats

from helpers import names
from helpers.facts import study
from helpers.simulate import cohort, release


@pytest.fixture(scope="module")
def full():
    counts = [cohort.count_labels(a, scale=1, seed=5) for a in (names.CELLS, names.NUCLEI)]
    people = cohort.list_donors().select(names.DONOR, names.AGE_GROUP)
    return pl.concat(counts).join(people, on=names.DONOR)


def _sum(frame, column):
    return dict(frame.group_by(column).agg(pl.col("n").sum()).rows())


def test_full_size_has_the_published_margins(full):
    assert _sum(full, names.ASSAY) == {"cells": 90_902, "nuclei": 92_259}
    assert _sum(full, names.SEX) == {"M": 120_405, "F": 62_756}
    assert _sum(full, names.AGE_GROUP) == study.N_BY_AGE_GROUP
    assert _sum(full, names.AGE_BIN) == {"young": 83_921, "old": 99_240}
    assert _sum(full, names.LEVEL2) == dict(study.hierarchy().select(names.LEVEL2, "n_total").rows())


def test_full_size_counts_of_each_assay_are_the_published_ones_but_for_the_relabeled(full):
    published = study.level1_by_assay()
    for assay, column in ((names.CELLS, "n_cells"), (names.NUCLEI, "n_nuclei")):
        wanted = dict(published.filter(pl.col(column) > 0).select(names.LEVEL1, column).iter_rows())
        if assay == names.CELLS:  # at level 1 the 62 are still type 2, here they count by their finest label
            wanted["cDC1"] += study.N_HIERARCHY_BREAKS
            wanted["cDC2"] -= study.N_HIERARCHY_BREAKS
        assert _sum(full.filter(pl.col(names.ASSAY) == assay), names.LEVEL1) == wanted


def test_layout_of_donors_and_libraries_is_the_published_one(full):
    found = full.select(names.DONOR, names.ASSAY).unique().group_by(names.ASSAY).len()
    assert dict(found.rows()) == {names.CELLS: 12, names.NUCLEI: 13}
    assert (full.group_by(names.DONOR).agg(pl.col(names.ASSAY).n_unique())[names.ASSAY] == 2).sum() == 8
    assert full[names.SAMPLE].n_unique() == 43
    assert _sum(full, names.DONOR)["398B"] == 398
    for column in (names.DONOR, names.CHEMISTRY):
        stated = dict(study.libraries().drop_nulls(column).select(names.SAMPLE, column).rows())
        assert stated.items() <= dict(full.select(names.SAMPLE, column).unique().rows()).items()
    young = full.filter((pl.col(names.ASSAY) == names.CELLS) & (pl.col(names.AGE_BIN) == names.YOUNG))
    assert set(young[names.SEX]) == {names.MALE}


def test_special_populations(full):
    for label, donor in cohort.SINGLE_DONOR.items():
        assert set(full.filter(pl.col(names.LEVEL2) == label)[names.DONOR]) == {donor}
    cells = full.filter(pl.col(names.ASSAY) == names.CELLS)

    def shares(lineage, column):
        share = pl.col("n").filter(pl.col("lineage") == lineage).sum() / pl.col("n").sum()
        return dict(cells.group_by(column).agg(share).rows())

    lymphoid, fragments = shares("lymphoid", names.DONOR), shares("fragments", names.CHEMISTRY)
    assert max(lymphoid, key=lymphoid.get) == cohort.OUTLIER_DONOR
    assert fragments[names.V3] > 4 * fragments[names.V2]


@pytest.mark.parametrize("scale", [0.005, 0.02, 0.08])
@pytest.mark.parametrize("assay", [names.CELLS, names.NUCLEI])
def test_small_atlases_keep_every_label_library_and_donor(assay, scale):
    counts = cohort.count_labels(assay, scale=scale, seed=1)
    wanted = cohort.list_labels().filter(pl.col(names.ASSAY) == assay)
    assert set(counts[names.LEVEL2]) == set(wanted[names.LEVEL2])
    assert counts[names.SAMPLE].n_unique() == (cohort.list_libraries()[names.ASSAY] == assay).sum()
    assert min(_sum(counts, names.LEVEL2).values()) >= 4


def test_slopes_are_the_published_ones_per_decade():
    slopes = {(a, label): v for a, label, v, _ in cohort.list_slopes().rows()}
    assert slopes[names.CELLS, "NK-cell"] == pytest.approx(1.58 / 1.932)
    assert slopes[names.NUCLEI, "MF-I"] == pytest.approx(-0.67 / 1.932)
    planted = release.composition_slopes().filter(pl.col("level") == names.LEVEL0)
    for assay, label, value in planted.select("assay", "label", "log2_change_per_decade").rows():
        assert value == pytest.approx(slopes[assay, label], abs=1e-9)


def test_donors_differ_so_much_that_a_rank_test_of_age_finds_next_to_nothing():
    found, donor = [], [names.DONOR, names.AGE_BIN]
    for seed in range(6):
        counts = cohort.count_labels(names.CELLS, scale=1, seed=seed)
        wide = counts.pivot(names.LEVEL0, index=donor, values="n", aggregate_function="sum").fill_null(0)
        n, young = wide.drop(donor).to_numpy(), (wide[names.AGE_BIN] == names.YOUNG).to_numpy()
        share = n / n.sum(axis=1, keepdims=True)
        p = stats.mannwhitneyu(share[young], share[~young]).pvalue
        found.append((stats.false_discovery_control(p) < 0.05).sum())
    assert np.mean(found) < 1.5
