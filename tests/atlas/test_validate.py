import hashlib
import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers import names
from helpers.atlas import validate
from helpers.errors import ReleaseError

import damage  # isort: skip  the folder tests is put on the path by conftest

TEXTS_FOR_READERS = (names.README_FILE, names.LICENSE_FILE)


def snapshot(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def damaged(report):
    return report.filter(pl.col("status") == "damaged")


def test_a_whole_release_passes_and_nothing_is_written(small_release):
    before = snapshot(small_release)
    report = validate.validate(small_release)
    assert damaged(report).to_dicts() == []
    assert set(report["check"]) >= {"readable",
        "columns", "rows", "barcodes", "types", "labels", "label tree", "ages",
        "values", "zeros", "recomputed", "normalization", "whole counts", "aligned", "reports",
    }  # fmt: skip
    assert snapshot(small_release) == before


@pytest.mark.parametrize(
    "name", [name for name, what in damage.DAMAGES.items() if what.file not in TEXTS_FOR_READERS]
)
def test_every_damage_is_found_with_what_where_and_what_to_do(copy, name):
    file, _, check, said = damage.DAMAGES[name]
    bad = damaged(validate.validate(damage.DAMAGES[name](copy)))
    rows = [" ".join(row) for row in bad.select(pl.exclude("check")).iter_rows()]
    assert file in " ".join(rows), f"{name} was not found"
    assert bad["remedy"].str.len_chars().min() > 10
    both = zip(bad["check"], rows, strict=True)
    assert any(re.fullmatch(check, c) and re.search(said, row) for c, row in both), rows


def test_all_faults_are_named_at_once(copy):
    several = ("empty features", "missing validation_report.json", "NaN in projection", "wrong midpoints")
    for name in several:
        damage.DAMAGES[name](copy)
    assert set(damaged(validate.validate(copy))["file"]) == {damage.DAMAGES[name].file for name in several}


def test_no_folder_is_refused_and_an_empty_one_misses_twelve_files(tmp_path):
    said = r"nowhere' is not a folder\. Give the folder that holds the twelve"
    with pytest.raises(ReleaseError, match=said):
        validate.validate(tmp_path / "nowhere")
    report = validate.validate(tmp_path)
    assert sorted(report["file"]) == sorted(names.RELEASE_FILES)
    assert set(report["found"]) == {"missing"}


def test_a_gene_column_that_comes_twice_is_damage_also_where_the_gene_table_has_it_twice(copy):
    damage.table(lambda t: t.append_column("MYH7", t.column("MYH7")))(copy / names.EXPRESSION_FILE)
    features = pd.read_parquet(copy / names.FEATURE_FILE)
    again = features.loc[["MYH7"]].assign(ENSEMBL="ENSG00000000000")
    pd.concat([features, again]).to_parquet(copy / names.FEATURE_FILE)
    bad = damaged(validate.validate(copy)).filter(pl.col("check") == "columns")
    assert bad["file"].to_list() == [names.EXPRESSION_FILE]
    assert bad["found"].to_list() == ["1 columns more than once: 'MYH7'"]


def frame(change):
    """Change a file as a table of pandas."""
    return lambda path: change(pd.read_parquet(path)).to_parquet(path)


def scaled(factor):
    return frame(lambda f: np.log1p(np.expm1(f).mul(factor, axis=0)).astype(np.float32))


def smeared(f):
    values = np.expm1(f) * np.random.default_rng(2).uniform(0.7, 1.3, f.shape)
    return np.log1p(values.div(values.sum(axis=1), axis=0) * 1e4).astype(np.float32)


def with_label(level, label, cells):
    return frame(lambda f: f.assign(**{level: f[level].astype(str).mask(cells(f), label)}))


_E, _S, _INDEX = names.EXPRESSION_FILE, names.SAMPLE_FILE, names.INDEX_COLUMN
ONE = np.where(np.arange(680) == 11, 0.97, 1.0)
UNRELATED = np.random.default_rng(3).integers(500, 5000, 680)
PLAIN = damage.table(lambda held: held.replace_schema_metadata(None))
CHANGES = {  # file, what is done to it, what is said of it if anything
    "row groups": (_E, lambda path: pq.write_table(pq.read_table(path), path, row_group_size=100), ""),
    "phantom index": (_E, damage.table(lambda held: held.append_column(_INDEX, pa.array(np.arange(680)))), ""),
    "no pandas block": (_E, PLAIN, ""),
    "no pandas block in map": (names.PROJECTION_FILES[names.UMAP], PLAIN, ""),
    "named index": (_S, damage.table(lambda held: held.rename_columns({_INDEX: "barcode"})), ""),
    "no barcodes": (_S, damage.table(lambda held: held.drop_columns([_INDEX])), ""),
    "float64": (_E, damage.column("genes", lambda values: values.astype(float)), "types warning 220 columns are float64"),
    "counted over more genes": (_S, frame(lambda f: f.assign(n_genes=f.n_genes + np.arange(680) % 3)), "recomputed warning n_genes differs in 453 of 680 rows, first row 1: .*alike throughout"),
    "nothing to do with the matrix": (_S, frame(lambda f: f.assign(n_genes=UNRELATED)), "recomputed damaged n_genes differs in 680 of 680 rows"),
    "another total": (_E, scaled(0.95), "normalization warning 680 of 680 cells do not, first row 0: 9,500"),
    "half the total": (_E, scaled(0.5), "normalization damaged 680 of 680 cells do not, first row 0: 5,000"),
    "one cell on another scale": (_E, scaled(ONE), "normalization damaged 1 of 680 cells do not, first row 11: 9,700"),
    "no whole counts": (_E, frame(smeared), "whole counts warning .*count models will refuse this release"),
    "a break of the label tree": (_S, with_label(names.LEVEL2, "cDC1", lambda f: (f[names.LEVEL0] == "FB") & (np.arange(680) < 40)), "label tree damaged .*cDC2 > cDC2 > cDC1.*FB > FB > cDC1"),
    "an unknown label": (_S, with_label(names.LEVEL0, "MuSCs", lambda _: np.arange(680) == 0), "labels warning 1 of 680 cells with unknown labels: 'MuSCs'"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_single_values_are_damage_another_way_to_count_is_a_note_and_to_write_is_nothing(copy, name):
    file, change, said = CHANGES[name]
    change(copy / file)
    report = validate.validate(copy)
    told = report.filter(pl.col("status") != "ok").select("check", "status", "found", "remedy")
    rows = [" ".join(row) for row in told.iter_rows() if row[:2] != ("label tree", "warning")]
    assert any(re.match(said, row) for row in rows) if said else rows == [], rows
    assert set(damaged(report)["check"]) == ({said.split(" damaged")[0]} if "damaged" in said else set())
