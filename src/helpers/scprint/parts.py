"""The parts of a folder: three files each, found, paired by stem, checked, and read without unpickling anything."""

import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import polars as pl

from helpers.budget import to_text
from helpers.errors import PartError
from helpers.files import pointer_hint, require_utf8
from helpers.scprint import layout

LIMIT = 2 * 2**30  # bytes of one array; the largest published parts take a twentieth of it
# kinds of fault
SIBLING, UNREADABLE, TRUNCATED, FORMAT, PICKLED = "sibling", "unreadable", "truncated", "format", "pickled"
CHECKSUM, WIDTH, ROWS, TYPE, LABELS, SIZE = "checksum", "width", "rows", "type", "labels", "size"
NOT_FINITE = "not finite"
_SAMPLE = 1 << 16
CHECK_SCHEMA = {"part": pl.String, "cells": pl.Int64, "label_columns": pl.Int64}
CHECK_SCHEMA |= dict.fromkeys(("status", "kind", "message"), pl.String)


class Damage(PartError):
    """A fault of one part, with its kind in one word."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)  # both cross process borders
        self.kind = kind

    def __str__(self) -> str:
        """Return the message alone."""
        return self.args[1]


@dataclass(frozen=True)
class ArrayFile:
    """One array on disk: its member in an npz (empty for an npy), and its first byte if it is not compressed."""

    path: Path
    member: str
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    start: int | None
    fingerprint: str


class Part(NamedTuple):
    """The files of one part, by kind; `stem` is its path below the folder without kind and suffix."""

    stem: str
    files: dict[str, Path]


@dataclass(frozen=True)
class Opened:
    """A part whose three headers agree: its name, its cells, and one array a kind."""

    stem: str
    cells: int
    files: dict[str, ArrayFile]

    @property
    def label_width(self) -> int:
        """Label columns present: 23, or 22 without cell culture."""
        return self.files[layout.TOP3].shape[1]


def find(folder: Path | str) -> list[Part]:
    """Find the parts below a folder, paired by stem and sorted by run, subset and device."""
    folder = Path(folder)
    if not folder.is_dir():
        msg = f"{folder} is not a folder. Name the folder of the *_embs, *_top3 and *_scores files."
        raise PartError(msg)
    found: dict[str, dict[str, Path]] = {}
    twice = []
    for path in sorted(folder.rglob("*.np[yz]")):
        name = layout.FILE_NAME.fullmatch(path.name)
        if name is None or path.name.startswith("."):
            continue
        stem, kind = path.with_name(name["stem"]).relative_to(folder).as_posix(), name["kind"]
        require_utf8(stem)  # parts are told apart by name in every table
        held = found.setdefault(stem, {})
        if kind in held:
            twice.append(f"{held[kind].name} and {path.name}")
        held[kind] = path
    if twice:
        msg = f"{len(twice)} files lie there twice, first {twice[0]}. Keep one of each."
        raise PartError(msg)
    if not found:
        msg = f"no file in {folder} is named step_[RUN]__predict_part_[SUBSET]_[GPU]_(embs|top3|scores).npz."
        raise PartError(msg)
    return [Part(stem, found[stem]) for stem in sorted(found, key=layout.order_of)]


def open_part(part: Part) -> Opened:
    """Open the headers of a part and see that they agree."""
    missing = [kind for kind in layout.KINDS if kind not in part.files]
    if missing:
        raise Damage(SIBLING, f"{part.stem} has no {' and no '.join(missing)} file.")
    files = {kind: _open_array(part.files[kind], layout.COLUMNS[kind]) for kind in layout.KINDS}
    rows = {kind: file.shape[0] for kind, file in files.items()}
    if len(set(rows.values())) > 1:
        told = ", ".join(f"{kind} {count:,}" for kind, count in rows.items())
        raise Damage(ROWS, f"the files of {part.stem} differ in rows: {told}.")
    widths = [files[kind].shape[1] for kind in (layout.TOP3, layout.SCORES)]
    if widths[0] != widths[1]:
        raise Damage(WIDTH, f"{part.stem} has {widths[0]} label and {widths[1]} score columns.")
    for kind, file in files.items():
        if file.dtype.kind not in ("iu" if kind == layout.TOP3 else "f"):
            raise Damage(TYPE, f"{file.path.name} holds {file.dtype}, which {kind} cannot be.")
    return Opened(part.stem, rows[layout.TOP3], files)


def open_all(folder: Path | str, only: list[str] | None = None) -> Iterator[Opened]:
    """Yield the parts of a folder, all or `only` those named; parts with a fault are left out (`check` names them)."""
    for part in find(folder):
        if only is None or part.stem in only:
            with suppress(Damage):
                yield open_part(part)


def read(opened: Opened, kind: str, *, columns: slice | None = None) -> np.ndarray:
    """Read one array of a part, its checksum compared, whole or some of its `columns` (of `layout.BLOCKS` or ``LABELS``).

    The kind is ``embs`` (float16 as stored, cells x 424), ``top3`` (label indices, uint16) or ``scores`` (float16).
    """
    file = opened.files[kind]
    with _reporting(file.path):
        array = np.load(file.path, allow_pickle=False)
        if file.member:
            with array as members:
                array = members[file.member]
    if kind == layout.TOP3 and array.dtype != np.uint16:
        if array.size and (array.min() < 0 or array.max() > np.iinfo(np.uint16).max):
            raise Damage(LABELS, f"{file.path.name} holds label indices outside 0 to 65,535.")
        array = array.astype(np.uint16)
    return array if columns is None else array[:, columns]


def read_rows(opened: Opened, kind: str, rows: np.ndarray) -> np.ndarray:
    """Read some rows only; where the array is not compressed, nothing else is read from the disk."""
    file = opened.files[kind]
    if file.start is None or kind == layout.TOP3:
        return read(opened, kind)[rows]
    order = "F" if file.fortran else "C"
    mapped = np.memmap(file.path, file.dtype, mode="r", offset=file.start, shape=file.shape, order=order)
    return np.array(mapped[rows])


def check(folder: Path | str, *, deep: bool = True) -> pl.DataFrame:
    """Check every part of a folder; one row a part, nothing stops at the first fault.

    With `deep` every byte is read: checksums, NaN and label order; without it only names, headers and sizes.
    """
    rows: list[tuple[str | int | None, ...]] = []
    for part in find(folder):
        try:
            opened = open_part(part)
            notes = [] if opened.label_width == layout.LABEL_WIDTH else ["no cell_culture column"]
            notes += _read_through(opened) if deep else []
        except Damage as damage:
            rows.append((part.stem, None, None, "fault", damage.kind, str(damage)))
            continue
        message = "; ".join(notes) or None
        rows.append((part.stem, opened.cells, opened.label_width, "note" if notes else "ok", None, message))
    return pl.DataFrame(rows, schema=CHECK_SCHEMA, orient="row")


def not_finite(opened: Opened, kind: str) -> Damage:
    """Make the fault of an array that holds NaN or infinity."""
    return Damage(NOT_FINITE, f"{opened.files[kind].path.name} holds NaN or infinite values.")


def _read_through(opened: Opened) -> list[str]:
    read(opened, layout.TOP3)
    for kind in (layout.EMBEDDINGS, layout.SCORES):
        values = read(opened, kind)
        if not np.isfinite(values).all():
            raise not_finite(opened, kind)
    rises = sum((np.diff(values[:, layout.LABELS[name]]) > 0).any(axis=1).sum() for name in layout.RANKED)
    return [f"{rises:,} label triples are not best first"] if rises else []


def _open_array(path: Path, widths: tuple[int, ...]) -> ArrayFile:
    """Read the header of the array in a file, and see that the file keeps what the header promises."""
    with _reporting(path):
        if not path.is_file():
            odd = "a pipe, a device, a folder, or a link to nothing"
            raise Damage(UNREADABLE, f"{path.name} is no regular file ({odd}).")
        with path.open("rb") as stream:
            magic = stream.read(6)
            if magic == b"\x93NUMPY":
                member, held, offset, mark = "", path.stat().st_size, 0, _sampled(stream)
                shape, fortran, dtype, header = _read_header(stream)
            elif magic[:2] == b"PK":
                info, shape, fortran, dtype, header = _choose_member(path, stream, widths)
                member, held, mark = info.filename, info.file_size, f"{info.file_size}-{info.CRC:08x}"
                offset = _offset(stream, info) if info.compress_type == zipfile.ZIP_STORED else None
            else:
                kind, hint = TRUNCATED if len(magic) < 6 else FORMAT, pointer_hint(path)
                raise Damage(kind, f"{path.name} is neither npz nor npy: it starts with {magic!r}.{hint}")
    if dtype.hasobject:
        raise Damage(PICKLED, f"{path.name} holds pickled objects, which are never loaded.")
    if len(shape) != 2:
        raise Damage(FORMAT, f"{path.name} has shape {shape}; expected rows and columns.")
    needed = shape[0] * shape[1] * dtype.itemsize
    if held - header != needed:
        message = f"{path.name} promises {needed:,} bytes of {shape} and holds {held - header:,}: download it again."
        raise Damage(TRUNCATED, message)
    if shape[1] not in widths:
        raise Damage(WIDTH, f"{path.name} has {shape[1]} columns; expected {' or '.join(map(str, widths))}.")
    if needed > LIMIT:
        sizes = f"needs about {to_text(needed)}, the budget is {to_text(LIMIT)}"
        raise Damage(SIZE, f"{path.name} {sizes}. Split it into parts of fewer cells.")
    return ArrayFile(path, member, shape, fortran, dtype, None if offset is None else offset + header, mark)


def _choose_member(path: Path, stream: IO[bytes], widths: tuple[int, ...]) -> tuple[Any, ...]:
    """Return the only array of an npz, or the only one of a fitting width, and what its header says."""
    inside = []
    with zipfile.ZipFile(stream) as archive:
        for info in archive.infolist():
            if info.filename.endswith(".npy"):
                with archive.open(info) as member:
                    inside.append((info, *_read_header(member)))
    fitting = inside if len(inside) == 1 else [one for one in inside if one[1][1:] in [(w,) for w in widths]]
    if len(fitting) != 1:
        names = ", ".join(info.filename for info, *_ in inside) or "none"
        raise Damage(FORMAT, f"{path.name} holds {len(inside)} arrays ({names}), {len(fitting)} that fit.")
    return fitting[0]


def _offset(stream: IO[bytes], info: zipfile.ZipInfo) -> int:
    # behind the local header, whose name and extra field may differ from those of the directory
    stream.seek(info.header_offset + 26)
    name, extra = struct.unpack("<2H", stream.read(4))
    return info.header_offset + 30 + name + extra


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Return shape, whether columns come first, type, and the bytes that the header takes."""
    stream.seek(0)
    first = np.lib.format.read_magic(stream) == (1, 0)
    reader = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    return (*reader(stream), stream.tell())


def _sampled(stream: IO[bytes]) -> str:
    # a plain npy carries no checksum: its time of change stands in for the bytes between the three samples
    status, sha = os.fstat(stream.fileno()), hashlib.sha256()
    for first in (0, status.st_size // 2, max(0, status.st_size - _SAMPLE)):
        stream.seek(first)
        sha.update(stream.read(_SAMPLE))
    return f"{status.st_size}-{status.st_mtime_ns}-{sha.hexdigest()[:16]}"


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    """Turn whatever a broken or hostile file raises into a fault of that file."""
    try:
        yield
    except PartError:
        raise
    except OSError as error:
        raise Damage(UNREADABLE, f"{path.name} cannot be read: {error.strerror or error}.") from None
    except Exception as error:  # noqa: BLE001 - zipfile, zlib and the header parser raise a dozen kinds
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "CRC" in told:
            message = f"{path.name} does not match its checksum: bytes changed since it was written."
            raise Damage(CHECKSUM, message) from None
        kind = TRUNCATED if isinstance(error, zipfile.BadZipFile | zlib.error | EOFError) else FORMAT
        advice = ": download it again" if kind == TRUNCATED else ""
        raise Damage(kind, f"{path.name} is no readable array ({told[:120]}){advice}.") from None
