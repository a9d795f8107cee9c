"""Checkers of the exercises of chapter 10."""

import math
from collections.abc import Callable

import polars as pl


def zeros(answer: Callable[[list[tuple[str, str]]], pl.DataFrame]) -> str | None:
    """Check a count by donor and type that keeps its zeros."""
    pairs = [("A", "T"), ("A", "T"), ("A", "B"), ("C", "T")]
    found = answer(pairs)
    if lacking := sorted({"donor", "type", "n"} - set(found.columns)):
        return f"the table has no column {lacking[0]!r}; wanted are donor, type and n."
    counted = {(donor, kind): n for donor, kind, n in found.select("donor", "type", "n").rows()}
    if found.height > len(counted):
        return "some donor and type stand in two rows; one row each is wanted."
    if ("C", "B") not in counted:
        return "donor C has no B, and the table has no row for it: a zero is an observation, give it a row."
    if counted[("C", "B")] is None:
        return "donor C's count of B is null: nothing counted is zero, not unknown."
    right = {("A", "T"): 2, ("A", "B"): 1, ("C", "T"): 1, ("C", "B"): 0}
    wrong = [pair for pair, n in right.items() if counted.get(pair) != n]
    if wrong:
        donor, kind = wrong[0]
        return f"donor {donor} has {right[wrong[0]]} of {kind}, not {counted.get(wrong[0])}."
    return None


def push(answer: Callable[[dict[str, int], dict[str, int], str, str], float]) -> str | None:
    """Check the log2 change of one type relative to another."""
    young = {"fragments": 100, "stem": 200, "fat": 700}
    old = {"fragments": 800, "stem": 200, "fat": 350}
    found = float(answer(young, old, "stem", "fat"))
    if math.isclose(found, 1.0, abs_tol=1e-6):
        same = float(answer(young, old, "fragments", "stem"))
        if math.isclose(same, 3.0, abs_tol=1e-6):
            return None
        return f"fragments over stem rise eightfold, not {2**same:.3g}-fold."
    if math.isclose(found, -1.0, abs_tol=1e-6):
        return "the change is old over young; yours is young over old."
    if math.isclose(found, math.log2(1000 / 1350), abs_tol=1e-6):
        return "that is the change of the share of all cells; divide by the reference type instead, in each tissue."
    if math.isclose(found, 2.0, abs_tol=1e-6):
        return "that is a ratio, twofold; take its log2."
    return f"stem cells stay and fat halves, so stem over fat doubles: log2 change 1, not {found:.3g}."
