"""Each checker of chapter 08 against the right answer and typical wrong ones."""

import pytest

from helpers.book import checks


def leave_out(donors, name):
    test = [row for row, donor in enumerate(donors) if donor == name]
    return [row for row in range(len(donors)) if row not in test], test


def baseline(ages):
    return sum(abs(age - (sum(ages) - age) / (len(ages) - 1)) for age in ages) / len(ages)


def macro(truth, predicted):
    labels = sorted(set(truth))
    pairs = list(zip(truth, predicted, strict=True))
    return sum(sum(t == p for t, p in pairs if t == label) / truth.count(label) for label in labels) / len(
        labels
    )


@pytest.mark.parametrize(
    ("checker", "right"),
    [(checks.ch08_split, leave_out), (checks.ch08_baseline, baseline), (checks.ch08_macro, macro)],
)
def test_the_right_answer_passes(checker, right):
    assert checker(right) is None


@pytest.mark.parametrize(
    ("checker", "wrong", "message"),
    [
        (checks.ch08_split, lambda donors, name: leave_out(donors, name)[::-1], "wrong way round"),
        (checks.ch08_split, lambda donors, name: (list(range(5)), [1, 4]), "on both sides"),
        (checks.ch08_split, lambda donors, name: ([0, 2, 3, 4], [1]), "on both sides"),
        (checks.ch08_split, lambda donors, name: ([0], [1, 4]), "on no side"),
        (checks.ch08_split, lambda donors, name: [1], "two lists"),
        (
            checks.ch08_baseline,
            lambda ages: sum(abs(a - sum(ages) / len(ages)) for a in ages) / len(ages),
            "leave it out",
        ),
        (
            checks.ch08_baseline,
            lambda ages: (sum((a - (sum(ages) - a) / 3) ** 2 for a in ages) / 4) ** 0.5,
            "root",
        ),
        (
            checks.ch08_baseline,
            lambda ages: sum(abs(a - sorted({*ages} - {a})[1]) for a in ages) / 4,
            "median of the others",
        ),
        (checks.ch08_macro, lambda t, p: sum(a == b for a, b in zip(t, p, strict=True)) / len(t), "micro"),
        (checks.ch08_macro, lambda t, p: (8 / 9 + 1) / 2, "precision"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(checker, wrong, message):
    assert message in checker(wrong)
