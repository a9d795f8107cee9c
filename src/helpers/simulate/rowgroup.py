"""One Parquet file with one row group, written a block of columns at a time.

pyarrow wants the whole table for one row group: 20 GiB dense for the full atlas. Here every block of columns is written
as a Parquet file of its own, and the blocks' bytes are joined under one footer (format: github.com/apache/parquet-format).
"""

import io
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from helpers.kernels import kernel
from helpers.simulate.thrift import I64, LIST, STRUCT, Reader, Struct, write_struct

MAGIC = b"PAR1"
BLOCK_BYTES, BLOCK_COLUMNS = 128 * 2**20, 1024
WHOLE_BYTES = 512 * 2**20  # a dense matrix up to this size is written at once: the same bytes, sooner
# Field numbers of the footer's structs.
_NUM_ROWS, _ROW_GROUPS = 3, 4
_COLUMNS, _TOTAL_BYTES, _GROUP_ROWS, _GROUP_OFFSET, _GROUP_COMPRESSED = 1, 2, 3, 5, 6
_CHUNK_OFFSET, _CHUNK_META = 2, 3
_META_OFFSETS = (9, 10, 11)  # data, index and dictionary page


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


def write_columns(path: Path, x: sp.csr_matrix, columns: list[str], *, threads: int = 2) -> None:
    """Write a CSR matrix as dense float32 columns in one row group, with snappy, as pyarrow would."""
    width = max(1, min(BLOCK_COLUMNS, BLOCK_BYTES // max(4 * x.shape[0], 1)))

    def write(first: int, last: int, block: Path) -> Path:
        dense = np.zeros((last - first, x.shape[0]), np.float32)
        _fill(x.indptr, x.indices, x.data, first, dense)
        table = pa.table([pa.array(column) for column in dense], names=columns[first:last])
        pq.write_table(table, block, row_group_size=max(x.shape[0], 1))
        return block

    if 4 * x.shape[0] * x.shape[1] <= WHOLE_BYTES:
        write(0, x.shape[1], path)
        return
    starts = range(0, x.shape[1], width)
    stops = [min(start + width, x.shape[1]) for start in starts]
    blocks = [path.with_name(f"{path.name}.{start}") for start in starts]
    schema = pa.schema([(name, pa.float32()) for name in columns])
    with ThreadPoolExecutor(threads) as pool:
        join_columns(path, pool.map(write, starts, stops, blocks), schema=schema)


def read_footer(data: bytes) -> tuple[Struct, int]:
    """Return the footer of a Parquet file and the byte where it begins."""
    if data[-4:] != MAGIC:
        msg = f"the last four bytes are {data[-4:]!r}, a Parquet file ends with {MAGIC!r}."
        raise ValueError(msg)
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    return Reader(data, start).struct(), start


def _move(chunk: Struct, shift: int) -> Struct:
    """Shift every offset of a column chunk."""
    kind, meta = chunk[_CHUNK_META]
    meta |= {n: (I64, meta[n][1] + shift) for n in _META_OFFSETS if n in meta}
    moved = chunk | {_CHUNK_META: (kind, meta)}
    if chunk[_CHUNK_OFFSET][1]:  # newer writers leave it zero
        moved[_CHUNK_OFFSET] = (I64, chunk[_CHUNK_OFFSET][1] + shift)
    return moved


def join_columns(path: Path, blocks: Iterable[Path], *, schema: pa.Schema) -> None:
    """Join Parquet files of the same rows and different columns into one file of one row group; blocks are removed."""
    empty = io.BytesIO()
    pq.write_table(schema.empty_table(), empty)
    footer = read_footer(empty.getvalue())[0]
    chunks: list[Struct] = []
    sizes, rows = {_TOTAL_BYTES: 0, _GROUP_COMPRESSED: 0}, 0
    with path.open("wb") as out:
        out.write(MAGIC)
        for block in blocks:
            data = block.read_bytes()
            own, end = read_footer(data)
            group = own[_ROW_GROUPS][1][1][0]
            chunks += [_move(chunk, out.tell() - len(MAGIC)) for chunk in group[_COLUMNS][1][1]]
            sizes = {number: size + group[number][1] for number, size in sizes.items()}
            rows = group[_GROUP_ROWS][1]
            shutil.copyfileobj(io.BytesIO(memoryview(data)[len(MAGIC) : end]), out)
            block.unlink()
        group = {
            _COLUMNS: (LIST, (STRUCT, chunks)),
            _TOTAL_BYTES: (I64, sizes[_TOTAL_BYTES]),
            _GROUP_ROWS: (I64, rows),
            _GROUP_OFFSET: (I64, len(MAGIC)),
            _GROUP_COMPRESSED: (I64, sizes[_GROUP_COMPRESSED]),
        }
        footer |= {_NUM_ROWS: (I64, rows), _ROW_GROUPS: (LIST, (STRUCT, [group]))}
        data = write_struct(footer)
        out.write(data + len(data).to_bytes(4, "little") + MAGIC)
