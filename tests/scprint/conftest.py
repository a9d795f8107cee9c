"""Small simulated parts for the whole session, a folder of one's own to damage, and the ways to damage it."""

import shutil
from pathlib import Path

import damage
import numpy as np
import pytest

from helpers.scprint import labels, parts, survey, twin

CELLS, PARTS = 3000, 6


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """Return simulated parts: shared, not to be changed."""
    folder = tmp_path_factory.mktemp("scprint") / "parts"
    return twin.simulate_parts(folder, n_cells=CELLS, n_parts=PARTS, seed=3)


@pytest.fixture(scope="session")
def decoder(made):
    return labels.beside(made)


@pytest.fixture(scope="session")
def surveyed(made, tmp_path_factory):
    return survey.run(made, cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture
def copied(made, tmp_path) -> Path:
    """Return a copy of the parts that may be damaged."""
    return Path(shutil.copytree(made, tmp_path / "parts"))


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2 & ~1] ^= 1  # a mantissa bit in the middle: the value stays a plausible number
    path.write_bytes(data)


def _change(how):
    def change(path):
        np.savez(path, how(np.load(path)["arr_0"]))

    return change


def _spoil(values):
    values[len(values) // 2, 3] = np.nan
    return values


FAULTS = {
    parts.SIBLING: ("scores", Path.unlink),
    parts.TRUNCATED: ("embs", damage.cut(0.5)),
    parts.CHECKSUM: ("embs", _flip),
    parts.NOT_FINITE: ("embs", _change(_spoil)),
    parts.WIDTH: ("top3", _change(lambda values: values[:, :20])),
    parts.ROWS: ("top3", _change(lambda values: values[:-1])),
    parts.TYPE: ("top3", _change(lambda values: values.astype(float))),
    parts.LABELS: ("top3", _change(lambda values: values.astype(int) - 100)),
    parts.PICKLED: ("top3", lambda path: np.savez(path, np.array([[{"label": 1}]], dtype=object))),
}


@pytest.fixture
def narrow(copied) -> Path:
    """Return parts without the class of cell culture, the last label column."""
    for path in [*copied.glob("*_top3.npz"), *copied.glob("*_scores.npz")]:
        np.savez(path, np.load(path)["arr_0"][:, :22])
    return copied


@pytest.fixture
def spoil():
    """Return a function that gives one part of a folder one fault, and returns the name of the part."""

    def inflict(folder, number, fault):
        kind, change = FAULTS[fault]
        change(folder / f"{twin.part_name(number)}_{kind}.npz")
        return twin.part_name(number)

    return inflict
