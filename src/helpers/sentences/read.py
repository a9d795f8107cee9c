"""Sentences read back, our own and those of others: files as one lazy table, padding told, words turned into expression."""

import operator
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, starmap, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from helpers.ages import AGE
from helpers.errors import SentenceError
from helpers.files import reading
from helpers.sentences import symbols
from helpers.sentences.cells import NULL_TEXTS
from helpers.sentences.encode import SENTENCE
from helpers.sentences.split import TEST, TRAIN

DATASET, SIDE = "dataset", "side"
_NUMBERED = re.compile(r"gene_sentence_(\d+)")
# Columns that say how many genes a cell expresses, as data sets name them, in lower case.
COUNT_COLUMNS = (
    "n_expressed", "n_genes", "n_genes_by_counts", "nfeature_rna", "nfeaturess_rna", "n_genes_detected", "nnz",
    "ngene", "ngenes", "num_genes", "n_features", "total_features_by_counts", "genes_detected", "detected_genes",
    "gene_count", "genecount",
)  # fmt: skip
# A tail in alphabetical order is chance up to this length (ten words: 1 in 3.6 million).
SHORTEST_TAIL = 10
UNKNOWN = "cannot tell"

Paths = str | Path | Sequence[str | Path]


def read(paths: Paths) -> pl.LazyFrame:
    """Scan one or many data sets of sentences: Parquet files, their folders, folders of folders, or patterns.

    Columns ``cell_sentence`` (in files of others: ``gene_sentence_N`` with the largest number, else
    ``gene_sentence_all``), ``age`` in years as a float, ``dataset`` and ``side`` (from the folders; null where there is
    none) come first; all other columns follow. Nothing is read until the table is collected; select the columns you
    need.

    Raises
    ------
    SentenceError
        If there is no file, or a file has no sentences.
    """
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    files = [file for path in listed for file in _find_files(Path(path).expanduser())]
    if not files:
        msg = f"no Parquet file in {', '.join(map(str, listed)) or 'an empty list'}. Give files, folders or patterns."
        raise SentenceError(msg)
    alike: dict[tuple[Any, ...], list[Path]] = {}
    for file in files:
        alike.setdefault((*_place(file), tuple(_read_schema(file).items())), []).append(file)
    frames = [_scan(group, *place, dict(schema)) for (*place, schema), group in alike.items()]
    return pl.concat(frames, how="diagonal_relaxed")


def _find_files(path: Path) -> list[Path]:
    """Return the Parquet files that a path means, sorted: a file, a folder at any depth, or a pattern."""
    if path.is_file():
        return [path]
    if path.is_dir():
        return sorted(file for file in path.rglob("*.parquet") if not file.name.startswith("."))
    return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))


def _read_schema(file: Path) -> dict[str, Any]:
    remedy = "It may be cut short; make or fetch it again."
    # opened here: a name with brackets is no pattern
    with reading(file, fault=SentenceError, remedy=remedy), file.open("rb") as stream:
        return dict(pl.read_parquet_schema(stream))


def _place(file: Path) -> tuple[str | None, str | None]:
    parent = file.absolute().parent
    if parent.name in (TRAIN, TEST):
        return parent.parent.name, parent.name
    return (parent.parent.name if parent.name == "chunks" else parent.name), None


def _scan(files: list[Path], dataset: str | None, side: str | None, schema: dict[str, Any]) -> pl.LazyFrame:
    numbered = [(int(found[1]), name) for name in schema if (found := _NUMBERED.fullmatch(name))]
    likely = [SENTENCE, *(name for _, name in sorted(numbered, reverse=True)), "gene_sentence_all"]
    column = next((name for name in likely if name in schema), None)
    if column is None:
        looked = "cell_sentence, gene_sentence_N, gene_sentence_all"
        msg = f"{files[0]} has no sentences (looked for {looked}); it has: {', '.join(schema)}."
        raise SentenceError(msg)
    words, kind = pl.col(column), schema[column]
    if isinstance(kind, pl.List):
        words, kind = words.list.join(" "), kind.inner
    if kind.is_numeric() or kind.is_nested():
        msg = f"{files[0]}: {column} holds {schema[column]}, not text or lists of words."
        raise SentenceError(msg)
    texts = [name for name, kind in schema.items() if kind in (pl.String, pl.Categorical) and name != column]
    labels = pl.col(texts).cast(pl.String)
    years = pl.col(AGE).cast(pl.Float64, strict=False) if AGE in schema else pl.lit(None, pl.Float64)
    return (
        pl.scan_parquet(files, glob=False)
        .with_columns(pl.when(~labels.is_in(list(NULL_TEXTS))).then(labels))
        .select(
            words.cast(pl.String).alias(SENTENCE),
            years.alias(AGE),
            pl.lit(dataset, pl.String).alias(DATASET),
            pl.lit(side, pl.String).alias(SIDE),
            *(name for name in schema if name not in {SENTENCE, AGE, DATASET, SIDE, column}),
        )
    )


@dataclass(frozen=True)
class Padding:
    """What was found in some cells: how, the words of each that are meant (``keep``), and all its ``words``.

    The ``rule`` is the ``count`` of expressed genes, a tail in the order of the ``alphabet``, or one that is ``constant``
    over cells; ``none`` if nothing was found; ``cannot tell`` if all sentences are of one length and no more is known.
    """

    rule: str
    keep: np.ndarray
    words: np.ndarray

    @property
    def padded_cells(self) -> float | None:
        """Share of cells with words too many; none if that cannot be told."""
        known = len(self.words) and self.rule != UNKNOWN
        return float((self.keep < self.words).mean()) if known else None

    @property
    def padded_words(self) -> float | None:
        """Share of words that are too many; none if that cannot be told."""
        known = self.words.sum() and self.rule != UNKNOWN
        return float(1 - self.keep.sum() / self.words.sum()) if known else None


def find_padding(
    sentences: Sequence[str | None], *, expressed: Sequence[float | None] | None = None
) -> Padding:
    """Find the words of genes that the cells do not express: sentences of others may be filled up with them.

    Where the number of expressed genes is known, it decides. Otherwise two traces of padding are looked for: a long
    tail that runs through the alphabet (up or down), or a long tail that cells share word for word. A fixed order
    among equal values looks like the first, so do not ask this of sentences written by this package: they have none.
    Without a trace, sentences that all have the same number of words may have been filled up in scrambled order, or
    cut: then it cannot be told.

    Examples
    --------
    >>> find_padding(["B A C D", "D A"], expressed=[2, 2]).keep.tolist()
    [2, 2]
    >>> find_padding(["B A C D", "D A C B"]).rule
    'cannot tell'
    """
    split = [(sentence or "").split() for sentence in sentences]
    words = np.array([len(row) for row in split], dtype=np.int64)
    if expressed is not None:
        known = np.array([np.nan if value is None else value for value in expressed], dtype=float)
        keep = np.fmin(words, known).astype(np.int64)
        return Padding("count" if (keep < words).any() else "none", keep, words)
    ordered = np.array([_ordered_tail(row) for row in split], np.int64)
    traces = {"constant": _shared_tails(split), "alphabet": ordered}
    tails = {rule: np.where(tail >= SHORTEST_TAIL, tail, 0) for rule, tail in traces.items()}
    rule = max(tails, key=lambda name: tails[name].sum())
    # padding is a habit of the maker: it is in most cells or in none
    if len(words) and (tails[rule] > 0).mean() > 0.5:
        return Padding(rule, words - tails[rule], words)
    alike = len(words) and words.max() > 0 and (words == words.max()).all()
    return Padding(UNKNOWN if alike else "none", words.copy(), words)


def _ordered_tail(words: list[str]) -> int:
    runs = [_count_first(starmap(holds, pairwise(reversed(words)))) for holds in (operator.gt, operator.lt)]
    return 1 + max(runs) if words else 0


def _shared_tails(split: list[list[str]]) -> np.ndarray:
    # Cells that end alike are neighbors once the sentences are sorted from their end.
    turned = [row[::-1] for row in split]
    order = sorted(range(len(split)), key=turned.__getitem__)
    tails = np.zeros(len(split), dtype=np.int64)
    for one, other in pairwise(order):
        same = _count_first(map(operator.eq, turned[one], turned[other]))
        tails[one], tails[other] = max(tails[one], same), max(tails[other], same)
    return tails


def _count_first(holds: Iterable[bool]) -> int:
    return sum(takewhile(bool, holds))


@dataclass(frozen=True)
class Fit:
    """Expression as a line in the logarithm of the rank: ``intercept + slope * log10(1 + rank)``, ranks from zero.

    Make it with ``Fit(*np.polyfit(np.log10(1 + rank), value, 1))`` on some cells, as Cell2Sentence does [1]_.

    References
    ----------
    .. [1] Levine et al. (2024), ICML, Cell2Sentence: teaching large language models the language of biology

    Examples
    --------
    >>> Fit(slope=-1.0, intercept=3.0).predict([0, 9]).tolist()
    [3.0, 2.0]
    """

    slope: float
    intercept: float

    def predict(self, ranks: Sequence[float] | np.ndarray) -> np.ndarray:
        """Return the expression at ranks counted from zero, never below zero."""
        return np.maximum(self.intercept + self.slope * np.log10(1.0 + np.asarray(ranks, float)), 0.0)


class Cleaned(NamedTuple):
    """Words of a generated sentence that are in the vocabulary, in the order of their ranks, and what was not."""

    words: tuple[str, ...]
    unknown: tuple[str, ...]
    repeats: int


def decode(sentence: str, fit: Fit, *, vocabulary: Iterable[str] | None = None) -> pl.DataFrame:
    """Turn a sentence into expression, one row a gene, ``gene`` and ``expression``; cleaned first, see `clean`."""
    words = clean(sentence, vocabulary).words
    expression = fit.predict(np.arange(len(words)))
    return pl.DataFrame({"gene": pl.Series(words, dtype=pl.String), "expression": expression})


def clean(text: str, vocabulary: Iterable[str] | None = None) -> Cleaned:
    """Find the words of a vocabulary in generated text; one that comes twice counts where it comes first.

    A word in other letter case counts where only one word of the vocabulary is meant; commas and periods at its end are
    removed. The rank of a word is its place among the words found, so that an unknown word does not push the others
    down. Without a vocabulary every word is known.

    Examples
    --------
    >>> clean("MYH7 ttn, XYZ MYH7", ["MYH7", "TTN"])
    Cleaned(words=('MYH7', 'TTN'), unknown=('XYZ',), repeats=1)
    """
    known = None if vocabulary is None else set(vocabulary)
    folded = symbols.fold(known or ())
    words: dict[str, None] = {}
    unknown, repeats = [], 0
    for raw in text.split():
        written = raw if known is None or raw in known else raw.strip(",.;:\"'")
        word = written if known is None or written in known else folded.get(written.upper())
        if word is None:
            unknown.append(raw)
            continue
        repeats += word in words
        words[word] = None
    return Cleaned(tuple(words), tuple(unknown), repeats)
