"""From a sentence, read or generated, back to expression."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from helpers.errors import SentenceError
from helpers.sentences.fitting import Fit

FIRST, MEAN = "first", "mean"


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
    """Turn a sentence into expression: one row a gene, ``gene`` and ``expression``.

    Parameters
    ----------
    sentence
        Words joined by spaces, read or generated.
    fit
        From `fitting.fit`.
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
        From `fitting.fit`.
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


def _folded(words: Iterable[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for word in words:
        found[word.upper()] = None if word.upper() in found else word
    return found
