"""Runs that were never run, so that pages can be tested in seconds."""

import json
import re
from pathlib import Path

import nbformat

from helpers.book import run
from helpers.book.execute import KIND, RUN_FILE
from helpers.book.project import Project
from helpers.files import mark, write_json

VALUES = {"int": 3, "float": 0.25, "str": "<script>alert(1)</script>", "bool": True}
_ROLE = re.compile(r"\{finding\}`(\w+):(\w+)")


def stand_in(project: Project, **more) -> None:
    """Give every notebook a run that recorded something under each name it promises or a page asks for."""
    asked = [_ROLE.findall(path.read_text()) for path in (project.root / "book").glob("*.md")]
    for book in project.choose():
        one = run.plan(project, [book], run.Request())[0]
        wanted = {name: VALUES[record.type] for name, record in book.sidecar.records.items()}
        wanted |= {
            name: 3 for pairs in asked for stem, name in pairs if stem == book.name and name not in wanted
        }
        findings = {
            name: {"value": value, "unit": "donors", "interval": None} for name, value in wanted.items()
        }
        folder = one.target
        (folder / "files" / book.name).mkdir(parents=True, exist_ok=True)
        node = nbformat.reads(one.source, as_version=4)
        nbformat.write(node, folder / f"{book.name}.ipynb")
        results = {"findings": findings, "source": {"name": "<b>demo</b>", "simulated": True}, "versions": {}}
        write_json(folder / "files" / book.name / "results.json", results | more)
        about = {"name": book.name, "key": one.key, "made": "2026-01-02T03:04:05+00:00", "seconds": 1.0}
        about |= {"peak_bytes": 2**30, "profile": "demo", "atlas": None, "versions": {}, "given": {}}
        write_json(folder / RUN_FILE, about | {"parameters": one.effective, "parts": {}})
        mark(folder, kind=KIND)
        pointer = {"key": one.key, "atlas": None, "profile": "demo"}
        (one.folder / run.CURRENT).write_text(json.dumps(pointer))


def copy_of(root: Path, target: Path) -> Project:
    """Copy the sources of the book, not what was built from them."""
    import shutil

    for name in ("book", "notebooks"):
        shutil.copytree(root / name, target / name)
    for name in ("_config.yml", "_toc.yml", "requirements.lock"):
        shutil.copyfile(root / name, target / name)
    return Project(target)
