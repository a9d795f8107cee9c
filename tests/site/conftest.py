import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import bookbuilt


@pytest.fixture(scope="session")
def html():
    """Folder of the site of this repository, made from runs on the tiny atlas."""
    return bookbuilt.make_site()
