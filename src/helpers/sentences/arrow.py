"""Annotation of cells as Arrow columns with true nulls, made without pandas where there is none.

``pa.array`` and ``pa.table`` look at what they are given with pandas; importing it costs more than the work here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from helpers import names

# Texts that pandas leaves where a label is missing.
NULL_TEXTS = ("nan", "NaN", "<NA>")


def clean_texts(values: pa.Array) -> pa.Array:
    """Turn the texts that stand for a missing label into nulls."""
    texts = pl.Series(pl.from_arrow(values), dtype=pl.String)
    absent = texts.is_in(list(NULL_TEXTS)).fill_null(value=False)
    if not absent.any():
        return values.cast(pa.string())
    return pl.select(pl.when(~absent).then(texts)).to_series().to_arrow().cast(pa.string())


def table(columns: Mapping[str, Any]) -> pa.Table:
    """Return Arrow columns as a table."""
    return pa.Table.from_arrays(list(columns.values()), names=list(columns))


def masked(values: np.ndarray, absent: np.ndarray | None = None) -> pa.Array:
    """Return numbers or truth values as an Arrow array, null where `absent`."""
    series = pl.Series(values.astype(np.float32) if values.dtype == np.float16 else values)
    if absent is not None and absent.any():
        series = pl.select(pl.when(~pl.Series(absent)).then(series)).to_series()
    return series.to_arrow()


def labeled(codes: np.ndarray, labels: Sequence[str]) -> pa.Array:
    """Return the label of each code; a code below zero is null."""
    texts = pl.Series(pl.from_arrow(clean_texts(text_array(labels))), dtype=pl.String)
    places = pl.Series(pl.from_arrow(masked(codes.astype(np.int32), codes < 0)))
    return texts.gather(places).to_arrow().cast(pa.string())


def text_array(values: Sequence[str | None]) -> pa.Array:
    """Return texts as an Arrow array."""
    return pl.Series(values, dtype=pl.String).to_arrow().cast(pa.string())


def barcode_name(columns: Sequence[str]) -> str:
    """Return the name under which the index of the cells is written."""
    return names.BARCODE if names.BARCODE not in columns else "cell_index"


def obs_table(obs: Any) -> pa.Table:
    """Return the annotation of cells in a pandas table, the barcode first, with true nulls."""
    import pandas as pd

    columns = {barcode_name(list(obs.columns)): text_array([str(cell) for cell in obs.index])}
    for column in obs.columns:
        values = obs[column]
        if isinstance(values.dtype, pd.CategoricalDtype):
            columns[str(column)] = labeled(
                values.cat.codes.to_numpy(), [str(label) for label in values.cat.categories]
            )
        elif pd.api.types.is_bool_dtype(values) or pd.api.types.is_numeric_dtype(values):
            columns[str(column)] = pa.Array.from_pandas(values)
        else:
            texts = [None if pd.isna(value) else str(value) for value in values]
            columns[str(column)] = clean_texts(text_array(texts))
    return table(columns)
