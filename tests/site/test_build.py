"""How a site is built, on a tiny book of two notebooks."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import bookbuilt
import nbformat
import pytest
import standin
import yaml

from helpers.book import pairing, run, site, stage
from helpers.book.project import Project
from helpers.errors import SiteError

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "book" / "sample"
pytestmark = pytest.mark.xdist_group("site")


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "book"
    shutil.copytree(SAMPLE, root)
    made = Project(root)
    standin.stand_in(made)
    return made


def page(project, name="01_first"):
    return (project.build / "html" / "notebooks" / f"{name}.html").read_text()


def test_a_site_is_built_once_and_again_only_when_something_changed(project):
    # the stand-in has no figures, which the tiny welcome page points to
    (project.root / "welcome.md").write_text("# Welcome\n\nDonors: {finding}`01_first:donors`.\n")
    first = site.build(project)
    assert first.how == "built"
    assert site.build(project).how == "unchanged"
    html = project.build / "html"
    (html / "index.html").unlink()
    (html / "notebooks" / "01_first.html").write_text("cut")
    shutil.rmtree(html / "_static")
    assert site.build(project).how == "built"
    assert (html / "index.html").exists()
    assert any((html / "_static").iterdir())
    assert "01.first" not in page(project)
    assert len(page(project)) > 1000
    (project.root / "welcome.md").write_text("# Welcome\n\nDonors: {finding}`01_first:donors.number`!\n")
    again = site.build(project)
    assert again.how == "brought up to date"
    assert '<span class="finding">3</span>!' in (project.build / "html" / "welcome.html").read_text()
    # text from data is text
    assert "&lt;script&gt;alert(1)" not in page(project, "02_second")
    assert "(&lt;b&gt;demo&lt;/b&gt;)" in page(project)
    assert "<b>demo</b>" not in page(project)

    # a value that is not recorded stops the build, and the last good site stays
    (project.root / "welcome.md").write_text("# Welcome\n\n{finding}`01_first:nothing`\n")
    with pytest.raises(SiteError, match="01_first does not record it"):
        site.build(project)
    assert '<span class="finding">3</span>!' in (project.build / "html" / "welcome.html").read_text()


@pytest.mark.xdist_group("book")
def test_the_book_of_a_file_that_cannot_serve_two_chapters_is_built_without_them(html, tmp_path):
    """Chapters 04 and 08 lack labels on a plain file in the schema of CELLxGENE; what refers to them steps aside."""
    made = Project(
        ROOT, build=Path(shutil.copytree(bookbuilt.PROJECT.build, tmp_path / "build", symlinks=True))
    )
    reason = "own.h5ad lacks annotation_level1, annotation_level2."
    for name in ("04_fibers", "08_prediction"):
        (made.build / "runs" / name / run.CURRENT).write_text(json.dumps({"left_out": reason}))
    pages = site.build(made).folder
    shown = {path.stem for path in (pages / "notebooks").glob("[0-9]*.html")}
    assert shown == set(made.notebooks) - {"04_fibers", "08_prediction"}
    assert reason in (pages / "book" / "summary.html").read_text()
    links = {
        link for path in pages.rglob("*.html") for link in re.findall(r'href="([^"#]+)"', path.read_text())
    }
    assert [link for link in links if "04_fibers" in link or "08_prediction" in link] == []


def test_nothing_to_show_is_said(tmp_path):
    shutil.copytree(SAMPLE, tmp_path / "book")
    with pytest.raises(SiteError, match="no notebook has a good run yet"):
        site.build(Project(tmp_path / "book"))


def test_prose_that_changed_after_the_run_is_shown_and_code_that_changed_is_not(project):
    book = project.choose(["01"])[0]
    executed = nbformat.read(run.current(project, book.name)["folder"] / "01_first.ipynb", as_version=4)
    book.source.write_text(book.source.read_text().replace("How many donors", "How many people"))
    assert "How many people" in stage.merge(book.read(), executed).cells[0].source
    book.source.write_text(book.source.read_text().replace("5.6, 2", "5.6, 3"))
    assert "How many donors" in stage.merge(book.read(), executed).cells[0].source


def test_parameters_that_were_changed_are_shown_and_traces_of_the_machine_are_not():
    node = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("a: int = 1", metadata={"tags": ["parameters"], "papermill": {"x": 1}}),
            nbformat.v4.new_code_cell("out_dir = 'x'", metadata={"tags": ["injected-parameters"]}),
            nbformat.v4.new_code_cell("note.provenance(x)"),
        ],
        metadata={"papermill": {"input_path": "/somewhere"}},
    )
    page = stage.dress(node, given={"atlas": "/somewhere/my.h5ad"}, run_key="k")
    assert [cell.source for cell in page.cells] == [
        "a: int = 1",
        "# this run was made with\natlas = 'my.h5ad'",
        "note.provenance(x)",
    ]
    assert "remove-cell" in page.cells[2].metadata["tags"]
    assert "/somewhere" not in nbformat.writes(page)


def test_launch_buttons_appear_only_with_an_address_and_open_files_that_exist(project):
    sources = stage.stage(project)
    assert "launch_buttons" not in yaml.safe_load((sources / "_config.yml").read_text())
    (project.root / "welcome.md").write_text("# Welcome\n\n{{ install }}\n")
    made = site.build(project, repository="https://github.com/someone/somebook.git", branch="v1")
    text = (made.folder / "notebooks" / "01_first.html").read_text()
    buttons = re.findall(r'href="(https://[^"]+\.ipynb)"', text)
    assert (
        "https://mybinder.org/v2/gh/someone/somebook/v1?urlpath=lab/tree/notebooks/01_first.ipynb" in buttons
    )
    assert (
        "https://colab.research.google.com/github/someone/somebook/blob/v1/notebooks/01_first.ipynb"
        in buttons
    )
    assert "git+https://github.com/someone/somebook.git@v1" in (made.folder / "welcome.html").read_text()


def test_an_address_that_nothing_can_be_launched_from_gives_no_buttons(project):
    sources = stage.stage(project, repository="https://example.org/someone/somebook")
    assert "launch_buttons" not in yaml.safe_load((sources / "_config.yml").read_text())


def test_every_launch_target_exists_in_the_tree():
    for name, book in Project(ROOT).notebooks.items():
        assert (ROOT / "notebooks" / f"{name}.ipynb").is_file()
        assert book.read().metadata["kernelspec"]["name"] == "python3"
    assert (ROOT / "environment.yml").is_file()
    assert (ROOT / "postBuild").is_file()


def test_a_book_built_by_hand_works_too(tmp_path):
    """`jupyter-book build .`, with the configuration of this repository, executes the pairs itself."""
    root = tmp_path / "book"
    shutil.copytree(SAMPLE, root)
    shutil.copyfile(ROOT / "_config.yml", root / "_config.yml")
    (root / "book").mkdir()
    shutil.copyfile(ROOT / "book" / "references.bib", root / "book" / "references.bib")
    shutil.copytree(ROOT / "book" / "_static", root / "book" / "_static")
    for book in Project(root).choose():
        pairing.write_pair(book)
    (root / "welcome.md").write_text(
        "# Welcome\n\nDonors: {finding}`01_first:donors`, {cite:p}`kedlian2024`.\n\n```{bibliography}\n```\n"
    )
    source = str(Path(run.__file__).parents[2])
    command = [sys.executable, "-m", "jupyter_book.cli.main", "build", ".", "-W", "-n", "--keep-going"]
    code = "import sys; from jupyter_book.cli.main import main; sys.argv = sys.argv[1:]; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *command[2:]],
        cwd=root,
        env={**os.environ, "PYTHONPATH": source, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    text = (root / "_build" / "html" / "notebooks" / "01_first.html").read_text()
    assert "Counted <strong>3 donors</strong>" in text
    assert "Built by hand" in text
    (link,) = re.findall(r"href='(results/[^']+\.csv)'", text)
    assert (root / "_build" / "html" / "notebooks" / link).is_file()
