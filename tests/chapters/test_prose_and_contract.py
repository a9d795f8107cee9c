import pytest

from helpers.book.project import Record

import contract  # isort: skip  conftest puts the folder tests on the path
import prose  # isort: skip


ALLOWED = """
# 3. A heading with 5 words
1. first
Published in 2024: MYH7, HLA-B27 and H2-K1 in log2 and 10x, a 95 % interval, the usual 0.05.
Use `X[3]`, $x_1 + 2$, [here](page3.md), https://example.org/1.
$$
3 y
$$
```python
x = 3
```
```{exercise} Title
:label: ex-03-x
```
The card says 338 million. <!-- facts: 338 -->
"""


@pytest.mark.parametrize("text", ["Of these, 12 donors are old.", "Some 1,172 genes.", "| 4 | cells |"])
def test_a_typed_number_is_found_between_those_that_no_run_changes(text):
    assert prose.lines_with_digits(f"{ALLOWED}{text}\n{ALLOWED}") == [text]


PROMISED = {
    "donors": Record("int", "donors", 1, 20, demo=(3, 3)),
    "share": Record("float", None, 0, 1, optional=True),
    "kind": Record("str"),
}


def found(**changes):
    values = {"donors": 3, "share": 0.5, "kind": "FB"} | changes
    units = {"donors": "donors"}
    return {name: {"value": value, "unit": units.get(name)} for name, value in values.items()}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"share": None}, None),
        ({"share": 1}, None),
        ({"share": 1.5}, "share is 1.5, above 1.0"),
        ({"donors": 0}, "donors is 0, below 1.0"),
        ({"donors": 3.0}, "donors is 3.0, promised is int"),
        ({"donors": True}, "donors is True, promised is int"),
        ({"donors": None}, "donors is None, and is not marked optional"),
        ({"donors": 4}, "donors is 4, the known answer lies between 3.0 and 3.0"),
        ({"extra": 1}, "extra is recorded but not promised in the sidecar"),
    ],
)
def test_each_broken_promise_is_said(changes, words):
    assert contract.faults(PROMISED, found(**changes), demo=True) == ([words] if words else [])


def test_a_missing_name_and_another_unit_are_said():
    one = found()
    del one["kind"]
    one["donors"]["unit"] = "cells"
    said = ["donors has the unit 'cells', promised is 'donors'", "kind is promised but not recorded"]
    assert contract.faults(PROMISED, one) == said
