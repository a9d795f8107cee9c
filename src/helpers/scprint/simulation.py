"""Parts made up at any size, with what was planted in them: labels, margins, leaks, impossible pairs, faults."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from helpers import files
from helpers.errors import PartError
from helpers.scprint import archive, labels, layout, vocabulary
from helpers.scprint.layout import PartName

VERSION = 1
DECODER_FILE, ONTOLOGY_FILE, TRUTH_FILE = "label_decoders.json", "cell_ontology.json", "truth.json"
SIZES = {"demo": (200_000, 10), "tiny": (12_000, 6)}
# Ways to spoil a part on request.
FAULTS = (
    archive.SIBLING,
    archive.TRUNCATED,
    archive.WIDTH,
    archive.ROWS,
    archive.NOT_FINITE,
    archive.CHECKSUM,
    archive.PICKLED,
)
# What each block of the embedding tells, as spread between labels over spread within: 0 = nothing.
# Every block knows its own class. The planted leaks are the rest.
LEAKS = {
    (layout.OTHER, layout.ASSAY): 0.5,
    (layout.OTHER, layout.CELL_TYPE): 0.3,
    (layout.AGE_GROUP, layout.DISEASE): 1.0,
    (layout.TISSUE, layout.CELL_TYPE): 0.7,
}
OWN_STRENGTH = 2.0


@dataclass(frozen=True)
class Planted:
    """Shares that `simulate_parts` plants.

    Attributes
    ----------
    near
        Share of cells whose runner-up lies within 0.15 of the best score, in each class.
    second_is_sibling
        Share of cells whose second cell type is of the same group as the first.
    plant_cells
        Share of cells called a plant, all with animal labels.
    mouse_type_in_human
        Share of human cells with the mouse-only cell type.
    human
        Share of cells called human; mouse takes two thirds of the rest.
    compressed
        Write compressed npz.
    width
        Label columns: 23, or 22 without cell culture.
    """

    near: float = 0.2
    second_is_sibling: float = 0.7
    plant_cells: float = 0.006
    mouse_type_in_human: float = 0.03
    human: float = 0.66
    compressed: bool = False
    width: int = layout.LABEL_WIDTH


def simulate_parts(
    out: Path | str,
    *,
    n_cells: int,
    n_parts: int,
    seed: int = 7,
    planted: Planted | None = None,
    faults: Mapping[int, str] | None = None,
) -> Path:
    """Write simulated parts, one at a time, with their decoder, a small ontology and the planted truth.

    Parameters
    ----------
    out
        Folder to write; made if it does not exist.
    n_cells
        Cells in all, spread evenly.
    n_parts
        Parts, over two runs and four devices.
    seed
        Seed of every number; a part depends on the seed and its own number only.
    planted
        Shares to plant.
    faults
        Number of a part and the fault to give it (`FAULTS`).

    Raises
    ------
    PartError
        If there are fewer cells than parts or a fault is unknown.
    """
    planted, faults = planted or Planted(), dict(faults or {})
    unknown = sorted(set(faults.values()) - set(FAULTS)) + [k for k in faults if not 0 <= k < n_parts]
    if n_parts < 1 or n_cells < n_parts or unknown:
        msg = f"{n_cells} cells in {n_parts} parts with faults {faults}: need a cell a part, faults of {FAULTS}."
        raise PartError(msg)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    labels.write(out / DECODER_FILE, vocabulary.decoder())
    files.write_json(out / ONTOLOGY_FILE, vocabulary.ontology_terms())
    world = _World(seed, planted)
    truth: dict[str, Any] = {"parts": n_parts, "cells": n_cells, "seed": seed, "planted": asdict(planted)}
    counted: dict[str, int] = {}
    bounds = np.linspace(0, n_cells, n_parts + 1).astype(int)
    for number, (first, last) in enumerate(pairwise(bounds)):
        name = part_name(number)
        embeddings, top3, scores, facts = world.part(number, int(last - first))
        for kind, array in zip(layout.KINDS, (embeddings, top3, scores), strict=True):
            _write(out / name.file(kind), array, compressed=planted.compressed)
        if number in faults:
            _spoil(out, name, faults[number], top3)
        else:
            for key, value in facts.items():
                counted[key] = counted.get(key, 0) + value
    leaks = [{"block": block, "class": name, "strength": value} for (block, name), value in LEAKS.items()]
    truth |= {"counted": counted, "leaks": leaks, "faults": {part_name(k).stem: v for k, v in faults.items()}}
    files.write_json(out / TRUTH_FILE, truth)
    return out


def part_name(number: int) -> PartName:
    """Return the name of a simulated part: two runs, four devices."""
    return PartName(step=number % 2, subset=number // 8, device=(number // 2) % 4)


def open_parts(parameter: str, *, seed: int = 7) -> Path:
    """Return the folder that a notebook's ``parts`` parameter names.

    Parameters
    ----------
    parameter
        ``demo`` or ``tiny`` (simulated at first use and kept in the cache folder), or a folder.
    seed
        Seed of the simulation.

    Raises
    ------
    PartError
        If it is neither a known name nor a folder.
    """
    if parameter not in SIZES:
        if not Path(parameter).is_dir():
            msg = f"{parameter!r} is not a folder of parts. Choose {' or '.join(SIZES)}, or name a folder."
            raise PartError(msg)
        return Path(parameter)
    n_cells, n_parts = SIZES[parameter]
    folder = files.cache_folder() / "scprint" / f"{parameter}-{_source_key()}-{seed}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            with files.writing(folder) as part:
                simulate_parts(part, n_cells=n_cells, n_parts=n_parts, seed=seed)
    return folder


def read_truth(folder: Path) -> dict[str, Any] | None:
    """Read what was planted; none for parts that were not simulated."""
    path = Path(folder) / TRUTH_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _source_key() -> str:
    import hashlib

    sha = hashlib.sha256()
    for module in (__file__, vocabulary.__file__, layout.__file__):
        sha.update(Path(module).read_bytes())
    return sha.hexdigest()[:10]


class _World:
    """The planted structure that all parts share."""

    def __init__(self, seed: int, planted: Planted) -> None:
        self.seed, self.planted = seed, planted
        chance = np.random.default_rng([seed, 0])
        self.centers = {
            (block, name): strength
            * chance.standard_normal((vocabulary.SIZES[name], layout.BLOCK_WIDTHS[block]))
            for (block, name), strength in _strengths().items()
        }
        groups = np.array(vocabulary.CELL_GROUPS)
        self.types_of = [np.flatnonzero(np.isin(groups, held)) for held in vocabulary.TISSUE_GROUPS]
        self.mouse_type = next(
            i for i, term in vocabulary.decoder().terms[layout.CELL_TYPE].items() if "(Mmus)" in term.name
        )
        self.types_of = [types[types != self.mouse_type] for types in self.types_of]
        self.siblings = [
            np.flatnonzero((groups == group) & (np.arange(len(groups)) != i))
            for i, group in enumerate(groups)
        ]

    def part(self, number: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, int]]:
        """Make one part: embeddings, labels, scores, and the counts of what was planted."""
        chance = np.random.default_rng([self.seed, 1, number])
        best = self._labels(chance, n)
        top3, scores, near = self._choices(chance, best, n)
        embeddings = self._embeddings(chance, best, n)
        human = best[layout.ORGANISM] == 11
        plant = np.isin(best[layout.ORGANISM], (2, 3))
        facts = {
            "cells": n,
            "human": int(human.sum()),
            "plant": int(plant.sum()),
            "human_with_mouse_type": int((human & (best[layout.CELL_TYPE] == self.mouse_type)).sum()),
            "not_human": int((~human).sum()),
            "muscle": int((best[layout.TISSUE] < 2).sum()),
            **{f"near_{name}": count for name, count in near.items()},
        }
        return embeddings, top3, scores, facts

    def _labels(self, chance: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        sizes = vocabulary.SIZES
        best = {layout.ORGANISM: self._organisms(chance, n)}
        weights = 1.0 / np.arange(1, sizes[layout.TISSUE] + 1)
        best[layout.TISSUE] = chance.choice(sizes[layout.TISSUE], n, p=weights / weights.sum())
        cell_type = np.empty(n, np.int64)
        for tissue, types in enumerate(self.types_of):
            here = best[layout.TISSUE] == tissue
            cell_type[here] = types[np.minimum(chance.geometric(0.3, int(here.sum())) - 1, len(types) - 1)]
        human = best[layout.ORGANISM] == 11
        mouse_only = human & (chance.random(n) < self.planted.mouse_type_in_human)
        mouse_only |= (best[layout.ORGANISM] == 0) & (chance.random(n) < 0.05)
        cell_type[mouse_only] = self.mouse_type
        best[layout.CELL_TYPE] = cell_type
        # no fetal cells of the ovary: an empty combination to be found
        age = chance.integers(0, sizes[layout.AGE_GROUP], n)
        ovary = best[layout.TISSUE] == 12
        best[layout.AGE_GROUP] = np.where(ovary & (age == 0), 4, age)
        sick = chance.random(n) < 0.4
        best[layout.DISEASE] = np.where(sick, chance.integers(1, sizes[layout.DISEASE], n), 0)
        best[layout.ASSAY] = chance.choice(sizes[layout.ASSAY], n, p=[0.3, 0.4, 0.12, 0.1, 0.05, 0.03])
        best[layout.ETHNICITY] = chance.choice(
            sizes[layout.ETHNICITY], n, p=[0.5, 0.15, 0.12, 0.12, 0.06, 0.05]
        )
        female_only, male_only = ovary, best[layout.TISSUE] == 11
        sex = chance.integers(0, 2, n)
        best[layout.SEX] = np.where(female_only, 0, np.where(male_only, 1, sex))
        best[layout.CULTURE] = (chance.random(n) < 0.1).astype(np.int64)
        return best

    def _organisms(self, chance: np.random.Generator, n: int) -> np.ndarray:
        share = np.zeros(vocabulary.SIZES[layout.ORGANISM])
        rest = 1 - self.planted.human - self.planted.plant_cells
        share[:] = rest / 3 / 12
        share[11], share[0] = self.planted.human, rest * 2 / 3
        share[2] = share[3] = self.planted.plant_cells / 2
        return chance.choice(len(share), n, p=share / share.sum())

    def _choices(
        self, chance: np.random.Generator, best: dict[str, np.ndarray], n: int
    ) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
        top3 = np.zeros((n, layout.LABEL_WIDTH), np.uint16)
        scores = np.zeros((n, layout.LABEL_WIDTH), np.float16)
        near = {}
        for name, columns in layout.LABELS.items():
            top3[:, columns.start] = best[name]
            first = chance.normal(1.0, 0.5, n).astype(np.float16)
            scores[:, columns.start] = first
            if name not in layout.RANKED:
                continue
            second, third = self._others(chance, name, best[name])
            top3[:, columns.start + 1], top3[:, columns.start + 2] = second, third
            close = chance.random(n) < self.planted.near
            # clear of the limit on both sides, so that half precision cannot carry a cell across it
            margin = np.where(close, chance.uniform(0.0, 0.14, n), 0.16 + chance.exponential(1.0, n))
            scores[:, columns.start + 1] = first - margin
            scores[:, columns.start + 2] = scores[:, columns.start + 1] - chance.exponential(0.5, n)
            near[name] = int(close.sum())
        return top3[:, : self.planted.width], scores[:, : self.planted.width], near

    def _others(
        self, chance: np.random.Generator, name: str, best: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        size = vocabulary.SIZES[name]
        step = chance.integers(1, size, len(best))
        second = (best + step) % size
        if name == layout.CELL_TYPE:
            sibling = chance.random(len(best)) < self.planted.second_is_sibling
            draw = chance.random(len(best))
            for label, others in enumerate(self.siblings):
                here = sibling & (best == label)
                if len(others):
                    second[here] = others[(draw[here] * len(others)).astype(int)]
        third = (best + 1 + (step % (size - 1))) % size
        taken = third == second
        third[taken] = (third[taken] + 1) % size
        again = third == best
        third[again] = (third[again] + 1) % size
        clash = third == second
        third[clash] = (third[clash] + 1) % size
        return second, third

    def _embeddings(self, chance: np.random.Generator, best: dict[str, np.ndarray], n: int) -> np.ndarray:
        out = np.empty((n, layout.EMBEDDING_WIDTH), np.float16)
        for first in range(0, n, 4096):
            rows = slice(first, min(first + 4096, n))
            values = chance.standard_normal((rows.stop - first, layout.EMBEDDING_WIDTH), np.float32)
            for (block, name), centers in self.centers.items():
                values[:, layout.BLOCKS[block]] += centers[best[name][rows]]
            out[rows] = values
        return out


def _strengths() -> dict[tuple[str, str], float]:
    own = {(name, name): OWN_STRENGTH for name in layout.CLASSES}
    return {**own, **LEAKS}


def _write(path: Path, array: np.ndarray, *, compressed: bool) -> None:
    with path.open("wb") as stream:
        (np.savez_compressed if compressed else np.savez)(stream, array)


def _spoil(out: Path, name: PartName, fault: str, top3: np.ndarray) -> None:
    for path, change in _damages(out, name, top3)[fault]:
        change(path)


def _damages(
    out: Path, name: PartName, top3: np.ndarray
) -> dict[str, list[tuple[Path, Callable[[Path], Any]]]]:
    embeddings, labeled, scored = (out / name.file(kind) for kind in layout.KINDS)

    def cut(path: Path) -> None:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def flip(path: Path) -> None:
        data = bytearray(path.read_bytes())
        # a mantissa bit in the middle: the value stays a plausible number
        data[len(data) // 2 & ~1] ^= 1
        path.write_bytes(data)

    def narrow(path: Path) -> None:
        _write(path, top3[:, :20], compressed=False)

    def shorten(path: Path) -> None:
        _write(path, top3[:-1], compressed=False)

    def spoil_number(path: Path) -> None:
        values = np.load(path)["arr_0"]
        values[len(values) // 2, 3] = np.nan
        _write(path, values, compressed=False)

    def pickle_objects(path: Path) -> None:
        with path.open("wb") as stream:
            np.savez(stream, np.array([[{"label": 1}]], dtype=object))

    return {
        archive.SIBLING: [(scored, Path.unlink)],
        archive.TRUNCATED: [(embeddings, cut)],
        archive.WIDTH: [(labeled, narrow)],
        archive.ROWS: [(labeled, shorten)],
        archive.NOT_FINITE: [(embeddings, spoil_number)],
        archive.CHECKSUM: [(embeddings, flip)],
        archive.PICKLED: [(labeled, pickle_objects)],
    }


def part_sizes(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the name and the bytes of each file of parts below a folder."""
    for path in sorted(Path(folder).rglob("*.np[yz]")):
        if layout.split_file_name(path.name) is not None:
            yield path.name, path.stat().st_size
