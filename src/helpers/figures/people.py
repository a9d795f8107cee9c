"""Figures in which every donor is seen: heatmap, strips, scores of gene sets."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from helpers.figures import marks, style
from helpers.figures.text import placeholder, shorten


def draw_heatmap(values: np.ndarray, *, genes: Sequence[str], donors: pl.DataFrame) -> Figure:
    """Draw the leading genes over donors, youngest left, each gene centered on its mean.

    Parameters
    ----------
    values
        Donors x genes, log2 counts per million.
    genes
        Names of the columns.
    donors
        donor, years, sex: rows in the order of `values`.
    """
    if not len(genes):
        return placeholder("No gene to show")
    order = np.argsort(donors["years"].to_numpy(), kind="stable")
    centered = (values - values.mean(axis=0))[order].T
    limit = max(float(np.quantile(np.abs(centered), 0.98)), 0.1)
    figure, axis = style.new(height=0.22 * len(genes) + 1.7)
    image = axis.imshow(
        centered, cmap=style.DIVERGING, vmin=-limit, vmax=limit, aspect="auto", interpolation="none"
    )
    people = donors.to_dicts()
    axis.set_xticks(
        range(len(order)),
        [f"{shorten(people[i]['donor'], 8)}\n{_years(people[i]['years'])} {people[i]['sex']}" for i in order],
        rotation=90,
    )
    axis.set_yticks(range(len(genes)), [shorten(gene, 16) for gene in genes])
    bar = figure.colorbar(image, ax=axis, shrink=0.7)
    bar.set_label("log2 over the gene's mean")
    return figure


def draw_donors(values: np.ndarray, *, genes: Sequence[str], donors: pl.DataFrame) -> Figure:
    """Draw each donor's expression against age, one panel a gene.

    Parameters
    ----------
    values, genes, donors
        As in `draw_heatmap`; the first six genes are drawn.
    """
    shown = list(genes)[:6]
    if not shown:
        return placeholder("No gene to show")
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = style.new(height=2.1 * rows + 0.5, rows=rows, columns=columns, squeeze=False)
    years = donors["years"].to_numpy()
    for number, axis in enumerate(axes.flat):
        axis.set_visible(number < len(shown))
        if number >= len(shown):
            continue
        for sex in sorted(donors["sex"].unique()):
            mine = (donors["sex"] == sex).to_numpy()
            marks.scatter_sex(axis, years[mine], values[mine, number], sex=sex)
        axis.set_title(shorten(shown[number], 18))
        axis.set_xlabel("age, years")
    for row in axes:
        row[0].set_ylabel("log2 CPM")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2)
    return figure


def draw_scores(scores: pl.DataFrame, changes: pl.DataFrame) -> Figure:
    """Draw each donor's score against age, one panel a gene set, and the change with its interval in the title.

    Parameters
    ----------
    scores, changes
        Tables `SCORES` and `SCORE_CHANGES`.
    """
    sets = changes["set"].to_list()[:4]
    if not sets:
        return placeholder("No set has enough expressed genes")
    columns = min(2, len(sets))
    rows = -(-len(sets) // columns)
    figure, axes = style.new(height=2.4 * rows + 0.3, rows=rows, columns=columns, squeeze=False)
    for number, axis in enumerate(axes.flat):
        axis.set_visible(number < len(sets))
        if number >= len(sets):
            continue
        mine = scores.filter(pl.col("set") == sets[number])
        change = changes.row(number, named=True)
        for sex in sorted(mine["sex"].drop_nulls().unique()):
            one = mine.filter(pl.col("sex") == sex)
            marks.scatter_sex(axis, one["age"], one["score"], sex=sex)
        axis.set_title(
            f"{shorten(sets[number], 24)}\n{change['change']:+.2f} ({change['low']:+.2f} to {change['high']:+.2f})"
        )
        axis.set_xlabel("age, years")
        axis.axhline(0, color="0.6", linewidth=0.8)
    for row in axes:
        row[0].set_ylabel("score, log2")
    axes[0][0].legend()
    return figure


def _years(value: float) -> str:
    return "age unknown" if value is None or np.isnan(value) else f"{value:.0f}"
