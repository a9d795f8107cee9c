"""The house rules that a machine can check: who imports whom, what docstrings document, one locked environment."""

import ast
import functools
import inspect
import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "helpers"
MODULES = sorted(SOURCE.rglob("*.py"))

# An import points down. A floor may import any floor above it in this list, and its own room.
FLOORS = [
    {"names", "errors", "facts"},
    {"files", "kernels", "budget", "ages", "parameters", "style", "cluster"},
    {"atlas", "simulate"},
    {"stats"},
    {"sources", "sentences", "scprint"},
    {"findings"},
    {"book"},
    {"cli"},
]
# One third-party package, one home.
HOMES = {
    "papermill": "book/",
    "jupytext": "book/",
    "nbformat": {"parameters.py", "book/"},
    "huggingface_hub": {"atlas/download.py"},
    "typer": "cli/",
    "numba": {"kernels.py"},
}


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@functools.cache
def imports_of(path: Path) -> frozenset[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def faults(path: Path, imports: frozenset[str] | set[str]) -> list[str]:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    here = room_of(path)
    return [
        name
        for name in sorted(imports)
        if name.startswith("helpers.")
        and (there := name.split(".")[1]) != here
        and floor[there] >= floor[here]
        # a floor of plain leaves: errors and names may serve files and facts beside them
        and not (there in {"names", "errors", "files", "budget"} and floor[there] <= floor[here])
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path):
    if path == SOURCE / "__init__.py":
        return
    assert faults(path, imports_of(path)) == []


def test_an_import_that_points_up_is_caught():
    assert faults(SOURCE / "atlas" / "cost.py", {"helpers.simulate.release"}) == ["helpers.simulate.release"]
    assert faults(SOURCE / "stats" / "cost.py", {"helpers.book.run"}) == ["helpers.book.run"]


@pytest.mark.parametrize("package", HOMES)
def test_a_third_party_package_has_one_home(package):
    home = HOMES[package]
    for path in MODULES:
        if any(name.split(".")[0] == package for name in imports_of(path)):
            where = path.relative_to(SOURCE).as_posix()
            rooms = home if isinstance(home, set) else {home}
            assert any(where.startswith(room) for room in rooms), where


def test_a_room_opens_with_a_docstring_and_nothing_else():
    for path in SOURCE.glob("*/**/__init__.py"):  # the package itself makes up for a missing home first
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert len(body) == 1, path
        assert isinstance(body[0], ast.Expr), path


def public_functions(path: Path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def documented(node: ast.FunctionDef) -> list[str]:
    text = inspect.cleandoc(ast.get_docstring(node) or "")
    block = re.search(r"(?ms)^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", text)
    if not block:
        return []
    return [
        name.strip()
        for line in block[1].splitlines()
        if re.match(r"^\w", line)
        for name in line.split(":")[0].split(",")
    ]


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if room_of(path) != "cli"],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_documented_parameters_are_those_of_the_signature(path):
    for node in public_functions(path):
        listed = documented(node)
        if listed:
            arguments = node.args
            extra = [a for a in (arguments.vararg, arguments.kwarg) if a]
            every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra)
            names = [a.arg for a in every]
            assert [name for name in listed if name not in names] == [], f"{path.name}:{node.name}"
            assert listed == [name for name in names if name in listed], f"{path.name}:{node.name} order"


def test_environment_project_and_lock_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    shell = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = {name.lower() for name in re.findall(r"(?m)^([A-Za-z0-9._-]+)==", lock)}
    extras = [line for group in project["optional-dependencies"].values() for line in group]
    wanted = {re.split(r"[<>=!\[ ]", line)[0].lower() for line in (*project["dependencies"], *extras)}
    assert wanted - locked == set()
    assert {"pip": ["-r requirements.lock"]} in shell["dependencies"]
    assert "-r requirements.lock" not in (ROOT / "postBuild").read_text(encoding="utf-8")
    python = next(line for line in shell["dependencies"] if str(line).startswith("python")).split("=")[1]
    assert python in SpecifierSet(project["requires-python"])
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert f"python:{python}-" in container["image"]
    assert container["postCreateCommand"] == "make env"


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_pin_what_they_use_run_what_readme_says_and_may_do_little(path):
    text, flow = path.read_text(encoding="utf-8"), yaml.safe_load(path.read_text(encoding="utf-8"))
    assert flow["permissions"] == {}
    used = re.findall(r"uses: (\S+)", text)
    assert [one for one in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", one)] == []
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")
    for name, job in flow["jobs"].items():
        assert job["permissions"] == (
            {"contents": "read"} if name != "deploy" else {"pages": "write", "id-token": "write"}
        )
        assert name == "deploy" or any(step.get("run") == ".ci/run" for step in job["steps"])


def test_the_lock_is_hashed_and_names_no_index():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"https?:|--index|--find-links|--extra", lock)
    entries = re.split(r"(?m)^(?=[A-Za-z0-9._-]+==)", lock)[1:]
    assert len(entries) > 100
    assert [entry.split("\n")[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert not re.search(r"(?m)^(torch|nvidia)", lock)


# Lines of a room, docstrings included, and of the tests and notebooks. They may only fall.
BUDGETS = {
    "src/helpers": 14_372,
    "src/helpers/atlas": 3_513,
    "src/helpers/book": 2_353,
    "src/helpers/cli": 744,
    "src/helpers/facts": 196,
    "src/helpers/scprint": 1_301,
    "src/helpers/sentences": 2_115,
    "src/helpers/simulate": 1_280,
    "src/helpers/stats": 1_112,
    "tests": 11_045,
    "notebooks": 7_462,
}


@pytest.mark.parametrize("room", BUDGETS)
def test_a_room_keeps_to_its_budget_of_lines(room):
    files = [path for path in (ROOT / room).rglob("*.py") if "results" not in path.parts]
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) <= BUDGETS[room]


def test_functions_that_serve_one_chapter_only_get_fewer():
    """A function that one chapter calls, and nothing else, belongs into its cells unless the field has nothing like it."""
    words = {path: set(re.findall(r"\w+", path.read_text(encoding="utf-8"))) for path in MODULES}
    chapters = [
        set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
        for path in (ROOT / "notebooks").glob("*.py")
    ]
    lonely = []
    for path in MODULES:
        if room_of(path) in {"cli", "book"}:
            continue
        for node in public_functions(path):
            elsewhere = any(node.name in said for other, said in words.items() if other != path)
            if sum(node.name in said for said in chapters) == 1 and not elsewhere:
                lonely.append(node.name)
    assert len(lonely) <= 25, lonely
