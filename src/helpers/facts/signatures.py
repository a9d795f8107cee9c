"""Gene sets of aging: what each stands for, the direction that is claimed, and where the genes come from."""

import difflib
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from helpers.errors import TableError
from helpers.facts import study

CARD_GENES = ("CDKN2A", "TP53")  # the public card says that these rise with age
SHORT, LONG = "ribosome biogenesis (short list)", "ribosome biogenesis (long list)"


def signatures() -> pl.DataFrame:
    """Return the sets: signature, gene, expected (direction claimed with age: up, down, none), source.

    Ribosome biogenesis comes twice: the short list of genes in the study's figure and the long list of its notebooks,
    which also have dissociation stress. The others were put together for this book from genes that the field commonly
    names for each process; replace them with your own by a file of the same columns.
    """
    return study.read("signatures.csv")


def read_sets(path: str | Path = "") -> dict[str, list[str]]:
    """Read gene sets: genes by set, both in the order of the file, each gene once a set.

    The file is a CSV of one row a gene, with columns ``set`` (or ``signature``) and ``gene``; other columns are left
    alone. Without one it is the book's own sets.
    """
    if path and not Path(path).is_file():
        msg = f"no file {path}: give a CSV with columns 'set' and 'gene', or leave the parameter empty."
        raise TableError(msg)
    table = pl.read_csv(path, infer_schema=False, glob=False) if path else signatures()
    named = [column for column in ("set", "signature") if column in table.columns]
    if len(named) != 1 or "gene" not in table.columns:
        found = ", ".join(map(repr, table.columns)) or "none"
        msg = f"{path} has columns {found}: gene sets need 'set' (or 'signature', not both) and 'gene'."
        raise TableError(msg)
    rows = table.select(set=named[0], gene="gene")
    rows = rows.with_columns(pl.all().str.strip_chars().replace("", None))
    empty = rows.with_row_index(offset=1).filter(pl.any_horizontal(pl.all().is_null()))["index"]
    if len(empty):
        msg = f"{path}: {len(empty)} of {rows.height} rows lack a set or a gene, first data row {empty[0]}. Fill or drop them."
        raise TableError(msg)
    return dict(rows.unique(maintain_order=True).group_by("set", maintain_order=True).agg("gene").iter_rows())


def choose_set(sets: Mapping[str, list[str]], wanted: str = "") -> str:
    """Return the name of the set asked for; if none is, the long list, or the first where that is not there."""
    if wanted and wanted not in sets:
        near = difflib.get_close_matches(wanted, sets, n=3) or list(sets)
        msg = f"no gene set is called {wanted!r}; there are {', '.join(map(repr, near))}."
        raise TableError(msg)
    return wanted or (LONG if LONG in sets else next(iter(sets)))
