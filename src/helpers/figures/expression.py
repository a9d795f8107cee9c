"""Figures of genes that change with age: two lists, volcano, MA, all types at a glance."""

from collections.abc import Callable

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers import names
from helpers.figures import style
from helpers.figures.text import placeholder, shorten

_SEX_CHROMOSOMES = ("X", "Y")
_FLOOR = 1e-300  # smallest p-value drawn


def draw_lists(
    naive: pl.DataFrame, donors: pl.DataFrame, *, chromosomes: pl.DataFrame, top: int = 12
) -> Figure:
    """Draw the leading genes of the test over cells beside those of the test over donors.

    Parameters
    ----------
    naive, donors
        Tables `CELL_LEVEL` and `AGE_DE`, smallest p first.
    chromosomes
        gene, chromosome: genes of X and Y are hatched.
    top
        Genes of each list.
    """
    if naive.is_empty() or donors.is_empty():
        return placeholder("One of the two lists is empty")
    sexed = set(chromosomes.filter(pl.col("chromosome").is_in(_SEX_CHROMOSOMES))["gene"])
    figure, axes = style.new(width=7, height=0.24 * top + 1.3, columns=2)
    titles = ("cells as replicates", "donors as replicates")
    for axis, table, title, color in zip(
        axes, (naive, donors), titles, (style.ORANGE, style.BLUE), strict=True
    ):
        shown = table.head(top)
        place = np.arange(shown.height)[::-1]
        height = -np.log10(np.maximum(shown["p"].to_numpy(), _FLOOR))
        hatch = ["////" if gene in sexed else "" for gene in shown["gene"]]
        axis.barh(place, height, color=color, edgecolor="black", linewidth=0.6, hatch=hatch)
        arrows = ["↑" if change > 0 else "↓" for change in shown["log2_change"]]
        labels = [f"{shorten(gene, 14)} {arrow}" for gene, arrow in zip(shown["gene"], arrows, strict=True)]
        axis.set_yticks(place, labels)
        axis.set_xlabel("−log10 p")
        axis.set_title(title)
    axes[0].barh([0], [0], color="white", edgecolor="black", hatch="////", label="on X or Y")
    axes[0].legend(loc="lower right", facecolor="white", frameon=True, framealpha=1)
    return figure


def draw_volcano(table: pl.DataFrame, *, fdr: float, label: int = 10) -> Figure:
    """Draw p-value against change, calls filled and the leading ones named.

    Parameters
    ----------
    table
        Table `AGE_DE` of one test.
    fdr
        q-value below which a gene is called.
    label
        Calls named.
    """
    if table.is_empty():
        return placeholder("No gene was tested")
    figure, axis = style.new(height=4)
    _scatter_calls(
        axis, table, x="log2_change", y=-np.log10(np.maximum(table["p"].to_numpy(), _FLOOR)), fdr=fdr
    )
    _name_points(
        axis,
        table.head(label).filter(pl.col("q") < fdr),
        x="log2_change",
        y=lambda t: -np.log10(np.maximum(t["p"].to_numpy(), _FLOOR)),
    )
    axis.set_xlabel(f"log2 fold change, {_per(table)}")
    axis.set_ylabel("−log10 p")
    axis.axvline(0, color="0.6", linewidth=0.8)
    axis.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.12))
    return figure


def draw_ma(table: pl.DataFrame, *, fdr: float, label: int = 10) -> Figure:
    """Draw change against mean expression.

    Parameters
    ----------
    table, fdr, label
        As in `draw_volcano`.
    """
    if table.is_empty():
        return placeholder("No gene was tested")
    figure, axis = style.new(height=3.8)
    _scatter_calls(axis, table, x="mean_log2_cpm", y=table["log2_change"].to_numpy(), fdr=fdr)
    _name_points(
        axis,
        table.head(label).filter(pl.col("q") < fdr),
        x="mean_log2_cpm",
        y=lambda t: t["log2_change"].to_numpy(),
    )
    axis.axhline(0, color="0.6", linewidth=0.8)
    axis.set_xlabel("mean expression, log2 counts per million")
    axis.set_ylabel(f"log2 fold change, {_per(table)}")
    axis.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.12))
    return figure


def draw_overview(table: pl.DataFrame, refusals: pl.DataFrame, *, fdr: float) -> Figure:
    """Draw the calls of every cell type in both assays; types that cannot be tested are marked.

    Parameters
    ----------
    table
        Table `AGE_DE` of all tests.
    refusals
        Table `REFUSALS`.
    fdr
        q-value below which a gene is called.
    """
    calls = table.group_by("cell_type", "assay").agg(up=_count(fdr, up=True), down=_count(fdr, up=False))
    if calls.is_empty():
        return placeholder("No cell type has enough donors for a test")
    order = (
        calls.group_by("cell_type")
        .agg((pl.col("up") + pl.col("down")).sum().alias("n"))
        .sort("n", "cell_type")
    )
    types = order["cell_type"].to_list()
    figure, axes = style.new(width=6.8, height=0.24 * len(types) + 1.5, columns=2, sharey=True, sharex=True)
    for axis, assay in zip(axes, (names.CELLS, names.NUCLEI), strict=True):
        mine = {row["cell_type"]: row for row in calls.filter(pl.col("assay") == assay).to_dicts()}
        up = np.array([mine.get(name, {"up": 0})["up"] for name in types])
        down = np.array([mine.get(name, {"down": 0})["down"] for name in types])
        place = np.arange(len(types))
        axis.barh(place, up, color=style.VERMILION, edgecolor="black", linewidth=0.6, label="rise with age")
        axis.barh(
            place,
            -down,
            color=style.SKY,
            edgecolor="black",
            linewidth=0.6,
            hatch="///",
            label="fall with age",
        )
        for at, name in enumerate(types):
            if name not in mine:
                axis.text(0, at, " not testable", va="center", color="0.35", fontsize=style.POINTS)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_title(assay)
        axis.set_xlabel("genes called")
        axis.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    axes[0].set_yticks(range(len(types)), [shorten(name, 20) for name in types])
    left = refusals.filter(~pl.col("cell_type").is_in(types))["cell_type"].n_unique()
    if left:
        figure.supxlabel(f"types that neither assay can test: {left}", fontsize=style.POINTS)
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def _count(fdr: float, *, up: bool) -> pl.Expr:
    direction = pl.col("log2_change") > 0 if up else pl.col("log2_change") < 0
    return ((pl.col("q") < fdr) & direction).sum().cast(pl.Int64)


def _scatter_calls(axis: Axes, table: pl.DataFrame, *, x: str, y: np.ndarray, fdr: float) -> None:
    called = (table["q"] < fdr).to_numpy()
    values = table[x].to_numpy()
    axis.scatter(values[~called], y[~called], s=5, color="0.7", rasterized=True, label="not called")
    axis.scatter(
        values[called],
        y[called],
        s=16,
        marker="D",
        color=style.VERMILION,
        edgecolors="black",
        linewidths=0.4,
        rasterized=True,
        label=f"q < {fdr:g}",
    )


def _name_points(axis: Axes, table: pl.DataFrame, *, x: str, y: Callable[[pl.DataFrame], np.ndarray]) -> None:
    for number, (gene, across, up) in enumerate(
        zip(table["gene"], table[x], y(table) if table.height else [], strict=True)
    ):
        # every second name below its point: neighbors are less often on top of each other
        side = 1 if number % 2 else -1
        axis.annotate(
            shorten(gene, 14),
            (across, up),
            xytext=(4, 5 * side),
            textcoords="offset points",
            fontsize=style.POINTS,
            va="center",
        )


def _per(table: pl.DataFrame) -> str:
    per = table["per"][0]
    return per if per.startswith("old") else f"per {per}"
