"""Rows and columns of an array on disk: streamed whole, or mapped into memory where only some are wanted.

Checksums of the zip format are verified block by block while the array is used, so that a flipped bit is found
without a second reading.
"""

import io
import mmap
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np

from helpers.scprint.archive import CHECKSUM, TRUNCATED, ArrayFile, Damage


def blocks(file: ArrayFile, *, rows: int = 2048, verify: bool = True) -> Iterator[np.ndarray]:
    """Yield the array in blocks of rows, in order; a checksum that disagrees is raised after the last.

    Parameters
    ----------
    file
        What `open_array` found.
    rows
        Rows of a block.
    verify
        Compare the zip checksum. Compressed members are always compared.
    """
    if file.start is None:
        yield from _inflate(file, rows)
        return
    if file.fortran:
        yield from _columns_first(file, rows, verify=verify)
        return
    with file.path.open("rb", buffering=0) as stream:
        stream.seek(file.start)
        crc = zlib.crc32(stream.read(file.header))
        for first in range(0, file.shape[0], rows):
            # read, not mapped: mapping all pages of a part takes longer than copying them once
            block = np.empty((min(rows, file.shape[0] - first), file.shape[1]), file.dtype)
            _fill(stream, block, file)
            if verify and file.checksum is not None:
                crc = zlib.crc32(block, crc)
            yield block
    if verify and file.checksum is not None and crc != file.checksum:
        raise _checksum_fault(file)


def _fill(stream: io.RawIOBase, block: np.ndarray, file: ArrayFile) -> None:
    view, done = memoryview(block).cast("B"), 0
    while done < len(view):
        count = stream.readinto(view[done:])
        if not count:
            message = f"{file.path.name} ended while it was read."
            raise Damage(TRUNCATED, message)
        done += count


def _columns_first(file: ArrayFile, rows: int, *, verify: bool) -> Iterator[np.ndarray]:
    array, memory = _map(file)
    if verify and file.checksum is not None:
        crc = zlib.crc32(memory[file.start : file.start + file.header])
        if zlib.crc32(array.reshape(-1, order="F"), crc) != file.checksum:
            raise _checksum_fault(file)
    for first in range(0, file.shape[0], rows):
        yield array[first : first + rows]


def take(file: ArrayFile, *, rows: np.ndarray | None = None, columns: slice | None = None) -> np.ndarray:
    """Read some rows and columns, as stored; only they are read where the file is mapped.

    Parameters
    ----------
    file
        What `open_array` found.
    rows
        Row numbers, sorted; every row if none.
    columns
        Columns as a slice; every column if none.
    """
    columns = columns or slice(None)
    if file.start is not None:
        array, _ = _map(file)
        chosen = array[:, columns]
        return np.array(chosen if rows is None else chosen[rows])
    pieces, first = [], 0
    for block in _inflate(file, 8192):
        if rows is None:
            pieces.append(block[:, columns].copy())
        else:
            low, high = np.searchsorted(rows, (first, first + len(block)))
            pieces.append(block[rows[low:high] - first, columns])
        first += len(block)
    width = len(range(*columns.indices(file.shape[1])))
    return np.concatenate(pieces) if pieces else np.empty((0, width), file.dtype)


def _map(file: ArrayFile) -> tuple[np.ndarray, mmap.mmap]:
    with file.path.open("rb") as stream:
        memory = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    order = "F" if file.fortran else "C"
    offset = file.start + file.header
    return np.ndarray(file.shape, file.dtype, buffer=memory, offset=offset, order=order), memory


def _inflate(file: ArrayFile, rows: int) -> Iterator[np.ndarray]:
    if file.fortran:
        # rare: columns first and compressed cannot be streamed by rows
        yield from _inflate_whole(file, rows)
        return
    row_bytes = file.shape[1] * file.dtype.itemsize
    left = file.shape[0]
    try:
        with zipfile.ZipFile(file.path) as archive, archive.open(file.member) as stream:
            stream.read(file.header)
            while left:
                count = min(rows, left)
                data = stream.read(count * row_bytes)
                yield np.frombuffer(data, file.dtype).reshape(count, file.shape[1])
                left -= count
            # the checksum is compared when the end is read
            stream.read(1)
    except zipfile.BadZipFile:
        raise _checksum_fault(file) from None
    except (zlib.error, EOFError, ValueError) as error:
        if isinstance(error, Damage):
            raise
        raise Damage(TRUNCATED, f"{file.path.name} cannot be decompressed ({error}).") from None


def _inflate_whole(file: ArrayFile, rows: int) -> Iterator[np.ndarray]:
    try:
        with zipfile.ZipFile(file.path) as archive:
            data = archive.read(file.member)
    except zipfile.BadZipFile:
        raise _checksum_fault(file) from None
    whole = np.frombuffer(data, file.dtype, offset=file.header).reshape(file.shape, order="F")
    for first in range(0, file.shape[0], rows):
        yield whole[first : first + rows]


def _checksum_fault(file: ArrayFile) -> Damage:
    message = f"{file.path.name} does not match its checksum: bytes changed since it was written."
    return Damage(CHECKSUM, message)
