"""The key of a run: what it was made from, so that "is this page current?" is a yes or no question."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from helpers import files
from helpers.book import graph
from helpers.parameters import ATLAS, OUT_DIR, Parameter, Value

_SIMULATED = re.compile(r"(demo|tiny|full)(:\d+)?")
_SIMULATION = ("simulate", "facts")  # rooms that decide what a simulated atlas holds


@dataclass(frozen=True)
class Parts:
    """What a run was made from, each part hashed on its own."""

    code: str
    helpers: dict[str, str]
    data: dict[str, str]
    lock: str
    parameters: dict[str, Value]

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits."""
        return short(asdict(self), digits=12)


def is_word(source: str) -> bool:
    """Whether a source is a word for a simulated atlas, such as ``demo`` or ``demo:7`` for another seed."""
    return _SIMULATED.fullmatch(source) is not None


def short(value: Any, *, digits: int = 16) -> str:
    """Return the hash of a plain value.

    Examples
    --------
    >>> short({"a": 1, "b": 2}) == short({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def code_of(notebook: NotebookNode) -> list[str]:
    """Return the sources of the code cells; prose can change without a new run."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def parts_of(
    notebook: NotebookNode, *, declared: dict[str, Parameter], given: dict[str, Value], lock: Path
) -> Parts:
    """Return what a run of a notebook would be made from.

    Parameters
    ----------
    notebook
        Its cells.
    declared
        Its parameters.
    given
        Values that differ from the defaults, checked.
    lock
        The lock file of the environment.
    """
    code = code_of(notebook)
    effective = {name: given.get(name, parameter.default) for name, parameter in declared.items()}
    effective.pop(OUT_DIR, None)
    data = {name: found for name, value in effective.items() if (found := data_of(name, value))}
    return Parts(
        code=short(code),
        helpers=graph.hashes_of(graph.modules_used("\n".join(code))),
        data=data,
        lock=files.digest(lock)[:16] if lock.is_file() else "none",
        # a folder is what it holds, not where it lies
        parameters={
            name: data.get(name, value) if name != ATLAS else data[name] for name, value in effective.items()
        },
    )


def data_of(name: str, value: Value) -> str | None:
    """Return the hash of the data that a parameter names, or None where it names none."""
    if name == ATLAS and is_word(str(value)):
        room = graph.package_folder()
        sources = (
            {**graph.hashes_of({"sources.py": room / "sources.py"})}
            if (room / "sources.py").is_file()
            else {}
        )
        for part in _SIMULATION:
            sources |= graph.hashes_of(graph.files_below(room / part))
        return f"{value}:{short(sources)}"
    if not isinstance(value, str) or not value:
        return None
    path = Path(value)
    if path.is_absolute() and path.exists():
        return manifest(path)
    return f"missing:{value}" if name == ATLAS else None


def manifest(path: Path) -> str:
    """Return the hash of what a file or folder holds."""
    return files.fingerprint(path)[:16]


def differences(old: dict[str, Any], new: Parts) -> list[str]:
    """Say why a run made from `old` is not current any more; empty if it is.

    Parameters
    ----------
    old
        The parts as stored with a run.
    new
        The parts as they are now.
    """
    reasons = []
    if old.get("code") != new.code:
        reasons.append("code")
    changed = _changed(old.get("helpers", {}), new.helpers)
    if changed:
        reasons.append(f"helpers ({', '.join(changed)})")
    if old.get("data") != new.data:
        reasons.append(f"data ({', '.join(_changed(old.get('data', {}), new.data))})")
    if old.get("lock") != new.lock:
        reasons.append("lock")
    parameters = [
        name for name in _changed(old.get("parameters", {}), new.parameters) if name not in new.data
    ]
    if parameters:
        reasons.append(f"parameters ({', '.join(parameters)})")
    return reasons


def _changed(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
