"""Cells to sentences: the symbols of the expressed genes, the highest value first, by a rule that decides between ties."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from helpers.sentences import cells, kernels, symbols
from helpers.sentences.symbols import STANDARD, Rule

SENTENCE, EXPRESSED = "cell_sentence", "n_expressed"
# Cells that are ranked at a time: as few as keep the compiled loops busy, since their words stand in memory.
BLOCK = 250


@dataclass(frozen=True)
class Ranked:
    """The ranked words of some cells: word numbers, where each cell starts, statistics by cell."""

    vocabulary: symbols.Vocabulary
    words: np.ndarray
    starts: np.ndarray
    statistics: np.ndarray

    @property
    def expressed(self) -> np.ndarray:
        """Genes above zero in each cell, before the cut at `top_n`."""
        return self.statistics[:, kernels.EXPRESSED]

    def text(self) -> pa.Array:
        """Return one sentence a cell; a cell without expressed genes has an empty one."""
        large = pa.large_string()  # the text of many cells may pass 2 GiB
        words = pa.array(self.vocabulary.words, large).take(pa.array(self.words))
        starts = pa.array(self.starts, pa.int64())
        return pc.binary_join(pa.LargeListArray.from_arrays(starts, words), pa.scalar(" ", large))

    def take(self, rows: np.ndarray) -> "Ranked":
        """Return some of the cells, in the order of `rows`."""
        shape = (len(self.starts) - 1, len(self.vocabulary.words))
        chosen = sparse.csr_matrix((self.words, self.words, self.starts), shape=shape)[rows]
        return Ranked(self.vocabulary, chosen.indices, chosen.indptr, self.statistics[rows])

    def presence(self, top: int) -> sparse.csr_matrix:
        """Return which words are among the first `top` of each cell: a sparse table, cells x words, of ones."""
        lengths = np.diff(self.starts)
        place = np.arange(len(self.words)) - np.repeat(self.starts[:-1], lengths)
        words = self.words[place < top]
        starts = np.concatenate([[0], np.cumsum(np.minimum(lengths, top))])
        shape = (len(lengths), len(self.vocabulary.words))
        return sparse.csr_matrix((np.ones(len(words), np.float32), words, starts), shape=shape)


class Encoder:
    """A rule applied to one source: vocabulary and keys made once, blocks ranked on demand."""

    def __init__(self, rule: Rule, source: cells.Cells, hgnc: symbols.Nomenclature | None = None) -> None:
        self.rule = rule
        self.vocabulary = symbols.build(source.genes, source.gene_columns, rule, hgnc)
        self.lists = {name: self.vocabulary.subset(genes)[0] for name, genes in rule.gene_lists.items()}
        self.word_keys = _stable_keys(self.vocabulary.words if rule.ties == "seeded" else ())

    def encode(self, block: sparse.csr_matrix, barcodes: pa.Array) -> tuple[dict[str, pa.Array], np.ndarray]:
        """Return the sentences of one block by the name of their column, and the statistics of its cells."""
        ranked = self.rank(block, barcodes)
        columns = {SENTENCE: ranked.text(), EXPRESSED: pa.array(ranked.expressed.astype(np.int32))}
        for name, vocabulary in self.lists.items():
            columns[f"gene_sentence_{name}"] = self.rank(block, barcodes, vocabulary).text()
        return columns, ranked.statistics

    def rank(
        self, block: sparse.csr_matrix, barcodes: pa.Array, vocabulary: symbols.Vocabulary | None = None
    ) -> Ranked:
        """Rank the words of a block of cells, all of them or those of a gene list."""
        words = vocabulary or self.vocabulary
        seeded = self.rule.ties == "seeded"
        cell_keys = _stable_keys(barcodes.to_pylist()) if seeded else np.zeros(1, np.uint64)
        # a gene list is never cut: its point is that all of its expressed genes are there
        most = self.rule.top_n if self.rule.top_n and vocabulary is None else len(words.words)
        ranked = kernels.rank_words(
            block.indptr.astype(np.int64), block.indices.astype(np.int32, copy=False), block.data,
            words.word_of_column, most, np.uint64(self.rule.seed % 2**64), cell_keys, self.word_keys,
            len(words.words),
        )  # fmt: skip
        return Ranked(words, *ranked)


@dataclass(frozen=True)
class Encoded:
    """Sentences of all cells, and how many words the rule decides the place of, see `count_ties`.

    ``table`` has the barcode, ``cell_sentence``, ``n_expressed`` and one ``gene_sentence_NAME`` a gene list.
    """

    table: pl.DataFrame
    ties: dict[str, int | float | None]

    @property
    def sentences(self) -> list[str]:
        """The sentences, one a cell."""
        return self.table[SENTENCE].to_list()


def encode(source: Any, *, rule: Rule = STANDARD, block: int = BLOCK) -> Encoded:
    """Make a sentence of every cell.

    Only genes with a finite value above zero enter. The sentence of a cell does not depend on other cells, on how
    the matrix is stored, or on `block`, the cells ranked at a time.

    Parameters
    ----------
    source
        AnnData (CSR, CSC or dense; in memory or backed) or the path of an .h5ad file.

    Raises
    ------
    SentenceError
        If the source cannot be read or has no symbols.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> adata = anndata.AnnData(np.array([[0, 3.0, 1.0]]), var=pd.DataFrame(index=["TTN", "MYH7", "ACTA1"]))
    >>> encode(adata).sentences
    ['MYH7 ACTA1']
    """
    opened = cells.open_cells(source, rule.layer)
    encoder = Encoder(rule, opened)
    made = [(barcodes, *encoder.encode(values, barcodes)) for values, barcodes in _blocks(opened, block)]
    table = pa.concat_tables(pa.table({"barcode": barcodes, **columns}) for barcodes, columns, _ in made)
    statistics = np.concatenate([counts for *_, counts in made])
    return Encoded(pl.DataFrame(pl.from_arrow(table)), add_shares(count_ties(statistics)))


def rank(source: Any, *, rule: Rule = STANDARD) -> Ranked:
    """Return the ranked words of every cell as numbers, for work on sentences that needs no text; see `encode`."""
    opened = cells.open_cells(source, rule.layer)
    encoder = Encoder(rule, opened)
    pieces = [encoder.rank(values, barcodes) for values, barcodes in _blocks(opened, BLOCK)]
    lengths = np.concatenate([np.diff(piece.starts) for piece in pieces])
    return Ranked(
        encoder.vocabulary,
        np.concatenate([piece.words for piece in pieces]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate([piece.statistics for piece in pieces]),
    )


def count_ties(statistics: np.ndarray) -> dict[str, int]:
    """Count how much of the text the order among equal values decides, and which values were left out."""
    expressed, written = statistics[:, kernels.EXPRESSED], statistics[:, kernels.WRITTEN]
    found = {
        "cells": len(statistics),
        "empty_cells": (expressed == 0).sum(),
        "cells_cut": (written < expressed).sum(),
        **dict(zip(kernels.STATISTICS, statistics.sum(axis=0), strict=True)),
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


def _blocks(source: cells.Cells, size: int) -> Iterator[tuple[sparse.csr_matrix, pa.Array]]:
    """Give the cells with their barcodes, `size` at a time; one empty block where there are none."""
    for start in range(0, max(source.n_cells, 1), size):
        stop = min(start + size, source.n_cells)
        barcodes = source.obs(start, stop, source.schema.names[:1]).column(0)
        yield source.block(start, stop), barcodes


def _stable_keys(texts: Sequence[str]) -> np.ndarray:
    """Return a 64-bit key of each text that is the same in every run and on every machine."""
    keys = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(keys), "<u8").astype(np.uint64)
