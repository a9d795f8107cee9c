"""Rows and genes of the files of a release brought to one order, by their names."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from helpers import names
from helpers.atlas import columns
from helpers.errors import ReleaseError


def match_rows(held: pl.Series, wanted: pl.Series, *, origin: Path) -> np.ndarray:
    """Return for each barcode of the sample metadata the row of a file with the same barcode.

    Parameters
    ----------
    held
        Barcodes of the file.
    wanted
        Barcodes of the sample metadata.
    origin
        The file, for messages.

    Raises
    ------
    ReleaseError
        If the file has other barcodes, or those of the metadata are not unique.
    """
    if held.equals(wanted):
        return np.arange(len(wanted))
    twice = wanted.filter(wanted.is_duplicated())
    if len(twice):
        msg = (
            f"{origin.name} has other barcodes than {names.SAMPLE_FILE}, where {len(twice):,} are not unique, first "
            f"{twice[0]!r}: rows cannot be matched. Fetch both files again."
        )
        raise ReleaseError(msg)
    order = pl.DataFrame({"held": held}).with_row_index("row").unique("held", keep="first")
    found = pl.DataFrame({"held": wanted}).join(order, on="held", how="left", maintain_order="left")["row"]
    if found.null_count():
        first = wanted.filter(found.is_null())[0]
        msg = (
            f"{origin.name} lacks {found.null_count():,} of the {len(wanted):,} barcodes of {names.SAMPLE_FILE}, first "
            f"{first!r} (its own first is {held[0]!r}). Files of two releases are mixed in {origin.parent}: fetch it again."
        )
        raise ReleaseError(msg)
    return found.to_numpy().astype(np.int64)


def match_genes(
    frame: pl.DataFrame, wanted: Sequence[str], *, index: str | None
) -> tuple[np.ndarray, str | None]:
    """Return for each gene of the expression its row in the feature table, and the column that says so.

    Parameters
    ----------
    frame
        The feature table.
    wanted
        Genes of the expression.
    index
        The index column of the feature table, if it has one.

    Returns
    -------
    tuple
        Row numbers, and the column by which the genes were brought into order; none where they stand in order.

    Raises
    ------
    ReleaseError
        If no column names all genes of the expression.
    """
    tried = []
    for key in (index, names.GENE_IDS, names.SYMBOL, names.ENSEMBL):
        if key is None or key not in frame.columns:
            continue
        labels = columns.make_unique(frame[key].cast(pl.String).fill_null("").to_list())[0]
        if labels == list(wanted):
            return np.arange(len(labels)), None
        place = {label: i for i, label in enumerate(labels)}
        unmatched = [gene for gene in wanted if gene not in place]
        if not unmatched:
            return np.array([place[gene] for gene in wanted]), key
        tried.append(f"{key} lacks {len(unmatched):,}, first {unmatched[0]!r}")
    msg = (
        f"{names.FEATURE_FILE} does not name the genes of {names.EXPRESSION_FILE}: "
        f"{'; '.join(tried) or 'it has no column of names'}. Fetch both files again."
    )
    raise ReleaseError(msg)
