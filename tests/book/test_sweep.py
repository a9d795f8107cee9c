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
    book = written.choose(["01"])[0]
    text = book.source.read_text()
    failing = 'assert count < 6, "too <many>"\nnote.record("donors"'
    book.source.write_text(text.replace('note.record("donors"', failing))
    folder, outcomes = make(written)
    assert [one.status for one in outcomes] == ["good"] * 2
    table = pl.read_parquet(folder / "table.parquet")
    assert table["donors"].to_list() == [2, 4]
    assert table["kind"].to_list() == ["FB", "FB"]
    assert table.schema["donors"] == pl.Int64
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
    assert "Runs that failed: 1." in page


def test_all_points_are_checked_before_the_first_runs(written):
    path = written.root / "sweeps" / "counts.yaml"
    path.write_text(TEXT.replace("[2, 4]", "[2, 99]"))
    wanted = sweep.read_sweep(written, "counts")
    with pytest.raises(ParameterError, match="count = 99 is not allowed"):
        sweep.plans_of(written, wanted)
    assert not (written.build / "sweep_runs").exists()


def test_faults_of_a_sweep_come_at_once(written):
    path = written.root / "sweeps" / "counts.yaml"
    path.write_text("title: A\nnotebook: 01\ngird: {}\n")
    missing = "; ".join(f"{name}: Field required" for name in ("grid", "records", "x"))
    with pytest.raises(ParameterError, match=f"{missing}; gird: Unexpected"):
        sweep.read_sweep(written, "counts")
    path.write_text(TEXT.replace("[donors, kind]", "[donors, kindness]"))
    with pytest.raises(ParameterError, match="01_first does not record 'kindness'"):
        sweep.read_sweep(written, "counts")


def test_a_sweep_that_does_not_exist_lists_those_that_do_and_one_not_run_names_the_command(written):
    assert "`musclebook sweep counts`" in extension.sweep_page(written.build / "counts")
    with pytest.raises(RunError, match=r"no sweep 'count'\. There are: counts"):
        sweep.read_sweep(written, "count")


def test_the_sweeps_of_this_book_are_sound():
    project = Project(Path(__file__).parents[2])
    for path in sorted((project.root / "sweeps").glob("*.yaml")):
        wanted = sweep.read_sweep(project, path.stem)
        plans = sweep.plans_of(project, wanted)
        assert len({one.key for one in plans}) == len(plans) == len(wanted.points) > 4
        page = project.root / "book" / f"gallery_{path.stem}.md"
        assert f"<!-- sweep: {path.stem} -->" in page.read_text()
