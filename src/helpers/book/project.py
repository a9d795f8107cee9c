"""Where the book's files are: notebooks, their sidecars, and what is built from them."""

import difflib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import jupytext
import yaml
from nbformat import NotebookNode
from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

import helpers
from helpers.budget import to_bytes
from helpers.errors import BudgetError, MusclebookError, RunError, TableError
from helpers.parameters import read_yaml

SWEEP_PAGE = "page.txt"  # what a sweep found, as Markdown
PROFILES = ("test", "demo", "real", "full")
Kind = TypeVar("Kind")
# made from YAML, every field looked at
checked = pydantic_dataclass(frozen=True, config={"extra": "forbid"})


def _size(text: str) -> str:
    try:
        to_bytes(text)
    except BudgetError as error:
        raise ValueError(str(error)) from None
    return text


Size = Annotated[str, AfterValidator(_size)]


@checked
class Record:
    """What a notebook promises to record under one name."""

    type: Literal["int", "float", "str", "bool"]
    unit: str | None = None
    min: float | None = None
    max: float | None = None
    optional: bool = False
    demo: tuple[float, float] | tuple[str, str] | None = None


@checked
class Block:
    """Some minutes of a workshop that a chapter offers."""

    what: str
    minutes: PositiveInt
    core: bool = False  # carries the lesson of the book: chosen before the others
    skip: str = ""  # what may be left out when time is short
    asked: str = ""  # what learners will ask, and the answer


@checked
class Sidecar:
    """The plan of a notebook, from the YAML file beside it."""

    title: str
    question: str
    minutes: Annotated[dict[Literal["reading", "exercises"], NonNegativeInt], Field(min_length=2)]
    memory: Size
    memory_full: Size | None = None  # as for the default atlas if not given
    profiles: dict[Literal[PROFILES], dict[str, Any]] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
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

    @cached_property
    def sidecar(self) -> Sidecar:
        """The plan, checked."""
        path = self.source.with_suffix(".yaml")
        if not path.is_file():
            msg = f"{path.name} is missing: a notebook has a sidecar with title, question, minutes, memory."
            raise TableError(msg)
        return read_as(Sidecar, path, TableError)

    def read(self) -> NotebookNode:
        """Read the cells from the text source."""
        return jupytext.read(self.source)


class Project:
    """The folder of the book and the folder of what is built from it, `_build` in the root if not given."""

    def __init__(self, root: Path, build: Path | None = None) -> None:
        self.root, self.build = root, build or root / "_build"

    @cached_property
    def notebooks(self) -> dict[str, Notebook]:
        """The notebooks by name, in the order of the book."""
        sources = sorted((self.root / "notebooks").glob("[0-9][0-9]_*.py"))
        return {path.stem: Notebook(path.stem, path) for path in sources}

    def choose(self, wanted: list[str] | None = None) -> list[Notebook]:
        """Return the notebooks named, by name, number or path; all of them if none is named."""
        if not self.notebooks:
            msg = f"there is no notebook in {self.root / 'notebooks'}. Run the command inside the book's folder."
            raise RunError(msg)
        chosen, faults = [], []
        for text in wanted or self.notebooks:
            stem = Path(text).stem
            fits = [name for name in self.notebooks if stem == name or name.startswith(f"{stem}_")]
            if len(fits) == 1:
                chosen.append(self.notebooks[fits[0]])
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


def read_as(kind: type[Kind], path: Path, error: type[MusclebookError], **more: Any) -> Kind:
    """Read a YAML file into a dataclass; all faults come in one message."""
    try:
        content = read_yaml(path)
        return TypeAdapter(kind).validate_python(content | more if isinstance(content, dict) else content)
    except ValidationError as found:
        faults = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found.errors())
        msg = f"{path.name}: {faults}."
    except yaml.YAMLError as found:
        msg = f"{path.name} is not YAML: {found}"
    raise error(msg)
