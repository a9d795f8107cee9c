"""Cells to sentences: the symbols of the expressed genes, the highest value first."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from helpers.errors import SentenceError
from helpers.sentences import arrow, cells, kernels, symbols
from helpers.sentences import hgnc as hgnc_table
from helpers.sentences.ties import TieReport

SENTENCE = "cell_sentence"
# Cells that are ranked at a time; also the row group of the files written.
BLOCK = 2_000
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
        ``"sum"`` or ``"first"``: columns that share a word.
    symbol_column
        Column of the gene table that holds the symbols; none: found, see `symbols.build`.
    gene_lists
        Named lists of symbols; each gives a further sentence of its genes alone.
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
        if self.ties not in TIES:
            msg = f"ties is {self.ties!r}; choose one of {', '.join(map(repr, TIES))}."
            raise SentenceError(msg)

    def vocabulary(
        self, source: cells.Cells, *, hgnc: hgnc_table.Nomenclature | None = None
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
        lengths = np.diff(self.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        at = np.arange(starts[-1]) + np.repeat(self.starts[:-1][rows] - starts[:-1], lengths)
        return Ranked(self.vocabulary, self.words[at], starts, self.statistics[rows])

    @property
    def expressed(self) -> np.ndarray:
        """Genes above zero in each cell, before the cut at `top_n`."""
        return self.statistics[:, kernels.EXPRESSED]


class Encoder:
    """A rule applied to one source: vocabulary and keys made once, blocks ranked on demand."""

    def __init__(self, rule: Rule, vocabulary: symbols.Vocabulary) -> None:
        self.rule, self.vocabulary = rule, vocabulary

    @cached_property
    def _word_keys(self) -> np.ndarray:
        if self.rule.ties != symbols.SEEDED:
            return np.zeros(0, np.uint64)
        return stable_keys(self.vocabulary.words)

    def rank(
        self,
        block: cells.Block,
        *,
        barcodes: Sequence[str] | None = None,
        vocabulary: symbols.Vocabulary | None = None,
    ) -> Ranked:
        """Rank the words of a block of cells.

        Parameters
        ----------
        block
            CSR arrays, from `cells.Cells.block`.
        barcodes
            One a cell; needed for the seeded order only.
        vocabulary
            A subset of the encoder's, for a gene list; none: all words.
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

    @cached_property
    def lists(self) -> dict[str, symbols.Vocabulary]:
        """The vocabulary of each gene list."""
        upper = self.rule.case == symbols.UPPER
        return {
            name: self.vocabulary.subset([gene.upper() if upper else gene for gene in genes])
            for name, genes in self.rule.gene_lists.items()
        }


@dataclass(frozen=True)
class Encoded:
    """Sentences of all cells with what was counted on the way.

    ``table`` has the barcode, ``cell_sentence``, ``n_expressed`` and one ``gene_sentence_NAME`` a gene list.
    """

    table: pl.DataFrame
    vocabulary: symbols.Vocabulary
    ties: TieReport

    @property
    def sentences(self) -> list[str]:
        """The sentences, one a cell."""
        return self.table[SENTENCE].to_list()


def encode(source: Any, *, rule: Rule = STANDARD, hgnc: Path | None = None, block: int = BLOCK) -> Encoded:
    """Make a sentence of every cell.

    Only genes with a finite value above zero enter. The sentence of a cell does not depend on other cells, on how
    the matrix is stored, or on `block`.

    Parameters
    ----------
    source
        AnnData (CSR, CSC or dense; in memory or backed) or the path of an .h5ad file.
    rule
        How a cell becomes a sentence, such as ``Rule(top_n=200)``.
    hgnc
        HGNC table for identifiers and outdated symbols.
    block
        Cells ranked at a time.

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
    opened = cells.open_cells(source, layer=rule.layer)
    encoder = Encoder(
        rule, rule.vocabulary(opened, hgnc=None if hgnc is None else hgnc_table.read_hgnc(hgnc))
    )
    ties = TieReport()
    pieces = []
    for start, stop in slices(opened.n_cells, block):
        piece, statistics = encode_block(
            encoder, opened.block(start, stop), barcodes=barcodes(opened, start, stop)
        )
        ties.add(statistics)
        pieces.append(piece)
    table = pa.concat_tables(pieces) if pieces else arrow.table({SENTENCE: arrow.text_array([])})
    return Encoded(pl.DataFrame(pl.from_arrow(table)), encoder.vocabulary, ties)


def rank(source: Any, *, rule: Rule = STANDARD, block: int = BLOCK) -> Ranked:
    """Return the ranked words of every cell as numbers, for work on sentences that needs no text.

    Parameters
    ----------
    source
        AnnData or path of an .h5ad file.
    rule
        How a cell becomes a sentence.
    block
        Cells ranked at a time.
    """
    opened = cells.open_cells(source, layer=rule.layer)
    encoder = Encoder(rule, rule.vocabulary(opened))
    seeded = rule.ties == symbols.SEEDED
    pieces = [
        encoder.rank(
            opened.block(start, stop), barcodes=barcodes(opened, start, stop).to_pylist() if seeded else None
        )
        for start, stop in slices(opened.n_cells, block)
    ]
    ends = np.cumsum([0] + [len(piece.words) for piece in pieces])
    starts = [piece.starts[:-1] + end for piece, end in zip(pieces, ends[:-1], strict=True)]
    return Ranked(
        encoder.vocabulary,
        np.concatenate([piece.words for piece in pieces] or [np.zeros(0, np.int32)]),
        np.concatenate([*starts, ends[-1:]]).astype(np.int64),
        np.concatenate(
            [piece.statistics for piece in pieces] or [np.zeros((0, kernels.N_STATISTICS), np.int64)]
        ),
    )


def report(ranked: Ranked) -> TieReport:
    """Return how much of the text of ranked cells the order among equal values decides."""
    found = TieReport()
    found.add(ranked.statistics)
    return found


def explain(source: Any, cell: int, *, rule: Rule = STANDARD) -> pl.DataFrame:
    """Return how one cell becomes its sentence: place, word, value, and how many genes share the value.

    Parameters
    ----------
    source
        AnnData or path of an .h5ad file.
    cell
        Row of the cell.
    rule
        How a cell becomes a sentence; columns of one word are shown as their sum.
    """
    opened = cells.open_cells(source, layer=rule.layer)
    encoder = Encoder(rule, rule.vocabulary(opened))
    block = opened.block(cell, cell + 1)
    ranked = encoder.rank(block, barcodes=barcodes(opened, cell, cell + 1).to_pylist())
    _, columns, values = block
    word = encoder.vocabulary.word_of_column[columns]
    kept = (word >= 0) & (values > 0) & np.isfinite(values)
    total = np.bincount(word[kept], weights=values[kept], minlength=len(encoder.vocabulary.words))
    found = total[ranked.words]
    same = np.unique(total[total > 0], return_counts=True)
    return pl.DataFrame(
        {
            "place": np.arange(1, len(found) + 1),
            "word": [encoder.vocabulary.words[i] for i in ranked.words],
            "value": found,
            "genes_of_this_value": same[1][np.searchsorted(same[0], found)],
        }
    )


def encode_block(encoder: Encoder, block: cells.Block, *, barcodes: pa.Array) -> tuple[pa.Table, np.ndarray]:
    """Return the sentences of one block as a table, and the statistics of its cells."""
    keys = barcodes.to_pylist() if encoder.rule.ties == symbols.SEEDED else None
    ranked = encoder.rank(block, barcodes=keys)
    columns = {
        "barcode": barcodes,
        SENTENCE: ranked.text(),
        "n_expressed": arrow.masked(ranked.expressed.astype(np.int32)),
    }
    for name, vocabulary in encoder.lists.items():
        columns[f"gene_sentence_{name}"] = encoder.rank(block, barcodes=keys, vocabulary=vocabulary).text()
    return arrow.table(columns), ranked.statistics


def barcodes(source: cells.Cells, start: int, stop: int) -> pa.Array:
    """Return the barcodes of a slice of cells."""
    table = source.obs(start, stop, columns=[source.schema.names[0]])
    return table.column(0).combine_chunks()


def slices(size: int, step: int) -> Iterator[tuple[int, int]]:
    """Cut ``range(size)`` into consecutive slices of `step`."""
    for start in range(0, size, step):
        yield start, min(start + step, size)


def stable_keys(texts: Sequence[str]) -> np.ndarray:
    """Return a 64-bit key of each text that is the same in every run and on every machine."""
    return np.array(
        [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") for text in texts],
        np.uint64,
    )
