"""Clusters of one block: centers from a sample, then every cell counted once.

Mini-batch k-means over parts depends on the order of the batches. Here the centers are fitted to a fixed-seed
sample, and one pass assigns every cell, counts it and moves each center to the mean of its cells. Counts and sums
merge in the order of the parts, so processes and reruns agree.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from helpers.errors import PartError
from helpers.scprint import counting, labels, layout, parts, reading
from helpers.scprint.archive import Damage
from helpers.scprint.labels import Decoder
from helpers.scprint.sampling import Sample


@dataclass
class Clusters:
    """Counted clusters.

    Attributes
    ----------
    block
        Block that was clustered.
    centers
        Clusters x columns, moved to the mean of their cells.
    cells
        Cells of each cluster.
    spread
        Mean squared distance of the cells from the center they were assigned to.
    """

    block: str
    centers: np.ndarray
    cells: np.ndarray
    spread: float
    _labels: dict[int, tuple[np.ndarray, np.ndarray]] = field(repr=False)

    def table(self, decoder: Decoder | None = None) -> pl.DataFrame:
        """Return one row a cluster: cells, most common label of the class, and its share."""
        decoder = decoder or labels.built_in()
        rows = []
        for number, cells in enumerate(self.cells.tolist()):
            codes, counts = self._labels[number]
            if not cells:
                rows.append((number, 0, None, None))
                continue
            first = int(counts.argmax())
            rows.append(
                (number, cells, decoder.name(self.block, int(codes[first])), float(counts[first] / cells))
            )
        schema = {"cluster": pl.Int64, "cells": pl.Int64, "label": pl.String, "share": pl.Float64}
        return pl.DataFrame(rows, schema=schema, orient="row").sort(
            "cells", "cluster", descending=[True, False]
        )

    @property
    def purity(self) -> float:
        """Share of cells that carry the most common label of their cluster."""
        most = sum(int(counts.max()) for _, counts in self._labels.values() if len(counts))
        return most / max(1, int(self.cells.sum()))


def count(
    folder: Path | str,
    sample: Sample,
    *,
    block: str = layout.CELL_TYPE,
    k: int = 30,
    seed: int = 7,
    only: Collection[str] | None = None,
) -> Clusters:
    """Cluster one block of all parts.

    Parameters
    ----------
    folder
        Folder of parts.
    sample
        Cells that the centers are fitted to.
    block
        Block of a class.
    k
        Clusters.
    seed
        Seed of the first centers.
    only
        Parts to count, such as those a survey counted; every sound part if none.

    Raises
    ------
    PartError
        If the block is not that of a class, or the sample has fewer cells than clusters.
    """
    if block not in layout.CLASSES or len(sample) < k:
        msg = (
            f"{k} clusters of block {block!r} from {len(sample)} cells: need a class's block and more cells."
        )
        raise PartError(msg)
    with threadpool_limits(limits=1):
        fitted = KMeans(k, n_init=2, random_state=seed).fit(sample.block(block))
        centers = fitted.cluster_centers_.astype(np.float32)
        sums, cells, apart = np.zeros((k, centers.shape[1])), np.zeros(k, np.int64), 0.0
        held: list[np.ndarray] = []
        for part in parts.find(folder):
            if only is not None and part.stem not in only:
                continue
            try:
                found = _assign(part, block, centers)
            except Damage:
                continue
            sums += found[0]
            cells += found[1]
            apart += found[2]
            held.append(found[3])
    together = _merge(held)
    moved = np.where(cells[:, None] > 0, sums / np.maximum(cells, 1)[:, None], centers)
    by_cluster = {n: together[together[:, 0] == n][:, 1:].T for n in range(k)}
    pairs = {n: (table[0], table[1]) for n, table in by_cluster.items()}
    return Clusters(block, moved, cells, apart / max(1, int(cells.sum())), pairs)


def _assign(
    part: parts.Part, block: str, centers: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    opened = parts.open_part(part)
    label = np.concatenate([b[:, layout.LABELS[block].start] for b in parts.label_blocks(opened)])
    length = (centers**2).sum(axis=1)
    sums, cells, apart = np.zeros(centers.shape), np.zeros(len(centers), np.int64), 0.0
    pairs = np.empty(len(label), np.int64)
    first = 0
    for stored in reading.blocks(opened.files[layout.EMBEDDINGS], rows=4096, verify=False):
        points, finite = counting.widen(stored[:, layout.BLOCKS[block]])
        if not finite:
            raise parts.not_finite(opened.files[layout.EMBEDDINGS])
        distance = length[None, :] - 2 * (points @ centers.T)
        nearest = distance.argmin(axis=1)
        apart += float(distance.min(axis=1).sum(dtype=np.float64) + (points.astype(np.float64) ** 2).sum())
        np.add.at(sums, nearest, points)
        cells += np.bincount(nearest, minlength=len(centers))
        pairs[first : first + len(points)] = (nearest.astype(np.int64) << 16) | label[
            first : first + len(points)
        ]
        first += len(points)
    codes, counts = np.unique(pairs, return_counts=True)
    return sums, cells, apart, np.column_stack([codes >> 16, codes & 0xFFFF, counts])


def _merge(held: list[np.ndarray]) -> np.ndarray:
    if not held:
        return np.empty((0, 3), np.int64)
    rows = np.concatenate(held)
    codes, back = np.unique((rows[:, 0] << 16) | rows[:, 1], return_inverse=True)
    counts = np.zeros(len(codes), np.int64)
    np.add.at(counts, back, rows[:, 2])
    return np.column_stack([codes >> 16, codes & 0xFFFF, counts])
