"""Checkers of exercises against typical wrong answers; right answers stand in the chapters, as solutions, and are run there."""

import math
import re

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from helpers.book import workshop
from helpers.facts import study

CHECKERS = workshop.registered()
DONORS = study.donors()
WITHOUT = sorted(DONORS.filter(DONORS["cells_10X_version"].is_null())["DonorID"])
WITH = sorted(set(DONORS["DonorID"]) - set(WITHOUT))
KINDS = {"embs", "top3", "scores"}
first, second = pl.col("first"), pl.col("second")


def keep(values, lower_mads, *, both=False):
    values = np.asarray(values)
    below = np.median(values) - values
    return list((np.abs(below) if both else below) <= lower_mads * np.median(np.abs(below)))


def merge(n, mean, m, other):
    return n + m, (n * mean + m * other) / (n + m)


def count(pairs):
    seen = pl.DataFrame(pairs, schema=["donor", "type"], orient="row")
    return seen.group_by("donor", "type").agg(n=pl.len())


def vote(points, own, part, *, judge=balanced_accuracy_score):
    folds = KFold(3, shuffle=True, random_state=0)
    return judge(own, cross_val_predict(KNeighborsClassifier(15), points, own, cv=folds))


# what gives one of the wrong values of the table is here if a function has to be called for it
WRONG = [
    ("01.dense", lambda cells, genes: cells * genes * 4 / 1e9, "gigabytes"),
    ("01.bins", {"15-20", "20-25", "50-55", "55-60", "70-75"}, "one single row"),
    ("01.align", lambda a, b, names: a == b, "occurs twice"),
    ("02.rule", lambda values, n: keep(values, n, both=True), "lower side"),
    ("02.counts", lambda values: np.expm1(values) / np.expm1(values).min(), "whole"),
    ("03.effective", lambda n, icc: n * (1 + (n - 1) * icc), "do not multiply"),
    ("03.smallest", lambda young, old: 1 / math.factorial(young + old), "orders within a group"),
    ("04.ways", lambda s, f: (sum(s) / sum(s + f),) * 2, "both numbers are the same"),
    ("04.nuclei", [*WITHOUT, WITH[0]], "1 of yours have cells"),
    ("05.sentence", lambda v, n: " ".join(sorted(v, key=lambda s: (-v[s], s))[:n]), "not expressed"),
    ("06.sigmoid", lambda s: s.filter(first - second <= 0.15), "negative score|both scores|classifier"),
    ("06.sigmoid", lambda s: s.height, "return a table with the columns first, second"),
    ("06.pair", lambda files: dict.fromkeys((f[: f.rindex("_")] for f in files), KINDS), "no scores file"),
    ("06.merge", lambda n, mean, m, other: (n + m, (mean + other) / 2), "mean of the two means"),
    ("06.merge", merge, "division by zero"),
    ("07.score", lambda table, genes: np.mean([table[one] for one in genes], axis=0), "center each gene"),
    ("07.empirical", lambda x, null: sum(abs(v) >= abs(x) for v in null) / len(null), "p-value of zero"),
    ("08.baseline", lambda ages: np.mean(np.abs(np.array(ages) - np.mean(ages))), "leave it out"),
    ("08.macro", lambda t, p: np.mean(np.array(t) == np.array(p)), "micro"),
    ("09.entropy", lambda groups: 1.0 if len(set(groups)) > 1 else 0.0, "bits"),
    ("09.jaccard", lambda a, b: len(set(a) & set(b)) / len(set(a) | set(b)), "undirected"),
    ("10.zeros", count, "a zero is an observation"),
    ("10.push", lambda y, o, k, r: math.log2(y[k] / y[r] * o[r] / o[k]), "young over old"),
    ("11.vote", vote, "too good"),
    ("12.exact", lambda y, o: 0.1, "compare with a small tolerance"),
]


def test_every_exercise_has_wrong_answers():
    told = {name for name, asks in workshop.TABLE.items() if any(ask.get("wrong") for ask in asks)}
    assert {name for name, *_ in WRONG} | told == set(CHECKERS)


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(name, answer, words):
    assert re.search(words, CHECKERS[name](answer))


def test_each_value_of_the_table_gets_its_own_sentence():
    for name, asks in workshop.TABLE.items():
        for ask in asks:
            assert set(ask) <= {"call", "columns", "right", "wrong", "other", "within"}, name
            for value, words in ask.get("wrong", ()):
                found = (
                    pl.DataFrame(value, columns, orient="row") if (columns := ask.get("columns")) else value
                )
                assert workshop.judge([{**ask, "call": ()}], lambda found=found: found) == words
