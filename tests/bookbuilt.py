"""The book of this repository, run and built once for all tests that look at it."""

from pathlib import Path

import filelock

from helpers.book import run, site
from helpers.book.project import Project
from helpers.book.run import Request

ROOT = Path(__file__).parents[1]
PROJECT = Project(ROOT, build=ROOT / "_build" / "test")


def make_runs() -> dict[str, dict]:
    """Run every notebook on the tiny atlas; runs of an earlier session are reused where nothing changed."""
    PROJECT.build.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(PROJECT.build / ".runs.lock"):  # one worker makes them, the others find them made
        return _make_runs()


def _make_runs() -> dict[str, dict]:
    plans = run.plan(PROJECT, PROJECT.choose(), Request(profile="test"))
    outcomes = run.make(plans, failed=PROJECT.build / "failed", workers=2)
    run.point(plans, outcomes)
    run.report(outcomes)
    return {book.name: run.current(PROJECT, book.name) for book in PROJECT.choose()}


def make_site() -> Path:
    """Build the site of those runs; an unchanged one is reused."""
    make_runs()
    with _alone():
        site.build(PROJECT)
    return PROJECT.build / "html"


def _alone() -> filelock.FileLock:
    # whatever way the tests are spread over processes, one of them does the work and the others wait
    PROJECT.build.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(PROJECT.build / "tests.lock", timeout=1800)
