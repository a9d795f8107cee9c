import polars as pl
import pytest

from helpers.book.workshop import registered


def merge(n, mean, m, other):
    total = n + m
    return total, (n * mean + m * other) / total if total else 0.0


def pair(files):
    found = {}
    for name in files:
        stem, _, kind = name.removesuffix(".npz").rpartition("_")
        found.setdefault(stem, set()).add(kind)
    return found


def by_position(files):
    embs = [f for f in files if "embs" in f]
    return {e.removesuffix("_embs.npz"): {"embs", "top3", "scores"} for e in embs}


first, second = pl.col("first"), pl.col("second")
RIGHT = {
    "06.sigmoid": lambda scores: scores.filter(first >= 0, second >= 0),
    "06.pair": pair,
    "06.merge": merge,
}
WRONG = [
    (
        "06.sigmoid",
        lambda scores: scores.filter(first - second <= 0.15),
        "negative score|both scores|classifier",
    ),
    ("06.sigmoid", lambda scores: scores.filter(first > 0, second > 0), "one half is enough"),
    ("06.sigmoid", lambda scores: scores.height, "return the rows"),
    ("06.pair", by_position, "no scores file"),
    ("06.pair", lambda files: {"_".join(f.split("_")[:3]): {"embs"} for f in files}, "the stems are"),
    ("06.merge", lambda n, mean, m, other: (n + m, (mean + other) / 2), "mean of the two means"),
    ("06.merge", lambda n, mean, m, other: (n + m, (n * mean + m * other) / (n + m)), "division by zero"),
]


def test_every_exercise_has_a_right_answer():
    assert set(RIGHT) == {name for name in registered() if name.startswith("06.")}


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_answer_passes(name):
    assert registered()[name](RIGHT[name]) is None


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_a_wrong_answer_is_explained(name, answer, words):
    told = registered()[name](answer)
    assert told is not None
    assert any(word in told for word in words.split("|"))
