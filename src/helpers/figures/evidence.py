"""Figures that put a test on trial: its null, its power, what was planted, and who carries its calls."""

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from helpers.figures import style
from helpers.figures.text import placeholder, shorten

_TESTS = {"donors": ("donors", style.BLUE, "-"), "cells": ("cells", style.ORANGE, "--")}


def draw_null(
    p_donors: np.ndarray, p_cells: np.ndarray | None, summary: pl.DataFrame, *, alpha: float = 0.05
) -> Figure:
    """Draw p-values under permuted ages, and the false-positive rate of each permutation.

    Parameters
    ----------
    p_donors, p_cells
        Permutations x genes; the second may be none.
    summary
        Table `NULL`.
    alpha
        Level at which a false positive is counted.
    """
    if p_donors.size == 0:
        return placeholder("No permutation of ages is possible")
    figure, (left, right) = style.new(width=7, height=3.4, columns=2, width_ratios=(3, 2))
    found = {"donors": p_donors} | ({"cells": p_cells} if p_cells is not None else {})
    edges = np.linspace(0, 1, 21)
    for test, values in found.items():
        label, color, line = _TESTS[test]
        density = np.histogram(values, bins=edges)[0] / values.size * (len(edges) - 1)
        left.stairs(density, edges, color=color, linestyle=line, linewidth=2, label=f"{label} as replicates")
    left.axhline(1, color="black", linewidth=0.8, linestyle=":", label="a valid test")
    left.set_xlabel("p-value under permuted ages")
    left.set_ylabel("density")
    left.legend()
    jitter = np.random.default_rng(0)
    for place, test in enumerate(found):
        rates = summary.filter(pl.col("test") == test)["false_positive_rate"].to_numpy() * 100
        across = place + jitter.uniform(-0.18, 0.18, len(rates))
        right.scatter(
            across, rates, s=14, color=_TESTS[test][1], edgecolors="black", linewidths=0.3, rasterized=True
        )
        right.hlines(rates.mean(), place - 0.3, place + 0.3, color="black", linewidth=2)
    right.axhline(100 * alpha, color="black", linewidth=0.8, linestyle=":")
    right.set_xticks(range(len(found)), list(found))
    right.set_xlim(-0.6, len(found) - 0.4)
    right.set_ylim(bottom=0)
    right.set_ylabel(f"genes with p < {alpha:g} (%)")
    return figure


def draw_planted(scored: pl.DataFrame) -> Figure:
    """Draw found against planted change of every planted gene, with intervals.

    Parameters
    ----------
    scored
        From `scoring.score_changes`.
    """
    shown = scored.filter(
        ~pl.col("is_null") & pl.col("planted").is_not_null() & pl.col("planted").is_not_nan()
    )
    if shown.is_empty():
        return placeholder("Nothing was planted here")
    figure, axis = style.new(height=4.2)
    for called, color, marker, label in ((False, "0.6", "o", "missed"), (True, style.BLUE, "D", "called")):
        mine = shown.filter(pl.col("called") == called)
        x, y = mine["planted"].to_numpy(), mine["log2_change"].to_numpy()
        reach = np.abs(np.stack([y - mine["low"].to_numpy(), mine["high"].to_numpy() - y]))
        axis.errorbar(x, y, yerr=reach, fmt="none", ecolor=color, alpha=0.35, linewidth=0.8, rasterized=True)
        axis.scatter(
            x,
            y,
            color=color,
            marker=marker,
            s=14,
            edgecolors="black",
            linewidths=0.3,
            zorder=3,
            label=label,
            rasterized=True,
        )
    limit = 1.15 * float(shown["planted"].abs().max())
    axis.plot([-limit, limit], [-limit, limit], color="black", linewidth=0.8, label="found as planted")
    # a few genes of low expression have intervals far wider than any change
    top = 1.3 * max(limit, float(shown["log2_change"].abs().quantile(0.99)))
    axis.set_ylim(-top, top)
    axis.set_xlabel("planted log2 fold change")
    axis.set_ylabel("found, with 95 % interval")
    axis.legend(loc="upper left")
    return figure


def draw_power(power: pl.DataFrame, *, per: str) -> Figure:
    """Draw power and interval coverage by the size of the planted change.

    Parameters
    ----------
    power
        From `scoring.find_power`.
    per
        What the change is per.
    """
    if power.is_empty():
        return placeholder("Nothing was planted here")
    figure, axis = style.new(height=3.2)
    x = power["planted"].to_numpy()
    axis.plot(
        x, 100 * power["power"].to_numpy(), "D-", color=style.BLUE, label="called at the rate asked for"
    )
    axis.plot(
        x,
        100 * power["expected"].to_numpy(),
        "o--",
        color=style.ORANGE,
        label="expected at p < 0.05, one gene",
    )
    axis.plot(
        x,
        100 * power["coverage"].to_numpy(),
        "s:",
        color=style.GREEN,
        label="interval covers the planted change",
    )
    for at, low, count in zip(x, 100 * power["power"].to_numpy(), power["genes"], strict=True):
        axis.annotate(f"{count:,}", (at, low), xytext=(0, -12), textcoords="offset points", ha="center")
    axis.axhline(95, color="black", linewidth=0.6, linestyle=":")
    axis.set_ylim(-12, 105)
    unit = per if per.startswith("old") else f"per {per}"
    axis.set_xlabel(f"mean planted log2 change, {unit} (genes in the band under the point)")
    axis.set_ylabel("percent of genes")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def draw_stability(table: pl.DataFrame, stability: pl.DataFrame, *, top: int = 15) -> Figure:
    """Draw the leading calls with their intervals and the change left when the most influential donor is out.

    Parameters
    ----------
    table
        Table `AGE_DE`.
    stability
        Table `STABILITY`.
    top
        Calls drawn.
    """
    shown = stability.head(top).join(table.select("gene", "low", "high"), on="gene", maintain_order="left")
    if shown.is_empty():
        return placeholder("No gene is called, so none can lose its call")
    place = np.arange(shown.height)[::-1]
    figure, axis = style.new(height=0.26 * shown.height + 1.3)
    axis.hlines(place, shown["low"], shown["high"], color="0.6", linewidth=3)
    axis.plot(
        shown["log2_change"],
        place,
        "D",
        color=style.BLUE,
        markeredgecolor="black",
        label="all donors, 95 % interval",
    )
    axis.plot(
        shown["smallest_change"].cast(pl.Float64),
        place,
        "|",
        color="black",
        markersize=11,
        markeredgewidth=2,
        label="without the most influential donor",
    )
    names = [f"{shorten(row['gene'], 14)} {'' if row['stable'] else '○'}" for row in shown.to_dicts()]
    axis.set_yticks(place, names)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_xlabel("log2 fold change (○ p above 0.05 without some donor)")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure
