"""How every figure looks: opaque white, color-blind-safe, readable in black and white and on a phone."""

from typing import Any

import matplotlib as mpl
from cycler import cycler

from helpers import names

WIDTH = 5.6  # inches; a page column
POINTS = 9.7  # smallest font: eight pixels where a figure is as wide as a phone
DPI = 130  # of the picture in a notebook

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), without its yellow, which is lost on white.
BLACK, GRAY, ORANGE, SKY = "#000000", "#7F7F7F", "#E69F00", "#56B4E9"
GREEN, BLUE, VERMILION, PURPLE = "#009E73", "#0072B2", "#D55E00", "#CC79A7"
CYCLE = (BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE, BLACK)

# Color and marker always say the same thing, so that a print without color loses nothing.
ASSAY_COLOR: dict[str, str] = {names.CELLS: BLUE, names.NUCLEI: VERMILION}
ASSAY_MARKER: dict[str, str] = {names.CELLS: "o", names.NUCLEI: "s"}
SEX_COLOR: dict[str, str] = {names.MALE: GREEN, names.FEMALE: PURPLE}
SEX_MARKER: dict[str, str] = {names.MALE: "^", names.FEMALE: "D"}
GROUP_COLOR: dict[str, str] = {names.YOUNG: SKY, names.OLD: VERMILION}
GROUP_MARKER: dict[str, str] = {names.YOUNG: "v", names.OLD: "P"}
DIVERGING = "PuOr_r"  # color map around zero
SEQUENTIAL = "cividis"  # color map from none to much

_SETTINGS: dict[str, Any] = {
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "white"),
    **dict.fromkeys(("font.size", "xtick.labelsize", "ytick.labelsize", "axes.labelsize"), POINTS),
    **dict.fromkeys(("legend.fontsize", "legend.title_fontsize"), POINTS),
    "figure.edgecolor": "white",
    "figure.figsize": (WIDTH, 3.2),
    "figure.dpi": DPI,
    "figure.constrained_layout.use": True,
    "savefig.transparent": False,
    "savefig.dpi": DPI,
    "savefig.bbox": "tight",
    "axes.prop_cycle": cycler(color=CYCLE),
    "axes.spines.top": False,
    "axes.formatter.min_exponent": 5,  # 2,000 on a logarithmic axis, in place of 2 x 10^3: labels do not collide
    "axes.spines.right": False,
    "axes.titlesize": POINTS + 1,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
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
    """Set the look for every figure of this process."""
    mpl.rcParams.update(_SETTINGS)
