"""One Parquet file with one row group, written a block of columns at a time.

pyarrow wants the whole table for one row group: 20 GiB dense for the full atlas. Here every block of columns is written
as a Parquet file of its own, and the blocks' bytes are joined under one footer (format: github.com/apache/parquet-format).

A footer is in Thrift's compact protocol (thrift-compact-protocol.md of github.com/apache/thrift). Read, a struct is a
dictionary from the number of a field to ``(type, value)``, a list is ``(type of its items, items)``.
"""

import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from helpers.kernels import kernel

MAGIC = b"PAR1"
BLOCK_BYTES, BLOCK_COLUMNS = 128 * 2**20, 1024
WHOLE_BYTES = 512 * 2**20  # a dense matrix up to this size is written at once: the same bytes, sooner
# Types that footers have; of truth values the type is the value.
TRUE, FALSE, I32, I64, BINARY, LIST, STRUCT = 1, 2, 5, 6, 8, 9, 12
_LONG = 15  # a list of as many items or more has their number behind its head
# Field numbers of the footer's structs.
_NUM_ROWS, _ROW_GROUPS = 3, 4
_COLUMNS, _TOTAL_BYTES, _GROUP_ROWS, _GROUP_OFFSET, _GROUP_COMPRESSED = 1, 2, 3, 5, 6
_CHUNK_META, _CHUNK_BYTES, _CHUNK_COMPRESSED = 3, 6, 7
_META_OFFSETS = (9, 10, 11)  # data, index and dictionary page
Struct = dict[int, tuple[int, Any]]


@kernel
def _fill(indptr, indices, data, first, dense):
    """Fill `dense` (columns x rows) with the columns of a CSR matrix from `first` on."""
    last = first + dense.shape[0]
    for row in range(indptr.size - 1):
        start, stop = indptr[row], indptr[row + 1]
        i = start + np.searchsorted(indices[start:stop], first)
        while i < stop and indices[i] < last:
            dense[indices[i] - first, row] = data[i]
            i += 1


def write_columns(path: Path, x: sp.csr_matrix, columns: list[str], *, threads: int) -> None:
    """Write a CSR matrix as dense float32 columns in one row group, with snappy, as pyarrow would."""
    n_rows, n_columns = x.shape
    width = max(1, min(BLOCK_COLUMNS, BLOCK_BYTES // max(4 * n_rows, 1)))

    def write(first: int, last: int, block: Path) -> Path:
        dense = np.zeros((last - first, n_rows), np.float32)
        _fill(x.indptr, x.indices, x.data, first, dense)
        table = pa.table([pa.array(column) for column in dense], names=columns[first:last])
        pq.write_table(table, block, row_group_size=max(n_rows, 1))
        return block

    if 4 * n_rows * n_columns <= WHOLE_BYTES:
        write(0, n_columns, path)
        return
    starts = range(0, n_columns, width)
    stops = [min(start + width, n_columns) for start in starts]
    blocks = [path.with_name(f"{path.name}.{start}") for start in starts]
    schema = pa.schema([(name, pa.float32()) for name in columns])
    with ThreadPoolExecutor(threads) as pool:
        _join(path, pool.map(write, starts, stops, blocks), schema=schema)


def _join(path: Path, blocks: Iterable[Path], *, schema: pa.Schema) -> None:
    """Join Parquet files of the same rows and different columns into one file of one row group; blocks are removed."""
    empty = io.BytesIO()
    pq.write_table(schema.empty_table(), empty)
    footer, _ = _read_footer(empty.getvalue())
    chunks: list[Struct] = []
    with path.open("wb") as out:
        out.write(MAGIC)
        for block in blocks:
            data = block.read_bytes()
            own, end = _read_footer(data)
            (group,) = own[_ROW_GROUPS][1][1]
            for chunk in group[_COLUMNS][1][1]:
                meta = chunk[_CHUNK_META][1]
                for number in _META_OFFSETS:
                    if number in meta:
                        meta[number] = I64, meta[number][1] + out.tell() - len(MAGIC)
                chunks.append(chunk)
            out.write(memoryview(data)[len(MAGIC) : end])
            block.unlink()
        group |= {_COLUMNS: (LIST, (STRUCT, chunks)), _GROUP_OFFSET: (I64, len(MAGIC))}
        for number, field in ((_TOTAL_BYTES, _CHUNK_BYTES), (_GROUP_COMPRESSED, _CHUNK_COMPRESSED)):
            group[number] = I64, sum(chunk[_CHUNK_META][1][field][1] for chunk in chunks)
        footer |= {_NUM_ROWS: group[_GROUP_ROWS], _ROW_GROUPS: (LIST, (STRUCT, [group]))}
        text = _write(STRUCT, footer)
        out.write(text + len(text).to_bytes(4, "little") + MAGIC)


def _read_footer(data: bytes) -> tuple[Struct, int]:
    """Return the footer of a Parquet file and the byte where it begins."""
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    return _read(io.BytesIO(data[start:]), STRUCT), start


def _read_number(stream: BinaryIO) -> int:
    """Read a number of seven bits a byte, lowest first."""
    number = shift = 0
    while True:
        byte = stream.read(1)[0]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number
        shift += 7


def _read(stream: BinaryIO, kind: int) -> Any:
    """Read one value."""
    if kind in (TRUE, FALSE):
        return None
    if kind in (I32, I64):  # zigzag: the sign is the lowest bit
        number = _read_number(stream)
        return (number >> 1) ^ -(number & 1)
    if kind == BINARY:
        return stream.read(_read_number(stream))
    if kind == LIST:
        head = stream.read(1)[0]
        n = _read_number(stream) if head >> 4 == _LONG else head >> 4
        return head & 0x0F, [_read(stream, head & 0x0F) for _ in range(n)]
    if kind != STRUCT:
        msg = f"type {kind} at byte {stream.tell()} is not a type of a Parquet footer."
        raise ValueError(msg)
    fields: Struct = {}
    number = 0
    while head := stream.read(1)[0]:
        number = number + (head >> 4) if head >> 4 else _read(stream, I32)
        fields[number] = head & 0x0F, _read(stream, head & 0x0F)
    return fields


def _to_bytes(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _write(kind: int, value: Any) -> bytes:
    """Return the bytes of one value."""
    if kind in (TRUE, FALSE):
        return b""
    if kind in (I32, I64):
        return _to_bytes((value << 1) if value >= 0 else (-value << 1) - 1)
    if kind == BINARY:
        return _to_bytes(len(value)) + value
    if kind == LIST:
        item, items = value
        n = len(items)
        head = bytes([n << 4 | item]) if n < _LONG else bytes([_LONG << 4 | item]) + _to_bytes(n)
        return head + b"".join(_write(item, one) for one in items)
    out, last = bytearray(), 0
    for number, (field, inner) in value.items():
        out += bytes([number - last << 4 | field]) + _write(field, inner)
        last = number
    return bytes(out + b"\0")
