"""Each checker of chapter 01 against the right answer and typical wrong ones."""

import pytest

from helpers.book import checks


@pytest.mark.parametrize(
    ("checker", "right"),
    [
        (checks.ch01_dense, lambda cells, genes: cells * genes * 4 / 2**30),
        (checks.ch01_bins, {"15-20", "20-25", "50-55", "55-60"}),
        (checks.ch01_align, lambda a, b, names: a == b == len(names) == len(set(names))),
    ],
)
def test_the_right_answer_passes(checker, right):
    assert checker(right) is None


@pytest.mark.parametrize(
    ("checker", "wrong", "message"),
    [
        (checks.ch01_dense, lambda cells, genes: cells * genes * 8 / 2**30, "four bytes"),
        (checks.ch01_dense, lambda cells, genes: cells * genes * 4 / 1e9, "gigabytes"),
        (checks.ch01_dense, lambda cells, genes: cells + genes, "take 4 GiB"),
        (checks.ch01_bins, {"15-20", "20-25", "50-55", "55-60", "70-75"}, "70-75 is not"),
        (checks.ch01_bins, {"15-20"}, "more bin"),
        (checks.ch01_bins, 4, "as a set"),
        (checks.ch01_bins, [("15-20",)], "as a set"),
        (checks.ch01_align, lambda a, b, names: a == b, "occurs twice"),
        (checks.ch01_align, lambda a, b, names: len(names) == len(set(names)), "two and three rows"),
        (checks.ch01_align, lambda a, b, names: False, "can be aligned"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(checker, wrong, message):
    assert message in checker(wrong)
