"""Where the book's files are: notebooks, their sidecars, and what is built from them."""

import difflib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jupytext
import yaml
from nbformat import NotebookNode

import helpers
from helpers.budget import to_bytes
from helpers.errors import BudgetError, RunError, TableError

RECORD_TYPES = ("int", "float", "str", "bool")
PROFILES = ("test", "demo", "real", "full")


@dataclass(frozen=True)
class Record:
    """What a notebook promises to record under one name."""

    name: str
    type: str
    unit: str | None = None
    min: float | None = None
    max: float | None = None
    optional: bool = False
    demo: tuple[float, float] | None = None


@dataclass(frozen=True)
class Block:
    """Some minutes of a workshop that a chapter offers."""

    what: str
    minutes: int
    core: bool = False  # carries the lesson of the book: chosen before the others
    skip: str = ""  # what may be left out when time is short
    asked: str = ""  # what learners will ask, and the answer


@dataclass(frozen=True)
class Sidecar:
    """The plan of a notebook, from the YAML file beside it."""

    title: str
    question: str
    minutes: dict[str, int]
    memory: str
    memory_full: str
    profiles: dict[str, dict[str, Any]]
    records: dict[str, Record]
    teach: tuple[Block, ...] = ()
    needs: tuple[str, ...] = ()  # columns of cells, "counts", "donors" or keys of projections


@dataclass(frozen=True)
class Notebook:
    """One notebook: its text source, and beside it the pair without outputs and the sidecar."""

    name: str
    source: Path

    @property
    def pair(self) -> Path:
        """The ``.ipynb`` beside the text."""
        return self.source.with_suffix(".ipynb")

    @property
    def sidecar_path(self) -> Path:
        """The ``.yaml`` beside the text."""
        return self.source.with_suffix(".yaml")

    @cached_property
    def sidecar(self) -> Sidecar:
        """The plan, checked."""
        return read_sidecar(self.sidecar_path)

    def read(self) -> NotebookNode:
        """Read the cells from the text source."""
        return jupytext.read(self.source)


@dataclass(frozen=True)
class Project:
    """The folder of the book and the folder of what is built from it."""

    root: Path
    build: Path = field(default=Path())

    def __post_init__(self) -> None:
        """Build inside the root unless told otherwise."""
        if self.build == Path():
            object.__setattr__(self, "build", self.root / "_build")

    @cached_property
    def notebooks(self) -> dict[str, Notebook]:
        """The notebooks by name, in the order of the book."""
        sources = sorted((self.root / "notebooks").glob("[0-9][0-9]_*.py"))
        return {path.stem: Notebook(path.stem, path) for path in sources}

    def choose(self, wanted: list[str] | None = None) -> list[Notebook]:
        """Return the notebooks named, by name, number or path; all of them if none is named.

        Raises
        ------
        RunError
            If a name fits no notebook, or there is none at all.
        """
        if not self.notebooks:
            msg = f"there is no notebook in {self.root / 'notebooks'}. Run the command inside the book's folder."
            raise RunError(msg)
        if not wanted:
            return list(self.notebooks.values())
        chosen, faults = [], []
        for text in wanted:
            stem = Path(text).stem
            fits = [
                book for name, book in self.notebooks.items() if stem == name or name.startswith(f"{stem}_")
            ]
            if len(fits) == 1:
                chosen.append(fits[0])
            else:
                near = difflib.get_close_matches(stem, self.notebooks, n=1, cutoff=0.3)
                faults.append(f"no notebook {text!r}" + (f", did you mean {near[0]!r}?" if near else "."))
        if faults:
            msg = f"{' '.join(faults)} There are: {', '.join(self.notebooks)}."
            raise RunError(msg)
        return list(dict.fromkeys(chosen))


def read_json(path: Path) -> dict[str, Any]:
    """Return what a JSON file of ours holds; nothing where it is not there or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def tags(cell: NotebookNode) -> set[str]:
    """Return the tags of a cell."""
    return set(cell.metadata.get("tags", []))


def find_project(start: Path | None = None) -> Project:
    """Return the project around a folder, or else the one that the package is installed from."""
    here = (start or Path.cwd()).resolve()
    installed = Path(helpers.__file__).resolve().parents[2]
    for folder in (here, *here.parents, installed):
        if (folder / "_toc.yml").is_file() and (folder / "notebooks").is_dir():
            return Project(folder)
    msg = f"{here} is not inside the book: no folder above it holds _toc.yml and notebooks. Go to the clone."
    raise RunError(msg)


def read_sidecar(path: Path) -> Sidecar:
    """Read and check the plan of a notebook; all faults come in one message."""
    if not path.is_file():
        msg = f"{path.name} is missing: every notebook has a sidecar with title, question, minutes, memory."
        raise TableError(msg)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        msg = f"{path.name} holds no keys."
        raise TableError(msg)
    faults = _faults(content)
    if faults:
        msg = f"{path.name}: {'; '.join(faults)}."
        raise TableError(msg)
    return Sidecar(
        title=content["title"],
        question=content["question"],
        minutes=content["minutes"],
        memory=str(content["memory"]),
        memory_full=str(content.get("memory_full", content["memory"])),
        profiles={name: dict(values or {}) for name, values in (content.get("profiles") or {}).items()},
        records={name: _record(name, entry) for name, entry in (content.get("records") or {}).items()},
        teach=tuple(Block(**entry) for entry in content.get("teach") or ()),
        needs=tuple(content.get("needs") or ()),
    )


def _record(name: str, entry: dict[str, Any]) -> Record:
    demo = entry.get("demo")
    return Record(name, **{**entry, "demo": None if demo is None else (demo[0], demo[1])})


def _faults(content: dict[str, Any]) -> list[str]:
    known = {"title", "question", "minutes", "memory", "memory_full", "needs", "profiles", "records", "teach"}
    faults = [f"unknown key {key!r}" for key in content if key not in known]
    faults += [
        f"{key!r} is missing" for key in ("title", "question", "minutes", "memory") if key not in content
    ]
    minutes = content.get("minutes", {"reading": 0, "exercises": 0})
    if not isinstance(minutes, dict) or set(minutes) != {"reading", "exercises"}:
        faults.append("'minutes' holds 'reading' and 'exercises', and nothing else")
    elif not all(isinstance(value, int) and value >= 0 for value in minutes.values()):
        faults.append("'minutes' are whole numbers")
    for key in ("memory", "memory_full"):
        try:
            to_bytes(str(content.get(key, "1 GiB")))
        except BudgetError as error:
            faults.append(f"{key}: {error}")
    needs = content.get("needs") or []
    if not isinstance(needs, list) or not all(isinstance(one, str) and one for one in needs):
        faults.append("'needs' is a list of names, such as [DonorID, age_numeric, counts]")
    faults += [fault for entry in content.get("teach") or [] for fault in _block_faults(entry)]
    profiles = content.get("profiles") or {}
    faults += [
        f"unknown profile {name!r}, choose from {', '.join(PROFILES)}"
        for name in profiles
        if name not in PROFILES
    ]
    for name, entry in (content.get("records") or {}).items():
        faults += _record_faults(name, entry)
    return faults


def _block_faults(entry: Any) -> list[str]:
    if not isinstance(entry, dict) or not {"what", "minutes"} <= set(entry):
        return [f"'teach' is a list of blocks with 'what' and 'minutes', not {entry!r}"]
    faults = [
        f"block {entry['what']!r} has an unknown key {key!r}"
        for key in set(entry) - set(Block.__annotations__)
    ]
    if type(entry["minutes"]) is not int or entry["minutes"] < 1:
        faults.append(f"block {entry['what']!r}: minutes are a whole number, not {entry['minutes']!r}")
    return faults


def _record_faults(name: str, entry: Any) -> list[str]:
    if not isinstance(entry, dict):
        return [f"record {name!r} is not a set of keys"]
    known = {"type", "unit", "min", "max", "optional", "demo"}
    faults = [f"record {name!r} has an unknown key {key!r}" for key in entry if key not in known]
    if entry.get("type") not in RECORD_TYPES:
        faults.append(
            f"record {name!r} needs a type out of {', '.join(RECORD_TYPES)}, has {entry.get('type')!r}"
        )
    demo = entry.get("demo")
    if demo is not None and (not isinstance(demo, list) or len(demo) != 2):
        faults.append(f"record {name!r}: 'demo' is [low, high], not {demo!r}")
    return faults
