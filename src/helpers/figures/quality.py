"""Figures of quality control."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from helpers import names
from helpers.figures import marks, style
from helpers.figures.text import placeholder, shorten

_TITLES = {
    names.N_GENES: "genes per cell",
    names.N_COUNTS: "counts per cell",
    names.PERCENT_MITO: "mitochondrial (%)",
    names.PERCENT_RIBO: "ribosomal (%)",
    names.DOUBLET_SCORE: "doublet score",
}


def draw_spread(obs: pl.DataFrame, *, by: str, order: Sequence[str] | None = None) -> Figure:
    """Draw median, quartiles and the 5th to 95th percentile of each quality column per group.

    Parameters
    ----------
    obs
        One row a cell.
    by
        Column of groups.
    order
        Groups from top to bottom; by name if none.
    """
    columns = [name for name in _TITLES if name in obs.columns and obs[name].null_count() < obs.height]
    if by not in obs.columns or obs[by].null_count() == obs.height or not columns:
        return placeholder(f"This source has no {by} or no quality columns")
    groups = list(order) if order is not None else sorted(obs[by].cast(pl.String).drop_nulls().unique())
    place = np.arange(len(groups))[::-1]
    figure, axes = style.new(
        width=7.2, height=0.24 * len(groups) + 1.2, columns=len(columns), sharey=True, squeeze=False
    )
    table = obs.with_columns(pl.col(by).cast(pl.String))
    for axis, column in zip(axes.flat, columns, strict=True):
        marks = [
            np.nanpercentile(values, [5, 25, 50, 75, 95]) if len(values) else np.full(5, np.nan)
            for values in (
                table.filter(pl.col(by) == group)[column].drop_nulls().to_numpy() for group in groups
            )
        ]
        low, first, middle, third, high = np.array(marks).T
        axis.hlines(place, low, high, color="0.6", linewidth=1)
        axis.hlines(place, first, third, color=style.CYCLE[0], linewidth=4)
        axis.plot(middle, place, "|", color="black", markersize=9, markeredgewidth=1.6)
        if column in (names.N_COUNTS, names.N_GENES):
            axis.set_xscale("log")
        axis.set_title(_TITLES[column], fontsize=9)
        axis.tick_params(axis="x", labelsize=8)
    axes.flat[0].set_yticks(place, [shorten(group, 16) for group in groups])
    return figure


def draw_removed(table: pl.DataFrame, *, top: int = 17) -> Figure:
    """Draw, per group, the share of cells that any threshold would remove.

    Parameters
    ----------
    table
        What `analysis.quality.removed` returns for groups.
    top
        Groups shown, those that lose the largest share first.
    """
    shown = (
        table.filter(pl.col("rule") == "any of these")
        .sort("share_removed", "group", descending=[True, False])
        .head(top)
    )
    if shown.is_empty():
        return placeholder("Nothing to count: the groups or the quality columns are missing")
    place = np.arange(shown.height)[::-1]
    figure, axis = style.new(width=6.4, height=0.25 * shown.height + 1.1)
    marks.bar_shares(axis, place, shown["share_removed"], shown["removed"])
    axis.set_yticks(place, [shorten(group) for group in shown["group"]])
    axis.set_xlabel("cells removed (%; number beside the bar)")
    axis.set_xlim(0, max(1.0, 115 * float(shown["share_removed"].max())))
    return figure


def draw_sex(table: pl.DataFrame) -> Figure:
    """Draw, per donor, the share of cells with a Y gene against the share with XIST, marked by the label.

    Parameters
    ----------
    table
        What `analysis.sexes.check` returns.
    """
    if table.is_empty():
        return placeholder("No donors, or no sex genes, in this source")
    figure, axis = style.new(width=4.6, height=3.8)
    for sex, marker, face in ((names.FEMALE, "o", "white"), (names.MALE, "s", "0.3")):
        here = table.filter(pl.col(names.SEX) == sex)
        axis.scatter(
            100 * here["share_xist"].to_numpy(),
            100 * here["share_y"].to_numpy(),
            marker=marker,
            facecolor=face,
            edgecolor="black",
            s=46,
            label=f"labeled {sex}",
            zorder=3,
        )
    for row in table.filter(~pl.col("agrees")).iter_rows(named=True):
        axis.annotate(shorten(row[names.DONOR]), (100 * row["share_xist"], 100 * row["share_y"]))
    limit = 100 * max(float(table["share_xist"].max()), float(table["share_y"].max())) * 1.1 + 1
    axis.plot([0, limit], [0, limit], linestyle=":", color="0.5", linewidth=1)
    axis.set(xlim=(-limit * 0.03, limit), ylim=(-limit * 0.03, limit))
    axis.set_xlabel("cells with XIST (%)")
    axis.set_ylabel("cells with a Y gene (%)")
    axis.legend()
    return figure


def draw_design(groups: pl.DataFrame) -> Figure:
    """Draw the number of donors per assay, age bin and sex; an empty cell is an effect nobody can estimate.

    Parameters
    ----------
    groups
        What `analysis.donors.by_group` returns.
    """
    if groups.is_empty():
        return placeholder("No donors with age and sex in this source")
    figure, axes = style.new(width=6.4, height=2.6, rows=1, columns=2, sharey=True)
    for axis, assay in zip(axes, (names.CELLS, names.NUCLEI), strict=True):
        grid = np.zeros((2, 2), dtype=int)
        for row in groups.filter(pl.col(names.ASSAY) == assay).iter_rows(named=True):
            if row[names.AGE_BIN] in (names.YOUNG, names.OLD) and row[names.SEX] in (
                names.FEMALE,
                names.MALE,
            ):
                grid[int(row[names.SEX] == names.MALE), int(row[names.AGE_BIN] == names.OLD)] = row["donors"]
        axis.imshow(grid, cmap="Greys", vmin=0, vmax=max(grid.max() * 1.6, 1), aspect="auto")
        for (at_row, at_column), count in np.ndenumerate(grid):
            axis.text(
                at_column,
                at_row,
                str(count) if count else "none",
                ha="center",
                va="center",
                fontsize=12,
                fontweight="bold" if not count else "normal",
                color="#b30000" if not count else "black",
            )
        axis.set_xticks([0, 1], [names.YOUNG, names.OLD])
        axis.set_title(f"{assay} (donors)")
    axes[0].set_yticks([0, 1], ["women", "men"])
    return figure
