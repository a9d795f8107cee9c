import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from helpers.book import pairing
from helpers.book.project import Notebook
from helpers.errors import PairingError

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def book(project):
    one = project.choose(["01"])[0]
    pairing.write_pair(one)
    return one


def _edit_text(book):
    book.source.write_text(book.source.read_text().replace("range(count)", "range(count + 0)"))


def _edit_pair(book, place=5, **changes):
    node = nbformat.read(book.pair, as_version=4)
    node.cells[place].update(changes or {"source": "1 + 1"})
    nbformat.write(node, book.pair)


HI = [nbformat.v4.new_output("stream", text="hi")]


def test_captions_alt_text_and_mocks_survive_and_a_pair_that_agrees_is_not_written_again(book):
    assert pairing.write_pair(book) is False
    cells = nbformat.read(book.pair, as_version=4).cells
    (look,) = [cell.metadata["mystnb"] for cell in cells if "mystnb" in cell.metadata]
    assert (look["image"]["alt"], look["figure"]["caption"]) == ("Three dots on a line", "Dots.")
    assert any(cell.metadata.get("nbmake") == {"mock": {"count": 2}} for cell in cells)


def test_each_difference_is_named(book):
    _edit_pair(book, 1, outputs=HI)
    _edit_pair(book, 2, metadata={"mystnb": {"image": {"alt": "x"}}})
    _edit_text(book)
    book.source.write_text(re.sub(r"#   kernelspec:\n(#     .*\n)+", "", book.source.read_text()))
    found = "\n".join(pairing.compare(book))
    for words in (
        r"cell 2 of the \.ipynb has outputs",
        "cell 3 differs in metadata",
        r"cell 6 differs in source.*count \+ 0",
        "no kernelspec header",
    ):
        assert re.search(words, found)
    with pytest.raises(PairingError, match="no kernelspec header"):
        pairing.write_pair(book, force=True)
    book.pair.unlink()
    assert "01_first.ipynb is missing" in pairing.compare(book)[0]


def test_an_edit_in_jupyter_is_taken_over_with_its_outputs_dropped(book):
    before, source = book.source.read_text(), nbformat.read(book.pair, as_version=4).cells[5].source
    _edit_pair(book, source=source + "  # mine", outputs=HI)
    assert pairing.write_text(book) is True
    assert pairing.compare(book) == []
    assert pairing.write_text(book) is False
    assert "# mine" in book.source.read_text()
    _edit_pair(book, source=source)
    pairing.write_text(book)
    assert book.source.read_text() == before  # its header and tags too


@pytest.mark.parametrize(
    ("edits", "write", "words"),
    [
        ([_edit_pair], pairing.write_pair, "--from-ipynb 01_first"),
        ([_edit_text], pairing.write_text, r"01_first\.py was edited"),
        ([_edit_text, _edit_pair], pairing.write_pair, "both edited"),
        ([_edit_text, _edit_pair], pairing.write_text, "both edited"),
    ],
)
def test_an_edit_is_not_overwritten_from_the_other_side_until_one_is_chosen(book, edits, write, words):
    for edit in edits:
        edit(book)
    before = book.source.read_bytes(), book.pair.read_bytes()
    with pytest.raises(PairingError, match=words):
        write(book)
    assert (book.source.read_bytes(), book.pair.read_bytes()) == before
    write(book, force=True)
    assert pairing.compare(book) == []


def test_saving_in_jupyter_with_jupytext_agrees_with_the_pair(book):
    """The configuration beside the notebooks makes jupytext write what `musclebook pair` reads as the same."""
    shutil.copy(NOTEBOOKS / "jupytext.toml", book.source.parent)
    _edit_pair(book)
    later = book.source.stat().st_mtime + 100
    os.utime(book.pair, (later, later))
    code = "import sys; from jupytext.cli import jupytext; sys.exit(jupytext(['--sync', sys.argv[1]]))"
    subprocess.run([sys.executable, "-c", code, str(book.pair)], check=True, capture_output=True)
    assert pairing.compare(book) == []
    assert "1 + 1" in book.source.read_text()


def test_a_real_chapter_is_taken_over_from_jupyter_in_no_time(tmp_path):
    for path in NOTEBOOKS.glob("03_age_de.*"):
        shutil.copy(path, tmp_path)
    real = Notebook("03_age_de", tmp_path / "03_age_de.py")
    _edit_pair(real, 3, source="mine")
    started = time.monotonic()
    assert pairing.write_text(real) is True
    assert time.monotonic() - started < 5
    assert "mine" in real.source.read_text()
    assert pairing.compare(real) == []
