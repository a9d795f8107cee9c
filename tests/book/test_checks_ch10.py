"""Checkers of chapter 10: the right answer passes, typical wrong ones get a sentence."""

from math import log2

import polars as pl
import pytest

from helpers.book import checks


def count_all(pairs, *, how="left", fill=True, column="n"):
    seen = pl.DataFrame(pairs, schema=["donor", "type"], orient="row")
    grid = seen.select(pl.col("donor").unique()).join(seen.select(pl.col("type").unique()), how="cross")
    counted = seen.group_by("donor", "type").agg(pl.len().alias(column))
    table = grid.join(counted, on=["donor", "type"], how=how)
    return table.fill_null(0) if fill else table


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (count_all, None),
        (lambda p: count_all(p, how="inner"), "a zero is an observation"),
        (lambda p: count_all(p, fill=False), "zero, not unknown"),
        (lambda p: count_all(p, column="count"), "no column 'n'"),
        (lambda p: count_all(p[1:]), "donor A has 2 of T, not 1"),
        (lambda p: pl.concat([count_all(p)] * 2), "two rows"),
    ],
)
def test_counts_with_their_zeros(answer, text):
    verdict = checks.ch10_zeros(answer)
    assert verdict is None if text is None else text in verdict


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
    verdict = checks.ch10_push(answer)
    assert verdict is None if text is None else text in verdict
