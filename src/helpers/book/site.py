"""The site: built by Jupyter Book from staged sources, strictly, from fresh doctrees, whole or not at all."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import filelock

import helpers
from helpers.book import graph, key
from helpers.book.project import Project
from helpers.book.stage import stage
from helpers.errors import SiteError
from helpers.files import digest, write_json

STAMP = ".built.json"
LOG = "site.log"
# jupyter-book's own command cannot name its doctree folder, nor leave a page half-written out of sight
_BUILD = (
    "import sys; from jupyter_book.sphinx import build_sphinx; "
    "done = build_sphinx(sys.argv[1], sys.argv[2], noconfig=True, path_config=sys.argv[1] + '/_config.yml', "
    "confoverrides={'external_toc_path': '_toc.yml', 'nitpicky': True, 'latex_individualpages': False}, "
    "doctreedir=sys.argv[3], freshenv=True, warningiserror=True, keep_going=True); "
    "sys.exit(done if isinstance(done, int) else str(done))"
)


@dataclass(frozen=True)
class Site:
    """What was built."""

    folder: Path
    seconds: float
    reused: bool


def build(
    project: Project, *, repository: str | None = None, branch: str = "main", fresh: bool = False
) -> Site:
    """Build the site into ``_build/html``; nothing is done when nothing changed.

    Parameters
    ----------
    project
        The book, with its runs made.
    repository
        Web address of the public repository, for launch buttons.
    branch
        Branch or tag that they open.
    fresh
        Build even when nothing changed.

    Raises
    ------
    SiteError
        If Sphinx gives a warning or an error; the last good site stays.
    """
    started = time.monotonic()
    project.build.mkdir(parents=True, exist_ok=True)
    # two builds at once would stage over each other; the second then finds nothing left to do
    with filelock.FileLock(project.build / ".site.lock"):
        reused = _build(project, repository=repository, branch=branch, fresh=fresh)
    return Site(project.build / "html", time.monotonic() - started, reused=reused)


def _build(project: Project, *, repository: str | None, branch: str, fresh: bool) -> bool:
    """Stage and build; return whether the last site was still right."""
    sources = stage(project, repository=repository, branch=branch)
    stamp = {"inputs": inputs_hash(project, sources)}
    target = project.build / "html"
    if not fresh and _read(target / STAMP) == stamp:
        return True
    work = project.build / ".next"
    shutil.rmtree(work, ignore_errors=True)
    _sphinx(sources, html=work / "html", doctrees=work / "doctrees", log=project.build / LOG)
    _copy_files(sources, work / "html")
    write_json(work / "html" / STAMP, stamp)
    shutil.rmtree(target, ignore_errors=True)
    (work / "html").rename(target)
    shutil.rmtree(work, ignore_errors=True)
    return False


def inputs_hash(project: Project, sources: Path) -> str:
    """Return the hash of all that a site is built from."""
    staged = {
        path.relative_to(sources).as_posix(): digest(path)
        for path in sorted(sources.rglob("*"))
        if path.is_file()
    }
    package = graph.hashes_of(graph.files_below(graph.package_folder()))
    lock = project.root / "requirements.lock"
    return key.short([staged, package, digest(lock) if lock.is_file() else ""])


def _sphinx(sources: Path, *, html: Path, doctrees: Path, log: Path) -> None:
    here = str(Path(helpers.__file__).resolve().parents[1])
    inherited = os.environ.get("PYTHONPATH")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([here, inherited] if inherited else [here]),
        # the docutils and sphinx pair of version 1 gives deprecation notices that are not about this book
        "PYTHONWARNINGS": "ignore::DeprecationWarning",
        "NO_COLOR": "1",
    }
    command = [sys.executable, "-c", _BUILD, str(sources), str(html), str(doctrees)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode != 0:
        words = _complaints(done.stderr) or (done.stdout + done.stderr)[-2000:]
        msg = f"the site was not built; the last good one stays. Sphinx says:\n{words}\nAll of it: {log}"
        raise SiteError(msg)


def _complaints(text: str) -> str:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = [line for line in plain.splitlines() if re.search(r"WARNING|ERROR|CRITICAL|error", line)]
    return "\n".join(lines[:40])


def _copy_files(sources: Path, html: Path) -> None:
    for name in ("notebooks/files", "sweeps"):
        if (sources / name).is_dir():
            shutil.copytree(sources / name, html / name, dirs_exist_ok=True)


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
