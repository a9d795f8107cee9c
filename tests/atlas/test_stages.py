"""Ages from labels of developmental stages."""

import csv
from pathlib import Path

import pytest

from helpers.atlas import stages

TABLE = Path(__file__).parents[3] / "shared" / "facts" / "development_stage_ages.tsv"


@pytest.mark.parametrize(
    ("label", "years"),
    [
        ("29-year-old stage", (29, 30)),
        ("29-year-old human stage", (29, 30)),
        ("third decade stage", (20, 30)),
        ("eleventh decade stage", (100, 110)),
        ("60-79 year-old stage", (60, 80)),
        ("80 year-old and over stage", (80, 120)),
        ("15-19 year-old", (15, 20)),
        ("2-4 year-old child stage", (2, 5)),
        ("child stage (1-4 yo)", (1, 5)),
        ("6-month-old stage", (0.5, 7 / 12)),
        ("nursing stage (0-11 months)", (0, 1)),
        ("under-1-year-old stage", (0, 1)),
        ("HsapDv:0000123", (29, 30)),
        ("HsapDv:0000206", (80, 81)),
    ],
)
def test_a_stage_covers_years(label, years):
    assert stages.parse_years(label) == pytest.approx(years)


@pytest.mark.parametrize(
    "label", ["unknown", "", None, "na", "Carnegie stage 10", "human adult stage", "HsapDv:0000001"]
)
def test_a_stage_without_an_age_has_none(label):
    assert stages.parse_years(label) is None
    assert set(stages.describe(label).values()) == {None}


def test_the_years_agree_with_the_ontology():
    if not TABLE.exists():
        pytest.skip("the ontology's own table is not on this machine")
    compared = 0
    with TABLE.open() as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            found = stages.parse_years(row["name"])
            if not row["id"].startswith("HsapDv") or not row["start_ypb"] or found is None:
                continue
            assert found[0] == pytest.approx(float(row["start_ypb"]), abs=0.1), row["name"]
            if row["end_ypb"] and "over" not in row["name"]:
                assert found[1] == pytest.approx(float(row["end_ypb"]), abs=0.01), row["name"]
            compared += 1
            by_id = stages.parse_years(row["id"])
            assert by_id is None or by_id == pytest.approx(found), row["id"]
    assert compared > 120


def test_groups_are_five_years_and_bins_those_of_the_study():
    assert stages.describe("29-year-old stage") == {
        "Age_group": "25-30",
        "Age_bin": "young",
        "age_numeric": 27.5,
        "age": 29.0,
    }
    assert stages.describe("45-year-old stage")["Age_bin"] is None  # between the two
    assert stages.describe("9-year-old stage")["Age_bin"] is None
    assert stages.describe("third decade stage")["age"] is None  # no exact age
    assert stages.describe("80 year-old and over stage")["Age_group"] == "80+"
