"""The cache of compiled kernels, written by several processes."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from numba.core.caching import IndexDataCacheFile

import helpers.kernels  # noqa: F401  what puts the lock there


def test_two_who_compile_one_function_for_different_types_keep_both_kernels(tmp_path, monkeypatch):
    read = IndexDataCacheFile._load_index

    def read_and_dawdle(self):
        found = read(self)
        time.sleep(0.2)
        return found

    monkeypatch.setattr(IndexDataCacheFile, "_load_index", read_and_dawdle)
    kernels = {"for floats": b"one", "for integers": b"two", "for bytes": b"three"}
    with ThreadPoolExecutor(3) as pool:
        caches = [IndexDataCacheFile(str(tmp_path), "loop", "stamp") for _ in kernels]
        list(pool.map(lambda cache, item: cache.save(*item), caches, kernels.items()))
    held = caches[0]
    assert {name: held.load(name) for name in kernels} == kernels


def test_two_processes_never_give_two_loops_one_name():
    code = "import helpers.kernels, numba; loop = numba.njit(lambda x: x + 1); loop(1)"
    code += "; print(next(iter(loop.overloads.values())).fndesc.mangled_name)"
    names = [subprocess.check_output([sys.executable, "-c", code], text=True) for _ in range(2)]
    assert names[0] != names[1]
