"""Each checker of chapter 03 against the right answer and typical wrong ones."""

import math

import pytest

from helpers.book.checks import ch03


@pytest.mark.parametrize(
    ("checker", "right"),
    [
        (ch03.effective, lambda n, icc: n / (1 + (n - 1) * icc)),
        (ch03.smallest, lambda young, old: 1 / math.comb(young + old, young)),
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
        (ch03.smallest, lambda young, old: math.comb(young + old, old), "p is one of them"),
        (ch03.smallest, lambda young, old: 2 / math.comb(young + old, old), "both sides"),
        (ch03.smallest, lambda young, old: 1 / 56, "6 against 7"),
    ],
)
def test_wrong_answers_are_told_what_is_wrong(checker, wrong, message):
    assert message in checker(wrong)
