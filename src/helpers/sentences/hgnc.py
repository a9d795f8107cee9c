"""The user's table of approved gene symbols, their older names and identifiers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from helpers.errors import SentenceError

HGNC_COLUMNS = ("symbol", "ensembl_gene_id", "prev_symbol", "alias_symbol")


@dataclass(frozen=True)
class Nomenclature:
    """Approved symbols with the older names and the identifiers that lead to them (an HGNC file)."""

    approved: frozenset[str] = frozenset()
    by_ensembl: Mapping[str, str] = field(default_factory=dict)
    by_previous: Mapping[str, str | None] = field(default_factory=dict)
    by_alias: Mapping[str, str | None] = field(default_factory=dict)


def read_hgnc(path: Path) -> Nomenclature:
    """Read an HGNC table that the user has: tab-separated text or Parquet.

    Parameters
    ----------
    path
        Columns symbol, ensembl_gene_id, prev_symbol, alias_symbol; several names in one field are joined by ``|``.

    Raises
    ------
    SentenceError
        If the file cannot be read or lacks a column.
    """
    path = Path(path)
    try:
        table = (
            pl.read_parquet(path, glob=False)
            if path.suffix == ".parquet"
            else pl.read_csv(path, separator="\t", infer_schema=False, glob=False)
        )
    except (OSError, pl.exceptions.PolarsError) as problem:
        msg = f"{path} cannot be read as an HGNC table: {problem}. Give the complete set as tab-separated text or Parquet."
        raise SentenceError(msg) from problem
    if missing := [column for column in HGNC_COLUMNS if column not in table.columns]:
        msg = f"{path} lacks the HGNC columns {', '.join(missing)}; it has {', '.join(table.columns[:8])}."
        raise SentenceError(msg)
    rows = table.select(HGNC_COLUMNS).drop_nulls("symbol")
    approved = frozenset(rows["symbol"])
    return Nomenclature(
        approved,
        {gene: symbol for symbol, gene in rows.select("symbol", "ensembl_gene_id").drop_nulls().iter_rows()},
        _older_names(rows, "prev_symbol", approved),
        _older_names(rows, "alias_symbol", approved),
    )


def _older_names(rows: pl.DataFrame, column: str, approved: frozenset[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for symbol, older in rows.select("symbol", column).drop_nulls().iter_rows():
        for name in older.split("|"):
            if name not in approved:
                found[name] = symbol if found.get(name, symbol) == symbol else None
    return found
