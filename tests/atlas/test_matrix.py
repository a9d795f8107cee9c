"""Dense columns to CSR in blocks: right for any shape, and never dense as a whole."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.atlas import matrix
from helpers.errors import BudgetError


def write(path, dense, **options):
    frame = pd.DataFrame(dense, columns=[f"g{j}" for j in range(dense.shape[1])])
    frame.to_parquet(path, **options)
    return matrix.Expression(path)


def read(expression, columns, rows=None, budget="1 GiB"):
    return expression.read_csr(np.asarray(columns), rows=rows, labels=str, budget=budget)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=st.tuples(st.integers(1, 60), st.integers(1, 30)), seed=st.integers(0, 10**6), data=st.data())
def test_any_rows_and_columns_of_any_blocking_are_those_of_the_dense_matrix(
    shape, seed, data, tmp_path, monkeypatch
):
    rng, width = np.random.default_rng(seed), data.draw(st.integers(1, 8))
    dense = (rng.normal(2, 1, shape) * (rng.random(shape) < 0.2)).astype(np.float32)
    expression = write(tmp_path / "e.parquet", dense, row_group_size=data.draw(st.integers(1, 60)))
    monkeypatch.setattr(matrix, "block_width", lambda _: width)
    columns = rng.permutation(shape[1])[: data.draw(st.integers(1, shape[1]))]
    some = rng.permutation(shape[0])[: rng.integers(1, shape[0] + 1)]
    rows = data.draw(st.sampled_from([None, some]))
    held = read(expression, columns, rows)
    held.check_format()
    assert (held.data != 0).all()
    np.testing.assert_array_equal(held.toarray(), (dense if rows is None else dense[rows])[:, columns])


def test_reading_stops_as_soon_as_the_budget_is_passed(tmp_path):
    expression = write(tmp_path / "e.parquet", np.ones((100, 600), np.float32))
    with pytest.raises(BudgetError, match=r"read so far needs about .* Ask for fewer cells"):
        read(expression, range(600), budget="100 KB")


def test_the_dense_matrix_is_never_held(tmp_path, monkeypatch):
    held = sp.random(3000, 2000, 0.02, format="csr", dtype=np.float32, random_state=0)
    expression = write(tmp_path / "e.parquet", held.toarray(), row_group_size=3000)
    monkeypatch.setattr(matrix, "block_width", lambda _: 64)
    widest, plain = [0], matrix._read

    def spy(file, columns):
        widest[0] = max(widest[0], len(columns))
        return plain(file, columns)

    monkeypatch.setattr(matrix, "_read", spy)
    read(expression, range(128))  # compile first
    tracemalloc.start()
    found = read(expression, range(2000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found != held).nnz == 0
    assert widest[0] == matrix.READ_COLUMNS  # of 2,000 columns at once, per thread
    dense, sparse = 3000 * 2000 * 4, held.nnz * (matrix.ENTRY_BYTES + matrix.PIECE_BYTES)
    assert peak < sparse + 3 * matrix.THREADS * 64 * 3000 * 4 + 2**20 < dense / 2
