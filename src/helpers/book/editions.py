"""The workshop: a learner edition, a solution edition and an instructor page, made from the same chapters."""

import ast
import html
import re
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from helpers.book import instructor
from helpers.book.instructor import Exercise
from helpers.book.pairing import strip
from helpers.book.project import Notebook, Project
from helpers.book.run import current
from helpers.errors import ExerciseError
from helpers.files import claim, writing

KIND = "workshop"
_CHECK = re.compile(r"""\bcheck\(\s*["']([^"']+)["']""")
_TITLE = re.compile(r"\{exercise\}\s*(.*)")
_TAG = re.compile(r"<[^>]+>")


def exercises_of(notebook: NotebookNode, *, name: str) -> list[Exercise]:
    """Return the exercises of a chapter, in order.

    Parameters
    ----------
    notebook
        Its cells.
    name
        For messages.

    Raises
    ------
    ExerciseError
        If an exercise lacks its hint, its solution or its check.
    """
    found, faults = [], []
    cells = notebook.cells
    for place, cell in enumerate(cells):
        if "exercise" not in _tags(cell):
            continue
        title = _TITLE.search(cell.source)
        after = cells[place + 1 : place + 3]
        roles = (
            ["hint" in _tags(after[0]), "solution" in _tags(after[1])] if len(after) == 2 else [False, False]
        )
        check = _CHECK.search(after[1].source) if all(roles) else None
        if check is None or title is None:
            faults.append(f"cell {place + 1} of {name} is an exercise without title, hint, solution or check")
            continue
        found.append(
            Exercise(
                check[1], title[1].strip(), _inner(cell.source), _inner(after[0].source), after[1].source
            )
        )
    if faults:
        msg = f"{'; '.join(faults)}."
        raise ExerciseError(msg)
    return found


def stub_of(solution: str) -> str:
    r"""Return what stands in place of a solution: the same names, each stopping with a clear message.

    Parameters
    ----------
    solution
        Source of the solution cell; ends in its check.

    Examples
    --------
    >>> print(stub_of("def twice(x):\n    return 2 * x\n\n\ncheck('01.twice', twice)"))
    def twice(x):
        raise NotImplementedError('exercise 01.twice is not solved yet: write twice')
    <BLANKLINE>
    check('01.twice', twice)
    """
    check = _CHECK.search(solution)
    name = check[1] if check else "?"
    body = ast.parse(solution).body
    # a value that only leads to the answer would give half of it away
    asked = {
        one.id for node in body if _is_check(node) for one in ast.walk(node) if isinstance(one, ast.Name)
    }
    kept: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            kept.append(node)
        elif isinstance(node, ast.FunctionDef):
            words = f"exercise {name} is not solved yet: write {node.name}"
            stop = ast.parse(f"raise NotImplementedError({words!r})").body
            text = ast.get_docstring(node)
            node.body = [ast.Expr(ast.Constant(text)), *stop] if text else stop
            kept.append(node)
        elif isinstance(node, ast.Assign) and {ast.unparse(target) for target in node.targets} & asked:
            node.value = ast.Constant(...)
            kept.append(node)
        elif _is_check(node):
            kept.append(_bare_check(node))
    return "\n\n".join(filter(None, (_block(kept, ast.Import | ast.ImportFrom), *_others(kept))))


def learner(notebook: NotebookNode, *, expected: dict[str, str]) -> NotebookNode:
    """Return a chapter with its solutions cut, the expected output shown in their place.

    Parameters
    ----------
    notebook
        The chapter.
    expected
        What each solution shows when it is run, by exercise.
    """
    cells = []
    for cell in notebook.cells:
        if "solution" not in _tags(cell):
            cells.append(cell)
            continue
        check = _CHECK.search(cell.source)
        shown = expected.get(check[1] if check else "")
        if shown:
            text = f"Expected output:\n\n```text\n{shown}\n```"
            cells.append(nbformat.v4.new_markdown_cell(text, metadata={"tags": ["expected"]}))
        cells.append(nbformat.v4.new_code_cell(stub_of(cell.source), metadata={"tags": ["stub"]}))
    notebook.cells = cells
    return strip(notebook)


def expected_outputs(project: Project, book: Notebook) -> dict[str, str]:
    """Return what the solutions showed in the current run, as text, by exercise; empty where there is no run."""
    found = current(project, book)
    if found is None:
        return {}
    executed = nbformat.read(found["folder"] / f"{book.name}.ipynb", as_version=4)
    shown = {}
    for cell in executed.cells:
        check = _CHECK.search(cell.source) if "solution" in _tags(cell) else None
        if check:
            shown[check[1]] = "\n".join(filter(None, (_as_text(output) for output in cell.outputs)))
    return shown


def write(project: Project, out: Path, *, force: bool = False) -> dict[str, int]:
    """Write the three editions into a folder, whole or not at all; return the number of exercises by chapter.

    Parameters
    ----------
    project
        The book.
    out
        New folder, or one made by this function before in which nothing was edited or added.
    force
        Replace a folder that holds files of others too.
    """
    claim(out, kind=KIND, force=force)
    counts = {}
    with writing(out, kind=KIND, force=force) as part:
        for edition in ("learner", "solution"):
            (part / edition).mkdir(parents=True)
        chapters = {}
        for book in project.choose():
            exercises = exercises_of(book.read(), name=book.name)
            counts[book.name] = len(exercises)
            chapters[book.name] = (book, exercises)
            plain = learner(book.read(), expected=expected_outputs(project, book))
            nbformat.write(plain, part / "learner" / f"{book.name}.ipynb")
            nbformat.write(strip(book.read()), part / "solution" / f"{book.name}.ipynb")
        (part / "instructor.md").write_text(instructor.page(chapters), encoding="utf-8")
    return counts


def _is_check(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and _CHECK.search(ast.unparse(node)) is not None


def _bare_check(node: ast.Expr) -> ast.Expr:
    call = node.value
    if isinstance(call, ast.Call) and len(call.args) == 2 and not isinstance(call.args[1], ast.Name):
        call.args[1] = ast.Constant(...)  # the answer was written into the call
    return node


def _block(nodes: list[ast.stmt], kind: Any) -> str:
    return "\n".join(ast.unparse(node) for node in nodes if isinstance(node, kind))


def _others(nodes: list[ast.stmt]) -> list[str]:
    return [ast.unparse(node) for node in nodes if not isinstance(node, ast.Import | ast.ImportFrom)]


def _as_text(output: NotebookNode) -> str:
    if output.output_type == "stream":
        return output.text.strip()
    data = output.get("data", {})
    if "text/html" in data:
        return re.sub(r"\s+", " ", html.unescape(_TAG.sub("", data["text/html"]))).strip()
    return data.get("text/plain", "").strip()


def _inner(source: str) -> str:
    # the text inside a directive, without its fence and options
    lines = [line for line in source.splitlines() if not re.match(r"^(`{3,}|:{3,}|:[a-z-]+:)", line)]
    return "\n".join(lines).strip()


def _tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))
