"""Sentences made by others may go on with genes that the cell does not express: find them."""

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

import numpy as np

COUNT, ALPHABET, CONSTANT, NONE, UNKNOWN = "count", "alphabet", "constant", "none", "cannot tell"
# Columns that say how many genes a cell expresses, as data sets name them, in lower case.
COUNT_COLUMNS = (
    "n_expressed", "n_genes", "n_genes_by_counts", "nfeature_rna", "nfeaturess_rna", "n_genes_detected", "nnz",
    "ngene", "ngenes", "num_genes", "n_features", "total_features_by_counts", "genes_detected", "detected_genes",
    "gene_count", "genecount",
)  # fmt: skip
# A tail in alphabetical order is chance up to this length (ten words: 1 in 3.6 million).
SHORTEST_TAIL = 10


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


def find(sentences: Sequence[str | None], *, expressed: Sequence[float | None] | None = None) -> Padding:
    """Find the words of genes that the cells do not express.

    Where the number of expressed genes is known, it decides. Otherwise two traces of padding are looked for: a long
    tail that runs through the alphabet (up or down), or a long tail that cells share word for word. A fixed order
    among equal values looks like the first, so do not ask this of sentences written by this package: they have none.
    Without a trace, sentences that all have the same number of words may have been filled up in scrambled order, or
    cut: then it cannot be told.

    Examples
    --------
    >>> find(["B A C D", "D A"], expressed=[2, 2]).keep.tolist()
    [2, 2]
    >>> find(["B A C D", "D A C B"]).rule
    'cannot tell'
    """
    split = [(sentence or "").split() for sentence in sentences]
    words = np.array([len(row) for row in split], dtype=np.int64)
    if expressed is not None:
        known = np.array([np.nan if value is None else value for value in expressed], dtype=float)
        keep = np.fmin(words, known).astype(np.int64)
        return Padding(COUNT if (keep < words).any() else NONE, keep, words)
    ordered = np.array([_ordered_tail(row) for row in split], np.int64)
    traces = {CONSTANT: _shared_tails(split), ALPHABET: ordered}
    tails = {rule: np.where(tail >= SHORTEST_TAIL, tail, 0) for rule, tail in traces.items()}
    rule = max(tails, key=lambda name: tails[name].sum())
    # padding is a habit of the maker: it is in most cells or in none
    if len(words) and (tails[rule] > 0).mean() > 0.5:
        return Padding(rule, words - tails[rule], words)
    alike = len(words) and words.max() > 0 and (words == words.max()).all()
    return Padding(UNKNOWN if alike else NONE, words.copy(), words)


def find_counts(columns: Iterable[str]) -> str | None:
    """Return the column that counts the expressed genes of a cell, in whatever letter case; none if there is none."""
    found = {column.lower(): column for column in reversed(list(columns))}
    return next((found[name] for name in COUNT_COLUMNS if name in found), None)


def _ordered_tail(words: list[str]) -> int:
    runs = [_count_first(pairwise(reversed(words)), holds) for holds in (operator.gt, operator.lt)]
    return 1 + max(runs) if words else 0


def _shared_tails(split: list[list[str]]) -> np.ndarray:
    # Cells that end alike are neighbors once the sentences are sorted from their end.
    turned = [row[::-1] for row in split]
    order = sorted(range(len(split)), key=turned.__getitem__)
    tails = np.zeros(len(split), dtype=np.int64)
    for one, other in pairwise(order):
        same = _count_first(zip(turned[one], turned[other], strict=False), operator.eq)
        tails[one], tails[other] = max(tails[one], same), max(tails[other], same)
    return tails


def _count_first(pairs: Iterable[tuple[str, str]], holds: Callable[[str, str], bool]) -> int:
    """Count the pairs at the start of which something holds."""
    return sum(1 for _ in takewhile(lambda pair: holds(*pair), pairs))
