"""The order of the words of a cell: the rule, the words ranked under it, and what decides between equal values."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
from scipy import sparse

from helpers.errors import SentenceError
from helpers.sentences import cells, kernels, symbols

TIES = (symbols.SYMBOL_ORDER, symbols.FILE_ORDER, symbols.SEEDED)


@dataclass(frozen=True)
class Rule:
    """How a cell becomes a sentence. Checks itself.

    Parameters
    ----------
    top_n
        Words of a sentence at most; 0: all expressed genes.
    ties
        Order among equal values: ``"symbol"`` by code point, the same for every file; ``"file"``, the order of the
        gene axis; ``"seeded"``, a random order for each cell that depends on seed, barcode and symbol only.
    seed
        Of the seeded order.
    layer
        ``"X"``, ``"raw"`` or the name of a layer.
    case
        ``"given"`` or ``"upper"``.
    duplicates
        Columns that share a word: ``"sum"`` adds their molecules (logarithms are undone first), ``"first"`` takes one.
    symbol_column
        Column of the gene table that holds the symbols; none: found, see `symbols.build`.
    gene_lists
        Named lists of symbols or Ensembl identifiers; each gives a further sentence of its genes alone.
    """

    top_n: int = 2_000
    ties: str = symbols.SYMBOL_ORDER
    seed: int = 0
    layer: str = cells.X
    case: str = symbols.GIVEN
    duplicates: str = symbols.SUM
    symbol_column: str | None = None
    gene_lists: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.top_n < 0:
            msg = f"top_n is {self.top_n}; give the most words a sentence may have, or 0 for all expressed genes."
            raise SentenceError(msg)
        symbols.choose("ties", self.ties, TIES)

    def vocabulary(
        self, source: cells.Cells, *, hgnc: symbols.Nomenclature | None = None
    ) -> symbols.Vocabulary:
        """Return the words of the genes of `source` under this rule."""
        return symbols.build(
            source.genes,
            source.gene_columns(),
            symbol_column=self.symbol_column,
            hgnc=hgnc,
            case=self.case,
            duplicates=self.duplicates,
            order=symbols.FILE_ORDER if self.ties == symbols.FILE_ORDER else symbols.SYMBOL_ORDER,
        )


STANDARD = Rule()


@dataclass(frozen=True)
class Ranked:
    """The ranked words of some cells: word numbers, where each cell starts, statistics by cell."""

    vocabulary: symbols.Vocabulary
    words: np.ndarray
    starts: np.ndarray
    statistics: np.ndarray

    def text(self) -> pa.Array:
        """Return one sentence a cell; a cell without expressed genes has an empty one."""
        letters, word_starts = self.vocabulary.letters
        offsets = kernels.measure_text(self.words, self.starts, np.diff(word_starts))
        text = np.empty(int(offsets[-1]), np.uint8)
        kernels.write_text(self.words, self.starts, offsets, letters, word_starts, text)
        size = len(self.starts) - 1
        if offsets[-1] >= 2**31:
            return pa.LargeStringArray.from_buffers(size, pa.py_buffer(offsets), pa.py_buffer(text))
        return pa.StringArray.from_buffers(size, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(text))

    def take(self, rows: np.ndarray) -> "Ranked":
        """Return some of the cells, in the order of `rows`."""
        rows = np.asarray(rows, dtype=np.int64)
        at, starts = self._places(rows, np.diff(self.starts)[rows])
        return Ranked(self.vocabulary, self.words[at], starts, self.statistics[rows])

    def presence(self, top: int) -> sparse.csr_matrix:
        """Return which words are among the first `top` of each cell: a sparse table, cells x words, of ones."""
        rows = np.arange(len(self.starts) - 1)
        at, starts = self._places(rows, np.minimum(np.diff(self.starts), top))
        shape = (len(rows), len(self.vocabulary.words))
        return sparse.csr_matrix((np.ones(len(at), np.float32), self.words[at], starts), shape=shape)

    @property
    def expressed(self) -> np.ndarray:
        """Genes above zero in each cell, before the cut at `top_n`."""
        return self.statistics[:, kernels.EXPRESSED]

    def _places(self, rows: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return np.arange(starts[-1]) + np.repeat(self.starts[:-1][rows] - starts[:-1], lengths), starts


class Encoder:
    """A rule applied to one source: vocabulary and keys made once, blocks ranked on demand."""

    def __init__(self, rule: Rule, vocabulary: symbols.Vocabulary) -> None:
        self.rule, self.vocabulary = rule, vocabulary

    @cached_property
    def _word_keys(self) -> np.ndarray:
        if self.rule.ties != symbols.SEEDED:
            return np.zeros(0, np.uint64)
        return stable_keys(self.vocabulary.words)

    @cached_property
    def lists(self) -> dict[str, symbols.Vocabulary]:
        """The vocabulary of each gene list."""
        return {name: self.vocabulary.subset(genes)[0] for name, genes in self.rule.gene_lists.items()}

    def rank(
        self,
        block: cells.Block,
        *,
        barcodes: Sequence[str] | None = None,
        vocabulary: symbols.Vocabulary | None = None,
    ) -> Ranked:
        """Rank the words of a block of cells, as `cells.Cells.block` gives it.

        `barcodes`, one a cell, are needed for the seeded order only; `vocabulary` is that of a gene list.
        """
        starts, columns, values = block
        words = vocabulary or self.vocabulary
        seeded = self.rule.ties == symbols.SEEDED
        cell_keys = stable_keys(barcodes or ()) if seeded else np.zeros(1, np.uint64)
        # a gene list is never cut: its point is that all of its expressed genes are there
        most = self.rule.top_n if self.rule.top_n and vocabulary is None else len(words.words)
        ranked = kernels.rank_words(
            starts, columns, values, words.word_of_column, most, np.uint64(self.rule.seed % 2**64),
            cell_keys, self._word_keys, len(words.words),
        )  # fmt: skip
        return Ranked(words, *ranked)


def count_ties(statistics: np.ndarray) -> dict[str, int]:
    """Count how much of the text the order among equal values decides, and which values were left out."""
    total = statistics.sum(axis=0)
    expressed, written = statistics[:, kernels.EXPRESSED], statistics[:, kernels.WRITTEN]
    found = {
        "cells": len(statistics),
        "empty_cells": (expressed == 0).sum(),
        "cells_cut": (written < expressed).sum(),
        "cells_cut_within_a_tie": total[kernels.CUT_IN_TIE],
        "expressed": total[kernels.EXPRESSED],
        "words": total[kernels.WRITTEN],
        "words_in_ties": total[kernels.TIED],
        "top_words": total[kernels.TOP],
        "top_words_in_ties": total[kernels.TOP_TIED],
        "values_not_finite": total[kernels.NOT_FINITE],
        "values_negative": total[kernels.NEGATIVE],
        "values_stored_zero": total[kernels.STORED_ZERO],
    }
    return {key: int(value) for key, value in found.items()}


def add_shares(ties: Mapping[str, int]) -> dict[str, int | float | None]:
    """Add the share of words that stand in ties: of all, and of the first 200 of each cell."""
    tied, top = ties["words_in_ties"], ties["top_words_in_ties"]
    return {
        **ties,
        "tied_share": tied / ties["words"] if ties["words"] else None,
        "tied_share_of_top": top / ties["top_words"] if ties["top_words"] else None,
    }


def stable_keys(texts: Sequence[str]) -> np.ndarray:
    """Return a 64-bit key of each text that is the same in every run and on every machine."""
    keys = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(keys), "<u8").astype(np.uint64)
