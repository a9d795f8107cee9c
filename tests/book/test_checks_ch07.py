"""Each checker of chapter 07 against the right answer and typical wrong ones."""

import pytest

from helpers.book import checks
from helpers.facts.signatures import signatures


def sets(name):
    table = signatures()
    return set(table.filter(table["signature"] == name)["gene"])


def score(table, genes):
    rows = [[value - sum(table[g]) / len(table[g]) for value in table[g]] for g in genes]
    return [sum(column) / len(column) for column in zip(*rows, strict=True)]


def raw(table, genes):
    return [sum(column) / len(column) for column in zip(*(table[g] for g in genes), strict=True)]


@pytest.mark.parametrize(
    ("checker", "right"),
    [
        (checks.ch07_score, score),
        (checks.ch07_empirical, lambda x, null: (1 + sum(abs(v) >= abs(x) for v in null)) / (1 + len(null))),
        (checks.ch07_overlap, sets("senescence") & sets("inflammaging")),
    ],
)
def test_the_right_answer_passes(checker, right):
    assert checker(right) is None


@pytest.mark.parametrize(
    ("checker", "wrong", "message"),
    [
        (checks.ch07_score, raw, "center each gene"),
        (checks.ch07_score, lambda table, genes: score(table, list(table)), "only the genes"),
        (checks.ch07_score, lambda table, genes: [0.0], "two donors"),
        (
            checks.ch07_empirical,
            lambda x, null: sum(abs(v) >= abs(x) for v in null) / len(null),
            "p-value of zero",
        ),
        (
            checks.ch07_empirical,
            lambda x, null: (1 + sum(v >= x for v in null)) / (1 + len(null)),
            "two-sided",
        ),
        (checks.ch07_overlap, sets("senescence") | sets("inflammaging"), "union"),
        (checks.ch07_overlap, sets("senescence"), "genes are in both"),
        (checks.ch07_overlap, 3, "set of gene names"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(checker, wrong, message):
    assert message in checker(wrong)
