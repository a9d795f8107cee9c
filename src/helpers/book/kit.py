"""The chapter kit: a new chapter that runs and passes the tests from its first minute, to be filled with a question."""

import re
from pathlib import Path
from string import Template

from helpers.book import pairing
from helpers.book.project import Project
from helpers.errors import ChapterError
from helpers.files import writing

_TEMPLATES = Path(__file__).parent / "chapter"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LISTED = re.compile(r"(?m)^(?P<indent> *)- file: notebooks/\S+\n")


def new_chapter(project: Project, name: str) -> list[Path]:
    """Write what a chapter of the next free number needs, and enter it in ``_toc.yml``; nothing is overwritten."""
    if not _NAME.fullmatch(name):
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
    words = {"nn": number, "stem": stem, "title": name.replace("_", " ").capitalize()}
    texts = {
        project.root / "notebooks" / f"{stem}.py": _filled("notebook", words),
        project.root / "notebooks" / f"{stem}.yaml": _filled("sidecar", words),
        project.root / "tests" / "book" / f"test_checks_ch{number}.py": _filled("test", words),
    }
    there = [str(path) for path in texts if path.exists()]
    there += [f"exercise {number} in {checks}"] if f"\n{number}." in f"\n{checkers}" else []
    if there:
        msg = f"{there[0]} exists already and is left as it is. Move it away, or choose another name."
        raise ChapterError(msg)
    texts[checks] = checkers + _filled("checks", words)
    end = listed[-1].end()
    texts[toc] = f"{contents[:end]}{listed[-1]['indent']}- file: notebooks/{stem}\n{contents[end:]}"
    for path, text in texts.items():
        with writing(path) as part:
            part.write_text(text, encoding="utf-8")
    book = Project(project.root).notebooks[stem]
    pairing.write_pair(book)
    return [*texts, book.pair]


def _filled(template: str, words: dict[str, str]) -> str:
    text = (_TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")
    return Template(text).substitute(words)
