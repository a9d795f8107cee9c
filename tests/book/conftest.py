import shutil
from pathlib import Path

import pytest

from helpers.book.project import Project

SAMPLE = Path(__file__).parent / "sample"


@pytest.fixture
def project(tmp_path):
    """A book of two tiny notebooks."""
    return Project(Path(shutil.copytree(SAMPLE, tmp_path / "book")))


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The tiny book with its runs made once; read only."""
    from helpers.book import run

    project = Project(Path(shutil.copytree(SAMPLE, tmp_path_factory.mktemp("made") / "book")))
    plans = run.plan(project, project.choose(), run.Request())
    outcomes = run.make(plans, failed=project.build / "failed", workers=2)
    run.report(outcomes)
    run.point(plans, outcomes)
    return project


@pytest.fixture
def copied(made, tmp_path):
    """A copy of the tiny book with its runs, free to change."""
    return Project(Path(shutil.copytree(made.root, tmp_path / "book")))
