"""Small multiples: one panel a recorded value, over the grid of a sweep."""

import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from helpers.figures import style
from helpers.figures.style import picture

__all__ = ["draw_multiples", "picture"]

COLUMNS = 2
ROW = 0.24  # inches for one label


def draw_multiples(table: pl.DataFrame, *, x: str, panels: list[str], split: str | None = None) -> Figure:
    """Draw each recorded value against one parameter, in a panel of its own.

    Parameters
    ----------
    table
        One row a run: `x`, the columns of `panels`, and `split`.
    x
        Parameter along the axis; labels go down the side, numbers along the bottom.
    panels
        Columns to draw; those that are not numbers are left out.
    split
        Parameter that gives color and marker.
    """
    drawn = [name for name in panels if table.schema[name].is_numeric() or table.schema[name] == pl.Boolean]
    is_number = table.schema[x].is_numeric()
    labels = [] if is_number else list(dict.fromkeys(table[x].to_list()))
    rows = -(-len(drawn) // COLUMNS)
    height = 2.3 if is_number else 0.8 + ROW * len(labels)
    figure, axes = style.new(height=max(1, rows) * height, rows=max(1, rows), columns=COLUMNS, squeeze=False)
    looks = style.markers_of([str(value) for value in _groups(table, split)])
    for place, name in zip(axes.flat, drawn, strict=False):
        for group, (color, marker) in looks.items():
            part = table if split is None else table.filter(pl.col(split).cast(pl.String) == group)
            part = part.filter(pl.col(name).is_not_null())
            values = part[name].cast(pl.Float64).to_list()
            if is_number:
                part = part.sort(x)
                place.plot(
                    part[x].to_list(),
                    part[name].cast(pl.Float64).to_list(),
                    marker=marker,
                    color=color,
                    label=group,
                )
            else:
                spots = [labels.index(label) for label in part[x].to_list()]
                place.plot(values, spots, marker, color=color, label=group)
        place.set_title(name.replace("_", " "))
        if is_number:
            place.set_xlabel(x.replace("_", " "))
        else:
            place.set_yticks(range(len(labels)), labels)
            place.set_ylim(len(labels) - 0.5, -0.5)
            place.grid(axis="y", color=style.LIGHT, linewidth=0.6)
            place.xaxis.set_major_locator(MaxNLocator(4))
    for place in list(axes.flat)[len(drawn) :]:
        place.set_axis_off()
    if split is not None and drawn:
        axes.flat[0].legend(title=split.replace("_", " "))
    return figure


def _groups(table: pl.DataFrame, split: str | None) -> list[object]:
    return [""] if split is None else list(dict.fromkeys(table[split].to_list()))
