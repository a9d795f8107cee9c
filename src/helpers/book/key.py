"""The key of a run: what it was made from, so that "is this page current?" is a yes or no question."""

import hashlib
import json
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbformat import NotebookNode

import helpers
from helpers import files, names
from helpers.parameters import ATLAS, OUT_DIR, Parameter, Value

if TYPE_CHECKING:
    from helpers.book.project import Project

_SIMULATED = re.compile(r"(demo|tiny|full)(:\d+)?")
_SIMULATION = ("simulate/", "facts/", "sources.py", "names.py")  # what decides what a simulated atlas holds
_CHECKS = "book/checks.py"
_NOT_IN_RUNS = re.compile(r"cli/|book/(?!checks|workshop|execute|__init__)")  # these make pages, no numbers


@dataclass(frozen=True)
class Parts:
    """What a run was made from, each part hashed on its own."""

    code: str
    helpers: dict[str, str]
    data: dict[str, str]
    lock: str
    python: str
    parameters: dict[str, Value]

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits."""
        return short(asdict(self), digits=12)


def is_word(source: str) -> bool:
    """Whether a source is a word for a simulated atlas, such as ``demo`` or ``demo:7`` for another seed."""
    return _SIMULATED.fullmatch(source) is not None


def is_simulated(atlas: str | None) -> bool:
    """Whether a source is simulated: by name, or a release folder with its planted truth."""
    return atlas is None or is_word(atlas) or (Path(atlas) / names.TRUTH_FOLDER).is_dir()


def short(value: Any, *, digits: int = 16) -> str:
    """Return the hash of a plain value.

    Examples
    --------
    >>> short({"a": 1, "b": 2}) == short({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def package_folder() -> Path:
    """Return the folder of the package's sources."""
    return Path(helpers.__file__).resolve().parent


def package_hashes(number: str = "") -> dict[str, str]:
    """Return a hash of each file of the package; with the number of a chapter, of what its runs can depend on."""
    folder, found = package_folder(), {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        foreign = number and _NOT_IN_RUNS.match(name)
        hidden = "__pycache__" in path.parts or path.name.startswith(".")
        if path.is_file() and not hidden and not foreign:
            found[name] = manifest(path)
    if number:
        found[_CHECKS] = _checkers_hash(folder / _CHECKS, number)
    return found


def _checkers_hash(path: Path, number: str) -> str:
    """Return the hash of the checkers of one chapter and what they share: those of others make none of its numbers."""
    parts = re.split(r"(?m)^(?=def )", path.read_text(encoding="utf-8"))
    return short([one for one in parts if one.startswith(f"def ch{number}_") or not one.startswith("def ch")])


def parts_of(
    notebook: NotebookNode,
    *,
    declared: Mapping[str, Parameter],
    given: Mapping[str, Value],
    project: "Project",
    number: str,
) -> Parts:
    """Return what a run of a notebook would be made from; prose is no part of it."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    effective = {name: given.get(name, one.default) for name, one in declared.items() if name != OUT_DIR}
    data = {name: found for name, value in effective.items() if (found := data_of(name, value))}
    lock = project.root / "requirements.lock"
    return Parts(
        code=short(code),
        helpers=package_hashes(number),
        data=data,
        lock=manifest(lock)[:16] if lock.is_file() else "none",
        python=platform.python_version(),
        # a folder is what it holds, not where it lies
        parameters={name: data.get(name, value) for name, value in effective.items()},
    )


def data_of(name: str, value: Value) -> str | None:
    """Return the hash of the data that a parameter names, or None where it names none."""
    if name == ATLAS and is_word(str(value)):
        made_by = {one: mark for one, mark in package_hashes().items() if one.startswith(_SIMULATION)}
        return f"{value}:{short(made_by)}"
    if not isinstance(value, str) or not value:
        return None
    path = Path(value)
    if path.is_absolute() and path.exists():
        return manifest(path)
    return f"missing:{value}" if name == ATLAS else None


def manifest(path: Path) -> str:
    """Return the hash of what a file or folder holds."""
    return files.fingerprint(path)[:16]


def differences(old: Mapping[str, Any], new: Parts) -> list[str]:
    """Say why a run made from `old` is not current any more; empty if it is.

    Parameters
    ----------
    old
        The parts as stored with a run.
    new
        The parts as they are now.
    """
    changed = {
        name: _changed(old.get(name) or {}, getattr(new, name)) for name in ("helpers", "data", "parameters")
    }
    changed["parameters"] = [name for name in changed["parameters"] if name not in new.data]
    reasons = [name for name in ("code", "lock", "python") if old.get(name) != getattr(new, name)]
    for name, which in changed.items():
        if which:
            more = f" and {len(which) - 3} more" if len(which) > 3 else ""
            reasons.append(f"{name} ({', '.join(which[:3])}{more})")
    return reasons


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
