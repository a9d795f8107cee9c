"""Tables of cells and genes as AnnData wants them."""

import numpy as np
import pandas as pd
import polars as pl

from helpers import names
from helpers.atlas import columns


def to_pandas(frame: pl.DataFrame, index: str) -> pd.DataFrame:
    """Return a table as AnnData wants it: labels as categories, the column `index` as the index.

    Parameters
    ----------
    frame
        Cells or genes.
    index
        Column of their names; made unique where it is not.
    """
    table = {}
    for name in frame.columns:
        column = frame[name]
        if name == index:
            continue
        if column.dtype == pl.String and (name in names.LABEL_COLUMNS or _repeats(column)):
            table[name] = pd.Categorical.from_codes(*_categories(column))
        elif column.dtype == pl.String:
            table[name] = column.fill_null("").to_numpy()
        else:
            table[name] = column.to_numpy()
    labels = columns.make_unique(frame[index].to_list())[0]
    return pd.DataFrame(table, index=pd.Index(labels, dtype=object))


def _repeats(column: pl.Series) -> bool:
    return column.null_count() > 0 or column.n_unique() <= max(10, len(column) // 2)


def _categories(column: pl.Series) -> tuple[np.ndarray, list[str]]:
    """Return codes and categories, which sort as text: the age groups then stand in order of age."""
    found = sorted(column.drop_nulls().unique().to_list())
    place = {label: i for i, label in enumerate(found)}
    codes = column.replace_strict(place, default=None, return_dtype=pl.Int32)
    return codes.fill_null(-1).to_numpy(), found
