"""Which files of the package a notebook depends on: found by reading, nothing is imported."""

import ast
import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import helpers

PACKAGE = "helpers"
_CHECKED = re.compile(r"""\bcheck\(\s*["'](\d\d)\.""")


def package_folder() -> Path:
    """Return the folder of the package's sources."""
    return Path(helpers.__file__).resolve().parent


def modules_used(code: str, *, folder: Path | None = None) -> dict[str, Path]:
    """Return the package's modules that code needs, directly or not, with the data tables of their rooms.

    Imports inside functions count. The checkers of an exercise count for the notebook that names them, and for
    no other.

    Parameters
    ----------
    code
        Python source, such as all code cells of a notebook; magics are left out.
    folder
        Sources of the package.
    """
    folder = folder or package_folder()
    wanted = list(_imported(_without_magics(code), folder))
    wanted += [f"{PACKAGE}.book.checks.ch{number}" for number in _CHECKED.findall(code)]
    found: dict[str, Path] = {}
    while wanted:
        name = wanted.pop()
        path = _file_of(name, folder)
        if path is None or name in found:
            continue
        found[name] = path
        wanted += _imports_of(path, folder, path.stat().st_mtime_ns)
        wanted += [name.rsplit(".", 1)[0]] if "." in name else []
    return dict(sorted({**found, **_tables_of(found, folder)}.items()))


def hashes_of(files: dict[str, Path]) -> dict[str, str]:
    """Return a short hash of each file."""
    return {name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for name, path in files.items()}


def files_below(folder: Path) -> dict[str, Path]:
    """Return sources and tables of a room, by path below the package."""
    return {
        path.relative_to(folder.parent).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if _is_kept(path)
    }


def _tables_of(modules: dict[str, Path], folder: Path) -> dict[str, Path]:
    tables: dict[str, Path] = {}
    for room in {path.parent for path in modules.values()}:
        # the package itself is no room: its own folder "tables" would count, its rooms do not
        place = room / "tables" if room == folder else room
        for path in place.rglob("*") if place.is_dir() else ():
            if path.suffix != ".py" and _is_kept(path):
                tables[path.relative_to(folder.parent).as_posix()] = path
    return tables


def _is_kept(path: Path) -> bool:
    """Tell sources and tables from what Python, numba and editors leave beside them while the code runs."""
    return path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")


def _file_of(name: str, folder: Path) -> Path | None:
    parts = name.split(".")[1:]
    for path in (folder.joinpath(*parts, "__init__.py"), folder.joinpath(*parts).with_suffix(".py")):
        if path.is_file() and path.is_relative_to(folder):
            return path
    return None


@cache
def _imports_of(path: Path, folder: Path, changed: int) -> tuple[str, ...]:  # noqa: ARG001  part of the cache key
    return tuple(_imported(path.read_text(encoding="utf-8"), folder))


def _imported(code: str, folder: Path) -> Iterable[str]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE)
        elif (
            isinstance(node, ast.ImportFrom)
            and node.level == 0
            and (node.module or "").split(".")[0] == PACKAGE
        ):
            yield node.module
            inner = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name for name in inner if _file_of(name, folder) is not None)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and str(first.value).split(".")[0] == PACKAGE:
                yield first.value


def _without_magics(code: str) -> str:
    return re.sub(r"(?m)^(\s*)[%!?].*$", r"\1pass", code)
