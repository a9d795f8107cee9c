"""Published fractions tested again: the real figures must give the published picture."""

import polars as pl
import pytest

from helpers.analysis import fractions
from helpers.errors import TableError
from helpers.facts import fibers


@pytest.fixture(scope="module")
def retested():
    return fractions.retest(fibers.completed_fractions())


def row(table, assay, kind):
    return table.filter((pl.col("batch") == assay) & (pl.col("annotation_level0") == kind)).row(0, named=True)


@pytest.mark.parametrize(
    ("assay", "kind", "u"),
    [("cells", "MuSC", 33), ("cells", "NK-cell", 5), ("nuclei", "MuSC", 35), ("nuclei", "MF-I", 33)],
)
def test_rank_sums_are_those_the_study_prints(retested, assay, kind, u):
    assert row(retested, assay, kind)["u"] == u


def test_p_values_of_fully_read_types_are_those_the_study_prints(retested):
    published = fibers.rank_tests()
    both = retested.filter(pl.col("lost") == 0).join(published, on=["batch", "annotation_level0"])
    assert both.height >= 7
    # ties between points read to three digits move the exact p a little
    assert ((both["rank_sum_p"] - both["p"]).abs() < 0.012).all()


def test_stem_cells_in_cells_have_the_smallest_p_and_nothing_is_left_after_adjustment(retested):
    first = retested.sort("rank_sum_p", nulls_last=True).row(0, named=True)
    assert (first["batch"], first["annotation_level0"]) == ("cells", "MuSC")
    assert first["rank_sum_p"] == pytest.approx(0.01, abs=0.002)
    assert first["log2_old_over_young"] < 0
    for column in ("rank_sum_q", "permutation_q"):
        assert retested[column].min() > 0.05


def test_every_group_has_its_points_or_says_how_many_are_lost(retested):
    complete = retested.filter((pl.col("lost") == 0) & (pl.col("in_excess") == 0))
    assert dict(complete.group_by("batch").agg(pl.col("read").unique().first()).iter_rows()) == {
        "cells": 12,
        "nuclei": 13,
    }
    assert {"MuSC", "FB", "T-cell", "NK-cell", "SMC", "MF-Isc(fg)", "MF-IIsc(fg)"} == set(
        complete.filter(pl.col("batch") == "cells")["annotation_level0"]
    )


def test_a_type_with_more_points_than_donors_is_not_tested(retested):
    odd = retested.filter(pl.col("in_excess") > 0)
    assert odd["annotation_level0"].to_list() == ["cDC2"]
    assert odd["rank_sum_p"].to_list() == [None]


def test_the_second_filling_is_used_only_where_few_points_are_lost(retested):
    told = retested.filter(pl.col("rank_sum_p_lost_at_median").is_not_null())
    assert ((told["lost"] / (told["lost"] + told["read"])) <= 0.25).all()
    assert row(retested, "nuclei", "SMC")["rank_sum_p_lost_at_median"] is None


def test_type_one_falls_more_than_type_two_among_nuclei(retested):
    one, two = row(retested, "nuclei", "MF-I"), row(retested, "nuclei", "MF-II")
    for group, published in fibers.PUBLISHED_MEDIANS.items():
        assert one[f"median_{group}"] == pytest.approx(published["MF-I"], abs=0.002)
        assert two[f"median_{group}"] == pytest.approx(published["MF-II"], abs=0.002)


def test_with_lost_points_at_zero_a_partly_read_type_comes_near_the_printed_p(retested):
    printed = dict(
        fibers.rank_tests().filter(pl.col("batch") == "cells").select("annotation_level0", "p").iter_rows()
    )
    for kind in ("CapEC", "mSchwann"):
        assert row(retested, "cells", kind)["lost"] > 0
        assert row(retested, "cells", kind)["rank_sum_p"] == pytest.approx(printed[kind], abs=0.02)


def test_missing_columns_are_named():
    with pytest.raises(TableError, match=r"columns \['groups', 'lost'\] are missing"):
        fractions.retest(fibers.completed_fractions().drop("groups", "lost"))
