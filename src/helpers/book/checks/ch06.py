"""Checkers of the exercises of chapter 06."""

import math
from collections.abc import Callable
from typing import Any


def sigmoid(answer: Callable[[float, float], bool]) -> str | None:
    """Check a function that says whether both labels are at least as likely as not."""
    cases = [
        ((0.9, 0.8), True, "both scores are positive, so both probabilities are above one half."),
        (
            (0.9, -0.1),
            False,
            "a negative score is a probability below one half, however close the two scores are.",
        ),
        (
            (3.0, 0.1),
            True,
            "the labels have a classifier each: a strong first label takes nothing from the second.",
        ),
        ((0.0, 0.0), True, "the sigmoid of zero is one half, and one half is enough."),
        ((-1.0, -1.0), False, "two equal negative scores are two labels that the model does not believe."),
    ]
    return next((message for case, right, message in cases if bool(answer(*case)) is not right), None)


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


def offset(answer: Any) -> str | None:
    """Check the columns of the age block."""
    try:
        first, stop = (int(number) for number in answer)
    except (TypeError, ValueError):
        return "give two numbers: the first column of the block and the one after its last."
    if (first, stop) == (384, 391):
        return "391 is the last column of the block; give the one after it, as slices do."
    if (first, stop) == (385, 393):
        return "columns are counted from zero."
    if (first, stop) != (384, 392):
        return "add the widths in front of age: 256 other, 64 cell type, 32 tissue, 32 disease; the block is 8 wide."
    return None


CHECKS = {"06.sigmoid": sigmoid, "06.pair": pair, "06.merge": merge, "06.offset": offset}
