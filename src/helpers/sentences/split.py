"""Whole donors to train or to test: decided once, before anything is written."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from helpers import names
from helpers.errors import SentenceError

TRAIN, TEST = "train", "test"
DONORS, CELLS, NONE = "donors", "cells", "none"
# The first of these columns that a data set has names its donors.
DONOR_COLUMNS = (names.DONOR, "donor_id", "donor", "subject_id", "individual", "patient_id", "patient")
# Seeded draws among which the one nearest to the target share of cells is taken.
DRAWS = 16


@dataclass(frozen=True)
class Donor:
    """A donor before the split: name, age in years (of most of the cells), number of cells."""

    name: str
    age: float | None
    cells: int


def find_donors(columns: Sequence[str], *, donor_column: str | None = None) -> str | None:
    """Return the column that names the donors: the given one, else the first of `DONOR_COLUMNS`."""
    if donor_column is not None and donor_column not in columns:
        msg = f"no column {donor_column!r} for the donor. The cells have: {', '.join(columns)}."
        raise SentenceError(msg)
    return donor_column or next((column for column in DONOR_COLUMNS if column in columns), None)


def split_donors(
    donors: Sequence[Donor], *, target: float, seed: int, settled: Mapping[str, str] | None = None
) -> frozenset[str]:
    """Choose the donors of the test side, stratified by age; those that are `settled` keep their side.

    The donors are ordered by age and cut into as many neighboring groups as test donors are wanted; one of each group
    is drawn. Of several such draws the one whose share of cells is nearest to the target is taken. The result depends
    on the donors and the seed only: not on the order of cells, files, chunks or workers.
    """
    if len(donors) < 2:
        found = donors[0].name if donors else "none"
        msg = (
            f"whole donors can be split when there are two or more; found {len(donors)} ({found}). "
            "Ask for no split, or for a split by cell (its test cells share their donors with train)."
        )
        raise SentenceError(msg)
    settled = settled or {}
    fresh = [donor for donor in donors if donor.name not in settled]
    held = frozenset(name for name, side in settled.items() if side == TEST)
    wanted = round(target * len(fresh)) if settled else max(1, round(target * len(fresh)))
    return held | _draw(fresh, wanted=wanted, target=target, seed=seed) if wanted else held


def split_cells(barcodes: Sequence[str], *, target: float, seed: int) -> np.ndarray:
    """Choose single cells for the test side: each by a hash of its barcode, so that chunks do not matter.

    Cells of one donor land on both sides; the score on such a test side says little about new donors.
    """
    return np.array([_unit(seed, 0, barcode) < target for barcode in barcodes], dtype=bool)


def _draw(donors: Sequence[Donor], *, wanted: int, target: float, seed: int) -> frozenset[str]:
    # donors without an age stand together at the end
    order = sorted(donors, key=lambda donor: (donor.age is None, donor.age or 0.0, donor.name))
    bounds = [round(i * len(order) / wanted) for i in range(wanted + 1)]
    total = sum(donor.cells for donor in order)

    def pick(draw: int) -> list[Donor]:
        groups = (order[start:stop] for start, stop in pairwise(bounds))
        return [min(group, key=lambda donor: _unit(seed, draw, donor.name)) for group in groups]

    best = min(
        map(pick, range(DRAWS)), key=lambda drawn: abs(sum(one.cells for one in drawn) - target * total)
    )
    return frozenset(donor.name for donor in best)


def _unit(seed: int, draw: int, text: str) -> float:
    digest = hashlib.blake2b(f"{seed}/{draw}/{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64
