import pytest

from helpers.book.project import Record

import contract  # isort: skip  conftest puts the folder tests on the path
import prose  # isort: skip


@pytest.mark.parametrize("text", ["Of these, 12 donors are old.", "Some 1,172 genes.", "| 4 | cells |"])
def test_a_typed_number_is_found(text):
    assert prose.lines_with_digits(text) == [text]


@pytest.mark.parametrize(
    "text",
    [
        "Published in 2024.",
        "MYH7, CD8A, IL6 and HLA-B27 are genes; H2-K1 too.",
        "A 95 % interval, and the usual 0.05.",
        "## 3. A heading with 5 words",
        "1. first\n2. second",
        "Use `min_cells=10` and `X[3]`.",
        "The formula $x_1 + 2$ and\n\n$$\n3 y\n$$",
        "See [here](page3.md) and https://example.org/1.",
        "log2 and log10 and 10x and v3",
        "```python\nx = 3\n```",
        "```{exercise} Title\n:label: ex-03-x\n```",
        "The card says 338 million. <!-- facts: 338 -->",
    ],
)
def test_what_no_run_changes_is_allowed(text):
    assert prose.lines_with_digits(text) == []


PROMISED = {
    "donors": Record("int", "donors", 1, 20, demo=(3, 3)),
    "share": Record("float", None, 0, 1, optional=True),
    "kind": Record("str"),
}


def found(**changes):
    values = {"donors": 3, "share": 0.5, "kind": "FB"} | changes
    units = {"donors": "donors"}
    return {name: {"value": value, "unit": units.get(name)} for name, value in values.items()}


@pytest.mark.parametrize("changes", [{}, {"share": None}, {"share": 1}])
def test_a_run_that_keeps_its_promise_has_no_faults(changes):
    assert contract.faults(PROMISED, found(**changes), demo=True) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"donors": 0}, "donors is 0, below 1.0"),
        ({"donors": 3.0}, "donors is 3.0, promised is int"),
        ({"donors": True}, "donors is True, promised is int"),
        ({"donors": None}, "donors is None, and is not marked optional"),
        ({"donors": 4}, "donors is 4, the known answer lies between 3.0 and 3.0"),
        ({"extra": 1}, "extra is recorded but not promised in the sidecar"),
    ],
)
def test_each_broken_promise_is_said(changes, words):
    assert contract.faults(PROMISED, found(**changes), demo=True) == [words]


def test_a_missing_name_and_another_unit_are_said():
    one = found()
    del one["kind"]
    one["donors"]["unit"] = "cells"
    said = ["donors has the unit 'cells', promised is 'donors'", "kind is promised but not recorded"]
    assert contract.faults(PROMISED, one) == said
