"""What a survey found: merged part by part, read as tables."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from helpers import files
from helpers.errors import PartError
from helpers.scprint import counting, labels, layout
from helpers.scprint.archive import Damage
from helpers.scprint.labels import Decoder
from helpers.scprint.moments import Moments
from helpers.scprint.parts import Part
from helpers.scprint.statistics import PartStatistics, Plan

PARTS_SCHEMA = {
    "part": pl.String,
    "cells": pl.Int64,
    "label_columns": pl.Int64,
    "status": pl.String,
    "kind": pl.String,
    "message": pl.String,
}
_COMPACT = 1 << 20


@dataclass
class Survey:
    """What the parts hold.

    Attributes
    ----------
    plan
        What was collected.
    parts
        One row a part: cells, or the kind of fault and its message.
    cells
        Cells counted.
    computed
        Parts computed in this run; the others were found in the cache.
    reused
        Parts found in the cache.
    """

    plan: Plan
    parts: pl.DataFrame
    cells: int
    computed: int
    reused: int
    missing_classes: tuple[str, ...]
    _tables: dict[tuple[str, ...], tuple[np.ndarray, np.ndarray]] = field(repr=False)
    _scores: dict[str, counting.ClassScores] = field(repr=False)
    _sums: np.ndarray | None = field(repr=False)
    _moments: Moments | None = field(repr=False)

    @property
    def faults(self) -> pl.DataFrame:
        """The parts that were not counted."""
        return self.parts.filter(pl.col("status") == "fault").select("part", "kind", "message")

    def count(self, *columns: str, decoder: Decoder | None = None) -> pl.DataFrame:
        """Cells of each combination of labels, most first.

        Parameters
        ----------
        *columns
            Label columns of a table of the plan, in any order.
        decoder
            Names of the labels; numbers are written as text where it has none.

        Raises
        ------
        PartError
            If the plan has no such table.
        """
        held = next((table for table in self._tables if sorted(table) == sorted(columns)), None)
        if held is None:
            msg = f"the survey did not count {' x '.join(columns)}. Add it to Plan(tables=...)."
            raise PartError(msg)
        decoder = decoder or labels.built_in()
        codes, counts = self._tables[held]
        frame = {}
        for place, name in enumerate(held):
            index = (codes >> (16 * (len(held) - 1 - place))) & 0xFFFF
            known, back = np.unique(index, return_inverse=True)
            names = pl.Series(decoder.names(_class_of(name), known.tolist()), dtype=pl.String)
            frame[name] = names.gather(back.astype(np.uint32))
        table = pl.DataFrame({**{name: frame[name] for name in columns}, "cells": counts})
        if table.height:
            table = table.group_by(list(columns)).agg(pl.col("cells").sum())
        return table.sort("cells", *columns, descending=[True, *[False] * len(columns)])

    @property
    def tables(self) -> tuple[tuple[str, ...], ...]:
        """Tables that can be asked for: those of the plan whose columns some part has."""
        return tuple(self._tables)

    def histogram(self, class_name: str, *, of: str = "best") -> pl.DataFrame:
        """Histogram of the best scores (``best``) or of best minus second (``margins``) of one class.

        Parameters
        ----------
        class_name
            A class whose scores were tallied.
        of
            ``best`` or ``margins``.
        """
        counts = getattr(self._scores[class_name], of)
        low, high = {
            "best": (counting.SCORE_LOW, counting.SCORE_HIGH),
            "margins": (counting.MARGIN_LOW, counting.MARGIN_HIGH),
        }[of]
        edges = np.linspace(low, high, len(counts) - 1)
        bounds = np.concatenate([[-np.inf], edges, [np.inf]])
        return pl.DataFrame({"low": bounds[:-1], "high": bounds[1:], "cells": counts})

    def tallies(self) -> pl.DataFrame:
        """Score tallies, one row a class: near ties, positive runners-up, disorder, equal scores, repeats."""
        rows = [
            {"class": name, **dict(zip(counting.TALLIES, found.tallies.tolist(), strict=True)),
             "mean_sigmoid": found.probability / max(1, int(found.tallies[0]))}
            for name, found in self._scores.items()
        ]  # fmt: skip
        schema = {"class": pl.String, **dict.fromkeys(counting.TALLIES, pl.Int64), "mean_sigmoid": pl.Float64}
        return pl.DataFrame(rows, schema=schema)

    def mean(self, block: str) -> np.ndarray:
        """Mean of the columns of a block, over every cell."""
        if self._sums is None:
            msg = "the survey left embeddings out: set Plan(embeddings=True)."
            raise PartError(msg)
        return self._sums[layout.BLOCKS[block]] / max(1, self.cells)

    def covariance(self, block: str) -> np.ndarray:
        """Covariance of the columns of a block, over the sampled cells."""
        if self._moments is None:
            msg = "the survey left embeddings out: set Plan(embeddings=True)."
            raise PartError(msg)
        return self._moments.covariance(block)

    def blocks(self) -> pl.DataFrame:
        """One row a block: width, spread, and how many directions carry it (participation ratio)."""
        rows = []
        for name, width in layout.BLOCK_WIDTHS.items():
            values = np.clip(np.linalg.eigvalsh(np.nan_to_num(self.covariance(name))), 0, None)
            total, squares = float(values.sum()), float((values**2).sum())
            length = float(np.linalg.norm(self.mean(name)))
            rows.append((name, width, length, total, total**2 / squares if squares else None))
        columns = ["block", "width", "mean_length", "total_variance", "directions"]
        return pl.DataFrame(rows, schema=columns, orient="row")

    def save(self, folder: Path) -> list[Path]:
        """Write every table as Parquet, undecoded, and return the paths."""
        frames = {"parts": self.parts, "tallies": self.tallies()}
        nothing = Decoder()
        frames |= {f"count_{'-'.join(t)}": self.count(*t, decoder=nothing) for t in self._tables}
        for name in self._scores:
            frames[f"scores_{name}"] = self.histogram(name)
        paths = []
        for name, frame in frames.items():
            with files.writing(Path(folder) / f"{name}.parquet") as part:
                frame.write_parquet(part)
            paths.append(Path(folder) / f"{name}.parquet")
        return paths


class Total:
    """Merged statistics so far."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rows: list[tuple[str | int | None, ...]] = []
        self.tables: dict[tuple[str, ...], list[tuple[np.ndarray, np.ndarray]]] = {t: [] for t in plan.tables}
        self.waiting = 0
        self.scores: dict[str, counting.ClassScores] = {}
        self.sums = np.zeros(layout.EMBEDDING_WIDTH) if plan.embeddings else None
        self.moments = Moments() if plan.embeddings else None
        self.computed = self.reused = self.cells = 0
        self.narrow = False

    def add(self, part: Part, found: PartStatistics | Damage) -> None:
        """Take in one part, in the order of the parts."""
        if isinstance(found, Damage):
            self.rows.append((part.stem, None, None, "fault", found.kind, found.message))
            return
        missing = layout.missing_classes(found.label_width)
        note = f"no {', '.join(missing)} column" if missing else None
        self.rows.append((part.stem, found.cells, found.label_width, "counted", None, note))
        self.narrow |= bool(missing)
        self.cells += found.cells
        for name, table in found.tables.items():
            self.tables[name].append(table)
            self.waiting += len(table[0])
        if self.waiting > _COMPACT:
            self._compact()
        self._add_scores(found)
        if (
            self.sums is not None
            and self.moments is not None
            and found.sums is not None
            and found.moments is not None
        ):
            self.sums += found.sums
            self.moments.merge(found.moments)

    def _add_scores(self, found: PartStatistics) -> None:
        for name, new in found.scores.items():
            old = self.scores.get(name)
            if old is None:
                self.scores[name] = counting.ClassScores(
                    new.best.copy(), new.margins.copy(), new.tallies.copy(), new.probability
                )
                continue
            old.best += new.best
            old.margins += new.margins
            old.tallies += new.tallies
            old.probability += new.probability

    def _compact(self) -> None:
        for name, pieces in self.tables.items():
            if len(pieces) > 1:
                codes, back = np.unique(np.concatenate([piece[0] for piece in pieces]), return_inverse=True)
                counts = np.zeros(len(codes), np.int64)
                np.add.at(counts, back, np.concatenate([piece[1] for piece in pieces]))
                self.tables[name] = [(codes, counts)]
        self.waiting = 0

    def survey(self) -> Survey:
        """Return what was found so far."""
        self._compact()
        frame = pl.DataFrame(self.rows, schema=PARTS_SCHEMA, orient="row")
        if not self.cells and frame.height and (frame["status"] == "fault").all():
            first = frame.row(0, named=True)
            msg = f"none of {frame.height} parts can be counted; {first['part']}: {first['message']}"
            raise PartError(msg)
        tables = {name: pieces[0] for name, pieces in self.tables.items() if pieces}
        missing = layout.missing_classes(layout.LABEL_WIDTH - 1) if self.narrow else ()
        return Survey(
            self.plan, frame, self.cells, self.computed, self.reused, missing,
            tables, self.scores, self.sums, self.moments,
        )  # fmt: skip


def _class_of(column: str) -> str:
    return column if column in layout.CLASSES else column.rpartition("_")[0]
