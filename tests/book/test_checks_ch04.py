"""Checkers of chapter 04: the right answer passes, typical wrong ones get a sentence."""

from math import comb

import pytest

from helpers.book import checks
from helpers.facts import study


def averages(slow, fast, *, swap=False):
    pooled = sum(slow) / (sum(slow) + sum(fast))
    mean = sum(s / (s + f) for s, f in zip(slow, fast, strict=True)) / len(slow)
    return (mean, pooled) if swap else (pooled, mean)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (averages, None),
        (lambda s, f: averages(s, f, swap=True), "wrong order"),
        (lambda s, f: (averages(s, f)[0],) * 2, "both numbers are the same"),
        (lambda s, f: (0.5, averages(s, f)[1]), "add up first"),
        (lambda s, f: (averages(s, f)[0], 0.5), "divide first"),
    ],
)
def test_two_averages_of_one_table(answer, text):
    verdict = checks.ch04_ways(answer)
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
    verdict = checks.ch04_smallest(answer)
    assert verdict is None if text is None else text in verdict


def test_donors_without_cells():
    table = study.donors()
    without = sorted(table.filter(table["cells_10X_version"].is_null())["DonorID"])
    rest = sorted(set(table["DonorID"]) - set(without))
    assert checks.ch04_nuclei(without) is None
    assert "asked are those without" in checks.ch04_nuclei(rest)
    assert "are missing" in checks.ch04_nuclei(without[1:])
    assert f"{rest[0]} has cells" in checks.ch04_nuclei([*without, rest[0]])
