"""Figures of representations and networks."""

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from helpers.figures import style
from helpers.figures.text import placeholder, shorten

_TITLES = {
    "kmeans_ari": "k-means\nARI",
    "kmeans_nmi": "k-means\nNMI",
    "leiden_ari": "Leiden\nARI",
    "silhouette": "silhouette",
    "neighbor_purity": "neighbor\npurity",
    "donor_mixing": "donor\nmixing",
    "assay_mixing": "assay\nmixing",
    "label_transfer_f1": "label\ntransfer F1",
    "age_gain_years": "age gain\n(years)",
}


def draw_measures(table: pl.DataFrame) -> Figure:
    """Draw every measure of every representation as a shaded grid with the value written in; darker is better.

    Parameters
    ----------
    table
        What `analysis.representation.compare` returns.
    """
    if table.is_empty():
        return placeholder("No labels, or no representation, to compare in this source")
    rows = table["representation"].unique(maintain_order=True).to_list()
    columns = [name for name in _TITLES if name in set(table["measure"])]
    grid = np.full((len(rows), len(columns)), np.nan)
    for row in table.iter_rows(named=True):
        grid[rows.index(row["representation"]), columns.index(row["measure"])] = row["value"]
    low, high = np.nanmin(grid, axis=0), np.nanmax(grid, axis=0)
    shade = (grid - low) / np.where(high > low, high - low, 1)
    figure, axis = style.new(width=7.0, height=0.42 * len(rows) + 1.2)
    axis.imshow(shade, cmap="Greys", vmin=0, vmax=1.6, aspect="auto")
    for (y, x), value in np.ndenumerate(grid):
        axis.text(x, y, "–" if np.isnan(value) else f"{value:.2f}", ha="center", va="center", color="black")
    axis.set_xticks(range(len(columns)), [_TITLES[name] for name in columns])
    axis.tick_params(axis="x", length=0, labelsize=8, labeltop=True, labelbottom=False)
    axis.set_yticks(range(len(rows)), [shorten(name, 22) for name in rows])
    return figure


def draw_trade(table: pl.DataFrame) -> Figure:
    """Draw neighbor purity against donor mixing: the two that an integration trades against each other."""
    wide = table.filter(pl.col("measure").is_in(["neighbor_purity", "donor_mixing"])).pivot(
        on="measure", index="representation", values="value"
    )
    if wide.is_empty() or not {"neighbor_purity", "donor_mixing"} <= set(wide.columns):
        return placeholder("Donor mixing needs several donors with labels")
    figure, axis = style.new(width=5.4, height=4.0)
    looks = style.markers_of(wide["representation"].to_list())
    for row in wide.drop_nulls().iter_rows(named=True):
        color, marker = looks[row["representation"]]
        axis.plot(
            row["donor_mixing"],
            row["neighbor_purity"],
            marker,
            color=color,
            markeredgecolor="black",
            markersize=8,
        )
        axis.annotate(
            shorten(row["representation"], 20),
            (row["donor_mixing"], row["neighbor_purity"]),
            xytext=(7, -3),
            textcoords="offset points",
            fontsize=9,
        )
    axis.margins(x=0.25, y=0.15)
    axis.set(
        xlabel="donors mixed among neighbors (1: as in the type)", ylabel="neighbors of the cell's own type"
    )
    return figure


def draw_edges(edges: pl.DataFrame, *, top: int = 40) -> Figure:
    """Draw the correlation of gene pairs in old against young donors; the largest differences are named.

    Parameters
    ----------
    edges
        What `analysis.networks.compare_ages` returns.
    top
        Edges drawn black, those of largest difference.
    """
    if edges.is_empty():
        return placeholder("Too few donors with enough cells for networks")
    figure, axis = style.new(width=5.0, height=4.4)
    axis.plot([-1, 1], [-1, 1], linestyle=":", color=style.GRAY)
    axis.scatter(edges["young"].to_numpy(), edges["old"].to_numpy(), s=8, color="0.75", rasterized=True)
    first = edges.head(top)
    axis.scatter(first["young"].to_numpy(), first["old"].to_numpy(), s=16, color="black")
    for row in edges.head(5).iter_rows(named=True):
        axis.annotate(
            f"{shorten(row['gene'], 10)}–{shorten(row['partner'], 10)}",
            (row["young"], row["old"]),
            xytext=(5, 3),
            textcoords="offset points",
            fontsize=8,
        )
    limit = float(np.nanquantile(np.abs(edges.select("young", "old").to_numpy()), 0.999)) * 1.1 + 0.02
    axis.set(
        xlim=(-limit, limit),
        ylim=(-limit, limit),
        xlabel="mean correlation, young donors",
        ylabel="mean correlation, old donors",
    )
    return figure
