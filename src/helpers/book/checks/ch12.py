"""Checkers of the exercises of chapter 12."""

import math
from collections.abc import Callable


def exact(answer: Callable[[list[float], list[float]], float]) -> str | None:
    """Check an exact two-sided permutation p of the difference of means."""
    far = float(answer([0.9, 0.8], [0.1, 0.2, 0.15]))
    if far == 0:
        return "p is never zero: the observed arrangement is one of those you count."
    if math.isclose(far, 2 / 10, abs_tol=1e-9):
        return (
            "with groups of two and three no other choice is as extreme: count each choice of the young once."
        )
    if not math.isclose(far, 1 / 10, abs_tol=1e-9):
        return f"two of five are the highest: one choice in ten is as extreme, so p is 0.1, not {far:.3g}."
    tied = float(answer([0.1, 0.2], [0.3, 0.0]))
    if math.isclose(tied, 1.0, abs_tol=1e-9):
        return None
    return (
        f"the groups 0.1, 0.2 and 0.3, 0.0 have equal means, so every choice is as extreme and p is 1, not {tied:.3g}: "
        "compare with a small tolerance, 0.1 + 0.2 is not exactly 0.3."
    )
