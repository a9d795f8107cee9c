"""Checkers of the exercises of chapter 08."""

import math
from collections.abc import Callable


def split(answer: Callable[[list[str], str], tuple[list[int], list[int]]]) -> str | None:
    """Check a split that leaves one whole donor out."""
    donors = ["A", "B", "A", "C", "B"]
    parts = answer(donors, "B")
    if not isinstance(parts, tuple | list) or len(parts) != 2:
        return "return two lists: the training rows and the test rows."
    train, test = (sorted(int(row) for row in part) for part in parts)
    if (train, test) == ([0, 2, 3], [1, 4]):
        return None
    if (train, test) == ([1, 4], [0, 2, 3]):
        return "the two lists are the wrong way round: training first, then test."
    if set(train) & set(test):
        return "a row stands on both sides: that is the leak."
    if any(donors[row] == "B" for row in train):
        return "a row of the donor left out stands in training: the model would have met the person."
    return "rows are missing: every row of the donor is tested, every other row trains."


def baseline(answer: Callable[[list[float]], float]) -> str | None:
    """Check the error of predicting each age as the mean of the others."""
    # the mean of the others is 50, 46.67, 40, 33.33; their median 50, 50, 30, 30
    ages = [20.0, 30.0, 50.0, 70.0]
    right = (30 + 50 / 3 + 10 + 110 / 3) / 4
    found = float(answer(ages))
    if math.isclose(found, right):
        return None
    if math.isclose(found, (30 + 20 + 20 + 40) / 4):
        return "that predicts the median of the others; their mean is asked for."
    mean = sum(ages) / 4
    if math.isclose(found, sum(abs(age - mean) for age in ages) / 4):
        return "that mean includes the donor whose age is predicted: leave it out."
    if math.isclose(found, math.sqrt((30**2 + (50 / 3) ** 2 + 10**2 + (110 / 3) ** 2) / 4)):
        return "that is the root of the mean square; the mean absolute error is asked for."
    return f"for ages 20, 30, 50 and 70 the error is {right:.4g} years, your function says {found:.4g}."


def macro(answer: Callable[[list[str], list[str]], float]) -> str | None:
    """Check recall averaged over classes with equal weight."""
    truth, predicted = ["a"] * 8 + ["b"] * 2, ["a"] * 8 + ["a", "b"]
    found = float(answer(truth, predicted))
    if math.isclose(found, 0.75):
        return None
    if math.isclose(found, 0.9):
        return "that is the share of all rows that are right (micro): average the classes, not the rows."
    if math.isclose(found, (8 / 9 + 1) / 2):
        return "that is precision: divide by the rows that truly are in the class."
    return f"eight of eight and one of two make 0.75, your function says {found:g}."
