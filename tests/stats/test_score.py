"""Found against planted: every number by hand."""

import numpy as np
import polars as pl
import pytest

from helpers import names
from helpers.stats import score

MUSC = {"cell_type": "MuSC", "assay": "cells"}


def truth(rows):
    columns = ["assay", names.LEVEL0, names.LEVEL2, names.GENE, "log2_change_per_decade", "origin"]
    schema = dict.fromkeys(columns, pl.String) | {"log2_change_per_decade": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def table(decades_seen=1.0):
    change, low, high = [0.3, -0.2, 0.1, 0.5], [0.1, -0.4, -0.1, 0.3], [0.5, 0.0, 0.3, 0.7]
    tests = {"gene": ["A", "B", "C", "D"], "log2_change": change, "low": low, "high": high}
    tests |= {"p": [0.01, 0.06, 0.3, 0.001], "q": [0.02, 0.2, 0.5, 0.01]}
    same = MUSC | {"standard_error": 0.1, "df": 10.0, "donors": 12, "cells_per_donor": 80.0}
    same["decades_seen"] = decades_seen
    return pl.DataFrame(tests).with_columns(**{name: pl.lit(value) for name, value in same.items()})


PLANTED = truth(
    [("cells", "MuSC", None, "A", 0.35, "random"), ("cells", "MuSC", None, "B", -0.5, "published")]
)


@pytest.fixture
def scored():
    return score.score_changes(table(), PLANTED)


def test_scores_are_those_by_hand(scored):
    summary = score.summarize_calls(scored)
    assert scored.sort("gene")["covered"].to_list() == [True, False, True, False]
    assert (summary["calls"], summary["false_calls"]) == (2, 1)
    assert summary["false_discovery_proportion"] == summary["power"] == summary["coverage"] == 0.5
    assert summary["right_sign"] == 1
    assert summary["coverage_planted"] == 0.5
    assert summary["slope"] == pytest.approx((0.3 * 0.35 + 0.2 * 0.5) / (0.35**2 + 0.5**2))
    assert summary["null_rate"] == 0.5
    assert score.summarize_tests(scored).select("donors", "cells_per_donor", "calls").row(0) == (12, 80.0, 2)


def test_no_calls_are_no_false_discoveries_and_nothing_planted_has_no_power(scored):
    summary = score.summarize_calls(scored.filter(pl.col("gene") == "C"))
    assert summary["false_discovery_proportion"] == 0
    assert summary["power"] is summary["slope"] is summary["right_sign"] is None
    assert score.summarize_calls(scored.clear())["coverage"] is None
    assert score.summarize_tests(scored.clear()).is_empty()


def test_another_coding_of_age_is_scored_in_its_own_unit():
    scored = score.score_changes(table(decades_seen=3.2), PLANTED)
    assert scored.filter(pl.col("gene") == "A")["planted"].item() == pytest.approx(0.35 * 3.2)
    unaged = score.score_changes(table(decades_seen=np.nan), PLANTED)
    assert score.summarize_calls(unaged)["slope"] is None


def test_what_is_planted_in_a_part_of_the_subtypes_has_no_one_number():
    def planted(rows, cell_type, **level):
        found = score.find_planted(truth(rows), cell_type=cell_type, assay="cells", **level).sort("gene")
        return dict(found.select("gene", "planted").iter_rows())

    some, every = ("cells", "MuSC", "ICAM1+MuSCs"), ("cells", "MuSC", None)
    rows = [(*every, "A", 0.1, "random"), (*some, "A", 0.2, "published"), (*some, "B", 0.2, "published")]
    rows += [(*every, "C", 0.3, "random"), ("cells", "FB", None, "D", 0.3, "random")]
    rows += [("nuclei", "MuSC", None, "E", 0.3, "random")]
    assert planted(rows, "MuSC") == {"A": None, "B": None, "C": 0.3}
    fine = planted(rows, "ICAM1+MuSCs", level=names.LEVEL2)
    assert fine == pytest.approx({"A": 0.3, "B": 0.2, "C": 0.3})
    other = [("cells", "Specialised MF", "NMJ", "A", 0.1, "random")]
    assert planted(other, "MTJ", level=names.LEVEL1) == {}  # nothing of another subtype
    assert planted(other, "NMJ", level=names.LEVEL1) == {"A": 0.1}


def test_published_tables_name_each_gene_once():
    for level in (names.LEVEL0, names.LEVEL2):
        table = score.read_published(level=level)
        assert not table.select("cell_type", "assay", "gene").is_duplicated().any()
        assert set(table["direction"]) <= {"up", "down", "none"}
