"""Checkers of the exercises of chapter 04."""

import math
from collections.abc import Callable
from typing import Any

from helpers.facts import study


def push(answer: Callable[[dict[str, int], dict[str, int], str, str], float]) -> str | None:
    """Check the log2 change of one type relative to another."""
    young = {"fragments": 100, "stem": 200, "fat": 700}
    old = {"fragments": 800, "stem": 200, "fat": 350}
    found = float(answer(young, old, "stem", "fat"))
    if math.isclose(found, 1.0, abs_tol=1e-6):
        same = float(answer(young, old, "fragments", "stem"))
        return (
            None
            if math.isclose(same, 3.0, abs_tol=1e-6)
            else f"fragments over stem rise eightfold, not {2**same:.3g}-fold."
        )
    if math.isclose(found, -1.0, abs_tol=1e-6):
        return "the change is old over young; yours is young over old."
    if math.isclose(found, math.log2(1000 / 1350), abs_tol=1e-6):
        return "that is the change of the share of all cells; divide by the reference type instead, in each tissue."
    if math.isclose(found, 2.0, abs_tol=1e-6):
        return "that is a ratio, twofold; take its log2."
    return f"stem cells stay and fat halves, so stem over fat doubles: log2 change 1, not {found:.3g}."


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


CHECKS = {"04.push": push, "04.exact": exact, "04.smallest": smallest, "04.nuclei": nuclei}
