"""Is this machine ready? What a workshop needs, checked in a minute, without a network."""

import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

import nbformat
from packaging.requirements import Requirement

from helpers import files
from helpers.book import pairing
from helpers.book.execute import Task, execute, plain_json
from helpers.book.project import Project
from helpers.budget import free_bytes, to_text
from helpers.errors import MusclebookError

FREE_DISK, FREE_MEMORY = 5 * 2**30, 4 * 2**30
GOOD, DOUBT, BAD = "ready", "look", "not ready"
NEEDED = ("jupyter-book", "papermill", "scanpy", "polars", "ipykernel", "jupyterlab", "nbconvert")


@dataclass(frozen=True)
class Finding:
    """One thing that was checked."""

    what: str
    state: str  # GOOD, DOUBT or BAD
    words: str


def examine(project: Project) -> list[Finding]:
    """Check interpreter, packages, memory, disk, folders, pairs, the simulated atlas and a kernel.

    Parameters
    ----------
    project
        The book.
    """
    checks = (_python, _packages, _memory, _disk, _folders, _pairs, _atlas, _kernel)
    return [_safely(check, project) for check in checks]


def _safely(check: Callable[[Project], tuple[str, str, str]], project: Project) -> Finding:
    try:
        return Finding(*check(project))
    except (OSError, MusclebookError) as error:
        return Finding(check.__name__.strip("_"), BAD, str(error))


def _python(_: Project) -> tuple[str, str, str]:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] < (3, 14):
        return "python", GOOD, version
    return "python", BAD, f"{version}; needed is 3.11 to 3.13"


def _packages(project: Project) -> tuple[str, str, str]:
    missing = [name for name in NEEDED if _version(name) is None]
    if missing:
        return "packages", BAD, f"missing: {', '.join(missing)}. Run: make env"
    locked = locked_versions((project.root / "requirements.lock").read_text(encoding="utf-8"))
    pairs = ((name, _version(name), wanted) for name, wanted in locked.items())
    others = [f"{name} {found} for {wanted}" for name, found, wanted in pairs if found not in (None, wanted)]
    if others:
        words = f"other versions than in the lock: {', '.join(others[:5])}. Run: make env"
        return "packages", DOUBT, words
    return "packages", GOOD, "as in the lock"


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


def _memory(_: Project) -> tuple[str, str, str]:
    free = free_bytes()
    words = f"{to_text(free)} free, {os.cpu_count()} cores"
    enough = free >= FREE_MEMORY
    return "memory", GOOD if enough else DOUBT, words if enough else f"{words}; close other programs"


def _disk(project: Project) -> tuple[str, str, str]:
    free = shutil.disk_usage(project.root).free
    return "disk", GOOD if free >= FREE_DISK else DOUBT, f"{to_text(free)} free"


def _folders(project: Project) -> tuple[str, str, str]:
    for folder in (project.build, files.cache_folder()):
        probe = folder / ".doctor"
        with files.writing(probe) as part:
            part.write_text("", encoding="utf-8")
        probe.unlink()
    return "folders", GOOD, f"{project.build.name} and the cache can be written"


def _pairs(project: Project) -> tuple[str, str, str]:
    faults = [str(one) for book in project.choose() for one in pairing.compare(book)]
    if faults:
        return "notebooks", DOUBT, f"{faults[0]} Run: musclebook pair"
    return "notebooks", GOOD, f"{len(project.notebooks)} chapters, paired"


def _atlas(_: Project) -> tuple[str, str, str]:
    if any((files.cache_folder() / "simulated").glob("demo-*")):
        return "atlas", GOOD, "the simulated atlas is there"
    return (
        "atlas",
        DOUBT,
        "the simulated atlas is made on first use, in about a minute. To do it now: make book",
    )


def _kernel(project: Project) -> tuple[str, str, str]:
    probe = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import scanpy, helpers\n1 + 1")])
    place = project.build / ".doctor"
    task = Task("probe", "probe", plain_json(probe), {}, str(place / "good"), str(place / "failed"))
    try:
        outcome = execute(task)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if outcome.status == "good":
        return "kernel", GOOD, f"a notebook ran in {outcome.seconds:.0f} s"
    return "kernel", BAD, outcome.error
