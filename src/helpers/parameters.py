"""Parameters of a notebook: read from its parameters cell, checked before anything runs."""

import ast
import difflib
import io
import math
import re
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from helpers.budget import to_bytes
from helpers.errors import BudgetError, ParameterError

if TYPE_CHECKING:  # a second and a half that no kernel need wait for
    from nbformat import NotebookNode

Value = str | int | float | bool
TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
OUT_DIR = "out_dir"
ATLAS = "atlas"

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_RANGE = re.compile(r"\[\s*([^,\[\]]+?)\s*,\s*([^,\[\]]+?)\s*\]\s*$")
_CHOICES = re.compile(r"\{([^{}]+)\}\s*$")
# in the help of a parameter that names a file
_PLACE = re.compile(r"\b(files?|folder|CSV|Parquet|JSON|YAML|obo)\b")
_SIZE = re.compile(r"\d+(\.\d+)? ?[KMG]i?B")


@dataclass(frozen=True)
class Parameter:
    """One declared parameter: type, default, help, and what is allowed."""

    name: str
    type: str
    default: Value
    help: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """What is allowed, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        limits = "" if self.low is None else f" from {self.low:g} to {self.high:g}"
        return "true or false" if self.type == "bool" else self.type + limits

    def fault(self, value: Any) -> str | None:
        """Say what is wrong with a typed value, or None."""
        wanted = TYPES[self.type]
        fits = type(value) is wanted or (wanted is float and type(value) is int)
        fits = fits and (self.type == "str" or math.isfinite(value))
        fits = fits and (self.low is None or self.low <= value <= self.high)
        fits = fits and (not self.choices or str(value) in self.choices)
        if not fits:
            return f"{self.name} = {value!r} is not allowed: {self.allowed}{_hint(str(value), self.choices)}"
        if self.type == "str" and _SIZE.fullmatch(str(self.default)):
            try:
                to_bytes(value)
            except BudgetError as error:
                return f"{self.name}: {error}".removesuffix(".")
        # what an atlas may be is said where it is opened
        asked = self.names_a_file(value) and self.name != ATLAS and "a key of" not in self.help
        there = not asked or Path(value).expanduser().exists()
        return None if there else f"{self.name} = {value!r}: there is no such file"

    def names_a_file(self, value: Any) -> bool:
        """Whether a value names a file or a folder: the help says that it may, and does not name it as a word."""
        free = self.type == "str" and not self.choices and self.name != OUT_DIR
        words = {"", self.default, *re.findall(r"\w+", self.help.split(";")[0])}
        return free and isinstance(value, str) and value not in words and bool(_PLACE.search(self.help))

    def coerce(self, value: Any) -> Any:
        """Bring a value to the declared type where nothing is lost: a command line gives texts, papermill guesses, YAML too."""
        if self.type == "str":
            return str(value) if type(value) in (int, float) else value
        if isinstance(value, str) and self.type == "bool":
            return _TRUTH.get(value.strip().lower(), value)
        if isinstance(value, str):
            with suppress(ValueError):
                return TYPES[self.type](value)
        whole = self.type == "int" and isinstance(value, float) and value.is_integer()
        return int(value) if whole else value


def read_parameters(notebook: "NotebookNode", *, name: str = "notebook") -> dict[str, Parameter]:
    """Return what the cell tagged ``parameters`` declares: ``name: type = default  # help [low, high]`` or ``{a, b}``."""
    cells = [cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) > 1:
        msg = f"{name} has {len(cells)} cells tagged 'parameters'; one is allowed."
        raise ParameterError(msg)
    return declare("".join(cells), name=name)


def declare(source: str, *, name: str = "notebook") -> dict[str, Parameter]:
    """Return the parameters that the text of a parameters cell declares; see `read_parameters`."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
    declared, faults = {}, []
    for line in ast.parse(source).body:
        one = _declare(line, comments.get(line.end_lineno, "").lstrip("# ").strip())
        if isinstance(one, str):
            faults.append(f"line {line.lineno}: {one}")
        else:
            declared[one.name] = one
    if faults:
        msg = f"parameters cell of {name}: {'; '.join(faults)}."
        raise ParameterError(msg)
    return declared


def _declare(line: ast.stmt, comment: str) -> Parameter | str:
    """Return the parameter that a line declares, or what is wrong with the line."""
    if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name):
        return "a parameter reads 'name: type = value  # help'"
    name, kind = line.target.id, ast.unparse(line.annotation)
    if kind not in TYPES:
        return f"{name} has the type {kind}, allowed are {', '.join(TYPES)}"
    if line.value is None:
        return f"{name} has no default"
    low = high = match = None
    choices: tuple[str, ...] = ()
    try:
        default = ast.literal_eval(line.value)
        if match := _RANGE.search(comment):
            low, high = float(match[1].replace("_", "")), float(match[2].replace("_", ""))
    except ValueError as error:
        return str(error) if match else f"the default of {name} is computed; write the value"
    if match is None and (match := _CHOICES.search(comment)):
        choices = tuple(part.strip().strip("\"'") for part in match[1].split(","))
    words = comment[: match.start()].strip() if match else comment
    one = Parameter(name, kind, default, words, low, high, choices)
    fault = one.fault(default)
    return f"the default {fault}" if fault else one if words else f"{name} has no comment"


def from_history(cells: Sequence[str]) -> tuple[dict[str, Parameter], list[str]]:
    """Find, among the cells that a kernel has run, what is declared and what was given."""
    places = [place for place, cell in enumerate(cells) if re.search(rf"(?m)^{OUT_DIR}: str =", cell)]
    if not places:
        return {}, []
    given = []
    for cell in cells[places[-1] + 1 :]:
        if cell.startswith("# Parameters\n"):  # as papermill writes it
            statements = ast.parse(cell).body
            given += [node.targets[0].id for node in statements if isinstance(node, ast.Assign)]
    return declare(cells[places[-1]]), given


def check(
    declared: Mapping[str, Parameter], given: Mapping[str, Any], *, name: str = "notebook"
) -> dict[str, Value]:
    """Return the given values by the declared types, after checking every one: all faults at once, before anything runs."""
    faults, values = [], {}
    for key, value in given.items():
        if key not in declared:
            faults.append(f"unknown parameter {key!r}{_hint(key, declared)}")
            continue
        values[key] = declared[key].coerce(value)
        if fault := declared[key].fault(values[key]):
            faults.append(fault)
    if faults:
        there = "\n".join(f"  {p.name}: {p.allowed}. {p.help}" for p in declared.values())
        listed = "\n".join(f"- {fault}" for fault in faults)
        msg = f"{name} cannot run:\n{listed}\nIts parameters are\n{there}"
        raise ParameterError(msg)
    return {key: float(value) if declared[key].type == "float" else value for key, value in values.items()}


def _hint(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f", did you mean {near[0]!r}?" if near else ""


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds; aliases are refused: nine in a row, each naming the last nine times, make a billion."""
    text = path.read_text(encoding="utf-8")
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader) if "*" in text else ():
            if isinstance(event, yaml.AliasEvent):
                line = event.start_mark.line + 1
                msg = f"line {line} uses an alias (*{event.anchor}), which is not read here"
                raise yaml.YAMLError(msg)
        return yaml.safe_load(text)
    except RecursionError:
        msg = "its values are nested too deeply"
        raise yaml.YAMLError(msg) from None


def require_known(name: str, value: str, known: Iterable[str]) -> None:
    """Refuse a value of a parameter that the data do not hold, with the nearest that they do; empty passes."""
    known = [str(one) for one in known]
    if value and value not in known:
        near = difflib.get_close_matches(value, known, n=3, cutoff=0.4) or sorted(known)[:8]
        msg = f"{name} = {value!r} is not in these data. Near are: {', '.join(near) or 'none'}."
        raise ParameterError(msg)


def parse_options(options: Iterable[str], *, files: Iterable[Path] = ()) -> dict[str, Any]:
    """Return the values of YAML files of parameters and of ``name=value`` texts, which go before them, by name."""
    values, faults = {}, []
    for path in files:
        try:
            values |= {str(key): value for key, value in read_yaml(Path(path)).items()}
        except AttributeError:
            faults.append(f"{path} does not hold lines of 'name: value'")
        except (OSError, ValueError, yaml.YAMLError) as error:
            faults.append(f"{path}: {error}")
    for option in options:
        key, equals, value = option.partition("=")
        values[key.strip()] = value
        if not equals:
            faults.append(f"{option!r} is not of the form name=value")
    if faults:
        raise ParameterError("; ".join(faults) + ".")
    return values


def place(declared: Mapping[str, Parameter], values: Mapping[str, Any], *, folder: Path) -> dict[str, Any]:
    """Make the names of files among values absolute, seen from the folder where the command was given."""
    placed = dict(values)
    for key, value in values.items():
        if key in declared and declared[key].names_a_file(value):
            path = (folder / Path(value).expanduser()).resolve()
            placed[key] = str(path) if path.exists() else value
    return placed
