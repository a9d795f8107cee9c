import re

import nbformat
import pytest

from helpers import parameters
from helpers.errors import ParameterError

CELL = """
atlas: str = "demo"  # data: demo or a file
cell_type: str = "FB"  # cell type {FB, MuSC, NK}
min_cells: int = 10  # cells a donor needs [1, 500]
share: float = 0.5  # fraction kept [0, 1]
loud: bool = False  # whether to say more
"""


def notebook(cell=CELL):
    code = nbformat.v4.new_code_cell(cell, metadata={"tags": ["parameters"]})
    return nbformat.v4.new_notebook(cells=[code])


@pytest.fixture
def declared():
    return parameters.read_parameters(notebook())


def test_types_defaults_help_ranges_and_choices_are_read(declared):
    assert list(declared) == ["atlas", "cell_type", "min_cells", "share", "loud"]
    cells = declared["min_cells"]
    assert (cells.type, cells.default, cells.low, cells.high) == ("int", 10, 1, 500)
    assert cells.help == "cells a donor needs"
    assert declared["cell_type"].choices == ("FB", "MuSC", "NK")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("y: int = 2  # b\nx = 1  # untyped", "line 2: a parameter reads"),
        ("x: int = 1", "x has no comment"),
        ("x: int  # nothing", "x has no default"),
        ("x: int = y + 1  # derived", "the default of x is computed"),
        ("x: int = 7  # too big [1, 5]", "the default x = 7 is not allowed"),
        ("x: int = 1  # bad range [low, high]", "could not convert"),
    ],
)
def test_a_malformed_line_is_named(line, fault):
    with pytest.raises(ParameterError, match=rf"parameters cell of .*{re.escape(fault)}"):
        parameters.read_parameters(notebook(line))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"min_cells": 0}, "min_cells = 0 is not allowed: int from 1 to 500"),
        ({"min_cells": 2.5}, "min_cells = 2.5 is not allowed"),
        ({"share": float("nan")}, "share = nan is not allowed"),
        ({"loud": 1}, "loud = 1 is not allowed: true or false"),
        ({"cell_type": "MuSc"}, "did you mean 'MuSC'?"),
        ({"celltype": "FB"}, "unknown parameter 'celltype', did you mean 'cell_type'"),
    ],
)
def test_a_value_that_does_not_fit_says_what_is_allowed_and_all_faults_come_at_once(declared, values, words):
    with pytest.raises(ParameterError) as caught:
        parameters.check(declared, {**values, "colour": 1}, name="03_age_de")
    assert words in str(caught.value)
    assert str(caught.value).count("\n- ") == 2
    assert "03_age_de cannot run" in str(caught.value)


def test_options_and_files_that_say_nothing_are_named_together(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("- 1\n")
    with pytest.raises(
        ParameterError, match=r"does not hold lines.*none\.yaml.*'cell_type' is not of the form"
    ):
        parameters.parse_options(["cell_type"], files=[path, tmp_path / "none.yaml"])


@pytest.mark.parametrize("number", ["1e-2", "0.01", "'1e-2'", "!!str 1e-2"])
def test_numbers_of_a_file_are_read_by_the_declared_type(declared, tmp_path, number):
    (tmp_path / "p.yaml").write_text(f"share: {number}\ncell_type: NK\nmin_cells: 2.0\n")
    values = parameters.parse_options(["atlas=a=b"], files=[tmp_path / "p.yaml"])
    found = parameters.check(declared, values)
    assert found == {"share": 0.01, "cell_type": "NK", "min_cells": 2, "atlas": "a=b"}
    texts = {"min_cells": "25", "share": "1", "loud": "yes", "atlas": 1}
    values = parameters.check(declared, texts)
    assert values == {"min_cells": 25, "share": 1.0, "loud": True, "atlas": "1"}
    assert type(values["share"]) is float


def test_a_file_that_grows_without_bound_is_refused(tmp_path):
    rows = "a: &a [1]\nb: &b [*a, *a]\nc: &c [*b, *b]"
    for text in (rows, "x: " + "[" * 20_000, "a: &a [*a]", "!!python/object/apply:os.system [ls]"):
        (tmp_path / "p.yaml").write_text(text)
        with pytest.raises(ParameterError, match=r"p\.yaml"):
            parameters.parse_options([], files=[tmp_path / "p.yaml"])


def test_sizes_and_files_are_checked_before_anything_runs(tmp_path):
    cell = 'budget: str = "4 GiB"  # memory\ngene_sets: str = ""  # CSV with columns; empty: the sets of this book'
    there = tmp_path / "there.csv"
    there.touch()
    found = parameters.read_parameters(notebook(cell))
    for wrong in ({"budget": "banana"}, {"budget": "-1 GiB"}, {"gene_sets": "~/no.csv"}):
        with pytest.raises(ParameterError, match=next(iter(wrong.values()))):
            parameters.check(found, wrong)
    placed = parameters.place(found, {"gene_sets": "there.csv"}, folder=tmp_path)
    assert parameters.check(found, placed) == {"gene_sets": str(there.resolve())}
