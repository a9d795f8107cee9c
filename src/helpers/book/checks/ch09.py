"""Checkers of the exercises of chapter 09."""

import math
from collections.abc import Callable


def purity(answer: Callable[[list[str], list[list[int]]], float]) -> str | None:
    """Check the share of neighbors that carry the cell's own label."""
    labels, neighbors = ["a", "a", "b", "b"], [[1, 2], [0, 2], [3, 0], [2, 1]]
    found = float(answer(labels, neighbors))
    if math.isclose(found, 0.5):
        return None
    if math.isclose(found, 1.0):
        return "every cell has *some* neighbor of its label; the share of all neighbors is asked for."
    if math.isclose(found, 4.0):
        return "that is a count: divide by the number of neighbors."
    return f"half of these neighbors carry the cell's label; your function says {found:g}."


def entropy(answer: Callable[[list[str]], float]) -> str | None:
    """Check the Shannon entropy of groups in natural units."""
    found = float(answer(["x", "x", "y", "y"]))
    if math.isclose(found, math.log(2)):
        alone = float(answer(["x", "x", "x"]))
        return None if math.isclose(alone, 0, abs_tol=1e-12) else "one group alone has no entropy: zero."
    if math.isclose(found, 1.0):
        return "that is in bits; natural units use the natural logarithm."
    if math.isclose(found, -math.log(2)):
        return "the sign is turned: shares are below one, so their logarithms are negative."
    return f"two groups of equal size have entropy {math.log(2):.4g}; your function says {found:.4g}."


def jaccard(answer: Callable[[list[tuple[str, str]], list[tuple[str, str]]], float]) -> str | None:
    """Check the Jaccard index of two lists of undirected pairs."""
    found = float(answer([("A", "B"), ("C", "D")], [("B", "A"), ("E", "F")]))
    if math.isclose(found, 1 / 3):
        return None
    if math.isclose(found, 0):
        return "a pair is undirected: A with B is B with A."
    if math.isclose(found, 1 / 2):
        return "divide by the union of the two lists, not by the length of one."
    return f"one pair of three is shared; your function says {found:g}."
