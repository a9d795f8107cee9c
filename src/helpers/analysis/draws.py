"""Made-up compositions with a known answer, for power, traps and audits: donors that vary, types that change.

Two ways for donors to differ: Dirichlet-multinomial (rare types vary most) and log-normal abundances (all types vary
alike). Both are simple on purpose; the simulated release has its own, richer generator.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from helpers import names
from helpers.analysis.composition_checks import AGE, ASSAY, TOTAL, TYPE, UNIT, N
from helpers.analysis.composition_design import DECADE
from helpers.errors import ParameterError

CENTER_AGE = 48.0


def draw(
    units: pl.DataFrame,
    *,
    shares: Mapping[str, float],
    slopes: Mapping[str, float] | None = None,
    concentration: float | None = 60.0,
    log2_sd: float = 0.0,
    seed: int,
) -> pl.DataFrame:
    """Draw counts of types for given donors.

    Parameters
    ----------
    units
        One row per unit: ``unit``, ``DonorID``, ``age`` (years), ``total``, and any further columns.
    shares
        Share of each type at 48 years; scaled to one.
    slopes
        log2 change per decade of the abundance of a type, before shares are taken; absent means none.
    concentration
        Of the Dirichlet distribution between donors: smaller means donors that differ more; None for none.
    log2_sd
        Standard deviation between donors of the log2 abundance of each type.
    seed
        Of the draw.

    Returns
    -------
    A composition of one assay.
    """
    types = list(shares)
    base = np.array([shares[name] for name in types], dtype=float)
    if (base <= 0).any():
        msg = f"shares must be above zero; {types[int(base.argmin())]!r} has {base.min():g}."
        raise ParameterError(msg)
    generator = np.random.default_rng(seed)
    change = np.array([(slopes or {}).get(name, 0.0) for name in types])
    decades = (units[AGE].to_numpy() - CENTER_AGE) / DECADE
    log2 = (
        np.log2(base)
        + np.outer(decades, change)
        + log2_sd * generator.normal(size=(units.height, len(types)))
    )
    share = np.exp2(log2)
    share /= share.sum(axis=1, keepdims=True)
    if concentration is not None:
        share = generator.gamma(np.maximum(concentration * share, 1e-6))
        share = np.maximum(share, 1e-300) / np.maximum(share, 1e-300).sum(axis=1, keepdims=True)
    counts = generator.multinomial(units[TOTAL].to_numpy(), share)
    rows = units.select(pl.lit("simulated").alias(ASSAY), pl.all())
    drawn = [
        rows.with_columns(pl.lit(name).alias(TYPE), pl.Series(N, counts[:, j]))
        for j, name in enumerate(types)
    ]
    order = [ASSAY, TYPE, UNIT, names.DONOR, N, TOTAL]
    return pl.concat(drawn).select(*order, pl.exclude(order)).sort(ASSAY, TYPE, UNIT)


def donors(
    n: int = 17, *, total: int = 2_000, low: float = 19, high: float = 74, seed: int = 0
) -> pl.DataFrame:
    """Return made-up donors: ages spread over a range, sexes by turns, totals that differ fourfold."""
    generator = np.random.default_rng(seed)
    ages = np.linspace(low, high, n).round(0)
    return pl.DataFrame(
        {
            UNIT: [f"D{i:02}" for i in range(n)],
            names.DONOR: [f"D{i:02}" for i in range(n)],
            AGE: ages,
            names.AGE_BIN: [names.YOUNG if age < 40 else names.OLD for age in ages],
            names.SEX: [names.MALE if i % 2 else names.FEMALE for i in range(n)],
            TOTAL: np.exp2(np.log2(total) + generator.uniform(-1, 1, n)).astype(int),
        }
    )
