"""One pass over all parts: labels and scores kept as Parquet, embeddings summed up, each part known by its content.

The same files come out of one thread, many threads and a Dask cluster, because what is kept of a part does not
depend on who read it. A part that was read before is not read again.
"""

import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from helpers import files
from helpers.cluster import ahead, pool
from helpers.errors import PartError
from helpers.kernels import kernel
from helpers.scprint import layout, parts
from helpers.scprint.parts import Damage, Opened

# part of every name of a kept file: raise it when what is kept changes its meaning
VERSION = 1
KIND = "scprint survey"  # what our mark says of a folder
SKIP, STOP = "skip", "stop"
_HALF_TO_SINGLE, _INFINITE = float(2**112), 0x7C00
_WINDOW = 16  # parts under way at once: memory does not grow with their number


@dataclass(frozen=True)
class Survey:
    """What the parts hold."""

    cells: pl.LazyFrame
    parts: pl.DataFrame
    embedding: pl.DataFrame
    kept: list[Path]
    computed: int

    @property
    def counted(self) -> list[str]:
        """Names of the parts without a fault."""
        return self.parts.filter(pl.col("status") == "counted")["part"].to_list()

    def save(self, folder: Path) -> None:
        """Write ``parts.parquet``, ``embedding.parquet``, and the cells of each part below ``cells``."""
        (folder / "cells").mkdir(parents=True)
        self.parts.write_parquet(folder / "parts.parquet")
        self.embedding.write_parquet(folder / "embedding.parquet")
        for number, path in enumerate(self.kept):
            shutil.copyfile(path, folder / "cells" / f"part_{number:06d}.parquet")


def run(
    folder: Path | str,
    *,
    cache: Path | None = None,
    processes: int = 1,
    cluster: str = "",
    on_fault: str = SKIP,
    progress: Callable[[int, int], None] | None = None,
) -> Survey:
    """Survey a folder of parts; memory does not grow with their number.

    Parameters
    ----------
    cache
        Folder that keeps what was read of each part, about 100 bytes a cell; in the package's cache folder if none.
        A survey that was stopped goes on where it was.
    processes, cluster
        Parts read at once on this machine, or the address of a Dask scheduler whose workers see the same folder.
    on_fault
        ``skip`` counts the sound parts and lists the others, ``stop`` raises at the first fault.
    progress
        Called with parts done and parts in all.

    Examples
    --------
    Cells by predicted tissue, in the memory of one part::

        found = survey.run("parts")
        found.cells.group_by("tissue").len().collect(engine="streaming")
    """
    if on_fault not in (SKIP, STOP):
        msg = f"on_fault is {on_fault!r}; choose {SKIP} or {STOP}."
        raise PartError(msg)
    listed = parts.find(folder)
    store = (cache or files.cache_folder() / "scprint" / "surveys") / f"version-{VERSION}"
    rows: list[tuple[Any, ...]] = []
    kept: list[Path] = []
    total = np.zeros((3, layout.EMBEDDING_WIDTH))
    computed = 0
    with pool(processes, cluster or None, error=PartError) as workers:
        for stem, found, fresh in _keep(listed, store, workers):
            computed += fresh
            if isinstance(found, Damage):
                if on_fault == STOP:
                    msg = f"part {stem}: {found}"
                    raise PartError(msg)
                rows.append((stem, None, None, "fault", found.kind, str(found)))
            else:
                sums = np.load(found[1], allow_pickle=False)
                _merge(total, sums[:3])
                width = int(sums[3, 0])
                note = None if width == layout.LABEL_WIDTH else "no cell_culture column"
                rows.append((stem, int(sums[0, 0]), width, "counted", None, note))
                kept.append(found[0])
            if progress is not None:
                progress(len(rows), len(listed))
    frame = pl.DataFrame(rows, schema=parts.CHECK_SCHEMA, orient="row")
    if not kept:
        msg = f"none of {frame.height} parts can be counted; {rows[0][0]}: {rows[0][5]}"
        raise PartError(msg)
    columns = pl.DataFrame(layout.EMBEDDING_COLUMNS, schema=["block", "dimension"], orient="row")
    embedding = columns.with_columns(mean=total[1], variance=total[2] / np.maximum(total[0] - 1, 1))
    return Survey(pl.scan_parquet(kept, glob=False), frame, embedding, kept, computed)


def work(opened: Opened) -> tuple[bytes, bytes] | Damage:
    """Read one part; runs in any process, on any machine that sees the files.

    Returns labels and scores as the bytes of a Parquet file, and an npy of cells, mean and sum of squares about the
    mean of each column of the embedding, and label columns.
    """
    try:
        embeddings = parts.read(opened, layout.EMBEDDINGS)
        moments = _moments(embeddings)
        if moments is None:
            return parts.not_finite(opened, layout.EMBEDDINGS)
        del embeddings
        with np.errstate(over="ignore"):  # what half precision cannot hold is no score of this model
            scores = parts.read(opened, layout.SCORES).astype(np.float16, copy=False)
        if not np.isfinite(scores).all():
            return parts.not_finite(opened, layout.SCORES)
        labels = parts.read(opened, layout.TOP3)
    except Damage as damage:
        return damage
    schema = dict.fromkeys(layout.LABEL_COLUMNS, pl.UInt16) | dict.fromkeys(layout.SCORE_COLUMNS, pl.Float16)
    columns = dict(zip(layout.LABEL_COLUMNS, np.ascontiguousarray(labels.T), strict=False))
    columns |= dict(zip(layout.SCORE_COLUMNS, np.ascontiguousarray(scores.T), strict=False))
    table = pl.DataFrame({name: columns.get(name) for name in schema}, schema=schema)
    row = pl.int_range(pl.len(), dtype=pl.UInt32)
    table = table.select(pl.lit(opened.stem).alias("part"), row.alias("row"), *schema)
    parquet, npy = io.BytesIO(), io.BytesIO()
    table.write_parquet(parquet, compression="lz4", statistics=False)
    widths = np.full(layout.EMBEDDING_WIDTH, opened.label_width)
    np.save(npy, np.vstack([moments, widths]), allow_pickle=False)
    return parquet.getvalue(), npy.getvalue()


def _moments(embeddings: np.ndarray) -> np.ndarray | None:
    """Return cells, mean and sum of squares about the mean, by column; none if a number is not finite."""
    cells, width = embeddings.shape
    half = embeddings.dtype == np.float16 and embeddings.flags.c_contiguous
    sums = np.zeros((2, width))
    rows = 512 if half else 4096
    for first in range(0, cells, rows):
        block = embeddings[first : first + rows]
        block = _to_single(block.view(np.uint16)) if half else block.astype(np.float64)
        sums += block.sum(axis=0), (block**2).sum(axis=0)
    if not np.isfinite(sums).all():
        return None
    mean = sums[0] / max(1, cells)
    return np.vstack([np.full(width, cells), mean, np.maximum(sums[1] - cells * mean**2, 0)])


@kernel
def _to_single(bits: np.ndarray) -> np.ndarray:
    # half-precision bits moved into the fields of single precision, which numpy takes ten times longer for; infinity
    # becomes NaN too
    out = np.empty(bits.shape, np.float32)
    for i in range(bits.shape[0]):
        for j in range(bits.shape[1]):
            magnitude, sign = bits[i, j] & np.uint16(0x7FFF), bits[i, j] & np.uint16(0x8000)
            single = (np.uint32(magnitude) << np.uint32(13)) | (np.uint32(sign) << np.uint32(16))
            value = np.uint32(single).view(np.float32) * np.float32(_HALF_TO_SINGLE)
            out[i, j] = value if magnitude < _INFINITE else np.float32(np.nan)
    return out


def _merge(total: np.ndarray, new: np.ndarray) -> None:
    """Add the moments of a part (Chan's formula)."""
    cells = total[0] + new[0]
    gap = new[1] - total[1]
    share = new[0] / np.maximum(cells, 1)
    total[2] += new[2] + gap**2 * total[0] * share
    total[1] += gap * share
    total[0] = cells


def _keep(
    listed: list[parts.Part], store: Path, workers: Any
) -> Iterator[tuple[str, tuple[Path, Path] | Damage, bool]]:
    """Yield each part in order, where its cells and sums are kept or its fault, and whether it was read now."""

    def start(part: parts.Part) -> tuple[str, tuple[Path, Path] | Damage, Any]:
        try:
            opened = parts.open_part(part)
        except Damage as damage:
            return part.stem, damage, None
        name = files.digest_text(f"{VERSION}|{opened.fingerprint}")[:32]
        places = store / "cells" / f"{name}.parquet", store / "sums" / f"{name}.npy"
        return part.stem, places, None if _is_whole(*places) else workers.submit(work, opened)

    for stem, kept, future in ahead(map(start, listed), _WINDOW):
        found = kept if future is None else workers.result(future)
        if future is None or isinstance(found, Damage):
            yield stem, found, False
            continue
        for path, data in zip(kept, found, strict=True):
            with files.writing(path) as written:
                written.write_bytes(data)
        yield stem, kept, True


def _is_whole(cells: Path, sums: Path) -> bool:
    try:
        pl.read_parquet_schema(cells)
        return np.load(sums, allow_pickle=False).shape == (4, layout.EMBEDDING_WIDTH)
    except (OSError, ValueError, EOFError, pl.exceptions.PolarsError):
        return False
