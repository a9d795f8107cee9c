"""What the runs of the notebooks recorded and showed."""

import base64
import json
import re

import nbformat
import pytest

from helpers.book import run
from helpers.book.project import Project
from helpers.budget import to_bytes

import contract  # isort: skip  conftest puts the folder tests on the path
from bookbuilt import PROJECT, ROOT  # isort: skip

every_notebook = pytest.mark.parametrize("name", list(PROJECT.notebooks))
pytestmark = pytest.mark.xdist_group("book")


@pytest.fixture(scope="module")
def shown(runs):
    """What each run showed: the cell and the output, by notebook."""

    def outputs(name):
        cells = nbformat.read(runs[name]["folder"] / f"{name}.ipynb", as_version=4).cells
        return [(cell, out) for cell in cells for out in cell.get("outputs", [])]

    return {name: outputs(name) for name in runs}


def findings(found, name):
    return json.loads((found["folder"] / "files" / name / "results.json").read_text())["findings"]


@every_notebook
def test_a_run_records_what_the_notebook_promises_in_the_memory_that_its_header_states(runs, name):
    sidecar = PROJECT.notebooks[name].sidecar
    assert contract.faults(sidecar.records, findings(runs[name], name)) == []
    assert runs[name]["peak_bytes"] <= to_bytes(sidecar.memory)


@every_notebook
def test_known_answers_on_the_default_simulated_atlas(name):
    project = Project(ROOT)
    found = run.current(project, name)
    if not found or found["given"] or run.states(project)[name]:
        pytest.skip("no current run on the default atlas: make book first")
    records = project.notebooks[name].sidecar.records
    assert contract.faults(records, findings(found, name), demo=True) == []


@every_notebook
def test_pictures_are_small_opaque_captioned_and_shown_once(shown, name):
    seen = set()
    for cell, out in shown[name]:
        if data := out.get("data", {}).get("image/png"):
            content = base64.b64decode(data)
            assert len(content) < 500_000
            assert content not in seen
            seen.add(content)
            # a color type without transparency, or an opaque one
            assert content[25] in {0, 2, 3} or b"tRNS" not in content
            assert "figure" in cell.metadata.get("mystnb", {}), cell.source


@every_notebook
def test_solutions_are_right(shown, name):
    found = [out.get("metadata", {}).get("musclebook") for _, out in shown[name]]
    verdicts = [one for one in found if one]
    assert verdicts
    assert [one["exercise"] for one in verdicts if not one["right"]] == []


@every_notebook
def test_nothing_is_left_on_a_page_that_no_reader_wants(shown, runs, name):
    """No error stream, no bare value below a cell, no folder of this machine, no link to a table that is not there."""
    outputs = [out for _, out in shown[name]]
    assert [out.text for out in outputs if out.get("name") == "stderr"] == []
    assert [out.data for out in outputs if set(out.get("data", {})) == {"text/plain"}] == []
    text = json.dumps(outputs)
    assert not re.search(rf"{re.escape(str(ROOT))}|/home/|/root/", text)
    links = re.findall(r"href='([^']+)' download", text)
    assert [link for link in links if not (runs[name]["folder"] / link).is_file()] == []
