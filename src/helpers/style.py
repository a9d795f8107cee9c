"""How every figure looks: opaque white, color-blind-safe, readable in black and white and on a phone."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from helpers import names

WIDTH = 5.6  # inches; a page column
POINTS = 9.7  # smallest font: eight pixels where a figure is as wide as a phone
DPI = 130  # of the picture in a notebook

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), without its yellow, which is lost on white.
BLACK = "#000000"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
GRAY = "#7F7F7F"
LIGHT = "#D9D9D9"
CYCLE = (BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE, BLACK)

# Color and marker always say the same thing, so that a print without color loses nothing.
ASSAY_COLOR: dict[str, str] = {names.CELLS: BLUE, names.NUCLEI: VERMILION}
ASSAY_MARKER: dict[str, str] = {names.CELLS: "o", names.NUCLEI: "s"}
SEX_COLOR: dict[str, str] = {names.MALE: GREEN, names.FEMALE: PURPLE}
SEX_MARKER: dict[str, str] = {names.MALE: "^", names.FEMALE: "D"}
GROUP_COLOR: dict[str, str] = {names.YOUNG: SKY, names.OLD: VERMILION}
GROUP_MARKER: dict[str, str] = {names.YOUNG: "v", names.OLD: "P"}
# Age bins run from light to dark, so that their order survives in gray.
AGE_COLOR: dict[str, str] = dict(
    zip(
        names.AGE_GROUPS,
        ("#C7E9F1", "#A3D5E6", "#7DBBD9", "#5A9FCB", "#3F80B8", "#32609F", "#2A4180", "#1B2050"),
        strict=True,
    )
)
AGE_MARKER: dict[str, str] = dict(
    zip(names.AGE_GROUPS, ("o", "s", "^", "D", "v", "P", "X", "*"), strict=True)
)
DIVERGING = "PuOr_r"  # color map around zero
SEQUENTIAL = "cividis"  # color map from none to much

_SETTINGS: dict[str, Any] = {
    "figure.facecolor": "white",
    "figure.edgecolor": "white",
    "figure.figsize": (WIDTH, 3.2),
    "figure.dpi": DPI,
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "white",
    "savefig.transparent": False,
    "savefig.dpi": DPI,
    "savefig.bbox": "tight",
    "axes.facecolor": "white",
    "axes.prop_cycle": cycler(color=CYCLE),
    "axes.spines.top": False,
    "axes.formatter.min_exponent": 5,  # 2,000 on a logarithmic axis, in place of 2 x 10^3: labels do not collide
    "axes.spines.right": False,
    "axes.titlesize": POINTS + 1,
    "axes.labelsize": POINTS,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "font.size": POINTS,
    "xtick.labelsize": POINTS,
    "ytick.labelsize": POINTS,
    "legend.fontsize": POINTS,
    "legend.title_fontsize": POINTS,
    "legend.frameon": False,
    "figure.titlesize": POINTS + 2,
    "lines.linewidth": 1.4,
    "lines.markersize": 5,
    "scatter.edgecolors": "none",
    "image.cmap": SEQUENTIAL,
    "svg.fonttype": "path",
    "svg.hashsalt": "musclebook",  # the same figure gives the same file
}


def apply() -> None:
    """Set the look for every figure of this process, and how a notebook shows one: once, as an opaque picture."""
    mpl.rcParams.update(_SETTINGS)
    _register_picture()


def new(
    *, height: float = 3.8, rows: int = 1, columns: int = 1, width: float = WIDTH, **options: Any
) -> tuple[Figure, Any]:
    """Make a figure and its axes outside pyplot, so that it shows where it is returned and nowhere else.

    Parameters
    ----------
    height
        Inches.
    rows, columns
        Panels.
    width
        Inches; more than a page column is scaled down and its text with it.
    options
        Passed to `Figure.subplots`, such as ``sharey`` or ``width_ratios``.
    """
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, **options)
    return figure, axes


def markers_of(labels: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Give each label a color and a marker: (color, marker), alike on every call with the same labels.

    Examples
    --------
    >>> markers_of(["FB", "MuSC"])["MuSC"]
    ('#D55E00', 's')
    """
    shapes = tuple(AGE_MARKER.values())
    # seven colors against eight shapes: a pair comes again only after 56 labels
    return {
        label: (CYCLE[i % len(CYCLE)], shapes[(i + i // 56) % len(shapes)]) for i, label in enumerate(labels)
    }


def picture(figure: Figure) -> bytes:
    """Return the figure as a PNG picture, opaque white."""
    stream = io.BytesIO()
    figure.savefig(
        stream, format="png", dpi=DPI, facecolor="white", transparent=False, metadata={"Software": None}
    )
    return stream.getvalue()


def _register_picture() -> None:
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        return
    # IPython installs its own picture of a figure when pyplot is first imported there: import it, then replace it
    import matplotlib.pyplot  # noqa: F401, ICN001

    formatter = shell.display_formatter.formatters["image/png"]
    formatter.for_type(Figure, _picture_once)


def _picture_once(figure: Figure) -> bytes:
    # a figure made by pyplot and returned by a cell would be shown a second time at the end of the cell
    import matplotlib.pyplot as plt

    data = picture(figure)
    plt.close(figure)
    return data
