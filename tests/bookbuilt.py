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
    with _alone("runs"):
        plans = run.plan(PROJECT, PROJECT.choose(), Request(profile="test"))
        outcomes = run.make(plans, failed=PROJECT.build / "failed", workers=2)
        run.point(plans, outcomes)
        run.report(outcomes)
        return {book.name: run.current(PROJECT, book.name) for book in PROJECT.choose()}


def make_site() -> Path:
    """Build the site of those runs; an unchanged one is reused."""
    make_runs()
    with _alone("site"):
        return site.build(PROJECT).folder


def _alone(work: str) -> filelock.FileLock:
    # whatever way the tests are spread over processes, one of them does the work and the others wait
    PROJECT.build.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(PROJECT.build / f".tests-{work}.lock", timeout=3600)
