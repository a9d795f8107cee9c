"""Intervals of classification measures: donors drawn again, measures computed anew from the same predictions."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy.stats import binomtest

from helpers.analysis import kind_grades
from helpers.analysis.kinds import Predictions
from helpers.analysis.splits import Plan

MEASURES = ("accuracy", "balanced_accuracy", "macro_f1")
CARD_SCHEMA = {
    **{
        name: kind_grades.CARD_SCHEMA[name]
        for name in ("task", "split", "honest", "cells", "classes", "accuracy")
    },
    "accuracy_low": pl.Float64,
    "accuracy_high": pl.Float64,
    "macro_f1": pl.Float64,
    "macro_f1_low": pl.Float64,
    "macro_f1_high": pl.Float64,
    "micro_f1": pl.Float64,
}
_LEAST_DONORS = 3


def measure(right: np.ndarray, given: np.ndarray, called: np.ndarray) -> dict[str, np.ndarray]:
    """Return accuracy, balanced accuracy (mean recall) and macro F1 from counts of cells by class.

    Parameters
    ----------
    right, given, called
        Cells of each class that are called rightly, that carry the label, that are called so; classes last, any
        leading dimensions. A class that no cell carries is left out of the means.

    Examples
    --------
    >>> found = measure(np.array([3, 1]), np.array([4, 1]), np.array([3, 2]))
    >>> {name: round(float(value), 3) for name, value in found.items()}
    {'accuracy': 0.8, 'balanced_accuracy': 0.875, 'macro_f1': 0.762}
    """
    present = given > 0
    classes = np.maximum(present.sum(axis=-1), 1)
    recall = right / np.where(present, given, 1)
    f1 = np.where(present, 2 * right / np.where(present, given + called, 1), 0)
    return {
        "accuracy": right.sum(axis=-1) / np.maximum(given.sum(axis=-1), 1),
        "balanced_accuracy": recall.sum(axis=-1) / classes,
        "macro_f1": f1.sum(axis=-1) / classes,
    }


def bootstrap(
    predictions: Predictions, donors: Sequence[str] | None, *, draws: int = 2000, seed: int = 0
) -> dict[str, tuple[float, float] | None]:
    """Return the 95 % interval of each measure over donors: the donor, not the cell, is drawn.

    Parameters
    ----------
    predictions
        Of donors left out. The models are not fitted again: the interval tells how the score would vary with who is
        tested, not with who is learned from.
    donors
        Donor of every row of the data, in row order; none where the source names none.
    draws
        Bootstrap samples.
    seed
        Of the samples.

    Returns
    -------
    dict
        Measure (`MEASURES`) to bounds; none with fewer than three donors.
    """
    if donors is None:
        return dict.fromkeys(MEASURES)
    people, owner = np.unique(np.asarray(donors).astype(str)[predictions.rows], return_inverse=True)
    if len(people) < _LEAST_DONORS:
        return dict.fromkeys(MEASURES)
    truth = np.searchsorted(predictions.classes, predictions.truth)
    guess = predictions.probability.argmax(axis=1)
    drawn = np.random.default_rng(seed).multinomial(len(people), np.full(len(people), 1 / len(people)), draws)
    counts = [
        drawn @ _count(owner[kept], codes[kept], (len(people), len(predictions.classes)))
        for kept, codes in ((truth == guess, truth), (slice(None), truth), (slice(None), guess))
    ]
    return {
        name: tuple(float(bound) for bound in np.quantile(values, [0.025, 0.975]))
        for name, values in measure(*counts).items()
    }


def grade(
    predictions: Predictions, plan: Plan, *, task: str, donors: Sequence[str] | None, seed: int = 0
) -> pl.DataFrame:
    """Return the row of the report card with its intervals over donors; none where the split leaks donors.

    Parameters
    ----------
    predictions, plan, task
        As for `kind_grades.grade`.
    donors, seed
        As for `bootstrap`.
    """
    found = bootstrap(predictions, donors if plan.honest else None, seed=seed)
    bounds = {name: found[name] or (None, None) for name in ("accuracy", "macro_f1")}
    return (
        kind_grades.grade(predictions, plan, task=task)
        .with_columns(
            pl.lit(bound, dtype=pl.Float64).alias(f"{name}_{side}")
            for name, pair in bounds.items()
            for side, bound in zip(("low", "high"), pair, strict=True)
        )
        .select(*CARD_SCHEMA)
    )


def balanced_accuracy(predictions: Predictions) -> float:
    """Return the mean recall over the classes present: one half is a guess between two, however many cells each has."""
    truth = np.searchsorted(predictions.classes, predictions.truth)
    guess, n = predictions.probability.argmax(axis=1), len(predictions.classes)
    counts = (np.bincount(codes, minlength=n) for codes in (truth[truth == guess], truth, guess))
    return float(measure(*counts)["balanced_accuracy"])


def share_of_donors(right: int, donors: int) -> dict[str, object]:
    """Return a share of donors as `value` and its exact 95 % binomial interval as `interval`; none of no donors.

    The exact interval of all donors right is no point, as a bootstrap of the same donors would make it [1]_.

    Parameters
    ----------
    right, donors
        How many of how many.

    References
    ----------
    .. [1] Clopper and Pearson (1934), Biometrika, doi:10.1093/biomet/26.4.404

    Examples
    --------
    >>> found = share_of_donors(17, 17)
    >>> found["value"], [round(bound, 2) for bound in found["interval"]]
    (1.0, [0.8, 1.0])
    """
    if not donors:
        return {"value": None, "interval": None}
    bounds = binomtest(right, donors).proportion_ci()
    return {"value": right / donors, "interval": (float(bounds.low), float(bounds.high))}


def _count(owner: np.ndarray, codes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Count cells by donor and class."""
    flat = np.bincount(owner * shape[1] + codes, minlength=shape[0] * shape[1])
    return flat.reshape(shape)
