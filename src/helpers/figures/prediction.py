"""Figures of prediction: errors side by side, ages against predictions, types, tables of confusion."""

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from helpers.figures import marks, style
from helpers.figures.text import placeholder, shorten


def draw_errors(cards: pl.DataFrame, null: np.ndarray) -> Figure:
    """Draw the mean absolute error of each way of predicting age, with its interval, over the permuted-age null.

    Parameters
    ----------
    cards
        Rows of `analysis.age_cards.collect`, in the order to draw.
    null
        Errors under permuted ages, years; its central 95 % is shaded.
    """
    if cards.is_empty():
        return placeholder("Too few donors with ages to predict anything")
    place = np.arange(cards.height)[::-1]
    figure, axis = style.new(height=0.42 * cards.height + 1.3)
    if len(null):
        axis.axvspan(
            *np.quantile(null, [0.025, 0.975]), color=style.LIGHT, label="ages permuted (95 %)", zorder=0
        )
        axis.axvline(float(np.median(null)), color=style.GRAY, linestyle=":", zorder=1)
    for at, row in zip(place, cards.iter_rows(named=True), strict=True):
        color, marker = (style.BLACK, "o") if row["honest"] else (style.VERMILION, "X")
        axis.plot([row["mae_low"], row["mae_high"]], [at, at], color=color, linewidth=2)
        axis.plot(row["mae_years"], at, marker, color=color, markersize=8)
        text = f"{row['mae_years']:.1f}" + ("" if row["honest"] else "  leaks")
        axis.annotate(text, (row["mae_years"], at), xytext=(0, 7), textcoords="offset points", ha="center")
    axis.set_yticks(
        place, [shorten(f"{row['task']}, {row['split']}", 46) for row in cards.iter_rows(named=True)]
    )
    axis.set_xlim(left=0)
    axis.set_ylim(-0.6, cards.height - 0.3)
    axis.set_xlabel("mean absolute error (years; lower is better)")
    if len(null):
        axis.legend(loc="lower right")
    return figure


def draw_ages(predictions: pl.DataFrame) -> Figure:
    """Draw predicted against true age, one mark a donor; the diagonal is a perfect prediction."""
    if predictions.is_empty():
        return placeholder("Too few donors with ages to predict anything")
    figure, axis = style.new(width=4.6, height=4.2)
    age, guess = predictions["age"].to_numpy(), predictions["predicted"].to_numpy()
    low, high = min(age.min(), guess.min()) - 4, max(age.max(), guess.max()) + 4
    axis.plot([low, high], [low, high], linestyle=":", color=style.GRAY)
    axis.plot(
        age,
        predictions["baseline"].to_numpy(),
        "_",
        color=style.GRAY,
        markersize=10,
        label="mean of the others",
    )
    axis.plot(age, guess, "o", color=style.BLUE, markeredgecolor="black", label="predicted")
    for x, y, name in zip(age, guess, predictions["donor"], strict=True):
        axis.annotate(shorten(name, 10), (x, y), xytext=(4, 3), textcoords="offset points", fontsize=8)
    axis.set(
        xlim=(low, high), ylim=(low, high), xlabel="age (years)", ylabel="predicted without the donor (years)"
    )
    axis.legend(loc="upper left")
    return figure


def draw_types(scan: pl.DataFrame) -> Figure:
    """Draw how many years each type gains over the mean of the other donors; filled where the null is beaten."""
    if scan.is_empty():
        return placeholder("No cell type has enough donors")
    shown = scan.sort("gain_years", descending=True).head(24)
    place = np.arange(shown.height)[::-1]
    figure, axis = style.new(height=0.25 * shown.height + 1.2)
    axis.axvline(0, color=style.GRAY, linewidth=1)
    for at, row in zip(place, shown.iter_rows(named=True), strict=True):
        beaten = row["q"] < 0.05
        axis.plot([0, row["gain_years"]], [at, at], color=style.LIGHT, zorder=1)
        axis.plot(
            row["gain_years"],
            at,
            style.ASSAY_MARKER.get(row["assay"], "o"),
            markeredgecolor="black",
            color=style.ASSAY_COLOR.get(row["assay"], style.GRAY) if beaten else "white",
            zorder=2,
        )
    axis.set_yticks(
        place,
        [
            f"{shorten(row['type'], 18)} ({row['assay']}, {row['donors']})"
            for row in shown.iter_rows(named=True)
        ],
    )
    axis.set_xlabel("years better than the mean of the others (filled: q < 0.05)")
    return figure


def draw_cards(cards: pl.DataFrame) -> Figure:
    """Draw macro F1 and accuracy of each classification task and split, with intervals where the split is honest.

    Parameters
    ----------
    cards
        Rows of `analysis.kind_intervals.grade`.
    """
    if cards.is_empty():
        return placeholder("No labels to predict in this source")
    place = np.arange(cards.height)[::-1]
    figure, axis = style.new(height=0.46 * cards.height + 1.2)
    looks = (("accuracy", "o", "white", 0.14), ("macro_f1", "s", style.BLUE, -0.14))
    for column, marker, face, shift in looks:
        axis.hlines(
            place + shift,
            cards[f"{column}_low"].fill_null(np.nan).to_numpy(),
            cards[f"{column}_high"].fill_null(np.nan).to_numpy(),
            color="black" if face == "white" else face,
            linewidth=1.5,
            zorder=2,
        )
        axis.plot(
            cards[column].to_numpy(),
            place + shift,
            marker,
            color=face,
            markeredgecolor="black",
            zorder=3,
            label=column.replace("_f1", " F1"),
        )
    axis.set_yticks(
        place,
        [f"{shorten(row['task'], 44)}\n{shorten(row['split'], 44)}" for row in cards.iter_rows(named=True)],
    )
    axis.set_xlim(0, 1.03)
    axis.grid(axis="x", color="0.9")
    axis.set_xlabel("share right, and F1 averaged over classes")
    axis.legend(loc="lower left")
    return figure


def draw_recall(classes: pl.DataFrame) -> Figure:
    """Draw recall per class against the number of cells: rare classes pay first."""
    if classes.is_empty():
        return placeholder("No labels to predict in this source")
    figure, axis = style.new(height=3.9)
    axis.plot(
        classes["cells"].to_numpy(), classes["recall"].to_numpy(), "o", color="white", markeredgecolor="black"
    )
    for row in classes.sort("recall").head(8).iter_rows(named=True):
        axis.annotate(
            shorten(row["label"], 20),
            (row["cells"], row["recall"]),
            xytext=(5, -3),
            textcoords="offset points",
            fontsize=8,
        )
    axis.set_xscale("log")
    axis.set_ylim(-0.04, 1.04)
    axis.set(xlabel="cells of the class (logarithmic)", ylabel="recall, donors left out")
    return figure


def draw_disputes(table: pl.DataFrame) -> Figure:
    """Draw the share of each type's cells whose label the model disputes.

    Parameters
    ----------
    table
        Columns group, cells, disputed, share; the largest shares are drawn.
    """
    shown = table.sort("share", "group", descending=[True, False]).head(20)
    if shown.is_empty():
        return placeholder("No labels to cross-check in this source")
    place = np.arange(shown.height)[::-1]
    figure, axis = style.new(height=0.25 * shown.height + 1.1)
    marks.bar_shares(axis, place, shown["share"], shown["disputed"])
    axis.set_yticks(place, [shorten(group) for group in shown["group"]])
    axis.set_xlabel("cells whose label is disputed (%; number beside the bar)")
    return figure
