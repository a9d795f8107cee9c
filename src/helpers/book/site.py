"""The site: built by Jupyter Book from staged sources, strictly, whole or not at all.

In a working tree only the pages that changed are read again: the doctrees of the last build are kept. The others are
written again only where something changed that pages show of each other, such as a heading or a label.
"""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import filelock

from helpers.book import key
from helpers.book.execute import child_command, child_environment
from helpers.book.project import Project, read_json
from helpers.book.stage import SITE_FILE, stage
from helpers.errors import SiteError
from helpers.files import drop_leftovers, fingerprint, intact, mark, write_json, writing

STAMP = ".built.json"
KIND = "site"
_WARNINGS = "ignore::DeprecationWarning"  # of docutils and sphinx in the versions of Jupyter Book 1, not about this book
# jupyter-book's own command cannot name its doctree folder, nor leave a page half-written out of sight
_BUILD = (
    "import sys; from jupyter_book.sphinx import build_sphinx; "
    "done = build_sphinx(sys.argv[1], sys.argv[2], noconfig=True, path_config=sys.argv[1] + '/_config.yml', "
    "confoverrides={'external_toc_path': '_toc.yml', 'nitpicky': True, 'latex_individualpages': False}, "
    "doctreedir=sys.argv[3], force_all=sys.argv[4] == 'all', warningiserror=True, keep_going=True); "
    "sys.exit(done if isinstance(done, int) else str(done))"
)
# What other pages show of a page, or number: headings, labels, captions, terms, citations, findings' roles.
_SHOWN_ELSEWHERE = re.compile(
    r"(?m)^#+ .*$|^\([\w-]+\)=$|^:(?:label|name): .*$|\{cite[^}]*\}`[^`]*`|^`{3,}\{(?:figure|exercise|glossary|bibliography).*$"
    r"|^\.\. .*$"
)


def build(
    project: Project, repository: str | None = None, branch: str = "main", *, fresh: bool = False
) -> tuple[str, float]:
    """Build the site into ``_build/html``; return ``unchanged``, ``brought up to date`` or ``built``, and the seconds.

    `repository` and `branch` are what launch buttons open. `fresh` reads every page anew, as is also done where the
    environment says ``CI``. On a warning or an error of Sphinx the last good site stays.
    """
    started = time.monotonic()
    project.build.mkdir(parents=True, exist_ok=True)
    # two builds at once would stage over each other; the second then finds nothing left to do
    with filelock.FileLock(project.build / ".site.lock"):
        how = _build(project, stage(project, repository=repository, branch=branch), fresh=fresh)
    return how, time.monotonic() - started


def _build(project: Project, sources: Path, *, fresh: bool) -> str:
    target, kept, doctrees = (project.build / name for name in ("html", "doctrees", ".doctrees"))
    drop_leftovers(target)
    made_by = _made_by(project, sources)
    inputs = key.short([fingerprint(sources), made_by])
    stamp = {"inputs": inputs, "made_by": made_by, "shown": _shown_elsewhere(sources)}
    last = read_json(target / STAMP)
    whole = bool(last) and intact(target, kind=KIND)
    if whole and not fresh and last.get("inputs") == inputs:
        return "unchanged"
    same = whole and last.get("made_by") == made_by and read_json(kept / STAMP) == last
    fresh = fresh or bool(os.environ.get("CI")) or not same
    few = not fresh and last.get("shown") == stamp["shown"]
    shutil.rmtree(doctrees, ignore_errors=True)
    with writing(target, owned=True) as html:  # the last site stays until this one is whole
        if fresh:
            shutil.rmtree(project.build / "jupyter_execute", ignore_errors=True)  # pictures, by their content
        else:  # on copies: a build that fails or is killed does not spoil the last one
            shutil.copytree(kept, doctrees)
        if few:
            shutil.copytree(target, html)
        _sphinx(sources, html, doctrees, "few" if few else "all", log=project.build / "site.log")
        for name in ("notebooks/files", "sweeps"):
            shutil.rmtree(html / name, ignore_errors=True)
            if (sources / name).is_dir():
                shutil.copytree(sources / name, html / name)
        write_json(html / STAMP, stamp)
        mark(html, kind=KIND)
        write_json(doctrees / STAMP, stamp)
        shutil.rmtree(kept, ignore_errors=True)
        doctrees.rename(kept)
    return "built" if fresh else "brought up to date"


def _made_by(project: Project, sources: Path) -> str:
    """Return the hash of what decides how all pages are read; while it stays, a page can be read without the others."""
    package = {name: mark for name, mark in key.package_hashes().items() if name.startswith("book/")}
    shared = [sources / name for name in ("_config.yml", "_toc.yml", "book/references.bib")]
    marks = [fingerprint(path) for path in shared if path.is_file()]
    return key.short([package, key.lock_hash(project.root), marks])


def _shown_elsewhere(sources: Path) -> str:
    """Return the hash of what pages show of each other; while it stays, a page can be written without the others."""
    around = [sources / "book" / name for name in ("glossary.md", "_static")]
    shared = [fingerprint(path) for path in around if path.exists()]
    pages = {}
    for path in sorted(sources.rglob("*")):
        name, figures = path.relative_to(sources).as_posix(), []
        if path.suffix not in {".md", ".rst", ".ipynb"} or name.startswith("sweeps/"):
            continue
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            cells = json.loads(text)["cells"]
            figures = [cell["metadata"].get("mystnb", {}).get("figure", {}) for cell in cells]
            text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        pages[name] = [figures, _SHOWN_ELSEWHERE.findall(text)]
    site = read_json(sources / SITE_FILE)
    data = {name: one["simulated"] for name, one in site["runs"].items()}
    return key.short([shared, pages, data, site["missing"]])


def _sphinx(sources: Path, html: Path, doctrees: Path, pages: str, *, log: Path) -> None:
    environment = {**child_environment(), "PYTHONWARNINGS": _WARNINGS, "NO_COLOR": "1"}
    command = child_command(_BUILD, str(sources), str(html), str(doctrees), pages)
    with log.open("w+", encoding="utf-8", errors="replace") as stream:
        options = {"stdout": stream, "stderr": subprocess.STDOUT, "env": environment, "check": False}
        code = subprocess.run(command, **options).returncode
        stream.seek(0)
        text = re.sub(r"\x1b\[[0-9;]*m", "", stream.read())
    if code != 0:
        said = [line for line in text.splitlines() if re.search(r"WARNING|ERROR|CRITICAL|error", line)]
        words = "\n".join(said[:40]) or text[-2000:]
        msg = f"the site was not built; the last good one stays. Sphinx says:\n{words}\nAll of it: {log}"
        raise SiteError(msg)
