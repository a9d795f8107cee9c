"""Checkers of the exercises of chapter 07."""

import math
from collections.abc import Callable
from typing import Any

from helpers.facts.signatures import signatures


def score(answer: Callable[[dict[str, list[float]], list[str]], list[float]]) -> str | None:
    """Check a score that centers each gene before averaging."""
    table = {"A": [1.0, 3.0], "B": [10.0, 20.0], "C": [5.0, 0.0]}
    found = [float(value) for value in answer(table, ["A", "B"])]
    if len(found) != 2:
        return "two donors are in the table: return two scores."
    if all(math.isclose(a, b) for a, b in zip(found, [-3.0, 3.0], strict=True)):
        return None
    if all(math.isclose(a, b) for a, b in zip(found, [5.5, 11.5], strict=True)):
        return "center each gene on its own mean first, or the gene with the largest values decides."
    if any(math.isclose(abs(value), 5.0 / 3) or math.isclose(abs(value), 7 / 6) for value in found):
        return "only the genes that are asked for enter the score."
    return f"for these two donors the scores are -3 and 3, your function says {found[0]:g} and {found[1]:g}."


def empirical(answer: Callable[[float, list[float]], float]) -> str | None:
    """Check a two-sided empirical p that counts the observed value."""
    null = [-3.0, -1.0, 0.0, 1.0, 2.0]
    found = float(answer(2.0, null))
    if math.isclose(found, 3 / 6):
        return None
    if math.isclose(found, 2 / 5):
        return "count the observed value as a draw, or a p-value of zero becomes possible."
    if math.isclose(found, 2 / 6):
        return "two-sided: -3 is farther from zero than 2 is; compare absolute values, ties included."
    return f"two of five draws are at least as far from zero, so p is 3 / 6; your function says {found:g}."


def overlap(answer: Any) -> str | None:
    """Check the genes that two signatures share."""
    groups = {name: set(genes) for name, genes in signatures().group_by("signature").agg("gene").iter_rows()}
    right = groups["senescence"] & groups["inflammaging"]
    try:
        given = set(answer)
    except TypeError:
        return "give a set of gene names."
    if given == right:
        return None
    if given == groups["senescence"] | groups["inflammaging"]:
        return "that is the union: take the genes that are in both."
    return f"{len(right)} genes are in both sets; you gave {len(given)}, of which {len(given & right)} are right."
