"""Figures of the embedding atlas: what exists, agreement, plausibility, what blocks know, models, muscle, cost."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from helpers.figures import style
from helpers.figures.text import placeholder, shorten

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def _say(name: str) -> str:
    return name.replace("_", " ")


def draw_coverage(matrix: np.ndarray, rows: list[str], columns: list[str]) -> Figure:
    """Draw how many cells each combination of two labels has; empty combinations are crossed out.

    Parameters
    ----------
    matrix
        Cells, rows x columns.
    rows, columns
        Labels.
    """
    if not matrix.size or not matrix.sum():
        return placeholder("No combination of labels has cells")
    figure, axis = style.new(height=0.2 * len(rows) + 2.2)
    shown = np.ma.masked_equal(matrix, 0)
    image = axis.imshow(shown, norm=LogNorm(1, max(2, matrix.max())), cmap="Blues", aspect="auto")
    empty = np.argwhere(matrix == 0)
    axis.scatter(empty[:, 1], empty[:, 0], marker="x", s=14, color=style.VERMILION, linewidths=0.9)
    axis.set_xticks(range(len(columns)), [shorten(c, 24) for c in columns], rotation=60, ha="right")
    axis.set_yticks(range(len(rows)), [shorten(r, 30) for r in rows])
    axis.spines[:].set_visible(False)
    figure.colorbar(image, ax=axis, label="cells", shrink=0.8)
    return figure


def draw_missing(missing: pl.DataFrame, *, top: int = 15) -> Figure:
    """Draw the empty combinations of labels that are most surprising, with the cells expected by chance.

    Parameters
    ----------
    missing
        What `coverage.missing` found.
    top
        Combinations shown.
    """
    if missing.is_empty():
        return placeholder("No combination of common labels is empty")
    shown = missing.head(top)
    names = [name for name in shown.columns if name != "expected_cells"]
    labels = [shorten(" · ".join(row), 62) for row in shown.select(names).iter_rows()]
    place = np.arange(shown.height)[::-1]
    figure, axis = style.new(height=0.27 * shown.height + 1.0)
    axis.barh(place, shown["expected_cells"].to_numpy(), color=style.SKY, edgecolor=style.BLACK, height=0.6)
    axis.set_yticks(place, labels)
    axis.set_xlabel("cells expected by chance")
    return figure


def draw_margins(histograms: Mapping[str, pl.DataFrame], *, near: float) -> Figure:
    """Draw the distribution of best minus second score, one line a class.

    Parameters
    ----------
    histograms
        Histograms of margins by class.
    near
        Margin below which the model itself reports a second label.
    """
    kept = {name: frame for name, frame in histograms.items() if frame["cells"].sum()}
    if not kept:
        return placeholder("No scores were counted")
    figure, axis = style.new(height=3.4)
    for i, (name, frame) in enumerate(kept.items()):
        inner = frame.filter(pl.col("low").is_finite() & pl.col("high").is_finite())
        share = np.cumsum(inner["cells"].to_numpy()) / frame["cells"].sum()
        axis.plot(
            inner["high"].to_numpy(), share, color=style.CYCLE[i % len(style.CYCLE)], marker=_MARKERS[i],
            markevery=(4 + 3 * i, 24), label=_say(name),
        )  # fmt: skip
    axis.axvline(near, color=style.GRAY, linestyle=":")
    axis.annotate("second label reported", (near, 0.02), xytext=(4, 0), textcoords="offset points")
    axis.set(
        xlim=(0, 4), ylim=(0, 1), xlabel="best minus second score (logits)", ylabel="share of cells below"
    )
    axis.legend(loc="lower right", ncols=2)
    return figure


def draw_plausibility(judged: pl.DataFrame) -> Figure:
    """Draw the share of cells that break each rule, with their number.

    Parameters
    ----------
    judged
        What `plausibility.judge` found.
    """
    shown = judged.filter(pl.col("cells") > 0)
    if shown.is_empty():
        return placeholder("No label could be judged: the labels are numbers without names")
    place = np.arange(shown.height)[::-1]
    figure, axis = style.new(height=0.3 * shown.height + 1.0)
    share = shown["share"].to_numpy()
    axis.barh(place, share, color=style.VERMILION, edgecolor=style.BLACK, height=0.6)
    for at, value, n, cells in zip(place, share, shown["implausible"], shown["cells"], strict=True):
        inside = value > 0.6
        axis.annotate(
            f"{n:,} of {cells:,}", (value, at), xytext=(-4 if inside else 4, 0), textcoords="offset points",
            va="center", ha="right" if inside else "left",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip
    axis.set_yticks(place, [shorten(rule, 46) for rule in shown["rule"]])
    axis.set(xlim=(0, 1.02), xlabel="share of the cells that the rule applies to")
    return figure


def draw_knowledge(probes: pl.DataFrame, *, method: str = "linear") -> Figure:
    """Draw what each block knows: balanced accuracy between chance (0) and perfect (1); dots mark knowledge.

    Parameters
    ----------
    probes
        What `knowledge.probe` found.
    method
        linear or neighbors.
    """
    shown = probes.filter(pl.col("method") == method)
    if shown.is_empty():
        return placeholder("Too few labels or parts to probe")
    blocks = shown["block"].unique(maintain_order=True).to_list()
    classes = shown["class"].unique(maintain_order=True).to_list()
    gain = np.full((len(blocks), len(classes)), np.nan)
    known = []
    for row in shown.iter_rows(named=True):
        at = blocks.index(row["block"]), classes.index(row["class"])
        gain[at] = (row["balanced_accuracy"] - row["shuffled"]) / max(1e-9, 1 - row["shuffled"])
        if row["knows"]:
            known.append(at)
    figure, axis = style.new(height=0.33 * len(blocks) + 1.9)
    image = axis.imshow(np.clip(gain, 0, 1), cmap="Greys", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(gain.shape):
        if np.isfinite(gain[i, j]):
            color = "white" if gain[i, j] > 0.55 else "black"
            axis.text(
                j, i, f"{gain[i, j]:.2f}".replace("-0.00", "0.00"), ha="center", va="center", color=color
            )
    for i, j in known:
        axis.plot(j + 0.38, i - 0.3, "o", color=style.VERMILION, markersize=4.5, markeredgecolor="white")
    axis.set_xticks(range(len(classes)), [_say(c) for c in classes], rotation=40, ha="right")
    axis.set_yticks(range(len(blocks)), [_say(b) for b in blocks])
    axis.set(xlabel="label asked for", ylabel="block read")
    axis.spines[:].set_visible(False)
    figure.colorbar(image, ax=axis, label="0 = shuffled labels, 1 = perfect", shrink=0.8)
    return figure


def draw_model(per_class: pl.DataFrame, calibration: pl.DataFrame, *, top: int = 20) -> Figure:
    """Draw the F1 of each label beside confidence against accuracy.

    Parameters
    ----------
    per_class
        One row a label: label, cells, f1.
    calibration
        One row a bin of confidence.
    top
        Labels shown, most common first.
    """
    if per_class.is_empty():
        return placeholder("No label to test the model on")
    shown = per_class.head(top)
    place = np.arange(shown.height)[::-1]
    figure, (left, right) = style.new(height=0.22 * shown.height + 1.2, columns=2, width_ratios=[1.3, 1])
    left.hlines(place, 0, shown["f1"].to_numpy(), color=style.LIGHT)
    left.plot(shown["f1"].to_numpy(), place, "o", color=style.BLUE)
    left.set_yticks(place, [shorten(label, 30) for label in shown["label"]])
    left.set(xlim=(0, 1.03), xlabel="F1 on parts held out")
    right.plot([0, 1], [0, 1], linestyle=":", color=style.GRAY)
    size = 15 + 120 * calibration["cells"].to_numpy() / max(1, calibration["cells"].max() or 1)
    right.scatter(
        calibration["confidence"], calibration["accuracy"], s=size, color=style.ORANGE, edgecolor="black"
    )
    right.set_box_aspect(1)
    right.set(xlim=(0, 1.03), ylim=(0, 1.03), xlabel="confidence", ylabel="share right")
    return figure


def draw_muscle(compared: pl.DataFrame) -> Figure:
    """Draw the shares of broad cell groups, one marker a source.

    Parameters
    ----------
    compared
        What `muscle.compare` returned.
    """
    sources = [name for name in compared.columns if name != "group"]
    if compared.is_empty():
        return placeholder("No cell is called skeletal muscle")
    place = np.arange(compared.height)[::-1]
    figure, axis = style.new(height=0.3 * compared.height + 1.2)
    axis.hlines(
        place, 0, compared.select(pl.max_horizontal(sources)).to_series().to_numpy(), color=style.LIGHT
    )
    for i, name in enumerate(sources):
        color = style.CYCLE[i % len(style.CYCLE)]
        axis.plot(
            compared[name].to_numpy(),
            place,
            _MARKERS[i],
            color=color,
            markeredgecolor="black",
            label=_say(name),
        )
    axis.set_yticks(place, compared["group"].to_list())
    axis.set(xlim=(-0.01, 1), xlabel="share of cells")
    axis.legend(loc="lower right")
    return figure


def draw_cost(costs: pl.DataFrame) -> Figure:
    """Draw the minutes that each step takes on the whole atlas: processor and disk.

    Parameters
    ----------
    costs
        What `cost.extrapolate` returned.
    """
    place = np.arange(costs.height)[::-1]
    figure, axis = style.new(height=0.45 * costs.height + 1.2)
    axis.barh(place + 0.19, costs["processor_minutes"], height=0.36, color=style.BLUE, label="processor")
    axis.barh(
        place - 0.19, costs["disk_minutes"], height=0.36, color=style.LIGHT, edgecolor="black", hatch="//",
        label="disk",
    )  # fmt: skip
    axis.set_yticks(place, costs["step"].to_list())
    axis.set_xscale("log")
    axis.set_xlabel("minutes for the whole atlas")
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return figure
