"""Any value of a donor across age: slope with interval, permutation p, and what one donor makes of it."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from helpers import names
from helpers.analysis import arrangements, composition_models
from helpers.analysis.composition_checks import AGE, MIN_DONORS
from helpers.analysis.composition_design import choose_covariates, design_matrix
from helpers.errors import TableError

SCHEMA = {
    "measure": pl.String,
    "slope_per_decade": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "permutation_p": pl.Float64,
    "donors": pl.Int64,
    "lowest_without_one": pl.Float64,
    "highest_without_one": pl.Float64,
    "most_influential": pl.String,
    "adjusted_for": pl.String,
    "unit": pl.String,
}


def fit(
    table: pl.DataFrame,
    *,
    value: str,
    measure: str,
    unit: str,
    covariates: Sequence[str] = (),
    draws: int = 20_000,
    seed: int = 0,
) -> pl.DataFrame:
    """Fit a straight line of a donor-level value on age.

    Parameters
    ----------
    table
        One row per donor: ``DonorID``, ``age`` (years), the value, covariates. Rows without a value are left out.
    value
        Column of values.
    measure
        What the value is, in words.
    unit
        Its unit; the slope is in this unit per decade.
    covariates
        Columns to adjust for; those that cannot be estimated beside age are left out.
    draws, seed
        Of the permutation test, where the arrangements of ages are too many to list. It is unadjusted.

    Returns
    -------
    One row; the effect is null where fewer than three donors, or no difference in age, remain.

    Raises
    ------
    TableError
        If a donor has several rows.
    """
    table = table.filter(pl.col(value).is_not_null() & pl.col(value).is_finite() & pl.col(AGE).is_not_null())
    if table[names.DONOR].n_unique() < table.height:
        msg = f"{table.height} rows of {table[names.DONOR].n_unique()} donors: give one value of {value!r} per donor."
        raise TableError(msg)
    empty = dict.fromkeys(SCHEMA)
    row = {**empty, "measure": measure, "unit": unit, "donors": table.height}
    kept = _kept(table, covariates)
    if kept is not None:
        slope, low, high, p = _line(table, value, kept)
        ages, response = table[AGE].to_numpy(), table[value].cast(pl.Float64).to_numpy()[:, None]
        drawn = arrangements.arrange(ages, draws=draws, seed=seed)
        chance = float(arrangements.p_values(drawn, response - response.mean())[0])
        row |= {"slope_per_decade": slope, "low": low, "high": high, "p": p, "permutation_p": chance}
        row |= {"adjusted_for": ", ".join(kept), **_without_one(table, value, kept, slope)}
    return pl.DataFrame([row], schema=SCHEMA)


def _kept(table: pl.DataFrame, covariates: Sequence[str]) -> list[str] | None:
    """Return the covariates that can be fitted beside age, or None where age itself cannot."""
    if table.height < MIN_DONORS or table[AGE].n_unique() < 2:
        return None
    return choose_covariates(table, covariates, exposure=AGE)


def _line(table: pl.DataFrame, value: str, covariates: Sequence[str]) -> tuple[float, float, float, float]:
    matrix = design_matrix(table, exposure=AGE, covariates=covariates)
    response = table[value].cast(pl.Float64).to_numpy()[:, None]
    found = composition_models.linear(response, matrix, moderate=False)
    effect, margin = float(found.effect[0]), float(found.margin[0])
    return effect, effect - margin, effect + margin, float(found.p[0])


def _without_one(
    table: pl.DataFrame, value: str, covariates: Sequence[str], slope: float
) -> dict[str, object]:
    without = {}
    for donor in table[names.DONOR]:
        rest = table.filter(pl.col(names.DONOR) != donor)
        kept = _kept(rest, covariates)
        if kept is not None:
            without[donor] = _line(rest, value, kept)[0]
    if not without:
        return {}
    effects = np.array(list(without.values()))
    return {
        "lowest_without_one": float(effects.min()),
        "highest_without_one": float(effects.max()),
        "most_influential": max(without, key=lambda donor: abs(without[donor] - slope)),
    }
