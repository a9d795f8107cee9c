"""A plain reader of sentences, a bag of ranked words and a linear model: what any language model has to beat."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, KFold
from sklearn.preprocessing import normalize

from helpers.sentences.ranking import Ranked
from helpers.sentences.words import presence

DONORS_OUT, LEAKING = "whole donors held out", "cells split at random (leaks)"
SCORES_SCHEMA = {
    "task": pl.String,
    "split": pl.String,
    "score": pl.String,
    "value": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "guessing": pl.Float64,
    "cells": pl.Int64,
    "donors": pl.Int64,
}
PREDICTED_SCHEMA = {
    "donor": pl.String,
    "age": pl.Float64,
    "split": pl.String,
    "predicted": pl.Float64,
    "cells": pl.Int64,
}


@dataclass(frozen=True)
class Read:
    """What the reader got right: one row a task and split; ages by donor; errors under permuted ages (years)."""

    scores: pl.DataFrame = field(repr=False)
    predicted: pl.DataFrame = field(repr=False)
    permuted: np.ndarray = field(repr=False)


def bag(ranked: Ranked, *, top: int = 300, min_cells: int = 10) -> sparse.csr_matrix:
    """Return sentences as numbers: cells x words, a word weighing less the later it comes; rows of length one.

    Parameters
    ----------
    ranked
        Sentences.
    top
        First words read.
    min_cells
        Words that fewer cells have are left out.
    """
    found = presence(ranked, top=top)
    rank = np.arange(len(found.data)) - np.repeat(found.indptr[:-1], np.diff(found.indptr))
    found.data = (1 / np.log2(2 + rank)).astype(np.float32)
    kept = np.flatnonzero(np.bincount(found.indices, minlength=found.shape[1]) >= min_cells)
    return normalize(found.tocsc()[:, kept].tocsr())


def read(
    ranked: Ranked,
    cells: pl.DataFrame,
    *,
    top: int = 300,
    cells_per_donor: int = 150,
    n_folds: int = 5,
    n_permutations: int = 100,
    n_bootstraps: int = 500,
    seed: int = 0,
) -> Read:
    """Predict age and cell type from sentences, with whole donors held out and with cells split at random.

    Age is scored by donor: the mean prediction over a donor's cells against the donor's age; intervals from resampling
    donors. The same model on ages dealt anew to the donors says what chance gives.

    Parameters
    ----------
    ranked
        Sentences.
    cells
        From `words.about_cells`.
    top
        First words read.
    cells_per_donor
        Cells drawn from each donor, so that donors weigh alike.
    n_folds
        Parts that are held out in turn.
    n_permutations, n_bootstraps
        Deals of ages; resamples of donors.
    seed
        Of every draw.
    """
    rng = np.random.default_rng(seed)
    known = cells.with_row_index("row").drop_nulls(["donor", "label"])
    drawn = known.filter(pl.int_range(pl.len()).shuffle(seed=seed).over("donor") < cells_per_donor)
    donors = drawn["donor"].n_unique()
    empty = Read(pl.DataFrame(schema=SCORES_SCHEMA), pl.DataFrame(schema=PREDICTED_SCHEMA), np.zeros(0))
    if donors < 3:
        return empty
    features = bag(ranked.take(drawn["row"].to_numpy()), top=top)
    splits = {
        DONORS_OUT: list(GroupKFold(min(n_folds, donors)).split(features, groups=drawn["donor"].to_numpy())),
        LEAKING: list(KFold(n_folds, shuffle=True, random_state=seed).split(features)),
    }
    scores, predicted, permuted = [], [], np.zeros(0)
    for name, folds in splits.items():
        scores += _score_types(features, drawn, folds, name=name, n_bootstraps=n_bootstraps, rng=rng)
        if drawn["age"].null_count() == 0 and drawn["age"].n_unique() > 1:
            deals = n_permutations if name == DONORS_OUT else 0
            row, table, null = _score_age(
                features, drawn, folds, name=name, deals=deals, n_bootstraps=n_bootstraps, rng=rng
            )
            scores.append(row)
            predicted.append(table)
            permuted = null if deals else permuted
    return Read(
        pl.DataFrame(scores, schema=SCORES_SCHEMA, orient="row"),
        pl.concat(predicted) if predicted else empty.predicted,
        permuted,
    )


def summarize(read: Read, task: str) -> dict[str, Any]:
    """Return the headline of a task: score with donors held out and its interval, leaking, guessing, p of age.

    Parameters
    ----------
    read
        From `read`.
    task
        ``"age"`` or ``"cell type"``.
    """
    rows = {row["split"]: row for row in reversed(read.scores.filter(pl.col("task") == task).to_dicts())}
    honest, leaking = rows.get(DONORS_OUT, {}), rows.get(LEAKING, {})
    p = None
    if task == "age" and honest and len(read.permuted):
        p = float((1 + (read.permuted <= honest["value"]).sum()) / (1 + len(read.permuted)))
    return {
        "honest": honest.get("value"),
        "interval": (honest["lower"], honest["upper"]) if honest else None,
        "leaking": leaking.get("value"),
        "guessing": honest.get("guessing"),
        "p": p,
    }


def _score_age(
    features: sparse.csr_matrix, drawn: pl.DataFrame, folds: list, *, name: str, deals: int, n_bootstraps: int,
    rng: np.random.Generator,
) -> tuple[tuple, pl.DataFrame, np.ndarray]:  # fmt: skip
    people = drawn.group_by("donor", maintain_order=True).agg(pl.col("age").first(), pl.len().alias("cells"))
    code = (
        drawn["donor"]
        .replace_strict(people["donor"], np.arange(people.height), return_dtype=pl.Int64)
        .to_numpy()
    )
    ages = people["age"].to_numpy()
    # column 0: the true ages; the others: ages dealt anew to the donors, fitted with the same kernel
    targets = np.column_stack([ages, *(rng.permutation(ages) for _ in range(deals))])
    guessed = _ridge(features, targets[code], folds)
    by_donor = np.zeros_like(targets)
    np.add.at(by_donor, code, guessed)
    by_donor /= np.bincount(code)[:, None]
    errors = np.abs(by_donor - targets)
    own = errors[:, 0]
    low, high = _interval(own, n_bootstraps, rng)
    alone = np.abs(ages - (ages.sum() - ages) / (len(ages) - 1)).mean()
    row = ("age", name, "mean error by donor (years)", own.mean(), low, high, alone, drawn.height, len(ages))
    table = people.select(
        "donor",
        "age",
        pl.lit(name).alias("split"),
        pl.Series("predicted", by_donor[:, 0]),
        pl.col("cells").cast(pl.Int64),
    )
    return row, table, errors[:, 1:].mean(axis=0)


def _ridge(
    features: sparse.csr_matrix, targets: np.ndarray, folds: list, *, penalty: float = 1.0
) -> np.ndarray:
    # the kernel form solves all dealt ages at once
    kernel = np.asarray((features @ features.T).todense(), dtype=np.float64)
    guessed = np.empty_like(targets)
    for train, test in folds:
        mean = targets[train].mean(axis=0)
        inner = kernel[np.ix_(train, train)]
        inner[np.diag_indices_from(inner)] += penalty
        weights = np.linalg.solve(inner, targets[train] - mean)
        guessed[test] = kernel[np.ix_(test, train)] @ weights + mean
    return guessed


def _score_types(
    features: sparse.csr_matrix, drawn: pl.DataFrame, folds: list, *, name: str, n_bootstraps: int,
    rng: np.random.Generator,
) -> list[tuple]:  # fmt: skip
    labels = drawn["label"].to_numpy()
    if len(np.unique(labels)) < 2:
        return []
    guessed = np.empty(len(labels), dtype=object)
    for train, test in folds:
        if len(np.unique(labels[train])) < 2:
            return []
        model = RidgeClassifier(alpha=1.0, solver="sparse_cg", tol=1e-2).fit(features[train], labels[train])
        guessed[test] = model.predict(features[test])
    right = (guessed == labels).astype(float)
    by_donor = (
        drawn.select("donor", right=pl.Series(right)).group_by("donor").agg(pl.col("right").mean())["right"]
    )
    low, high = _interval(by_donor.to_numpy(), n_bootstraps, rng)
    most = drawn["label"].value_counts()["count"].max() / drawn.height
    size = (drawn.height, drawn["donor"].n_unique())
    balanced = float(balanced_accuracy_score(labels.astype(str), guessed.astype(str)))
    return [
        ("cell type", name, "share right", right.mean(), low, high, most, *size),
        (
            "cell type",
            name,
            "share right, types alike",
            balanced,
            None,
            None,
            1 / len(np.unique(labels)),
            *size,
        ),
    ]


def _interval(values: np.ndarray, n_bootstraps: int, rng: np.random.Generator) -> tuple[float, float]:
    draws = values[rng.integers(0, len(values), (n_bootstraps, len(values)))].mean(axis=1)
    return float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))
