"""Figures of what a composition cannot say: one donor, few donors, figures read off a page."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from helpers import names
from helpers.figures import style
from helpers.figures.composition import METHOD_LOOK
from helpers.figures.text import placeholder, shorten


def draw_dominance(dominance: pl.DataFrame, *, shown: int = 16) -> Figure:
    """Draw the part of each type that its largest donor holds, largest part on top."""
    if dominance.is_empty():
        return placeholder("Nothing to draw: this source has no donors")
    top = dominance.sort("largest_part", "type", descending=[True, False]).head(shown).reverse()
    figure, axis = style.new(width=6.5, height=0.27 * top.height + 0.9)
    y = np.arange(top.height)
    for assay in sorted(top["assay"].unique()):
        own = (top["assay"] == assay).to_numpy()
        hatch = "" if assay == names.CELLS else "///"
        color = style.ASSAY_COLOR.get(assay, style.GRAY)
        axis.barh(
            y[own],
            top["largest_part"].to_numpy()[own],
            color=color,
            hatch=hatch,
            edgecolor="white",
            label=assay,
        )
    for i, (donor, part, total) in enumerate(
        top.select("largest_donor", "largest_part", "total").iter_rows()
    ):
        axis.text(part + 0.01, i, f"{shorten(donor, 10)} ({total:,})", va="center")
    axis.set_yticks(y, [shorten(kind, 22) for kind in top["type"]])
    axis.set_xlim(0, 1.3)
    axis.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axis.set_xlabel("part of the type that one donor holds (barcodes of the type)")
    axis.legend(loc="lower right")
    return figure


def draw_power(power: pl.DataFrame, published: pl.DataFrame, *, limit: float = 1.6) -> Figure:
    """Draw the smallest change that the donors would show in four of five studies, beside published slopes.

    Parameters
    ----------
    power
        ``assay``, ``type``, ``detectable``, ``detectable_with_twice`` (log2 per decade).
    published
        ``assay``, ``type``, ``published_per_decade``.
    limit
        Where the axis ends; larger values are drawn there.
    """
    if power.is_empty():
        return placeholder("Nothing to draw: no type could be tested")
    assays = sorted(power["assay"].unique())
    tallest = max(power.filter(pl.col("assay") == a).height for a in assays)
    figure, axes = style.new(width=7.2, height=0.24 * tallest + 1.3, columns=len(assays), squeeze=False)
    for axis, assay in zip(axes.flat, assays, strict=True):
        part = power.filter(pl.col("assay") == assay).join(published, on=["assay", "type"], how="left")
        part = part.sort("detectable", descending=True)
        y = np.arange(part.height)
        now, twice = (part[c].clip(0, limit).to_numpy() for c in ("detectable", "detectable_with_twice"))
        axis.hlines(y, twice, now, color=style.GRAY, linewidth=2)
        axis.plot(now, y, "o", color=style.BLUE, label="detectable with these donors")
        axis.plot(
            twice, y, "|", color=style.BLUE, markersize=9, markeredgewidth=2, label="with twice as many"
        )
        axis.plot(
            part["published_per_decade"].abs().clip(0, limit).to_numpy(),
            y,
            "X",
            color=style.VERMILION,
            label="published, size",
        )
        axis.set_yticks(y, [shorten(kind, 16) for kind in part["type"]])
        axis.set_xlim(0, limit)
        axis.set_xlabel("log2 per decade of age")
        axis.set_title(assay)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def draw_fractions(fractions: pl.DataFrame, *, types: Sequence[tuple[str, str]]) -> Figure:
    """Draw published fractions of young and old library groups, one panel per type.

    Parameters
    ----------
    fractions
        ``batch``, ``annotation_level0``, ``Age_bin``, ``fraction``, ``reading``.
    types
        Assay and type of each panel.
    """
    columns = min(4, len(types))
    rows = -(-len(types) // columns)
    figure, axes = style.new(width=7.2, height=2.0 * rows + 0.4, rows=rows, columns=columns, squeeze=False)
    for axis, (assay, kind) in zip(axes.flat, types, strict=False):
        part = fractions.filter((pl.col(names.ASSAY) == assay) & (pl.col(names.LEVEL0) == kind))
        for x, group in enumerate((names.YOUNG, names.OLD)):
            values = part.filter(pl.col(names.AGE_BIN) == group).sort("fraction")
            spread = x + (np.arange(values.height) % 3 - 1) * 0.12
            axis.plot(
                spread,
                values["fraction"].to_numpy(),
                style.GROUP_MARKER[group],
                color=style.GROUP_COLOR[group],
            )
            if values.height:
                middle = float(values["fraction"].median())
                axis.hlines(middle, x - 0.3, x + 0.3, color="black", linewidth=1.4)
        axis.set_xticks([0, 1], ["young", "old"])
        axis.set_xlim(-0.5, 1.5)
        axis.set_ylim(bottom=0)
        axis.set_title(f"{shorten(kind, 12)} ({assay})", fontsize=9, fontweight="normal")
    for axis in axes.flat[len(types) :]:
        axis.set_axis_off()
    figure.supylabel("fraction of the library group")
    return figure


def draw_without(both: pl.DataFrame, *, donor: str, types: Sequence[str], assay: str) -> Figure:
    """Draw effects of all donors beside those without one donor.

    Parameters
    ----------
    both
        ``assay``, ``type``, effect and interval, and the same with ``_without``.
    donor
        Who is left out.
    types
        Which types.
    assay
        Which assay.
    """
    part = both.filter(
        (pl.col("assay") == assay) & pl.col("type").is_in(list(types)) & pl.col("log2_change").is_not_null()
    )
    if part.is_empty():
        return placeholder(f"Nothing to draw: none of these types could be tested in {assay}")
    part = part.sort("log2_change")
    figure, axis = style.new(width=6.5, height=0.42 * part.height + 1.3)
    y = np.arange(part.height)
    for shift, suffix, color, marker, label in (
        (0.15, "", style.BLUE, "o", "all donors"),
        (-0.15, "_without", style.ORANGE, "s", f"without {shorten(donor, 12)}"),
    ):
        low, high, effect = (part[f"{c}{suffix}"].to_numpy() for c in ("low", "high", "log2_change"))
        axis.hlines(y + shift, low, high, color=color)
        axis.plot(effect, y + shift, marker, color=color, label=label)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(y, [shorten(kind, 18) for kind in part["type"]])
    axis.set_xlabel("change of the share, log2 per decade of age")
    axis.legend(loc="lower right")
    return figure


def draw_null(null: pl.DataFrame) -> Figure:
    """Draw the p-values of shuffled ages for every test: flat where a test keeps its promise."""
    if null.is_empty():
        return placeholder("Nothing to draw: no test was repeated on shuffled ages")
    methods = null["method"].unique(maintain_order=True).to_list()
    figure, axes = style.new(width=7.2, height=2.3, columns=len(methods), sharey=True, squeeze=False)
    for axis, method in zip(axes.flat, methods, strict=True):
        p = null.filter(pl.col("method") == method)["p"].to_numpy()
        color = METHOD_LOOK.get(method, (style.BLACK, "o"))[0]
        axis.hist(
            p,
            bins=20,
            range=(0, 1),
            weights=np.full(len(p), 1 / len(p)),
            color=color,
            edgecolor="white",
            linewidth=0.3,
        )
        axis.axhline(0.05, color="black", linestyle="--", linewidth=1)
        axis.set_title(method)
        axis.set_xlabel("p")
        axis.set_xticks([0, 0.5, 1])
    axes.flat[0].set_ylabel("share of tests")
    return figure
