"""The structure planted in simulated parts: labels that depend on each other, margins, and what each block knows."""

from dataclasses import dataclass

import numpy as np

from helpers.scprint import layout, vocabulary

LEAKS = {
    (layout.OTHER, layout.ASSAY): 0.5,
    (layout.OTHER, layout.CELL_TYPE): 0.3,
    (layout.AGE_GROUP, layout.DISEASE): 1.0,
    (layout.TISSUE, layout.CELL_TYPE): 0.7,
}
OWN_STRENGTH = {
    layout.CELL_TYPE: 0.35,
    layout.TISSUE: 0.7,
    layout.DISEASE: 0.8,
    layout.AGE_GROUP: 1.5,
    layout.ASSAY: 1.5,
    layout.ETHNICITY: 1.5,
    layout.SEX: 2.0,
    layout.ORGANISM: 2.0,
    layout.CULTURE: 2.0,
}
# cell types of one group lie near each other: what their group adds to the block
GROUP_STRENGTH = 0.6


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


class World:
    """The planted structure that all parts share."""

    def __init__(self, seed: int, planted: Planted) -> None:
        self.seed, self.planted = seed, planted
        chance = np.random.default_rng([seed, 0])
        self.centers = {
            (block, name): strength * _spread_out(chance, vocabulary.SIZES[name], layout.BLOCK_WIDTHS[block])
            for (block, name), strength in _strengths().items()
        }
        groups = np.array(vocabulary.CELL_GROUPS)
        _, group_of = np.unique(groups, return_inverse=True)
        shared = GROUP_STRENGTH * chance.standard_normal(
            (group_of.max() + 1, layout.BLOCK_WIDTHS[layout.CELL_TYPE])
        )
        self.centers[layout.CELL_TYPE, layout.CELL_TYPE] += shared[group_of]
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


def _spread_out(chance: np.random.Generator, labels: int, width: int) -> np.ndarray:
    # the best of some draws: in two columns a single draw may put two labels on one spot, and plant nothing
    def closest(points: np.ndarray) -> float:
        apart = np.linalg.norm(points[:, None] - points[None], axis=2)
        return float(apart[np.triu_indices(labels, 1)].min())

    return max((chance.standard_normal((labels, width)) for _ in range(24)), key=closest)


def _strengths() -> dict[tuple[str, str], float]:
    own = {(name, name): OWN_STRENGTH[name] for name in layout.CLASSES}
    return {**own, **LEAKS}
