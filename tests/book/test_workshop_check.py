import pytest

from helpers.book import workshop
from helpers.errors import ExerciseError


@pytest.fixture
def shown(monkeypatch):
    calls = []
    monkeypatch.setattr("IPython.display.display", lambda item, **kw: calls.append((item, kw)))
    return calls


def _one(answer):
    return None if answer == 1 else "it is one."


@pytest.fixture(autouse=True)
def one_exercise(monkeypatch):
    monkeypatch.setattr(workshop, "registered", lambda: {"01.one": _one})


def test_a_right_answer_is_said_to_be_right(shown):
    workshop.check("01.one", 1)
    assert "right" in shown[0][0].data
    assert shown[0][1]["metadata"]["musclebook"] == {"exercise": "01.one", "right": True}


def test_a_wrong_answer_gets_its_sentence_escaped(shown, monkeypatch):
    monkeypatch.setattr(workshop, "registered", lambda: {"01.one": lambda _: "<script>"})
    workshop.check("01.one", 2)
    assert "not yet: &lt;script&gt;" in shown[0][0].data


@pytest.mark.parametrize("nothing", [None, ...])
def test_no_answer_is_no_error(shown, nothing):
    workshop.check("01.one", nothing)
    assert "there is no answer yet" in shown[0][0].data


def test_an_answer_that_fails_is_wrong_and_says_how():
    assert "ZeroDivisionError" in workshop.verdict(lambda answer: answer(), lambda: 1 / 0)
    assert "a function is asked for" in workshop.verdict(lambda answer: answer(), 4.0)


def test_an_unknown_exercise_names_the_nearest():
    with pytest.raises(ExerciseError, match=r"Did you mean '01\.one'"):
        workshop.check("01.on", 1)
