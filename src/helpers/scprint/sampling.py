"""A fair sample of the cells of all parts, the same whatever the order or the number of parts read before."""

import zlib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from helpers.budget import require
from helpers.errors import PartError
from helpers.scprint import layout, parts
from helpers.scprint.archive import Damage
from helpers.scprint.labels import Decoder
from helpers.scprint.parts import Opened

_BYTES_A_CELL = 4 * (layout.EMBEDDING_WIDTH + layout.LABEL_WIDTH) + 2 * layout.LABEL_WIDTH


@dataclass
class Sample:
    """Sampled cells, by part and row.

    Attributes
    ----------
    parts
        Names of the parts.
    part
        Number of the part of each cell.
    row
        Row of each cell in its part.
    embeddings
        Cells x 424, float32.
    labels
        Cells x 23 (or 22), uint16.
    scores
        Cells x 23 (or 22), float32.
    skipped
        Faults of parts from which no cell was drawn.
    """

    parts: list[str]
    part: np.ndarray
    row: np.ndarray
    embeddings: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    scores: np.ndarray = field(repr=False)
    skipped: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Count the cells."""
        return len(self.row)

    def block(self, name: str) -> np.ndarray:
        """Return the columns of one block."""
        return self.embeddings[:, layout.BLOCKS[name]]

    def best(self, class_name: str) -> np.ndarray:
        """Return the best label of each cell, as int64."""
        return self.labels[:, layout.LABELS[class_name].start].astype(np.int64)

    @property
    def classes(self) -> list[str]:
        """Classes that have labels here."""
        return [name for name, columns in layout.LABELS.items() if columns.stop <= self.labels.shape[1]]

    def table(self, decoder: Decoder) -> pl.DataFrame:
        """Return the best labels as names, one row a cell."""
        named = {name: decoder.names(name, self.best(name).tolist()) for name in self.classes}
        return pl.DataFrame(named, schema=dict.fromkeys(named, pl.String))

    def limit(self, cells: int) -> "Sample":
        """Return the first `cells` of the sample in the order of their chances: a fair smaller sample."""
        if cells >= len(self):
            return self
        keep = np.sort(np.random.default_rng(len(self)).permutation(len(self))[:cells])
        columns = (self.part, self.row, self.embeddings, self.labels, self.scores)
        return Sample(self.parts, *[column[keep] for column in columns], self.skipped)


def draw(
    folder: Path | str,
    *,
    cells: int,
    seed: int = 7,
    only: Collection[str] | None = None,
    budget: str = "1 GiB",
) -> Sample:
    """Draw cells from all parts with equal chance.

    Every cell has a random number that depends on the seed, its part and its row alone; the lowest numbers win. A
    new part therefore changes few of the cells drawn.

    Parameters
    ----------
    folder
        Folder of parts.
    cells
        Cells to draw; all if there are fewer.
    seed
        Seed of the draw.
    only
        Names of the parts to draw from, such as those a survey counted; every part that opens if none.
    budget
        Memory for the cells drawn.

    Raises
    ------
    PartError
        If no part opens.
    BudgetError
        If the cells would need more than the budget.
    """
    remedy = "Draw fewer cells or raise the budget."
    require(cells * _BYTES_A_CELL, budget=budget, work=f"a sample of {cells:,} cells", remedy=remedy)
    opened, skipped = _open(folder, only)
    pieces, part, row = _read(opened, _choose(opened, cells, seed), skipped)
    if not part:
        msg = f"no cell could be drawn from {folder}: {next(iter(skipped.values()), 'the parts are empty')}"
        raise PartError(msg)
    width = min(values.shape[1] for values in pieces[layout.TOP3])
    narrow = {
        kind: np.concatenate([values[:, :width] for values in pieces[kind]]) for kind in layout.KINDS[1:]
    }
    return Sample(
        [found.stem for found in opened],
        np.concatenate(part),
        np.concatenate(row),
        np.concatenate(pieces[layout.EMBEDDINGS]),
        narrow[layout.TOP3],
        narrow[layout.SCORES],
        skipped,
    )


def _read(
    opened: list[Opened], chosen: list[np.ndarray], skipped: dict[str, str]
) -> tuple[dict[str, list[np.ndarray]], list[np.ndarray], list[np.ndarray]]:
    """Return the arrays of the chosen rows by kind, the part number and the rows; note in `skipped` what is damaged."""
    pieces: dict[str, list[np.ndarray]] = {kind: [] for kind in layout.KINDS}
    part, row = [], []
    for number, (found, rows) in enumerate(zip(opened, chosen, strict=True)):
        if not len(rows):
            continue
        try:
            read = {kind: parts.rows_of(found, kind, rows=rows) for kind in layout.KINDS}
        except Damage as damage:
            skipped[found.stem] = damage.message
            continue
        for kind, values in read.items():
            pieces[kind].append(values)
        part.append(np.full(len(rows), number))
        row.append(rows)
    return pieces, part, row


def _open(folder: Path | str, only: Collection[str] | None) -> tuple[list[Opened], dict[str, str]]:
    opened, skipped = [], {}
    for part in parts.find(folder):
        if only is not None and part.stem not in only:
            continue
        try:
            opened.append(parts.open_part(part))
        except Damage as damage:
            skipped[part.stem] = damage.message
    return opened, skipped


def _choose(opened: list[Opened], cells: int, seed: int) -> list[np.ndarray]:
    # keep the lowest numbers seen so far; what lies above the worst of them cannot win any more
    numbers, places = np.empty(0), np.empty((0, 2), np.int64)
    limit = np.inf
    for number, found in enumerate(opened):
        lot = np.random.default_rng([seed, zlib.crc32(found.stem.encode())]).random(found.cells)
        rows = np.flatnonzero(lot < limit)
        numbers = np.concatenate([numbers, lot[rows]])
        places = np.concatenate([places, np.column_stack([np.full(len(rows), number), rows])])
        if len(numbers) > 2 * cells:
            keep = np.argpartition(numbers, cells - 1)[:cells] if cells else np.empty(0, np.int64)
            numbers, places = numbers[keep], places[keep]
            limit = numbers.max(initial=-np.inf)
    keep = np.argsort(numbers, kind="stable")[:cells]
    places = places[keep]
    return [np.sort(places[places[:, 0] == number, 1]) for number in range(len(opened))]
