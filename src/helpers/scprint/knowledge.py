"""What each block of the embedding knows: probes from every block to every label, held out by part.

A probe is a simple model that reads one label from one block. Two are used, a linear one (discriminant analysis)
and the vote of nearest neighbors. Both weigh every label the same, are tested on parts
that they have not seen, and are set beside the same probe on labels shuffled within each part. The part is the unit
of the intervals: cells of one part come from the same few data sets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

from helpers.errors import PartError
from helpers.scprint import layout, neighbors
from helpers.scprint.sampling import Sample

LINEAR, NEIGHBORS = "linear", "neighbors"
LEVEL = 0.01
SCHEMA = {
    "block": pl.String,
    "class": pl.String,
    "method": pl.String,
    "labels": pl.Int64,
    "cells": pl.Int64,
    "balanced_accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "shuffled": pl.Float64,
    "p_value": pl.Float64,
}


@dataclass(frozen=True)
class Setting:
    """How the probes are made.

    Attributes
    ----------
    folds
        Groups of parts, each held out once.
    min_cells
        Cells a label must have in the sample to be asked for.
    k
        Neighbors that vote.
    neighbor_cells
        Cells at most for the probe by neighbors, whose time grows with their square.
    ridge
        Added to the variances of the linear probe, whose columns have variance 1.
    resamples
        Times that parts are drawn anew for the intervals.
    """

    folds: int = 5
    min_cells: int = 30
    k: int = 15
    neighbor_cells: int = 4000
    ridge: float = 1e-3
    resamples: int = 200


def probe(
    sample: Sample,
    *,
    blocks: Sequence[str] = tuple(layout.BLOCKS),
    classes: Sequence[str] = layout.CLASSES,
    setting: Setting | None = None,
    seed: int = 7,
) -> pl.DataFrame:
    """Probe every block for every class.

    Parameters
    ----------
    sample
        Cells of at least two parts.
    blocks
        Blocks to read from.
    classes
        Classes to read; those with fewer than two labels in the sample are left out.
    setting
        How the probes are made.
    seed
        Seed of shuffles, folds and resampling.

    Returns
    -------
    polars.DataFrame
        One row a block, class and method: balanced accuracy (mean over labels of the share found), its 95 %
        interval over parts (parts drawn anew), the same for labels shuffled within parts, a one-sided t test over
        parts of the difference, and ``knows``: the false discovery rate of all probes of the table (Benjamini and
        Hochberg) is below 1 %.

    Raises
    ------
    PartError
        If the cells come from fewer than two parts.
    """
    setting = setting or Setting()
    held = np.unique(sample.part)
    if len(held) < 2:
        msg = f"probes are held out by part; the sample has cells of {len(held)} part. Sample more parts."
        raise PartError(msg)
    chance = np.random.default_rng(seed)
    fold_of = {
        part: i % min(setting.folds, len(held)) for i, part in enumerate(chance.permutation(held).tolist())
    }
    fold = np.array([fold_of[part] for part in sample.part.tolist()])
    targets = [_target(sample, name, setting, chance) for name in classes if name in sample.classes]
    targets = [target for target in targets if target is not None]
    few = np.sort(chance.permutation(len(sample))[: setting.neighbor_cells])
    fewer = [target.at(few) for target in targets]
    rows = []
    for block in blocks:
        points = _standardize(sample.block(block))
        guesses = _linear(points, targets, fold, setting)
        rows += [(block, LINEAR, t, g, sample.part) for t, g in zip(targets, guesses, strict=True)]
        guesses = _vote(points[few], fewer, fold[few], setting)
        rows += [(block, NEIGHBORS, t, g, sample.part[few]) for t, g in zip(fewer, guesses, strict=True)]
    frame = pl.DataFrame([_row(*entry, setting, chance) for entry in rows], schema=SCHEMA, orient="row")
    frame = frame.sort("method", maintain_order=True)
    adjusted = stats.false_discovery_control(frame["p_value"].to_numpy()) if frame.height else []
    return frame.with_columns(pl.Series("knows", adjusted, pl.Float64) < LEVEL)


@dataclass
class _Target:
    name: str
    codes: np.ndarray  # cells; -1 where the label is too rare
    shuffled: np.ndarray
    labels: int

    def at(self, cells: np.ndarray) -> "_Target":
        return _Target(self.name, self.codes[cells], self.shuffled[cells], self.labels)


def _target(sample: Sample, name: str, setting: Setting, chance: np.random.Generator) -> _Target | None:
    best = sample.best(name)
    known, counts = np.unique(best, return_counts=True)
    known = known[counts >= setting.min_cells]
    if len(known) < 2:
        return None
    place = np.searchsorted(known, best)
    codes = np.where(known[np.minimum(place, len(known) - 1)] == best, place, -1)
    shuffled = codes.copy()
    for part in np.unique(sample.part):
        here = np.flatnonzero((sample.part == part) & (codes >= 0))
        shuffled[here] = codes[chance.permutation(here)]
    return _Target(name, codes, shuffled, len(known))


def _standardize(points: np.ndarray) -> np.ndarray:
    spread = points.std(axis=0)
    return (points - points.mean(axis=0)) / np.where(spread > 0, spread, 1)


def _linear(
    points: np.ndarray, targets: list[_Target], fold: np.ndarray, setting: Setting
) -> list[np.ndarray]:
    found = [np.full((2, len(points)), -1) for _ in targets]
    for number in np.unique(fold):
        train, test = fold != number, fold == number
        seen, unseen = points[train].astype(np.float64), points[test].astype(np.float64)
        total = seen.T @ seen
        for target, guess in zip(targets, found, strict=True):
            for kind, codes in enumerate((target.codes, target.shuffled)):
                weights, offset = _discriminate(seen, total, codes[train], target.labels, setting)
                guess[kind, test] = (unseen @ weights + offset).argmax(axis=1)
    return found


def _discriminate(
    seen: np.ndarray, total: np.ndarray, codes: np.ndarray, labels: int, setting: Setting
) -> tuple[np.ndarray, np.ndarray]:
    # linear discriminant analysis with equal priors: every label weighs the same, however common
    member = np.zeros((labels, len(codes)))
    member[codes[codes >= 0], np.flatnonzero(codes >= 0)] = 1
    counts = np.maximum(member.sum(axis=1), 1)
    means = (member @ seen) / counts[:, None]
    rare = seen[codes < 0]
    within = total - rare.T @ rare - (means * counts[:, None]).T @ means
    within /= counts.sum()
    within[np.diag_indices(len(within))] += setting.ridge
    weights = np.linalg.solve(within, means.T)
    # a label that no training part has is never guessed
    offset = np.where(member.any(axis=1), -0.5 * (means.T * weights).sum(axis=0), -np.inf)
    return weights, offset


def _vote(points: np.ndarray, targets: list[_Target], fold: np.ndarray, setting: Setting) -> list[np.ndarray]:
    found = [np.full((2, len(points)), -1) for _ in targets]
    for number in np.unique(fold):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        near = train[neighbors.nearest(points[test], k=setting.k, among=points[train])]
        for target, guess in zip(targets, found, strict=True):
            for kind, codes in enumerate((target.codes, target.shuffled)):
                counts = np.bincount(codes[train][codes[train] >= 0], minlength=target.labels)
                weight = np.append(1.0 / np.maximum(counts, 1), 0.0)
                votes = np.zeros((len(test), target.labels + 1))
                voters = codes[near]
                np.add.at(votes, (np.arange(len(test))[:, None], voters), weight[voters])
                guess[kind, test] = votes[:, : target.labels].argmax(axis=1)
    return found


def _row(
    block: str,
    method: str,
    target: _Target,
    guess: np.ndarray,
    part: np.ndarray,
    setting: Setting,
    chance: np.random.Generator,
) -> tuple[object, ...]:
    measured, share = [], []
    for kind, codes in enumerate((target.codes, target.shuffled)):
        used = codes >= 0
        _, place = np.unique(part[used], return_inverse=True)
        shape = (place.max() + 1, target.labels)
        total, right = np.zeros(shape), np.zeros(shape)
        np.add.at(total, (place, codes[used]), 1)
        np.add.at(right, (place, codes[used]), guess[kind, used] == codes[used])
        draws = chance.multinomial(len(total), np.full(len(total), 1 / len(total)), setting.resamples)
        spread = [_balanced(draw @ right, draw @ total) for draw in draws]
        measured.append((_balanced(right.sum(0), total.sum(0)), *np.quantile(spread, (0.025, 0.975))))
        share.append((right / np.maximum(total.sum(0), 1)).sum(axis=1))
    (value, low, high), (shuffled, _, _) = measured
    cells = int((target.codes >= 0).sum())
    scores = [float(number) for number in (value, low, high, shuffled)]
    return (block, target.name, method, target.labels, cells, *scores, _above(share[0] - share[1]))


def _above(difference: np.ndarray) -> float:
    # one-sided t test over parts
    spread = difference.std(ddof=1)
    if spread == 0:
        return 0.0 if difference.mean() > 0 else 1.0
    return float(stats.t.sf(difference.mean() / spread * np.sqrt(len(difference)), len(difference) - 1))


def _balanced(right: np.ndarray, total: np.ndarray) -> float:
    seen = total > 0
    return float((right[seen] / total[seen]).mean()) if seen.any() else 0.0
