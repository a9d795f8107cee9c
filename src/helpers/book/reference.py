"""The pages of the package's functions, one a room, by Sphinx's autodoc and napoleon."""

import re
from typing import Any

from sphinx.application import Sphinx

from helpers.book.key import package_folder

_ROOM = re.compile(r"^\.\. room:: (\S+)$", re.MULTILINE)


def register(app: Sphinx) -> None:
    """Connect with Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.connect("source-read", _write_rooms)
    app.connect("autodoc-process-docstring", _number_footnotes, priority=100)


def modules_of(room: str) -> list[str]:
    """Return the modules of a room, ``.`` for those that lie in the package itself."""
    folder = package_folder() / ("" if room == "." else room)
    prefix = "helpers" if room == "." else f"helpers.{room.replace('/', '.')}"
    return [f"{prefix}.{path.stem}" for path in sorted(folder.glob("*.py")) if not path.stem.startswith("_")]


def _write_rooms(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace each line ``.. room:: NAME`` of a page by the modules of that room."""
    del app
    if docname.startswith("book/api"):
        source[0] = _ROOM.sub(lambda match: "\n".join(map(_module, modules_of(match[1]))), source[0])


def _module(name: str) -> str:
    title = name.removeprefix("helpers.")
    return f"{title}\n{'~' * len(title)}\n\n.. automodule:: {name}\n   :members:\n\n"


def _number_footnotes(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    # footnote numbers start anew in every docstring, but the page is one
    del app, what, obj, options
    stem = re.sub(r"[^A-Za-z0-9]", "-", name).lower()
    text = "\n".join(lines)
    cited = set(re.findall(r"\[(\d+)\]_", text))
    text = re.sub(r"\[(\d+)\]_", rf"[#{stem}-\1]_", text)
    text = re.sub(
        r"^(\s*)\.\. \[(\d+)\]",
        lambda match: f"{match[1]}.. [#{stem}-{match[2]}]" if match[2] in cited else f"{match[1]}-",
        text,
        flags=re.MULTILINE,
    )
    lines[:] = text.split("\n")
