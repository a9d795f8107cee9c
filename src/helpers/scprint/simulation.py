"""Parts made up at any size, with what was planted in them written beside them, and faults on request."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from helpers import files
from helpers.errors import PartError
from helpers.scprint import archive, labels, layout, vocabulary
from helpers.scprint import world as world_source
from helpers.scprint.layout import PartName
from helpers.scprint.world import LEAKS, Planted, World

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
    world = World(seed, planted)
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
            with files.writing(folder, owned=True) as part:
                simulate_parts(part, n_cells=n_cells, n_parts=n_parts, seed=seed)
    return folder


def read_truth(folder: Path) -> dict[str, Any] | None:
    """Read what was planted; none for parts that were not simulated."""
    path = Path(folder) / TRUTH_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _source_key() -> str:
    sha = hashlib.sha256()
    for module in (__file__, vocabulary.__file__, layout.__file__, world_source.__file__):
        sha.update(Path(module).read_bytes())
    return sha.hexdigest()[:10]


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
