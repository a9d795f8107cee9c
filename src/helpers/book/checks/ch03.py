"""Checkers of the exercises of chapter 03."""

import math
from collections.abc import Callable


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
    if found == math.comb(8, 3):
        return "that is the number of ways to say who is old; p is one of them."
    if math.isclose(found, 2 / math.comb(8, 3)):
        return "that counts both sides; one-sided, only the observed choice is as extreme."
    if math.isclose(found, 1 / (math.comb(8, 3) + 1)) or found == 0:
        return "the observed labeling is one of the permutations: divide one by their number."
    if not math.isclose(found, 1 / 56):
        return f"5 young and 3 old gave {found:g}; there are 56 ways to say who is old."
    if not math.isclose(answer(6, 7), 1 / math.comb(13, 6)):
        return "right for 5 against 3, but not for 6 against 7."
    return None
