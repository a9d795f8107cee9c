"""What a notebook promises to record, held against what a run of it recorded."""

import ast
import contextlib
import string
from collections.abc import Mapping
from typing import Any

from nbformat import NotebookNode

from helpers.book.project import Record

_KINDS: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "str": (str,), "bool": (bool,)}


def faults(
    records: Mapping[str, Record], findings: Mapping[str, Mapping[str, Any]], *, demo: bool = False
) -> list[str]:
    """Say how a run breaks its promise: names, types, units, ranges, and on the default atlas the known answers."""
    said = {name: "is recorded but not promised in the sidecar" for name in findings if name not in records}
    for name, record in records.items():
        if name not in findings:
            said[name] = "is promised but not recorded"
        elif words := _fault(record, findings[name], demo=demo):
            said[name] = words
    return [f"{name} {words}" for name, words in said.items()]


def recorded_names(notebook: NotebookNode) -> set[str]:
    """Return the names that code cells pass to ``record``, or to ``say`` as keywords."""
    recorded = [call.args[:1] for call in _calls(notebook, "record")]
    names = {arg.value for args in recorded for arg in args if isinstance(arg, ast.Constant)}
    return names | {word.arg for call in _calls(notebook, "say") for word in call.keywords if word.arg}


def said_names(notebook: NotebookNode) -> set[str]:
    """Return the names that the sentences of cells that call ``say`` show."""
    names = set()
    for part in _nodes(notebook, said=".say("):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            # a sentence may be chosen before it is said; a text that is no sentence may hold odd braces
            with contextlib.suppress(ValueError):
                fields = [field for _, field, _, _ in string.Formatter().parse(part.value) if field]
                names |= {field.partition(".")[0] for field in fields}
    return names


def _fault(record: Record, finding: Mapping[str, Any], *, demo: bool) -> str | None:
    value, unit = finding.get("value"), finding.get("unit")
    if value is None:
        return None if record.optional else "is None, and is not marked optional"
    if not isinstance(value, _KINDS[record.type]) or (isinstance(value, bool) and record.type != "bool"):
        return f"is {value!r}, promised is {record.type}"
    if unit != record.unit:
        return f"has the unit {unit!r}, promised is {record.unit!r}"
    if record.min is not None and value < record.min:
        return f"is {value!r}, below {record.min}"
    if record.max is not None and value > record.max:
        return f"is {value!r}, above {record.max}"
    if demo and record.demo is not None and not record.demo[0] <= value <= record.demo[1]:
        return f"is {value!r}, the known answer lies between {record.demo[0]} and {record.demo[1]}"
    return None


def _calls(notebook: NotebookNode, name: str) -> list[ast.Call]:
    calls = [one for one in _nodes(notebook) if isinstance(one, ast.Call)]
    return [one for one in calls if isinstance(one.func, ast.Attribute) and one.func.attr == name]


def _nodes(notebook: NotebookNode, said: str = "") -> list[ast.AST]:
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code" and said in cell.source]
    return [node for source in sources for node in ast.walk(ast.parse(source))]
