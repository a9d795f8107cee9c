import json
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
import bookbuilt  # noqa: E402


@pytest.fixture(scope="session")
def runs():
    """The runs of all notebooks on the tiny atlas, by name."""
    return bookbuilt.make_runs()


@pytest.fixture(scope="session")
def results(runs):
    """What those runs recorded."""
    return {
        name: json.loads((found["folder"] / "files" / name / "results.json").read_text())
        for name, found in runs.items()
    }
