"""Each checker of chapter 03 against the right answer and typical wrong ones."""

import math

import pytest
from scipy import stats

from helpers.book.checks import ch03


@pytest.mark.parametrize(
    ("checker", "right"),
    [
        (ch03.effective, lambda n, icc: n / (1 + (n - 1) * icc)),
        (ch03.smallest, lambda young, old: 1 / math.comb(young + old, young)),
        (ch03.adjust, stats.false_discovery_control),
        (ch03.women, 0),
    ],
)
def test_the_right_answer_passes(checker, right):
    assert checker(right) is None


@pytest.mark.parametrize(
    ("checker", "wrong", "message"),
    [
        (ch03.effective, lambda n, icc: n ** (1 - icc), "divide n by"),
        (ch03.effective, lambda n, icc: n / (1 + n * icc), "look at n - 1"),
        (ch03.effective, lambda n, icc: n * (1 + (n - 1) * icc), "do not multiply"),
        (ch03.effective, lambda n, icc: 1 / icc if icc else 1, "all independent"),
        (ch03.smallest, lambda young, old: 1 / math.factorial(young + old), "orders within a group"),
        (ch03.smallest, lambda young, old: 0.5 ** (young + old), "numbers of young and old are fixed"),
        (ch03.smallest, lambda young, old: 0, "one of the permutations"),
        (ch03.smallest, lambda young, old: 1 / 56, "6 against 7"),
        (ch03.adjust, lambda p: [min(1, len(p) * x) for x in p], "Bonferroni"),
        (ch03.adjust, lambda p: sorted(stats.false_discovery_control(p)), "their order is not"),
        (ch03.adjust, lambda p: [x * len(p) / (sorted(p).index(x) + 1) for x in p], "running minimum"),
        (ch03.adjust, lambda p: p, "should give"),
        (ch03.women, 2, "nuclei only"),
        (ch03.women, 4, "too many"),
        (ch03.women, "none", "whole number"),
    ],
)
def test_wrong_answers_are_told_what_is_wrong(checker, wrong, message):
    assert message in checker(wrong)
