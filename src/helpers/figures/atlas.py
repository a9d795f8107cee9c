"""Figures of the atlas as a whole: donors, labels, maps, cost of loading."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from helpers import names
from helpers.figures import style
from helpers.figures.text import placeholder, shorten

_MARKS = {names.V2: "2", names.V3: "3", names.V2_V3: "2/3"}


def draw_donors(donors: pl.DataFrame) -> Figure:
    """Draw cells and nuclei of each donor, youngest first, with age, sex and chemistry written beside the bars.

    Parameters
    ----------
    donors
        What `analysis.donors.by_donor` returns.
    """
    if donors.is_empty():
        return placeholder("This source names no donors")
    place = np.arange(donors.height)[::-1]
    figure, axes = style.new(width=6.6, height=0.28 * donors.height + 1.1, rows=1, columns=2, sharey=True)
    for axis, assay in zip(axes, (names.CELLS, names.NUCLEI), strict=True):
        counts = donors[assay].to_numpy()
        axis.barh(place, counts, color=style.ASSAY_COLOR[assay], edgecolor="black", linewidth=0.5)
        kinds = donors[f"chemistry_{assay}"].fill_null("")
        for at, count, kind in zip(place, counts, kinds, strict=True):
            text = f"{count:,}" + (f"  {_short_chemistry(kind)}" if kind else "") if count else "none"
            axis.annotate(
                text, (count, at), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8
            )
        axis.set_title(assay)
        axis.set_xlim(0, max(counts.max(), 1) * 1.45)
        axis.xaxis.set_major_locator(MaxNLocator(3))
        axis.set_xlabel("barcodes")
    labels = [_name(row) for row in donors.iter_rows(named=True)]
    axes[0].set_yticks(place, labels)
    return figure


def draw_labels(counts: pl.DataFrame) -> Figure:
    """Draw the number of cells and nuclei per label on a logarithmic axis.

    Parameters
    ----------
    counts
        Columns label, cells, nuclei, total; drawn in the order given.
    """
    if counts.is_empty():
        return placeholder("This source has no cell-type labels")
    shown = counts.head(45)
    place = np.arange(shown.height)[::-1]
    figure, axis = style.new(width=6.4, height=0.19 * shown.height + 1.0)
    for assay, marker, face in (
        (names.CELLS, "o", style.ASSAY_COLOR[names.CELLS]),
        (names.NUCLEI, "D", "white"),
    ):
        value = shown[assay].to_numpy().astype(float)
        axis.scatter(
            np.where(value > 0, value, np.nan),
            place,
            marker=marker,
            s=26,
            label=assay,
            facecolor=face,
            edgecolor="black",
            linewidth=0.8,
            zorder=3,
        )
    if shown[names.CELLS].sum() + shown[names.NUCLEI].sum() == 0:  # a source that states no assay
        axis.scatter(
            shown["total"].to_numpy(),
            place,
            marker="s",
            s=26,
            color=style.GRAY,
            edgecolor="black",
            label="assay not stated",
            zorder=3,
        )
    axis.set_xscale("log")
    axis.set_yticks(place, [shorten(label) for label in shown["label"]])
    axis.set_xlabel("barcodes (logarithmic)")
    axis.grid(axis="y", linewidth=0.4, color="0.85")
    axis.legend(loc="lower right", frameon=True)
    return figure


def draw_maps(maps: Mapping[str, np.ndarray | None], values: Sequence[str], *, highlight: int = 6) -> Figure:
    """Draw two-dimensional maps side by side, the commonest labels in color, the others in gray.

    Parameters
    ----------
    maps
        Title to cells x 2 coordinates; a missing map leaves its panel empty, saying so.
    values
        One label a cell.
    highlight
        Labels that get a color; more cannot be told apart.
    """
    labels = pl.Series(values).cast(pl.String).fill_null("no label")
    common = labels.value_counts(sort=True)[labels.name or ""].head(highlight).to_list()
    rows = (len(maps) + 1) // 2
    figure, axes = style.new(width=6.6, height=3.1 * rows, rows=rows, columns=2, squeeze=False)
    for axis, (title, points) in zip(axes.flat, maps.items(), strict=False):
        axis.set_title(title)
        axis.set_xticks([])
        axis.set_yticks([])
        if points is None:
            axis.text(0.5, 0.5, "not in this source", ha="center", va="center", transform=axis.transAxes)
            continue
        _draw_points(axis, points[:, :2], labels, common)
    handles = [
        Line2D(
            [],
            [],
            marker="o",
            linestyle="",
            color=style.CYCLE[number % len(style.CYCLE)],
            label=f"{number + 1}  {shorten(label)}",
        )
        for number, label in enumerate(common)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _draw_points(axis: Axes, points: np.ndarray, labels: pl.Series, common: Sequence[str]) -> None:
    size = float(np.clip(6000 / max(len(points), 1), 0.15, 4))
    rest = ~labels.is_in(common).to_numpy()
    axis.scatter(*points[rest].T, s=size, c="0.85", linewidths=0, rasterized=True)
    for number, label in enumerate(common):
        mine = points[(labels == label).to_numpy()]
        color = style.CYCLE[number % len(style.CYCLE)]
        axis.scatter(*mine.T, s=size, c=color, linewidths=0, rasterized=True)
        axis.annotate(
            str(number + 1),
            np.median(mine, axis=0),
            ha="center",
            va="center",
            fontsize=9,
            fontweight="bold",
            bbox={
                "boxstyle": "circle,pad=0.15",
                "facecolor": "white",
                "edgecolor": "black",
                "linewidth": 0.6,
            },
        )


def draw_cost(cost: pl.DataFrame) -> Figure:
    """Draw seconds and peak memory of each way of loading.

    Parameters
    ----------
    cost
        Columns way, seconds, peak_gib.
    """
    if cost.is_empty():
        return placeholder("Loading was not measured for this source")
    place = np.arange(cost.height)[::-1]
    figure, axes = style.new(width=6.6, height=0.5 * cost.height + 1.1, rows=1, columns=2, sharey=True)
    for axis, column, unit in ((axes[0], "seconds", "s"), (axes[1], "peak_gib", "GiB")):
        value = cost[column].to_numpy()
        axis.barh(place, value, color="0.75", edgecolor="black", linewidth=0.6)
        for at, number in zip(place, value, strict=True):
            axis.annotate(
                f"{number:.2g} {unit}",
                (number, at),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
            )
        axis.set_xlim(0, value.max() * 1.35)
    axes[0].set_xlabel("wall time (s)")
    axes[1].set_xlabel("peak memory (GiB)")
    axes[0].set_yticks(place, cost["way"])
    return figure


def _name(row: Mapping[str, object]) -> str:
    age = row[names.EXACT_AGE]
    if age is None:
        age = row[names.AGE_GROUP] or "age ?"
    return f"{shorten(str(row[names.DONOR]), 14)}  {age} {row[names.SEX] or ''}".rstrip()


def _short_chemistry(kind: str) -> str:
    return ", ".join(f"v{_MARKS[part]}" if part in _MARKS else shorten(part, 8) for part in kind.split(", "))
