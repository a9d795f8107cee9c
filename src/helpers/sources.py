"""The one door to data: a word or a path to an opened atlas."""

from pathlib import Path

from helpers import names
from helpers.atlas import columns, reader, release
from helpers.errors import SourceError

SCALES = {"demo": 0.08, "tiny": 0.02, "full": 1.0}


def open_atlas(source: str | Path) -> reader.Atlas:
    """Open a source of cells; nothing big is read until asked."""
    return reader.Atlas(release.Release(Path(source)))
