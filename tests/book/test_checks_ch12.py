"""Checkers of chapter 12: the right answer passes, typical wrong ones get a sentence."""

from itertools import combinations

import pytest

from helpers.book import checks


def exact_p(young, old, *, tolerance=1e-12, observed=True, doubled=1):
    values = [*young, *old]
    sums = [sum(values[i] for i in chosen) for chosen in combinations(range(len(values)), len(young))]
    gaps = [abs(s / len(young) - (sum(values) - s) / len(old)) for s in sums]
    hits = (
        sum(gap >= gaps[0] - tolerance for gap in gaps)
        if observed
        else sum(gap > gaps[0] + 1e-9 for gap in gaps)
    )
    return min(1.0, doubled * hits / len(gaps))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (exact_p, None),
        (lambda y, o: exact_p(y, o, observed=False), "never zero"),
        (lambda y, o: exact_p(y, o, tolerance=-1e-15), "never zero"),
        (lambda y, o: exact_p(y, o, doubled=2), "count each choice"),
        (lambda y, o: 0.5, "one choice in ten"),
        (lambda y, o: 0.1, "compare with a small tolerance"),
    ],
)
def test_an_exact_p(answer, text):
    verdict = checks.ch12_exact(answer)
    assert verdict is None if text is None else text in verdict
