"""Each checker of chapter 02 against the right answer and typical wrong ones."""

import numpy as np
import pytest

from helpers.book.checks import ch02


def keep(values, lower_mads):
    values = np.asarray(values)
    mad = np.median(np.abs(values - np.median(values)))
    return list(values >= np.median(values) - lower_mads * mad)


def keep_both_sides(values, lower_mads):
    values = np.asarray(values)
    mad = np.median(np.abs(values - np.median(values)))
    return list(np.abs(values - np.median(values)) <= lower_mads * mad)


def keep_by_deviation(values, lower_mads):
    return list(np.asarray(values) >= np.mean(values) - lower_mads * np.std(values))


def to_counts(released):
    scaled = np.expm1(np.asarray(released))
    return [int(count) for count in np.rint(scaled / scaled.min())]


@pytest.mark.parametrize(
    ("checker", "right"),
    [
        (ch02.rule, keep),
        (
            ch02.rule,
            lambda values, n: np.asarray(values) > np.median(values) - n * 10,
        ),  # a strict sign will do
        (ch02.counts, to_counts),
        (ch02.counts, lambda values: np.rint(np.expm1(values) / np.expm1(values[0]))),
        (ch02.corner, ("young", "F")),
    ],
)
def test_the_right_answer_passes(checker, right):
    assert checker(right) is None


@pytest.mark.parametrize(
    ("checker", "wrong", "message"),
    [
        (ch02.rule, keep_both_sides, "lower side"),
        (ch02.rule, keep_by_deviation, "must go"),
        (ch02.counts, lambda values: np.expm1(values) / np.expm1(values).min(), "whole"),
        (ch02.counts, lambda values: [round(v / min(values)) for v in values], "undo the logarithm"),
        (ch02.corner, ("old", "F"), "exist"),
        (ch02.corner, ("F", "young"), "order"),
        (ch02.corner, ("M", "old"), "order"),
        (ch02.corner, ("young", "female"), "as the table of donors does"),
        (ch02.corner, "young F", "tuple"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(checker, wrong, message):
    assert message in checker(wrong)
