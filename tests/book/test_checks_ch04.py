"""Checkers of chapter 04: the right answer passes, typical wrong ones get a sentence."""

from itertools import combinations
from math import comb, log2

import pytest

from helpers.book.checks import ch04
from helpers.facts import study


def ratio(young, old, kind, reference):
    return log2(old[kind] / old[reference]) - log2(young[kind] / young[reference])


def of_all(young, old, kind, reference):
    return log2(old[kind] / sum(old.values())) - log2(young[kind] / sum(young.values()))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (ratio, None),
        (of_all, "share of all cells"),
        (lambda y, o, k, r: -ratio(y, o, k, r), "young over old"),
        (lambda y, o, k, r: 2 ** ratio(y, o, k, r), "take its log2"),
        (lambda y, o, k, r: 0.3, "stem over fat doubles"),
    ],
)
def test_a_change_within_a_frame(answer, text):
    verdict = ch04.push(answer)
    assert verdict is None if text is None else text in verdict


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
    verdict = ch04.exact(answer)
    assert verdict is None if text is None else text in verdict


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (1 / comb(12, 5), None),
        (2 / comb(12, 5), "no mirror image"),
        (0, "never zero"),
        (792, "number of arrangements"),
        (0.05, "choose five of twelve"),
    ],
)
def test_the_smallest_p(answer, text):
    verdict = ch04.smallest(answer)
    assert verdict is None if text is None else text in verdict


def test_donors_without_cells():
    table = study.donors()
    without = sorted(table.filter(table["cells_10X_version"].is_null())["DonorID"])
    rest = sorted(set(table["DonorID"]) - set(without))
    assert ch04.nuclei(without) is None
    assert "asked are those without" in ch04.nuclei(rest)
    assert "are missing" in ch04.nuclei(without[1:])
    assert f"{rest[0]} has cells" in ch04.nuclei([*without, rest[0]])
