"""Compiled loops: numba, with caches that several processes may write and others load together.

Two faults of numba's cache ended chapters on a new machine with a segmentation fault: two processes that compile one
function for different types pick one file for both; and machine code of two processes carries the same names for
different loops (edgePython's and decoupler's two ways to sort), so that whoever loads both runs the first twice.
"""

import itertools
import secrets
from pathlib import Path
from typing import Any

import filelock
from numba import njit
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import IndexDataCacheFile

kernel = njit(nogil=True, cache=True)
_save = IndexDataCacheFile.save


def save(self: Any, key: Any, data: Any) -> None:
    """Keep one compiled kernel, one process at a time."""
    with filelock.FileLock(Path(self._cache_path, ".lock")):
        _save(self, key, data)


IndexDataCacheFile.save = save
# names of machine code end in this number: no two processes may count from one
FunctionIdentity._unique_ids = itertools.count(secrets.randbits(48))
