"""Published fractions tested again: young against old library groups, rank-sum and permutation, type by type.

Fractions read off a figure lose points that lie on each other, most often near zero. Lost points are put at zero. Where
few are lost the test is made a second time with them at the median of the points read: a conclusion that needs one of
the two fillings is not a conclusion.
"""

from functools import cache
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from helpers import names
from helpers.analysis import arrangements
from helpers.analysis.composition_models import adjust
from helpers.errors import TableError

FEW = 0.25  # share of points that may be lost for the second filling to mean anything
_GROUP = (names.ASSAY, names.LEVEL0)


def retest(fractions: pl.DataFrame) -> pl.DataFrame:
    """Test every type of every assay for a difference between young and old fractions.

    Parameters
    ----------
    fractions
        ``batch``, ``annotation_level0``, ``Age_bin``, ``fraction``, ``groups`` (points there should be in the age
        group) and ``lost`` (how many of these could not be read), as `facts.fibers.completed_fractions` gives them.

    Returns
    -------
    One row per type and assay, smallest p first: points read, lost and in excess; medians; log2 ratio of mean
    fractions; rank-sum U (young) and p, permutation p on root fractions, both with lost points at zero, their
    Benjamini-Hochberg q within the assay; and the
    p-values with lost points at the median, where at most a quarter of the points is lost. A type of which neither
    group could be read, or with more points than there are groups, has no p.

    Raises
    ------
    TableError
        If columns are missing.
    """
    needed = {*_GROUP, names.AGE_BIN, "fraction", "groups", "lost"}
    if lacking := sorted(needed - set(fractions.columns)):
        msg = f"columns {lacking} are missing; the table has {fractions.columns}."
        raise TableError(msg)
    rows = [
        _one(part, assay, kind) for (assay, kind), part in fractions.group_by(*_GROUP, maintain_order=True)
    ]
    frame = pl.DataFrame(rows, infer_schema_length=None)
    for kind in ("rank_sum", "permutation"):
        frame = frame.with_columns(_adjust(f"{kind}_p").over(names.ASSAY).alias(f"{kind}_q"))
    return frame.sort(names.ASSAY, "rank_sum_p", names.LEVEL0, nulls_last=True)


def beside_slopes(retested: pl.DataFrame, slopes: pl.DataFrame) -> pl.DataFrame:
    """Set the exact tests beside published mixed-model slopes: ``assay``, ``type``, ``published_per_sd``, ``clear``."""
    named = retested.rename({names.ASSAY: "assay", names.LEVEL0: "type"})
    joined = named.join(slopes, on=["assay", "type"], how="inner")
    sign = pl.col("log2_old_over_young").sign() == pl.col("published_per_sd").sign()
    return joined.with_columns(sign.alias("same_sign")).select(
        "assay",
        "type",
        "lost",
        "log2_old_over_young",
        "rank_sum_p",
        "rank_sum_q",
        "published_per_sd",
        "clear",
        "same_sign",
    )


def _adjust(column: str) -> pl.Expr:
    return (
        pl.col(column)
        .cast(pl.Float64)
        .map_batches(lambda p: pl.Series(adjust(p.fill_null(np.nan).to_numpy())), return_dtype=pl.Float64)
        .fill_nan(None)
    )


def _one(part: pl.DataFrame, assay: object, kind: object) -> dict[str, Any]:
    points = {
        g: part.filter(pl.col(names.AGE_BIN) == g)["fraction"].to_numpy() for g in (names.YOUNG, names.OLD)
    }
    sizes = dict(part.select(names.AGE_BIN, "groups").unique().iter_rows())
    lost = {group: sizes.get(group, len(read)) - len(read) for group, read in points.items()}
    row: dict[str, Any] = {
        names.ASSAY: assay,
        names.LEVEL0: kind,
        "read": sum(len(read) for read in points.values()),
        "lost": sum(max(n, 0) for n in lost.values()),
        "in_excess": sum(max(-n, 0) for n in lost.values()),
    }
    testable = all(len(read) for read in points.values()) and min(lost.values()) >= 0
    zero = {group: np.concatenate([read, np.zeros(max(lost[group], 0))]) for group, read in points.items()}
    row |= _summarize(zero)
    few = row["lost"] <= FEW * (row["read"] + row["lost"])
    for suffix, filled, told in (
        ("", zero, testable),
        ("_lost_at_median", _fill_median(points, lost), testable and few),
    ):
        answer = _tests(filled) if told else {"rank_sum_p": None, "permutation_p": None, "u": None}
        row |= {f"{name}{suffix}": value for name, value in answer.items()}
    return row


def _fill_median(points: dict[str, np.ndarray], lost: dict[str, int]) -> dict[str, np.ndarray]:
    return {
        group: np.concatenate([read, np.full(max(lost[group], 0), np.median(read) if len(read) else 0.0)])
        for group, read in points.items()
    }


def _summarize(points: dict[str, np.ndarray]) -> dict[str, Any]:
    young, old = points[names.YOUNG], points[names.OLD]
    enough = len(young) and len(old) and young.mean() > 0 and old.mean() > 0
    return {
        "median_young": float(np.median(young)) if len(young) else None,
        "median_old": float(np.median(old)) if len(old) else None,
        "log2_old_over_young": float(np.log2(old.mean() / young.mean())) if enough else None,
    }


def _tests(points: dict[str, np.ndarray]) -> dict[str, Any]:
    young, old = points[names.YOUNG], points[names.OLD]
    values = np.concatenate([young, old])
    drawn = _arrange(len(young), len(old))
    ranks = stats.rankdata(values)
    # exact over all arrangements also where points are tied, unlike the usual table of U
    responses = np.column_stack([ranks - ranks.mean(), np.sqrt(values) - np.sqrt(values).mean()])
    rank_sum, permutation = arrangements.p_values(drawn, responses)
    u = ranks[: len(young)].sum() - len(young) * (len(young) + 1) / 2
    return {"rank_sum_p": float(rank_sum), "permutation_p": float(permutation), "u": float(u)}


@cache
def _arrange(young: int, old: int) -> arrangements.Arrangements:
    return arrangements.arrange(np.repeat([0.0, 1.0], [young, old]))
