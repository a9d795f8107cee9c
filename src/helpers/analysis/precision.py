"""What a test of this precision could have found."""

import numpy as np
import polars as pl
from scipy import stats


def find_detectable(
    table: pl.DataFrame, *, alpha: float = 0.05, power: float = 0.8, bands: int = 3
) -> pl.DataFrame:
    """Return the smallest change that a test of this precision detects, by expression.

    Parameters
    ----------
    table
        As `expression.age_de` returns it: standard errors between donors and their degrees of freedom.
    alpha
        Two-sided p-value that counts as detected.
    power
        Share of tests that must detect the change.
    bands
        Number of equal bands of genes, from low to high expression.

    Returns
    -------
    One row a band, none without a test: genes, median log2 counts per million, and the median over genes of the smallest change.
    """
    df = table["df"].to_numpy()
    # t quantiles of test and power add up; exact enough against the noncentral t above 5 degrees of freedom
    factor = stats.t.isf(alpha / 2, df) + stats.t.ppf(power, df)
    smallest = table["standard_error"].to_numpy() * factor
    expression = table["mean_log2_cpm"].to_numpy()
    if table.is_empty():
        columns = {
            "band": pl.String,
            "genes": pl.Int64,
            "mean_log2_cpm": pl.Float64,
            "smallest_log2_change": pl.Float64,
        }
        return pl.DataFrame(schema=columns)
    edges = np.quantile(expression, np.linspace(0, 1, bands + 1))
    band = np.clip(np.searchsorted(edges, expression, side="right") - 1, 0, bands - 1)
    return pl.DataFrame(
        {
            "band": [f"{number + 1} of {bands}" for number in range(bands)],
            "genes": [int((band == number).sum()) for number in range(bands)],
            "mean_log2_cpm": [float(np.median(expression[band == number])) for number in range(bands)],
            "smallest_log2_change": [float(np.median(smallest[band == number])) for number in range(bands)],
        }
    )
