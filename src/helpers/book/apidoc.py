"""The page of the package's functions, written from their docstrings without importing them."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docutils.core
import docutils.utils
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, NumpyDocstring

from helpers.book.graph import PACKAGE, package_folder

_ROOM = re.compile(r"^\.\. room:: (\S+)$", re.MULTILINE)
_STYLE = Config(napoleon_use_param=True, napoleon_use_rtype=False, napoleon_use_ivar=True)

Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def write_rooms(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace each line ``.. room:: NAME`` of a page by the public modules of that room."""
    del app
    if docname.rsplit("/", 1)[-1] == "api":
        source[0] = _ROOM.sub(lambda match: room(match[1]), source[0])


def room(name: str) -> str:
    """Return the public functions and classes of a room as reStructuredText.

    Parameters
    ----------
    name
        Folder below the package, or ``.`` for the modules that lie in the package itself.
    """
    folder = package_folder() if name == "." else package_folder() / name
    paths = [path for path in sorted(folder.glob("*.py")) if not path.stem.startswith("_")]
    # one look at all docstrings of a room; only if that fails, each by itself
    together = "\n\n".join(text for path in paths for text in docstrings(path).values())
    check = plain if faults_of(together) is None else plain_or_literal
    return "\n".join(_module(path, check) for path in paths)


def plain(text: str) -> str:
    """Return a docstring as it is."""
    return text


def plain_or_literal(text: str) -> str:
    """Return a docstring as it is if it is sound reStructuredText, else as literal text."""
    return text if faults_of(text) is None else "::\n\n" + _indent(text)


def faults_of(text: str) -> str | None:
    """Say what is wrong with a text as reStructuredText, or None."""
    settings = {"report_level": 5, "halt_level": 2, "warning_stream": False, "file_insertion_enabled": False}
    try:
        docutils.core.publish_doctree(text, settings_overrides=settings)
    except docutils.utils.SystemMessage as message:
        return str(message)
    return None


def docstrings(path: Path) -> dict[str, str]:
    """Return the docstrings of a module, its public functions, classes and methods, ready to be shown."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    label = _dotted(path).replace(".", "-")
    found = {"": _converted(ast.get_docstring(tree) or "", label)}
    for node, inside in _public(tree):
        if text := ast.get_docstring(node):
            found[f"{inside}{node.name}"] = _converted(text, f"{label}-{inside}{node.name}")
    return found


def _dotted(path: Path) -> str:
    relative = path.relative_to(package_folder()).with_suffix("")
    return ".".join((PACKAGE, *relative.parts))


def _module(path: Path, check: Callable[[str], str]) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    name = _dotted(path)
    label = name.replace(".", "-")
    public = [node for node in tree.body if isinstance(node, Named) and not node.name.startswith("_")]
    if not public:
        return ""
    lines = [name, "^" * len(name), "", f".. py:module:: {name}", ""]
    lines += [check(_converted(ast.get_docstring(tree) or "", label)), ""]
    lines += [_entry(node, label, check) for node in public]
    return "\n".join(lines)


def _entry(node: Named, stem: str, check: Callable[[str], str], inside: str = "") -> str:
    text = check(_converted(ast.get_docstring(node) or "", f"{stem}-{inside}{node.name}"))
    if isinstance(node, ast.ClassDef):
        # several modules have a class of one name, between which a signature could not choose
        head = f".. py:class:: {node.name}\n   :no-index:"
        methods = [one for one, _ in _methods(node)]
        text += "\n\n" + "\n".join(_entry(method, stem, check, f"{node.name}.") for method in methods)
    elif any(
        ast.unparse(mark).split(".")[-1] in {"property", "cached_property"} for mark in node.decorator_list
    ):
        head = f".. py:property:: {node.name}"
    else:
        kind = "method" if inside else "function"
        head = f".. py:{kind}:: {node.name}({_arguments(node, is_method=bool(inside))}){_returns(node)}"
    return f"{head}\n\n{_indent(text)}\n"


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef, *, is_method: bool) -> str:
    arguments = ast.parse(ast.unparse(node)).body[0].args  # type: ignore[attr-defined]  a copy to shorten
    for defaults in (arguments.defaults, arguments.kw_defaults):
        defaults[:] = [one if one is None or _is_short(one) else ast.Constant(...) for one in defaults]
    text = ast.unparse(arguments)
    return re.sub(r"^(self|cls)(, )?", "", text) if is_method else text


def _is_short(default: ast.expr) -> bool:
    text = ast.unparse(default)
    return len(text) <= 40 and "*" not in text


def _returns(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return "" if node.returns is None else f" -> {ast.unparse(node.returns)}"


def _public(tree: ast.Module) -> list[tuple[Named, str]]:
    found: list[tuple[Named, str]] = []
    for node in tree.body:
        if isinstance(node, Named) and not node.name.startswith("_"):
            found.append((node, ""))
            if isinstance(node, ast.ClassDef):
                found += _methods(node)
    return found


def _methods(node: ast.ClassDef) -> list[tuple[Any, str]]:
    functions = [one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [(one, f"{node.name}.") for one in functions if not one.name.startswith("_")]


def _converted(text: str, label: str) -> str:
    # footnote numbers start anew in every docstring, but the page is one
    stem = re.sub(r"[^A-Za-z0-9]", "-", label).lower()
    cited = set(re.findall(r"\[(\d+)\]_", text))
    text = re.sub(r"\[(\d+)\]_", rf"[#{stem}-\1]_", text)
    text = re.sub(
        r"^(\s*)\.\. \[(\d+)\]",
        lambda match: f"{match[1]}.. [#{stem}-{match[2]}]" if match[2] in cited else f"{match[1]}-",
        text,
        flags=re.MULTILINE,
    )
    return str(NumpyDocstring(text, _STYLE))


def _indent(text: str) -> str:
    return "\n".join(f"   {line}" if line.strip() else "" for line in text.splitlines())
