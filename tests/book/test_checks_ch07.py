"""Each checker of chapter 07 against the right answer and typical wrong ones."""

import pytest

from helpers.book.checks import ch07
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
        (ch07.score, score),
        (ch07.empirical, lambda x, null: (1 + sum(abs(v) >= abs(x) for v in null)) / (1 + len(null))),
        (ch07.overlap, sets("senescence") & sets("inflammaging")),
    ],
)
def test_the_right_answer_passes(checker, right):
    assert checker(right) is None


@pytest.mark.parametrize(
    ("checker", "wrong", "message"),
    [
        (ch07.score, raw, "center each gene"),
        (ch07.score, lambda table, genes: score(table, list(table)), "only the genes"),
        (ch07.score, lambda table, genes: [0.0], "two donors"),
        (ch07.empirical, lambda x, null: sum(abs(v) >= abs(x) for v in null) / len(null), "p-value of zero"),
        (ch07.empirical, lambda x, null: (1 + sum(v >= x for v in null)) / (1 + len(null)), "two-sided"),
        (ch07.overlap, sets("senescence") | sets("inflammaging"), "union"),
        (ch07.overlap, sets("senescence"), "genes are in both"),
        (ch07.overlap, 3, "set of gene names"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(checker, wrong, message):
    assert message in checker(wrong)
