"""From a sentence, read or generated, back to expression."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from helpers.sentences import symbols

FIRST, MEAN = "first", "mean"


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


@dataclass(frozen=True)
class Cleaned:
    """Words of a generated sentence that are in the vocabulary, with their ranks, and what was not."""

    words: tuple[str, ...]
    ranks: tuple[float, ...]
    unknown: tuple[str, ...]
    repeats: int


def decode(
    sentence: str, fit: Fit, *, vocabulary: Iterable[str] | None = None, repeats: str = FIRST
) -> pl.DataFrame:
    """Turn a sentence into expression: one row a gene, ``gene`` and ``expression``. Options as for `clean`."""
    cleaned = clean(sentence, vocabulary, repeats=repeats)
    return pl.DataFrame(
        {"gene": cleaned.words, "expression": fit.predict(np.array(cleaned.ranks))},
        schema={"gene": pl.String, "expression": pl.Float64},
    )


def decode_all(sentences: Sequence[str], fit: Fit, *, vocabulary: Sequence[str]) -> sparse.csr_matrix:
    """Turn sentences into a sparse matrix, cells x vocabulary (each word once), of float32."""
    column = {word: number for number, word in enumerate(vocabulary)}
    cleaned = [clean(sentence, column) for sentence in sentences]
    lengths = [len(one.words) for one in cleaned]
    rows = np.repeat(np.arange(len(cleaned)), lengths)
    columns = np.array([column[word] for one in cleaned for word in one.words], dtype=np.int32)
    ranks = np.concatenate([np.arange(n) for n in lengths] or [np.zeros(0)])
    values = fit.predict(ranks).astype(np.float32)
    return sparse.csr_matrix((values, (rows, columns)), shape=(len(cleaned), len(column)))


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
    symbols.choose("repeats", repeats, (FIRST, MEAN))
    known = None if vocabulary is None else set(vocabulary)
    folded = symbols.fold(known or ())
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
