import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
import bookbuilt  # noqa: E402


@pytest.fixture(scope="session")
def html():
    """Folder of the site of this repository, made from runs on the tiny atlas."""
    return bookbuilt.make_site()
