"""Figures on cell sentences: tie orders, overlap, decoding, words and age, the plain reader."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from helpers.figures import style
from helpers.figures.text import placeholder, shorten

_LINES = (
    (style.BLUE, "o", "-"),
    (style.VERMILION, "s", "--"),
    (style.GREEN, "^", ":"),
    (style.PURPLE, "D", "-."),
)
NO_AGES = "Fewer than four donors of known age: words cannot be compared over age"


def draw_orders(orders: pl.DataFrame) -> Figure:
    """Draw how much two tie orders agree on the first words of the same cells.

    Parameters
    ----------
    orders
        From `words.compare_orders`.
    """
    shown = orders.drop_nulls()
    if shown.is_empty():
        return placeholder("No cell has an expressed gene")
    figure, axis = style.new(height=3.0)
    named = (("shared", "words in both"), ("same_place", "words at the same place"))
    for (column, label), (color, marker, line) in zip(named, _LINES, strict=False):
        axis.plot(
            shown["words"], 100 * shown[column], color=color, marker=marker, linestyle=line, label=label
        )
    _first_words(axis, shown["words"])
    axis.set_ylim(0, 103)
    axis.set_ylabel("agreement of two tie orders (%)")
    axis.legend(loc="lower left")
    return figure


def draw_overlap(tables: Mapping[str, pl.DataFrame]) -> Figure:
    """Draw the share of first words that two cells have in common, one panel a kind of sentence.

    Parameters
    ----------
    tables
        Title to table from `words.overlap`.
    """
    shown = {title: table for title, table in tables.items() if not table.is_empty()}
    if not shown:
        return placeholder("No cell types in this source: pairs of cells cannot be told apart")
    figure, axes = style.new(width=7, height=3.2, columns=len(shown), sharey=True, squeeze=False)
    for axis, (title, table) in zip(axes[0], shown.items(), strict=True):
        for kind, (color, marker, line) in zip(
            table["pairs"].unique(maintain_order=True), _LINES, strict=False
        ):
            part = table.filter(pl.col("pairs") == kind)
            axis.plot(
                part["words"], 100 * part["shared"], color=color, marker=marker, linestyle=line, label=kind
            )
        _first_words(axis, table["words"].unique().sort())
        axis.set_title(title)
    axes[0][0].set_ylabel("words in common (%)")
    axes[0][0].set_ylim(0, None)
    axes[0][0].legend(loc="best")
    return figure


def draw_quality(
    quality: pl.DataFrame, survival: pl.DataFrame, *, most: int = 20, min_cells: int = 10
) -> Figure:
    """Draw how well the rank gives expression back, by cell type, and what the first words of a cell keep.

    Parameters
    ----------
    quality, survival
        From `fitting.measure`.
    most, min_cells
        Types shown; cells that a shown type has.
    """
    types = quality.filter(pl.col("n_cells") >= min_cells).head(most)
    if types.is_empty():
        return placeholder("Too few cells to fit expression to rank")
    figure, (left, right) = style.new(
        width=7, height=max(3.0, 0.24 * types.height + 1.0), columns=2, width_ratios=(3, 2)
    )
    place = np.arange(types.height)[::-1]
    for (column, label), (color, marker, _) in zip(
        (("r2", "R²"), ("spearman", "Spearman")), _LINES, strict=False
    ):
        left.plot(types[column], place, marker, color=color, label=label)
    left.set_yticks(
        place, [f"{shorten(name)} ({n:,})" for name, n in types.select("label", "n_cells").iter_rows()]
    )
    left.set_xlim(min(0.5, float(types["r2"].min()) - 0.05), 1.02)
    left.set_xlabel("on held-out cells")
    left.grid(axis="x", color="0.9")
    left.legend(loc="lower left")
    named = (("genes", "expressed genes"), ("expression", "summed expression"), ("r2", "R²"))
    for (column, label), (color, marker, line) in zip(named, _LINES, strict=False):
        part = survival.filter(pl.col(column) >= 0)  # R² of very short sentences is far below zero
        right.plot(part["words"], part[column], color=color, marker=marker, linestyle=line, label=label)
    _first_words(right, survival["words"])
    right.set_ylabel("share kept")
    right.set_ylim(0, 1.35)
    right.set_yticks([0, 0.25, 0.5, 0.75, 1.0])
    right.legend(loc="upper left")
    return figure


def draw_changes(changes: pl.DataFrame, *, title: str, q: float, most: int = 24) -> Figure:
    """Draw the words that enter or leave with age most clearly, with 95 % intervals.

    Parameters
    ----------
    changes
        From `turnover.changes`.
    title
        The cells.
    q
        Words below it are filled.
    most
        Words shown.
    """
    if changes.is_empty():
        return placeholder(NO_AGES)
    shown = changes.sort("p").head(most).sort("change_per_decade")
    place = np.arange(shown.height)
    figure, axis = style.new(height=0.21 * shown.height + 1.1)
    axis.hlines(place, 100 * shown["lower"], 100 * shown["upper"], color="0.4")
    called = (shown["q"] < q).to_numpy()
    up = (shown["change_per_decade"] > 0).to_numpy()
    values = 100 * shown["change_per_decade"].to_numpy()
    for rises, color, marker in ((True, style.VERMILION, "^"), (False, style.BLUE, "v")):
        for filled in (True, False):
            at = (up == rises) & (called == filled)
            axis.plot(
                values[at], place[at], marker, color=color if filled else "white", markeredgecolor=color
            )
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(place, [shorten(word) for word in shown["word"]])
    axis.set_xlabel("change per decade in the share of a donor's cells (percentage points)")
    axis.set_title(shorten(title, 60))
    return figure


def draw_null(permuted: np.ndarray, observed: int) -> Figure:
    """Draw how many words are called when ages are dealt anew to the donors, and how many with the true ages.

    Parameters
    ----------
    permuted
        From `turnover.permute`.
    observed
        Words with true ages, counted alike.
    """
    if not len(permuted):
        return placeholder(NO_AGES)
    figure, axis = style.new(height=2.6)
    edges = np.arange(-0.5, max(int(permuted.max()), observed) + 1.5, max(1, int(permuted.max()) // 25))
    axis.hist(permuted, bins=edges, color=style.LIGHT, edgecolor="black", label="ages dealt anew")
    axis.axvline(observed, color=style.VERMILION, linewidth=2.5, label="true ages")
    axis.set_xlabel("words with p < 0.001")
    axis.set_ylabel("deals")
    axis.legend()
    return figure


def draw_reader(scores: pl.DataFrame, predicted: pl.DataFrame, permuted: np.ndarray) -> Figure:
    """Draw the plain reader's error of age, whole donors held out beside the leaking split, and its predictions.

    Parameters
    ----------
    scores, predicted, permuted
        From `baseline.read`.
    """
    errors = scores.filter(pl.col("task") == "age")
    if errors.is_empty():
        return placeholder("No ages by donor in this source: nothing to predict")
    figure, (left, right) = style.new(width=7, height=3.4, columns=2)
    place = np.arange(errors.height)[::-1]
    if len(permuted):
        low, high = np.quantile(permuted, [0.025, 0.975])
        left.axvspan(low, high, color=style.LIGHT, label="ages dealt anew")
    left.axvline(errors["guessing"][0], color="black", linestyle=":", label="mean of the others")
    for at, row, (color, marker, _) in zip(place, errors.iter_rows(named=True), _LINES, strict=False):
        left.hlines(at, row["lower"], row["upper"], color=color, linewidth=2)
        left.plot(row["value"], at, marker, color=color, markersize=8)
    left.set_yticks(
        place, [split.replace(" held", "\nheld").replace(" split", "\nsplit") for split in errors["split"]]
    )
    left.set_ylim(-0.6, errors.height - 0.1)
    left.set_xlim(0, None)
    left.set_xlabel("error of a donor's age (years)")
    left.legend(loc="upper left", fontsize=style.POINTS)
    span = [predicted["age"].min() - 5, predicted["age"].max() + 5]
    right.plot(span, span, color="0.5", linestyle=":")
    for split, (color, marker, _) in zip(errors["split"], _LINES, strict=False):
        part = predicted.filter(pl.col("split") == split)
        right.plot(part["age"], part["predicted"], marker, color=color, markerfacecolor="none")
    right.set_xlabel("age of the donor (years)")
    right.set_ylabel("predicted (years)")
    return figure


def _first_words(axis, lengths: pl.Series) -> None:
    axis.set_xscale("log")
    ticks = [n for n in lengths if str(n).strip("0") == "1"]
    axis.set_xticks(ticks, [f"{n:,}" for n in ticks])
    axis.minorticks_off()
    axis.set_xlabel("first words")
