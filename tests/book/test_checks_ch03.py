"""Each checker of chapter 03 against the right answer and typical wrong ones."""

import math

import pytest

from helpers.book import checks


@pytest.mark.parametrize(
    ("checker", "right"),
    [
        (checks.ch03_effective, lambda n, icc: n / (1 + (n - 1) * icc)),
        (checks.ch03_smallest, lambda young, old: 1 / math.comb(young + old, young)),
    ],
)
def test_the_right_answer_passes(checker, right):
    assert checker(right) is None


@pytest.mark.parametrize(
    ("checker", "wrong", "message"),
    [
        (checks.ch03_effective, lambda n, icc: n ** (1 - icc), "divide n by"),
        (checks.ch03_effective, lambda n, icc: n / (1 + n * icc), "look at n - 1"),
        (checks.ch03_effective, lambda n, icc: n * (1 + (n - 1) * icc), "do not multiply"),
        (checks.ch03_effective, lambda n, icc: 1 / icc if icc else 1, "all independent"),
        (checks.ch03_smallest, lambda young, old: 1 / math.factorial(young + old), "orders within a group"),
        (checks.ch03_smallest, lambda young, old: 0.5 ** (young + old), "numbers of young and old are fixed"),
        (checks.ch03_smallest, lambda young, old: 0, "one of the permutations"),
        (checks.ch03_smallest, lambda young, old: math.comb(young + old, old), "p is one of them"),
        (checks.ch03_smallest, lambda young, old: 2 / math.comb(young + old, old), "both sides"),
        (checks.ch03_smallest, lambda young, old: 1 / 56, "6 against 7"),
    ],
)
def test_wrong_answers_are_told_what_is_wrong(checker, wrong, message):
    assert message in checker(wrong)
