"""The site: built by Jupyter Book from staged sources, strictly, whole or not at all.

In a working tree only the pages that changed are read again, where that is safe: the doctrees of the last build are
kept, and everything is read anew when anything changed that other pages show, such as a heading or a label.
"""

import json
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from helpers.book import key, stopping
from helpers.book.execute import python_path
from helpers.book.project import Project, read_json
from helpers.book.stage import SITE_FILE, stage
from helpers.errors import SiteError
from helpers.files import drop_leftovers, fingerprint, intact, mark, write_json, writing

STAMP = ".built.json"
LOG = "site.log"
KIND = "site"
_WARNINGS = "ignore::DeprecationWarning"  # of docutils and sphinx in the versions of Jupyter Book 1, not about this book
# jupyter-book's own command cannot name its doctree folder, nor leave a page half-written out of sight
_BUILD = (
    "import sys; from jupyter_book.sphinx import build_sphinx; "
    "done = build_sphinx(sys.argv[1], sys.argv[2], noconfig=True, path_config=sys.argv[1] + '/_config.yml', "
    "confoverrides={'external_toc_path': '_toc.yml', 'nitpicky': True, 'latex_individualpages': False}, "
    "doctreedir=sys.argv[3], freshenv=sys.argv[4] == 'fresh', warningiserror=True, keep_going=True); "
    "sys.exit(done if isinstance(done, int) else str(done))"
)
# What other pages show of a page, or number: headings, labels, captions, terms, citations, findings' roles.
_SHOWN_ELSEWHERE = re.compile(
    r"(?m)^#+ .*$|^\([\w-]+\)=$|^:(?:label|name): .*$|\{cite[^}]*\}`[^`]*`|^`{3,}\{(?:figure|exercise|glossary|bibliography).*$"
    r"|^\.\. .*$"
)
_SHARED = (
    "_config.yml",
    "_toc.yml",
    "book/glossary.md",
    "book/references.bib",
    "book/_static",
)


@dataclass(frozen=True)
class Site:
    """What was built."""

    folder: Path
    seconds: float
    reused: bool
    incremental: bool = False


def build(
    project: Project, *, repository: str | None = None, branch: str = "main", fresh: bool = False
) -> Site:
    """Build the site into ``_build/html``; nothing is done when nothing changed and all of it is there.

    Parameters
    ----------
    project
        The book, with its runs made.
    repository
        Web address of the public repository, for launch buttons.
    branch
        Branch or tag that they open.
    fresh
        Read every page anew, as is also done where the environment says ``CI``.

    Raises
    ------
    SiteError
        If Sphinx gives a warning or an error; the last good site stays.
    """
    started = time.monotonic()
    project.build.mkdir(parents=True, exist_ok=True)
    # two builds at once would stage over each other; the second then finds nothing left to do
    with filelock.FileLock(project.build / ".site.lock"):
        how = _build(project, repository=repository, branch=branch, fresh=fresh)
    seconds = time.monotonic() - started
    return Site(project.build / "html", seconds, reused=how == "reused", incremental=how == "incremental")


def _build(project: Project, *, repository: str | None, branch: str, fresh: bool) -> str:
    """Stage and build; return how: reused, incremental or fresh."""
    target, kept, doctrees = (project.build / name for name in ("html", "doctrees", ".doctrees"))
    drop_leftovers(target)
    sources = stage(project, repository=repository, branch=branch)
    stamp = {"inputs": inputs_hash(project, sources), "structure": structure_hash(project, sources)}
    last = read_json(target / STAMP)
    whole = bool(last) and intact(target, kind=KIND)
    if whole and not fresh and last.get("inputs") == stamp["inputs"]:
        return "reused"
    fresh = fresh or bool(os.environ.get("CI")) or not whole or last.get("structure") != stamp["structure"]
    fresh = fresh or read_json(kept / STAMP).get("inputs") != last.get("inputs")
    shutil.rmtree(doctrees, ignore_errors=True)
    with writing(target, owned=True) as html:  # the last site stays until this one is whole
        if (
            not fresh
        ):  # on copies: a build that fails or is killed spoils neither the site nor what is known of it
            shutil.copytree(target, html)
            shutil.copytree(kept, doctrees)
        _sphinx(sources, html=html, doctrees=doctrees, log=project.build / LOG, fresh=fresh)
        for name in ("notebooks/files", "sweeps"):
            shutil.rmtree(html / name, ignore_errors=True)
            if (sources / name).is_dir():
                shutil.copytree(sources / name, html / name)
        write_json(html / STAMP, stamp)
        mark(html, kind=KIND)
        write_json(doctrees / STAMP, stamp)
        shutil.rmtree(kept, ignore_errors=True)
        doctrees.rename(kept)
    shutil.rmtree(project.build / "jupyter_execute", ignore_errors=True)  # myst-nb's copies, beside the pages
    return "fresh" if fresh else "incremental"


def inputs_hash(project: Project, sources: Path) -> str:
    """Return the hash of all that a site is built from."""
    return key.short([fingerprint(sources), _made_by(project)])


def structure_hash(project: Project, sources: Path) -> str:
    """Return the hash of what one page shows of others; while it stays, a page can be built without the others."""
    shared = [fingerprint(path) for name in _SHARED if (path := sources / name).exists()]
    pages = {}
    for path in sorted(sources.rglob("*")):
        figures: list[Any] = []
        if path.suffix in {".md", ".rst"}:
            text = path.read_text(encoding="utf-8")
        elif path.suffix == ".ipynb" and "sweeps" not in path.parts:
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            figures = [cell["metadata"].get("mystnb", {}).get("figure", {}) for cell in cells]
            text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        else:
            continue
        pages[path.relative_to(sources).as_posix()] = [figures, _SHOWN_ELSEWHERE.findall(text)]
    site = read_json(sources / SITE_FILE)
    data = {name: one["simulated"] for name, one in site["runs"].items()}
    return key.short([shared, pages, data, site["missing"], _made_by(project)])


def _made_by(project: Project) -> dict[str, str]:
    lock = project.root / "requirements.lock"
    package = {name: mark for name, mark in key.package_hashes().items() if name.startswith("book/")}
    return {**package, "lock": fingerprint(lock) if lock.is_file() else ""}


def _sphinx(sources: Path, *, html: Path, doctrees: Path, log: Path, fresh: bool) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": python_path(os.environ),
        "PYTHONWARNINGS": _WARNINGS,
        "NO_COLOR": "1",
    }
    command = stopping.child_command(
        _BUILD, str(sources), str(html), str(doctrees), "fresh" if fresh else "kept"
    )
    with log.open("w+", encoding="utf-8", errors="replace") as stream:
        child = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=environment)
        try:
            code = child.wait()
        except BaseException:
            stopping.kill_family(child.pid)
            raise
        stream.seek(0)
        text = stream.read()
    if code != 0:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
        said = [line for line in plain.splitlines() if re.search(r"WARNING|ERROR|CRITICAL|error", line)]
        words = "\n".join(said[:40]) or text[-2000:]
        msg = f"the site was not built; the last good one stays. Sphinx says:\n{words}\nAll of it: {log}"
        raise SiteError(msg)
