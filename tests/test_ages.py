import re

import polars as pl
import pytest

from helpers import ages, names
from helpers.facts import study


@pytest.mark.parametrize(
    ("label", "lower", "upper", "kind"),
    [
        ("HsapDv:0000144", 50, 51, "exact"),
        ("sixth decade stage", 50, 60, "interval"),
        ("80 year-old and over stage", 80, None, "open"),
        (">= 65 years", 65, None, "open"),
        ("15-19 year-old", 15, 20, "interval"),
        ("late adult stage", 60, None, "open"),
        ("24m", 2, 25 / 12, "exact"),
        ("55", 55, 56, "exact"),
        ("15-20", 15, 20, "interval"),
        ("90 or above", 90, None, "open"),
        ("GA 20 weeks", None, None, "prenatal"),
        ("gw18", None, None, "prenatal"),
        ("E14.5", None, None, "prenatal"),
        ("unknown", None, None, "unknown"),
        (float("nan"), None, None, "unknown"),
        (4000.0, None, None, "unknown"),
        ("90-20 years", None, None, "unknown"),
    ],
)
def test_a_label_becomes_bounds_in_years(label, lower, upper, kind):
    age = ages.parse(label)
    assert age.kind == kind
    assert age.lower == (None if lower is None else pytest.approx(lower, abs=1e-3))
    assert age.upper == (None if upper is None else pytest.approx(upper, abs=1e-3))


def test_every_current_term_means_the_same_by_id_by_label_and_by_its_number_alone():
    numbered = re.compile(r"\d.*(old|month|yo)|decade")
    table = ages.stages().filter(obsolete="no").select("id", "name", "kind", "lower_years", "upper_years")
    assert table.height > 300
    for term, label, kind, *bounds in table.iter_rows():
        species = ages.HUMAN if term.startswith("HsapDv") else ages.MOUSE
        assert ages.parse(label, species=species) == ages.parse(term), term
        guessed = ages.parse(f"about {label}")  # a spelling that is not in the table
        if kind == "prenatal":
            assert ages.parse(term).kind == guessed.kind == "prenatal", label
        elif bounds[0] is not None and numbered.search(label):
            assert [guessed.lower, guessed.upper] == pytest.approx(bounds, abs=0.05), label


def test_a_shared_label_means_the_species_that_is_asked_for():
    assert ages.parse("young adult stage").upper == 40
    assert ages.parse("young adult stage", species=ages.MOUSE).upper == pytest.approx(10 / 12)
    assert ages.describe(ages.parse("18-month-old stage"), species=ages.MOUSE)["Age_bin"] is None


def test_one_number_for_a_model_is_completed_years_midpoint_or_lower_bound():
    # of an adult fifteen would be a guess
    said = ("50-year-old stage", "sixth decade stage", "80 year-old and over stage", "adult stage")
    assert [ages.parse(label).years for label in said] == [50, 55, 80, None]


def test_donors_of_the_atlas_have_their_exact_age_and_others_their_group():
    donors = study.donors()
    table = ages.of_atlas(donors["Age_group_5y"], donors[names.DONOR])
    assert table["age"].to_list() == donors["Age"].cast(pl.Float64).to_list()
    assert table["age_kind"].unique().to_list() == ["exact"]
    other = ages.of_atlas(["70-75", "15-20"], ["somebody", "582C"])  # 582C is 58: this is somebody else
    assert other["age"].to_list() == [72.5, 17.5]


def test_a_column_of_numbers_with_gaps_is_read_as_years():
    table = ages.parse_all([45.0, float("nan"), None, 60.5])
    assert table["age"].to_list() == [45.0, None, None, 60.5]
    assert ages.parse_all(pl.Series([3, None], dtype=pl.Int32))["age"].to_list() == [3.0, None]
    assert ages.parse_all([]).schema == pl.Schema(ages.AGE_SCHEMA)
    assert ages.of_atlas([], []).schema == pl.Schema(ages.AGE_SCHEMA)


@pytest.mark.parametrize(
    ("label", "group", "bin_", "midpoint", "exact"),
    [
        ("29-year-old stage", "25-30", "young", 27.5, 29),
        ("third decade stage", "20-30", "young", 25, None),
        ("young adult stage", "15-40", "young", 27.5, None),
        ("late adult stage", "60+", "old", None, None),
        ("45-year-old stage", "45-50", None, 47.5, 45),
        ("unknown", None, None, None, None),
    ],
)
def test_an_age_gives_the_columns_of_the_atlas(label, group, bin_, midpoint, exact):
    assert list(ages.describe(ages.parse(label)).values()) == [group, bin_, midpoint, exact]
