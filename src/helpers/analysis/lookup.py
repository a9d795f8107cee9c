"""One value out of a table of results."""

from typing import Any

import polars as pl


def pick(table: pl.DataFrame, column: str, **equals: Any) -> Any:
    """Return the value of a column in the first row whose other columns equal what is asked; None where there is none.

    Examples
    --------
    >>> pick(pl.DataFrame({"type": ["FB", "MuSC"], "p": [0.5, 0.01]}), "p", type="MuSC")
    0.01
    """
    rows = (
        table.filter(pl.all_horizontal(pl.col(name) == value for name, value in equals.items()))
        if equals
        else table
    )
    return rows[column][0] if rows.height else None


def pick_interval(table: pl.DataFrame, low: str, high: str, **equals: Any) -> tuple[float, float] | None:
    """Return lower and upper bound of the first row that fits, or None where a bound is missing or endless."""
    bounds = pick(table, low, **equals), pick(table, high, **equals)
    if any(bound is None or abs(bound) == float("inf") for bound in bounds):
        return None
    return bounds
