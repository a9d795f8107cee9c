"""Checkers of the exercises of chapter 06."""

import math
from collections.abc import Callable

import numpy as np
import polars as pl
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier


def sigmoid(answer: Callable[[pl.DataFrame], pl.DataFrame]) -> str | None:
    """Check a function that keeps the rows in which both labels are at least as likely as not."""
    cases = [
        (0.9, 0.8, True, "both scores are positive, so both probabilities are above one half."),
        (
            0.9,
            -0.1,
            False,
            "a negative score is a probability below one half, however close the two scores are.",
        ),
        (
            3.0,
            0.1,
            True,
            "the labels have a classifier each: a strong first label takes nothing from the second.",
        ),
        (0.0, 0.0, True, "the sigmoid of zero is one half, and one half is enough."),
        (-1.0, -1.0, False, "two equal negative scores are two labels that the model does not believe."),
    ]
    scores = pl.DataFrame([case[:2] for case in cases], schema=["first", "second"], orient="row")
    kept = answer(scores)
    if isinstance(kept, pl.LazyFrame):
        kept = kept.collect()
    if not isinstance(kept, pl.DataFrame) or not {"first", "second"} <= set(kept.columns):
        return "return the rows that are kept, as a frame with the columns first and second."
    rows = set(kept.select("first", "second").iter_rows())
    return next((message for *case, right, message in cases if (tuple(case) in rows) is not right), None)


def pair(answer: Callable[[list[str]], dict[str, set[str]]]) -> str | None:
    """Check a function that pairs the files of parts by stem."""
    one, two = "step_0__predict_part_10_0", "step_0__predict_part_9_0"
    files = [f"{two}_scores.npz", f"{one}_top3.npz", f"{two}_embs.npz", f"{one}_embs.npz", f"{two}_top3.npz"]
    found = answer(list(files))
    if set(found) != {one, two}:
        return f"the stems are {one} and {two}; your function has {', '.join(sorted(map(str, found)))}."
    if set(found[two]) != {"embs", "top3", "scores"}:
        return f"{two} has all three files; your function has {', '.join(sorted(map(str, found[two])))}."
    if set(found[one]) != {"embs", "top3"}:
        return f"{one} has no scores file, and that has to show: a missing sibling is a fault."
    return None


def merge(answer: Callable[[int, float, int, float], tuple[int, float]]) -> str | None:
    """Check a function that merges two counts and means."""
    n, mean = answer(3, 1.0, 1, 5.0)
    if math.isclose(mean, 3.0):
        return "that is the mean of the two means; the larger part has to count for more."
    if n != 4 or not math.isclose(mean, 2.0):
        return f"three cells of mean 1 and one of 5 are four cells of mean 2; your function says {n} and {mean:g}."
    try:
        n, mean = answer(0, 0.0, 0, 0.0)
    except ZeroDivisionError:
        return "two parts without cells must not end in a division by zero."
    n, mean = answer(0, 0.0, 2, 7.0)
    if n != 2 or not math.isclose(mean, 7.0):
        return "an empty part must leave the other as it was."
    return None


def vote(answer: Callable[[np.ndarray, np.ndarray, np.ndarray], float]) -> str | None:
    """Check a function that lets neighbors vote on labels, held out by part."""
    chance = np.random.default_rng(5)
    part = np.repeat([f"part {number}" for number in range(6)], 40)
    side = np.tile(np.repeat([-1, 1], 20), 6)
    points = np.column_stack([np.repeat(8.0 * np.arange(6), 40), side]) + chance.normal(0, 0.1, (240, 2))
    # which side a label is on differs from part to part: neighbors of the own part know it, others do not
    own = np.where(side * np.repeat([1, 1, -1, 1, -1, -1], 40) > 0, "a", "b")
    own[chance.random(240) < 0.1] = "c"
    truth = balanced_accuracy_score(
        own, cross_val_predict(KNeighborsClassifier(15), points, own, groups=part, cv=GroupKFold(3))
    )
    plain = (
        own == cross_val_predict(KNeighborsClassifier(15), points, own, groups=part, cv=GroupKFold(3))
    ).mean()
    found = answer(points, own, part)
    if found is None:
        return "your function returns nothing: return the balanced accuracy, do not print it."
    if math.isclose(float(found), truth, abs_tol=1e-9):
        return None
    if math.isclose(float(found), plain, abs_tol=1e-9):
        return "that is the share of cells that are right; balanced accuracy weighs every label the same."
    if float(found) > truth + 0.1:
        return (
            "that is too good: neighbors of the cell's own part voted. Hold whole parts out with groups=part."
        )
    return f"the vote of 15 neighbors, three groups of parts, has a balanced accuracy of {truth:.3f}; yours says {float(found):.3f}."


CHECKS = {"06.sigmoid": sigmoid, "06.pair": pair, "06.merge": merge, "06.vote": vote}
