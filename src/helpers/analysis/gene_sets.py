"""Gene sets from a file: one format for every chapter, read in one place."""

from pathlib import Path

import polars as pl

from helpers.errors import TableError

SET, GENE = "set", "gene"
ALIAS = "signature"  # the other spelling of the first column


def read(path: str | Path) -> dict[str, list[str]]:
    """Read gene sets from a CSV of one row a gene.

    Parameters
    ----------
    path
        CSV with columns ``set`` (name of the set) and ``gene`` (symbol). ``signature`` is taken for ``set``; other
        columns are left alone.

    Returns
    -------
    dict
        Genes by set, both in the order of the file, each gene once a set.

    Raises
    ------
    TableError
        If there is no such file, it lacks a column, has both spellings of one, or leaves a set or gene empty.
    """
    if not Path(path).is_file():
        msg = f"no file {path}: give a CSV with columns 'set' and 'gene', or leave the parameter empty."
        raise TableError(msg)
    return split(pl.read_csv(path, infer_schema=False), source=str(path))


def split(table: pl.DataFrame, *, source: str = "the table") -> dict[str, list[str]]:
    """Turn a table of sets and genes, as `read` describes it, into genes by set.

    Parameters
    ----------
    table
        Columns ``set`` (or ``signature``) and ``gene``.
    source
        What the table is called in a message.

    Raises
    ------
    TableError
        As `read`.

    Examples
    --------
    >>> split(pl.DataFrame({"signature": ["a", "a", "b"], "gene": ["G2", "G1", "G2"]}))
    {'a': ['G2', 'G1'], 'b': ['G2']}
    """
    named = [column for column in (SET, ALIAS) if column in table.columns]
    if len(named) != 1 or GENE not in table.columns:
        found = ", ".join(map(repr, table.columns)) or "none"
        msg = f"{source} has columns {found}: gene sets need 'set' (or 'signature', not both) and 'gene'."
        raise TableError(msg)
    rows = table.select(
        pl.col(column).cast(pl.String).str.strip_chars().replace("", None).alias(name)
        for column, name in ((named[0], SET), (GENE, GENE))
    )
    empty = rows.with_row_index().filter(pl.any_horizontal(pl.all().is_null()))
    if empty.height:
        msg = (
            f"{source}: {empty.height} of {rows.height} rows lack a set or a gene, first data row "
            f"{empty['index'][0] + 1}. Fill or drop them."
        )
        raise TableError(msg)
    return dict(rows.unique(maintain_order=True).group_by(SET, maintain_order=True).agg(GENE).iter_rows())
