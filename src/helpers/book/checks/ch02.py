"""Checkers of the exercises of chapter 02."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def rule(answer: Callable[[list[float], float], list[bool]]) -> str | None:
    """Check a rule that keeps cells unless they lie too many MADs below the median."""
    # median 100, median absolute deviation 10; 70 lies on the bound itself, which either sign may keep
    values = [60.0, 85.0, 90.0, 100.0, 110.0, 110.0, 1000.0]
    kept = [bool(keep) for keep in answer(values, 3)]
    if len(kept) != len(values):
        return "give one truth value for each value."
    if not kept[-1]:
        return "a cell far above the median is not removed by a rule on the lower side."
    if kept[0]:
        return "60 lies four deviations below the median of 100 and must go (the deviation is the median distance, 10)."
    if not all(kept[1:]):
        return "only the first cell lies more than three deviations below; use the median distance, not the standard deviation."
    return None


def counts(answer: Callable[[list[float]], list[int]]) -> str | None:
    """Check a function that turns released values of one cell into whole counts."""
    truth = [1, 2, 7, 1]
    # in single precision, as released: only rounding gives whole counts back
    released = [float(np.float32(math.log1p(count * 10_000 / 1234))) for count in truth]
    found = [float(value) for value in answer(released)]
    if found == truth:
        return None
    if len(found) != len(truth):
        return "give one count for each value."
    if all(math.isclose(value, count, abs_tol=0.01) for value, count in zip(found, truth, strict=True)):
        return "nearly: counts are whole, so round after dividing (np.rint)."
    ratio = [value / released[0] for value in released]
    if all(math.isclose(a, b, abs_tol=0.5) for a, b in zip(found, ratio, strict=True)):
        return "undo the logarithm first (np.expm1), then divide by the smallest."
    return f"counts 1, 2, 7, 1 came back as {', '.join(f'{value:g}' for value in found)}."


def corner(answer: Any) -> str | None:
    """Check the empty corner of the design in single cells."""
    if not isinstance(answer, tuple) or len(answer) != 2:
        return 'give a tuple of age bin and sex, such as ("old", "M").'
    if tuple(answer) == ("young", "F"):
        return None
    if answer[0] in ("F", "M") and answer[1] in ("young", "old"):
        return 'the order is age bin first, then sex, as in ("old", "M").'
    if answer[0] not in ("young", "old") or answer[1] not in ("F", "M"):
        return 'write the age bin as "young" or "old" and the sex as "F" or "M", as the table of donors does.'
    return f"donors with single cells who are {answer[0]} and {answer[1]} exist; name the pair that none of them is."
