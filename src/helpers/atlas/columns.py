"""Cell and gene tables of any source, brought to the columns and types of the release."""

import difflib
import json
from collections.abc import Iterable, Sequence

import pandas as pd
import polars as pl
import pyarrow as pa
from anndata.utils import make_index_unique

from helpers import names
from helpers.errors import ReleaseError

TYPES: dict[str, pl.DataType] = {
    **dict.fromkeys(names.LABEL_COLUMNS, pl.String()),
    **dict.fromkeys(names.QUALITY_COLUMNS, pl.Float64()),
    names.N_GENES: pl.Int64(),
    names.AGE_MIDPOINT: pl.Float64(),
}
FEATURE_TYPES: dict[str, pl.DataType] = {
    names.ENSEMBL: pl.String(),
    names.SYMBOL: pl.String(),
    names.N_CELLS: pl.Int64(),
    names.GENE_IDS: pl.String(),
}
INDEX_NAMES = (
    names.INDEX_COLUMN,
    names.BARCODE,
    "barcodes",
    "index",
    "_index",
    "cell_id",
    "cell",
    "CellID",
    "Unnamed: 0",
    "",
)


def nearest(word: str, known: Iterable[str], *, most: int = 3) -> list[str]:
    """Return the known words most like `word`, best first.

    Parameters
    ----------
    word
        What was asked for.
    known
        What there is.
    most
        Words to return at most.

    Examples
    --------
    >>> nearest("MYH77", ["MYH7", "TTN", "MYH2"])
    ['MYH7', 'MYH2']
    """
    folded: dict[str, str] = {}
    for name in known:
        folded.setdefault(name.casefold(), name)
    return [folded[hit] for hit in difflib.get_close_matches(word.casefold(), folded, n=most, cutoff=0.6)]


def make_unique(labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return `labels` made unique the way anndata does, and those that came more than once."""
    index = pd.Index(labels, dtype=object)
    if index.is_unique:
        return list(labels), []
    return list(make_index_unique(index)), sorted(set(index[index.duplicated()]))


def find_index(schema: pa.Schema, *, known: Iterable[str]) -> str | None:
    """Return the column that pandas or another writer used as the row index, or none.

    Parameters
    ----------
    schema
        Arrow schema of the file, with the pandas block if it has one.
    known
        Columns that are data whatever their name.
    """
    data = set(known)
    columns = set(schema.names) - data
    block = (schema.metadata or {}).get(b"pandas")
    if block:
        for name in json.loads(block).get("index_columns", []):
            if isinstance(name, str) and name in columns:
                return name
    return next((name for name in INDEX_NAMES if name in columns), None)


def type_columns(
    frame: pl.DataFrame, types: dict[str, pl.DataType], *, origin: str
) -> tuple[pl.DataFrame, list[str]]:
    """Return `frame` with the columns of `types` first and typed, and those that it does not have.

    Parameters
    ----------
    frame
        Any table; columns that `types` does not name follow unchanged, categories as strings.
    types
        Columns wanted and their types; those that `frame` lacks are added as nulls.
    origin
        What the table is, for the message.

    Raises
    ------
    ReleaseError
        If values of a column cannot be given its type: all such columns at once.
    """
    missing = [name for name in types if name not in frame.columns]
    wrong, wanted = [], []
    for name, dtype in types.items():
        if name in missing:
            wanted.append(pl.lit(None, dtype).alias(name))
            continue
        column = frame[name]
        cast = _as_type(column, dtype)
        lost = cast.null_count() - column.null_count()
        if lost:
            first = column.filter(cast.is_null() & column.is_not_null())[0]
            wrong.append(f"{name!r} should be {dtype}, but {lost:,} values are not, first {first!r}")
        wanted.append(cast)
    if wrong:
        msg = f"{origin}: " + "; ".join(wrong) + ". Fetch the file again, or convert those columns."
        raise ReleaseError(msg)
    rest = [_plain(frame[name]) for name in frame.columns if name not in types]
    return frame.select(*wanted, *rest) if frame.width else pl.DataFrame(wanted), missing


def _plain(column: pl.Series) -> pl.Series:
    return column.cast(pl.String) if isinstance(column.dtype, pl.Categorical | pl.Enum) else column


def _as_type(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    column = _plain(column)
    if dtype.is_integer() and column.dtype.is_float():
        whole = column.is_null() | (column == column.round(0))
        column = pl.select(pl.when(whole).then(column)).to_series().alias(column.name)
    if column.dtype.is_nested():
        return pl.Series(column.name, [None] * len(column), dtype)
    if dtype.is_float() and column.dtype.is_float():
        column = column.fill_nan(None)  # one word for an absent value
        return column.cast(dtype, strict=False)
    return column.cast(dtype, strict=False)


def number_rows(n_rows: int) -> pl.Series:
    """Return barcodes made from row numbers, for files that hold none.

    Examples
    --------
    >>> number_rows(2).to_list()
    ['row-000000', 'row-000001']
    """
    return pl.Series(names.BARCODE, [f"row-{i:06d}" for i in range(n_rows)], pl.String)
