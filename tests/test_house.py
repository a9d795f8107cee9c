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
    "nbformat": ("parameters.py", "book/"),
    "huggingface_hub": "atlas/download.py",
    "typer": "cli/",
    "numba": "kernels.py",
}


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@functools.cache
def imports_of(path: Path) -> frozenset[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    taken = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return frozenset(plain | {f"{node.module}.{alias.name}" for node in taken for alias in node.names})


def faults(path: Path, imports: frozenset[str] | set[str]) -> list[str]:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    here, up = room_of(path), []
    for name in sorted(one for one in imports if one.startswith("helpers.")):
        there = name.split(".")[1]
        # a floor of plain leaves: errors and names may serve files and facts beside them
        leaf = there in {"names", "errors", "files", "budget"} and floor[there] <= floor[here]
        if there != here and floor[there] >= floor[here] and not leaf:
            up.append(name)
    return up


def test_imports_point_down_and_one_that_points_up_is_caught():
    inside = [path for path in MODULES if path != SOURCE / "__init__.py"]
    assert [one for path in inside for one in faults(path, imports_of(path))] == []
    assert faults(SOURCE / "atlas" / "cost.py", {"helpers.simulate.release"}) == ["helpers.simulate.release"]


@pytest.mark.parametrize("package", HOMES)
def test_a_third_party_package_has_one_home(package):
    users = [path for path in MODULES if package in {name.split(".")[0] for name in imports_of(path)}]
    where = [path.relative_to(SOURCE).as_posix() for path in users]
    assert [one for one in where if not one.startswith(HOMES[package])] == []


def test_a_room_opens_with_a_docstring_and_nothing_else():
    for path in SOURCE.glob("*/**/__init__.py"):  # the package itself makes up for a missing home first
        assert [type(one) for one in ast.parse(path.read_text(encoding="utf-8")).body] == [ast.Expr], path


def public_functions(path: Path) -> list[ast.FunctionDef]:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return [one for one in body if isinstance(one, ast.FunctionDef) and not one.name.startswith("_")]


def documented(node: ast.FunctionDef) -> list[str]:
    text = inspect.cleandoc(ast.get_docstring(node) or "")
    block = re.search(r"(?ms)^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", text)
    heads = re.findall(r"(?m)^(\w[^:\n]*)", block[1]) if block else []
    return [name.strip() for head in heads for name in head.split(",")]


def test_documented_parameters_are_those_of_the_signature_in_its_order():
    for path in MODULES:
        for node in public_functions(path) if room_of(path) != "cli" else ():
            given = [one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)]
            listed = documented(node)
            assert sorted(listed, key=lambda name: given.index(name)) == listed, f"{path.name}:{node.name}"


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
    "src/helpers": 13_866,
    "src/helpers/atlas": 3_401,
    "src/helpers/book": 2_160,
    "src/helpers/cli": 708,
    "src/helpers/facts": 162,
    "src/helpers/scprint": 1_301,
    "src/helpers/sentences": 2_022,
    "src/helpers/simulate": 1_223,
    "src/helpers/stats": 1_123,
    "tests": 9_144,
    "notebooks": 6_557,
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
