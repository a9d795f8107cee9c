"""Planted effects can be found again at the level of the donor, and mislead at the level of the cell."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from helpers import names
from helpers.facts import study
from helpers.simulate import atlas, cells, effects, genes, matrix, profiles

SEED = 11


@pytest.fixture(scope="module")
def stem():
    """Muscle stem cells of an atlas of a third of the full size: cells, counts, planted change of every gene."""
    means = {assay: profiles.make_profiles(assay, seed=SEED) for assay in (names.CELLS, names.NUCLEI)}
    planted = effects.list_age_effects(means, seed=SEED)
    frame = cells.make_cells(scale=0.33, seed=SEED).filter(
        (pl.col(cells.TRUE2) == "MuSC") & (pl.col(names.ASSAY) == names.CELLS) & ~pl.col("doublet")
    )
    counts = matrix.draw_counts(frame, atlas.list_libraries(), plan=matrix.Plan(means, planted, SEED))
    frame = frame.join(atlas.list_libraries().select(names.SAMPLE, names.EXACT_AGE), on=names.SAMPLE)
    change = effects.age_log(planted, names.CELLS, "MuSC", "MuSC") / effects.LN2
    return frame, counts, change


@pytest.fixture(scope="module")
def slopes(stem):
    """Slope of log2 counts per million on decades of age over donors, with its p-value, chemistry in the model."""
    frame, counts, _ = stem
    people = frame.select(names.DONOR, names.EXACT_AGE, names.CHEMISTRY).unique(maintain_order=True)
    sums = np.stack(
        [
            np.asarray(counts[(frame[names.DONOR] == d).to_numpy()].sum(axis=0)).ravel()
            for d in people[names.DONOR]
        ]
    )
    high = np.flatnonzero(sums.mean(axis=0) > 60)
    y = np.log2((sums[:, high] + 0.5) / sums.sum(axis=1, keepdims=True) * 1e6)
    decades = people[names.EXACT_AGE].to_numpy() / 10
    design = np.c_[np.ones(len(y)), decades, (people[names.CHEMISTRY] == names.V3).to_numpy()]
    fit, squares, *_ = np.linalg.lstsq(design, y)
    free = len(y) - design.shape[1]
    error = np.sqrt(squares / free * np.linalg.inv(design.T @ design)[1, 1])
    return high, fit[1], 2 * stats.t.sf(np.abs(fit[1]) / error, free)


def _no_effect(columns, change):
    sex = set(effects.list_sex_effects()[names.GENE])
    other = [
        genes.list_genes()[names.GENE][int(c)] in sex or genes.list_genes()["kind"][int(c)] != "rest"
        for c in columns
    ]
    return (change[columns] == 0) & ~np.array(other)


def test_planted_changes_are_found_again_over_donors(stem, slopes):
    change, (high, slope, _) = stem[2], slopes
    planted = change[high]
    fit = stats.linregress(planted[planted != 0], slope[planted != 0])
    assert fit.slope == pytest.approx(1.0, abs=0.2)
    large = np.abs(planted) > 0.25
    assert large.sum() > 15
    assert (np.sign(slope[large]) == np.sign(planted[large])).mean() > 0.9


def test_a_test_over_donors_keeps_its_level(stem, slopes):
    high, _, p = slopes
    null = _no_effect(high, stem[2])
    assert null.sum() > 1000
    assert 0.03 < (p[null] < 0.05).mean() < 0.075


def test_a_test_over_cells_is_misled(stem, slopes):
    frame, counts, change = stem
    null = slopes[0][_no_effect(slopes[0], change)][::10]
    share = counts[:, null].toarray() / frame["molecules"].to_numpy()[:, None]
    young = (frame[names.AGE_BIN] == names.YOUNG).to_numpy()
    p = stats.mannwhitneyu(share[young], share[~young]).pvalue
    assert (p < 0.05).mean() > 0.4


def test_some_types_have_no_age_effect_but_the_published(stem):
    means = {assay: profiles.make_profiles(assay, seed=1) for assay in (names.CELLS, names.NUCLEI)}
    planted = effects.list_age_effects(means, seed=1)
    ageless = planted.filter(pl.col(names.LEVEL0).is_in(effects.AGELESS))
    assert set(ageless["origin"]) == {"published"}
    number = planted.filter(pl.col("origin") == "random").group_by(names.ASSAY, names.LEVEL0).len()
    assert number["len"].max() <= effects.RANDOM_GENES
    assert number.height > 15


def test_stress_follows_hospital_days_and_not_age():
    shares = np.array([[effects.stress_share(s, d) for d in study.donors()[names.DONOR]] for s in range(20)])
    mean = np.log(shares).mean(axis=0)
    days, age = (study.donors()[column].to_numpy().astype(float) for column in ("hospital_days", "Age"))
    assert stats.pearsonr(mean, days)[0] > 0.8
    assert abs(stats.linregress(np.c_[days, age][:, 1], mean - 0.1 * days).slope) < 0.005
