"""Checkers of the exercises of chapter 11."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier


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


def vote(answer: Callable[[np.ndarray, np.ndarray, np.ndarray], float]) -> str | None:
    """Check a function that lets neighbors vote on labels, held out by part."""
    chance = np.random.default_rng(5)
    part = np.repeat([f"part {number}" for number in range(6)], 40)
    side = np.tile(np.repeat([-1, 1], 20), 6)
    points = np.column_stack([np.repeat(8.0 * np.arange(6), 40), side]) + chance.normal(0, 0.1, (240, 2))
    # which side a label is on differs from part to part: neighbors of the own part know it, others do not
    own = np.where(side * np.repeat([1, 1, -1, 1, -1, -1], 40) > 0, "a", "b")
    own[chance.random(240) < 0.1] = "c"
    voted = cross_val_predict(KNeighborsClassifier(15), points, own, groups=part, cv=GroupKFold(3))
    truth, plain = balanced_accuracy_score(own, voted), (own == voted).mean()
    found = answer(points, own, part)
    if found is None:
        return "your function returns nothing: return the balanced accuracy, do not print it."
    if math.isclose(float(found), truth, abs_tol=1e-9):
        return None
    if math.isclose(float(found), plain, abs_tol=1e-9):
        return "that is the share of cells that are right; balanced accuracy weighs every label the same."
    if float(found) > truth + 0.1:
        return (
            "that is too good: neighbors of the cell's own part voted. Hold whole parts out with groups=part."
        )
    return f"the vote of 15 neighbors, three groups of parts, has a balanced accuracy of {truth:.3f}; yours says {float(found):.3f}."


def purity(answer: Callable[[pl.DataFrame], float]) -> str | None:
    """Check the share of cells that carry the most common label of their cluster."""
    rows = [(0, 5, 90), (0, 6, 10), (1, 5, 6), (1, 7, 14)]
    found = answer(pl.DataFrame(rows, schema=["cluster", "cell_type", "cells"], orient="row"))
    if found is None:
        return "your function returns nothing: return the share, do not print it."
    if math.isclose(float(found), 0.8):
        return "that is the mean over clusters; every cell counts the same, so large clusters count for more."
    if not math.isclose(float(found), 104 / 120):
        return f"clusters of 90 and 10, and of 6 and 14 cells, have a purity of 104 in 120; yours says {float(found):.3f}."
    return None
