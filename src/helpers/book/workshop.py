"""Exercises checked where they are solved: offline, with a sentence that says what is wrong.

Those whose answer is a value are in checks.yaml; ``ch02_rule`` checks the exercise ``"02.rule"``: None is right.
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
    return found


def _told(found: Any, right: Any, wrong: Any, other: str, within: float = 1e-6) -> str | None:
    """Return None for what is right, the sentence of a typical wrong value, or the sentence for any other."""
    if _same(found, right, within):
        return None
    return next((words for value, words in wrong if _same(found, value, within)), other)


def _same(found: Any, right: Any, within: float) -> bool:
    if isinstance(found, list) and isinstance(right, list) and len(found) == len(right):
        return all(_same(*both, within) for both in zip(found, right, strict=True))
    if not isinstance(found, float | int | np.generic) or not isinstance(right, float | int):
        return found == right
    return math.isclose(found, right, rel_tol=within, abs_tol=1e-9)


def ch02_counts(answer: Callable[[list[float]], list[int]]) -> str | None:
    """Check a function that turns released values of one cell into whole counts."""
    truth = [1, 2, 7, 1]
    # in single precision, as released: only rounding gives whole counts back
    released = [float(np.float32(math.log1p(count * 10_000 / 1234))) for count in truth]
    found = [float(value) for value in answer(released)]
    if found == truth:
        return None
    if len(found) != len(truth):
        return "give one count for each value."
    if np.allclose(found, truth, rtol=0, atol=0.01):
        return "nearly: counts are whole, so round after dividing (np.rint)."
    if np.allclose(found, np.divide(released, released[0]), rtol=0, atol=0.5):
        return "undo the logarithm first (np.expm1), then divide by the smallest."
    return f"counts 1, 2, 7, 1 came back as {', '.join(f'{value:g}' for value in found)}."


def ch06_sigmoid(answer: Callable[[pl.DataFrame], pl.DataFrame]) -> str | None:
    """Check a function that keeps the rows in which both labels are at least as likely as not."""
    close = "a negative score is a probability below one half, however close the two scores are."
    strong = "the labels have a classifier each: a strong first label takes nothing from the second."
    cases = [
        (0.9, 0.8, True, "both scores are positive, so both probabilities are above one half."),
        (0.9, -0.1, False, close),
        (3.0, 0.1, True, strong),
        (0.0, 0.0, True, "the sigmoid of zero is one half, and one half is enough."),
        (-1.0, -1.0, False, "two equal negative scores are two labels that the model does not believe."),
    ]
    scores = pl.DataFrame([case[:2] for case in cases], schema=["first", "second"], orient="row")
    kept = answer(scores)
    if isinstance(kept, pl.LazyFrame):
        kept = kept.collect()
    if not isinstance(kept, pl.DataFrame) or not {"first", "second"} <= set(kept.columns):
        return "return the rows that are kept, as a frame with the columns first and second."
    rows = set(kept.select("first", "second").iter_rows())
    return next((message for *case, right, message in cases if (tuple(case) in rows) is not right), None)


def ch10_zeros(answer: Callable[[list[tuple[str, str]]], pl.DataFrame]) -> str | None:
    """Check a count by donor and type that keeps its zeros."""
    found = answer([("A", "T"), ("A", "T"), ("A", "B"), ("C", "T")])
    if lacking := sorted({"donor", "type", "n"} - set(found.columns)):
        return f"the table has no column {lacking[0]!r}; wanted are donor, type and n."
    counted = {(donor, kind): n for donor, kind, n in found.select("donor", "type", "n").rows()}
    if found.height > len(counted):
        return "some donor and type stand in two rows; one row each is wanted."
    if ("C", "B") not in counted:
        return "donor C has no B, and the table has no row for it: a zero is an observation, give it a row."
    if counted[("C", "B")] is None:
        return "donor C's count of B is null: nothing counted is zero, not unknown."
    for (donor, kind), n in {("A", "T"): 2, ("A", "B"): 1, ("C", "T"): 1, ("C", "B"): 0}.items():
        if counted.get((donor, kind)) != n:
            return f"donor {donor} has {n} of {kind}, not {counted.get((donor, kind))}."
    return None


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
