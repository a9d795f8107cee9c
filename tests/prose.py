"""Prose that a run could make wrong: digits typed by hand."""

import ast
import re
from collections.abc import Iterable

from nbformat import NotebookNode

# Parts of Markdown that are no prose: code, math, links, roles, options of directives, label lines, comments.
_NOT_PROSE = (
    re.compile(r"(?ms)^(`{3,}|~{3,})\w.*?^\1\s*$"),  # with its language: the end of a directive opens nothing
    re.compile(r"`[^`\n]*`"),
    re.compile(r"(?s)\$\$.*?\$\$"),
    re.compile(r"\$[^$\n]+\$"),
    re.compile(r"\]\([^)]*\)"),
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"(?m)^:[a-z-]+:.*$"),
    re.compile(r"https?://\S+"),
)
_CODE_FACTS = re.compile(r"(?m)^# facts: (.*)$")
_FIELD = re.compile(r"\{[^{}]*\}")
# A text may name published numbers that it states, each of which no run changes: <!-- facts: 338; 22,000 -->
_FACTS = re.compile(r"<!-- facts: (.*?) -->", re.DOTALL)
# Digits that no run changes.
_ALLOWED = (
    re.compile(r"\b(?:19|20)\d\d\b"),  # years
    re.compile(r"\b95 ?%|(?<!\d)0\.05(?!\d)"),  # the level of every interval, and of the usual test
    re.compile(r"(?m)^\s*\d+\.\s"),  # numbers of a list
    re.compile(r"(?m)^#+ .*$"),  # headings
    re.compile(r"\b[Cc]hapters?\s+\d+(?:(?:,| and| to)\s+\d+)*"),
    re.compile(r"\b10x\b"),
    re.compile(r"^:{3,}.*$|^`{3,}\{.*$", re.MULTILINE),  # heads of directives
    # names with letters in them: genes, labels, packages, methods; also with signs inside, as in H2-K1 or GRCh38
    re.compile(r"\b\d*[A-Za-z][\w.+-]*\d[\w.+-]*"),
    re.compile(r"\b\d+['’]"),  # three-prime chemistry
)


def typed_digits(
    notebook: NotebookNode, *, defaults: Iterable[object] = (), minutes: Iterable[int] = ()
) -> list[str]:
    """Return the lines of prose that hold digits which a run could change.

    Allowed are years, gene names and other names with letters, references, numbers of chapters and lists, the level
    of intervals, defaults of parameters, and in the opening cell the minutes and the memory that the sidecar states.
    Exercises and quizzes state their own givens and are left out. A published number is allowed in the cell that names it
    in a comment ``<!-- facts: 338; 22,000 -->``, in a code cell ``# facts: 80``.
    """
    found = []
    for number, cell in enumerate(notebook.cells, 1):
        tags = set(cell.metadata.get("tags", []))
        if tags & {"exercise", "quiz", "solution"}:
            continue
        known = [*defaults, *(minutes if "header" in tags else ())]
        if cell.cell_type == "code":
            known += [fact.strip() for line in _CODE_FACTS.findall(cell.source) for fact in line.split(";")]
        for text in [cell.source] if cell.cell_type == "markdown" else _texts_of_code(cell):
            lines = lines_with_digits(text, known=map(str, known), header="header" in tags)
            found += [f"cell {number}: {line}" for line in lines]
    return found


def _texts_of_code(cell: NotebookNode) -> list[str]:
    # what a code cell shows in words: sentences, captions of tables and figures, alt texts
    look = cell.metadata.get("mystnb", {})
    texts = [look.get("figure", {}).get("caption", ""), look.get("image", {}).get("alt", "")]
    for node in ast.walk(ast.parse(cell.source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"note.say", "note.table"}:
            words = [str(one.value) for one in ast.walk(node) if isinstance(one, ast.Constant)]
            texts += [_FIELD.sub("", text) for text in words if " " in text.strip()]
    return texts


def lines_with_digits(text: str, *, known: Iterable[str] = (), header: bool = False) -> list[str]:
    r"""Return the lines of a text that hold digits which a run could change; the opening cell may state its memory.

    Examples
    --------
    >>> lines_with_digits("In 2024, MYH7 fell.\n\nIn 12 donors it rose.")
    ['In 12 donors it rose.']
    """
    known = [*known, *(fact.strip() for block in _FACTS.findall(text) for fact in block.split(";"))]
    for pattern in (*_NOT_PROSE, *_ALLOWED):
        text = pattern.sub(lambda match: "\n" * match[0].count("\n"), text)
    if header:
        text = re.sub(r"\b\d+ (?:GiB|GB|MiB|MB)\b", "", text)
    for number in sorted(known, key=len, reverse=True):
        text = re.sub(rf"(?<![\d.]){re.escape(number)}(?![\d.]*\d)", "", text)
    return [line.strip() for line in text.splitlines() if re.search(r"\d", line)]
