"""Each checker of chapter 02 against the right answer and typical wrong ones."""

import numpy as np
import pytest

from helpers.book import checks


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
        (checks.ch02_rule, keep),
        (
            checks.ch02_rule,
            lambda values, n: np.asarray(values) > np.median(values) - n * 10,
        ),  # a strict sign will do
        (checks.ch02_counts, to_counts),
        (checks.ch02_counts, lambda values: np.rint(np.expm1(values) / np.expm1(values[0]))),
        (checks.ch02_corner, ("young", "F")),
    ],
)
def test_the_right_answer_passes(checker, right):
    assert checker(right) is None


@pytest.mark.parametrize(
    ("checker", "wrong", "message"),
    [
        (checks.ch02_rule, keep_both_sides, "lower side"),
        (checks.ch02_rule, keep_by_deviation, "must go"),
        (checks.ch02_counts, lambda values: np.expm1(values) / np.expm1(values).min(), "whole"),
        (checks.ch02_counts, lambda values: [round(v / min(values)) for v in values], "undo the logarithm"),
        (checks.ch02_corner, ("old", "F"), "exist"),
        (checks.ch02_corner, ("F", "young"), "order"),
        (checks.ch02_corner, ("M", "old"), "order"),
        (checks.ch02_corner, ("young", "female"), "as the table of donors does"),
        (checks.ch02_corner, "young F", "tuple"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(checker, wrong, message):
    assert message in checker(wrong)
