"""Covariates of a test across age: which can be estimated beside it, and why the others cannot."""

import numpy as np
import pandas as pd
import polars as pl

from helpers import names

_SHORT = {names.SEX: "sex", names.CHEMISTRY: "chemistry"}
_MIN_RESIDUAL = 3  # residual degrees of freedom below which a covariate is given up


def add(
    donors: pd.DataFrame, age: np.ndarray, *, wanted: tuple[str, ...]
) -> tuple[np.ndarray, tuple[str, ...], pl.DataFrame]:
    """Add to intercept and age the covariates that the donors can tell apart from them.

    Parameters
    ----------
    donors
        One row a donor, with columns ``sex`` and ``chemistry``.
    age
        Coded age of each donor.
    wanted
        Columns of the atlas, most important first.

    Returns
    -------
    The design matrix, the names of its columns, and a table of terms: term, levels, kept, why.
    """
    matrix = np.column_stack([np.ones(len(donors)), age])
    columns = ["intercept", "age"]
    terms = []
    for covariate in wanted:
        term = _SHORT.get(covariate, covariate)
        rare_below = 2 if covariate == names.CHEMISTRY else 1
        values, joined = _join_rare(donors[term].astype(str), rare_below=rare_below)
        levels = values.value_counts().sort_index()
        added = np.empty((len(donors), len(levels) - 1))
        for number, level in enumerate(levels.index[1:]):
            added[:, number] = values == level
        why = _reason_against(matrix, added, levels)
        if why is None:
            matrix = np.column_stack([matrix, added])
            columns += [f"{term} {level}" for level in levels.index[1:]]
        shown = ", ".join(f"{level}: {n}" for level, n in levels.items())
        terms.append(
            {"term": term, "levels": shown, "kept": why is None, "why": why or f"adjusted for{joined}"}
        )
    schema = {"term": pl.String, "levels": pl.String, "kept": pl.Boolean, "why": pl.String}
    return matrix, tuple(columns), pl.DataFrame(terms, schema=schema)


def _join_rare(values: pd.Series, *, rare_below: int) -> tuple[pd.Series, str]:
    """Join levels of a single donor to the commonest: such a level would only take its donor out of the test."""
    counts = values.value_counts()
    rare = sorted(counts.index[counts < rare_below])
    if not rare or len(counts) == len(rare):
        return values, ""
    return values.where(
        ~values.isin(rare), counts.index[0]
    ), f"; {', '.join(rare)} joined to {counts.index[0]}"


def _reason_against(matrix: np.ndarray, added: np.ndarray, levels: pd.Series) -> str | None:
    """Say why a covariate cannot be in the model; None if it can."""
    if len(levels) < 2:
        return f"left out: all donors are {levels.index[0]}"
    both = np.column_stack([matrix, added])
    if np.linalg.matrix_rank(both) < both.shape[1]:
        return "left out: it cannot be told apart from age or the terms before it"
    if both.shape[0] - both.shape[1] < _MIN_RESIDUAL:
        return f"left out: {both.shape[0]} donors would leave fewer than {_MIN_RESIDUAL} degrees of freedom"
    return None
