"""The key of a run: what it was made from, so that "is this page current?" is a yes or no question."""

import json
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helpers
from helpers import files, names
from helpers.parameters import ATLAS, Value

Parts = dict[str, Any]  # what a run was made from, each part hashed on its own
_SIMULATED = re.compile(r"(demo|tiny|full)(:\d+)?")
_NOT_IN_RUNS = re.compile(r"cli/|book/(?!checks|workshop|execute|__init__)")  # these make pages, no numbers
PACKAGE = Path(helpers.__file__).resolve().parent


def is_word(source: str) -> bool:
    """Whether a source is a word for a simulated atlas, such as ``demo`` or ``demo:7`` for another seed."""
    return _SIMULATED.fullmatch(source) is not None


def is_simulated(atlas: str | None) -> bool:
    """Whether a source is simulated: by name, or a release folder with its planted truth."""
    return atlas is None or is_word(atlas) or (Path(atlas) / names.TRUTH_FOLDER).is_dir()


def short(value: Any, *, digits: int = 16) -> str:
    """Return the hash of a plain value, whatever the order of its keys."""
    return files.digest_text(json.dumps(value, sort_keys=True, default=str))[:digits]


def lock_hash(root: Path) -> str:
    """Return the hash of the locked environment."""
    lock = root / "requirements.lock"
    return files.fingerprint(lock)[:16] if lock.is_file() else "none"


def package_hashes(number: str = "") -> dict[str, str]:
    """Return a hash of each file of the package; with the number of a chapter, of what its runs can depend on."""
    found = {}
    for path in sorted(PACKAGE.rglob("*")):
        name = path.relative_to(PACKAGE).as_posix()
        foreign = re.search(r"__pycache__|(^|/)\.[^/]*$", name) or (number and _NOT_IN_RUNS.match(name))
        if path.is_file() and not foreign:
            found[name] = files.fingerprint(path)[:16]
    if number:  # the checkers of other chapters make none of its numbers
        for name, own in (("book/workshop.py", f"def ch{number}_"), ("book/checks.yaml", f"{number}.")):
            parts = re.split(r"(?m)^(?=def |\d\d\.)", (PACKAGE / name).read_text(encoding="utf-8"))
            foreign = re.compile(rf"(?!{own})(def ch)?\d\d")
            found[name] = short([one for one in parts if not foreign.match(one)])
    return found


def parts_of(code: list[str], values: Mapping[str, Value], *, root: Path, number: str) -> Parts:
    """Return what a run of code cells with these values of parameters would be made from; prose is no part of it."""
    data = {name: found for name, value in values.items() if (found := data_of(name, value))}
    return {
        "code": short([source for source in code if source.strip()]),
        "helpers": package_hashes(number),
        "data": data,
        "lock": lock_hash(root),
        "python": platform.python_version(),
        "parameters": {**values, **data},  # a folder is what it holds, not where it lies
    }


def data_of(name: str, value: Value) -> str | None:
    """Return the hash of the data that a parameter names, or None where it names none."""
    if name == ATLAS and is_word(str(value)):
        from helpers import sources

        return f"{value}:{sources.simulation_key()}"
    path = Path(str(value))
    if path.is_absolute() and path.exists():
        return files.fingerprint(path)[:16]
    return f"missing:{value}" if name == ATLAS and value else None


def differences(old: Parts, new: Parts) -> list[str]:
    """Say why a run made from the parts `old`, as stored with it, is not current any more; empty if it is."""
    reasons = [name for name in ("code", "lock", "python") if old.get(name) != new[name]]
    for name in ("helpers", "data", "parameters"):
        before, now = old.get(name) or {}, new[name]
        known = new["data"] if name == "parameters" else {}  # data are named once
        every = sorted((before.keys() | now.keys()) - known.keys())
        changed = [one for one in every if before.get(one) != now.get(one)]
        if changed:
            more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
            reasons.append(f"{name} ({', '.join(changed[:3])}{more})")
    return reasons
