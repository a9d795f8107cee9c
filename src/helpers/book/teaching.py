"""A workshop from the chapters: both editions, a schedule, the teacher's page; and whether a machine is ready for it."""

import ast
import html
import inspect
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from helpers import files
from helpers.book.pairing import strip
from helpers.book.project import Block, Notebook, Project, tags
from helpers.book.run import current
from helpers.book.workshop import TABLE, registered
from helpers.budget import free_bytes, to_text
from helpers.errors import ExerciseError, MusclebookError
from helpers.files import writing

KIND = "workshop"
GOOD, DOUBT, BAD = "ready", "look", "not ready"
State = tuple[str, str]  # one of these, and what was found
_START, _BREAK_AFTER, _BREAK, _LUNCH_AFTER, _LUNCH = 9 * 60, 80, 15, 180, 60

_CHECK = re.compile(r"""\bcheck\(\s*["']([^"']+)["']""")
_TITLE = re.compile(r"^### Exercise: (?P<title>.+?) \((?P<minutes>\d+) minutes\)$", re.MULTILINE)
_HINT = re.compile(r"<details>\s*<summary>Hint</summary>(.*?)</details>", re.DOTALL)
_TAG = re.compile(r"<[^>]+>")
_SENTENCE = re.compile(r'(?<!")(f?)"([^"\n]+ [^"\n]+\.)"(?!")')  # in the source of a checker
_FILLED = re.compile(r"\{(?:[^{}]|\{[^{}]*\})*\}")


class Exercise(NamedTuple):
    """One exercise of a chapter."""

    name: str  # as `check` knows it
    title: str
    minutes: int
    question: str
    hint: str
    solution: str


def exercises_of(notebook: NotebookNode, *, name: str) -> list[Exercise]:
    """Return the exercises of a chapter, in order; `name` is for messages."""
    found, faults = [], []
    for number, (cell, after) in enumerate(pairwise([*notebook.cells, None]), 1):
        if "exercise" not in tags(cell):
            continue
        title, hint = _TITLE.search(cell.source), _HINT.search(cell.source)
        check = _CHECK.search(after.source) if after is not None and "solution" in tags(after) else None
        if title and hint and check:
            question = _HINT.sub("", cell.source[title.end() :]).strip()
            minutes = int(title["minutes"])
            found.append(Exercise(check[1], title["title"], minutes, question, hint[1].strip(), after.source))
        else:
            faults.append(f"cell {number} of {name}")
    if faults:
        whole = "'### Exercise: title (N minutes)', a hint, or a solution below it that ends in its check"
        msg = f"{', '.join(faults)} is an exercise without {whole}."
        raise ExerciseError(msg)
    return found


def stub_of(solution: str) -> str:
    """Return what stands in place of a solution: its imports, its check, and its names, of dots or without a result."""
    try:
        body = ast.parse(solution).body
    except SyntaxError:  # lines for the kernel alone: %timeit, !ls
        body = ast.parse(re.sub(r"(?m)^\s*[%!].*$", "", solution)).body
    checked = [one for one in body if isinstance(one, ast.Expr) and _CHECK.search(ast.unparse(one))]
    # a value that only leads to the answer would give half of it away
    asked = {one.id for node in checked for one in ast.walk(node) if isinstance(one, ast.Name)}
    imports = [ast.unparse(node) for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    parts = ["\n".join(imports)] if imports else []
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name in asked:
            node.body = [ast.Expr(ast.Constant(...))]
            parts.append(f"{ast.unparse(node)}  # write it here")
        elif node in checked:
            call = node.value
            call.args[1:] = map(_only_name, call.args[1:])
            for named in call.keywords:  # an answer by keyword is an answer too
                named.value = _only_name(named.value)
            parts.append(ast.unparse(node))
        elif not isinstance(node, ast.FunctionDef):
            names = [one for one in ast.walk(node) if isinstance(one, ast.Name) and one.id in asked]
            parts += [f"{one.id} = ..." for one in names if isinstance(one.ctx, ast.Store)]
    return "\n\n".join(dict.fromkeys(parts))


def _only_name(value: ast.expr) -> ast.expr:
    return value if isinstance(value, ast.Name) else ast.Constant(...)


def learner(notebook: NotebookNode, *, expected: dict[str, list[NotebookNode]]) -> NotebookNode:
    """Return a chapter with its solutions cut, what they showed in their place, in Markdown that any notebook shows."""
    cells = []
    for cell in notebook.cells:
        if "solution" in tags(cell):
            check = _CHECK.search(cell.source)
            cells += _expected_cell(expected.get(check[1], []) if check else [])
            cell = nbformat.v4.new_code_cell(stub_of(cell.source), metadata={"tags": ["stub"]})
        elif cell.cell_type == "markdown":
            cell.source = plain_markdown(cell.source)
        cells.append(cell)
    notebook.cells = cells
    return strip(notebook)


def plain_markdown(source: str) -> str:
    """Return a text without the roles and fences that only the book's builder understands."""
    source = re.sub(r"\{cite(?::p|:t)?\}`([^`]+)`", r"(\1)", source)
    source = re.sub(r"\{term\}`(?:([^`<]+?) ?<[^`>]+>|([^`]+))`", lambda found: found[1] or found[2], source)
    source = re.sub(r"\]\((\d\d_\w+)\)", r"](\1.ipynb)", source)
    source = re.sub(r"\[([^\[\]]+)\]\(\.\./book/[^)]*\)", r"\1", source)  # an edition has no such pages
    source = re.sub(r"(?m)^[`:]{3,}\{(?:admonition|dropdown)\} *(.*)$", r"**\1**\n", source)
    source = re.sub(r"(?m)^[`:]{3,}\{(\w+)\}$", lambda found: f"**{found[1].capitalize()}**\n", source)
    return re.sub(r"(?m)^:{3,}$|^:[a-z-]+: .*$", "", source)


def _expected_outputs(project: Project, book: Notebook) -> dict[str, list[NotebookNode]]:
    """Return what the solutions showed in the current run, by exercise; empty where there is no run."""
    found = current(project, book.name)
    ran = nbformat.read(found["folder"] / f"{book.name}.ipynb", as_version=4).cells if found else []
    solved = [cell for cell in ran if "solution" in tags(cell)]
    return {check[1]: cell.outputs for cell in solved if (check := _CHECK.search(cell.source))}


def _expected_cell(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Return a cell that unfolds to outputs, or none where nothing but the verdict of the check was shown."""
    parts, pictures = [], {}
    for output in outputs:
        data = output.get("data", {})
        text = output.get("text") or data.get("text/plain")
        if "musclebook" in output.get("metadata", {}):
            continue  # the verdict of the check
        if "image/png" in data:
            file = f"expected_{len(pictures)}.png"
            pictures[file] = {"image/png": data["image/png"].replace("\n", "")}
            parts.append(f"![what the solution draws](attachment:{file})")
        elif text:
            parts.append(f"```text\n{html.unescape(_TAG.sub('', text)).strip()}\n```")
    # folded: of an exercise that asks for a value it is the answer
    text = "\n\n".join(["<details><summary>What a solution shows</summary>", *parts, "</details>"])
    cell = nbformat.v4.new_markdown_cell(text, metadata={"tags": ["expected"]}, attachments=pictures)
    return [cell] if parts else []


class Slot(NamedTuple):
    """Some minutes of a workshop: a block of a chapter, a break, or the frame around them."""

    start: int  # minutes after midnight
    minutes: int
    what: str
    block: Block | None = None
    chapter: str = ""


def plan(books: Iterable[Notebook], *, minutes: int) -> list[Slot]:
    """Lay blocks of chapters out from nine o'clock, with breaks: first those of the lesson, then what fits into the minutes."""
    every = [(book.name, block) for book in books for block in book.sidecar.teach]
    chosen: set[int] = set()
    slots = _lay_out([], minutes=minutes)
    for place in sorted(range(len(every)), key=lambda place: not every[place][1].core):
        trial = _lay_out([every[one] for one in sorted({*chosen, place})], minutes=minutes)
        if trial[-1].start + trial[-1].minutes - _START <= minutes:
            chosen, slots = {*chosen, place}, trial
    return slots


def _lay_out(blocks: list[tuple[str, Block]], *, minutes: int) -> list[Slot]:
    slots, now, worked = [Slot(_START, 10, "Welcome, and `musclebook doctor`")], _START + 10, 10
    eaten = minutes <= _LUNCH_AFTER + _LUNCH
    for name, block in blocks:
        if not eaten and now - _START >= _LUNCH_AFTER:
            slots.append(Slot(now, _LUNCH, "Lunch"))
            now, worked, eaten = now + _LUNCH, 0, True
        elif worked and worked + block.minutes > _BREAK_AFTER:
            slots.append(Slot(now, _BREAK, "Break"))
            now, worked = now + _BREAK, 0
        slots.append(Slot(now, block.minutes, block.what, block, name))
        now, worked = now + block.minutes, worked + block.minutes
    return [*slots, Slot(now, 10, "What to take home")]


def schedule_table(slots: list[Slot]) -> str:
    """Return a schedule as a table in Markdown: when, how long, what, what may be skipped, what will be asked."""
    lines = ["| start | minutes | what | may be skipped | learners will ask |", "|" + " --- |" * 5]
    for slot in slots:
        skip, asked = (slot.block.skip, slot.block.asked) if slot.block else ("", "")
        where = f" ({slot.chapter[:2]})" if slot.chapter else ""
        clock = f"{slot.start // 60:02d}:{slot.start % 60:02d}"
        lines.append(f"| {clock} | {slot.minutes} | {slot.what}{where} | {skip} | {asked} |")
    return "\n".join(lines)


def write(
    project: Project, out: Path, *, chapters: list[str] | None = None, minutes: int, force: bool = False
) -> dict[str, int]:
    """Write both editions and the teacher's page into a folder, whole or not at all; return exercises by chapter."""
    books = project.choose(chapters)
    slots = plan(books, minutes=minutes)
    if not any(slot.block for slot in slots) and any(book.sidecar.teach for book in books):
        msg = f"{minutes} minutes are too few for any block of {', '.join(book.name for book in books)}. Give more."
        raise ExerciseError(msg)
    exercises = {book.name: exercises_of(book.read(), name=book.name) for book in books}
    with writing(out, kind=KIND, force=force) as part:
        for edition in ("learner", "solution"):
            (part / edition).mkdir(parents=True)
        for book in books:
            cut = learner(book.read(), expected=_expected_outputs(project, book))
            nbformat.write(cut, part / "learner" / f"{book.name}.ipynb")
            whole = strip(book.read())
            for cell in whole.cells:
                cell.source = plain_markdown(cell.source) if cell.cell_type == "markdown" else cell.source
            nbformat.write(whole, part / "solution" / f"{book.name}.ipynb")
        (part / "teacher.md").write_text(teachers_page(books, exercises, slots), encoding="utf-8")
    return {name: len(found) for name, found in exercises.items()}


def teachers_page(books: list[Notebook], exercises: dict[str, list[Exercise]], slots: list[Slot]) -> str:
    """Return the schedule, and for each chapter its objectives and every exercise with hint, solution, wrong answers."""
    lines = ["# For the teacher", "", "## Schedule", "", schedule_table(slots), ""]
    for book in books:
        header = next((cell.source for cell in book.read().cells if "header" in tags(cell)), "")
        objectives = re.search(r"\*\*You will\*\*(.*?)(?:\n\n|\Z)", header, re.DOTALL)
        lines += [f"## {book.sidecar.title}", "", f"*{book.sidecar.question}*", ""]
        if objectives:
            lines += [f"**Objectives.** Learners {' '.join(plain_markdown(objectives[1]).split())}", ""]
        lines += [f"`{book.name}`, memory {book.sidecar.memory}.", ""]
        for one in exercises[book.name]:
            lines += [f"### {one.title} (`{one.name}`, {one.minutes} minutes)", "", one.question, ""]
            lines += [f"**Hint.** {one.hint}", "", "```python", one.solution, "```", ""]
            lines += ["What the check says to wrong answers:", ""]
            lines += [*(f"- {words}" for words in sentences_of_checker(one.name)), ""]
    return "\n".join(lines)


def sentences_of_checker(name: str) -> list[str]:
    """Return the sentences that the checker of an exercise ``NN.name`` can say, dots for what a run fills in."""
    if name in TABLE:
        said = []
        for ask in TABLE[name]:
            said += [*(words for _, words in ask.get("wrong", ())), ask["other"]]
        return list(dict.fromkeys(_FILLED.sub("…", words) for words in said))
    checker = registered().get(name)
    said = _SENTENCE.findall(inspect.getsource(checker)) if checker else []
    return [_FILLED.sub("…", words) if filled else words for filled, words in said]


def examine_machine(project: Project) -> list[tuple[str, str, str]]:
    """Check without a network what a workshop needs of a machine; what, state, words."""
    free, disk = free_bytes(), shutil.disk_usage(project.root).free
    atlas = any((files.cache_folder() / "simulated").glob("demo-*"))
    made = "the simulated atlas is " + ("there" if atlas else "made on first use; now: make book")
    rows = [
        ("memory", free >= 4 * 2**30, f"{to_text(free)} free, {os.cpu_count()} cores"),
        ("disk", disk >= 5 * 2**30, f"{to_text(disk)} free"),
        ("atlas", atlas, made),
    ]
    found = [(what, GOOD if good else DOUBT, words) for what, good, words in rows]
    for what, check in (("packages", _packages), ("folders", _folders), ("kernel", _kernel)):
        try:
            found.append((what, *check(project)))
        except (OSError, MusclebookError, RuntimeError, CellExecutionError) as error:
            found.append((what, BAD, str(error)))
    return found


def _packages(project: Project) -> State:
    lock = (project.root / "requirements.lock").read_text(encoding="utf-8")
    installed = {canonicalize_name(one.name): one.version for one in metadata.distributions() if one.name}
    if missing := [name for name in ("jupyter-book", "scanpy", "jupyterlab") if name not in installed]:
        return BAD, f"missing: {', '.join(missing)}. Run: make env"
    unlike = []
    for one in map(Requirement, re.findall(r"(?m)^([A-Za-z0-9][^\n\\]*?)\s*\\?$", lock)):
        here = installed.get(canonicalize_name(one.name))
        if here and (one.marker is None or one.marker.evaluate()) and not one.specifier.contains(here):
            unlike.append(f"{one.name} {here}, not {one.specifier}")
    if unlike:
        return DOUBT, f"other versions than in the lock: {', '.join(unlike[:5])}. Run: make env"
    return GOOD, "as in the lock"


def _folders(project: Project) -> State:
    for folder in (project.build, files.cache_folder()):
        files.require_writable(folder / ".doctor")
    return GOOD, f"{project.build.name} and the cache {files.cache_folder()} can be written"


def _kernel(_: Project) -> State:
    probe = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import scanpy, helpers")])
    started = time.monotonic()
    NotebookClient(probe, kernel_name="python3", startup_timeout=180).execute(stderr=subprocess.DEVNULL)
    return GOOD, f"a notebook ran in {time.monotonic() - started:.0f} s"
