"""Memory: a size text to bytes, a need refused before it is allocated, a peak recorded."""

import contextlib
import re
import resource
import sys
from pathlib import Path

import psutil

from helpers.errors import BudgetError

# Where Linux says what a container may take: control groups of the second and of the first version.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def to_bytes(size: str | int) -> int:
    """Turn a size such as ``"8 GiB"`` into bytes."""
    if isinstance(size, int):
        return size
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", size)
    if match is None or match[2].upper() not in _UNITS:
        msg = f"{size!r} is not a size. Write a number and a unit, for example '8 GiB' or '500 MB'."
        raise BudgetError(msg)
    return int(float(match[1]) * _UNITS[match[2].upper()])


def to_text(n_bytes: float) -> str:
    """Turn bytes into a size a person reads, such as ``3.0 GiB``."""
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.1f} {unit}"
    return f"{n_bytes:.0f} B"


def require(needed: int, *, budget: str | int, work: str, remedy: str) -> None:
    """Refuse `work` when the bytes it needs are more than its budget."""
    if needed > to_bytes(budget):
        msg = f"{work} needs about {to_text(needed)}, the budget is {to_text(to_bytes(budget))}. {remedy}"
        raise BudgetError(msg)


def free_bytes() -> int:
    """Return the memory that new work may take, in bytes: what the machine has free, or a container's limit if less."""
    free = psutil.virtual_memory().available
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such file, or the word "max"
            free = min(free, int(path.read_text(encoding="ascii")))
    return free


def peak_bytes() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    # on Linux the figure of `getrusage` starts at the size of the process that started this one
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        if mark := re.search(r"(?m)^VmHWM:\s+(\d+) kB", status):
            return int(mark[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
