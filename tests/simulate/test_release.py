import numpy as np
import polars as pl
import pyarrow.parquet as pq
import scipy.sparse as sp

from helpers import names
from helpers.simulate import release


def test_all_files_are_there(tiny_release):
    assert all((tiny_release / file).is_file() for file in names.RELEASE_FILES)


def test_expression_is_one_row_group_of_floats_without_barcodes(tiny_release):
    parquet = pq.ParquetFile(tiny_release / names.EXPRESSION_FILE)
    assert parquet.num_row_groups == 1
    assert names.INDEX_COLUMN not in parquet.schema_arrow.names
    assert set(map(str, parquet.schema_arrow.types)) == {"float"}
    assert parquet.metadata.row_group(0).column(0).compression == "SNAPPY"


def test_expression_is_written_as_it_is(tmp_path):
    x = sp.random(300, 57, density=0.2, format="csr", dtype=np.float32, random_state=4)
    columns = [f"gene ϕ{i}" for i in range(57)]
    release._write_expression(tmp_path / "x.parquet", x, columns)
    read = pl.read_parquet(tmp_path / "x.parquet")
    assert read.columns == columns
    np.testing.assert_array_equal(read.to_numpy(), x.toarray())
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]
