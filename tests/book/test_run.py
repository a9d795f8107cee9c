import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import psutil
import pytest

from helpers.book import execute, run
from helpers.errors import ParameterError, RunError, SourceError, TableError

pytestmark = pytest.mark.xdist_group("runs")


def outcomes_of(project, names=None, **options):
    plans = run.plan(project, project.choose(names), run.Request(**options))
    return plans, run.make(plans, failed=project.build / "failed", workers=2)


def edit(project, number, old, new):
    """Change the code of a notebook."""
    source = project.choose([number])[0].source
    assert old in source.read_text()
    source.write_text(source.read_text().replace(old, new))


def running(project):
    """Start the command on notebook 02, slowed down, and wait until it is at a cell."""
    edit(project, "02", "rest: float = 0.0", "rest: float = 50.0")
    command = [sys.executable, "-c", "from helpers.cli.main import app; app()", "run", "02"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(Path(execute.__file__).parents[2])}
    child = subprocess.Popen(command, cwd=project.root, env=environment, **pipes)
    part, deadline = "runs/02_second/.*.part/02_second.ipynb", time.monotonic() + 90
    while not any('"status": "running"' in path.read_text() for path in project.build.glob(part)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return child


def test_a_run_leaves_notebook_results_tables_and_its_record(made):
    found = run.current(made, "01_first")
    results = json.loads((found["folder"] / "files/01_first/results.json").read_text())
    assert results["findings"]["donors"] == {"value": 3, "unit": "donors", "interval": None}
    assert (found["folder"] / "files/01_first/donors.parquet").is_file()
    assert found["status"] == "good"
    assert found["peak_bytes"] > 2**20
    assert found["parameters"] == {"count": 3, "label": "FB", "share": 0.5, "loud": False}
    assert "out_dir" not in found["given"]
    assert found["versions"]["python"] == sys.version.split()[0]  # the kernel is this interpreter


def test_the_same_key_is_reused_and_what_differs_is_named(made):
    plans = run.plan(made, made.choose(), run.Request())
    assert [one.status for one in run.make(plans, failed=made.build / "failed")] == ["reused", "reused"]
    assert run.states(made) == {"01_first": [], "02_second": []}
    full = run.Request(profile="full")
    assert run.plan(made, made.choose(["01"]), full)[0].given["count"] == 9
    assert run.states(made, request=full)["01_first"] == ["parameters (count)"]


def test_the_profile_fits_the_source(project, tmp_path):
    with pytest.raises(ParameterError, match="there is no profile 'fast'"):
        run.plan(project, project.choose(), run.Request(profile="fast"))
    assert run.Request().chosen_profile == run.Request(atlas="tiny").chosen_profile == "demo"
    assert run.Request(atlas=str(tmp_path)).chosen_profile == "real"
    (tmp_path / "truth").mkdir()
    assert run.Request(atlas=str(tmp_path)).chosen_profile == "demo"


def test_a_failing_cell_stops_its_notebook_only_and_the_last_good_run_stays(copied):
    project, before = copied, run.current(copied, "02_second")
    edit(project, "02", "breaks: bool = False", "breaks: bool = True")
    edit(project, "01", "5.6, 2", "5.6, 3")
    plans, outcomes = outcomes_of(project)
    assert [one.status for one in outcomes] == ["good", "failed"]
    run.point(plans, outcomes)
    with pytest.raises(RunError, match=r"02_second, cell 6: AssertionError: asked to break"):
        run.report(outcomes)
    assert "asked to break" in (project.build / "failed/02_second/02_second.ipynb").read_text()
    assert run.current(project, "02_second")["key"] == before["key"]
    assert not list((project.build / "runs").rglob("*.part"))


def test_a_worker_that_dies_is_a_failed_run_and_not_a_crash(project):
    edit(project, "02", "import time", "import os, time\nos._exit(1)")
    (outcome,) = outcomes_of(project, ["02"])[1]
    assert (outcome.status, outcome.cell) == ("failed", 3)
    assert "DeadKernelError" in outcome.error


def test_a_sidecar_is_checked_and_all_its_faults_come_at_once(project):
    book = project.choose(["01"])[0]
    path = book.source.with_suffix(".yaml")
    path.write_text("title: A\nmemory: lots\nrecords: {x: {type: num}}\nprofiles: {fast: {}}\nzap: 1\n")
    with pytest.raises(TableError) as caught:
        book.sidecar  # noqa: B018
    said = ("question: ", "'lots' is not a size", "records.x.type: Input should be 'int'", "'test'", "zap: ")
    assert [words for words in said if words not in str(caught.value)] == []
    path.unlink()
    with pytest.raises(TableError, match=r"01_first\.yaml is missing"):
        book.sidecar  # noqa: B018


@pytest.mark.skipif(sys.platform != "linux", reason="children end with their parent on Linux only")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_is_told_to_end_or_killed_takes_its_kernels_along_and_the_last_good_run_stays(
    copied, how
):
    """As `timeout`, Slurm and CI do: nothing goes on, and the next run clears up."""
    parent = running(copied)
    family = psutil.Process(parent.pid).children(recursive=True)
    assert family
    parent.send_signal(how)
    said = parent.communicate(timeout=20)[0]
    assert parent.returncode not in (0, 1)
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    assert run.current(copied, "02_second")["status"] == "good"
    assert run.states(copied)["02_second"][0] == "code"
    edit(copied, "02", "rest: float = 50.0", "rest: float = 0.1")
    assert outcomes_of(copied, ["02"])[1][0].status == "good"
    assert not list(copied.build.glob("runs/02_second/.*.part"))


def test_what_a_source_lacks_is_refused_before_anything_runs(project, tmp_path, monkeypatch):
    bare = types.SimpleNamespace(has=lambda name: name == "DonorID")
    monkeypatch.setattr("helpers.sources.open_atlas", lambda source: bare)
    with (project.root / "notebooks" / "01_first.yaml").open("a") as sidecar:
        sidecar.write("needs: [DonorID, X_scVI, counts]\n")
    edit(project, "01", "count: int = 3", 'atlas: str = "demo"  # source of cells\ncount: int = 3')
    plans = run.plan(project, project.choose(), run.Request(atlas=str(tmp_path)))
    assert plans[0].lacks.endswith(f"{tmp_path.name} lacks X_scVI, counts.")
    assert run.able(plans, all_or_none=False) == [plans[1]]
    with pytest.raises(SourceError, match="01_first cannot run"):
        run.able(plans, all_or_none=True)
    run.leave_out(plans)
    assert list(run.left_out(project)) == ["01_first"]
    assert run.plan(project, project.choose(), run.Request())[0].lacks == ""


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("run.json", ""),
        ("run.json", "[]"),
        ("01_first.ipynb", '{"cells": ['),
        ("files/01_first/results.json", None),
        ("../current.json", "[1]"),
        ("../current.json", '{"key": "../../x"}'),
    ],
)
def test_a_damaged_run_is_none(copied, file, text):
    path = run.current(copied, "01_first")["folder"] / file
    path.unlink() if text is None else path.write_text(text)
    assert run.current(copied, "01_first") is None
    assert run.states(copied)["01_first"] is None
