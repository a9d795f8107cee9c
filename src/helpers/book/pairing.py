"""The files of a chapter: the text and its ``.ipynb`` pair, by content and never by timestamp; and a new chapter."""

import itertools
import json
import re
from pathlib import Path
from string import Template

import jupytext
import nbformat
from nbformat import NotebookNode

from helpers.book.project import Notebook, Project
from helpers.errors import ChapterError, PairingError
from helpers.files import digest_text, writing

KEPT = ("tags", "mystnb", "nbmake")
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
_BLANK = "lines_to_next_cell"
STORED = "pair"  # key under which a pair remembers the content it was made with
_TEMPLATES = Path(__file__).parent / "chapter"
_LISTED = re.compile(r"(?m)^(?P<indent> *)- file: notebooks/\S+\n")


def compare(book: Notebook) -> list[str]:
    """Say how a text and its pair differ, a line each: cells, kept metadata, outputs, kernel header."""
    if not book.pair.is_file():
        return [f"{book.name}: {book.pair.name} is missing. Run: musclebook pair"]
    text, pair = book.read(), nbformat.read(book.pair, as_version=4)
    faults = _cell_differences(text, pair)
    for number, cell in enumerate(pair.cells, 1):
        if cell.get("outputs") or cell.get("execution_count"):
            faults.append(f"cell {number} of the .ipynb has outputs: clear them, a pair holds none")
    for suffix, node in ((".py", text), (".ipynb", pair)):
        if dict(node.metadata.get("kernelspec", {})) != KERNEL:
            faults.append(f"the {suffix} has no kernelspec header for python3; launch buttons need it")
    return [f"{book.name}: {fault}" for fault in faults]


def write_pair(book: Notebook, *, force: bool = False) -> bool:
    """Write the ``.ipynb`` from the text; return whether it changed."""
    text = _text_of(book)
    if book.pair.is_file():
        if not compare(book):
            return False
        if not force:
            _refuse_to_lose(book, text, nbformat.read(book.pair, as_version=4), ".ipynb")
    _write(book, text)
    return True


def write_text(book: Notebook, *, force: bool = False) -> bool:
    """Write the text from an ``.ipynb`` edited in Jupyter, and the pair without outputs; return whether it changed."""
    if not book.pair.is_file():
        msg = f"{book.pair.name} does not exist, so there is nothing to take from it."
        raise PairingError(msg)
    pair, text = nbformat.read(book.pair, as_version=4), _text_of(book)
    if changed := bool(_cell_differences(text, pair)):
        if not force:
            _refuse_to_lose(book, text, pair, ".py")
        pair.metadata["kernelspec"] = nbformat.from_dict(KERNEL)
        # the .ipynb sorts metadata by name and knows no blank lines: keep both as the author wrote them
        blank = {cell.source: cell.metadata.get(_BLANK) for cell in text.cells}
        written = {_content(cell)[2]: cell.metadata for cell in _kept(text).cells}
        for cell in _kept(pair).cells:
            cell.metadata = nbformat.from_dict(dict(written.get(_content(cell)[2], cell.metadata)))
            if blank.get(cell.source) is not None:
                cell.metadata[_BLANK] = blank[cell.source]
        before, after = book.source.read_text(encoding="utf-8"), jupytext.writes(pair, fmt="py:percent")
        header = before.removesuffix(before.split("# ---\n", maxsplit=2)[2])  # stays as its author wrote it
        with writing(book.source) as part:
            part.write_text(header + after.split("# ---\n", maxsplit=2)[2], encoding="utf-8")
    _write(book, book.read())
    return changed


def strip(text: NotebookNode) -> NotebookNode:
    """Return the notebook, changed: without outputs, with the metadata that are kept and ids of place and content."""
    stripped = _kept(text)
    for place, cell in enumerate(stripped.cells):  # the same text gives the same file on every machine
        cell["id"] = digest_text(f"{place}\n{cell.source}")[:8]
    about = {"kernelspec": KERNEL, "language_info": {"name": "python"}, STORED: content_hash(stripped)}
    stripped.metadata = nbformat.from_dict(about)
    stripped.nbformat, stripped.nbformat_minor = 4, 5
    return stripped


def content_hash(notebook: NotebookNode) -> str:
    """Return the hash of cells and kept metadata: what a pair must agree in."""
    return digest_text(repr([_content(cell) for cell in notebook.cells]))[:16]


def new_chapter(project: Project, name: str) -> list[Path]:
    """Write what a chapter of the next free number needs, and enter it in ``_toc.yml``; nothing is overwritten."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        msg = (
            f"{name!r} is not a name for a chapter. Join words in lower case by _, for example nerve_supply."
        )
        raise ChapterError(msg)
    if taken := [stem for stem in project.notebooks if stem[3:] == name]:
        msg = f"there is a chapter {taken[0]} already. Choose another name, or edit notebooks/{taken[0]}.py."
        raise ChapterError(msg)
    number = f"{max((int(stem[:2]) for stem in project.notebooks), default=0) + 1:02d}"
    stem = f"{number}_{name}"
    toc, checks = project.root / "_toc.yml", project.root / "src" / "helpers" / "book" / "checks.yaml"
    contents, checkers = toc.read_text(encoding="utf-8"), checks.read_text(encoding="utf-8")
    listed = list(_LISTED.finditer(contents))
    if not listed:
        msg = f"{toc} lists no notebook, so there is no place to enter the chapter. Add one line '- file: notebooks/...'."
        raise ChapterError(msg)
    source = project.root / "notebooks" / f"{stem}.py"
    test = project.root / "tests" / "book" / f"test_checks_ch{number}.py"
    paths = {"notebook": source, "sidecar": source.with_suffix(".yaml"), "test": test}
    there = [str(path) for path in paths.values() if path.exists()]
    there += [f"exercise {number} in {checks}"] if f"\n{number}." in f"\n{checkers}" else []
    if there:
        msg = f"{there[0]} exists already and is left as it is. Move it away, or choose another name."
        raise ChapterError(msg)
    words = {"nn": number, "stem": stem, "title": name.replace("_", " ").capitalize()}
    templates = {
        kind: (_TEMPLATES / f"{kind}.txt").read_text(encoding="utf-8") for kind in (*paths, "checks")
    }
    filled = {kind: Template(text).substitute(words) for kind, text in templates.items()}
    texts = {path: filled[kind] for kind, path in paths.items()}
    texts[checks] = checkers + filled["checks"]
    end = listed[-1].end()
    texts[toc] = f"{contents[:end]}{listed[-1]['indent']}- file: notebooks/{stem}\n{contents[end:]}"
    for path, text in texts.items():
        with writing(path) as part:
            part.write_text(text, encoding="utf-8")
    book = Notebook(stem, source)
    write_pair(book)
    return [*texts, book.pair]


def _write(book: Notebook, text: NotebookNode) -> None:
    with writing(book.pair) as part:
        part.write_text(nbformat.writes(strip(text)) + "\n", encoding="utf-8")


def _content(cell: NotebookNode) -> tuple[str, str, str]:
    # a saving editor may end a cell with a newline, and writes metadata in any order
    metadata = {name: cell.metadata[name] for name in KEPT if cell.metadata.get(name)}
    return cell.cell_type, cell.source.strip("\n"), json.dumps(metadata, sort_keys=True)


def _cell_differences(text: NotebookNode, pair: NotebookNode) -> list[str]:
    faults = []
    for number, (ours, theirs) in enumerate(zip(text.cells, pair.cells, strict=False), 1):
        parts = zip(("kind", "source", "metadata"), _content(ours), _content(theirs), strict=True)
        for what, one, other in [part for part in parts if part[1] != part[2]][:1]:
            lines = itertools.zip_longest(one.splitlines(), other.splitlines(), fillvalue="")
            left, right = next((pair for pair in lines if pair[0] != pair[1]), ("", ""))
            faults.append(f"cell {number} differs in {what}: .py {left[:60]!r}, .ipynb {right[:60]!r}")
    if len(text.cells) != len(pair.cells):
        faults.append(f"the .py has {len(text.cells)} cells, the .ipynb {len(pair.cells)}")
    return faults


def _text_of(book: Notebook) -> NotebookNode:
    text = book.read()
    if dict(text.metadata.get("kernelspec", {})) != KERNEL:
        msg = f"{book.source.name} has no kernelspec header for python3. Copy the first lines of another notebook."
        raise PairingError(msg)
    return text


def _kept(notebook: NotebookNode) -> NotebookNode:
    for cell in notebook.cells:
        kept = {name: value for name, value in cell.metadata.items() if name in KEPT}
        cell.metadata = nbformat.from_dict(kept)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def _refuse_to_lose(book: Notebook, text: NotebookNode, pair: NotebookNode, losing: str) -> None:
    # a pair remembers what both said when they last agreed, so it is known which one was edited since
    agreed = pair.metadata.get(STORED)
    edited = [suffix for suffix, node in ((".py", text), (".ipynb", pair)) if content_hash(node) != agreed]
    if losing not in edited or not _cell_differences(text, pair):
        return
    take = {".py": f"musclebook pair {book.name}", ".ipynb": f"musclebook pair --from-ipynb {book.name}"}
    if len(edited) > 1:
        both = f"{book.source.name} and {book.pair.name} were both edited since they last agreed"
        counts = f"`{take['.py']} --force` or `{take['.ipynb']} --force`"
        msg = f"{both}; neither is overwritten. Say which one counts: {counts}."
    else:
        msg = f"{book.name}{losing} was edited and the other was not; it is not overwritten. Take it over: {take[losing]}"
    raise PairingError(msg)
