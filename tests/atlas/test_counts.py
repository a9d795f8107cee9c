"""Counts recovered exactly, or refused with what was seen and where."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.atlas import counts
from helpers.errors import CountsError


def normalize(molecules, target=1e4):
    """Scale each cell to `target` and take the log."""
    return np.log1p(molecules / np.maximum(molecules.sum(1), 1)[:, None] * target)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    target=st.sampled_from([1e4, 1e6, 1717.0]),
    dtype=st.sampled_from([np.float32, np.float64]),
    depth=st.floats(0.1, 300),
)
def test_counts_come_back_exactly_whatever_the_target_and_the_depth(seed, target, dtype, depth):
    rng = np.random.default_rng(seed)
    molecules = rng.poisson(rng.gamma(0.3, depth, (20, 30)))
    molecules[:, 0] = 1
    held = sp.csr_matrix(normalize(molecules, target).astype(dtype))
    before = held.copy()
    found = counts.recover(held)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found.toarray(), molecules)
    assert np.shares_memory(found.indices, held.indices)
    assert (held != before).nnz == 0


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), least=st.integers(2, 7))
def test_cells_without_a_single_molecule(seed, least):
    rng = np.random.default_rng(seed)
    molecules = rng.integers(least, 40, (30, 12))
    values = sp.csr_matrix(normalize(molecules).astype(np.float32))
    found = counts.recover(values)
    divisors = np.array([np.gcd.reduce(cell) for cell in molecules])
    np.testing.assert_array_equal(found.toarray(), molecules // divisors[:, None])  # all that values can tell
    whole = counts.recover(values, totals=molecules.sum(1))
    np.testing.assert_array_equal(whole.toarray(), molecules)


def test_totals_that_do_not_fit_the_values_are_not_believed():
    molecules = np.random.default_rng(0).poisson(2, (50, 40))
    molecules[:, 0] = 1
    wrong = np.random.default_rng(1).integers(100, 9000, 50)
    np.testing.assert_array_equal(counts.recover(normalize(molecules), totals=wrong).toarray(), molecules)


def test_known_units_tell_the_counts_of_a_few_genes():
    molecules = np.random.default_rng(0).integers(2, 30, (50, 40))
    units = 1e4 / molecules.sum(1)
    few = normalize(molecules)[:, :2]
    np.testing.assert_array_equal(counts.recover(few, units=units).toarray(), molecules[:, :2])
    with pytest.raises(CountsError, match="with its known size factor"):
        counts.recover(few, units=units * 1.3)


def test_integers_are_taken_as_counts_and_stored_zeros_dropped():
    held = sp.csr_matrix(([2.0, 0.0, 5.0], [0, 1, 1], [0, 2, 3]), shape=(2, 2))
    found = counts.recover(held)
    assert found.toarray().tolist() == [[2, 0], [0, 5]]
    assert (found.nnz, held.nnz) == (2, 3)  # what was given is left as it is


@pytest.mark.parametrize("molecules", [np.array([[0, 0, 0], [1, 2, 0]]), np.zeros((0, 5)), np.zeros((3, 5))])
def test_empty_cells_and_no_cells(molecules):
    found = counts.recover(sp.csr_matrix(normalize(molecules)))
    assert found.toarray().tolist() == molecules.tolist()


BASE = np.random.default_rng(4).poisson(3, (12, 30)) + np.eye(12, 30, dtype=int)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v, m: v - v.mean(0), r"a negative value, -[\d.]+, first in cell 'c0'.*scaled, centered or corrected"),
        (lambda v, m: np.where(v == v[3, 4], np.nan, v), r"not a number, nan, first in cell 'c3'"),
        (lambda v, m: np.where(v == v[3, 4], np.inf, v), r"not a number, inf, first in cell 'c3'"),
        (lambda v, m: np.expm1(v), r"neither whole counts nor log1p.*the largest is [\d.]+.*not whole, [\d.]+, first in cell 'c0'"),
        (lambda v, m: v * 1.05, r"not log1p of normalized counts in 12 of 12 cells, first cell 'c0'"),
        (lambda v, m: v / np.log(2), r"12 of 12 cells.*They look like log2"),
        (lambda v, m: np.log1p(np.expm1(v) * 0.9 + (v > 0) * 7.7), r"12 of 12 cells.*corrected, smoothed"),
        (lambda v, m: m / m.sum(1, keepdims=True), r"normalized but not log-transformed"),
    ],
)  # fmt: skip
def test_values_that_hold_no_counts_are_refused_with_what_was_seen(change, message):
    values = change(normalize(BASE), BASE)
    with pytest.raises(CountsError, match=message):
        counts.recover(values, barcodes=[f"c{i}" for i in range(12)])


@settings(max_examples=40, deadline=None)
@given(cell=st.integers(0, 11), share=st.floats(0.2, 0.8))
def test_one_changed_value_in_one_cell_is_found(cell, share):
    values, gene = normalize(BASE), BASE[cell].argmax()
    values[cell, gene] = np.log1p((BASE[cell, gene] + share) / BASE[cell].sum() * 1e4)
    with pytest.raises(CountsError, match=f"in 1 of 12 cells, first cell {cell}:"):
        counts.recover(values.astype(np.float32))


def test_a_count_too_large_for_its_rounding_is_refused_and_not_guessed():
    with pytest.raises(CountsError, match="in 1 of 1 cells"):
        counts.recover(np.log1p(np.array([[1, 9_999_999, 3]]) / 1e3).astype(np.float32))


def test_scanpys_reduced_pbmc_gives_whole_counts_that_agree_with_its_totals():
    scanpy = pytest.importorskip("scanpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the stored file is older than today's anndata
        real = scanpy.datasets.pbmc68k_reduced()
    held, totals = real.raw.X, real.obs["n_counts"].to_numpy()  # totals are not used to recover
    wanted = np.rint(np.expm1(held.toarray()) * totals[:, None] / 1e4)
    np.testing.assert_array_equal(counts.recover(held).toarray(), wanted)
    with pytest.raises(CountsError, match=r"a negative value, -0.326, first in cell 'AAAGCCTGGCTAAC-1'"):
        counts.recover(real.X, barcodes=list(real.obs_names))
