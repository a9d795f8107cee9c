"""The frame of reference: what a share is a share of, and which conclusions hang on it.

Shares add up to one. When one type doubles, every other share falls though nothing happened to those cells. No test
can see the difference from shares alone; what helps is to name the frame, to try several, and to see what stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from helpers.analysis import composition_tests, draws
from helpers.analysis.composition_checks import ASSAY, TOTAL, TYPE, UNIT, N
from helpers.analysis.composition_design import ALL, CENTER
from helpers.errors import DesignError


def trap(
    *,
    rising: str = "fiber fragments",
    log2_per_decade: float = 0.6,
    n_types: int = 8,
    n_donors: int = 16,
    seed: int = 1,
) -> tuple[pl.DataFrame, dict[str, float]]:
    """Draw a tissue in which one large type grows with age and nothing else changes.

    Parameters
    ----------
    rising
        Name of the type that grows.
    log2_per_decade
        Its change of abundance.
    n_types
        Types in all.
    n_donors
        Donors, ages 19 to 74.
    seed
        Of the draw.

    Returns
    -------
    The composition, and the planted change of abundance of each type.
    """
    names_of = [rising, *(f"steady {i}" for i in range(1, n_types))]
    shares = {name: 0.3 if name == rising else 0.7 / (n_types - 1) for name in names_of}
    planted = {name: log2_per_decade if name == rising else 0.0 for name in names_of}
    table = draws.draw(
        draws.donors(n_donors, seed=seed),
        shares=shares,
        slopes=planted,
        concentration=None,
        log2_sd=0.25,
        seed=seed,
    )
    return table, planted


def steadiest(table: pl.DataFrame, *, n: int = 3, min_share: float = 0.01) -> dict[str, list[str]]:
    """Return, for each assay, the types whose log ratio to the center of the types varies least between donors.

    The choice does not look at age, so that it does not favor types that stay put with age by chance.

    Parameters
    ----------
    table
        A composition.
    n
        Types returned.
    min_share
        Mean share that a type needs.
    """
    chosen = {}
    for (assay,), part in table.group_by(ASSAY, maintain_order=True):
        logs = part.with_columns(
            ((pl.col(N) + 0.5) / (pl.col(TOTAL) + 1)).log(2).alias("log"),
            (pl.col(N) / pl.col(TOTAL)).alias("share"),
        )
        common = logs.filter(pl.col("share").mean().over(TYPE) >= min_share)
        spread = (
            common.with_columns((pl.col("log") - pl.col("log").mean().over(UNIT)).alias("ratio"))
            .group_by(TYPE)
            .agg(pl.col("ratio").std())
            .sort("ratio", TYPE)
        )
        chosen[str(assay)] = spread[TYPE].head(n).to_list()
    return chosen


def sensitivity(
    table: pl.DataFrame,
    *,
    references: Mapping[str, str | Sequence[str]] | None = None,
    method: str = composition_tests.TRANSFORM,
    plan: composition_tests.Plan | None = None,
) -> pl.DataFrame:
    """Repeat a test in several frames of reference.

    Parameters
    ----------
    table
        A composition of one or more assays.
    references
        Name of a frame to reference; all barcodes, center of the types and the steadiest types where None.
    method
        A test that takes every reference.
    plan
        The rest of the plan.

    Returns
    -------
    The results stacked, with the frame's name in ``frame``. A frame that an assay cannot use is left out there.
    """
    plan = plan or composition_tests.Plan()
    results = [pl.DataFrame(schema={**composition_tests.SCHEMA, "frame": pl.String})]
    for (assay,), part in table.group_by(ASSAY, maintain_order=True):
        frames = references or {
            "all barcodes": ALL,
            "center of types": CENTER,
            "steadiest types": steadiest(part)[str(assay)],
        }
        for frame, reference in frames.items():
            try:
                found = composition_tests.slopes(part, method=method, plan=replace(plan, reference=reference))
            except DesignError:
                continue
            results.append(found.with_columns(pl.lit(frame).alias("frame")))
    return pl.concat(results)


def agreement(sensitivity_table: pl.DataFrame) -> pl.DataFrame:
    """Say for each type whether its sign, and its interval's side of zero, hold in every frame."""
    effect, low, high = pl.col("log2_change"), pl.col("low"), pl.col("high")
    return (
        sensitivity_table.filter(effect.is_not_null())
        .group_by(ASSAY, TYPE)
        .agg(
            pl.col("frame").n_unique().alias("frames"),
            effect.min().alias("lowest"),
            effect.max().alias("highest"),
            ((effect > 0).all() | (effect < 0).all()).alias("same_sign"),
            ((low > 0).all() | (high < 0).all()).alias("clear_in_all"),
            ((low > 0) | (high < 0)).any().alias("clear_in_some"),
        )
        .sort(ASSAY, TYPE)
    )


def push(planted: Mapping[str, float], shares: Mapping[str, float], *, decades: float) -> dict[str, float]:
    """Return how much every log2 share moves when abundances change as planted: the arithmetic of the trap.

    Examples
    --------
    >>> round(push({"a": 1.0, "b": 0.0}, {"a": 0.5, "b": 0.5}, decades=1)["b"], 3)
    -0.585
    """
    total = sum(shares.values())
    grown = {name: share / total * 2 ** (planted.get(name, 0.0) * decades) for name, share in shares.items()}
    whole = float(np.log2(sum(grown.values())))
    return {name: planted.get(name, 0.0) * decades - whole for name in shares}
