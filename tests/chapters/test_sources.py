"""What can be said of the notebooks without running them."""

import re
from pathlib import Path

import pytest

from helpers import parameters
from helpers.book import pairing
from helpers.book.project import PROFILES, Project, tags
from helpers.budget import to_bytes

import contract  # isort: skip  conftest puts the folder tests on the path
import prose  # isort: skip

ROOT = Path(__file__).parents[2]
BOOKS = Project(ROOT).choose()
PAGES = "\n".join(path.read_text() for path in (ROOT / "book").glob("*.md"))
every_notebook = pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)


def declared(book):
    return parameters.read_parameters(book.read(), name=book.name)


def tagged(book, tag):
    return [cell for cell in book.read().cells if tag in tags(cell)]


@every_notebook
def test_text_and_pair_agree_and_no_digit_that_a_run_could_change_is_typed_into_prose(book):
    assert pairing.compare(book) == []
    defaults = [one.default for one in declared(book).values() if type(one.default) in (int, float)]
    assert prose.typed_digits(book.read(), defaults=defaults, minutes=book.sidecar.minutes.values()) == []


@pytest.mark.parametrize("page", sorted((ROOT / "book").glob("*.md")), ids=lambda path: path.stem)
def test_no_digit_that_a_run_could_change_is_typed_into_a_page(page):
    text = re.sub(r"(?m)^\| \d\d:\d\d .*$", "", page.read_text())  # schedules, which a test makes again
    assert prose.lines_with_digits(text) == []


@every_notebook
def test_what_is_recorded_is_shown_and_promised(book):
    recorded, said = contract.recorded_names(book.read()), contract.said_names(book.read())
    shown = said | set(re.findall(rf"{book.name}:(\w+)", PAGES))
    assert recorded - shown == set(), "recorded, never shown"
    assert said - recorded == set(), "shown, never recorded"
    assert recorded == set(book.sidecar.records), "sidecar"


@every_notebook
def test_parameters_are_sound_and_profiles_fit_them(book):
    found = declared(book)
    assert list(found)[-1] == "out_dir"
    for profile in PROFILES:
        parameters.check(found, book.sidecar.profiles.get(profile, {}), name=f"{book.name} {profile}")
    # nbmake runs the test profile
    (cell,) = tagged(book, "parameters")
    assert cell.metadata.get("nbmake", {}).get("mock", {}) == book.sidecar.profiles.get("test", {})


@every_notebook
def test_the_header_states_the_minutes_and_memory_of_the_sidecar(book):
    (header,) = tagged(book, "header")
    for minutes in book.sidecar.minutes.values():
        assert re.search(rf"\b{minutes}\b", header.source), f"{minutes} minutes"
    small, full = book.sidecar.memory, book.sidecar.memory_full
    assert f"under {small} on the default atlas, under {full} at full size" in header.source
    assert to_bytes(small) <= to_bytes(full) <= 8 * 2**30


@every_notebook
def test_nine_of_ten_cells_of_the_analysis_are_seen_short_and_narrow(book):
    """What a reader copies fits the page; only bookkeeping and solutions may be longer."""
    aside = {"solution", "parameters", "remove-input", "remove-cell"}
    code = [cell for cell in book.read().cells if cell.cell_type == "code"]
    analysis = [cell for cell in code if not aside & tags(cell)]
    for cell in analysis:
        lines = [line for line in cell.source.splitlines() if line.strip()]
        fits = len(lines) <= 25 and max(map(len, lines)) <= 79
        assert fits or "hide-input" in tags(cell), cell.source
    hidden = [cell for cell in analysis if {"hide-input", "hide-cell"} & tags(cell)]
    assert len(hidden) <= 0.1 * len(analysis)


@every_notebook
def test_every_figure_has_caption_label_and_alt_text(book):
    looks = [cell.metadata.get("mystnb", {}) for cell in book.read().cells]
    looks = [look for look in looks if "figure" in look]
    assert len({look["figure"]["name"] for look in looks}) == len(looks)
    for look in looks:
        assert look["figure"]["name"].startswith(f"fig-{book.name[:2]}-")
        assert look["figure"]["caption"].endswith("."), look
        assert len(look["image"]["alt"]) > 40, look
