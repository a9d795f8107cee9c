"""Checkers of the exercises of chapter 06."""

import math
from collections.abc import Callable

import polars as pl


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
