"""Cells to sentences: the symbols of the expressed genes, the highest value first."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from helpers.sentences import cells, kernels, ranking, symbols
from helpers.sentences.ranking import STANDARD, Encoder, Ranked, Rule

SENTENCE, EXPRESSED = "cell_sentence", "n_expressed"
# Cells that are ranked at a time; also the row group of the files written.
BLOCK = 2_000


@dataclass(frozen=True)
class Encoded:
    """Sentences of all cells with what was counted on the way.

    ``table`` has the barcode, ``cell_sentence``, ``n_expressed`` and one ``gene_sentence_NAME`` a gene list; ``ties``
    counts words whose place the rule decides, see `ranking.count_ties`.
    """

    table: pl.DataFrame
    vocabulary: symbols.Vocabulary
    ties: dict[str, int | float | None]

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
    encoder = Encoder(rule, rule.vocabulary(opened, hgnc=None if hgnc is None else symbols.read_hgnc(hgnc)))
    pieces, statistics = [], [np.zeros((0, kernels.N_STATISTICS), np.int64)]
    for start, stop in slices(opened.n_cells, block):
        names = barcodes(opened, start, stop)
        piece, counts = encode_block(encoder, opened.block(start, stop), barcodes=names)
        pieces.append(piece)
        statistics.append(counts)
    table = pa.concat_tables(pieces) if pieces else cells.table({SENTENCE: cells.text_array([])})
    ties = ranking.add_shares(ranking.count_ties(np.concatenate(statistics)))
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
    empty = Ranked(
        encoder.vocabulary, np.zeros(0, np.int32), np.zeros(1, np.int64),
        np.zeros((0, kernels.N_STATISTICS), np.int64),
    )  # fmt: skip
    pieces = [
        encoder.rank(opened.block(start, stop), barcodes=barcodes(opened, start, stop).to_pylist())
        for start, stop in slices(opened.n_cells, block)
    ] or [empty]
    ends = np.cumsum([0] + [len(piece.words) for piece in pieces])
    starts = [piece.starts[:-1] + end for piece, end in zip(pieces, ends[:-1], strict=True)]
    return Ranked(
        encoder.vocabulary,
        np.concatenate([piece.words for piece in pieces]),
        np.concatenate([*starts, ends[-1:]]).astype(np.int64),
        np.concatenate([piece.statistics for piece in pieces]),
    )


def encode_block(encoder: Encoder, block: cells.Block, *, barcodes: pa.Array) -> tuple[pa.Table, np.ndarray]:
    """Return the sentences of one block as a table, and the statistics of its cells."""
    keys = barcodes.to_pylist() if encoder.rule.ties == symbols.SEEDED else None
    ranked = encoder.rank(block, barcodes=keys)
    columns = {
        "barcode": barcodes,
        SENTENCE: ranked.text(),
        EXPRESSED: cells.masked(ranked.expressed.astype(np.int32)),
    }
    for name, vocabulary in encoder.lists.items():
        columns[f"gene_sentence_{name}"] = encoder.rank(block, barcodes=keys, vocabulary=vocabulary).text()
    return cells.table(columns), ranked.statistics


def barcodes(source: cells.Cells, start: int, stop: int) -> pa.Array:
    """Return the barcodes of a slice of cells."""
    table = source.obs(start, stop, columns=[source.schema.names[0]])
    return table.column(0).combine_chunks()


def slices(size: int, step: int) -> Iterator[tuple[int, int]]:
    """Cut ``range(size)`` into consecutive slices of `step`."""
    for start in range(0, size, step):
        yield start, min(start + step, size)
