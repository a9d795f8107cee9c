"""Stopping: a polite kill is taken as Ctrl-C, and what was started ends with the one who started it."""

import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

import helpers

# Put before the code of a child: on Linux the system ends it with its parent, whatever ended that.
_PRELUDE = """\
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG
    if os.getppid() != int(sys.argv.pop(1)):
        os._exit(1)
else:
    sys.argv.pop(1)
"""


def interrupt_when_terminated() -> None:
    """Take SIGTERM, which `timeout`, Slurm and CI send, as Ctrl-C; only the main thread may ask for it."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def child_command(code: str, *arguments: str) -> list[str]:
    """Return the command of a Python child that ends with this process."""
    return [sys.executable, "-c", _PRELUDE + code, str(os.getpid()), *arguments]


def child_environment(inherited: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a child that starts in another folder: PYTHONPATH absolute, this package first."""
    inherited = inherited or os.environ
    here = str(Path(helpers.__file__).resolve().parents[1])
    paths = [str(Path(one).resolve()) for one in inherited.get("PYTHONPATH", "").split(os.pathsep) if one]
    return {**inherited, "PYTHONPATH": os.pathsep.join([here, *paths])}


def kill_family(pid: int) -> None:
    """End a process and all that it started."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for one in (*parent.children(recursive=True), parent):
            with suppress(psutil.NoSuchProcess):
                one.kill()
