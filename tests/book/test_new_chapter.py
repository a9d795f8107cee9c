import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from helpers import parameters
from helpers.book import pairing, run, teaching
from helpers.book.project import Project
from helpers.errors import ChapterError

import contract  # isort: skip  conftest puts the folder tests on the path

ROOT = Path(__file__).parents[2]
CHECKS = "src/helpers/book/checks.yaml"


@pytest.fixture
def house(tmp_path):
    """A book with one chapter, the real one's contents, and the folders that a chapter goes into."""
    for name in ("notebooks", "src/helpers/book", "tests/book"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / CHECKS).write_text("# exercises\n")
    shutil.copy(ROOT / "_toc.yml", tmp_path)
    for path in (ROOT / "notebooks").glob("02_quality.*"):
        shutil.copy(path, tmp_path / "notebooks")
    return tmp_path


def test_a_new_chapter_stands_last_keeps_the_promises_of_a_chapter_and_runs(house):
    assert all(path.is_file() for path in pairing.new_chapter(Project(house), "nerve_supply"))
    before, after = (
        re.findall(r" +- file: notebooks/.*", (root / "_toc.yml").read_text()) for root in (ROOT, house)
    )
    assert after == [*before, re.sub("/.*", "/03_nerve_supply", before[-1])]
    assert yaml.safe_load((house / CHECKS).read_text())["03.enough"][0]["right"] == ["B", "C"]
    book = Project(house).notebooks["03_nerve_supply"]
    notebook = book.read()
    assert pairing.compare(book) == []
    recorded = contract.recorded_names(notebook)
    assert recorded == contract.said_names(notebook) == set(book.sidecar.records)
    assert list(parameters.read_parameters(notebook))[-1] == "out_dir"
    assert {one.name for one in teaching.exercises_of(notebook, name=book.name)} == {"03.enough"}

    # the checkers go into the installed package when a person makes a chapter; here its cells are left out
    exercise = r'(?s)tags=\["exercise"\].*?(?=\n# ## In short)'
    book.source.write_text(re.sub(exercise, "", book.source.read_text()))
    project = Project(house)
    plans = run.plan(project, project.choose(["03"]), run.Request(profile="test"))
    (outcome,) = run.make(plans, failed=project.build / "failed", workers=1)
    assert outcome.status == "good", outcome.error
    found = json.loads((Path(outcome.folder) / "files/03_nerve_supply/results.json").read_text())["findings"]
    assert contract.faults(book.sidecar.records, found) == []


@pytest.mark.parametrize(
    ("name", "there", "words"),
    [
        *((name, {}, "for example nerve_supply") for name in ("10_nerves", "nerve supply", "../x", "")),
        ("quality", {}, "there is a chapter 02_quality already"),
        ("nerves", {"tests/book/test_checks_ch03.py": "mine"}, "exists already and is left as it is"),
        ("nerves", {CHECKS: "03.mine: []\n"}, "exists already"),
        ("nerves", {"_toc.yml": "format: jb-book\nroot: book/welcome\n"}, "lists no notebook"),
    ],
)
def test_a_name_that_will_not_do_is_refused_and_nothing_is_overwritten(house, name, there, words):
    for file, text in there.items():
        (house / file).write_text(text)
    before = {path: path.read_bytes() for path in house.rglob("*.*")}
    with pytest.raises(ChapterError, match=words):
        pairing.new_chapter(Project(house), name)
    assert {path: path.read_bytes() for path in house.rglob("*.*")} == before
