"""Marks that several figures share: donors by sex, bars with the number beside them."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes

from helpers.figures import style


def scatter_sex(axis: Axes, x: Sequence[float], y: Sequence[float], *, sex: str) -> None:
    """Draw the donors of one sex, in its color and with its marker.

    Parameters
    ----------
    axis
        Where.
    x, y
        One value a donor.
    sex
        ``"M"``, ``"F"``, or a sex by another name.
    """
    axis.scatter(
        x,
        y,
        marker=style.SEX_MARKER.get(sex, "o"),
        color=style.SEX_COLOR.get(sex, style.GRAY),
        edgecolors="black",
        linewidths=0.5,
        s=34,
        label={"M": "men", "F": "women"}.get(sex, sex),
    )


def bar_shares(axis: Axes, place: np.ndarray, shares: Iterable[float], counts: Iterable[int]) -> None:
    """Draw shares as gray bars in percent, with the number of cells beside each.

    Parameters
    ----------
    axis
        Where.
    place
        Height of each bar.
    shares
        From 0 to 1.
    counts
        Cells that make up each share.
    """
    percent = 100 * np.array(list(shares), dtype=float)
    axis.barh(place, percent, color="0.75", edgecolor="black", linewidth=0.6)
    for at, share, count in zip(place, percent, counts, strict=True):
        axis.annotate(
            f"{count:,}", (share, at), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8
        )
