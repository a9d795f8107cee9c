import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

from helpers.simulate import rowgroup


@pytest.fixture
def matrix():
    x = sp.random(300, 57, density=0.2, format="csr", dtype=np.float32, random_state=4)
    x.sort_indices()
    return x


def test_a_file_joined_from_blocks_reads_like_the_matrix_everywhere(matrix, tmp_path, monkeypatch):
    monkeypatch.setattr(rowgroup, "BLOCK_COLUMNS", 10)
    monkeypatch.setattr(rowgroup, "WHOLE_BYTES", 0)
    path, columns = tmp_path / "x.parquet", [f"gene ϕ{i}" for i in range(57)]
    rowgroup.write_columns(path, matrix, columns, threads=2)
    np.testing.assert_array_equal(pl.read_parquet(path).to_numpy(), matrix.toarray())
    np.testing.assert_array_equal(pq.read_table(path).to_pandas().to_numpy(), matrix.toarray())
    np.testing.assert_array_equal(
        pl.scan_parquet(path).select(columns[33]).collect().to_series().to_numpy(), matrix.toarray()[:, 33]
    )
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("whole", [0, 2**30])
def test_the_bytes_are_those_that_pyarrow_writes(matrix, tmp_path, monkeypatch, threads, whole):
    columns = [f"g{i}" for i in range(57)]
    table = pa.table([pa.array(c) for c in matrix.toarray().T], names=columns)
    pq.write_table(table, tmp_path / "whole.parquet")
    monkeypatch.setattr(rowgroup, "BLOCK_COLUMNS", 8)
    monkeypatch.setattr(rowgroup, "WHOLE_BYTES", whole)
    rowgroup.write_columns(tmp_path / "joined.parquet", matrix, columns, threads=threads)
    assert pq.ParquetFile(tmp_path / "joined.parquet").metadata.num_row_groups == 1
    assert (tmp_path / "joined.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
