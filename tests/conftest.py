"""The tiny simulated release, shared by all tests and kept in the cache folder, and a small one made without the simulator."""

import sys
from pathlib import Path

import polars as pl
import pytest

from helpers import files, names, sources

sys.path.insert(0, str(Path(__file__).parent))  # what several folders of tests share


@pytest.fixture
def own_cache(tmp_path_factory, monkeypatch) -> Path:
    """Keep locks, simulated releases and converted files of a test away from the user's."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv(files.CACHE_VARIABLE, str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_release() -> Path:
    """Return the folder of a simulated release of about 3,700 cells. Copy it before you change anything in it."""
    return sources.simulated_folder("tiny")


@pytest.fixture(scope="session")
def tiny_adata(tiny_release: Path):
    """Return the atlas of that release in memory: shared, not to be changed."""
    return sources.open_atlas(tiny_release).to_anndata()


@pytest.fixture(scope="session")
def tiny_cells(tiny_release: Path) -> pl.DataFrame:
    """Return its cells with what is true of them."""
    true = pl.read_parquet(tiny_release / names.TRUTH_FOLDER / "cells.parquet")
    shown = pl.read_parquet(tiny_release / names.SAMPLE_FILE).with_columns(
        pl.col(pl.Categorical).cast(pl.String)
    )
    return shown.hstack(true)


@pytest.fixture(scope="session")
def runs() -> dict[str, dict]:
    """Return the runs of all notebooks on the tiny atlas, by name."""
    import bookbuilt  # beside this file

    return bookbuilt.make_runs()


@pytest.fixture(scope="session")
def html() -> Path:
    """Return the folder of the site of this repository, made from those runs."""
    import bookbuilt

    return bookbuilt.make_site()


@pytest.fixture(scope="session")
def write_release():
    """Return a function that writes a small release which follows the card, made without the simulator."""
    import releases  # beside this file

    return releases.write_small_release


@pytest.fixture(scope="session")
def small_release(tmp_path_factory, write_release) -> Path:
    """Return such a release: 680 cells of 17 donors, 220 genes. Copy it before you change anything in it."""
    return write_release(tmp_path_factory.mktemp("small") / "release")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of facts and real files beside the repository, which is not part of it."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("no folder 'shared' beside the repository: facts and real files are not here")
    return folder
