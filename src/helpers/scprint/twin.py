"""Parts made up at any size, and what was planted in them: dependent labels, margins of scores, leaks of blocks."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from filelock import FileLock
from numpy.random import Generator

from helpers import files
from helpers.errors import PartError
from helpers.facts import study
from helpers.scprint import labels, layout

Labels = dict[str, np.ndarray]  # by class, the best label of each cell
KIND = "scprint parts"  # what our mark says of a folder
ONTOLOGY_FILE, TRUTH_FILE = "cell_ontology.obo", "truth.json"
TERMS_TABLE = "embedding_twin_labels.csv"
SIZES = {"demo": (200_000, 10), "tiny": (12_000, 6)}
# what a block tells of a class: spread between labels over spread within
LEAKS = {("other", "assay"): 0.5, ("other", "cell_type"): 0.3}
LEAKS |= {("age_group", "disease"): 1.0, ("tissue", "cell_type"): 0.7}
OWN = dict.fromkeys(layout.CLASSES, 2.0) | dict.fromkeys(("age_group", "assay", "ethnicity"), 1.5)
OWN |= {"cell_type": 0.35, "tissue": 0.7, "disease": 0.8}
# cell types of one group lie near each other: what their group adds to the block
GROUP_STRENGTH = 0.6
# shares of cells: a runner-up within 0.15 of the best; a second type of the same group; plants; people; people with the
# mouse-only type, and mice with it
NEAR, SIBLING, PLANT, HUMAN, MOUSE_TYPE_IN_HUMAN, MOUSE_TYPE_IN_MOUSE = 0.2, 0.7, 0.006, 0.66, 0.03, 0.05


def simulate_parts(
    out: Path | str,
    *,
    n_cells: int,
    n_parts: int,
    seed: int = 7,
    force: bool = False,
) -> Path:
    """Write simulated parts, one at a time, with their decoder, a small ontology and the planted truth."""
    if n_parts < 1 or n_cells < n_parts:
        msg = f"{n_cells:,} cells in {n_parts:,} parts: every part needs a cell."
        raise PartError(msg)
    world = _World(seed)
    counted: Counter[str] = Counter()
    with files.writing(Path(out), kind=KIND, force=force) as folder:
        folder.mkdir()
        terms: dict[str, dict[str, dict[str, str]]] = {}
        for name, code, identifier, term in world.terms.select(*labels.SCHEMA).iter_rows():
            terms.setdefault(name, {})[str(code)] = {"id": identifier, "name": term}
        files.write_json(folder / labels.DECODER_FILE, {"label_decoders": terms})
        (folder / ONTOLOGY_FILE).write_text(_ontology(world.terms), encoding="utf-8")
        for number, n in enumerate(np.diff(np.linspace(0, n_cells, n_parts + 1).astype(int)).tolist()):
            *arrays, facts = world.part(number, n)
            counted.update(facts)
            for kind, array in zip(layout.KINDS, arrays, strict=True):
                np.savez(folder / f"{part_name(number)}_{kind}.npz", array)
        leaks = [{"block": block, "class": name, "strength": value} for (block, name), value in LEAKS.items()]
        truth = {"parts": n_parts, "seed": seed, "counted": counted, "leaks": leaks}
        files.write_json(folder / TRUTH_FILE, truth)
    return Path(out)


def part_name(number: int) -> str:
    """Return the name of a simulated part: two runs, four devices."""
    return f"step_{number % 2}__predict_part_{number // 8}_{(number // 2) % 4}"


def open_parts(parameter: str, *, seed: int = 7) -> Path:
    """Return a folder of parts: ``demo`` or ``tiny``, simulated at first use and kept in the cache folder, or a path."""
    if parameter not in SIZES:
        folder = Path(parameter).expanduser()
        if not folder.is_dir():
            msg = f"{parameter!r} is not a folder of parts. Choose {' or '.join(SIZES)}, or name a folder."
            raise PartError(msg)
        return folder
    n_cells, n_parts = SIZES[parameter]
    made_from = [files.digest(Path(module)) for module in (__file__, layout.__file__)]
    mark = files.digest_text(f"{made_from} {study.read(TERMS_TABLE).write_csv()}")[:10]
    folder = files.cache_folder() / "scprint" / f"{parameter}-{mark}-{seed}"
    with files.storing(folder, any_fault=True):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            simulate_parts(folder, n_cells=n_cells, n_parts=n_parts, seed=seed)
    return folder


def read_truth(folder: Path) -> dict[str, Any] | None:
    """Read what was planted; none for parts that were not simulated."""
    path = Path(folder) / TRUTH_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _ontology(terms: pl.DataFrame) -> str:
    """Write the cell types under one parent each."""
    types = terms.filter(pl.col("class") == "cell_type")
    terms = [
        (f"TWIN:{group}", f"{group} cell", "cell") for group in types["groups"].unique(maintain_order=True)
    ]
    terms += types.select("id", "name", "groups").rows()
    text = "format-version: 1.2\nontology: twin\n\n[Term]\nid: TWIN:cell\nname: cell\n"
    for identifier, name, parent in terms:
        text += f"\n[Term]\nid: {identifier}\nname: {name}\nis_a: TWIN:{parent}\n"
    return text


class _World:
    """The planted structure that all parts share."""

    def __init__(self, seed: int) -> None:
        self.seed, self.terms = seed, study.read(TERMS_TABLE).with_columns(pl.col(pl.String).fill_null(""))
        of = {name: self.terms.filter(pl.col("class") == name) for name in layout.CLASSES}
        self.sizes = {name: frame.height for name, frame in of.items()}
        chance = np.random.default_rng([seed, 0])
        strengths = {(name, name): OWN[name] for name in layout.CLASSES} | LEAKS
        self.centers = {
            (block, name): strength * _spread_out(chance, self.sizes[name], layout.WIDTHS[block])
            for (block, name), strength in strengths.items()
        }
        self.groups = of["cell_type"]["groups"].to_numpy()
        _, group_of = np.unique(self.groups, return_inverse=True)
        shared = chance.standard_normal((group_of.max() + 1, layout.WIDTHS["cell_type"]))
        self.centers["cell_type", "cell_type"] += GROUP_STRENGTH * shared[group_of]
        self.mouse_type = int(of["cell_type"]["name"].str.contains("(Mmus)", literal=True).arg_max())
        held = [np.flatnonzero(np.isin(self.groups, text.split())) for text in of["tissue"]["groups"]]
        self.types_of = [found[found != self.mouse_type] for found in held]
        alike = (self.groups[:, None] == self.groups) & ~np.eye(len(self.groups), dtype=bool)
        self.siblings = [np.flatnonzero(row) for row in alike]

    def part(self, number: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, int]]:
        """Make one part: embeddings, labels, scores, and the counts of what was planted."""
        chance = np.random.default_rng([self.seed, 1, number])
        best = self._labels(chance, n)
        top3, scores, near = self._choices(chance, best)
        human = best["organism"] == 11
        facts = {
            "cells": n,
            "human": int(human.sum()),
            "plant": int(np.isin(best["organism"], (2, 3)).sum()),
            "human_with_mouse_type": int((human & (best["cell_type"] == self.mouse_type)).sum()),
            "not_human": int((~human).sum()),
            "muscle": int((best["tissue"] < 2).sum()),
            **near,
        }
        return self._embeddings(chance, best), top3, scores, facts

    def _labels(self, chance: Generator, n: int) -> Labels:
        sizes = self.sizes
        rest = 1 - HUMAN - PLANT
        share = np.full(sizes["organism"], rest / 3 / 12)
        share[[11, 0, 2, 3]] = HUMAN, rest * 2 / 3, PLANT / 2, PLANT / 2
        best = {"organism": chance.choice(len(share), n, p=share / share.sum())}
        weights = 1.0 / np.arange(1, sizes["tissue"] + 1)
        best["tissue"] = chance.choice(sizes["tissue"], n, p=weights / weights.sum())
        cell_type = np.empty(n, np.int64)
        for tissue, types in enumerate(self.types_of):
            here = best["tissue"] == tissue
            cell_type[here] = types[np.minimum(chance.geometric(0.3, int(here.sum())) - 1, len(types) - 1)]
        mouse_only = (best["organism"] == 11) & (chance.random(n) < MOUSE_TYPE_IN_HUMAN)
        mouse_only |= (best["organism"] == 0) & (chance.random(n) < MOUSE_TYPE_IN_MOUSE)
        best["cell_type"] = np.where(mouse_only, self.mouse_type, cell_type)
        # no fetal cells of the ovary: an empty combination to be found
        age, ovary = chance.integers(0, sizes["age_group"], n), best["tissue"] == 12
        best["age_group"] = np.where(ovary & (age == 0), 4, age)
        sick = chance.random(n) < 0.4
        best["disease"] = np.where(sick, chance.integers(1, sizes["disease"], n), 0)
        best["assay"] = chance.choice(sizes["assay"], n, p=[0.3, 0.4, 0.12, 0.1, 0.05, 0.03])
        best["ethnicity"] = chance.choice(sizes["ethnicity"], n, p=[0.5, 0.15, 0.12, 0.12, 0.06, 0.05])
        sex = chance.integers(0, 2, n)
        best["sex"] = np.where(ovary, 0, np.where(best["tissue"] == 11, 1, sex))
        best["cell_culture"] = (chance.random(n) < 0.1).astype(np.int64)
        return best

    def _choices(self, chance: Generator, best: Labels) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
        n = len(best["organism"])
        top3 = np.zeros((n, layout.LABEL_WIDTH), np.uint16)
        scores = np.zeros((n, layout.LABEL_WIDTH), np.float16)
        near = {}
        for name, columns in layout.LABELS.items():
            at = columns.start
            top3[:, at] = best[name]
            scores[:, at] = chance.normal(1.0, 0.5, n).astype(np.float16)
            if name not in layout.RANKED:
                continue
            top3[:, at + 1], top3[:, at + 2] = self._others(chance, name, best[name])
            close = chance.random(n) < NEAR
            # clear of the limit on both sides, so that half precision cannot carry a cell across it
            margin = np.where(close, chance.uniform(0.0, 0.14, n), 0.16 + chance.exponential(1.0, n))
            scores[:, at + 1] = scores[:, at] - margin
            scores[:, at + 2] = scores[:, at + 1] - chance.exponential(0.5, n)
            near[f"near_{name}"] = int(close.sum())
        return top3, scores, near

    def _others(self, chance: Generator, name: str, best: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size = self.sizes[name]
        step = chance.integers(1, size, len(best))
        second = (best + step) % size
        if name == "cell_type":
            sibling, draw = chance.random(len(best)) < SIBLING, chance.random(len(best))
            for label, others in enumerate(self.siblings):
                here = sibling & (best == label)
                if len(others):
                    second[here] = others[(draw[here] * len(others)).astype(int)]
        third = (best + 1 + (step % (size - 1))) % size
        for taken in (second, best, second):
            third[third == taken] = (third[third == taken] + 1) % size
        return second, third

    def _embeddings(self, chance: Generator, best: Labels) -> np.ndarray:
        out = np.empty((len(best["organism"]), layout.EMBEDDING_WIDTH), np.float16)
        for first in range(0, len(out), 4096):
            rows = slice(first, first + 4096)
            values = chance.standard_normal(out[rows].shape, np.float32)
            for (block, name), centers in self.centers.items():
                values[:, layout.BLOCKS[block]] += centers[best[name][rows]]
            out[rows] = values
        return out


def _spread_out(chance: Generator, labels: int, width: int) -> np.ndarray:
    # the best of some draws: in two columns a single draw may put two labels on one spot, and plant nothing
    def closest(points: np.ndarray) -> float:
        apart = np.linalg.norm(points[:, None] - points[None], axis=2)
        return float(apart[np.triu_indices(labels, 1)].min())

    return max((chance.standard_normal((labels, width)) for _ in range(24)), key=closest)
