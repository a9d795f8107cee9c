"""Exercises checked where they are solved: offline, with a sentence that says what is wrong.

Those whose answer is a value are in checks.yaml; ``ch11_vote`` checks the exercise ``"11.vote"``: None is right.
"""

import difflib
import html
import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from helpers.errors import ExerciseError
from helpers.parameters import read_yaml

# checkers are found by the names of exercises; no page lists them
__all__ = ["check", "registered", "verdict"]

Checker = Callable[[Any], str | None]
TABLE: dict[str, list[dict[str, Any]]] = read_yaml(Path(__file__).with_name("checks.yaml"))


class NoResultError(Exception):
    """A function of the learner ended without returning anything."""


def registered() -> dict[str, Checker]:
    """Return every checker by the name of its exercise, ``"NN.name"``."""
    named = {name: one for name, one in globals().items() if re.match(r"ch\d\d_", name)}
    functions = {name[2:].replace("_", ".", 1): one for name, one in named.items()}
    return functions | {name: partial(judge, asks) for name, asks in TABLE.items()}


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

    def returning(*args: Any, **named: Any) -> Any:
        if (result := answer(*args, **named)) is None or result is ...:
            raise NoResultError
        return result

    try:
        return checker(returning if callable(answer) else answer)
    except NoResultError:
        return "the function returns nothing yet: let it *return* its result (printing it is not enough)."
    except Exception as error:  # noqa: BLE001  the learner's own code can raise anything
        if not callable(answer) and str(error).endswith("object is not callable"):
            return "a function is asked for, not a value: give its name to the check, without calling it."
        return f"your answer stopped with {type(error).__name__}: {error}"


def judge(asks: list[dict[str, Any]], answer: Any) -> str | None:
    """Return what the table says of the first value asked for that is not right."""
    for ask in asks:
        try:
            found = answer(*map(_given, ask["call"])) if "call" in ask else answer
        except ZeroDivisionError:
            return f"called with {str(ask['call'])[1:-1]} your function ends in a division by zero."
        right, counts = ask["right"], {}
        if right is None:
            continue
        if columns := ask.get("columns"):
            if not isinstance(found, pl.DataFrame | pl.LazyFrame):
                return f"return a table with the columns {', '.join(columns)}."
            found = sorted(found.lazy().select(columns).collect().rows(), key=str)
        if isinstance(right, set):
            found = set(found) if np.iterable(found) else {found}
            counts = {"lacking": len(right - found), "foreign": len(found - right)}
        else:
            found = _plain(found) if isinstance(right, list | str | dict) else float(found)
        other = ask["other"].format(found=found, **counts)
        if fault := _told(found, right, ask.get("wrong", []), other, ask.get("within", 1e-6)):
            return fault
    return None


def _given(value: Any) -> Any:
    """Return a copy of an argument; lists in a list become tuples, so that they can stand in a set."""
    if isinstance(value, list):
        return [tuple(one) if isinstance(one, list) else one for one in value]
    if isinstance(value, dict):
        return pl.DataFrame(value["frame"]) if "frame" in value else dict(value)
    return value


def _plain(found: Any) -> Any:
    """Return an answer with lists in place of what else holds several, in order where it has none."""
    if isinstance(found, dict):
        return {key: _plain(value) for key, value in found.items()}
    if np.iterable(found) and not isinstance(found, str):
        plain = [_plain(one) for one in found]
        return sorted(plain, key=str) if isinstance(found, set | frozenset) else plain
    return found.item() if isinstance(found, np.generic) else found


def _told(found: Any, right: Any, wrong: Any, other: str, within: float = 1e-6) -> str | None:
    """Return None for what is right, the sentence of a typical wrong value, or the sentence for any other."""
    if _same(found, right, within):
        return None
    return next((words for value, words in wrong if _same(found, value, max(within, 1e-6))), other)


def _same(found: Any, right: Any, within: float) -> bool:
    if isinstance(found, list) and isinstance(right, list) and len(found) == len(right):
        return all(_same(*both, within) for both in zip(found, right, strict=True))
    if not isinstance(found, float | int) or not isinstance(right, float | int):
        return found == right
    return math.isclose(found, right, rel_tol=within, abs_tol=1e-9)


def ch11_vote(answer: Callable[[np.ndarray, np.ndarray, np.ndarray], float]) -> str | None:
    """Check a function that lets neighbors vote on labels, held out by part."""
    chance = np.random.default_rng(5)
    part = np.repeat([f"part {number}" for number in range(6)], 40)
    side = np.tile(np.repeat([-1, 1], 20), 6)
    points = np.column_stack([np.repeat(8.0 * np.arange(6), 40), side]) + chance.normal(0, 0.1, (240, 2))
    # which side a label is on differs from part to part: neighbors of the own part know it, others do not
    own = np.where(side * np.repeat([1, 1, -1, 1, -1, -1], 40) > 0, "a", "b")
    own[chance.random(240) < 0.1] = "c"
    voted = cross_val_predict(KNeighborsClassifier(15), points, own, groups=part, cv=GroupKFold(3))
    truth, plain = balanced_accuracy_score(own, voted), (own == voted).mean()
    found = float(answer(points, own, part))
    if found > max(truth, plain) + 0.1:
        return "that is too good: neighbors of the cell's own part voted. Hold parts out with groups=part."
    micro = "that is the share of cells that are right; balanced accuracy weighs every label the same."
    other = f"the vote of 15 neighbors, three groups of parts, has a balanced accuracy of {truth:.3f}; yours says {found:.3f}."
    return _told(found, truth, [(plain, micro)], other)
