"""One small simulated release for the whole session, shared by all workers and kept between sessions."""

import hashlib
import sys
import tempfile
from pathlib import Path

import filelock
import pytest

from helpers import simulate
from helpers.simulate import atlas, release

sys.path.insert(0, str(Path(__file__).parent))  # what several folders of tests share
TINY_SCALE, TINY_SEED = 0.02, 20240613


def _source_key() -> str:
    """Hash everything a simulated release is made from: its sources and the published tables."""
    room = Path(simulate.__file__).parent
    sha = hashlib.sha256()
    for path in sorted(
        [*room.rglob("*.py"), *(room.parent / "facts").rglob("*.*"), room.parent / "names.py"]
    ):
        if "__pycache__" not in path.parts:
            sha.update(path.name.encode() + path.read_bytes())
    return sha.hexdigest()[:16]


@pytest.fixture(scope="session")
def tiny_release() -> Path:
    """Return the folder of a simulated release of about 3,700 cells. Copy it before you change anything in it."""
    folder = Path(tempfile.gettempdir()) / "musclebook-tests" / f"tiny-{_source_key()}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            release.write(folder, scale=TINY_SCALE, seed=TINY_SEED)
    return folder


@pytest.fixture(scope="session")
def _tiny_simulation() -> atlas.Simulation:
    return atlas.simulate(scale=TINY_SCALE, seed=TINY_SEED)


@pytest.fixture
def tiny_adata(_tiny_simulation: atlas.Simulation):
    """Return the atlas of that release in memory: a copy, free to change."""
    return _tiny_simulation.adata.copy()


@pytest.fixture(scope="session")
def tiny_simulation(_tiny_simulation: atlas.Simulation) -> atlas.Simulation:
    """Return the whole tiny simulation with its truth: shared, not to be changed."""
    return _tiny_simulation


@pytest.fixture(scope="session")
def write_release():
    """Return a function that writes a small release which follows the card, made without the simulator."""
    import releases  # beside this file

    return releases.write_small_release


@pytest.fixture(scope="session")
def small_release(tmp_path_factory, write_release) -> Path:
    """Return such a release: 680 cells of 17 donors, 220 genes. Copy it before you change anything in it."""
    return write_release(tmp_path_factory.mktemp("small") / "release")
