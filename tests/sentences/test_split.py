from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.errors import SentenceError
from helpers.sentences import split


def people(n, ages=None):
    named = [f"d{(i * 37) % 101:03d}" for i in range(n)]  # names do not follow ages
    table = {"name": named, "age": ages or [20.0 + i for i in range(n)], "cells": [100] * n}
    return pl.DataFrame(table, schema_overrides={"name": pl.String})


@settings(max_examples=50, deadline=None)
@given(n=st.integers(2, 60), seed=st.integers(0, 10**6), order=st.randoms(), target=st.floats(0.02, 0.5))
def test_the_order_of_donors_does_not_matter_and_each_group_of_ages_gives_one(n, seed, order, target):
    donors = people(n)
    found = split.split_donors(donors, target=target, seed=seed)
    places = list(range(n))
    order.shuffle(places)
    assert split.split_donors(donors[places], target=target, seed=seed) == found
    wanted = max(1, round(target * n))
    assert len(found) == wanted
    bounds = [round(i * n / wanted) for i in range(wanted + 1)]
    held = [name in found for name in donors["name"]]  # in order of age
    assert [sum(held[a:b]) for a, b in pairwise(bounds)] == [1] * wanted


def test_unequal_donors_bring_the_share_of_cells_near_the_target():
    donors = people(20).with_columns(cells=pl.Series([10_000 if i == 3 else 100 for i in range(20)]))
    for seed in range(20):
        found = split.split_donors(donors, target=0.05, seed=seed)
        assert donors["name"][3] not in found  # it alone would be 84 % of the cells


@pytest.mark.parametrize("ages", [None, [None, None, *(30.0 + i for i in range(8))]])
def test_every_donor_can_be_held_out_with_and_without_an_age(ages):
    donors = people(10, ages)
    held = {name for seed in range(200) for name in split.split_donors(donors, target=0.2, seed=seed)}
    assert held == set(donors["name"])


def test_donors_decided_before_stay():
    first = split.split_donors(people(20), target=0.2, seed=0)
    settled = {name: "test" if name in first else "train" for name in people(20)["name"]}
    later = split.split_donors(people(40), target=0.2, seed=0, settled=settled)
    assert first == {name for name in later if name in settled}
    assert len(later) == 8


@pytest.mark.parametrize(("n", "found"), [(1, r"found 1 \(d000\). Ask for no split"), (0, "found 0")])
def test_fewer_than_two_donors_cannot_be_split(n, found):
    with pytest.raises(SentenceError, match=found):
        split.split_donors(people(n), target=0.1, seed=0)
