"""Figures of fiber types: ratios by group and by donor, scores of nuclei, fragments by chemistry, slopes."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from helpers import names
from helpers.figures import style
from helpers.figures.text import placeholder, shorten

_NOTHING = "Nothing to draw: this source has no nuclei of type I and II with donors of known age"


def draw_ratio(by_group: pl.DataFrame, shares: pl.DataFrame) -> Figure:
    """Draw the share of type I twice: pooled per age group as the card suggests, and for each donor.

    Parameters
    ----------
    by_group
        ``Age_group``, ``type_I_ratio``, ``donors``.
    shares
        One row per donor: ``age``, ``share``, ``total``, and sex where known.
    """
    if shares.is_empty():
        return placeholder(_NOTHING)
    figure, (left, right) = style.new(width=7.2, height=3.2, columns=2, sharey=True)
    x = np.arange(by_group.height)
    left.bar(x, by_group["type_I_ratio"].to_numpy(), color=style.SKY, edgecolor="black", linewidth=0.6)
    for i, donors in enumerate(by_group["donors"]):
        left.text(i, 0.02, f"{donors}", ha="center")
    left.set_xticks(x, by_group[names.AGE_GROUP].to_list(), rotation=45)
    left.set_title("pooled by age group")
    left.set_xlabel("age group; number of donors at the foot")
    left.set_ylabel("type I share of type I and II nuclei")
    sexes = shares[names.SEX].to_list() if names.SEX in shares.columns else [""] * shares.height
    for sex in dict.fromkeys(sexes):
        own = [i for i, value in enumerate(sexes) if value == sex]
        color, marker = style.SEX_COLOR.get(sex, style.BLUE), style.SEX_MARKER.get(sex, "o")
        right.plot(
            shares["age"].to_numpy()[own],
            shares["share"].to_numpy()[own],
            marker,
            color=color,
            markersize=7,
            label=sex or None,
        )
    if shares["age"].n_unique() > 1:
        fit = np.polyfit(shares["age"].to_numpy(), shares["share"].to_numpy(), 1)
        ends = np.array([shares["age"].min(), shares["age"].max()])
        right.plot(ends, np.polyval(fit, ends), "--", color="black")
    right.set_title("each donor once")
    right.set_xlabel("age of the donor (years)")
    right.set_ylim(0, 1)
    if any(sexes):
        right.legend(title="sex", loc="lower left")
    return figure


def draw_scores(scored: pl.DataFrame, *, labels: Sequence[str], value: str = "fiber_score") -> Figure:
    """Draw the distribution of a score per donor and label, donors ordered by age.

    Parameters
    ----------
    scored
        One row per nucleus: donor, age, level-0 label, the value.
    labels
        One panel each.
    value
        Column drawn.
    """
    scored = scored.with_columns(pl.col(names.DONOR, names.LEVEL0).cast(pl.String))
    scored = scored.filter(pl.col(names.LEVEL0).is_in(list(labels)))
    if scored.is_empty():
        return placeholder(_NOTHING)
    donors = scored.unique(names.DONOR).sort("age", names.DONOR).select(names.DONOR, "age")
    figure, axes = style.new(
        width=7.2, height=2.0 * len(labels) + 0.4, rows=len(labels), sharex=True, squeeze=False
    )
    for axis, label in zip(axes.flat, labels, strict=True):
        part = scored.filter(pl.col(names.LEVEL0) == label)
        values = [
            part.filter(pl.col(names.DONOR) == donor)[value].drop_nulls().to_numpy()
            for donor in donors[names.DONOR]
        ]
        marks = np.array(
            [np.percentile(v, [5, 25, 50, 75, 95]) if len(v) >= 3 else np.full(5, np.nan) for v in values]
        ).T
        x = np.arange(donors.height)
        axis.vlines(x, marks[0], marks[4], color="0.6")
        axis.vlines(x, marks[1], marks[3], color=style.BLUE, linewidth=5)
        axis.plot(x, marks[2], "_", color="black", markersize=10, markeredgewidth=2)
        axis.axhline(0, color="black", linewidth=0.6, linestyle=":")
        axis.set_title(shorten(label))
    axes.flat[-1].set_xticks(np.arange(donors.height), [f"{age:.0f}" for age in donors["age"]])
    axes.flat[-1].set_xlabel("age of the donor (years)")
    figure.supylabel("score: fast below, slow above")
    return figure


def draw_fragments(fragments: pl.DataFrame) -> Figure:
    """Draw the share of fiber fragments in each library by chemistry, one panel per assay."""
    if fragments.is_empty() or names.CHEMISTRY not in fragments.columns:
        return placeholder("Nothing to draw: this source names no fragments, or no chemistry")
    total = fragments.group_by("assay", "unit").agg(
        pl.col("share").sum(), pl.col("age").first(), pl.col(names.CHEMISTRY).first()
    )
    assays = sorted(total["assay"].unique())
    figure, axes = style.new(width=7.2, height=2.9, columns=len(assays), squeeze=False)
    look = {names.V2: (style.BLUE, "o"), names.V3: (style.VERMILION, "^"), names.V2_V3: (style.GREEN, "s")}
    for axis, assay in zip(axes.flat, assays, strict=True):
        for (chemistry,), part in sorted(total.filter(pl.col("assay") == assay).group_by(names.CHEMISTRY)):
            color, marker = look.get(str(chemistry), (style.BLACK, "D"))
            floor = np.maximum(part["share"].to_numpy(), 1e-4)
            axis.plot(part["age"].to_numpy(), floor, marker, color=color, label=str(chemistry))
        axis.set_yscale("log")
        axis.set_title(assay)
        axis.set_xlabel("age of the donor (years)")
        axis.legend(loc="best", title="chemistry")
    axes.flat[0].set_ylabel("fragments, share of the library")
    return figure


def draw_slopes(traced: pl.DataFrame) -> Figure:
    """Draw the slope of every measure with its interval, and how far leaving out one donor moves it.

    Measures of different units have a panel of their own.
    """
    fitted = traced.filter(pl.col("slope_per_decade").is_not_null())
    if fitted.is_empty():
        return placeholder("Nothing to draw: no measure has three donors of different age")
    units = fitted["unit"].unique(maintain_order=True).to_list()
    sizes = [fitted.filter(pl.col("unit") == unit).height for unit in units]
    figure, axes = style.new(
        width=7.2,
        height=0.36 * sum(sizes) + 0.75 * len(units) + 0.4,
        rows=len(units),
        squeeze=False,
        height_ratios=[n + 0.7 for n in sizes],
    )
    for axis, unit in zip(axes.flat, units, strict=True):
        part = fitted.filter(pl.col("unit") == unit).reverse()
        y = np.arange(part.height)
        axis.hlines(
            y - 0.18,
            part["lowest_without_one"].to_numpy(),
            part["highest_without_one"].to_numpy(),
            color=style.ORANGE,
            linewidth=3,
            label="without one donor",
        )
        axis.hlines(
            y + 0.08, part["low"].to_numpy(), part["high"].to_numpy(), color=style.BLUE, label="95 % interval"
        )
        axis.plot(part["slope_per_decade"].to_numpy(), y + 0.08, "o", color=style.BLUE)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_yticks(y, [shorten(name, 40) for name in part["measure"]])
        axis.set_ylim(-0.6, part.height - 0.4)
        axis.set_xlabel(f"{unit} per decade of age")
    axes.flat[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return figure
