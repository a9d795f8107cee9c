"""The statistics of a part as bytes: plain arrays behind one line of JSON, never a pickle."""

import io
import json

import numpy as np

from helpers.errors import PartError
from helpers.scprint import layout
from helpers.scprint.counting import ClassScores
from helpers.scprint.moments import Moments
from helpers.scprint.statistics import VERSION, PartStatistics


def to_bytes(found: PartStatistics) -> bytes:
    """Write statistics as plain arrays, without pickle; the cross-products are kept in single precision."""
    names = list(found.tables)
    classes = list(found.scores)
    stream = io.BytesIO()
    head = {
        "version": VERSION,
        "cells": found.cells,
        "label_width": found.label_width,
        "tables": names,
        "lengths": [len(found.tables[name][0]) for name in names],
        "classes": classes,
        "moments": None if found.moments is None else found.moments.count,
    }
    stream.write(json.dumps(head).encode() + b"\n")
    _put(stream, np.concatenate([np.empty(0, np.int64), *[found.tables[name][0] for name in names]]))
    _put(stream, np.concatenate([np.empty(0, np.int64), *[found.tables[name][1] for name in names]]))
    for key in ("best", "margins", "tallies", "probability"):
        _put(stream, np.array([getattr(found.scores[name], key) for name in classes]))
    if found.sums is not None and found.moments is not None:
        _put(stream, found.sums)
        _put(stream, found.moments.mean)
        packed = [found.moments.products[n][np.triu_indices(w)] for n, w in layout.BLOCK_WIDTHS.items()]
        _put(stream, np.concatenate(packed).astype(np.float32))
    return stream.getvalue()


def from_bytes(data: bytes) -> PartStatistics:
    """Read what `to_bytes` wrote.

    Raises
    ------
    PartError
        If the bytes are of another version or cut off.
    """
    stream = io.BytesIO(data)
    try:
        head = json.loads(stream.readline())
        if head["version"] != VERSION:
            msg = f"statistics of version {head['version']}; this is version {VERSION}."
            raise PartError(msg)
        codes, counts = _get(stream), _get(stream)
        ends = np.cumsum(head["lengths"])[:-1] if head["lengths"] else []
        names = [tuple(name) for name in head["tables"]]
        pieces = zip(np.split(codes, ends), np.split(counts, ends), strict=True) if names else ()
        columns = [_get(stream) for _ in range(4)]
        scores = {
            name: ClassScores(columns[0][i], columns[1][i], columns[2][i], float(columns[3][i]))
            for i, name in enumerate(head["classes"])
        }
        sums, moments = None, None
        if head["moments"] is not None:
            sums, mean = _get(stream), _get(stream)
            moments = Moments(head["moments"], mean, _unpack(_get(stream)))
    except (ValueError, KeyError, IndexError, EOFError) as error:
        msg = f"statistics of a part cannot be read: {error}"
        raise PartError(msg) from None
    tables = dict(zip(names, pieces, strict=True))
    return PartStatistics(head["cells"], head["label_width"], tables, scores, sums, moments)


def _put(stream: io.BytesIO, array: np.ndarray) -> None:
    np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)


def _get(stream: io.BytesIO) -> np.ndarray:
    return np.lib.format.read_array(stream, allow_pickle=False)


def _unpack(packed: np.ndarray) -> dict[str, np.ndarray]:
    products, first = {}, 0
    for name, width in layout.BLOCK_WIDTHS.items():
        above = np.triu_indices(width)
        square = np.zeros((width, width))
        square[above] = packed[first : first + len(above[0])]
        products[name] = square + np.triu(square, 1).T
        first += len(above[0])
    return products
