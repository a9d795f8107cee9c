from pathlib import Path

import nbformat
import polars as pl
import pytest

from helpers.book import extension, sweep
from helpers.book.project import Project
from helpers.errors import ParameterError, RunError

pytestmark = pytest.mark.xdist_group("runs")
TEXT = """
title: Counts <b>
notebook: 01_first
fixed: {loud: true}
grid:
  label: [FB]
  count: [2, 4]
records: [donors, kind]
x: count
split: label
"""


@pytest.fixture
def written(project):
    (project.root / "sweeps").mkdir()
    (project.root / "sweeps" / "counts.yaml").write_text(TEXT)
    return project


def make(project, **options):
    wanted = sweep.read_sweep(project, "counts")
    return sweep.make(project, wanted, sweep.plans_of(project, wanted), workers=2, **options)


def test_a_sweep_makes_one_table_goes_on_where_it_stopped_and_keeps_failing_points(written):
    source = written.choose(["01"])[0].source
    failing = 'assert count < 6, "too <many>"\nnote.record("donors"'
    source.write_text(source.read_text().replace('note.record("donors"', failing))
    folder, outcomes = make(written)
    assert [one.status for one in outcomes] == ["good"] * 2
    table = pl.read_parquet(folder / "table.parquet")
    assert table.select("donors", "kind").rows() == [(2, "FB"), (4, "FB")]
    assert (folder / "figure.png").stat().st_size > 1000

    # the executed notebooks carry no label, and show their parameters
    first, _ = sorted((folder / "notebooks").glob("*.ipynb"))
    node = nbformat.read(first, as_version=4)
    assert all("name" not in cell.metadata.get("mystnb", {}).get("figure", {}) for cell in node.cells)
    assert any("this run was made with" in cell.source for cell in node.cells)

    # one more point: only that one runs, and a point that fails is a row
    (written.root / "sweeps" / "counts.yaml").write_text(TEXT.replace("count: [2, 4]", "count: [2, 4, 6]"))
    told = []
    _, again = make(written, tell=lambda *words: told.append(words))
    assert [one.status for one in again] == ["reused", "reused", "failed"]
    assert ("FB 6", "failed") in told
    table = pl.read_csv(folder / "table.csv")
    assert table["donors"].to_list() == [2, 4, None]
    assert table["error"][2] == "AssertionError: too <many>"
    assert len(list((written.build / "failed" / "counts").iterdir())) == 1

    # the page of the sweep: escaped, sortable, linked, on its data
    page = extension.sweep_page(folder)
    assert "class='dataframe sortable'" in page
    assert "aria-label='Counts &lt;b&gt;'" in page
    assert page.count(" download>") == 2 + 2
    assert "fig-sweep-counts" in page
    assert "failed: AssertionError: too &lt;many&gt;" in page


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TEXT.replace("[2, 4]", "[2, 99]"), "count = 99 is not allowed"),
        (TEXT.replace("[donors, kind]", "[donors, kindness]"), "01_first does not record 'kindness'"),
        ("title: A\nnotebook: 01\nx: a\ngird: {}\n", "grid: Field required; records: .*; gird: Unexpected"),
    ],
)
def test_faults_of_a_sweep_come_at_once_and_before_its_first_point_runs(written, text, words):
    (written.root / "sweeps" / "counts.yaml").write_text(text)
    with pytest.raises(ParameterError, match=words):
        make(written)
    assert not (written.build / "sweep_runs").exists()


def test_a_sweep_that_does_not_exist_lists_those_that_do_and_one_not_run_names_the_command(written):
    assert "`musclebook sweep counts`" in extension.sweep_page(written.build / "counts")
    with pytest.raises(RunError, match=r"no sweep 'count'\. There are: counts"):
        sweep.read_sweep(written, "count")


def test_the_sweeps_of_this_book_are_sound():
    project = Project(Path(__file__).parents[2])
    for path in sorted((project.root / "sweeps").glob("*.yaml")):
        plans = sweep.plans_of(project, sweep.read_sweep(project, path.stem))
        assert len({one.key for one in plans}) == len(plans) > 4
        page = project.root / "book" / f"gallery_{path.stem}.md"
        assert f"<!-- sweep: {path.stem} -->" in page.read_text()
