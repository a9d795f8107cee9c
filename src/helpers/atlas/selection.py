"""Cells and genes asked for, found in an atlas or refused."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from helpers import names
from helpers.atlas import columns
from helpers.errors import TableError

Choice = pl.Expr | pl.Series | np.ndarray | Sequence[bool]


def places(var: pl.DataFrame) -> dict[str, int]:
    """Return every name of a gene with its place: names as in `var` first, then symbols, then Ensembl ids."""
    place: dict[str, int] = {}
    for key in (names.GENE, names.SYMBOL, names.ENSEMBL):
        for i, gene in enumerate(var[key].to_list()):
            if gene is not None:
                place.setdefault(gene, i)
    return place


def find_genes(genes: str | Sequence[str], place: Mapping[str, int], *, origin: str) -> list[int]:
    """Return the places of genes, each once, in the order asked for.

    Parameters
    ----------
    genes
        Symbols or Ensembl ids.
    place
        From `places`.
    origin
        Name of the source, for the message.

    Raises
    ------
    TableError
        If a gene is unknown; the message names the nearest.
    """
    wanted = [genes] if isinstance(genes, str) else list(genes)
    unknown = [gene for gene in wanted if gene not in place]
    if unknown:
        near = [
            f"{gene!r} (nearest: {', '.join(columns.nearest(gene, place)) or 'none'})" for gene in unknown[:5]
        ]
        msg = (
            f"{len(unknown):,} of {len(wanted):,} genes are not in {origin}: {', '.join(near)}. "
            f"Use the names in atlas.var[{names.GENE!r}] or Ensembl ids."
        )
        raise TableError(msg)
    return list(dict.fromkeys(place[gene] for gene in wanted))  # a gene asked for twice comes once


def choose_cells(cells: Choice | None, obs: pl.DataFrame, *, origin: str) -> np.ndarray | None:
    """Return the rows of chosen cells; none where that is all of them.

    Parameters
    ----------
    cells
        A polars expression over `obs`, or one truth value a cell; none for all.
    obs
        One row a cell.
    origin
        Name of the source, for the message.

    Raises
    ------
    TableError
        If `cells` does not choose cells of this table.
    """
    if cells is None:
        return None
    if isinstance(cells, pl.Expr):
        try:
            mask = obs.select(cells).to_series()
        except pl.exceptions.PolarsError as problem:
            msg = f"the choice of cells cannot be made: {problem}. Columns are {', '.join(obs.columns)}."
            raise TableError(msg) from problem
    else:
        mask = pl.Series(np.asarray(cells))
    if mask.dtype != pl.Boolean or len(mask) != obs.height:
        msg = (
            f"cells must be one truth value for each of the {obs.height:,} cells, "
            f"but it is {len(mask):,} values of type {mask.dtype}. Use an expression such as pl.col('Sex') == 'M'."
        )
        raise TableError(msg)
    rows = np.flatnonzero(mask.fill_null(value=False).to_numpy())
    if not rows.size:
        msg = f"no cell of {origin} fits the choice of cells. Check the labels in atlas.obs."
        raise TableError(msg)
    return None if rows.size == obs.height else rows
