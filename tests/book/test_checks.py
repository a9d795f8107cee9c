"""Every checker of an exercise against right answers and typical wrong ones."""

import math
import re
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from helpers.book.workshop import registered
from helpers.facts import study
from helpers.facts.signatures import signatures

CHECKERS = registered()


def keep(values, lower_mads, *, both=False):
    values = np.asarray(values)
    below = np.median(values) - values
    return list((np.abs(below) if both else below) <= lower_mads * np.median(np.abs(below)))


def averages(slow, fast):
    shares = [s / (s + f) for s, f in zip(slow, fast, strict=True)]
    return sum(slow) / (sum(slow) + sum(fast)), sum(shares) / len(shares)


def sentence(values, n):
    return " ".join(symbol for _, symbol in sorted((-v, s) for s, v in values.items() if v > 0)[:n])


def decade(stage):
    start = {"sixth": 50, "third": 20}.get(stage.split()[0])
    return (start, start + 10) if start else (62, 63)


def split(donors, test):
    held = [row for row, donor in enumerate(donors) if donor in test]
    return [row for row in range(len(donors)) if row not in held], held


def pair(files):
    found = {}
    for name in files:
        stem, _, kind = name.removesuffix(".npz").rpartition("_")
        found.setdefault(stem, set()).add(kind)
    return found


def merge(n, mean, m, other):
    total = n + m
    return total, (n * mean + m * other) / total if total else 0.0


def genes_of(name):
    table = signatures()
    return set(table.filter(table["signature"] == name)["gene"])


def score(table, genes, *, center=True):
    rows = [[value - center * sum(table[g]) / len(table[g]) for value in table[g]] for g in genes]
    return [sum(column) / len(column) for column in zip(*rows, strict=True)]


def baseline(ages, power=1):
    errors = [abs(age - (sum(ages) - age) / (len(ages) - 1)) ** power for age in ages]
    return (sum(errors) / len(errors)) ** (1 / power)


def macro(truth, predicted):
    pairs = list(zip(truth, predicted, strict=True))
    recalls = [sum(t == p == one for t, p in pairs) / truth.count(one) for one in set(truth)]
    return sum(recalls) / len(recalls)


def purity(labels, neighbors):
    pairs = [(c, n) for c, row in enumerate(neighbors) for n in row]
    return sum(labels[c] == labels[n] for c, n in pairs) / len(pairs)


def entropy(groups):
    shares = [groups.count(g) / len(groups) for g in set(groups)]
    return -sum(s * math.log(s) for s in shares)


def jaccard(first, second):
    one, two = {frozenset(p) for p in first}, {frozenset(p) for p in second}
    return len(one & two) / len(one | two)


def count_all(pairs, *, how="left", fill=True, column="n"):
    seen = pl.DataFrame(pairs, schema=["donor", "type"], orient="row")
    grid = seen.select(pl.col("donor").unique()).join(seen.select(pl.col("type").unique()), how="cross")
    counted = seen.group_by("donor", "type").agg(pl.len().alias(column))
    table = grid.join(counted, on=["donor", "type"], how=how)
    return table.fill_null(0) if fill else table


def ratio(young, old, kind, reference):
    return math.log2(old[kind] / old[reference]) - math.log2(young[kind] / young[reference])


def of_all(young, old, kind, reference):
    return math.log2(old[kind] / sum(old.values())) - math.log2(young[kind] / sum(young.values()))


def vote(points, own, part, *, folds=None, judge=balanced_accuracy_score):
    folds = folds or list(GroupKFold(3).split(points, own, part))
    return judge(own, cross_val_predict(KNeighborsClassifier(15), points, own, cv=folds))


def mean_largest(clusters):
    return clusters.group_by("cluster").agg(pl.col("cells").max() / pl.col("cells").sum())["cells"].mean()


def exact_p(young, old, *, tolerance=1e-12, doubled=1):
    values = [*young, *old]
    sums = [sum(values[i] for i in chosen) for chosen in combinations(range(len(values)), len(young))]
    gaps = [abs(s / len(young) - (sum(values) - s) / len(old)) for s in sums]
    return min(1.0, doubled * sum(gap >= gaps[0] - tolerance for gap in gaps) / len(gaps))


DONORS = study.donors()
WITHOUT = sorted(DONORS.filter(DONORS["cells_10X_version"].is_null())["DonorID"])
WITH = sorted(set(DONORS["DonorID"]) - set(WITHOUT))
BINS = {"15-20", "20-25", "50-55", "55-60"}
first, second = pl.col("first"), pl.col("second")

# functions that are right stand in the chapters, as solutions; the verdicts of their runs are tested there
RIGHT = [
    ("01.bins", BINS),
    ("02.rule", keep),
    ("02.rule", lambda values, n: np.asarray(values) > np.median(values) - n * 10),  # a strict sign will do
    ("02.corner", ("young", "F")),
    ("04.smallest", 1 / math.comb(12, 5)),
    ("04.nuclei", WITHOUT),
    ("07.overlap", genes_of("senescence") & genes_of("inflammaging")),
    ("11.offset", (384, 392)),
]
WRONG = [
    ("01.dense", lambda cells, genes: cells * genes * 8 / 2**30, "four bytes"),
    ("01.dense", lambda cells, genes: cells * genes * 4 / 1e9, "gigabytes"),
    ("01.bins", BINS | {"70-75"}, "70-75 is not"),
    ("01.bins", 4, "as a set"),
    ("01.align", lambda a, b, names: a == b, "occurs twice"),
    ("01.align", lambda a, b, names: False, "can be aligned"),
    ("02.rule", lambda values, n: keep(values, n, both=True), "lower side"),
    (
        "02.rule",
        lambda values, n: list(np.asarray(values) >= np.mean(values) - n * np.std(values)),
        "must go",
    ),
    ("02.counts", lambda values: np.expm1(values) / np.expm1(values).min(), "whole"),
    ("02.counts", lambda values: [round(v / min(values)) for v in values], "undo the logarithm"),
    ("02.corner", ("old", "F"), "exist"),
    ("02.corner", ("M", "old"), "order"),
    ("02.corner", ("young", "female"), "as the table of donors does"),
    ("03.effective", lambda n, icc: n / (1 + n * icc), "look at n - 1"),
    ("03.effective", lambda n, icc: n * (1 + (n - 1) * icc), "do not multiply"),
    ("03.smallest", lambda young, old: 1 / math.factorial(young + old), "orders within a group"),
    ("03.smallest", lambda young, old: math.comb(young + old, old), "p is one of them"),
    ("03.smallest", lambda young, old: 1 / 56, "6 against 7"),
    ("04.ways", lambda s, f: averages(s, f)[::-1], "wrong order"),
    ("04.ways", lambda s, f: (averages(s, f)[0],) * 2, "both numbers are the same"),
    ("04.ways", lambda s, f: (averages(s, f)[0], 0.5), "divide first"),
    ("04.smallest", 2 / math.comb(12, 5), "no mirror image"),
    ("04.smallest", 0, "never zero"),
    ("04.nuclei", WITH, "asked are those without"),
    ("04.nuclei", [*WITHOUT, WITH[0]], f"{WITH[0]} has cells"),
    ("05.sentence", lambda v, n: " ".join(sorted(v, key=lambda s: (-v[s], s))[:n]), "not expressed"),
    ("05.sentence", lambda v, n: "ACTA1 MYH7 CKM ENSA", "alphabetical order"),
    ("05.sentence", lambda v, n: "ENSA CKM MYH7 ACTA1", "highest value comes first"),
    ("05.sentence", lambda v, n: sentence(v, n).split(), "one text"),
    ("05.decade", lambda s: tuple(x + 10 * ("decade" in s) for x in decade(s)), "decade begins at birth"),
    ("05.decade", lambda s: decade(s) if "decade" in s else (62, 62), "63, exclusive"),
    ("05.split", lambda d, t: split(d, t)[::-1], "wrong way round"),
    ("05.split", lambda d, t: ([0, 1, 2], [3, 4, 5]), "on both sides"),
    ("05.split", lambda d, t: 3, "two lists"),
    ("06.sigmoid", lambda s: s.filter(first - second <= 0.15), "negative score|both scores|classifier"),
    ("06.sigmoid", lambda s: s.filter(first > 0, second > 0), "one half is enough"),
    ("06.sigmoid", lambda s: s.height, "return the rows"),
    ("06.pair", lambda files: {one: {"embs", "top3", "scores"} for one in pair(files)}, "no scores file"),
    ("06.pair", lambda files: {"_".join(f.split("_")[:3]): {"embs"} for f in files}, "the stems are"),
    ("06.merge", lambda n, mean, m, other: (n + m, (mean + other) / 2), "mean of the two means"),
    ("06.merge", lambda n, mean, m, other: (n + m, (n * mean + m * other) / (n + m)), "division by zero"),
    ("07.score", lambda table, genes: score(table, genes, center=False), "center each gene"),
    ("07.score", lambda table, genes: score(table, list(table)), "only the genes"),
    ("07.empirical", lambda x, null: sum(abs(v) >= abs(x) for v in null) / len(null), "p-value of zero"),
    ("07.empirical", lambda x, null: (1 + sum(v >= x for v in null)) / (1 + len(null)), "two-sided"),
    ("07.overlap", genes_of("senescence") | genes_of("inflammaging"), "union"),
    ("08.split", lambda donors, name: ([0, 2, 3, 4], [1]), "on both sides"),
    (
        "08.baseline",
        lambda ages: sum(abs(a - sum(ages) / len(ages)) for a in ages) / len(ages),
        "leave it out",
    ),
    ("08.baseline", lambda ages: baseline(ages, power=2), "root"),
    ("08.baseline", lambda ages: 27.5, "median of the others"),
    ("08.macro", lambda t, p: sum(a == b for a, b in zip(t, p, strict=True)) / len(t), "micro"),
    ("09.purity", lambda labels, neighbors: 1.0, "share of all neighbors"),
    ("09.entropy", lambda groups: entropy(groups) / math.log(2), "bits"),
    ("09.jaccard", lambda a, b: len(set(a) & set(b)) / len(set(a) | set(b)), "undirected"),
    ("09.jaccard", lambda a, b: 1 / len(a), "union"),
    ("10.zeros", lambda p: count_all(p, how="inner"), "a zero is an observation"),
    ("10.zeros", lambda p: count_all(p, fill=False), "zero, not unknown"),
    ("10.zeros", lambda p: count_all(p[1:]), "donor A has 2 of T, not 1"),
    ("10.push", of_all, "share of all cells"),
    ("10.push", lambda y, o, k, r: -ratio(y, o, k, r), "young over old"),
    ("11.offset", (384, 391), "the one after it"),
    ("11.offset", (320, 352), "add the widths"),
    ("11.vote", lambda *data: vote(*data, judge=lambda a, b: (a == b).mean()), "every label the same"),
    ("11.vote", lambda *data: vote(*data, folds=KFold(3, shuffle=True, random_state=0)), "too good"),
    ("11.purity", mean_largest, "mean over clusters"),
    ("12.exact", lambda y, o: exact_p(y, o, tolerance=-1e-15), "never zero"),
    ("12.exact", lambda y, o: exact_p(y, o, doubled=2), "count each choice"),
    ("12.exact", lambda y, o: 0.1, "compare with a small tolerance"),
]


def test_every_exercise_has_wrong_answers():
    assert {name for name, *_ in WRONG} == set(CHECKERS)


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_the_right_answer_passes(name, answer):
    assert CHECKERS[name](answer) is None


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(name, answer, words):
    assert re.search(words, CHECKERS[name](answer))
