"""Every arrangement once, ties counted, p never zero: against the plain list of permutations."""

from itertools import permutations

import numpy as np
import polars as pl
import pytest

from helpers.errors import DesignError
from helpers.stats import permute as arrangements


@pytest.mark.parametrize("values", [[0, 0, 1, 1, 1], [1, 2, 2, 3], [5, 4, 3, 2, 1], [7, 7, 7, 1]])
def test_all_distinct_arrangements_are_listed_once(values):
    listed = arrangements.deal(values)
    expected = set(permutations(float(v) for v in values))
    assert {tuple(row) for row in listed.values} == expected
    assert len(listed.values) == len(expected) == listed.total
    assert listed.values[0].tolist() == [float(v) for v in values]


def test_p_is_the_share_of_arrangements_at_least_as_extreme():
    generator = np.random.default_rng(4)
    ages, response = np.array([1.0, 2, 3, 5, 8, 9]), generator.normal(size=(6, 3))
    p = arrangements.p_values(arrangements.deal(ages), response)
    for j in range(3):
        sizes = [abs((np.array(row) - ages.mean()) @ response[:, j]) for row in permutations(ages)]
        observed = abs((ages - ages.mean()) @ response[:, j])
        assert p[j] == pytest.approx(np.mean([size >= observed - 1e-12 for size in sizes]))


def test_ties_that_differ_in_the_last_bit_count_as_ties():
    # tenths are not exact in floating point: sums that are equal come out a little apart. Whole numbers tell the truth.
    generator = np.random.default_rng(8)
    listed = arrangements.deal([0, 0, 0, 1, 1, 1])
    for _ in range(100):
        tenths = generator.integers(0, 10, size=(6, 1))
        found = arrangements.p_values(listed, tenths / 10)
        gaps = np.abs((2 * listed.values - 1) @ tenths)
        assert found[0] == pytest.approx((gaps >= gaps[0]).mean())


def test_one_arrangement_cannot_be_tested():
    with pytest.raises(DesignError, match="one arrangement only"):
        arrangements.deal([2, 2, 2], strata=pl.DataFrame({"Sex": list("FMM")}))
    for few in ([], [3.0]):
        with pytest.raises(DesignError, match=rf"over {len(few)} donor.*more common cell type"):
            arrangements.deal(few)


def test_bounds_are_the_slopes_that_are_just_not_rejected():
    generator = np.random.default_rng(1)
    labels = np.repeat([0.0, 1.0], [5, 7])
    response = generator.normal(size=(12, 2)) + labels[:, None]
    drawn = arrangements.deal(labels)
    slope, low, high, p = arrangements.fit_slopes(drawn, response)
    np.testing.assert_allclose(slope, np.polyfit(labels, response, 1)[0])
    np.testing.assert_array_equal(p, arrangements.p_values(drawn, response))
    for j in range(2):
        for bound, inward in ((low[j], 1), (high[j], -1)):
            shifted = response[:, [j]] - labels[:, None] * (bound + inward * 1e-3)
            outside = response[:, [j]] - labels[:, None] * (bound - inward * 1e-3)
            assert arrangements.p_values(drawn, shifted - shifted.mean())[0] > 0.05
            assert arrangements.p_values(drawn, outside - outside.mean())[0] <= 0.05


def test_deal_keeps_as_many_columns_as_leave_enough_ways():
    donors = pl.DataFrame({"Sex": list("MMMMMFFFFF"), "chemistry": list("2233322333"), "Lab": range(10)})
    ages = [19, 28, 29, 37, 60, 22, 64, 70, 73, 74]
    dealt = arrangements.deal(ages, strata=donors, draws=50)
    assert dealt.within == ("Sex", "chemistry")
    assert all(sorted(row[:5]) == ages[:5] for row in dealt.values)  # ages of men stay with men
    assert arrangements.deal(ages, strata=donors.select("Lab")).within == ()
    years = np.arange(17.0)
    drawn = arrangements.deal(years, draws=99)
    assert arrangements.p_values(drawn, years[:, None])[0] == drawn.smallest_p == 0.01  # never zero


@pytest.mark.parametrize(
    ("young", "old", "share"), [(3, 4, 1 / 35), (2, 2, 0.0), (3, 3, 0.0), (4, 4, 2 / 70)]
)
def test_chance_below_a_twentieth_is_what_the_arrangements_allow(young, old, share):
    dealt = arrangements.deal([0] * young + [1] * old)
    generator = np.random.default_rng(1)
    p = arrangements.p_values(dealt, generator.normal(size=(young + old, 4000)))
    assert (p <= 0.05).mean() == pytest.approx(share, abs=0.01)
    said = f"p is {dealt.smallest_p:.2g}, and chance alone puts {f'{share:.1%} of tests' if share else 'no test'}"
    assert said in dealt.sentence()
