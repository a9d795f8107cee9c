"""The one door: words, folders, files, and answers to what is none of these."""

import json
import shutil

import pytest

from helpers import names, sources
from helpers.errors import ReleaseError, SourceError
from helpers.simulate import release

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def writes(small_release, monkeypatch):
    """Stand in for the simulator: copies a small release, and keeps a list of what was asked."""
    asked = []

    def write(folder, *, scale, seed, owned):
        asked.append((scale, seed))
        shutil.copytree(small_release, folder, ignore=shutil.ignore_patterns("*.h5ad"))
        (folder / "truth").mkdir()
        (folder / "truth" / "simulation.json").write_text(json.dumps({"seed": seed, "scale": scale}))

    monkeypatch.setattr(release, "write", write)
    return asked


def test_a_word_is_simulated_once_and_kept(writes):
    first, second = sources.open_atlas("tiny"), sources.open_atlas("tiny")
    assert writes == [(0.02, sources.SEED)]
    assert first.simulated
    assert first.describe()["manifest"] == second.describe()["manifest"]
    sources.open_atlas("demo")
    sources.open_atlas("tiny:7")
    assert writes[1:] == [(0.08, sources.SEED), (0.02, 7)]
    assert sources.open_atlas("tiny:7").describe()["seed"] == 7


def test_other_code_of_the_simulator_simulates_anew_beside_the_old(writes, monkeypatch):
    old = sources.simulated_folder("tiny")
    monkeypatch.setattr(sources, "simulation_key", lambda: "0" * 12)
    new = sources.simulated_folder("tiny")
    assert len(writes) == 2
    assert new.is_dir()
    assert old.is_dir()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("full", r"run `musclebook simulate --full`, or use 'demo'"),
        ("full:9", r"musclebook simulate --full --seed 9"),
        ("dmeo", r"there is no source 'dmeo'\. Did you mean 'demo'\? Give 'demo' or 'tiny'"),
        ("demo:x", r"there is no source 'demo:x'.*Did you mean 'demo'"),
        ("", r"there is no source ''"),
        ("nowhere/at/all", r"The folder nowhere/at does not exist either"),
        ("table.csv", r"file of another kind \('\.csv'\)"),
        ("atlas.h5ad", r"cannot be read as HDF5"),
        (names.SAMPLE_FILE, r"is one file of a release. Name the folder"),
        (".", r"To open the .h5ad inside, name it: .*atlas.h5ad"),
        ("empty", r"It holds nothing. Fetch the release with `musclebook download`"),
    ],
)
def test_what_is_no_source_is_answered_with_what_to_do(writes, tmp_path, monkeypatch, source, message):
    for name in ("table.csv", "atlas.h5ad", names.SAMPLE_FILE):
        (tmp_path / name).write_text("a,b")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ReleaseError, SourceError), match=message):
        sources.open_atlas(source)
    assert not writes
