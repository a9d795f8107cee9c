"""A text notebook and its ``.ipynb`` pair: compared and written by content, never by timestamp."""

import itertools
import json

import jupytext
import nbformat
from nbformat import NotebookNode

from helpers.book.project import Notebook
from helpers.errors import PairingError
from helpers.files import digest_text, writing

KEPT = ("tags", "mystnb", "nbmake")
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LARGEST = 200_000  # bytes of a pair; more means outputs or pictures slipped in
_BLANK = "lines_to_next_cell"
STORED = "pair"  # key under which a pair remembers the content it was made with


def compare(book: Notebook) -> list[str]:
    """Say how a text and its pair differ, a line each: cells, kept metadata, outputs, kernel header, size."""
    if not book.pair.is_file():
        return [f"{book.name}: {book.pair.name} is missing. Run: musclebook pair"]
    text, pair = book.read(), nbformat.read(book.pair, as_version=4)
    faults = _cell_differences(text, pair)
    faults += [
        f"cell {number} of the .ipynb has outputs: clear them, a pair holds none"
        for number, cell in enumerate(pair.cells, 1)
        if cell.get("outputs") or cell.get("execution_count")
    ]
    for suffix, node in ((".py", text), (".ipynb", pair)):
        if dict(node.metadata.get("kernelspec", {})) != KERNEL:
            faults.append(
                f"the {suffix} has no kernelspec header for python3, without which launch buttons vanish"
            )
    size = book.pair.stat().st_size
    if size > LARGEST:
        faults.append(f"the .ipynb has {size:,} bytes, allowed are {LARGEST:,}")
    return [f"{book.name}: {fault}" for fault in faults]


def write_pair(book: Notebook, *, force: bool = False) -> bool:
    """Write the ``.ipynb`` from the text; return whether it changed."""
    text = _text_of(book)
    if book.pair.is_file():
        if not compare(book):
            return False
        _refuse_to_lose(book, text, nbformat.read(book.pair, as_version=4), force=force, losing=".ipynb")
    _write(book, text)
    return True


def write_text(book: Notebook, *, force: bool = False) -> bool:
    """Write the text from an ``.ipynb`` edited in Jupyter, and the pair without outputs; return whether it changed."""
    if not book.pair.is_file():
        msg = f"{book.pair.name} does not exist, so there is nothing to take from it."
        raise PairingError(msg)
    pair = nbformat.read(book.pair, as_version=4)
    text = _text_of(book)
    changed = bool(_cell_differences(text, pair))
    if changed:
        _refuse_to_lose(book, text, pair, force=force, losing=".py")
        pair.metadata["kernelspec"] = nbformat.from_dict(KERNEL)
        # the .ipynb sorts metadata by name and knows no blank lines: keep both as the author wrote them
        blank = {cell.source: cell.metadata.get(_BLANK) for cell in text.cells}
        written = {_content(cell)[2]: cell.metadata for cell in _kept(text).cells}
        for cell in _kept(pair).cells:
            cell.metadata = nbformat.from_dict(dict(written.get(_content(cell)[2], cell.metadata)))
            if blank.get(cell.source) is not None:
                cell.metadata[_BLANK] = blank[cell.source]
        old = book.source.read_text(encoding="utf-8")
        header = old.removesuffix(_cells_of(old))  # stays as its author wrote it
        with writing(book.source) as part:
            part.write_text(header + _cells_of(jupytext.writes(pair, fmt="py:percent")), encoding="utf-8")
    _write(book, book.read())
    return changed


def _write(book: Notebook, text: NotebookNode) -> None:
    with writing(book.pair) as part:
        part.write_text(nbformat.writes(strip(text)) + "\n", encoding="utf-8")


def content_hash(notebook: NotebookNode) -> str:
    """Return the hash of cells and kept metadata: what a pair must agree in."""
    text = repr([_content(cell) for cell in notebook.cells])
    return digest_text(text)[:16]


def _content(cell: NotebookNode) -> tuple[str, str, str]:
    # a saving editor may end a cell with a newline, and writes metadata in any order
    metadata = {name: cell.metadata[name] for name in KEPT if cell.metadata.get(name)}
    return cell.cell_type, cell.source.strip("\n"), json.dumps(metadata, sort_keys=True)


def _cell_differences(text: NotebookNode, pair: NotebookNode) -> list[str]:
    faults = []
    for number, (ours, theirs) in enumerate(zip(text.cells, pair.cells, strict=False), 1):
        for what, one, other in zip(
            ("kind", "source", "metadata"), _content(ours), _content(theirs), strict=True
        ):
            if one != other:
                faults.append(f"cell {number} differs in {what}: {_first_unlike(one, other)}")
                break
    if len(text.cells) != len(pair.cells):
        faults.append(f"the .py has {len(text.cells)} cells, the .ipynb {len(pair.cells)}")
    return faults


def _first_unlike(one: str, other: str) -> str:
    pairs = itertools.zip_longest(one.splitlines(), other.splitlines(), fillvalue="")
    left, right = next((pair for pair in pairs if pair[0] != pair[1]), ("", ""))
    return f".py {left[:60]!r}, .ipynb {right[:60]!r}"


def _text_of(book: Notebook) -> NotebookNode:
    text = book.read()
    if dict(text.metadata.get("kernelspec", {})) != KERNEL:
        msg = f"{book.source.name} has no kernelspec header for python3. Copy the first lines of another notebook."
        raise PairingError(msg)
    return text


def _cells_of(text: str) -> str:
    """Return what follows the header of a text."""
    return text.split("# ---\n", maxsplit=2)[2]


def _kept(notebook: NotebookNode) -> NotebookNode:
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(
            {name: value for name, value in cell.metadata.items() if name in KEPT}
        )
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def strip(text: NotebookNode) -> NotebookNode:
    """Return the notebook, changed: without outputs, with the metadata that are kept and ids of place and content."""
    stripped = _kept(text)
    for place, cell in enumerate(stripped.cells):
        # the place and the content name a cell: the same text gives the same file on every machine
        cell["id"] = digest_text(f"{place}\n{cell.source}")[:8]
    about = {"kernelspec": KERNEL, "language_info": {"name": "python"}, STORED: content_hash(stripped)}
    stripped.metadata = nbformat.from_dict(about)
    stripped.nbformat, stripped.nbformat_minor = 4, 5
    return stripped


def _refuse_to_lose(
    book: Notebook, text: NotebookNode, pair: NotebookNode, *, force: bool, losing: str
) -> None:
    # a pair remembers what both said when they last agreed, so it is known which one was edited since
    agreed = pair.metadata.get(STORED)
    edited = {".py": content_hash(text) != agreed, ".ipynb": content_hash(pair) != agreed}
    if force or not edited[losing] or not _cell_differences(text, pair):
        return
    if all(edited.values()):
        msg = (
            f"{book.source.name} and {book.pair.name} were both edited since they last agreed; neither is "
            f"overwritten. See `musclebook pair --check`, then say which one counts: `musclebook pair "
            f"{book.name} --force` takes the .py, `musclebook pair --from-ipynb {book.name} --force` the .ipynb."
        )
    elif losing == ".ipynb":
        msg = (
            f"{book.pair.name} was edited and {book.source.name} was not; the edit is not overwritten. Take it over: "
            f"musclebook pair --from-ipynb {book.name}"
        )
    else:
        msg = (
            f"{book.source.name} was edited and {book.pair.name} was not. Take the edit over: musclebook pair"
        )
    raise PairingError(msg)
