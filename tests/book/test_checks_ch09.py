"""Each checker of chapter 09 against the right answer and typical wrong ones."""

import math

import pytest

from helpers.book import checks


def purity(labels, neighbors):
    pairs = [(c, n) for c, row in enumerate(neighbors) for n in row]
    return sum(labels[c] == labels[n] for c, n in pairs) / len(pairs)


def entropy(groups):
    shares = [groups.count(g) / len(groups) for g in set(groups)]
    return -sum(s * math.log(s) for s in shares)


def jaccard(first, second):
    one, two = {frozenset(p) for p in first}, {frozenset(p) for p in second}
    return len(one & two) / len(one | two)


@pytest.mark.parametrize(
    ("checker", "right"),
    [(checks.ch09_purity, purity), (checks.ch09_entropy, entropy), (checks.ch09_jaccard, jaccard)],
)
def test_the_right_answer_passes(checker, right):
    assert checker(right) is None


@pytest.mark.parametrize(
    ("checker", "wrong", "message"),
    [
        (checks.ch09_purity, lambda labels, neighbors: 1.0, "share of all neighbors"),
        (checks.ch09_purity, lambda labels, neighbors: purity(labels, neighbors) * 8, "count"),
        (checks.ch09_entropy, lambda groups: entropy(groups) / math.log(2), "bits"),
        (checks.ch09_entropy, lambda groups: -entropy(groups), "sign"),
        (checks.ch09_entropy, lambda groups: math.log(2), "zero"),
        (checks.ch09_jaccard, lambda a, b: len(set(a) & set(b)) / len(set(a) | set(b)), "undirected"),
        (checks.ch09_jaccard, lambda a, b: 1 / len(a), "union"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(checker, wrong, message):
    assert message in checker(wrong)
