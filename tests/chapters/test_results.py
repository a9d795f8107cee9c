"""What the runs of the notebooks recorded and showed."""

import base64
import json
import re

import nbformat
import pytest

from helpers.book import run
from helpers.book.project import Project
from helpers.budget import to_bytes

import contract  # isort: skip  conftest puts this folder on the path
from bookbuilt import PROJECT, ROOT  # isort: skip  the folder tests is put on the path by conftest

NAMES = list(PROJECT.notebooks)
every_notebook = pytest.mark.parametrize("name", NAMES)
pytestmark = pytest.mark.xdist_group("book")


def cells_of(runs, name):
    return nbformat.read(runs[name]["folder"] / f"{name}.ipynb", as_version=4).cells


def outputs_of(runs, name, kind):
    found = []
    for cell in cells_of(runs, name):
        found += [(cell, out.data[kind]) for out in cell.get("outputs", []) if kind in out.get("data", {})]
    return found


@every_notebook
def test_a_run_records_what_the_notebook_promises(results, name):
    assert contract.faults(PROJECT.notebooks[name].sidecar.records, results[name]["findings"]) == []


@every_notebook
def test_known_answers_on_the_default_simulated_atlas(name):
    project = Project(ROOT)
    book = project.notebooks[name]
    found = run.current(project, book.name)
    fits = found and found["given"] == {} and not run.states(project)[name]
    if not fits:
        pytest.skip("no current run on the default atlas: make book first")
    results = json.loads((found["folder"] / "files" / name / "results.json").read_text())
    assert contract.faults(book.sidecar.records, results["findings"], demo=True) == []


@every_notebook
def test_memory_stays_under_what_the_header_says(runs, name):
    assert runs[name]["peak_bytes"] <= to_bytes(PROJECT.notebooks[name].sidecar.memory)


@every_notebook
def test_pictures_are_small_opaque_and_shown_once(runs, name):
    seen = set()
    for _, data in outputs_of(runs, name, "image/png"):
        content = base64.b64decode(data)
        assert len(content) < 500_000
        assert content not in seen
        seen.add(content)
        assert (
            content[25] in {0, 2, 3} or b"tRNS" not in content
        )  # color type without transparency, or an opaque one


@every_notebook
def test_every_picture_belongs_to_a_captioned_figure(runs, name):
    for cell, _ in outputs_of(runs, name, "image/png"):
        assert "figure" in cell.metadata.get("mystnb", {}), cell.source


@every_notebook
def test_solutions_are_right(runs, name):
    verdicts = [
        out.metadata["musclebook"]
        for cell in cells_of(runs, name)
        for out in cell.get("outputs", [])
        if "musclebook" in out.get("metadata", {})
    ]
    assert verdicts
    assert [one["exercise"] for one in verdicts if not one["right"]] == []


@every_notebook
def test_nothing_is_printed_on_the_error_stream(runs, name):
    streams = [
        out.text
        for cell in cells_of(runs, name)
        for out in cell.get("outputs", [])
        if out.get("name") == "stderr"
    ]
    assert streams == []


@every_notebook
def test_no_bare_value_is_left_below_a_cell(runs, name):
    bare = [
        out["data"]["text/plain"]
        for cell in cells_of(runs, name)
        for out in cell.get("outputs", [])
        if set(out.get("data", {})) == {"text/plain"}
    ]
    assert bare == []


@every_notebook
def test_no_folder_of_this_machine_is_shown(runs, name):
    text = json.dumps([cell.get("outputs", []) for cell in cells_of(runs, name)])
    assert not re.search(rf"{re.escape(str(ROOT))}|/home/|/root/", text)


@every_notebook
def test_tables_link_to_files_that_exist(runs, name):
    links = [
        link
        for _, data in outputs_of(runs, name, "text/html")
        for link in re.findall(r"href='([^']+)' download", data)
    ]
    assert [link for link in links if not (runs[name]["folder"] / link).is_file()] == []


def test_pages_of_the_test_runs_are_current(runs):
    found = run.states(PROJECT, request=run.Request(profile="test"))
    assert {name: reasons for name, reasons in found.items() if reasons != []} == {}
    assert set(found) == set(runs)
