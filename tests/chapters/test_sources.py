"""What can be said of the notebooks without running them."""

import ast
import re
from pathlib import Path

import pytest

from helpers import parameters
from helpers.book import pairing
from helpers.book.project import PROFILES, Project
from helpers.budget import to_bytes
from helpers.errors import ParameterError

import contract  # isort: skip  conftest puts this folder on the path
import prose  # isort: skip

ROOT = Path(__file__).parents[2]
BOOKS = Project(ROOT).choose()
PAGES = "\n".join(path.read_text() for path in (ROOT / "book").glob("*.md"))

WIDEST = 79  # columns of code that a page shows
every_notebook = pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)


def declared(book):
    return parameters.read_parameters(book.read(), name=book.name)


def tagged(book, tag):
    return [cell for cell in book.read().cells if tag in cell.metadata.get("tags", [])]


def test_there_are_notebooks():
    assert len(BOOKS) >= 8


@every_notebook
def test_text_and_pair_agree(book):
    assert [str(one) for one in pairing.compare(book)] == []


@every_notebook
def test_no_digit_that_a_run_could_change_is_typed_into_prose(book):
    defaults = [one.default for one in declared(book).values() if type(one.default) in (int, float)]
    found = prose.typed_digits(book.read(), defaults=defaults, minutes=book.sidecar.minutes.values())
    assert found == []


@pytest.mark.parametrize("page", sorted((ROOT / "book").glob("*.md")), ids=lambda path: path.stem)
def test_no_digit_that_a_run_could_change_is_typed_into_a_page(page):
    text = re.sub(r"(?m)^\| \d\d:\d\d .*$", "", page.read_text())  # schedules, which a test makes again
    assert prose.lines_with_digits(text) == []


@every_notebook
def test_no_value_stands_bare_below_a_figure(book):
    bare = []
    for cell in book.read().cells:
        if "figure" in cell.metadata.get("mystnb", {}):
            last = ast.parse(cell.source).body[-1]
            if isinstance(last, ast.Expr) and not cell.source.rstrip().endswith(";"):
                bare.append(ast.unparse(last)[:60])
    assert bare == []


@every_notebook
def test_what_is_recorded_is_shown_and_promised(book):
    recorded, said = contract.recorded_names(book.read()), contract.said_names(book.read())
    shown = said | set(re.findall(rf"{book.name}:(\w+)", PAGES))
    assert recorded - shown == set(), "recorded, never shown"
    assert said - recorded == set(), "shown, never recorded"
    assert recorded == set(book.sidecar.records), "sidecar"


def test_pages_show_only_what_is_recorded():
    recorded = {(book.name, name) for book in BOOKS for name in contract.recorded_names(book.read())}
    asked = set(re.findall(r"\{finding\}`(\w+):(\w+)", PAGES))
    assert asked - recorded == set()
    assert len(asked) > 3


@every_notebook
def test_parameters_are_sound_and_profiles_fit_them(book):
    found = declared(book)
    assert list(found)[-1] == "out_dir"
    assert found["out_dir"].default == ""
    for profile in PROFILES:
        parameters.check(found, book.sidecar.profiles.get(profile, {}), name=f"{book.name} {profile}")


@every_notebook
def test_every_choice_of_a_parameter_is_taken_and_no_other(book):
    found = declared(book)
    for one in found.values():
        for choice in one.choices:
            assert parameters.check(found, {one.name: choice}) == {one.name: choice}
        if one.choices:
            with pytest.raises(ParameterError, match=f"{one.name}.*did you mean {one.choices[0]!r}"):
                parameters.check(found, {one.name: one.choices[0] + "x"}, name=book.name)


@every_notebook
def test_the_mock_of_nbmake_is_the_test_profile(book):
    (cell,) = tagged(book, "parameters")
    assert cell.metadata.get("nbmake", {}).get("mock", {}) == book.sidecar.profiles.get("test", {})


@every_notebook
def test_the_header_states_the_minutes_and_memory_of_the_sidecar(book):
    (header,) = tagged(book, "header")
    for minutes in book.sidecar.minutes.values():
        assert re.search(rf"\b{minutes}\b", header.source), f"{minutes} minutes"
    stated = (
        f"under {book.sidecar.memory} on the default atlas, under {book.sidecar.memory_full} at full size"
    )
    assert stated in header.source
    assert to_bytes(book.sidecar.memory) <= to_bytes(book.sidecar.memory_full) <= 8 * 2**30


@every_notebook
def test_visible_cells_are_short_and_narrow(book):
    """What a reader copies fits the page; only bookkeeping and solutions may be longer."""
    for number, cell in enumerate(book.read().cells, 1):
        hidden = {"solution", "parameters", "remove-input", "remove-cell", "hide-input"}
        if cell.cell_type == "code" and not hidden & set(cell.metadata.get("tags", [])):
            lines = [line for line in cell.source.splitlines() if line.strip()]
            assert len(lines) <= 25, f"cell {number} has {len(lines)} lines"
            wide = [line for line in lines if len(line) > WIDEST]
            assert wide == [], f"cell {number}"


@every_notebook
def test_every_figure_has_caption_label_and_alt_text(book):
    for number, cell in enumerate(book.read().cells, 1):
        if "figure" in cell.metadata.get("mystnb", {}):
            figure, image = cell.metadata["mystnb"]["figure"], cell.metadata["mystnb"].get("image", {})
            assert figure.get("caption", "").endswith("."), f"cell {number}"
            assert figure.get("name", "").startswith(f"fig-{book.name[:2]}-"), f"cell {number}"
            assert len(image.get("alt", "")) > 40, f"cell {number}"


def test_labels_of_figures_are_unique():
    cells = [cell for book in BOOKS for cell in book.read().cells]
    labels = [one["figure"]["name"] for cell in cells if "figure" in (one := cell.metadata.get("mystnb", {}))]
    assert len(labels) == len(set(labels))


@every_notebook
def test_nine_of_ten_cells_of_the_analysis_are_seen(book):
    aside = {"solution", "parameters", "remove-input", "remove-cell"}
    code = [set(one.metadata.get("tags", [])) for one in book.read().cells if one.cell_type == "code"]
    analysis = [tags for tags in code if not tags & aside]
    assert sum(not tags & {"hide-input", "hide-cell"} for tags in analysis) >= 0.9 * len(analysis)
