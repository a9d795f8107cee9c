"""What a teacher and a class rely on: editions without answers, checks with sentences, schedules that fit."""

import ast
import re
import symtable

import nbformat
import numpy as np
import pytest

from helpers.book import teaching, workshop
from helpers.book.project import Project, find_project, tags
from helpers.errors import ExerciseError

BOOK = find_project()
every_notebook = pytest.mark.parametrize("name", list(BOOK.notebooks))

EXERCISE = "### Exercise: Double (5 minutes)\n\nWrite.\n\n<details><summary>Hint</summary>\n\nMultiply.\n\n</details>"
SOLUTION = "def twice(x):\n    return 2 * x\n\n\nprint(twice(4))\ncheck('01.twice', twice)"


def solutions(name):
    return [cell.source for cell in BOOK.notebooks[name].read().cells if "solution" in tags(cell)]


def chapter(exercise, solution):
    question = nbformat.v4.new_markdown_cell(exercise, metadata={"tags": ["exercise"]})
    answer = nbformat.v4.new_code_cell(solution, metadata={"tags": ["solution"]})
    return nbformat.v4.new_notebook(cells=[question, answer])


@every_notebook
def test_every_chapter_has_exercises_between_its_sections_in_the_minutes_that_it_states(name):
    book = BOOK.notebooks[name]
    found = teaching.exercises_of(book.read(), name=name)
    assert found
    assert sum(one.minutes for one in found) == book.sidecar.minutes["exercises"]
    assert {one.name for one in found} == {one for one in workshop.registered() if one.startswith(name[:2])}
    titles = " ".join(one.title.lower() for one in found)
    for block in book.sidecar.teach:
        taught = re.search("exercises?: (.+?)(; quiz|$)", block.what.lower())
        assert not taught or all(words in titles for words in re.split("[;,] ", taught[1]))
    headings = [re.match(r"## |### Exercise", cell.source) for cell in book.read().cells]
    kinds = [one[0] for one in headings if one]
    assert "### Exercise" * 3 not in "".join(kinds), "three exercises in a row: put them between sections"


@every_notebook
def test_stubs_keep_names_and_hold_no_answer(name):
    for source in solutions(name):
        stub = ast.parse(teaching.stub_of(source)).body
        (check,) = [node.value for node in stub if isinstance(node, ast.Expr)]
        given = [*check.args[1:], *(one.value for one in check.keywords)]
        held = [one for one in given if not isinstance(one, ast.Name)]
        for node in stub:
            if not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr):
                held.append(node.body if isinstance(node, ast.FunctionDef) else node.value)
        assert {ast.unparse(one) for one in held} <= {"..."}


def names_of(table):
    """Names that a cell makes, and names that it or a function in it takes from the notebook."""
    stored = {one.get_name() for one in table.get_symbols() if one.is_assigned()}
    used = {one.get_name() for one in table.get_symbols() if one.is_referenced()}
    inner = list(table.get_children())
    for one in inner:
        used |= {symbol.get_name() for symbol in one.get_symbols() if symbol.is_global()}
        inner += one.get_children()
    return stored, used


@every_notebook
def test_no_cell_needs_a_name_that_only_a_solution_makes(name):
    made, faults = set(), []
    for cell in BOOK.notebooks[name].read().cells:
        if cell.cell_type == "code":
            stored, used = names_of(symtable.symtable(cell.source, "cell", "exec"))
            faults += sorted((used - stored) & made)
            made = made | stored if "solution" in tags(cell) else made - stored
    assert faults == []


@every_notebook
def test_unsolved_and_wrong_answers_get_a_sentence(name, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda item, **more: shown.append((item.data, more)))
    for source in solutions(name):
        stub = teaching.stub_of(source)
        exec(compile(stub, "cell", "exec"), {"check": workshop.check})
        words, more = shown.pop()
        assert re.search("no answer yet|returns nothing yet", words)
        exercise = more["metadata"]["musclebook"]["exercise"]
        assert teaching.sentences_of_checker(exercise)
        for nonsense in (lambda *a, **k: -1, lambda *a, **k: "x") if "def " in stub else (-1, "x"):
            assert workshop.verdict(workshop.registered()[exercise], nonsense), source


def test_a_verdict_is_shown_with_its_sentence_escaped(monkeypatch):
    calls = []
    monkeypatch.setattr("IPython.display.display", lambda item, **more: calls.append((item, more)))
    checkers = {"01.one": lambda x: None if x == 1 else "<it is one>"}
    monkeypatch.setattr(workshop, "registered", lambda: checkers)
    for answer, words in {1: "right", 2: "not yet: &lt;it is one&gt;", ...: "no answer yet"}.items():
        workshop.check("01.one", answer)
        shown, more = calls.pop()
        assert words in shown.data
        assert more["metadata"]["musclebook"] == {"exercise": "01.one", "right": answer == 1}
    with pytest.raises(ExerciseError, match=r"Did you mean '01\.one'"):
        workshop.check("01.on", 1)


def test_an_answer_that_fails_is_wrong_and_says_how():
    assert "let it *return*" in workshop.verdict(lambda answer: str(answer(2)), print)
    assert "ZeroDivisionError" in workshop.verdict(lambda answer: answer(), lambda: 1 / 0)
    assert "a function is asked for" in workshop.verdict(lambda answer: answer(), 4.0)
    assert workshop.verdict(lambda answer: None if type(answer) is int else "no.", np.int64(0)) is None


@pytest.mark.parametrize(
    ("bound", "given"),
    [
        ("(a, [b, c]) = 7, [8, 9]", "a + 7"),
        ("%%time\na: int = 7\nb: float = 8.0", "answer=78"),
        ("!ls\nf, *r = a, *b = 7, 8", "9"),
    ],
)
def test_a_stub_keeps_every_name_that_the_check_asks_for_and_no_value(bound, given):
    space = {"check": lambda *given, **named: None}
    stub = teaching.stub_of(f"{bound}\ncheck('01.x', a, b, {given})")
    exec(stub, space)
    assert space["a"] is space["b"] is ...
    assert not re.search("[789]", stub)


def test_the_learner_sees_what_a_solution_shows_and_not_the_solution():
    verdict = nbformat.v4.new_output("display_data", {"text/html": "right"}, metadata={"musclebook": {}})
    picture = nbformat.v4.new_output("display_data", {"image/png": "aGVsbG8="})
    outputs = [nbformat.v4.new_output("stream", text="8\n"), picture, verdict]
    page = teaching.learner(chapter(EXERCISE, SOLUTION), expected={"01.twice": outputs})
    shown, stub = page.cells[1:]
    assert re.fullmatch("(?s)<details>.*8.*</details>", shown.source)
    assert "right" not in shown.source
    assert shown.attachments["expected_0.png"]["image/png"] == "aGVsbG8="
    assert "2 * x" not in stub.source


@pytest.mark.parametrize(("old", "new"), [("5 minutes", "soon"), ("Hint", "Help"), ("check(", "print(")])
def test_an_exercise_that_is_not_whole_is_refused(old, new):
    broken = chapter(EXERCISE.replace(old, new), SOLUTION.replace(old, new))
    with pytest.raises(ExerciseError, match="cell 1 of 01_x is an exercise without"):
        teaching.exercises_of(broken, name="01_x")


@pytest.mark.parametrize("minutes", [90, 240, 480])
def test_a_schedule_fits_its_time_without_gaps_and_with_breaks(minutes):
    slots = teaching.plan(BOOK.choose(), minutes=minutes)
    now, worked = slots[0].start, 0
    for slot in slots:
        assert slot.start == now
        now += slot.minutes
        worked = 0 if slot.what in ("Break", "Lunch") else worked + slot.minutes
        assert worked <= 95
    assert now - slots[0].start <= minutes
    assert any(slot.what == "Lunch" for slot in slots) == (minutes > 240)
    page = (BOOK.root / "book" / "workshop.md").read_text()
    assert minutes == 90 or teaching.schedule_table(slots) in page
    if minutes == 240:  # teaches the lesson whole
        core = [block for book in BOOK.choose() for block in book.sidecar.teach if block.core]
        assert [slot.block for slot in slots if slot.block] == core
        assert all(block.skip and block.asked for block in core)


def test_editions_come_from_one_source(tmp_path):
    book, out = Project(BOOK.root, tmp_path / "build"), tmp_path / "out"
    assert teaching.write(book, out, chapters=["02"], minutes=120) == {"02_quality": 3}
    for edition in ("learner", "solution"):
        cells = nbformat.read(out / edition / "02_quality.ipynb", as_version=4).cells
        assert any("solution" in tags(cell) for cell in cells) == (edition == "solution")
        of_the_site = any(re.search(r"\{\w+\}`|^:::|\.\./book", cell.source, re.M) for cell in cells)
        assert not of_the_site
    assert "What the check says to wrong answers:" in (out / "teacher.md").read_text()
    with pytest.raises(ExerciseError, match="20 minutes are too few for any block of 02_quality"):
        teaching.write(BOOK, out, chapters=["02"], minutes=20)
