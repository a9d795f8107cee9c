"""The book of this repository, run and built once for all tests that look at it."""

from pathlib import Path

import filelock

from helpers.book import run, site
from helpers.book.project import Project

ROOT = Path(__file__).parents[1]
PROJECT = Project(ROOT, build=ROOT / "_build" / "test")


def make_runs() -> dict[str, dict]:
    """Run every notebook on the tiny atlas; runs of an earlier session are reused where nothing changed."""
    PROJECT.build.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(PROJECT.build / ".runs.lock"):  # one worker makes them, the others find them made
        plans = run.plan(PROJECT, PROJECT.choose(), run.Request(profile="test"))
        outcomes = run.make(plans, failed=PROJECT.build / "failed", workers=2)
        run.point(plans, outcomes)
        run.report(outcomes)
    return {name: run.current(PROJECT, name) for name in PROJECT.notebooks}


def make_site() -> Path:
    """Build the site of those runs; an unchanged one is reused."""
    make_runs()
    site.build(PROJECT)
    return PROJECT.build / "html"
