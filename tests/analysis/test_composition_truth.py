"""Composition tests against planted truth: coverage, signs, uniform p under the null, the pooled test failing.

Small seeded sweeps; the large ones are in ``bench/composition.py``.
"""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from helpers import names
from helpers.analysis import (
    composition,
    composition_audit,
    composition_design,
    composition_scoring,
    composition_stability,
    composition_tests,
    draws,
    reference,
)
from helpers.facts import fibers
from helpers.simulate import composition as simulated
from helpers.simulate import donors

SEEDS = range(6)
COVARIATES = [names.SEX, names.CHEMISTRY]


def simulated_table(seed, *, scale=0.08, unit="donor"):
    """Return the composition of a simulated release, without its expression."""
    known = donors.list_donors().select(names.DONOR, names.EXACT_AGE, names.SEX, names.AGE_BIN)
    counted = pl.concat(
        [simulated.count_labels(a, scale=scale, seed=seed) for a in (names.CELLS, names.NUCLEI)]
    )
    obs = counted.join(known, on=names.DONOR).select(pl.exclude("n").repeat_by("n").explode())
    return composition.composition(obs, unit=unit)


@pytest.fixture(scope="module")
def truth():
    return simulated.list_slopes().rename({names.ASSAY: "assay", "label": "type"})


@pytest.fixture(scope="module")
def scored(truth):
    found = []
    for seed in SEEDS:
        table, libraries = simulated_table(seed), simulated_table(seed, unit="library")
        plan = composition_tests.Plan(covariates=composition_design.estimable(table, COVARIATES), draws=1_000)
        wide = composition_tests.Plan(covariates=composition_design.estimable(libraries, COVARIATES))
        expected = composition_scoring.estimand(table, truth, plan=plan)
        # within every combination of sex and chemistry too few donors are left to exchange: strata are sexes
        coarse = composition_tests.Plan(covariates=[names.SEX], draws=1_000)
        results = composition_tests.compare(table, methods=["quasi-binomial", "log-ratio"], plan=plan)
        mixed = composition_tests.slopes(libraries, method="mixed", plan=wide)
        exchanged = composition_tests.slopes(table, method="permutation", plan=coarse)
        found.append(composition_scoring.score(pl.concat([results, mixed, exchanged]), expected))
    return pl.concat(found)


@pytest.mark.parametrize("method", ["quasi-binomial", "log-ratio", "mixed", "permutation"])
def test_intervals_cover_planted_slopes_in_90_to_98_percent(scored, method):
    # 234 intervals in six clusters: 3 points of sampling error on either side of the promise
    coverage = scored.filter(pl.col("method") == method)["covered"].mean()
    assert 0.89 < coverage < 0.995


@pytest.mark.parametrize("method", ["quasi-binomial", "log-ratio", "mixed", "permutation"])
def test_the_sign_of_slopes_larger_than_twice_their_error_is_recovered(scored, method):
    telling = scored.filter((pl.col("method") == method) & pl.col("telling"))
    assert telling.height > 20
    assert telling["sign_right"].mean() > 0.93


def test_the_cell_level_test_does_not_cover(truth):
    table = simulated_table(0)
    naive = composition_tests.slopes(table, method="chi-square")
    plan = composition_tests.Plan(exposure=names.AGE_BIN)
    expected = composition_scoring.estimand(table, truth, plan=plan)
    assert composition_scoring.score(naive, expected)["covered"].mean() < 0.6


def test_the_permutation_p_is_uniform_under_the_null():
    units = draws.donors(12, total=800)
    found = []
    for seed in range(500):
        table = draws.draw(units, shares={"A": 1, "B": 3, "C": 6}, concentration=30, seed=seed)
        plan = composition_tests.Plan(draws=999, seed=seed, intervals=False)
        result = composition_tests.slopes(table, method="permutation", plan=plan)
        found.append(result.filter(pl.col("type") == "B")["p"].item())
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert min(found) >= 1 / 1000


def test_donor_level_tests_hold_their_level_and_the_pooled_test_does_not():
    units = draws.donors(12, total=1_000)
    shares = {f"t{i}": float(s) for i, s in enumerate(np.geomspace(1, 40, 12))}
    table = draws.draw(units, shares=shares, concentration=40, seed=11)
    null = composition_audit.run_null(table, draws=40, seed=1)
    rates = dict(composition_audit.false_positives(null).select("method", "false_positive_rate").iter_rows())
    assert rates["chi-square"] > 0.5
    for method in composition_tests.METHODS:
        assert 0.005 < rates[method] < 0.1


def test_shuffled_ages_stay_with_whole_donors_of_their_assay():
    table = simulated_table(0, unit="library")
    moved = composition_audit.shuffle_ages(table, seed=5)
    assert moved.select(pl.exclude("age", names.AGE_BIN)).equals(
        table.select(pl.exclude("age", names.AGE_BIN))
    )
    assert (moved.group_by("assay", names.DONOR).agg(pl.col("age").n_unique())["age"] == 1).all()
    for assay in (names.CELLS, names.NUCLEI):
        ages = [t.filter(pl.col("assay") == assay).unique(names.DONOR)["age"].sort() for t in (table, moved)]
        assert ages[0].equals(ages[1])
    assert not moved["age"].equals(table["age"])


# what is estimated


def test_the_estimand_without_noise_is_what_the_test_finds():
    # no noise at all: the test must return the share slope that the truth implies, up to rounding of counts
    units = draws.donors(14, total=400_000)
    shares, slopes = {"A": 1.0, "B": 2.0, "C": 3.0}, {"A": 0.5, "B": -0.2}
    table = draws.draw(units, shares=shares, slopes=slopes, concentration=None, seed=1)
    truth = pl.DataFrame(
        {"assay": "simulated", "type": list(slopes), "log2_change_per_decade": list(slopes.values())}
    )
    expected = dict(composition_scoring.estimand(table, truth).select("type", "estimand").iter_rows())
    found = composition_tests.slopes(table, method="log-ratio")
    for kind, effect in found.select("type", "log2_change").iter_rows():
        assert effect == pytest.approx(expected[kind], abs=0.02)
    # and by hand, without the package: log2 share at the ages of the donors, fitted by a straight line
    decades = (units["age"].to_numpy() - 48) / 10
    grown = np.array([shares[k] * 2 ** (slopes.get(k, 0) * decades) for k in "ABC"])
    for kind, row in zip("ABC", np.log2(grown / grown.sum(axis=0)), strict=True):
        assert expected[kind] == pytest.approx(np.polyfit(decades, row, 1)[0], abs=2e-3)


def test_in_a_frame_of_one_type_the_estimand_is_the_difference_of_planted_slopes():
    table = draws.draw(draws.donors(10), shares={"A": 1, "B": 2, "C": 3}, seed=3)
    truth = pl.DataFrame({"assay": "simulated", "type": ["A", "B"], "log2_change_per_decade": [0.5, -0.2]})
    for frame, shift in (("B", -0.2), ("C", 0.0), ("center", 0.1)):
        plan = composition_tests.Plan(reference=frame)
        expected = dict(
            composition_scoring.estimand(table, truth, plan=plan).select("type", "estimand").iter_rows()
        )
        assert expected["A"] == pytest.approx(0.5 - shift, abs=1e-9)


def test_the_push_on_other_shares_is_that_of_the_simulation():
    table, planted = reference.trap(log2_per_decade=0.4)
    mean = dict(composition.shares(table).group_by("type").agg(pl.col("share").mean()).iter_rows())
    moved = reference.push(planted, mean, decades=1)
    found = composition_tests.slopes(table, method="log-ratio")
    steady = found.filter(pl.col("type").str.starts_with("steady"))["log2_change"].mean()
    assert steady == pytest.approx(moved["steady 1"], abs=0.06)


# one donor, power


def test_a_type_of_one_donor_is_found():
    units = draws.donors(9)
    table = draws.draw(units, shares={"A": 1, "B": 9}, concentration=None, seed=1)
    only = (pl.col("type") == "A") & (pl.col("DonorID") != "D04")
    table = table.with_columns(pl.when(only).then(0).otherwise(pl.col("n")).alias("n"))
    row = composition_stability.dominance(table).row(0, named=True)
    assert (row["type"], row["largest_donor"], row["largest_part"]) == ("A", "D04", 1.0)
    assert row["effective_donors"] == pytest.approx(1.0)
    assert row["donors_seen"] == 1


def test_changes_at_the_detectable_size_are_found_with_the_wanted_power():
    units = draws.donors(14, total=20_000)
    quiet = draws.draw(units, shares={"A": 1, "B": 9}, concentration=None, log2_sd=0.5, seed=1)
    errors, hits = [], []
    for seed in range(60):
        quiet = draws.draw(units, shares={"A": 1, "B": 30}, concentration=None, log2_sd=0.5, seed=seed)
        result = composition_tests.slopes(quiet, method="log-ratio").filter(pl.col("type") == "A")
        errors.append(composition_audit.power(result)["detectable"].item())
    size = float(np.mean(errors))
    for seed in range(60, 180):
        table = draws.draw(
            units, shares={"A": 1, "B": 30}, slopes={"A": size}, concentration=None, log2_sd=0.5, seed=seed
        )
        result = composition_tests.slopes(table, method="log-ratio").filter(pl.col("type") == "A")
        hits.append(result["p"].item() < 0.05)
    assert 0.68 < np.mean(hits) < 0.92


def test_the_effect_without_one_donor_stands_beside_the_effect_of_all():
    table = simulated_table(0)
    both = composition_stability.without(table, "640C")
    row = both.filter((pl.col("assay") == names.CELLS) & (pl.col("type") == "T-cell")).row(0, named=True)
    kept = composition_tests.slopes(table.filter(pl.col(names.DONOR) != "640C"))
    same = kept.filter((pl.col("assay") == names.CELLS) & (pl.col("type") == "T-cell"))["log2_change"].item()
    assert row["log2_change_without"] == pytest.approx(same)
    assert row["log2_change_without"] != row["log2_change"]


def test_redrawn_donors_keep_the_promise_of_the_intervals():
    planted = pl.DataFrame(
        {"assay": ["cells", "cells"], "type": ["T-cell", "MuSC"], "published_per_decade": [0.6, -0.3]}
    )
    table = simulated_table(0).filter(pl.col("assay") == names.CELLS)
    swept = composition_audit.sweep(table, planted, covariates=COVARIATES, draws=12, seed=3)
    assert swept["method"].to_list() == ["log-ratio", "quasi-binomial"]
    assert swept["coverage"].is_between(0.9, 0.99).all()
    assert composition_audit.sweep(table.clear(), planted).is_empty()


def test_scores_of_all_tests_use_what_each_of_them_estimates(truth):
    table = simulated_table(1)
    results = composition_tests.compare(table, methods=["log-ratio", "chi-square"])
    scored = composition_scoring.score_all(results, table, truth)
    donor_level = dict(scored.filter(pl.col("method") == "log-ratio").select("type", "estimand").iter_rows())
    pooled = dict(scored.filter(pl.col("method") == "chi-square").select("type", "estimand").iter_rows())
    # young and old are about four decades apart, so the change between them is that many times the slope
    assert pooled["T-cell"] / donor_level["T-cell"] == pytest.approx(3.7, abs=0.5)
    assert composition_scoring.score_all(results, table, None).is_empty()


def test_only_the_truth_of_the_asked_level_is_read():
    truth = pl.DataFrame(
        {
            "assay": "cells",
            "level": [names.LEVEL0, names.LEVEL2],
            "label": ["FB", "Adv_FB"],
            "log2_change_per_decade": [0.1, 0.3],
            "origin": "x",
        }
    )
    assert composition_scoring.read_truth(truth, level=names.LEVEL2)["type"].to_list() == ["Adv_FB"]
    assert composition_scoring.read_truth(truth, level=names.LEVEL1) is None
    assert composition_scoring.read_truth(None, level=names.LEVEL0) is None


def test_slopes_beside_published_ones_are_per_standard_deviation():
    table = simulated_table(2)
    found = composition_tests.slopes(table, method="log-ratio")
    published = fibers.published_slopes()
    beside = composition_scoring.beside_published(found, published, age_sd=19.32)
    row = beside.filter((pl.col("assay") == names.CELLS) & (pl.col("type") == "FB")).row(0, named=True)
    plain = found.filter((pl.col("assay") == names.CELLS) & (pl.col("type") == "FB"))["log2_change"].item()
    assert row["found_per_sd"] == pytest.approx(plain * 1.932)
    assert row["published_per_sd"] == -0.33
    agreeing = composition_scoring.agree(beside)
    kept = beside.drop_nulls("found_per_sd")
    assert agreeing["correlation"] == pytest.approx(
        np.corrcoef(kept["found_per_sd"], kept["published_per_sd"])[0, 1]
    )
    assert agreeing["types"] == kept.height
    groups = composition_tests.slopes(
        table, method="log-ratio", plan=composition_tests.Plan(exposure=names.AGE_BIN)
    )
    none = composition_scoring.agree(composition_scoring.beside_published(groups, published, age_sd=19.32))
    assert (none["types"], none["correlation"]) == (0, None)


def test_reachable_slopes_are_those_at_least_as_large_as_detectable():
    power = pl.DataFrame(
        {
            "assay": "cells",
            "type": ["A", "B", "C"],
            "per": "decade",
            "detectable": [0.5, 0.5, 0.5],
            "detectable_with_twice": [0.3] * 3,
        }
    )
    published = pl.DataFrame(
        {"assay": "cells", "type": ["A", "B", "C"], "published_per_decade": [-0.6, 0.4, 0.1]}
    )
    assert composition_audit.count_reachable(power, published) == {
        "types": 3,
        "reached": 1,
        "reached_with_twice": 2,
    }
