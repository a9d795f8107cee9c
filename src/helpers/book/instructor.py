"""The instructor's page: schedules, and every exercise with its hint, its solution and what its check says."""

import ast
from dataclasses import dataclass
from typing import Any

from helpers.book import key, schedule
from helpers.book.project import Notebook


@dataclass(frozen=True)
class Exercise:
    """One exercise of a chapter."""

    name: str  # as `check` knows it
    title: str
    question: str
    hint: str
    solution: str


def page(chapters: dict[str, tuple[Notebook, list[Exercise]]]) -> str:
    """Return the schedule, and every exercise with hint, solution and what the checker says to wrong answers.

    Parameters
    ----------
    chapters
        Notebook and exercises by name.
    """
    plans: dict[str, dict[str, Any]] = {
        name: {"title": book.sidecar.title, "minutes": book.sidecar.minutes}
        for name, (book, _) in chapters.items()
    }
    lines = ["# For the instructor", ""]
    for length in schedule.LENGTHS:
        lines += [f"## Schedule: {length}", "", "| start | minutes | what |", "| --- | --- | --- |"]
        lines += [
            f"| {one.clock} | {one.minutes} | {one.what} |" for one in schedule.plan(plans, length=length)
        ]
        lines.append("")
    for name, (book, exercises) in chapters.items():
        minutes = book.sidecar.minutes
        lines += [
            f"## {book.sidecar.title}",
            "",
            f"*{book.sidecar.question}* `{name}`, memory {book.sidecar.memory}, ",
        ]
        lines += [f"{minutes['reading']} minutes of reading, {minutes['exercises']} of exercises.", ""]
        for one in exercises:
            lines += [f"### {one.title} (`{one.name}`)", "", one.question, "", f"**Hint.** {one.hint}", ""]
            lines += ["```python", one.solution, "```", ""]
            wrong = sentences_of_checker(one.name)
            lines += (
                ["What the check says to wrong answers:", "", *(f"- {words}" for words in wrong), ""]
                if wrong
                else []
            )
    return "\n".join(lines)


def sentences_of_checker(name: str) -> list[str]:
    """Return the sentences that a checker can say, read from its source.

    Parameters
    ----------
    name
        Of the exercise, ``NN.name``.
    """
    path = key.package_folder() / "book" / "checks" / f"ch{name.partition('.')[0]}.py"
    if not path.is_file():
        return []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    table = {
        ast.literal_eval(key): ast.unparse(value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant)
    }
    wanted = table.get(name)
    found: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == wanted:
            parts = [one for statement in node.body[1:] for one in ast.walk(statement)]
            inside = {id(piece) for one in parts if isinstance(one, ast.JoinedStr) for piece in one.values}
            texts = [_sentence(one) for one in parts if id(one) not in inside]
            found += [text for text in texts if " " in text and text.endswith(".")]
    return found


def _sentence(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        return "".join(map(str, parts))
    return ""
