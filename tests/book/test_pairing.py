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


def _words(book):
    return " | ".join(pairing.compare(book))


HI = [nbformat.v4.new_output("stream", text="hi")]


def test_captions_alt_text_and_mocks_survive_and_a_pair_that_agrees_is_not_written_again(book):
    assert pairing.write_pair(book) is False
    cells = nbformat.read(book.pair, as_version=4).cells
    (look,) = [cell.metadata["mystnb"] for cell in cells if "mystnb" in cell.metadata]
    assert (look["image"]["alt"], look["figure"]["caption"]) == ("Three dots on a line", "Dots.")
    assert any(cell.metadata.get("nbmake") == {"mock": {"count": 2}} for cell in cells)


def test_each_difference_is_named(book):
    _edit_pair(book, 1, outputs=HI)
    _edit_text(book)
    assert "cell 2 of the .ipynb has outputs" in _words(book)
    assert re.search(r"cell 6 differs in source.*count \+ 0", _words(book))
    pairing.write_pair(book, force=True)
    _edit_pair(book, metadata={"mystnb": {"image": {"alt": "x"}}})
    assert "cell 6 differs in metadata" in _words(book)
    book.pair.unlink()
    assert "01_first.ipynb is missing" in _words(book)


def test_a_text_without_kernel_header_is_a_difference_and_cannot_be_paired(book):
    book.source.write_text(re.sub(r"#   kernelspec:\n(#     .*\n)+", "", book.source.read_text()))
    assert "no kernelspec header" in _words(book)
    with pytest.raises(PairingError, match="no kernelspec header"):
        pairing.write_pair(book, force=True)


def test_an_edit_in_jupyter_is_taken_over_with_its_outputs_dropped(book):
    before, source = book.source.read_text(), nbformat.read(book.pair, as_version=4).cells[5].source
    _edit_pair(book, source=source + "  # mine", outputs=HI)
    assert pairing.write_text(book) is True
    assert "# mine" in book.source.read_text()
    assert pairing.compare(book) == []
    assert pairing.write_text(book) is False
    _edit_pair(book, source=source)
    pairing.write_text(book)
    assert book.source.read_text() == before  # its header and tags too


def test_an_edit_is_not_overwritten_from_the_other_side(book):
    _edit_pair(book)
    with pytest.raises(PairingError, match="--from-ipynb 01_first"):
        pairing.write_pair(book)
    assert nbformat.read(book.pair, as_version=4).cells[5].source == "1 + 1"
    pairing.write_pair(book, force=True)
    _edit_text(book)
    with pytest.raises(PairingError, match=r"01_first\.py was edited"):
        pairing.write_text(book)


@pytest.mark.parametrize("write", [pairing.write_pair, pairing.write_text])
def test_two_edits_stop_until_one_is_chosen(book, write):
    _edit_text(book)
    _edit_pair(book)
    before = book.source.read_bytes(), book.pair.read_bytes()
    with pytest.raises(PairingError, match="both edited"):
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
    assert "1 + 1" in book.source.read_text()
    assert pairing.compare(book) == []
    assert '"alt": "Three dots on a line"' in book.source.read_text()


def test_a_real_chapter_is_taken_over_from_jupyter_in_no_time(tmp_path):
    for path in NOTEBOOKS.glob("03_*"):
        shutil.copy(path, tmp_path)
    path = next(tmp_path.glob("*.py"))
    real = Notebook(path.stem, path)
    _edit_pair(real, 3, source="mine")
    started, before = time.monotonic(), real.source.read_text()
    assert pairing.write_text(real) is True
    assert time.monotonic() - started < 5
    after = real.source.read_text()
    assert "mine" in after
    assert after.split("# ---\n")[1] == before.split("# ---\n")[1]
    assert pairing.compare(real) == []
