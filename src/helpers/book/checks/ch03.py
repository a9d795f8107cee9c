"""Checkers of the exercises of chapter 03."""

import math
from collections.abc import Callable
from typing import Any


def effective(answer: Callable[[float, float], float]) -> str | None:
    """Check the number of independent cells that a donor is worth."""
    if not math.isclose(answer(1000, 0), 1000):
        return "cells that do not correlate are all independent: effective(1000, 0) is 1000."
    if not math.isclose(answer(1, 0.3), 1):
        return "one cell is one cell, whatever the correlation: effective(1, 0.3) is 1; look at n - 1."
    found = answer(1000, 0.1)
    if math.isclose(found, 1000 * (1 + 999 * 0.1)):
        return "the correlation makes the mean less precise: divide by the inflation, do not multiply."
    if not math.isclose(found, 1000 / (1 + 999 * 0.1)):
        return f"effective(1000, 0.1) came back as {found:g}; divide n by 1 + (n - 1) * icc."
    return None


def smallest(answer: Callable[[int, int], float]) -> str | None:
    """Check the smallest p-value of an exact permutation test."""
    found = answer(5, 3)
    if math.isclose(found, 1 / math.factorial(8)):
        return "orders within a group do not matter: count who is old, not who comes first."
    if math.isclose(found, 1 / 2**8):
        return "the numbers of young and old are fixed: count the ways to choose the old, not all labelings."
    if math.isclose(found, 1 / (math.comb(8, 3) + 1)) or found == 0:
        return "the observed labeling is one of the permutations: divide one by their number."
    if not math.isclose(found, 1 / 56):
        return f"5 young and 3 old gave {found:g}; there are 56 ways to say who is old."
    if not math.isclose(answer(6, 7), 1 / math.comb(13, 6)):
        return "right for 5 against 3, but not for 6 against 7."
    return None


def adjust(answer: Callable[[list[float]], list[float]]) -> str | None:
    """Check the adjustment of Benjamini and Hochberg."""
    p = [0.04, 0.01, 0.8, 0.011]
    found = [float(value) for value in answer(list(p))]
    right = [0.16 / 3, 0.022, 0.8, 0.022]
    if len(found) != len(p):
        return "give one value for each p-value."
    if _close(found, [min(1, 4 * value) for value in p]):
        return "that is Bonferroni: only the smallest p-value is multiplied by the number of tests."
    if _close(sorted(found), sorted(right)) and not _close(found, right):
        return "the values are right, their order is not: answer in the order of the p-values given."
    if _close(found, [0.16 / 3, 0.04, 0.8, 0.022]):
        return "a smaller p-value came out with a larger q: take the running minimum from the end."
    if not _close(found, right):
        return "0.04, 0.01, 0.8, 0.011 should give 0.0533, 0.022, 0.8, 0.022."
    return None


def women(answer: Any) -> str | None:
    """Check the number of young women with single cells."""
    if not isinstance(answer, int) or isinstance(answer, bool):
        return "give a whole number."
    if answer == 2:
        return "the two young women have nuclei only: keep donors whose cells_10X_version is known."
    if answer != 0:
        return f"{answer} is too many: filter by sex, age and single cells together."
    return None


def _close(found: list[float], wanted: list[float]) -> bool:
    return all(math.isclose(a, b, rel_tol=1e-9) for a, b in zip(found, wanted, strict=True))


CHECKS = {"03.effective": effective, "03.smallest": smallest, "03.adjust": adjust, "03.women": women}
