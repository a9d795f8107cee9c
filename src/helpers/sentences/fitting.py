"""What ranks keep of expression: a line in the logarithm of the rank, and how well it does."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from helpers.errors import SentenceError
from helpers.sentences import cells, ranking, shards

LENGTHS = (10, 25, 50, 100, 200, 500, 1_000, 2_000, 5_000)
QUALITY_SCHEMA = {
    "label": pl.String, "n_cells": pl.Int64, "r2": pl.Float64, "pearson": pl.Float64, "spearman": pl.Float64
}  # fmt: skip
SURVIVAL_SCHEMA = {"words": pl.Int64, "genes": pl.Float64, "expression": pl.Float64, "r2": pl.Float64}


@dataclass(frozen=True)
class Fit:
    """Expression as a line in the logarithm of the rank: ``intercept + slope * log10(1 + rank)``, ranks from zero.

    ``quality`` has one row a cell type (and one for all), measured on cells that the line was not fitted to:
    n_cells, r2, pearson, spearman.
    """

    slope: float
    intercept: float
    fitted_cells: int
    normalized_here: bool
    quality: pl.DataFrame = field(repr=False)

    def predict(self, ranks: np.ndarray) -> np.ndarray:
        """Return the expression at ranks counted from zero, never below zero."""
        return np.maximum(self.intercept + self.slope * np.log10(1.0 + np.asarray(ranks, float)), 0.0)


@dataclass(frozen=True)
class Measured:
    """A fit, or none where none is possible, its quality by type, and what first words keep."""

    fit: Fit | None
    quality: pl.DataFrame = field(repr=False)
    survival: pl.DataFrame = field(repr=False)


def fit(
    source: Any,
    *,
    by: str | None = None,
    rule: ranking.Rule = ranking.STANDARD,
    cells_fitted: int = 1_024,
    cells_held_out: int = 4_096,
    max_rank: int = 1_000,
    seed: int = 0,
) -> Fit:
    """Fit expression to rank on some cells and measure the fit on others, by cell type.

    Values that are whole numbers are molecules: they are brought to log1p of counts per 10,000 first. The line is
    fitted to the first ranks of the fitted cells, as Cell2Sentence does [1]_, and measured on all written ranks of
    the held-out cells.

    Parameters
    ----------
    source
        AnnData or path of an .h5ad file.
    by
        Column of the cell type; none: one row for all cells.
    rule
        How a cell becomes a sentence.
    cells_fitted, cells_held_out
        Cells drawn for each.
    max_rank
        Ranks that the line is fitted to.
    seed
        Of the draw.

    Raises
    ------
    SentenceError
        If fewer than two cells have expressed genes, or the column is missing.

    References
    ----------
    .. [1] Levine et al. (2024), ICML, Cell2Sentence: teaching large language models the language of biology
    """
    opened, encoder = _open(source, rule, by)
    drawn = np.random.default_rng(seed).permutation(opened.n_cells)[: cells_fitted + cells_held_out]
    n_fit = min(cells_fitted, len(drawn) // 2)
    points = [_read(opened, encoder, np.sort(part), by=by) for part in (drawn[:n_fit], drawn[n_fit:])]
    near = points[0].filter(pl.col("rank") < max_rank)
    if near["x"].n_unique() < 2 or points[1].is_empty():
        msg = "fewer than two ranks with expression were drawn, no line can be fitted. Give cells with expressed genes."
        raise SentenceError(msg)
    slope, intercept = np.polyfit(near["x"].to_numpy(), near["y"].to_numpy(), 1)
    line = Fit(float(slope), float(intercept), n_fit, bool(near["normalized"].any()), pl.DataFrame())
    return replace(line, quality=_quality(_guess(points[1], line)))


def survive(
    source: Any, fit: Fit, *, rule: ranking.Rule = ranking.STANDARD, lengths: Sequence[int] = LENGTHS,
    n_cells: int = 1_000, seed: int = 0,
) -> pl.DataFrame:  # fmt: skip
    """Return how much of a cell its first words keep, over all its expressed genes.

    Parameters
    ----------
    source
        AnnData or path of an .h5ad file.
    fit
        From `fit`; genes that are not written are taken as zero.
    rule
        How a cell becomes a sentence; its cut is not applied.
    lengths
        Numbers of first words.
    n_cells
        Cells drawn.
    seed
        Of the draw.

    Returns
    -------
    polars.DataFrame
        ``words``, ``genes`` (share of expressed genes written), ``expression`` (share of the summed expression they
        have), ``r2`` (of decoded against true expression, all expressed genes).
    """
    opened, encoder = _open(source, replace(rule, top_n=0), None)
    rows = np.sort(np.random.default_rng(seed).permutation(opened.n_cells)[:n_cells])
    points = _guess(_read(opened, encoder, rows, by=None), fit)
    rank, y, guess = (points[name].to_numpy() for name in ("rank", "y", "guess"))
    spread = ((y - y.mean()) ** 2).sum() if len(y) else 0
    found = []
    for length in lengths if spread else ():
        kept = rank < length
        error = ((y - np.where(kept, guess, 0)) ** 2).sum()
        found.append((length, float(kept.mean()), float(y[kept].sum() / y.sum()), float(1 - error / spread)))
    return pl.DataFrame(found, schema=SURVIVAL_SCHEMA, orient="row")


def measure(source: Any, *, by: str | None, rule: ranking.Rule = ranking.STANDARD, seed: int = 0) -> Measured:
    """Return the fit, its quality by type, and what first words keep; empty tables where no line can be fitted.

    Parameters
    ----------
    source
        AnnData or path of an .h5ad file.
    by
        Column of the cell type; none, or a column that is not there: all cells together.
    rule
        How a cell becomes a sentence.
    seed
        Of the draws of cells.
    """
    opened = cells.open_cells(source, layer=rule.layer)
    try:
        found = fit(source, by=by if by in opened.schema.names else None, rule=rule, seed=seed)
    except SentenceError:
        return Measured(None, pl.DataFrame(schema=QUALITY_SCHEMA), pl.DataFrame(schema=SURVIVAL_SCHEMA))
    return Measured(found, found.quality, survive(source, found, rule=rule, seed=seed))


def _open(source: Any, rule: ranking.Rule, by: str | None) -> tuple[cells.Cells, ranking.Encoder]:
    opened = cells.open_cells(source, layer=rule.layer)
    if by is not None and by not in opened.schema.names:
        msg = f"no column {by!r} for the cell type. The cells have: {', '.join(opened.schema.names)}."
        raise SentenceError(msg)
    return opened, ranking.Encoder(rule, rule.vocabulary(opened))


def _read(opened: cells.Cells, encoder: ranking.Encoder, rows: np.ndarray, *, by: str | None) -> pl.DataFrame:
    read = [_points(encoder, block, obs, by=by) for block, obs in shards.read_rows(opened, rows)]
    return pl.concat(read) if read else pl.DataFrame(schema=_POINTS)


def _guess(points: pl.DataFrame, line: Fit) -> pl.DataFrame:
    return points.with_columns(guess=pl.Series(line.predict(points["rank"].to_numpy()), dtype=pl.Float64))


_POINTS = {"rank": pl.Int64, "x": pl.Float64, "y": pl.Float64, "label": pl.String, "normalized": pl.Boolean}


def _points(encoder: ranking.Encoder, block: cells.Block, obs: pa.Table, *, by: str | None) -> pl.DataFrame:
    starts, columns, values = block
    normalize = bool(len(values)) and bool(np.all(values == np.round(values)))
    if normalize:
        totals = np.add.reduceat(np.append(values, 0), starts[:-1]) * (np.diff(starts) > 0)
        rows = np.repeat(np.arange(len(totals)), np.diff(starts))
        values = np.log1p(values / np.where(totals > 0, totals, 1)[rows] * 1e4)
    ranked = encoder.rank((starts, columns, values), barcodes=obs[obs.column_names[0]].to_pylist())
    lengths = np.diff(ranked.starts)
    rank = np.arange(len(ranked.words)) - np.repeat(ranked.starts[:-1], lengths)
    row = np.repeat(np.arange(len(lengths)), lengths)
    labels = (
        pl.Series(pl.from_arrow(obs[by])).cast(pl.String) if by else pl.Series(["all cells"] * len(lengths))
    )
    return pl.DataFrame(
        {
            "rank": rank,
            "x": np.log10(1.0 + rank),
            "y": _values_of(ranked, (starts, columns, values), encoder),
            "label": labels.gather(row),
            "normalized": np.full(len(rank), normalize),
        },
        schema_overrides=_POINTS,
    )


def _values_of(ranked: ranking.Ranked, block: cells.Block, encoder: ranking.Encoder) -> np.ndarray:
    starts, columns, values = block
    found = np.empty(len(ranked.words))
    dense = np.zeros(len(encoder.vocabulary.words))
    for row in range(len(starts) - 1):
        here = slice(starts[row], starts[row + 1])
        word = encoder.vocabulary.word_of_column[columns[here]]
        usable = (word >= 0) & (values[here] > 0) & np.isfinite(values[here])
        np.add.at(dense, word[usable], values[here][usable])
        words = ranked.words[ranked.starts[row] : ranked.starts[row + 1]]
        found[ranked.starts[row] : ranked.starts[row + 1]] = dense[words]
        dense[word[usable]] = 0
    return found


def _quality(held: pl.DataFrame) -> pl.DataFrame:
    cell = (pl.col("rank") == 0).sum().alias("n_cells")
    error, spread = (
        (pl.col("y") - pl.col("guess")).pow(2).sum(),
        (pl.col("y") - pl.col("y").mean()).pow(2).sum(),
    )
    measures = [
        cell,
        (1 - error / spread).alias("r2"),
        pl.corr("y", "guess").alias("pearson"),
        pl.corr("y", "guess", method="spearman").alias("spearman"),
    ]
    total = held.select(pl.lit("all cells").alias("label"), *measures)
    if held["label"].n_unique() < 2:
        return total.cast({"n_cells": pl.Int64})
    parts = held.group_by("label").agg(measures).sort("n_cells", descending=True)
    return pl.concat([total, parts], how="vertical_relaxed").cast({"n_cells": pl.Int64})
