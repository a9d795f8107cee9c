"""From a sentence back to expression: what the ranks keep of a cell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from helpers.errors import SentenceError
from helpers.sentences import cells, encode

FIRST, MEAN = "first", "mean"


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
class Cleaned:
    """Words of a generated sentence that are in the vocabulary, with their ranks, and what was not."""

    words: tuple[str, ...]
    ranks: tuple[float, ...]
    unknown: tuple[str, ...]
    repeats: int


def fit(
    source: Any,
    *,
    by: str | None = None,
    rule: encode.Rule = encode.STANDARD,
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
    from helpers.sentences import shards

    opened = cells.open_cells(source, layer=rule.layer)
    if by is not None and by not in opened.schema.names:
        msg = f"no column {by!r} for the cell type. The cells have: {', '.join(opened.schema.names)}."
        raise SentenceError(msg)
    drawn = np.random.default_rng(seed).permutation(opened.n_cells)[: cells_fitted + cells_held_out]
    n_fit = min(cells_fitted, len(drawn) // 2)
    encoder = encode.Encoder(rule, rule.vocabulary(opened))
    points = []
    for part in (np.sort(drawn[:n_fit]), np.sort(drawn[n_fit:])):
        read = [_points(encoder, block, obs, by=by) for block, obs in shards.read_rows(opened, part)]
        points.append(pl.concat(read) if read else pl.DataFrame(schema=_POINTS))
    near = points[0].filter(pl.col("rank") < max_rank)
    if near["x"].n_unique() < 2:
        msg = "fewer than two ranks with expression were drawn, no line can be fitted. Give cells with expressed genes."
        raise SentenceError(msg)
    slope, intercept = np.polyfit(near["x"].to_numpy(), near["y"].to_numpy(), 1)
    line = Fit(float(slope), float(intercept), n_fit, bool(near["normalized"].any()), pl.DataFrame())
    held = points[1].with_columns(guess=pl.Series(line.predict(points[1]["rank"].to_numpy())))
    return Fit(line.slope, line.intercept, n_fit, line.normalized_here, _quality(held))


def decode(
    sentence: str, fit: Fit, *, vocabulary: Iterable[str] | None = None, repeats: str = FIRST
) -> pl.DataFrame:
    """Turn a sentence into expression: one row a gene, ``gene`` and ``expression``.

    Parameters
    ----------
    sentence
        Words joined by spaces, read or generated.
    fit
        From `fit`.
    vocabulary
        Words that exist; others are left out. None: every word is taken.
    repeats
        Where a word that comes twice stands: its ``"first"`` place, or the ``"mean"`` of its places.
    """
    cleaned = clean(sentence, vocabulary, repeats=repeats)
    return pl.DataFrame(
        {"gene": cleaned.words, "expression": fit.predict(np.array(cleaned.ranks))},
        schema={"gene": pl.String, "expression": pl.Float64},
    )


def decode_all(sentences: Sequence[str], fit: Fit, *, vocabulary: Sequence[str]) -> Any:
    """Turn sentences into a sparse matrix, cells x vocabulary, of float32.

    Parameters
    ----------
    sentences
        One a cell.
    fit
        From `fit`.
    vocabulary
        The columns, each word once.
    """
    from scipy import sparse

    column = {word: number for number, word in enumerate(vocabulary)}
    starts, indices, values = [0], [], []
    for sentence in sentences:
        cleaned = clean(sentence, column)
        order = np.argsort([column[word] for word in cleaned.words])
        indices.append(np.array([column[word] for word in cleaned.words], np.int32)[order])
        values.append(fit.predict(np.array(cleaned.ranks))[order].astype(np.float32))
        starts.append(starts[-1] + len(order))
    if not sentences:
        return sparse.csr_matrix((0, len(column)), dtype=np.float32)
    matrix = (np.concatenate(values), np.concatenate(indices), np.array(starts))
    return sparse.csr_matrix(matrix, shape=(len(sentences), len(column)))


def clean(text: str, vocabulary: Iterable[str] | None = None, *, repeats: str = FIRST) -> Cleaned:
    """Find the words of a vocabulary in generated text.

    A word in other letter case counts where only one word of the vocabulary is meant. Ranks are places among the
    words found, so that an unknown word does not push the others down.

    Parameters
    ----------
    text
        Words separated by white space; commas and periods at a word's end are removed.
    vocabulary
        Words that exist; none: every word.
    repeats
        ``"first"`` or ``"mean"``: where a word that comes twice stands.

    Raises
    ------
    SentenceError
        If `repeats` is neither.

    Examples
    --------
    >>> clean("MYH7 ttn, XYZ MYH7", ["MYH7", "TTN"])
    Cleaned(words=('MYH7', 'TTN'), ranks=(0.0, 1.0), unknown=('XYZ',), repeats=1)
    """
    if repeats not in (FIRST, MEAN):
        msg = f"repeats is {repeats!r}; choose {FIRST!r} or {MEAN!r}."
        raise SentenceError(msg)
    known = None if vocabulary is None else set(vocabulary)
    folded = _folded(known or ())
    places: dict[str, list[int]] = {}
    unknown, position, repeated = [], 0, 0
    for raw in text.split():
        written = raw if known is None or raw in known else raw.strip(",.;:\"'")
        word = written if known is None or written in known else folded.get(written.upper())
        if word is None:
            unknown.append(raw)
            continue
        repeated += word in places
        if word in places and repeats == FIRST:
            continue
        places.setdefault(word, []).append(position)
        position += 1
    order = sorted(places, key=lambda word: (np.mean(places[word]), places[word][0]))
    ranks = [float(np.mean(places[word])) for word in order]
    return Cleaned(tuple(order), tuple(ranks), tuple(unknown), repeated)


_POINTS = {"rank": pl.Int64, "x": pl.Float64, "y": pl.Float64, "label": pl.String, "normalized": pl.Boolean}


def _points(encoder: encode.Encoder, block: cells.Block, obs: pa.Table, *, by: str | None) -> pl.DataFrame:
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


def _values_of(ranked: encode.Ranked, block: cells.Block, encoder: encode.Encoder) -> np.ndarray:
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
        return total.with_columns(pl.col("n_cells").cast(pl.Int64))
    parts = held.group_by("label").agg(measures).sort("n_cells", descending=True)
    return pl.concat([total, parts], how="vertical_relaxed").with_columns(pl.col("n_cells").cast(pl.Int64))


def _folded(words: Iterable[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for word in words:
        found[word.upper()] = None if word.upper() in found else word
    return found
