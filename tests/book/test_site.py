"""How a site is built, on a tiny book of two notebooks that were really run; each build serves several tests."""

import html
import re
import shutil
from pathlib import Path
from unittest.mock import Mock

import nbformat
import pytest

from helpers.book import extension, run, site, stage
from helpers.book.project import Project
from helpers.errors import SiteError
from helpers.files import mark

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("runs")
WELCOME = """# Welcome

{finding}`01_first:donors`, {finding}`01_first:donors.number`, {finding}`02_second:whole.number:.2e`.

{ref}`fig-01-dots`, $x_1 + 2$, [the second](notebooks/02_second.ipynb). {{ install }}

<!-- headlines -->

<!-- findings -->

<!-- sweep: counts -->
"""
ADDRESS = "https://github.com/someone/somebook.git"


@pytest.fixture(scope="module")
def book(made, tmp_path_factory):
    """A book of our own, with its runs."""
    root = Path(shutil.copytree(made.root, tmp_path_factory.mktemp("site") / "book"))
    (root / "welcome.md").write_text(WELCOME)
    return Project(root)


@pytest.fixture(scope="module")
def pages(book):
    """The pages of the first build."""
    assert build(book) == "built"
    assert build(book) == "unchanged"
    return read(book)


def build(book, **options):
    return site.build(book, ADDRESS, "v1", **options)[0]


def read(book):
    """Return the pages without the checksums behind style sheets, which say only what a browser may keep."""
    folder = book.build / "html"
    pages = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.html")}
    return {name: re.sub(r"\?v=\w+", "", text) for name, text in pages.items()}


def test_recorded_values_headlines_and_formulas_stand_in_prose(pages):
    text = pages["welcome.html"]
    assert re.findall(r'<span class="finding">([^<]*)</span>', text) == ["3 donors", "3", "1.02e+03"]
    assert "Counted <strong>3 donors</strong> of kind FB." in text
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML">' in text
    assert "mathjax" not in text.replace("mathjax_ignore", "").lower()


def test_a_chapter_shows_its_figure_its_run_and_links_to_its_tables(book, pages):
    text = pages["notebooks/01_first.html"]
    assert '<span class="caption-number">Fig. 1 </span><span class="caption-text">Dots.</span>' in text
    assert re.search(r"Run [0-9a-f]{12}, \d{4}-\d\d-\d\d \d\d:\d\d UTC\.", text)
    for row in ("parameter: count", "version: polars", "wall time, with start of the kernel"):
        assert row in text
    (link,) = set(re.findall(r"href='(files/[^']+\.csv)'", text))
    assert (book.build / "html" / "notebooks" / link).read_text().startswith("donor\n<script>0")


def test_text_from_data_is_text(pages):
    text = pages["notebooks/01_first.html"]
    assert re.search("<td[^>]*>&lt;script&gt;0</td>", text)
    assert "<script>0" not in text
    run = {"key": "k", "made": "now", "simulated": True, "profile": "demo", "seconds": 1, "peak_bytes": 1}
    run |= {"versions": {}, "source": {"name": "<b>"}, "parameters": {"x": "<b>"}}
    assert "<b>" not in extension.banner({"01": run}, "01") + extension.foot({"01": run}, "01")


def test_launch_buttons_open_files_that_exist(book, pages):
    text, file = pages["notebooks/01_first.html"], "notebooks/01_first.ipynb"
    assert f'"https://mybinder.org/v2/gh/someone/somebook/v1?urlpath=lab/tree/{file}"' in text
    assert f'"https://colab.research.google.com/github/someone/somebook/blob/v1/{file}"' in text
    assert f"git+{ADDRESS}@v1" in html.unescape(pages["welcome.html"])
    other = stage.stage(book, repository="https://example.org/a/b")  # no service can start from it
    assert "launch_buttons" not in (other / "_config.yml").read_text()


def test_an_incremental_build_equals_a_fresh_one(book, pages, monkeypatch):
    """After an edit of prose, of a heading, of what a page shows of a run or a sweep, and of a link to all of them."""
    monkeypatch.delenv("CI", raising=False)  # where every page is read anew
    first = book.notebooks["01_first"].source
    first.write_text(first.read_text().replace("How many", "How very many"))
    assert "This sweep was not run" in pages["welcome.html"]
    swept = book.build / "sweeps" / "counts" / "page.txt"
    swept.parent.mkdir(parents=True)
    swept.write_text("Swept.")
    other = book.build / "html" / "notebooks" / "02_second.html"
    written = other.stat().st_mtime_ns
    assert build(book) == "brought up to date"
    assert other.stat().st_mtime_ns == written  # an edit of prose writes its own page only
    incremental = read(book)
    assert "Swept." in incremental["welcome.html"]
    assert build(book, fresh=True) == "built"
    assert read(book) == incremental
    text = first.read_text().replace("# A first page", "# A better page")
    first.write_text(text.replace("How very many", "How few"))
    folder = run.current(book, "02_second")["folder"]
    results = folder / "files" / "02_second" / "results.json"
    results.write_text(results.read_text().replace("1024", "2048"))
    mark(folder, kind="run")
    (book.root / "welcome.md").write_text(WELCOME + "\n[](notebooks/01_first.ipynb)\n")
    assert build(book) == "brought up to date"
    incremental = read(book)
    assert "2.05e+03" in incremental["welcome.html"]
    assert "A better page" in incremental["notebooks/02_second.html"]  # in its list of pages
    # a site that is no longer whole is built anew
    (book.build / "html" / "notebooks" / "01_first.html").write_text("cut")
    assert build(book) == "built"
    assert read(book) == incremental
    monkeypatch.setenv("CI", "true")  # where any change is built anew
    first.write_text(first.read_text().replace("How few", "How many"))
    assert build(book) == "built"


def test_a_build_that_fails_or_is_stopped_leaves_the_last_good_site(book, pages, monkeypatch):
    before = read(book)
    (book.root / "welcome.md").write_text("# Welcome\n\n{finding}`01_first:nothing`\n")
    with pytest.raises(SiteError, match="01_first does not record it"):
        site.build(book)
    assert read(book) == before
    monkeypatch.setattr(site, "_sphinx", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        site.build(book, fresh=True)
    assert read(book) == before


def test_a_book_is_built_without_a_chapter_that_was_left_out(book, pages):
    """What refers to the chapter steps aside; the reason stands on the first page."""
    (book.root / "welcome.md").write_text(WELCOME.replace("{{ install }}", ""))
    (book.build / "runs" / "02_second" / run.CURRENT).write_text('{"left_out": "own.h5ad lacks <counts>."}')
    site.build(book)
    text = read(book)
    assert "notebooks/02_second.html" not in text
    assert "own.h5ad lacks &lt;counts&gt;." in text["welcome.html"]
    assert not [page for page in text.values() if re.search('href="[^"]*02_second', page)]


@pytest.mark.parametrize(("code", "shown"), [("5.6, 2", "people"), ("5.6, 3", "donors")])
def test_prose_that_changed_after_the_run_is_shown_and_code_that_changed_is_not(made, project, code, shown):
    book = project.notebooks["01_first"]
    executed = nbformat.read(run.current(made, "01_first")["folder"] / "01_first.ipynb", as_version=4)
    text = book.source.read_text().replace("How many donors", "How many people")
    book.source.write_text(text.replace("5.6, 2", code))
    assert f"How many {shown}" in stage.merge(book.read(), executed).cells[0].source


def test_parameters_that_were_changed_are_shown_and_traces_of_the_machine_are_not():
    cells = [
        nbformat.v4.new_code_cell("a: int = 1", metadata={"tags": ["parameters"], "papermill": {"x": 1}}),
        nbformat.v4.new_code_cell("out_dir = 'x'", metadata={"tags": ["injected-parameters"]}),
        nbformat.v4.new_code_cell("note.provenance(x)"),
    ]
    cells[2].outputs = [nbformat.v4.new_output("stream", text="read /somewhere/else/my.h5ad")]
    node = nbformat.v4.new_notebook(cells=cells, metadata={"papermill": {"input_path": "/somewhere"}})
    page = stage.dress(node, given={"atlas": "/somewhere/my.h5ad"}, run_key="k", hidden=["/somewhere/else"])
    sources = [cell.source for cell in page.cells]
    assert sources == ["a: int = 1", "# this run was made with\natlas = 'my.h5ad'", "note.provenance(x)"]
    assert "remove-cell" in page.cells[2].metadata["tags"]
    assert "/somewhere" not in nbformat.writes(page)


def test_nothing_to_show_is_said(project):
    with pytest.raises(SiteError, match="no notebook has a good run yet"):
        site.build(project)
