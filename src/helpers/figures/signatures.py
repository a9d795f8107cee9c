"""Figures of aging signatures."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from helpers import names
from helpers.figures import style
from helpers.figures.text import placeholder, shorten


def draw_slopes(table: pl.DataFrame, null: pl.DataFrame) -> Figure:
    """Draw the slope of each signature with its interval over donors, and behind it what random sets do.

    Parameters
    ----------
    table
        Rows of one type, assay and method of `analysis.signature_tests.slopes`.
    null
        What `analysis.signature_genes.random_null` returns for the same.
    """
    if table.is_empty():
        return placeholder("No signature could be tested: too few donors, ages or counts")
    shown = table.sort("slope_per_decade", descending=True)
    band = {row["signature"]: row for row in null.iter_rows(named=True)}
    place = np.arange(shown.height)[::-1]
    figure, axis = style.new(height=0.4 * shown.height + 1.3)
    axis.axvline(0, color=style.GRAY, linewidth=1)
    for at, row in zip(place, shown.iter_rows(named=True), strict=True):
        if row["signature"] in band:
            low, high = band[row["signature"]]["null_low"], band[row["signature"]]["null_high"]
            axis.barh(
                at,
                high - low,
                left=low,
                height=0.62,
                color=style.LIGHT,
                label="random sets, 95 %" if at == place[0] else None,
            )
        axis.plot([row["low"], row["high"]], [at, at], color="black", linewidth=2)
        axis.plot(row["slope_per_decade"], at, "o", color=style.BLUE, markeredgecolor="black", markersize=7)
    axis.set_yticks(
        place, [f"{shorten(row['signature'], 26)} ({row['genes']})" for row in shown.iter_rows(named=True)]
    )
    axis.set_xlabel("change of the score (log2 per decade), 95 % interval over donors")
    if band:
        axis.legend(loc="lower right")
    return figure


def draw_everywhere(table: pl.DataFrame, *, fdr: float = 0.1) -> Figure:
    """Draw the slope of every signature in every type and assay as a grid of marks, size by how far from zero.

    Parameters
    ----------
    table
        Rows of one method of `analysis.signature_tests.slopes`.
    fdr
        Rows below this q get a ring.
    """
    if table.is_empty():
        return placeholder("No signature could be tested: too few donors, ages or counts")
    columns = sorted(table["signature"].unique())
    rows = table.select("type", "assay").unique().sort("assay", "type").rows()
    figure, axis = style.new(height=0.24 * len(rows) + 2.2)
    place = {key: number for number, key in enumerate(rows[::-1])}
    scale = float(table["slope_per_decade"].abs().quantile(0.95) or 1)
    for row in table.iter_rows(named=True):
        x, y = columns.index(row["signature"]), place[row["type"], row["assay"]]
        strength = min(abs(row["slope_per_decade"]) / scale, 1)
        up = row["slope_per_decade"] > 0
        axis.scatter(
            x,
            y,
            s=12 + 60 * strength,
            marker="^" if up else "v",
            color=style.VERMILION if up else style.BLUE,
            edgecolors="black" if row["q"] < fdr else "none",
            linewidths=1.4,
        )
    axis.set_xticks(range(len(columns)), [shorten(name, 24) for name in columns], rotation=40, ha="right")
    axis.set_yticks(list(place.values()), [f"{shorten(kind, 18)} ({assay})" for kind, assay in place])
    axis.set_xlim(-0.6, len(columns) - 0.4)
    axis.grid(color="0.93")
    return figure


def draw_donors(scores: pl.DataFrame, signature: str) -> Figure:
    """Draw one signature's score of each donor against age; marks tell the sex."""
    mine = scores.filter((pl.col("signature") == signature) & pl.col("age").is_not_null())
    if mine.is_empty():
        return placeholder("No donors with this score and a known age")
    figure, axis = style.new(width=5.2, height=3.6)
    axis.axhline(0, color=style.GRAY, linewidth=1)
    for sex in (names.FEMALE, names.MALE):
        here = mine.filter(pl.col(names.SEX) == sex)
        axis.scatter(
            here["age"].to_numpy(),
            here["score"].to_numpy(),
            marker=style.SEX_MARKER[sex],
            color=style.SEX_COLOR[sex],
            edgecolor="black",
            s=46,
            label=f"{sex}",
        )
    other = mine.filter(~pl.col(names.SEX).is_in([names.FEMALE, names.MALE]) | pl.col(names.SEX).is_null())
    axis.scatter(other["age"].to_numpy(), other["score"].to_numpy(), color=style.GRAY)
    for row in mine.iter_rows(named=True):
        axis.annotate(
            shorten(row[names.DONOR], 10),
            (row["age"], row["score"]),
            xytext=(5, 3),
            textcoords="offset points",
            fontsize=8,
        )
    axis.set(xlabel="age (years)", ylabel="score (log2, centered)")
    axis.legend(title="sex")
    return figure


def draw_confounders(
    table: pl.DataFrame, order: Sequence[str] = ("age", "hospital days", "dissociation stress")
) -> Figure:
    """Draw rank correlations of each signature with age, hospital days and stress, as a labeled grid."""
    if table.is_empty():
        return placeholder("Too few donors with ages and hospital days")
    rows = sorted(table["signature"].unique())
    grid = np.full((len(rows), len(order)), np.nan)
    for row in table.iter_rows(named=True):
        grid[rows.index(row["signature"]), order.index(row["with"])] = row["spearman"]
    figure, axis = style.new(width=5.8, height=0.34 * len(rows) + 1.3)
    axis.imshow(grid, cmap=style.DIVERGING, vmin=-1, vmax=1, aspect="auto")
    for (y, x), value in np.ndenumerate(grid):
        text = "–" if np.isnan(value) else f"{value:+.2f}"
        axis.text(
            x,
            y,
            text,
            ha="center",
            va="center",
            color="white" if abs(np.nan_to_num(value)) > 0.75 else "black",
        )
    axis.set_xticks(range(len(order)), order)
    axis.set_yticks(range(len(rows)), [shorten(name, 26) for name in rows])
    return figure
