"""Whole donors to train or to test: decided once, before anything is written."""

import hashlib
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import polars as pl

from helpers import names
from helpers.errors import SentenceError

TRAIN, TEST = "train", "test"
DONORS, CELLS, NONE = "donors", "cells", "none"
# The first of these columns that a data set has names its donors.
DONOR_COLUMNS = (names.DONOR, "donor_id", "donor", "subject_id", "individual", "patient_id", "patient")
# Seeded draws among which the one nearest to the target share of cells is taken.
DRAWS = 16


def split_donors(
    donors: pl.DataFrame, *, target: float, seed: int, settled: Mapping[str, str] | None = None
) -> frozenset[str]:
    """Choose the donors of the test side, stratified by age; those that are `settled` keep their side.

    Donors (name, age, cells) are ordered by age and cut into as many neighboring groups as test donors are wanted; one
    of each group is drawn. Of several such draws the one whose share of cells is nearest to the target is taken. The
    result depends on the donors and the seed only: not on the order of cells, files, chunks or workers.
    """
    if donors.height < 2:
        found = f"found {donors.height} ({''.join(donors['name']) or 'none'})"
        remedy = "Ask for no split, or for a split by cell (its test cells share their donors with train)."
        msg = f"whole donors can be split when there are two or more; {found}. {remedy}"
        raise SentenceError(msg)
    settled = settled or {}
    fresh = donors.filter(~pl.col("name").is_in(list(settled)))
    held = frozenset(name for name, side in settled.items() if side == TEST)
    wanted = round(target * fresh.height) if settled else max(1, round(target * fresh.height))
    return held | _draw(fresh, wanted=wanted, target=target, seed=seed) if wanted else held


def _draw(donors: pl.DataFrame, *, wanted: int, target: float, seed: int) -> frozenset[str]:
    # donors without an age stand together at the end
    order = donors.sort("age", "name", nulls_last=True)
    labels, cells = order["name"].to_list(), order["cells"].to_numpy()
    bounds = [round(i * len(labels) / wanted) for i in range(wanted + 1)]

    def pick(draw: int) -> list[int]:
        groups = (range(start, stop) for start, stop in pairwise(bounds))
        return [min(group, key=lambda place: lot(seed, draw, labels[place])) for group in groups]

    best = min(map(pick, range(DRAWS)), key=lambda drawn: abs(cells[drawn].sum() - target * cells.sum()))
    return frozenset(labels[place] for place in best)


def lot(seed: int, draw: Any, text: Any) -> int:
    """Return the number below 2**64 that seed, draw and text alone decide."""
    digest = hashlib.blake2b(f"{seed}/{draw}/{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")
