import json
import shutil
from pathlib import Path

import pytest
import yaml

from helpers import parameters
from helpers.book import kit, pairing, run, teaching
from helpers.book.project import Project
from helpers.errors import ChapterError

import contract  # isort: skip  conftest puts tests/chapters on the path

ROOT = Path(__file__).parents[2]


@pytest.fixture
def house(tmp_path):
    """A book with one chapter, the real one's contents, and the folders that a chapter goes into."""
    for name in ("notebooks", "src/helpers/book", "tests/book"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "src/helpers/book/checks.yaml").write_text("# exercises\n")
    shutil.copy(ROOT / "_toc.yml", tmp_path)
    for path in (ROOT / "notebooks").glob("02_quality.*"):
        shutil.copy(path, tmp_path / "notebooks")
    return tmp_path


def test_a_new_chapter_has_the_next_number_and_stands_last_among_the_notebooks(house):
    written = kit.new_chapter(Project(house), "nerve_supply")
    assert all(path.is_file() for path in written)
    before = [line for line in (ROOT / "_toc.yml").read_text().splitlines() if "notebooks/" in line]
    after = [line for line in (house / "_toc.yml").read_text().splitlines() if "notebooks/" in line]
    assert after == [*before, before[-1][: before[-1].index("-")] + "- file: notebooks/03_nerve_supply"]
    checks = yaml.safe_load((house / "src/helpers/book/checks.yaml").read_text())
    assert checks["03.enough"][0]["right"] == ["B", "C"]
    assert yaml.safe_load((house / "_toc.yml").read_text())["root"] == "book/welcome"


def test_what_is_written_keeps_the_promises_of_a_chapter(house):
    kit.new_chapter(Project(house), "nerve_supply")
    book = Project(house).notebooks["03_nerve_supply"]
    assert [str(one) for one in pairing.compare(book)] == []
    notebook = book.read()
    recorded = contract.recorded_names(notebook)
    assert recorded == contract.said_names(notebook) == set(book.sidecar.records)
    assert list(parameters.read_parameters(notebook))[-1] == "out_dir"
    assert {one.name for one in teaching.exercises_of(notebook, name=book.name)} == {"03.enough"}
    assert "$" not in "".join(cell.source for cell in notebook.cells)


def test_the_new_chapter_runs(house):
    kit.new_chapter(Project(house), "nerve_supply")
    # the checkers go into the installed package when a person makes a chapter; here its cells are left out
    path = house / "notebooks" / "03_nerve_supply.py"
    head, _, tail = path.read_text().partition('# %% [markdown] tags=["exercise"]')
    path.write_text(head + "# %% [markdown]\n# ## In short" + tail.partition("# ## In short")[2])
    project = Project(house)
    plans = run.plan(project, project.choose(["03"]), run.Request(profile="test"))
    (outcome,) = run.make(plans, failed=project.build / "failed", workers=1)
    assert outcome.status == "good", outcome.error
    found = json.loads((Path(outcome.folder) / "files/03_nerve_supply/results.json").read_text())["findings"]
    assert contract.faults(project.notebooks["03_nerve_supply"].sidecar.records, found) == []


def test_a_name_of_another_form_is_refused_with_an_example(house):
    for name in ("10_nerves", "nerve supply", "../x", ""):
        with pytest.raises(ChapterError, match="for example nerve_supply"):
            kit.new_chapter(Project(house), name)


def test_nothing_is_overwritten(house):
    with pytest.raises(ChapterError, match="there is a chapter 02_quality already"):
        kit.new_chapter(Project(house), "quality")
    older = house / "tests/book/test_checks_ch03.py"
    older.write_text("mine")
    with pytest.raises(ChapterError, match="exists already and is left as it is"):
        kit.new_chapter(Project(house), "nerves")
    assert older.read_text() == "mine"
    older.unlink()
    (house / "src/helpers/book/checks.yaml").write_text("03.mine: []\n")
    with pytest.raises(ChapterError, match="exists already"):
        kit.new_chapter(Project(house), "nerves")
    (house / "_toc.yml").write_text("format: jb-book\nroot: book/welcome\n")
    with pytest.raises(ChapterError, match="lists no notebook"):
        kit.new_chapter(Project(house), "nerves")
    assert not (house / "notebooks/03_nerves.py").exists()
