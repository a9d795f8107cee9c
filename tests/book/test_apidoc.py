from helpers.book import apidoc
from helpers.book.graph import package_folder


def test_every_docstring_of_the_package_is_sound_markup():
    bad = {}
    rooms = {path.parent for path in package_folder().rglob("*.py")}
    for room in rooms:
        texts = [text for path in sorted(room.glob("*.py")) for text in apidoc.docstrings(path).values()]
        fault = apidoc.faults_of("\n\n".join(texts))
        if fault:
            bad[room.name] = fault
    assert bad == {}


def test_an_unsound_docstring_is_shown_as_it_is():
    assert apidoc.plain_or_literal("a *b") == "::\n\n   a *b"
    assert apidoc.plain_or_literal("a *b*") == "a *b*"


def test_a_room_lists_functions_with_short_signatures():
    text = apidoc.room("facts")
    assert ".. py:module:: helpers.facts.study" in text
    assert ".. py:function:: donors(" in text
