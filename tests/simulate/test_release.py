from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from helpers import names

FACTS = Path(__file__).resolve().parents[3] / "shared" / "facts"


def test_all_files_are_there(tiny_release):
    assert all((tiny_release / file).is_file() for file in names.RELEASE_FILES)


def test_expression_is_one_row_group_of_floats_without_barcodes(tiny_release):
    parquet = pq.ParquetFile(tiny_release / names.EXPRESSION_FILE)
    assert parquet.num_row_groups == 1
    assert names.INDEX_COLUMN not in parquet.schema_arrow.names
    assert set(map(str, parquet.schema_arrow.types)) == {"float"}
    assert parquet.metadata.row_group(0).column(0).compression == "SNAPPY"


def test_expression_is_what_the_atlas_in_memory_holds(tiny_release, tiny_adata):
    genes = ["ALDOA", "MYH7", "XIST", "ZYX"]
    read = pl.read_parquet(tiny_release / names.EXPRESSION_FILE, columns=genes).to_numpy()
    np.testing.assert_array_equal(read, tiny_adata[:, genes].X.toarray())
