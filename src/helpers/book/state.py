"""Which run each page shows, and whether it is current."""

import json
from collections.abc import Iterable
from typing import Any

from helpers.book import key
from helpers.book.execute import RUN_FILE, Outcome
from helpers.book.project import Notebook, Project
from helpers.book.run import Plan, Request, plan
from helpers.files import write_json

CURRENT = "current.json"


def point(plans: Iterable[Plan], outcomes: Iterable[Outcome]) -> None:
    """Make good runs the ones that the site shows."""
    for one, outcome in zip(plans, outcomes, strict=True):
        if outcome.status != "failed":
            content = {"key": outcome.key, "atlas": one.request.atlas, "profile": one.request.chosen_profile}
            write_json(one.folder / CURRENT, content)


def leave_out(plans: Iterable[Plan]) -> None:
    """Take the pages whose source lacks what they need out of the site, and keep the reason."""
    for one in plans:
        if one.lacks:
            write_json(one.folder / CURRENT, {"left_out": one.lacks})


def left_out(project: Project) -> dict[str, str]:
    """Return why pages are not in the site, by notebook."""
    found = {}
    for name in project.notebooks:
        try:
            pointer = json.loads((project.build / "runs" / name / CURRENT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(pointer, dict) and "left_out" in pointer:
            found[name] = str(pointer["left_out"])
    return found


def current(project: Project, notebook: Notebook) -> dict[str, Any] | None:
    """Return what is known of the run that the site shows, with its ``folder``; None if there is none."""
    folder = project.build / "runs" / notebook.name
    try:
        pointer = json.loads((folder / CURRENT).read_text(encoding="utf-8"))
        content = json.loads((folder / pointer["key"] / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError):
        return None
    return {**content, **pointer, "folder": folder / pointer["key"]}


def states(project: Project, *, request: Request | None = None) -> dict[str, list[str] | None]:
    """Say of every notebook why its page is stale: no reasons means current, None means never run.

    Parameters
    ----------
    project
        The book.
    request
        What the pages should show; if not given, what they were last made for.
    """
    return {book.name: states_of(project, book, request=request) for book in project.choose()}


def states_of(project: Project, notebook: Notebook, *, request: Request | None = None) -> list[str] | None:
    """Say why the page of one notebook is stale, as `states` does.

    Parameters
    ----------
    project
        The book.
    notebook
        The notebook.
    request
        As for `states`.
    """
    known = current(project, notebook)
    if known is None:
        return None
    wanted = request or Request(atlas=known.get("atlas"), profile=known.get("profile"))
    return key.differences(known.get("parts", {}), plan(project, [notebook], wanted)[0].parts)
