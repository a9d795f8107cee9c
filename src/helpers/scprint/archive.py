"""One array on disk: an npz member of any key, or a renamed npy. Found by its header; nothing is unpickled."""

import functools
import hashlib
import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from helpers.errors import PartError

# Kinds of fault.
TRUNCATED, UNREADABLE, FORMAT, PICKLED, WIDTH = "truncated", "unreadable", "format", "pickled", "width"
CHECKSUM, SIBLING, ROWS, TYPE, LABELS = "checksum", "sibling", "rows", "type", "labels"
NOT_FINITE = "not finite"
KINDS = (TRUNCATED, UNREADABLE, FORMAT, PICKLED, WIDTH, CHECKSUM, SIBLING, ROWS, TYPE, LABELS, NOT_FINITE)
_HEADER_BYTES = 4096
_LOCAL_HEADER = 30
_PREFIX = 10
_MAGIC = 6
_END, _ENTRY = struct.Struct("<4s4H2LH"), struct.Struct("<4s6H3L5H2L")
_SAMPLE = 1 << 16


class Damage(PartError):
    """A fault of one file, with its kind in one word."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross process borders with both arguments."""
        return (Damage, (self.kind, self.message))


@dataclass(frozen=True)
class ArrayFile:
    """Where one array lies in its file.

    Attributes
    ----------
    path
        The file.
    shape
        Rows and columns.
    dtype
        Type of one number.
    member
        Name of the zip member; empty for a plain npy.
    start
        Byte at which the member's data (npy header first) starts; none if the member is compressed.
    header
        Bytes of the npy header.
    checksum
        CRC-32 of the member; none for a plain npy.
    fortran
        True if columns lie one after the other.
    fingerprint
        Text that changes when the content changes.
    """

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype
    member: str
    start: int | None
    header: int
    checksum: int | None
    fortran: bool
    fingerprint: str

    @property
    def storage(self) -> str:
        """Storage in words: npz, compressed npz or npy."""
        if not self.member:
            return "npy"
        return "compressed npz" if self.start is None else "npz"


def open_array(path: Path, *, widths: tuple[int, ...] = ()) -> ArrayFile:
    """Find the array of a file without reading it.

    Parameters
    ----------
    path
        An npz of any key, compressed or not, or an npy under any name.
    widths
        Column counts that are looked for where an npz holds more than one array; also checked.

    Raises
    ------
    Damage
        If the file is missing, truncated, no array file, pickled, or of another width.
    """
    try:
        with path.open("rb") as stream:
            magic = stream.read(_MAGIC)
            stream.seek(0)
            if magic[:2] == b"PK":
                return _open_zip(path, stream, widths)
            if magic == b"\x93NUMPY":
                return _open_plain(path, stream, widths)
    except zipfile.BadZipFile as error:
        raise Damage(TRUNCATED, f"{path.name} is a broken zip ({error}): download it again.") from None
    except OSError as error:
        raise Damage(UNREADABLE, f"{path.name} cannot be read: {error.strerror or error}.") from None
    kind = TRUNCATED if len(magic) < _MAGIC else FORMAT
    raise Damage(kind, f"{path.name} is neither npz nor npy: it starts with {magic!r}.")


def _open_zip(path: Path, stream: io.BufferedReader, widths: tuple[int, ...]) -> ArrayFile:
    only = _only_member(stream)
    if only is not None:
        return _of_width(_describe_member(path, stream, None, only), widths)
    with zipfile.ZipFile(stream) as archive:
        members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        if not members:
            raise Damage(FORMAT, f"{path.name} holds no array.")
        found = [_describe_member(path, stream, archive, info) for info in members]
    fitting = [file for file in found if not widths or file.shape[1] in widths]
    if len(found) == 1:
        fitting = found
    if len(fitting) != 1:
        names = ", ".join(f"{file.member} {file.shape}" for file in found)
        raise Damage(FORMAT, f"{path.name} holds {len(found)} arrays ({names}), {len(fitting)} that fit.")
    return _of_width(fitting[0], widths)


def _only_member(stream: io.BufferedReader) -> zipfile.ZipInfo | None:
    # the plain case, one stored member and no comment, read in one go: zipfile takes as long as reading the labels
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - _HEADER_BYTES))
    tail = stream.read()
    if len(tail) < _END.size + _ENTRY.size:
        return None
    mark, *_, entries, length, start, comment = _END.unpack(tail[-_END.size :])
    first = start - (size - len(tail))
    if mark != b"PK\x05\x06" or entries != 1 or comment or first < 0 or start + length + _END.size != size:
        return None
    entry = _ENTRY.unpack(tail[first : first + _ENTRY.size])
    mark, method, crc, stored, plain, name, offset = *entry[0:1], entry[4], *entry[7:11], entry[16]
    info = zipfile.ZipInfo(tail[first + _ENTRY.size : first + _ENTRY.size + name].decode("utf-8", "replace"))
    info.CRC, info.file_size, info.header_offset = crc, plain, offset
    simple = mark == b"PK\x01\x02" and method == zipfile.ZIP_STORED and stored == plain < 0xFFFFFFFF
    return info if simple and info.filename.endswith(".npy") else None


def _describe_member(
    path: Path, stream: io.BufferedReader, archive: zipfile.ZipFile | None, info: zipfile.ZipInfo
) -> ArrayFile:
    start = None
    if archive is None or info.compress_type == zipfile.ZIP_STORED:
        stream.seek(info.header_offset)
        local = stream.read(_LOCAL_HEADER)
        start = info.header_offset + _LOCAL_HEADER + sum(np.frombuffer(local[26:30], "<u2").tolist())
        stream.seek(start)
        head = stream.read(min(_HEADER_BYTES, info.file_size))
    else:
        try:
            with archive.open(info) as member:
                head = member.read(_HEADER_BYTES)
        except (zlib.error, EOFError) as error:
            raise Damage(TRUNCATED, f"{path.name} cannot be decompressed ({error}).") from None
    shape, fortran, dtype, header = _parse_header(path, head)
    _match_size(path, shape, dtype, info.file_size - header)
    fingerprint = f"{info.file_size}-{info.CRC:08x}"
    return ArrayFile(path, shape, dtype, info.filename, start, header, info.CRC, fortran, fingerprint)


def _open_plain(path: Path, stream: io.BufferedReader, widths: tuple[int, ...]) -> ArrayFile:
    shape, fortran, dtype, header = _parse_header(path, stream.read(_HEADER_BYTES))
    status = path.stat()
    _match_size(path, shape, dtype, status.st_size - header)
    sha = hashlib.sha256()
    for first in (0, max(0, status.st_size // 2), max(0, status.st_size - _SAMPLE)):
        stream.seek(first)
        sha.update(stream.read(_SAMPLE))
    # a plain npy carries no checksum: its time of change stands in for the bytes between the three samples
    fingerprint = f"{status.st_size}-{status.st_mtime_ns}-{sha.hexdigest()[:16]}"
    return _of_width(ArrayFile(path, shape, dtype, "", 0, header, None, fortran, fingerprint), widths)


def _parse_header(path: Path, head: bytes) -> tuple[tuple[int, int], bool, np.dtype, int]:
    # thousands of parts share a handful of headers
    found = _read_header(head[: _header_length(head)])
    if isinstance(found, str):
        kind = TRUNCATED if len(head) < _header_length(head) or len(head) < _PREFIX else FORMAT
        raise Damage(kind, f"{path.name} has no readable npy header ({found}).")
    shape, fortran, dtype, header = found
    if dtype.hasobject:
        raise Damage(PICKLED, f"{path.name} holds pickled objects, which are never loaded.")
    if len(shape) != 2:
        raise Damage(FORMAT, f"{path.name} has shape {shape}; expected rows and columns.")
    return shape, fortran, dtype, header


def _header_length(head: bytes) -> int:
    # version 1.0 keeps the length in two bytes, 2.0 in four
    size = 2 if head[6:7] == b"\x01" else 4
    return 8 + size + int.from_bytes(head[8 : 8 + size], "little")


@functools.lru_cache(maxsize=256)
def _read_header(head: bytes) -> tuple[tuple[int, int], bool, np.dtype, int] | str:
    stream = io.BytesIO(head)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(stream)
        if version not in readers:
            return f"version {version}, known are 1.0 and 2.0"
        return (*readers[version](stream), stream.tell())
    except ValueError as error:
        return str(error)


def _match_size(path: Path, shape: tuple[int, int], dtype: np.dtype, held: int) -> None:
    needed = shape[0] * shape[1] * dtype.itemsize
    if held != needed:
        message = f"{path.name} promises {needed:,} bytes of {shape} and holds {held:,}: download it again."
        raise Damage(TRUNCATED, message)


def _of_width(file: ArrayFile, widths: tuple[int, ...]) -> ArrayFile:
    if widths and file.shape[1] not in widths:
        wanted = " or ".join(str(width) for width in widths)
        raise Damage(WIDTH, f"{file.path.name} has {file.shape[1]} columns; expected {wanted}.")
    return file
