"""Prediction: splits that do not leak, errors that match a plain loop, planted noise that is found."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers.analysis import age_cards, ages, kind_grades, kinds, splits
from helpers.errors import DesignError, TableError


@given(st.lists(st.sampled_from("ABCDEFG"), min_size=10, max_size=60), st.integers(3, 5))
def test_no_donor_stands_on_both_sides_and_every_row_is_tested_once(labels, n_folds):
    donors = np.array(labels)
    if len(set(labels)) < n_folds:
        with pytest.raises(DesignError, match="at least three"):
            splits.by_donor(donors, n_folds=n_folds)
        return
    plan = splits.by_donor(donors, n_folds=n_folds)
    for train, test in plan:
        assert not set(donors[train]) & set(donors[test])
    assert sorted(np.concatenate([test for _, test in plan])) == list(range(len(labels)))
    assert plan.honest


def test_the_random_split_says_that_it_leaks():
    plan = splits.by_cell(50)
    assert not plan.honest
    assert "leaks" in plan.name


def test_an_unknown_assay_is_named_with_those_there_are():
    with pytest.raises(DesignError, match="no row is 'spots'; found cells, nuclei"):
        splits.across(["cells", "nuclei"], train="cells", test="spots")


def test_a_donor_with_both_assays_makes_the_transfer_between_them_dishonest():
    groups = ["cells", "cells", "nuclei", "nuclei"]
    assert splits.across(groups, train="cells", test="nuclei", donors=["A", "B", "C", "D"]).honest
    assert not splits.across(groups, train="cells", test="nuclei", donors=["A", "B", "B", "C"]).honest
    assert not splits.across(groups, train="cells", test="nuclei").honest


@pytest.fixture
def cohort():
    rng = np.random.default_rng(3)
    age = rng.uniform(20, 75, 14)
    features = rng.normal(size=(14, 60))
    features[:, :20] += (age[:, None] - 45) / 12
    return features, age, np.array([f"D{i:02}" for i in range(14)])


def test_ridge_predictions_are_those_of_a_plain_loop(cohort):
    features, age, donors = cohort
    found = ages.leave_donors_out(features, age, donors, top=60)
    for i in range(len(age)):
        rest = np.delete(np.arange(len(age)), i)
        model = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(0, 5, 11))).fit(
            features[rest], age[rest]
        )
        assert found["predicted"][i] == pytest.approx(model.predict(features[i : i + 1])[0])
        assert found["baseline"][i] == pytest.approx(age[rest].mean())


def test_the_fast_permutation_path_gives_the_error_of_the_slow_one(cohort):
    features, age, donors = cohort
    fast = ages.permute_ages(features, age, n_permutations=3, top=30, seed=5)
    rng = np.random.default_rng(5)
    for error in fast:
        shuffled = age[rng.permutation(len(age))]
        slow = ages.leave_donors_out(features, shuffled, donors, top=30)
        assert error == pytest.approx(np.abs(slow["predicted"] - slow["age"]).mean(), rel=1e-6)


def test_a_planted_age_is_found_and_noise_is_not(cohort):
    features, age, donors = cohort
    card = age_cards.report(
        ages.leave_donors_out(features, age, donors), task="age", split="donor", honest=True
    )
    null = ages.permute_ages(features, age, n_permutations=40)
    assert card["mae_years"].item() < np.quantile(null, 0.05)
    assert card["mae_low"].item() < card["mae_years"].item() < card["mae_high"].item()
    noise = np.random.default_rng(1).normal(size=features.shape)
    blind = age_cards.report(
        ages.leave_donors_out(noise, age, donors), task="age", split="donor", honest=True
    )
    assert blind["r2"].item() < 0.3


def test_the_leaking_split_looks_right_on_features_that_know_only_the_donor():
    rng = np.random.default_rng(0)
    donors = np.repeat(np.arange(12), 6)
    age = rng.uniform(20, 75, 12)[donors]
    features = rng.normal(size=(12, 200))[donors] * 4 + rng.normal(size=(72, 200))
    honest = ages.leave_donors_out(
        np.array([features[donors == d].mean(axis=0) for d in range(12)]),
        np.array([age[donors == d][0] for d in range(12)]),
        np.arange(12).astype(str),
    )
    leaked = ages.leak(features, age, donors.astype(str))
    assert np.abs(leaked["predicted"] - leaked["age"]).mean() < 4
    assert np.abs(honest["predicted"] - honest["age"]).mean() > 8


def test_too_few_donors_and_repeated_donors_are_refused(cohort):
    features, age, donors = cohort
    with pytest.raises(DesignError, match="4 donors are too few"):
        ages.leave_donors_out(features[:4], age[:4], donors[:4])
    with pytest.raises(TableError, match="13 different donors"):
        ages.leave_donors_out(features, age, np.append(donors[:-1], donors[0]))


@pytest.fixture
def cells():
    rng = np.random.default_rng(2)
    label = rng.integers(0, 4, 600)
    donors = rng.integers(0, 6, 600).astype(str)
    rate = np.full((4, 80), 0.3)
    for kind in range(4):
        rate[kind, kind * 15 : kind * 15 + 15] = 3
    counts = rng.poisson(rate[label] * rng.gamma(4, 0.25, (600, 1)))
    names = np.array(["MF-I", "MF-II", "FB", "MuSC"])[label]
    return sp.csr_matrix(np.log1p(counts).astype(np.float32)), names, donors


def test_types_are_predicted_across_donors_and_graded(cells):
    matrix, names, donors = cells
    plan = splits.by_donor(donors, n_folds=3)
    predictions = kinds.predict(kinds.view(matrix, plan, components=10), names)
    card = kind_grades.grade(predictions, plan, task="type").row(0, named=True)
    assert card["macro_f1"] > 0.95
    assert card["accuracy"] == pytest.approx((predictions.truth == predictions.predicted).mean())
    assert kind_grades.grade_classes(predictions)["auroc"].min() > 0.95
    shares = kind_grades.count_errors(
        predictions, {"MF-I": "fiber", "MF-II": "fiber", "FB": "FB", "MuSC": "MuSC"}
    )
    assert sum(shares.values()) == pytest.approx(1)


def test_planted_label_noise_is_found(cells):
    matrix, names, donors = cells
    planted = np.zeros(600, dtype=bool)
    planted[::50] = True
    noisy = np.where(planted, np.where(names == "FB", "MuSC", "FB"), names)
    predictions = kinds.predict(kinds.view(matrix, splits.by_donor(donors, n_folds=3), components=10), noisy)
    table = kind_grades.dispute(predictions)
    order = table["row"].to_numpy()
    assert kind_grades.precision_at_recall(table["score"].to_numpy(), planted[order]) > 0.8


def test_precision_at_recall_by_hand():
    scores, planted = np.array([5, 4, 3, 2, 1.0]), np.array([True, False, True, False, True])
    assert kind_grades.precision_at_recall(scores, planted, recall=0.5) == pytest.approx(2 / 3)
    assert kind_grades.precision_at_recall(scores, np.zeros(5, dtype=bool)) is None


def test_centering_by_assay_mends_a_shift_between_assays(cells):
    matrix, names, _ = cells
    rng = np.random.default_rng(9)
    assay = np.where(np.arange(600) % 2, "cells", "nuclei")
    dense = matrix.toarray()
    dense[assay == "nuclei"] += rng.gamma(2, 1.5, 80).astype(np.float32)
    shifted = sp.csr_matrix(dense)
    plan = splits.across(assay, train="cells", test="nuclei")
    blind = kind_grades.grade(kinds.predict(kinds.view(shifted, plan, components=10), names), plan, task="x")[
        "macro_f1"
    ].item()
    aware = kinds.predict(kinds.view(shifted, plan, components=10, domains=assay), names)
    assert kind_grades.grade(aware, plan, task="x")["macro_f1"].item() > blind


def test_donors_vote(cells):
    matrix, _, donors = cells
    sex = np.where(np.isin(donors, ["0", "1", "2"]), "F", "M")
    dense = matrix.toarray()
    dense[:, 0] = (sex == "F") * 2
    predictions = kinds.predict(
        kinds.view(sp.csr_matrix(dense), splits.by_donor(donors), components=10), sex, even=True
    )
    assert kind_grades.grade_donors(predictions, donors)["right"].all()
