"""Checkers of the exercises of chapter 04."""

import math
from collections.abc import Callable
from typing import Any

from helpers.facts import study


def ways(answer: Callable[[list[int], list[int]], tuple[float, float]]) -> str | None:
    """Check the pooled share and the mean of the donors' shares."""
    pooled, mean = (float(value) for value in answer([90, 1, 2], [10, 3, 6]))
    right = math.isclose(pooled, 93 / 112, abs_tol=1e-6)
    if right and math.isclose(mean, 1.4 / 3, abs_tol=1e-6):
        return None
    if math.isclose(pooled, mean, abs_tol=1e-9):
        return "both numbers are the same: one pools the nuclei, the other gives each donor one vote."
    if math.isclose(pooled, 1.4 / 3, abs_tol=1e-6):
        return "the two are in the wrong order: the pooled share comes first."
    if not right:
        return f"93 of 112 nuclei are slow, so the pooled share is 0.830, not {pooled:.3f}: add up first, then divide."
    return f"the donors' shares are 0.9, 0.25 and 0.25, their mean 0.467, not {mean:.3f}: divide first, then average."


def smallest(answer: Any) -> str | None:
    """Check the smallest p of five young against seven old donors."""
    value = float(answer)
    if math.isclose(value, 1 / math.comb(12, 5), rel_tol=0.01):
        return None
    if math.isclose(value, 2 / math.comb(12, 5), rel_tol=0.01):
        return "unequal groups have no mirror image: only the observed choice itself is as extreme."
    if value <= 0:
        return "p is never zero: the observed arrangement always counts."
    if value > 1 or value == math.comb(12, 5):
        return "that is the number of arrangements; p is one of them."
    return "there are as many arrangements as ways to choose five of twelve; the observed one is one of them."


def nuclei(answer: Any) -> str | None:
    """Check the donors who have nuclei but no cells."""
    table = study.donors()
    without = set(table.filter(table["cells_10X_version"].is_null())["DonorID"])
    found = set(answer)
    if found == without:
        return None
    if found == set(table["DonorID"]) - without:
        return "these are the donors with cells; asked are those without."
    if missing := sorted(without - found):
        return f"{len(missing)} donors without cells are missing, among them {missing[0]}."
    return f"{sorted(found - without)[0]} has cells; keep only donors without a chemistry for cells."
