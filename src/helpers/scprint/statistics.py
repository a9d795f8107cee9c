"""Mergeable statistics of a part: what a survey keeps of 20,000 cells in some hundred kilobytes."""

import functools
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from threadpoolctl import ThreadpoolController

from helpers.errors import PartError
from helpers.scprint import counting, layout, parts, reading
from helpers.scprint.counting import ClassScores
from helpers.scprint.moments import Moments
from helpers.scprint.parts import Opened

# Part of every cache key: raise it when a statistic changes its meaning.
VERSION = 1

_PAIRED = {
    layout.CELL_TYPE: (
        layout.TISSUE,
        layout.AGE_GROUP,
        layout.ASSAY,
        layout.DISEASE,
        layout.ORGANISM,
        layout.SEX,
    ),
    layout.TISSUE: (layout.AGE_GROUP, layout.ASSAY, layout.DISEASE, layout.ORGANISM, layout.SEX),
    layout.ORGANISM: (layout.ETHNICITY, layout.DISEASE, layout.CULTURE),
}
SINGLES = tuple((name,) for name in layout.CLASSES)
PAIRS = tuple((name, other) for name, others in _PAIRED.items() for other in others)
CHOICES = tuple((name, f"{name}_2") for name in layout.RANKED)
TRIPLES = ((layout.CELL_TYPE, layout.TISSUE, layout.AGE_GROUP),)
TABLES = (*SINGLES, *PAIRS, *CHOICES, *TRIPLES)


@dataclass(frozen=True)
class Plan:
    """What one pass over the parts collects.

    Attributes
    ----------
    tables
        Combinations of one to three label columns whose cells are counted.
    scores
        Tally scores and margins.
    embeddings
        Sum the embeddings; without it their files are opened but not read.
    covariance_every
        One cell of so many enters the covariances; 1 takes every cell. Means take every cell in any case.
    verify
        Compare the checksums of the zip format.
    """

    tables: tuple[tuple[str, ...], ...] = TABLES
    scores: bool = True
    embeddings: bool = True
    covariance_every: int = 64
    verify: bool = True

    def __post_init__(self) -> None:
        """Check the tables and the step.

        Raises
        ------
        PartError
            If a table has no or more than three columns, a column does not exist, or the step is below 1.
        """
        for table in self.tables:
            if not 1 <= len(table) <= 3:
                msg = f"table {table} has {len(table)} columns; one, two or three can be counted."
                raise PartError(msg)
            for name in table:
                layout.column(name)
        if self.covariance_every < 1:
            msg = f"covariance_every is {self.covariance_every}; one cell of so many, at least 1."
            raise PartError(msg)

    @property
    def key(self) -> str:
        """Name of the plan in a cache."""
        text = json.dumps([VERSION, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def plan_for(classes: str, *, covariance_every: int = 64) -> Plan:
    """Return the usual plan with one more table.

    Parameters
    ----------
    classes
        Two or three classes with commas between them.
    covariance_every
        One cell of so many enters the covariances.

    Raises
    ------
    PartError
        If a class does not exist or there are not two or three.
    """
    named = tuple(name.strip() for name in classes.split(","))
    if not 2 <= len(named) <= 3 or len(set(named)) != len(named) or not set(named) <= set(layout.CLASSES):
        msg = f"{classes!r} is not two or three of {', '.join(layout.CLASSES)}, with commas between them."
        raise PartError(msg)
    held = {frozenset(table) for table in TABLES}
    more = () if frozenset(named) in held else (named,)
    return Plan(tables=(*TABLES, *more), covariance_every=covariance_every)


@dataclass
class PartStatistics:
    """What a survey keeps of one part.

    Attributes
    ----------
    cells
        Rows of the part.
    label_width
        Label columns: 23 or 22.
    tables
        Codes (16 bits a column) and counts of each table.
    scores
        Score tallies by class.
    sums
        Sums of the 424 columns over every cell; none if the plan leaves embeddings out.
    moments
        Moments of the cells that enter the covariances.
    """

    cells: int
    label_width: int
    tables: dict[tuple[str, ...], tuple[np.ndarray, np.ndarray]]
    scores: dict[str, ClassScores]
    sums: np.ndarray | None
    moments: Moments | None


def measure(opened: Opened, *, plan: Plan) -> PartStatistics:
    """Collect the statistics of one part in one pass.

    Parameters
    ----------
    opened
        A part whose headers agree.
    plan
        What to collect.

    Raises
    ------
    Damage
        If a checksum disagrees, a number is not finite, or a compressed file is truncated.
    """
    needed = bool(plan.tables) or plan.scores
    blocks = parts.label_blocks(opened, rows=max(1, opened.cells), verify=plan.verify) if needed else iter(())
    labels = _whole(blocks)
    scores = _scores(opened, labels, plan) if plan.scores else {}
    sums, moments = None, None
    if plan.embeddings:
        # one thread: the same sums whatever the number of cores, and processes do not fight for them
        with _threads().limit(limits=1):
            sums, moments = _embeddings(opened, plan)
    tables = counting.count_labels(labels, plan.tables)
    return PartStatistics(opened.cells, len(opened.label_columns), tables, scores, sums, moments)


def _whole(blocks: Iterator[np.ndarray]) -> np.ndarray:
    pieces = list(blocks)
    if not pieces:
        return np.empty((0, layout.LABEL_WIDTH), np.uint16)
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _scores(opened: Opened, labels: np.ndarray, plan: Plan) -> dict[str, ClassScores]:
    file = opened.files[layout.SCORES]
    stored = _whole(reading.blocks(file, rows=max(1, opened.cells), verify=plan.verify))
    scores, finite = counting.widen(stored)
    if not finite:
        raise parts.not_finite(file)
    return counting.count_scores(labels, scores)


def _embeddings(opened: Opened, plan: Plan) -> tuple[np.ndarray, Moments]:
    file = opened.files[layout.EMBEDDINGS]
    sums, moments = np.zeros(layout.EMBEDDING_WIDTH), Moments()
    waiting: list[np.ndarray] = []
    first = held = 0
    # 512 rows of half-precision numbers stay in the processor's cache between checksum and sum
    for block in reading.blocks(file, rows=512, verify=plan.verify):
        if not counting.add_rows(block, sums):
            raise parts.not_finite(file)
        chosen = block[-first % plan.covariance_every :: plan.covariance_every]
        waiting.append(chosen.copy())
        first += len(block)
        held += len(chosen)
        if held >= 4096:
            moments.add(counting.widen(np.concatenate(waiting))[0])
            waiting, held = [], 0
    if held:
        moments.add(counting.widen(np.concatenate(waiting))[0])
    return sums, moments


@functools.cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()
