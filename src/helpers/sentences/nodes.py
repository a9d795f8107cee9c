"""What the groups and data sets of an .h5ad file hold, in the forms that anndata has written over the years."""

from typing import Any

import h5py
import numpy as np
import pyarrow as pa

from helpers.errors import SentenceError
from helpers.sentences import arrow


def encoding(node: Any) -> str:
    """Return how a matrix is stored: array, csr_matrix or csc_matrix."""
    if isinstance(node, h5py.Dataset):
        return "array"
    found = node.attrs.get("encoding-type", "")
    if not found:  # before anndata 0.7: "csr" or "csc" in h5sparse_format
        found = f"{node.attrs.get('h5sparse_format', 'unknown')}_matrix"
    found = found.decode() if isinstance(found, bytes) else str(found)
    if found not in {"csr_matrix", "csc_matrix"}:
        msg = f"the values are stored as {found!r}; expected csr_matrix, csc_matrix or a dense array."
        raise SentenceError(msg)
    return found


def shape(node: Any) -> tuple[int, int]:
    """Return cells and genes of a matrix."""
    shape = (
        node.shape
        if isinstance(node, h5py.Dataset)
        else node.attrs.get("shape", node.attrs.get("h5sparse_shape"))
    )
    return int(shape[0]), int(shape[1])


def index(table: Any) -> Any:
    """Return the names of the rows of a table."""
    if isinstance(table, h5py.Dataset):
        return table[table.dtype.names[0]]
    return table[table.attrs.get("_index", "_index")]


def texts(values: Any) -> list[str]:
    """Return texts as Python strings."""
    if isinstance(values, h5py.Group):  # a nullable or a categorical index
        return ["" if text is None else text for text in column(values, 0, None, parent=None).to_pylist()]
    values = values[()] if isinstance(values, h5py.Dataset) else values
    return [value.decode() if isinstance(value, bytes) else str(value) for value in np.atleast_1d(values)]


def text_columns(table: Any) -> dict[str, list[str | None]]:
    """Return the text columns of a table, with None where a text is missing."""
    if isinstance(table, h5py.Dataset):
        return {name: texts(table[name]) for name in table.dtype.names[1:] if table.dtype[name].kind in "SO"}
    found = {}
    for name in table.attrs.get("column-order", []):
        values = column(table[name], 0, None, parent=table)
        if pa.types.is_string(values.type):
            found[str(name)] = values.to_pylist()
    return found


def column(node: Any, start: int, stop: int | None, *, parent: Any) -> pa.Array:
    """Return a slice of a column of a table as an Arrow array."""
    piece = slice(start, stop)
    if isinstance(node, h5py.Group):
        if "codes" in node:
            return arrow.labeled(node["codes"][piece], texts(node["categories"]))
        return plain(node["values"][piece], mask=node["mask"][piece].astype(bool))
    if "categories" in node.attrs:  # anndata 0.7: codes that point to their labels
        return arrow.labeled(node[piece], texts(parent[node.attrs["categories"]]))
    return plain(node[piece])


def plain(values: np.ndarray, *, mask: np.ndarray | None = None) -> pa.Array:
    """Return plain values as an Arrow array, null where missing."""
    if values.dtype.kind in "OSU":
        texts = [value.decode() if isinstance(value, bytes) else str(value) for value in values]
        if mask is not None:
            texts = [None if absent else text for text, absent in zip(texts, mask, strict=True)]
        return arrow.clean_texts(arrow.text_array(texts))
    if values.dtype.kind == "f" and mask is None:
        mask = np.isnan(values)
    if h5py.check_enum_dtype(values.dtype):
        values = values.astype(bool)
    return arrow.masked(values, mask)
