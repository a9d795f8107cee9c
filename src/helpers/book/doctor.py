"""Is this machine ready? What a workshop needs, checked in a minute, without a network."""

import os
import re
import shutil
import subprocess
import time
from importlib import metadata

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from packaging.requirements import Requirement

from helpers import files
from helpers.book.project import Project
from helpers.budget import free_bytes, to_text
from helpers.errors import MusclebookError

FREE_DISK, FREE_MEMORY = 5 * 2**30, 4 * 2**30
GOOD, DOUBT, BAD = "ready", "look", "not ready"
State = tuple[str, str]  # one of these, and what was found


def examine(project: Project) -> list[tuple[str, str, str]]:
    """Check packages, memory, disk, the cache, the simulated atlas and a kernel; what, state, words."""
    free, disk = free_bytes(), shutil.disk_usage(project.root).free
    atlas = any((files.cache_folder() / "simulated").glob("demo-*"))
    made = "the simulated atlas is " + ("there" if atlas else "made on first use; now: make book")
    found = [
        ("memory", GOOD if free >= FREE_MEMORY else DOUBT, f"{to_text(free)} free, {os.cpu_count()} cores"),
        ("disk", GOOD if disk >= FREE_DISK else DOUBT, f"{to_text(disk)} free"),
        ("atlas", GOOD if atlas else DOUBT, made),
    ]
    for what, check in (("packages", _packages), ("folders", _folders), ("kernel", _kernel)):
        try:
            found.append((what, *check(project)))
        except (OSError, MusclebookError, RuntimeError, CellExecutionError) as error:
            found.append((what, BAD, str(error)))
    return found


def _packages(project: Project) -> State:
    locked = locked_versions((project.root / "requirements.lock").read_text(encoding="utf-8"))
    installed = {name: found for name in locked if (found := _version(name))}
    if missing := [name for name in ("jupyter-book", "scanpy", "jupyterlab") if _version(name) is None]:
        return BAD, f"missing: {', '.join(missing)}. Run: make env"
    unlike = [f"{one} {here} for {locked[one]}" for one, here in installed.items() if here != locked[one]]
    if unlike:
        return DOUBT, f"other versions than in the lock: {', '.join(unlike[:5])}. Run: make env"
    return GOOD, "as in the lock"


def locked_versions(lock: str) -> dict[str, str]:
    """Return the versions that a lock names for this Python and this system; lines for others are left out."""
    asked = map(Requirement, re.findall(r"(?m)^([A-Za-z0-9][^\n\\]*?)\s*\\?$", lock))
    here = (one for one in asked if one.marker is None or one.marker.evaluate())
    return {one.name: next(iter(one.specifier)).version for one in here}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _folders(project: Project) -> State:
    for folder in (project.build, files.cache_folder()):
        files.require_writable(folder / ".doctor")
    return GOOD, f"{project.build.name} and the cache {files.cache_folder()} can be written"


def _kernel(_: Project) -> State:
    probe = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import scanpy, helpers")])
    started = time.monotonic()
    NotebookClient(probe, kernel_name="python3", startup_timeout=180).execute(stderr=subprocess.DEVNULL)
    return GOOD, f"a notebook ran in {time.monotonic() - started:.0f} s"
