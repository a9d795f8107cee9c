import hashlib

import polars as pl
import pytest

from helpers.atlas import validate
from helpers.atlas.report import is_damaged
from helpers.simulate import damage


def snapshot(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def damaged(report):
    return report.filter(pl.col("status") == "damaged")


def test_a_whole_release_passes_and_nothing_is_written(small_release):
    before = snapshot(small_release)
    report = validate.validate(small_release)
    assert damaged(report).to_dicts() == []
    assert not is_damaged(report)
    assert set(report["check"]) >= {"readable",
        "columns", "rows", "barcodes", "types", "labels", "label tree", "ages",
        "values", "zeros", "recomputed", "normalization", "whole counts", "aligned", "reports",
    }  # fmt: skip
    assert snapshot(small_release) == before


@pytest.mark.parametrize("name", damage.DAMAGES)
def test_every_damage_is_found_and_its_file_named(small_release, tmp_path, name):
    copy = damage.copy(small_release, tmp_path / "copy", damage=name)
    report = validate.validate(copy)
    bad = damaged(report)
    text = " ".join(f"{row['file']} {row['expected']} {row['remedy']}" for row in bad.to_dicts())
    assert len(bad), f"{name} was not found"
    assert damage.DAMAGES[name].file in text
    assert bad["remedy"].str.len_chars().min() > 10
