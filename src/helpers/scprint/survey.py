"""One pass over all parts, each known by its content, and a fair sample of their cells.

The same files come out of one thread, many threads and a Dask cluster, because what is kept of a part does not
depend on who read it. A part that was read before is not read again.
"""

import io
import shutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from helpers import files
from helpers.budget import require
from helpers.cluster import ahead, pool
from helpers.errors import PartError
from helpers.kernels import kernel
from helpers.scprint import labels, layout, parts
from helpers.scprint.parts import Damage, Opened

if TYPE_CHECKING:  # a second that no worker need wait for
    from anndata import AnnData

# part of every name of a kept file: raise it when what is kept changes its meaning
VERSION = 1
KIND = "scprint survey"  # what our mark says of a folder
_HALF_TO_SINGLE, _INFINITE = float(2**112), 0x7C00
_BYTES_A_CELL = 8 * layout.EMBEDDING_WIDTH + 100 * len(layout.CLASSES)  # of a sample
_COLUMNS = pl.DataFrame(layout.EMBEDDING_COLUMNS, schema=["block", "dimension"], orient="row")
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
    on_fault: str = "skip",
    progress: Callable[[int, int], None] | None = None,
) -> Survey:
    """Survey a folder of parts; memory does not grow with their number.

    `cache` is a folder that keeps what was read of each part, about 100 bytes a cell; in the package's cache folder if
    none. A survey that was stopped goes on where it was. `processes` parts are read at once on this machine, or by the
    workers of a Dask scheduler at the address `cluster`, who see the same folder. `on_fault` is ``skip``: sound parts
    are counted and the others listed, or ``stop``: raise. `progress` is called with parts done and parts in all.
    ``found.cells.group_by("tissue").len().collect(engine="streaming")`` counts in the memory of one part.
    """
    if on_fault not in ("skip", "stop"):
        msg = f"on_fault is {on_fault!r}; choose skip or stop."
        raise PartError(msg)
    listed = parts.find(folder)
    store = (cache or files.cache_folder() / "scprint" / "surveys") / f"version-{VERSION}"
    rows, kept, computed = [], [], 0
    total = np.zeros((3, layout.EMBEDDING_WIDTH))
    with pool(processes, cluster or None, error=PartError) as workers:
        for stem, found, fresh in _keep(listed, store, workers):
            computed += fresh
            if isinstance(found, Damage):
                if on_fault == "stop":
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
    embedding = _COLUMNS.with_columns(mean=total[1], variance=total[2] / np.maximum(total[0] - 1, 1))
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
        codes = parts.read(opened, layout.TOP3)
    except Damage as damage:
        return damage
    schema = dict.fromkeys(layout.LABEL_COLUMNS, pl.UInt16) | dict.fromkeys(layout.SCORE_COLUMNS, pl.Float16)
    columns = dict(zip(layout.LABEL_COLUMNS, np.ascontiguousarray(codes.T), strict=False))
    columns |= dict(zip(layout.SCORE_COLUMNS, np.ascontiguousarray(scores.T), strict=False))
    table = pl.DataFrame({name: columns.get(name) for name in schema}, schema=schema)
    row = pl.int_range(pl.len(), dtype=pl.UInt32)
    table = table.select(pl.lit(opened.stem).alias("part"), row.alias("row"), *schema)
    parquet, npy = io.BytesIO(), io.BytesIO()
    table.write_parquet(parquet, compression="lz4", statistics=False)
    widths = np.full(layout.EMBEDDING_WIDTH, opened.label_width)
    np.save(npy, np.vstack([moments, widths]), allow_pickle=False)
    return parquet.getvalue(), npy.getvalue()


def draw(
    folder: Path | str,
    *,
    cells: int,
    seed: int = 7,
    only: list[str] | None = None,
    decoder: pl.DataFrame | None = None,
    budget: str = "1 GiB",
) -> "AnnData":
    """Draw cells from all parts with equal chance; all of them if there are fewer than `cells`.

    Every cell has a random number that depends on the seed, its part and its row alone; the lowest numbers win. A
    new part therefore changes few of the cells drawn. `only` names the parts to draw from, such as those a survey
    counted; `decoder` names the labels (`labels.beside`).

    Returned are in ``X`` the 424 columns of the embedding, float32, named in ``var`` by block and dimension; in ``obsm``
    the same, block by block; in ``obs`` part, row, and the label columns as names, missing where a part has none; in
    ``uns["skipped"]`` parts that could not be read, with the reason.
    """
    from anndata import AnnData

    remedy = "Draw fewer cells or raise the budget."
    require(cells * _BYTES_A_CELL, budget=budget, work=f"a sample of {cells:,} cells", remedy=remedy)
    opened = list(parts.open_all(folder, only))
    schema = {"part": pl.String, "row": pl.Int64, **dict.fromkeys(layout.LABEL_COLUMNS, pl.UInt16)}
    points, rows, skipped = [], [], {}
    for found, chosen in _choose(opened, cells, seed):
        try:
            embeddings = parts.read_rows(found, layout.EMBEDDINGS, chosen).astype(np.float32)
            if not np.isfinite(embeddings).all():
                raise parts.not_finite(found, layout.EMBEDDINGS)
            codes = parts.read_rows(found, layout.TOP3, chosen)
        except Damage as damage:
            skipped[found.stem] = str(damage)
            continue
        points.append(embeddings)
        columns = dict.fromkeys(layout.LABEL_COLUMNS) | dict(zip(layout.LABEL_COLUMNS, codes.T, strict=False))
        rows.append(pl.DataFrame({"part": found.stem, "row": chosen, **columns}, schema=schema))
    if not rows:
        msg = f"no cell could be drawn from {folder}: {next(iter(skipped.values()), 'the parts are empty')}"
        raise PartError(msg)
    table = labels.decode(pl.concat(rows), labels.built_in() if decoder is None else decoder)
    obs = table.with_columns(pl.col(pl.String).cast(pl.Categorical)).to_pandas()
    obs.index = [f"{part}:{row}" for part, row in table.select("part", "row").rows()]
    var = _COLUMNS.to_pandas()
    var.index = [f"{block}_{dimension}" for block, dimension in layout.EMBEDDING_COLUMNS]
    drawn = AnnData(np.concatenate(points), obs, var)
    for name, where in layout.BLOCKS.items():
        drawn.obsm[name] = drawn.X[:, where]
    drawn.uns["skipped"] = skipped
    return drawn


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
        prints = [opened.files[kind].fingerprint for kind in layout.KINDS]
        name = files.digest_text("|".join([str(VERSION), part.stem, *prints]))[:32]
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


def _choose(opened: list[Opened], cells: int, seed: int) -> Iterator[tuple[Opened, np.ndarray]]:
    # only the lowest numbers seen so far are kept: what lies above the worst of them cannot win any more
    numbers, places, limit = np.empty(0), np.empty((0, 2), np.int64), np.inf
    for number, found in enumerate(opened):
        lot = np.random.default_rng([seed, zlib.crc32(found.stem.encode())]).random(found.cells)
        rows = np.flatnonzero(lot < limit)
        numbers = np.concatenate([numbers, lot[rows]])
        places = np.concatenate([places, np.column_stack([np.full(len(rows), number), rows])])
        if len(numbers) > cells:
            lowest = np.argsort(numbers, kind="stable")[:cells]
            numbers, places = numbers[lowest], places[lowest]
            limit = numbers.max(initial=-np.inf)
    for number in np.unique(places[:, 0]):
        yield opened[number], np.sort(places[places[:, 0] == number, 1])
