import ast
import itertools
import re

import nbformat
import pytest

from helpers.book import doctor, editions, instructor, schedule, workshop
from helpers.book.project import Project, find_project
from helpers.errors import ExerciseError

BOOK = find_project()
every_notebook = pytest.mark.parametrize("name", list(BOOK.notebooks))


def solutions(name):
    return [cell for cell in BOOK.notebooks[name].read().cells if "solution" in cell.metadata.get("tags", [])]


@every_notebook
def test_stubs_define_what_solutions_define_and_give_nothing_away(name):
    for cell in solutions(name):
        stub = editions.stub_of(cell.source)
        wanted = {node.name for node in ast.parse(cell.source).body if isinstance(node, ast.FunctionDef)}
        tree = ast.parse(stub)
        assert {node.name for node in tree.body if isinstance(node, ast.FunctionDef)} == wanted
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                assert isinstance(node.body[-1], ast.Raise)
                assert len(node.body) <= 2
            if isinstance(node, ast.Assign):
                assert ast.unparse(node.value) == "..."
        assert stub.count("check(") == 1


@every_notebook
def test_stubs_run_up_to_the_check_and_say_that_nothing_is_there_yet(name, monkeypatch):
    verdicts = []
    monkeypatch.setattr(workshop, "_show", lambda exercise, wrong: verdicts.append((exercise, wrong)))
    for cell in solutions(name):
        code = editions.stub_of(cell.source)
        exec(compile(code, name, "exec"), {"check": workshop.check})
    assert len(verdicts) == len(solutions(name))
    for exercise, wrong in verdicts:
        assert wrong, exercise
        assert "stopped with" not in wrong, (exercise, wrong)


@every_notebook
def test_a_called_stub_raises_a_clear_error(name):
    for cell in solutions(name):
        space = {"check": lambda *_: None}
        exec(compile(editions.stub_of(cell.source), name, "exec"), space)
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.FunctionDef):
                needed = [None] * len(node.args.args)
                with pytest.raises(NotImplementedError, match=r"exercise \d\d\.\w+ is not solved yet: write"):
                    space[node.name](*needed)


def test_an_answer_inside_the_check_is_cut():
    stub = editions.stub_of("helper = 3\ncheck('01.x', helper + 4)")
    assert "4" not in stub
    assert "3" not in stub
    assert "check('01.x', ...)" in stub


def test_editions_come_from_one_source(made, tmp_path):
    out = tmp_path / "teaching"
    book = made.choose(["01"])[0]
    text = book.source.read_text()
    try:
        book.source.write_text(text.replace("twice(count)", 'twice(count)\ncheck("01.twice", twice)'))
        only = Project(made.root, made.build)
        counts = editions.write(only, out)
    finally:
        book.source.write_text(text)
    assert counts == {"01_first": 1, "02_second": 0}
    learner = nbformat.read(out / "learner" / "01_first.ipynb", as_version=4)
    solution = nbformat.read(out / "solution" / "01_first.ipynb", as_version=4)
    assert not any("2 * value" in cell.source for cell in learner.cells)
    assert any("2 * value" in cell.source for cell in solution.cells)
    assert any("stub" in cell.metadata.get("tags", []) for cell in learner.cells)
    assert not any(cell.get("outputs") for cell in learner.cells)
    page = (out / "instructor.md").read_text()
    assert "Write a function that doubles." in page
    assert "**Hint.** Multiply." in page
    assert "## Schedule: half-day" in page


def test_expected_output_is_shown_as_text():
    cell = nbformat.v4.new_code_cell('check("01.x", y)', metadata={"tags": ["solution"]})
    page = editions.learner(nbformat.v4.new_notebook(cells=[cell]), expected={"01.x": "✓ 01.x right."})
    assert "✓ 01.x right." in page.cells[0].source
    assert page.cells[1].metadata["tags"] == ["stub"]


def test_an_exercise_without_hint_or_check_is_refused():
    cells = [nbformat.v4.new_markdown_cell("```{exercise} A\n```", metadata={"tags": ["exercise"]})]
    with pytest.raises(
        ExerciseError, match="cell 1 of 01_x is an exercise without title, hint, solution or check"
    ):
        editions.exercises_of(nbformat.v4.new_notebook(cells=cells), name="01_x")


def test_every_checker_can_say_what_is_wrong():
    for name in workshop.registered():
        assert instructor.sentences_of_checker(name), name


CHAPTERS = {
    f"0{i}": {"title": f"Chapter {i}", "minutes": {"reading": 20 + 5 * i, "exercises": 5 * i}}
    for i in range(1, 7)
}


@pytest.mark.parametrize("length", ["half-day", "one-day"])
@pytest.mark.parametrize(
    "chapters",
    [
        CHAPTERS,
        {n: {"title": b.sidecar.title, "minutes": b.sidecar.minutes} for n, b in BOOK.notebooks.items()},
    ],
)
def test_minutes_add_up_to_the_schedule(length, chapters):
    blocks = schedule.plan(chapters, length=length)
    for one, following in itertools.pairwise(blocks):
        assert one.start + one.minutes == following.start
    assert blocks[-1].start + blocks[-1].minutes <= schedule.START + schedule.LENGTHS[length]
    given = schedule.minutes_by_chapter(blocks)
    assert given
    for name, minutes in given.items():
        assert minutes == sum(chapters[name]["minutes"].values())
    work = [one for one in blocks if one.what not in {"Break", "Lunch"}]
    assert all(one.minutes <= 90 for one in work)
    assert [one.what for one in blocks].count("Lunch") == (length == "one-day")


def test_doctor_says_of_each_thing_whether_it_is_ready(project, monkeypatch):
    monkeypatch.setenv("MUSCLEBOOK_CACHE", str(project.root / "cache"))
    (project.root / "requirements.lock").write_text("polars==0.0.1 \\\nnot-there==1.0\n")
    found = {one.what: one for one in doctor.examine(project)}
    assert found["python"].state == doctor.GOOD
    assert found["kernel"].state == doctor.GOOD, found["kernel"].words
    assert found["packages"].state == doctor.DOUBT
    assert re.search(r"polars \S+ for 0\.0\.1", found["packages"].words)
    assert "not-there" not in found["packages"].words
    assert found["notebooks"].state == doctor.DOUBT
    assert "musclebook pair" in found["notebooks"].words
    assert found["folders"].state == doctor.GOOD
    assert found["atlas"].state == doctor.DOUBT
    (project.root / "requirements.lock").unlink()
    assert next(one for one in doctor.examine(project) if one.what == "packages").state == doctor.BAD


def test_the_doctor_reads_the_lines_of_the_lock_that_hold_here():
    lock = (
        "anndata==0.12.19 ; python_full_version < '3' \\\n    --hash=sha256:aa\n"
        "anndata==0.13.4 ; python_full_version >= '3' \\\n    --hash=sha256:bb\n"
        "colorama==0.4.6 ; sys_platform == 'nowhere' \\\n    --hash=sha256:cc\n"
        "pyzmq==27.1.0 \\\n    --hash=sha256:dd\n"
    )
    assert doctor.locked_versions(lock) == {"anndata": "0.13.4", "pyzmq": "27.1.0"}
