"""Compiled loops: numba, with a cache that several processes may write at once."""

from pathlib import Path
from typing import Any

import filelock
from numba import njit
from numba.core.caching import IndexDataCacheFile

kernel = njit(nogil=True, cache=True)
_save = IndexDataCacheFile.save


def save(self: Any, key: Any, data: Any) -> None:
    """Keep one compiled kernel, one process at a time.

    Numba reads its index, picks a free file name and writes both. Two processes that compile one function for other
    types pick one name, and the next to load it runs code for other types: seen as a segmentation fault in edgePython,
    in a chapter that ran beside another one on a new machine.
    """
    with filelock.FileLock(Path(self._cache_path, ".lock")):
        _save(self, key, data)


IndexDataCacheFile.save = save
