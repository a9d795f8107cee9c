"""The key of a run: what it was made from, so that "is this page current?" is a yes or no question."""

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
    """Return the hash of a plain value, whatever the order of its keys."""
    return files.digest_text(json.dumps(value, sort_keys=True, default=str))[:digits]


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
            found[name] = files.fingerprint(path)[:16]
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
        lock=files.fingerprint(lock)[:16] if lock.is_file() else "none",
        python=platform.python_version(),
        # a folder is what it holds, not where it lies
        parameters={name: data.get(name, value) for name, value in effective.items()},
    )


def data_of(name: str, value: Value) -> str | None:
    """Return the hash of the data that a parameter names, or None where it names none."""
    if name == ATLAS and is_word(str(value)):
        made_by = {one: mark for one, mark in package_hashes().items() if one.startswith(_SIMULATION)}
        return f"{value}:{short(made_by)}"
    path = Path(str(value))
    if path.is_absolute() and path.exists():
        return files.fingerprint(path)[:16]
    return f"missing:{value}" if name == ATLAS and value else None


def differences(old: Mapping[str, Any], new: Parts) -> list[str]:
    """Say why a run made from the parts `old`, as stored with it, is not current any more; empty if it is."""
    reasons = [name for name in ("code", "lock", "python") if old.get(name) != getattr(new, name)]
    for name in ("helpers", "data", "parameters"):
        before, now = old.get(name) or {}, getattr(new, name)
        changed = sorted(one for one in before.keys() | now.keys() if before.get(one) != now.get(one))
        if name == "parameters":
            changed = [one for one in changed if one not in new.data]
        if changed:
            more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
            reasons.append(f"{name} ({', '.join(changed[:3])}{more})")
    return reasons
