"""Checkers of the exercises of chapter 01."""

import math
from collections.abc import Callable
from typing import Any


def dense(answer: Callable[[int, int], float]) -> str | None:
    """Check a function that gives the size of a dense float32 table in GiB."""
    found = answer(1024, 1024 * 1024)
    if math.isclose(found, 8.0):
        return "float32 takes four bytes a value; your function counts eight."
    if math.isclose(found, 1024 * 1024 * 1024 * 4 / 1e9):
        return "that is gigabytes, powers of ten; a gibibyte is two to the power of thirty bytes."
    if not math.isclose(found, 4.0):
        return f"1,024 cells of 1,048,576 genes take 4 GiB, your function says {found:g}."
    return None


def bins(answer: Any) -> str | None:
    """Check the set of age bins that are one donor each."""
    right = {"15-20", "20-25", "50-55", "55-60"}
    try:
        given = set(answer)
    except TypeError:
        given = {None}
    if not all(isinstance(name, str) for name in given) or given & {"Age_group", "Age_group_5y"}:
        return "give the bins as a set of texts such as {'15-20'}."
    if extra := sorted(given - right):
        return f"{extra[0]} is not a bin of one single donor: count the rows of the donor table in it."
    if right - given:
        return f"{len(right - given)} more bin(s) hold one donor only; bins of few cells count as well."
    return None


def align(answer: Callable[[int, int, list[str]], bool]) -> str | None:
    """Check a test of whether two tables can be aligned by position."""
    cases = [
        ((2, 2, ["a", "b"]), True, "two rows, two rows, two different barcodes: these can be aligned."),
        ((2, 3, ["a", "b"]), False, "tables of two and three rows cannot be aligned by position."),
        ((2, 2, ["a", "a"]), False, "a barcode that occurs twice shows that rows were repeated."),
        ((2, 2, ["a"]), False, "fewer barcodes than rows: one row has none."),
    ]
    return next((message for case, right, message in cases if bool(answer(*case)) is not right), None)
