import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.cli.main import app

SAMPLE = Path(__file__).parents[1] / "book" / "sample"
pytestmark = pytest.mark.xdist_group("runs")


@pytest.fixture
def book(tmp_path, monkeypatch):
    shutil.copytree(SAMPLE, tmp_path / "book")
    monkeypatch.chdir(tmp_path / "book" / "notebooks")  # any folder of the book will do
    return tmp_path / "book"


def call(*words):
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, re.sub(r"\s+", " ", done.output)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--memory", "1 KiB"], "1 KiB is less than what these are expected to need"),
        (["--memory", "banana"], "'banana' is not a size"),
        (["-p", "share=9"], "share = 9.0 is not allowed"),
        (["-p", "cuont=3"], "unknown parameter 'cuont', did you mean 'count'?"),
        (["-f", "absent.yaml"], "absent.yaml"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(book, words, said):
    for verb in ("run", *(["build"] if words[0] == "--memory" else [])):
        code, text = call(verb, *words)
        assert code == 2
        assert said in text
    assert not list((book / "_build").rglob("*.ipynb"))


def test_a_run_that_fails_ends_with_one_and_names_cell_and_error(book):
    code, text = call("run", "02", "-p", "breaks=yes")
    assert code == 1
    assert "02_second, cell 6: AssertionError: asked to break <b>here</b>" in text
    assert call("status")[1].count("never run") == 2


def test_status_tells_current_from_stale_and_a_run_by_hand_changes_no_page(book):
    assert call("run", "02")[0] == 0
    code, text = call("status")
    assert code == 1
    assert re.search(r"02_second current", text)
    assert call("run", "02", "-p", "rest=0.5")[0] == 0
    assert re.search(r"02_second current", call("status")[1])
    assert call("run", "02", "-p", "rest=0.5", "--show")[0] == 0
    assert re.search(r"02_second stale parameters \(rest\)", call("status")[1])


def test_pairs_are_written_and_checked(book):
    code, text = call("pair", "--check")
    assert code == 1
    assert "01_first.ipynb is missing" in text
    assert call("pair")[0] == 0
    assert call("pair", "--check") == (0, "2 pairs, 0 differences ")
    assert "unchanged" in call("pair")[1]


def test_outside_a_book_the_book_of_the_package_is_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, text = call("run", "99")
    assert code == 1
    assert "no notebook '99'" in text
