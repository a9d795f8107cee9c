"""From a sentence, read or generated, back to expression."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from helpers.sentences import symbols


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
