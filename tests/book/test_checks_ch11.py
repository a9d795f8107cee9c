import polars as pl
import pytest
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from helpers.book.workshop import registered


def vote(points, own, part, folds=None, groups=True):
    cv = folds or GroupKFold(3)
    guess = cross_val_predict(KNeighborsClassifier(15), points, own, groups=part if groups else None, cv=cv)
    return balanced_accuracy_score(own, guess)


def share_right(points, own, part):
    guess = cross_val_predict(KNeighborsClassifier(15), points, own, groups=part, cv=GroupKFold(3))
    return (guess == own).mean()


def purity(clusters):
    return clusters.group_by("cluster").agg(pl.col("cells").max())["cells"].sum() / clusters["cells"].sum()


def mean_purity(clusters):
    largest = clusters.group_by("cluster").agg(pl.col("cells").max() / pl.col("cells").sum())
    return largest["cells"].mean()


RIGHT = {"11.offset": (384, 392), "11.vote": vote, "11.purity": purity}
WRONG = [
    ("11.offset", (384, 391), "the one after it"),
    ("11.offset", (320, 352), "add the widths"),
    ("11.offset", 384, "two numbers"),
    ("11.vote", share_right, "every label the same"),
    (
        "11.vote",
        lambda *data: vote(*data, folds=KFold(3, shuffle=True, random_state=0), groups=False),
        "too good",
    ),
    ("11.purity", mean_purity, "mean over clusters"),
    ("11.purity", lambda clusters: 1.0, "104 in 120"),
]


def test_every_exercise_has_a_right_answer():
    assert set(RIGHT) == {name for name in registered() if name.startswith("11.")}


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_answer_passes(name):
    assert registered()[name](RIGHT[name]) is None


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_a_wrong_answer_is_explained(name, answer, words):
    told = registered()[name](answer)
    assert told is not None
    assert any(word in told for word in words.split("|"))
