"""Small simulated parts for the whole session, and a folder of one's own to damage."""

import shutil
from pathlib import Path

import pytest

from helpers.scprint import labels, simulation, survey

CELLS, PARTS = 3000, 6


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """Return simulated parts: shared, not to be changed."""
    folder = tmp_path_factory.mktemp("scprint") / "parts"
    return simulation.simulate_parts(folder, n_cells=CELLS, n_parts=PARTS, seed=3)


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


@pytest.fixture(scope="session")
def real_sample() -> Path:
    """Return the table of predicted labels of 50,000 real cells, which lies outside the repository."""
    for parent in Path(__file__).resolve().parents:
        path = parent / "shared" / "realdata" / "scprint2_atlas_50k_predicted_labels.parquet"
        if path.is_file():
            return path
    pytest.skip("no shared/realdata beside the repository")
    return None
