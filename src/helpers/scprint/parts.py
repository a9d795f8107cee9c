"""The parts of a folder: three files each, found, paired by stem and checked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from helpers.errors import PartError
from helpers.files import require_utf8
from helpers.scprint import archive, layout, reading
from helpers.scprint.archive import ArrayFile, Damage

CHECK_SCHEMA = {
    "part": pl.String,
    "cells": pl.Int64,
    "label_columns": pl.Int64,
    "storage": pl.String,
    "status": pl.String,
    "kind": pl.String,
    "message": pl.String,
}
WIDTHS = {
    layout.EMBEDDINGS: (layout.EMBEDDING_WIDTH,),
    layout.TOP3: layout.LABEL_WIDTHS,
    layout.SCORES: layout.LABEL_WIDTHS,
}


@dataclass(frozen=True)
class Part:
    """The files of one part.

    Attributes
    ----------
    stem
        Path below the folder without kind and suffix, with forward slashes; names the part everywhere.
    files
        Path by kind: embs, top3, scores. A missing sibling is absent.
    """

    stem: str
    files: dict[str, Path] = field(hash=False)

    @property
    def missing(self) -> tuple[str, ...]:
        """Kinds of which the part has no file."""
        return tuple(kind for kind in layout.KINDS if kind not in self.files)


@dataclass(frozen=True)
class Opened:
    """A part whose three headers agree.

    Attributes
    ----------
    stem
        Name of the part.
    cells
        Rows of each file.
    files
        Array by kind.
    """

    stem: str
    cells: int
    files: dict[str, ArrayFile] = field(hash=False)

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Names of the label columns present."""
        return layout.label_columns(self.files[layout.TOP3].shape[1])

    @property
    def fingerprint(self) -> str:
        """Text that changes when the content of a file changes."""
        return "|".join(f"{kind}:{file.fingerprint}" for kind, file in sorted(self.files.items()))


def find(folder: Path | str) -> list[Part]:
    """Find the parts below a folder, paired by stem and sorted by run, subset and device.

    Raises
    ------
    PartError
        If there is no such folder or no file of a part in it, or one kind of a part lies there twice.
    """
    folder = Path(folder)
    if not folder.is_dir():
        msg = f"{folder} is not a folder. Name the folder of the *_embs, *_top3 and *_scores files."
        raise PartError(msg)
    found: dict[str, dict[str, Path]] = {}
    twice = []
    for path in sorted(folder.rglob("*.np[yz]")):
        split = layout.split_file_name(path.name)
        if split is None or path.name.startswith("."):
            continue
        stem = path.with_name(split[0]).relative_to(folder).as_posix()
        require_utf8(stem)  # parts are told apart by name in every table
        files = found.setdefault(stem, {})
        if split[1] in files:
            twice.append(f"{files[split[1]].name} and {path.name}")
        files[split[1]] = path
    if twice:
        msg = f"{len(twice)} files lie there twice, first {twice[0]}. Keep one of each."
        raise PartError(msg)
    if not found:
        msg = f"no file in {folder} is named step_[RUN]__predict_part_[SUBSET]_[GPU]_(embs|top3|scores).npz."
        raise PartError(msg)
    return [Part(stem, found[stem]) for stem in sorted(found, key=_order)]


def open_part(part: Part, *, kinds: Sequence[str] = layout.KINDS) -> Opened:
    """Open the headers of a part and see that they agree.

    Parameters
    ----------
    part
        What `find` returned.
    kinds
        Files that are needed; a missing sibling among the others is a fault all the same.

    Raises
    ------
    Damage
        With its kind: sibling, truncated, format, pickled, width, type, rows or unreadable.
    """
    if part.missing:
        raise Damage(archive.SIBLING, f"{part.stem} has no {' and no '.join(part.missing)} file.")
    files = {kind: archive.open_array(part.files[kind], widths=WIDTHS[kind]) for kind in layout.KINDS}
    rows = {kind: file.shape[0] for kind, file in files.items()}
    if len(set(rows.values())) > 1:
        told = ", ".join(f"{kind} {count:,}" for kind, count in rows.items())
        raise Damage(archive.ROWS, f"the files of {part.stem} differ in rows: {told}.")
    if files[layout.TOP3].shape[1] != files[layout.SCORES].shape[1]:
        told = f"{files[layout.TOP3].shape[1]} label and {files[layout.SCORES].shape[1]} score columns"
        raise Damage(archive.WIDTH, f"{part.stem} has {told}.")
    for kind, file in files.items():
        if file.dtype.kind not in ("iu" if kind == layout.TOP3 else "f"):
            raise Damage(archive.TYPE, f"{file.path.name} holds {file.dtype}, which {kind} cannot be.")
    return Opened(part.stem, rows[layout.TOP3], {kind: files[kind] for kind in kinds})


def label_blocks(opened: Opened, *, rows: int = 65536, verify: bool = True) -> Iterator[np.ndarray]:
    """Yield the label indices in blocks of rows, as uint16.

    Raises
    ------
    Damage
        If an index lies outside 0 to 65,535 or a checksum disagrees.
    """
    file = opened.files[layout.TOP3]
    for block in reading.blocks(file, rows=rows, verify=verify):
        if block.dtype != np.uint16:
            if block.size and (block.min() < 0 or block.max() > np.iinfo(np.uint16).max):
                raise Damage(archive.LABELS, f"{file.path.name} holds label indices outside 0 to 65,535.")
            yield block.astype(np.uint16)
        else:
            yield block


def rows_of(
    opened: Opened, kind: str, *, rows: np.ndarray | None = None, columns: slice | None = None
) -> np.ndarray:
    """Read rows and columns of one kind; float16 becomes float32.

    Parameters
    ----------
    opened
        A part.
    kind
        embs, top3 or scores.
    rows
        Row numbers, sorted; every row if none.
    columns
        A slice of `layout`; every column if none.

    Raises
    ------
    Damage
        If a number is not finite.
    """
    file = opened.files[kind]
    values = reading.take(file, rows=rows, columns=columns)
    if kind == layout.TOP3:
        return values.astype(np.uint16, copy=False)
    values = values.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise not_finite(file)
    return values


def not_finite(file: ArrayFile) -> Damage:
    """Make the fault of a file that holds NaN or infinity."""
    return Damage(archive.NOT_FINITE, f"{file.path.name} holds NaN or infinite values.")


def check(folder: Path | str, *, deep: bool = True) -> pl.DataFrame:
    """Check every part of a folder; one row a part, nothing stops at the first fault.

    Parameters
    ----------
    folder
        Folder of parts.
    deep
        Read every byte: checksums, NaN and label order. Without it only names, headers and sizes.
    """
    rows = [_check_part(part, deep) for part in find(folder)]
    return pl.DataFrame(rows, schema=CHECK_SCHEMA, orient="row")


def _check_part(part: Part, deep: bool) -> tuple[str | int | None, ...]:  # noqa: FBT001
    try:
        opened = open_part(part)
        message = _read_through(opened) if deep else ""
    except Damage as damage:
        return (part.stem, None, None, None, "fault", damage.kind, damage.message)
    width = len(opened.label_columns)
    if width < layout.LABEL_WIDTH:
        message = f"no {', '.join(layout.missing_classes(width))} column. {message}".strip()
    storage = opened.files[layout.EMBEDDINGS].storage
    return (part.stem, opened.cells, width, storage, "note" if message else "ok", None, message or None)


def _read_through(opened: Opened) -> str:
    for _ in label_blocks(opened):
        continue
    for kind in (layout.SCORES, layout.EMBEDDINGS):
        for block in reading.blocks(opened.files[kind]):
            if not np.isfinite(block).all():
                raise not_finite(opened.files[kind])
    scores = rows_of(opened, layout.SCORES)
    unordered = 0
    for name in layout.RANKED:
        three = scores[:, layout.LABELS[name]]
        unordered += int((np.diff(three, axis=1) > 0).any(axis=1).sum())
    return f"{unordered:,} label triples are not best first." if unordered else ""


def _order(stem: str) -> tuple[str, int, tuple[int, int, int, str], str]:
    folder, _, name = stem.rpartition("/")
    try:
        parsed = layout.parse_stem(name)
    except PartError:
        return (folder, 1, (0, 0, 0, ""), name)
    return (folder, 0, (parsed.step, parsed.subset, parsed.device, parsed.model), name)
