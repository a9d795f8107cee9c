"""Figures of composition: what tissue is made of, how it changes with age, and how sure that is."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers import names
from helpers.figures import style
from helpers.figures.text import placeholder, shorten

METHOD_LOOK: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "log-ratio": (style.BLUE, "o"),
        "quasi-binomial": (style.VERMILION, "s"),
        "permutation": (style.GREEN, "D"),
        "mixed": (style.PURPLE, "^"),
        "chi-square": (style.GRAY, "x"),
    }
)
_HATCHES = ("", "///", "...", "\\\\\\", "xx", "++", "oo", "--", "||", "**")
_NOTHING = "Nothing to draw: this source has no donors of known age"
_EFFECT = "change of the share, log2 {per}"


def draw_tissue(table: pl.DataFrame, *, shown: int = 9) -> Figure:
    """Draw the composition of every donor as stacked bars, donors ordered by age, one row of bars per assay.

    Parameters
    ----------
    table
        Composition with donors as units.
    shown
        Largest types that have a bar of their own; the rest is one bar.
    """
    if table.is_empty():
        return placeholder(_NOTHING)
    share = table.with_columns((pl.col("n") / pl.col("total")).alias("share"))
    order = (
        share.group_by("type")
        .agg(pl.col("share").sum())
        .sort("share", "type", descending=[True, False])["type"]
    )
    kept = order.head(shown).to_list()
    share = share.with_columns(
        pl.when(pl.col("type").is_in(kept)).then("type").otherwise(pl.lit("all others")).alias("type")
    )
    assays = sorted(share["assay"].unique())
    figure, axes = style.new(width=7.2, height=2.6 * len(assays) + 0.5, rows=len(assays), squeeze=False)
    kinds = [*kept, "all others"] if order.len() > shown else kept
    for axis, assay in zip(axes.flat, assays, strict=True):
        part = share.filter(pl.col("assay") == assay)
        donors = part.unique("unit").drop("share").sort("age", "unit")
        foot = np.zeros(donors.height)
        for i, kind in enumerate(kinds):
            own = part.filter(pl.col("type") == kind).group_by("unit").agg(pl.col("share").sum())
            height = donors.join(own, on="unit", how="left")["share"].fill_null(0).to_numpy()
            color = style.LIGHT if kind == "all others" else style.CYCLE[i % len(style.CYCLE)]
            axis.bar(
                np.arange(donors.height), height, bottom=foot, width=0.86, color=color, edgecolor="white",
                linewidth=0.4, hatch=_HATCHES[i % len(_HATCHES)], label=shorten(kind),
            )  # fmt: skip
            foot += height
        _label_donors(axis, donors)
        axis.set_ylim(0, 1)
        axis.set_ylabel("share of barcodes")
        axis.set_title(assay)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    return figure


def _label_donors(axis: Any, donors: pl.DataFrame) -> None:
    ticks = [f"{age:.0f}" + (f"\n{sex}" if sex else "") for age, sex in _ages(donors)]
    axis.set_xticks(np.arange(donors.height), ticks)
    axis.set_xlabel(
        "age of the donor (years), sex" if names.SEX in donors.columns else "age of the donor (years)"
    )


def _ages(donors: pl.DataFrame) -> list[tuple[float, str]]:
    sexes = donors[names.SEX].to_list() if names.SEX in donors.columns else [""] * donors.height
    return list(zip(donors["age"].fill_null(float("nan")).to_list(), sexes, strict=True))


def draw_effects(
    results: pl.DataFrame, *, methods: Sequence[str] | None = None, limit: float = 2.0
) -> Figure:
    """Draw the effect of every type with its interval, several tests side by side, one panel per assay.

    Parameters
    ----------
    results
        From the composition tests.
    methods
        Which of them, in this order.
    limit
        Effects and intervals are cut off here, on either side.
    """
    tested = results.filter(pl.col("log2_change").is_not_null())
    if tested.is_empty():
        return placeholder("Nothing to draw: no type could be tested")
    methods = list(methods or tested["method"].unique(maintain_order=True))
    assays = sorted(tested["assay"].unique())
    tallest = max(tested.filter(pl.col("assay") == a)["type"].n_unique() for a in assays)
    figure, axes = style.new(width=7.2, height=0.3 * tallest + 1.4, columns=len(assays), squeeze=False)
    for axis, assay in zip(axes.flat, assays, strict=True):
        part = tested.filter(pl.col("assay") == assay)
        order = (
            part.group_by("type").agg(pl.col("log2_change").median()).sort("log2_change")["type"].to_list()
        )
        for k, method in enumerate(methods):
            color, marker = METHOD_LOOK.get(method, (style.BLACK, "o"))
            own = part.filter(pl.col("method") == method)
            y = np.array([order.index(kind) for kind in own["type"]]) + (
                k - (len(methods) - 1) / 2
            ) * 0.8 / len(methods)
            x, low, high = (own[c].clip(-limit, limit).to_numpy() for c in ("log2_change", "low", "high"))
            axis.hlines(y, low, high, color=color, linewidth=1)
            axis.plot(x, y, marker, color=color, markersize=3.5, label=method)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_yticks(range(len(order)), [shorten(kind, 16) for kind in order])
        axis.set_xlim(-limit, limit)
        axis.set_xlabel(_EFFECT.format(per=_per(part)))
        axis.set_title(assay)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(methods), 4))
    return figure


def _per(results: pl.DataFrame) -> str:
    per = results["per"][0]
    return "per decade of age" if per == "decade" else str(per)


def draw_published(
    joined: pl.DataFrame, *, found: str = "found_per_sd", published: str = "published_per_sd"
) -> Figure:
    """Draw the found against the published slope of every type, with the found interval.

    Parameters
    ----------
    joined
        ``assay``, ``type``, the two slopes (log2 per standard deviation of age), ``low_per_sd`` and ``high_per_sd``.
    found, published
        Columns of the slopes.
    """
    both = joined.filter(pl.col(found).is_not_null() & pl.col(published).is_not_null())
    if both.is_empty():
        return placeholder("Nothing to draw: no tested type has a published slope")
    figure, axis = style.new(width=6.5, height=4.6)
    for assay, part in sorted(
        ((str(key[0]), part) for key, part in both.group_by("assay")), key=lambda pair: pair[0]
    ):
        color, marker = style.ASSAY_COLOR.get(assay, style.BLACK), style.ASSAY_MARKER.get(assay, "o")
        x, y = part[published].to_numpy(), part[found].to_numpy()
        axis.vlines(
            x,
            part["low_per_sd"].to_numpy(),
            part["high_per_sd"].to_numpy(),
            color=color,
            linewidth=0.7,
            alpha=0.5,
        )
        axis.plot(x, y, marker, color=color, label=assay)
        far = np.argsort(-np.abs(x))[:6]
        for i in far:
            axis.annotate(
                shorten(part["type"][int(i)], 14), (x[i], y[i]), textcoords="offset points", xytext=(5, 3)
            )
    low, high = float(both[published].min()) - 0.3, float(both[published].max()) + 0.3
    axis.plot([low, high], [low, high], "--", color="black", linewidth=0.8)
    axis.axhline(0, color="black", linewidth=0.6)
    axis.axvline(0, color="black", linewidth=0.6)
    spread = float(max(abs(both[found].min()), abs(both[found].max()))) + 0.5
    axis.set_ylim(-spread, spread)
    axis.set_xlabel("published slope, log2 per SD of age")
    axis.set_ylabel("found here, log2 per SD of age")
    axis.legend(loc="upper left")
    return figure


def draw_frames(table: pl.DataFrame, *, truth: Mapping[str, float] | None = None, shown: int = 18) -> Figure:
    """Draw the effect of each type in several frames of reference, one panel per assay.

    Parameters
    ----------
    table
        Results with a column ``frame``.
    truth
        Planted change of each type, drawn as a bar where given.
    shown
        Types with the most counts that are drawn.
    """
    tested = table.filter(pl.col("log2_change").is_not_null())
    if tested.is_empty():
        return placeholder("Nothing to draw: no type could be tested in more than one frame")
    frames = tested["frame"].unique(maintain_order=True).to_list()
    look = dict(zip(frames, zip(style.CYCLE, ("o", "s", "^", "D", "v", "P", "X"), strict=True), strict=False))
    assays = sorted(tested["assay"].unique())
    height = min(shown, tested["type"].n_unique()) * 0.27 + 1.3
    figure, axes = style.new(width=7.2, height=height, columns=len(assays), squeeze=False)
    for axis, assay in zip(axes.flat, assays, strict=True):
        part = tested.filter(pl.col("assay") == assay)
        common = (
            part.group_by("type")
            .agg(pl.col("total").max(), pl.col("log2_change").mean())
            .sort("total")
            .tail(shown)
        )
        order = common.sort("log2_change")["type"].to_list()
        for k, frame in enumerate(frames):
            own = part.filter((pl.col("frame") == frame) & pl.col("type").is_in(order))
            shift = (k - (len(frames) - 1) / 2) * 0.24
            _draw_frame(axis, own, order, frame=frame, look=look[frame], shift=shift)
        if truth:
            planted = [truth.get(kind, 0.0) for kind in order]
            axis.plot(
                planted,
                range(len(order)),
                "|",
                color="black",
                markersize=13,
                markeredgewidth=2,
                label="planted",
            )
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_yticks(range(len(order)), [shorten(kind, 16) for kind in order])
        axis.set_xlabel(_EFFECT.format(per=_per(part)))
        axis.set_title(shorten(assay))
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _draw_frame(
    axis: Axes, own: pl.DataFrame, order: Sequence[str], *, frame: str, look: tuple[str, str], shift: float
) -> None:
    y = np.array([order.index(kind) for kind in own["type"]]) + shift
    color, marker = look
    axis.hlines(y, own["low"].to_numpy(), own["high"].to_numpy(), color=color, linewidth=1)
    axis.plot(own["log2_change"].to_numpy(), y, marker, color=color, markersize=4, label=shorten(frame))
