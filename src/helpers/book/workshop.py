"""Exercises checked where they are solved: offline, with a sentence that says what is wrong."""

import difflib
import html
import re
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import numpy as np

from helpers.book import checks
from helpers.errors import ExerciseError

_CHECKER = re.compile(r"ch(\d\d)_(\w+)")
Checker = Callable[[Any], str | None]


class NoResultError(Exception):
    """A function of the learner ended without returning anything."""


def registered() -> dict[str, Checker]:
    """Return every checker by the name of its exercise, ``"NN.name"``."""
    named = {_CHECKER.fullmatch(name): one for name, one in vars(checks).items()}
    functions = {f"{match[1]}.{match[2]}": one for match, one in named.items() if match}
    return functions | {name: partial(checks.judge, asks) for name, asks in checks.TABLE.items()}


def check(name: str, answer: Any) -> None:
    """Check an answer, a function or a value, to an exercise such as ``"03.smallest"``; show what is wrong with it."""
    from IPython.display import HTML, display

    checkers = registered()
    if name not in checkers:
        near = difflib.get_close_matches(name, checkers, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        msg = f"there is no exercise {name!r}.{hint}"
        raise ExerciseError(msg)
    wrong = verdict(checkers[name], answer)
    mark, kind, text = ("✓", "right", "right.") if wrong is None else ("✗", "wrong", f"not yet: {wrong}")
    display(
        HTML(f"<p class='exercise-{kind}'>{mark} <b>{html.escape(name)}</b> {html.escape(text)}</p>"),
        metadata={"musclebook": {"exercise": name, "right": wrong is None}},
    )


def verdict(checker: Checker, answer: Any) -> str | None:
    """Return what is wrong with an answer, or None; an answer that fails when called is wrong, not an error."""
    if answer is None or answer is ...:
        return "there is no answer yet: replace the dots by your own code and run the cell again."
    if isinstance(answer, np.generic):
        answer = answer.item()  # a whole number of numpy is a whole number
    try:
        return checker(_returning(answer) if callable(answer) else answer)
    except NoResultError:
        return "the function returns nothing yet: let it *return* its result (printing it is not enough)."
    except Exception as error:  # noqa: BLE001  the learner's own code can raise anything
        if not callable(answer) and str(error).endswith("object is not callable"):
            return "a function is asked for, not a value: give its name to the check, without calling it."
        return f"your answer stopped with {type(error).__name__}: {error}"


def _returning(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        result = function(*args, **named)
        if result is None or result is ...:
            raise NoResultError
        return result

    return call
