"""Where a data set comes from: its CELLxGENE id, and its publication from a table that the user has."""

import re
from pathlib import Path

import polars as pl

from helpers.errors import SentenceError

DATASET_ID = "dataset_id"
# Column of the user's table -> column of the sentences, as the public data set's card names them.
PUBLICATION_COLUMNS = {
    "collection_id": "collection_id",
    "title": "publication_title",
    "doi": "publication_doi",
    "description": "publication_description",
    "contact_name": "publication_contact_name",
    "contact_email": "publication_contact_email",
}
_UUID = re.compile(
    r"(?<![0-9a-f])([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})(?![0-9a-f])"
)


def find_id(name: str) -> str | None:
    """Return the UUID in the name of a data set, in lower case with dashes; none if there is none.

    Examples
    --------
    >>> find_id("10CC50A0AF804FA1B668893DD5C0113A")
    '10cc50a0-af80-4fa1-b668-893dd5c0113a'
    """
    found = _UUID.search(name.lower())
    return "-".join(found.groups()) if found else None


def read_collections(path: Path) -> pl.DataFrame:
    """Read the user's table of collections: CSV, tab-separated text or Parquet, one row a data set.

    Parameters
    ----------
    path
        Column ``dataset_id`` and any of `PUBLICATION_COLUMNS` (either name).

    Raises
    ------
    SentenceError
        If it cannot be read, has no ``dataset_id``, or names a data set twice.
    """
    path = Path(path)
    try:
        if path.suffix == ".parquet":
            table = pl.read_parquet(path, glob=False)
        else:
            table = pl.read_csv(
                path, separator="," if path.suffix == ".csv" else "\t", infer_schema=False, glob=False
            )
    except (OSError, pl.exceptions.PolarsError) as problem:
        msg = f"{path} cannot be read as a table of collections: {problem}"
        raise SentenceError(msg) from problem
    table = table.rename({key: new for key, new in PUBLICATION_COLUMNS.items() if key in table.columns})
    wanted = [column for column in PUBLICATION_COLUMNS.values() if column in table.columns]
    if DATASET_ID not in table.columns or not wanted:
        msg = f"{path} needs a column {DATASET_ID!r} and publication columns; it has: {', '.join(table.columns)}."
        raise SentenceError(msg)
    table = table.select(DATASET_ID, *wanted).cast(pl.String).unique(maintain_order=True)
    if table[DATASET_ID].is_duplicated().any():
        twice = table.filter(pl.col(DATASET_ID).is_duplicated())[DATASET_ID][0]
        msg = f"{path} has different rows for data set {twice!r}; keep one row for each."
        raise SentenceError(msg)
    return table


def describe(dataset_id: str | None, collections: pl.DataFrame | None) -> dict[str, str | None]:
    """Return the constant columns of a data set: its id, and its publication where a table is given.

    All data sets written with one table have the same columns; what is unknown is null.
    """
    found: dict[str, str | None] = {DATASET_ID: dataset_id}
    if collections is not None:
        found |= dict.fromkeys(column for column in collections.columns if column != DATASET_ID)
        rows = collections.filter(pl.col(DATASET_ID).str.to_lowercase() == (dataset_id or ""))
        if rows.height:
            found |= {key: value for key, value in rows.row(0, named=True).items() if key != DATASET_ID}
    return found
