"""Donors, age bins and estimable effects, against counts made by hand."""

import polars as pl
import pytest

from helpers import names
from helpers.analysis import donors


def obs_of(rows):
    """One cell for each (donor, age group, midpoint, sex, bin, assay, chemistry)."""
    columns = (
        names.DONOR,
        names.AGE_GROUP,
        names.AGE_MIDPOINT,
        names.SEX,
        names.AGE_BIN,
        names.ASSAY,
        names.CHEMISTRY,
    )
    table = pl.DataFrame(rows, schema=columns, orient="row")
    return table.with_columns((pl.col(names.DONOR) + "-" + pl.col(names.ASSAY)).alias(names.SAMPLE))


@pytest.fixture
def obs():
    return obs_of(
        [
            ("470BR", "15-20", 17.5, "M", "young", "cells", "3'v2"),
            ("470BR", "15-20", 17.5, "M", "young", "cells", "3'v2"),
            ("470BR", "15-20", 17.5, "M", "young", "nuclei", "3'v2/v3"),
            ("583B", "25-30", 27.5, "M", "young", "cells", "3'v3"),
            ("343B", "70-75", 72.5, "F", "old", "cells", "3'v2"),
            ("367C", "70-75", 72.5, "M", "old", "cells", "3'v2"),
            ("640C", "70-75", 72.5, "F", "old", "cells", "3'v3"),
            ("X", "70-75", 72.5, "F", "old", "nuclei", "3'v3"),
        ]
    )


def test_donors_are_counted_per_assay_youngest_first(obs):
    table = donors.by_donor(obs)
    assert table[names.DONOR].to_list() == ["470BR", "583B", "343B", "367C", "X", "640C"]
    first = table.row(0, named=True)
    assert (first["cells"], first["nuclei"], first["libraries"]) == (2, 1, 2)
    assert first["chemistry_nuclei"] == "3'v2/v3"


def test_exact_age_comes_from_the_donor_table_and_is_null_for_strangers(obs):
    ages = dict(donors.by_donor(obs).select(names.DONOR, names.EXACT_AGE).iter_rows())
    assert ages["470BR"] == 19
    assert ages["640C"] == 74
    assert ages["X"] is None


def test_a_bin_of_one_donor_is_named(obs):
    bins = donors.by_age_group(donors.by_donor(obs))
    assert dict(bins.select(names.AGE_GROUP, "one_donor").iter_rows()) == {
        "15-20": True,
        "25-30": True,
        "70-75": False,
    }


def test_age_by_sex_is_not_estimable_without_young_women(obs):
    terms = donors.estimable_terms(donors.by_donor(obs)).filter(pl.col(names.ASSAY) == "cells")
    verdict = dict(terms.select("term", "estimable").iter_rows())
    assert verdict == {"age": True, "sex": True, "chemistry": True, "age x sex": False}
    reason = terms.filter(pl.col("term") == "age x sex")["reason"].item()
    assert reason == "no donor is young F in cells"


def test_age_by_sex_is_estimable_when_every_corner_is_filled(obs):
    woman = obs_of([("Y", "25-30", 27.5, "F", "young", "cells", "3'v2")])
    terms = donors.estimable_terms(donors.by_donor(pl.concat([obs, woman])))
    assert terms.filter((pl.col("term") == "age x sex") & (pl.col(names.ASSAY) == "cells"))[
        "estimable"
    ].item()


def test_age_is_not_estimable_in_one_age_bin(obs):
    young = obs.filter(pl.col(names.AGE_BIN) == "young")
    terms = donors.estimable_terms(donors.by_donor(young))
    assert not terms.filter((pl.col("term") == "age") & (pl.col(names.ASSAY) == "cells"))["estimable"].item()


def test_a_source_without_donors_gives_empty_tables():
    obs = pl.DataFrame({names.DONOR: [None, None]}, schema={names.DONOR: pl.String})
    people = donors.by_donor(obs)
    assert people.is_empty()
    assert donors.by_age_group(people).is_empty()
    assert donors.by_group(people).is_empty()
    assert donors.estimable_terms(people).is_empty()
