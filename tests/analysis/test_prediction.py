"""Prediction: splits that do not leak, errors that match a plain loop, planted noise that is found."""

import anndata as ad
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import f1_score, recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers import names
from helpers.analysis import (
    age_cards,
    age_classes,
    ages,
    kind_cards,
    kind_grades,
    kind_intervals,
    kind_tasks,
    kinds,
    splits,
)
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
        splits.across(["cells", "nuclei"], ["A", "B"], train="cells", test="spots")


@given(
    st.lists(st.tuples(st.sampled_from("ABCDEFGH"), st.sampled_from(["cells", "nuclei", ""])), max_size=80)
)
def test_transfer_between_assays_has_no_donor_on_both_sides_and_tests_every_row_once(rows):
    donors, groups = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    try:
        plan = splits.across(groups, donors, train="cells", test="nuclei", n_folds=3)
    except DesignError:
        return
    assert plan.honest
    for train, test in plan:
        assert len(train)
        assert set(groups[train]) == {"cells"}
        assert set(groups[test]) == {"nuclei"}
        assert not set(donors[train]) & set(donors[test])
    tested = np.concatenate([test for _, test in plan])
    assert sorted(tested) == np.flatnonzero(groups == "nuclei").tolist()


def test_a_donor_of_one_assay_is_always_learned_from_or_tested_once():
    groups, donors = ["cells"] * 4 + ["nuclei"] * 4, list("ABCX") + list("ABCY")
    plan = splits.across(groups, donors, train="cells", test="nuclei", n_folds=9)
    assert len(plan.folds) == 4
    assert all(3 in train for train, _ in plan)  # X has cells alone
    assert sum(7 in test for _, test in plan) == 1  # Y has nuclei alone
    with pytest.raises(DesignError, match="2 donor\\(s\\) with nuclei"):
        splits.across(["cells", "nuclei", "nuclei"], list("ABC"), train="cells", test="nuclei")
    with pytest.raises(DesignError, match="no cells are left to train on"):
        splits.across(["cells", "nuclei", "nuclei", "nuclei"], list("AABC"), train="cells", test="nuclei")


def assays_of_donors(label_shift):
    """Six donors with both assays; a donor's cells share a pattern that has nothing to do with the type."""
    rng = np.random.default_rng(4)
    donors = np.repeat([f"D{i}" for i in range(6)], 160)
    assay = np.tile(np.repeat(["cells", "nuclei"], 80), 6)
    # which label a donor has most of is the donor's own: whoever knows the donor can guess
    label = np.array([f"T{(int(d[1]) + (rng.random() < 0.1)) % 6}" for d in donors])
    own = rng.normal(0, 2, (6, 30))
    points = own[np.unique(donors, return_inverse=True)[1]] + rng.normal(0, 1, (960, 30)) + label_shift
    adata = ad.AnnData(sp.csr_matrix(points.astype(np.float32)))
    adata.obs = pd.DataFrame({names.DONOR: donors, names.ASSAY: assay, names.LEVEL0: label}).set_index(
        adata.obs_names
    )
    adata.var_names = [f"G{i}" for i in range(30)]
    return adata


def test_a_transfer_that_could_only_recognize_the_donor_finds_nothing():
    found = kind_tasks.across_assays(assays_of_donors(0.0), n_folds=3)
    assert found.cards["honest"].all()
    assert found.cards["accuracy"].max() < 0.4  # with the same donors on both sides: nine in ten
    lacking = assays_of_donors(0.0)
    lacking.obs = lacking.obs.drop(columns=names.DONOR)
    assert (
        kind_tasks.across_assays(lacking).reason == "this source names no cell types, no assays or no donors"
    )


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
    matrix, labels, donors = cells
    rng = np.random.default_rng(9)
    assay = np.where(np.arange(600) % 2, "cells", "nuclei")
    dense = matrix.toarray()
    dense[assay == "nuclei"] += rng.gamma(2, 1.5, 80).astype(np.float32)
    plan = splits.across(assay, donors, train="cells", test="nuclei", n_folds=3)
    seen = kinds.view(sp.csr_matrix(dense), plan, components=10)
    blind, aware = (
        kind_grades.grade(kinds.predict(one, labels), plan, task="x")["macro_f1"].item()
        for one in (seen, kinds.center(seen, assay))
    )
    assert aware > blind


def test_a_view_is_that_of_a_plain_loop_and_leaves_the_matrix_alone(cells):
    matrix, _, donors = cells
    before = matrix.copy()
    plan = splits.by_donor(donors, n_folds=3)
    allowed = np.arange(10, 70)
    seen = kinds.view(matrix, plan, top=20, components=5, genes=allowed)
    for train, test, known, new in seen.folds:
        dense = matrix.toarray()[train]
        best = np.sort(allowed[np.argsort(-dense[:, allowed].var(axis=0))[:20]])
        model = TruncatedSVD(5, n_iter=3, random_state=0).fit(matrix[train][:, best])
        scaler = StandardScaler().fit(model.transform(matrix[train][:, best]))
        assert np.allclose(known, scaler.transform(model.transform(matrix[train][:, best])), atol=1e-4)
        assert np.allclose(new, scaler.transform(model.transform(matrix[test][:, best])), atol=1e-4)
    assert (matrix != before).nnz == 0


def test_components_of_many_cells_are_found_on_a_draw_and_all_cells_are_projected(cells):
    matrix, labels, donors = cells
    plan = splits.by_donor(donors, n_folds=3)
    whole, drawn = (kinds.view(matrix, plan, components=5, most=most) for most in (10**6, 100))
    for one, other in zip(whole.folds, drawn.folds, strict=True):
        assert one[2].shape == other[2].shape
        assert one[3].shape == other[3].shape
        assert not np.allclose(one[3], other[3])
    score = [
        kind_grades.grade(kinds.predict(seen, labels), plan, task="x")["accuracy"].item()
        for seen in (whole, drawn)
    ]
    assert score[1] > score[0] - 0.05


def test_an_assay_told_by_correlation_alone_is_read_and_no_difference_is_a_guess_and_not_worse():
    rng = np.random.default_rng(6)
    donors = np.repeat([f"D{i}" for i in range(8)], 100)
    # each donor has its own mix of assays, as in the study: who is left out has less of what the others have more of
    assay = np.where(rng.random(800) < np.repeat(np.linspace(0.1, 0.9, 8), 100), "cells", "nuclei")
    plan = splits.by_donor(donors)
    read, linear = {}, {}
    for name, tie in (("nothing", 0.0), ("correlation", 0.9)):
        points = rng.normal(0, 1, (800, 20))
        points[:, 1::2] = (
            points[:, 1::2] + tie * 3 * np.where(assay == "cells", 1, -1)[:, None] * points[:, ::2]
        )
        adata = ad.AnnData(sp.csr_matrix(points.astype(np.float32)))
        adata.obs = pd.DataFrame({names.DONOR: donors, names.ASSAY: assay}).set_index(adata.obs_names)
        found = kind_tasks.protocol(adata, plan)
        votes = kind_cards.grade_donors(kind_tasks.Result(), donors)
        read[name] = kind_cards.summarize_sex(votes, found, donors)["assay_aware"]["value"]
        centered = kinds.center(kinds.view(adata.X, plan), assay)
        linear[name] = kind_intervals.balanced_accuracy(kinds.predict(centered, assay))
    assert 0.4 < read["nothing"] < 0.6
    assert read["correlation"] > 0.8
    assert max(linear.values()) < 0.4  # below chance by construction, whether the assay shows or not


def test_centers_are_those_of_the_training_donors(cells):
    matrix, _, donors = cells
    assay = np.where(np.arange(600) % 2, "cells", "nuclei")
    seen = kinds.view(matrix, splits.by_donor(donors, n_folds=3), components=4)
    centered = kinds.center(seen, assay)
    for (train, test, known, new), (_, _, centered_known, centered_new) in zip(
        seen.folds, centered.folds, strict=True
    ):
        for name in ("cells", "nuclei"):
            own, theirs = assay[train] == name, assay[test] == name
            mean, scale = known[own].mean(axis=0), known[own].std(axis=0)
            assert np.allclose(centered_known[own].mean(axis=0), 0, atol=1e-4)
            assert np.allclose(centered_new[theirs], (new[theirs] - mean) / scale, atol=1e-4)


def made_predictions(seed=0):
    """Three classes over seven donors, one class in a single donor."""
    rng = np.random.default_rng(seed)
    donors = rng.choice([f"D{i}" for i in range(7)], 300)
    truth = rng.choice(["a", "b"], 300)
    truth[donors == "D0"] = "c"
    probability = rng.random((300, 3)) + 0.6 * (truth[:, None] == np.array(["a", "b", "c"]))
    order = rng.permutation(300)
    return kinds.Predictions(order, truth[order], np.array(["a", "b", "c"]), probability[order]), donors


def test_intervals_are_those_of_a_plain_bootstrap_of_donors():
    predictions, donors = made_predictions()
    found = kind_intervals.bootstrap(predictions, donors, draws=60, seed=3)
    people = np.unique(donors)
    owner = donors[predictions.rows]
    drawn = np.random.default_rng(3).multinomial(7, np.full(7, 1 / 7), 60)
    values = {name: [] for name in kind_intervals.MEASURES}
    for times in drawn:
        rows = np.concatenate(
            [np.tile(np.flatnonzero(owner == p), n) for p, n in zip(people, times, strict=True)]
        )
        truth, guess = predictions.truth[rows.astype(int)], predictions.predicted[rows.astype(int)]
        present = np.unique(truth)
        values["accuracy"].append((truth == guess).mean())
        values["balanced_accuracy"].append(
            recall_score(truth, guess, labels=present, average="macro", zero_division=0)
        )
        values["macro_f1"].append(f1_score(truth, guess, labels=present, average="macro", zero_division=0))
    for name, drawn_values in values.items():
        assert found[name] == pytest.approx(tuple(np.quantile(drawn_values, [0.025, 0.975])))
    assert kind_intervals.balanced_accuracy(predictions) == pytest.approx(
        recall_score(predictions.truth, predictions.predicted, average="macro")
    )


def test_the_card_has_an_interval_where_the_split_is_honest_and_none_where_it_leaks():
    predictions, donors = made_predictions()
    honest, leaking = splits.by_donor(donors, n_folds=3), splits.by_cell(300)
    card = kind_intervals.grade(predictions, honest, task="x", donors=donors).row(0, named=True)
    assert card["accuracy_low"] < card["accuracy"] < card["accuracy_high"]
    assert card["macro_f1_low"] < card["macro_f1"] < card["macro_f1_high"]
    for plan, people in ((leaking, donors), (honest, None), (honest, np.full(300, "one"))):
        bare = kind_intervals.grade(predictions, plan, task="x", donors=people).row(0, named=True)
        assert bare["accuracy_low"] is None
        assert bare["macro_f1_high"] is None


def test_cells_of_a_donor_are_no_replicates_for_the_interval():
    predictions, donors = made_predictions()
    tenfold = kinds.Predictions(
        np.tile(predictions.rows, 10),
        np.tile(predictions.truth, 10),
        predictions.classes,
        np.tile(predictions.probability, (10, 1)),
    )
    once, often = (
        kind_intervals.bootstrap(one, donors, seed=1)["accuracy"] for one in (predictions, tenfold)
    )
    assert once == pytest.approx(often)


def test_donors_vote(cells):
    matrix, _, donors = cells
    sex = np.where(np.isin(donors, ["0", "1", "2"]), "F", "M")
    dense = matrix.toarray()
    dense[:, 0] = (sex == "F") * 2
    predictions = kinds.predict(
        kinds.view(sp.csr_matrix(dense), splits.by_donor(donors), components=10), sex, even=True
    )
    assert kind_grades.grade_donors(predictions, donors)["right"].all()


def test_young_or_old_is_that_of_a_plain_loop_over_all_genes(cohort):
    features, age, donors = cohort
    found = age_classes.classify(features, age, donors, top=30)
    old = age >= 45
    for i in range(len(age)):
        rest = np.delete(np.arange(len(age)), i)
        genes = ages.most_variable(features[rest], 30)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", tol=1e-10))
        model.fit(features[np.ix_(rest, genes)], old[rest])
        wanted = model.predict_proba(features[np.ix_([i], genes)])[0, 1]
        assert found["probability"][i] == pytest.approx(wanted, abs=1e-4)


def test_planted_classes_beat_labels_dealt_anew_and_noise_does_not(cohort):
    features, age, donors = cohort
    planted = age_classes.grade(
        age_classes.classify(features, age, donors), age_classes.permute(features, age, n_permutations=60)
    )
    assert planted["p"] < 0.05
    assert planted["auroc"] > 0.9 > 0.7 > planted["permuted"]
    noise = np.random.default_rng(8).normal(size=features.shape)
    null = age_classes.permute(noise, age, n_permutations=60)
    silent = age_classes.grade(age_classes.classify(noise, age, donors), null)
    assert silent["p"] > 0.1
    assert null[0] == pytest.approx(silent["auroc"])


def test_all_donors_right_still_has_an_interval():
    table = pl.DataFrame(
        {"donor": list("abcdef"), "age": [20.0, 25, 30, 60, 65, 70], "old": [False] * 3 + [True] * 3}
    ).with_columns(pl.col("old").cast(pl.Float64).alias("probability"), pl.lit(0.5).alias("baseline"))
    found = age_classes.grade(table, np.array([]))
    assert found["accuracy"] == 1
    assert found["interval"][0] == pytest.approx(0.025 ** (1 / 6))
    assert found["wrong"] == "none"
    assert found["p"] is None
    assert (
        age_classes.grade(age_classes.classify(np.ones((3, 2)), np.ones(3), np.arange(3)), np.array([]))["p"]
        is None
    )
