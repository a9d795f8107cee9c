"""Scores of donors across age, and random gene sets of like expression: what a signature must be set beside."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import polars as pl
import statsmodels.formula.api as smf

from helpers.stats import expression

_BANDS = 10  # of as many genes each, from low to high expression


def fit_scores(scores: pd.DataFrame, donors: pd.DataFrame) -> pl.DataFrame:
    """Fit each score on age over donors by least squares, beside the terms that the donors can tell apart from it.

    Scores are donors x sets, in the order of `donors` (from `expression.choose_donors`). Returned is one row a set: set,
    donors, change (per decade, in the unit of the score), its 95 % interval (low, high), p.
    """
    formula = f"score ~ {expression.write_formula(donors)}"
    rows = []
    for name in scores:
        line = smf.ols(formula, donors.assign(score=scores[name].to_numpy(float))).fit()
        low, high = line.conf_int().loc[expression.AGE_TERM]
        change, p = line.params[expression.AGE_TERM], line.pvalues[expression.AGE_TERM]
        rows.append({"set": name, "donors": len(donors), "change": change, "low": low, "high": high, "p": p})
    numbers = dict.fromkeys(("change", "low", "high", "p"), pl.Float64)
    return pl.DataFrame(rows, schema={"set": pl.String, "donors": pl.Int64} | numbers)


def draw_sets(expression: pd.Series, genes: Sequence[str], *, n: int, seed: int = 0) -> np.ndarray:
    """Draw random gene sets of the size and expression of a given one.

    A drift of the tissue, of library size or of chemistry moves every set. Only a signature that moves more than random
    sets do says something of its own.

    Parameters
    ----------
    expression
        Mean log expression of every gene that may be drawn, by gene.
    genes
        The set: each gene gives way to one of the same of ten bands of expression.
    n
        Random sets wanted.

    Returns
    -------
    n x genes: positions in `expression`. Within a set a gene may come twice.
    """
    rank = np.argsort(np.argsort(expression.to_numpy(), kind="stable"), kind="stable")
    band = rank * _BANDS // len(expression)
    members = [np.flatnonzero(band == number) for number in range(_BANDS)]
    generator = np.random.default_rng(seed)
    places = expression.index.get_indexer(list(genes))
    chosen = [members[band[place]] for place in places]
    return np.stack([alike[generator.integers(0, len(alike), n)] for alike in chosen], axis=1)
