import json
import types

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from helpers import names
from helpers.errors import ParameterError, StorageError
from helpers.simulate import cells, genes, release

COLUMNS = {
    "age_expression": ["assay", names.LEVEL0, names.LEVEL2, names.GENE, "log2_change_per_decade", "origin"],
    "late_expression": ["assay", names.LEVEL0, names.GENE, "after_years", "log2_change_per_decade_after"],
    "sex_expression": [names.GENE, "log2_male_over_female", "origin"],
    "silent_types": ["assay", names.LEVEL0, "common"],
    "donor_factors": [names.DONOR, names.LEVEL0, "factor_1", "factor_2", "factor_3", "factor_4"],
    "ambient": [names.SAMPLE, "assay", names.DONOR, "ambient_share", "foreign_share"],
    "composition": ["assay", "level", "label", "log2_change_per_decade", "origin"],
    "structural_zeros": ["assay", names.GENE],
    "cells": [names.BARCODE, *(f"true_level{i}" for i in range(3)), "mislabeled", "doublet", "doublet_with"],
}


def test_the_truth_has_the_agreed_columns_and_names_what_made_it(tiny_release):
    truth = tiny_release / names.TRUTH_FOLDER
    tables = {name: pl.read_parquet(truth / f"{name}.parquet") for name in COLUMNS}
    assert {name: table.columns for name, table in tables.items()} == COLUMNS
    made = json.loads((truth / "simulation.json").read_text())
    assert made.pop("planted")["factors"] == 4
    assert made == {"seed": 1, "scale": 0.02, "version": release.TRUTH_VERSION, "simulated": True}
    shown = pl.read_parquet(tiny_release / names.SAMPLE_FILE)[names.INDEX_COLUMN]
    assert (tables["cells"][names.BARCODE] == shown).all()
    changes = tables["age_expression"]
    assert not changes.select("assay", names.LEVEL0, names.LEVEL2, names.GENE).is_duplicated().any()
    assert changes["log2_change_per_decade"].is_finite().all()


def test_what_is_made_does_not_depend_on_the_number_of_threads(monkeypatch):
    means = {assay: genes.make_profiles(assay, seed=9) for assay in (names.CELLS, names.NUCLEI)}
    frame = cells.make_cells(scale=0.001, seed=9).filter(~pl.col("doublet")).head(120)
    changes = genes.list_age_effects(means, seed=9)
    made = []
    for threads in (1, 3):
        monkeypatch.setattr(cells, "THREADS", threads)
        counts = cells.draw_counts(frame, means, changes, seed=9)
        scores, *_ = cells.fit_pca(counts.astype(np.float32), seed=9)
        made.append(counts.data.tobytes() + counts.indices.tobytes() + scores.tobytes())
    assert made[0] == made[1]


def test_an_expression_file_that_does_not_fit_is_refused_before_it_is_begun(
    tmp_path, monkeypatch, tiny_adata
):
    monkeypatch.setattr(release.files.shutil, "disk_usage", lambda _: types.SimpleNamespace(free=10**6))
    with pytest.raises(StorageError, match="it needs about"):
        release._write_expression(tmp_path / "x.parquet", tiny_adata.X, list(tiny_adata.var_names))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scale", [0.0, -1.0, 1.5, 8.0])
def test_a_scale_that_is_no_share_is_refused(scale):
    with pytest.raises(ParameterError, match="is not a share of the release"):
        release.simulate(scale=scale)


def test_expression_is_one_row_group_of_floats_without_barcodes(tiny_release):
    assert "No real cell" in (tiny_release / names.README_FILE).read_text()
    parquet = pq.ParquetFile(tiny_release / names.EXPRESSION_FILE)
    assert parquet.num_row_groups == 1
    assert names.INDEX_COLUMN not in parquet.schema_arrow.names
    assert set(map(str, parquet.schema_arrow.types)) == {"float"}
    assert parquet.metadata.row_group(0).column(0).compression == "SNAPPY"
