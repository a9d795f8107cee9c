"""What the whole atlas costs, from what a few parts cost: the arithmetic, line by line."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from helpers.errors import PartError
from helpers.scprint import layout, parts, simulation, statistics

# From the public dataset card; bytes a cell from the layout: 424 half-precision numbers, 23 labels, 23 scores.
ATLAS_CELLS = 338_000_000
EMBEDDING_BYTES = 2 * layout.EMBEDDING_WIDTH
LABEL_BYTES = 2 * layout.LABEL_WIDTH
SCORE_BYTES = 2 * layout.LABEL_WIDTH
CELL_BYTES = EMBEDDING_BYTES + LABEL_BYTES + SCORE_BYTES


@dataclass(frozen=True)
class Measured:
    """Seconds that a step took on some cells, on one core.

    Attributes
    ----------
    step
        What was done.
    cells
        Cells it was done on.
    seconds
        Wall time.
    bytes_a_cell
        Bytes of a cell that the step reads.
    """

    step: str
    cells: int
    seconds: float
    bytes_a_cell: int = CELL_BYTES


def extrapolate(
    measured: list[Measured], *, cells: int = ATLAS_CELLS, cores: int = 1, disk_mb_per_second: float = 500.0
) -> pl.DataFrame:
    """Extrapolate measured steps to the whole atlas.

    Parameters
    ----------
    measured
        Steps with their times.
    cells
        Cells of the whole.
    cores
        Cores that share the parts; the step is done part by part, so its time divides by them.
    disk_mb_per_second
        Rate at which files come off the disk, shared by all cores. Measured times are those of files in memory.

    Returns
    -------
    polars.DataFrame
        One row a step: cells per second, minutes of the processor, minutes of the disk, and the larger of both,
        with the arithmetic written out.

    Raises
    ------
    PartError
        If a step took no time or no cells.
    """
    rows = []
    for step in measured:
        if step.seconds <= 0 or step.cells <= 0 or cores < 1 or disk_mb_per_second <= 0:
            msg = f"{step.step}: {step.cells} cells in {step.seconds} s on {cores} cores cannot be extrapolated."
            raise PartError(msg)
        rate = step.cells / step.seconds
        processor = cells / rate / cores / 60
        disk = cells * step.bytes_a_cell / (disk_mb_per_second * 1e6) / 60
        text = (
            f"{cells:,} cells / ({rate:,.0f} cells/s x {cores}) / 60 = {processor:.1f} min; {cells:,} x "
            f"{step.bytes_a_cell} B / {disk_mb_per_second:.0f} MB/s / 60 = {disk:.1f} min"
        )
        rows.append((step.step, rate, processor, disk, max(processor, disk), text))
    schema = {
        "step": pl.String,
        "cells_per_second": pl.Float64,
        "processor_minutes": pl.Float64,
        "disk_minutes": pl.Float64,
        "minutes": pl.Float64,
        "arithmetic": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def file_sizes(folder: Path) -> pl.DataFrame:
    """Return files and bytes of a folder of parts by kind, and what the whole atlas would take uncompressed."""
    per_cell = dict(zip(layout.KINDS, (EMBEDDING_BYTES, LABEL_BYTES, SCORE_BYTES), strict=True))
    found = {kind: [0, 0] for kind in layout.KINDS}
    for name, size in simulation.part_sizes(folder):
        split = layout.split_file_name(name)
        if split is not None:
            found[split[1]][0] += 1
            found[split[1]][1] += size
    rows = [(kind, *found[kind], per_cell[kind], ATLAS_CELLS * per_cell[kind] / 1e9) for kind in layout.KINDS]
    schema = ["file", "files", "bytes", "bytes_a_cell", "whole_atlas_gb"]
    return pl.DataFrame(rows, schema=schema, orient="row")


def measure(folder: Path | str, *, only: Collection[str] | None = None, repeats: int = 3) -> list[Measured]:
    """Time the steps of a survey on one part, files in memory, on one core.

    Parameters
    ----------
    folder
        Folder of parts.
    only
        Parts to choose from, such as those a survey counted.
    repeats
        Times that each step is done; the best counts, so that the first reading of the file does not.

    Raises
    ------
    PartError
        If no part can be measured.
    """
    chosen = [part for part in parts.find(folder) if only is None or part.stem in only]
    opened = max((parts.open_part(part) for part in chosen), key=lambda part: part.cells, default=None)
    if opened is None or not opened.cells:
        msg = f"no part of {folder} can be measured."
        raise PartError(msg)
    pairs = statistics.Plan(tables=((layout.CELL_TYPE, layout.TISSUE),), scores=False, embeddings=False)
    tables = statistics.Plan(scores=False, embeddings=False)
    scores = statistics.Plan(embeddings=False)
    vectors = statistics.Plan(tables=(), scores=False)
    whole = statistics.Plan()
    steps = (
        ("one table of two labels", pairs, LABEL_BYTES),
        ("all label tables", tables, LABEL_BYTES),
        ("label tables and scores", scores, LABEL_BYTES + SCORE_BYTES),
        ("embedding means and covariances", vectors, CELL_BYTES),
        ("the whole survey", whole, CELL_BYTES),
    )
    found = []
    for name, plan, size in steps:
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            statistics.measure(opened, plan=plan)
            seconds.append(time.perf_counter() - started)
        found.append(Measured(name, opened.cells, min(seconds), size))
    return found
