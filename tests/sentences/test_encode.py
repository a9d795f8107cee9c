import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from helpers.errors import SentenceError
from helpers.sentences import encode
from helpers.sentences.encode import Rule

MATRICES = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 6), st.integers(1, 30)),
    elements=st.sampled_from([0, 0, 0, 1, 1, 2, 3, 7, 255, 256, 0.5, 1e-30, 3.25e7, -1, -0.0, np.nan, np.inf]),
)  # fmt: skip


def make(values, genes=None, dtype=np.float32):
    if not sp.issparse(values):
        values = np.asarray(values, dtype)
    genes = genes or [f"G{j:03d}" for j in range(values.shape[1])]
    return anndata.AnnData(values, var=pd.DataFrame(index=genes))


def sentences(source, **options):
    return encode.encode(source, rule=Rule(**options)).sentences


def by_loop(values, genes, top_n=2000):
    """The definition, written plainly."""
    made = []
    for row in values:
        pairs = [(-float(v), gene) for v, gene in zip(row, genes, strict=True) if np.isfinite(v) and v > 0]
        made.append(" ".join(gene for _, gene in sorted(pairs)[: top_n or None]))
    return made


def test_the_highest_value_comes_first_and_ties_are_alphabetical():
    encoded = encode.encode(make([[0, 3, 1, 3], [5, 0, 0, 0], [0, 0, 0, 0]], ["TTN", "MYH7", "ACTA1", "CKM"]))
    assert encoded.sentences == ["CKM MYH7 ACTA1", "TTN", ""]
    assert encoded.table.select("barcode", "n_expressed").rows() == [("0", 3), ("1", 1), ("2", 0)]


def test_zeros_nan_infinities_and_negatives_never_enter():
    values = sp.csr_matrix(np.ones((1, 5)))
    values.data[:] = [0.0, np.nan, -3.0, np.inf, 5.0]  # stored explicitly
    encoded = encode.encode(make(values, list("ABCDE")))
    assert encoded.sentences == ["E"]
    assert [encoded.ties[f"values_{kind}"] for kind in ("stored_zero", "not_finite", "negative")] == [1, 2, 1]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values=MATRICES, top_n=st.sampled_from([0, 1, 3, 2000]), block=st.integers(1, 7), shuffle=st.randoms())
def test_every_storage_block_and_order_of_cells_gives_the_defined_sentence(values, top_n, block, shuffle):
    genes = [f"G{j:02d}" for j in range(values.shape[1])]
    shuffle.shuffle(genes)
    expected = by_loop(values, genes, top_n)
    rule = Rule(top_n=top_n)
    for stored in (values, sp.csr_matrix(values), sp.csc_matrix(values)):
        adata = make(stored, genes, values.dtype)
        assert encode.encode(adata, rule=rule, block=block).sentences == expected
        assert encode.encode(adata[::-1].copy(), rule=rule, block=block).sentences == expected[::-1]
    # a positive scale of a cell and the order of genes leave the text as it is
    turned = make(values[:, ::-1] * 2, genes[::-1], values.dtype)
    assert encode.encode(turned, rule=rule).sentences == by_loop(values * 2, genes, top_n)


def test_a_long_run_of_equal_values_does_not_depend_on_the_sort_algorithm():
    # a fault of peers: unstable sorts differ between processors
    genes = [f"G{i:04d}" for i in np.random.default_rng(0).permutation(5000)]
    assert sentences(make(np.ones((1, 5000)), genes), top_n=0) == [" ".join(sorted(genes))]


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint16, np.int32, np.int64, np.float16, np.float32, np.float64]
)
def test_every_number_type_gives_the_same_text(dtype):
    values = np.array([[0, 3, 1, 100], [7, 7, 0, 1]])
    assert sentences(make(values, dtype=dtype)) == by_loop(values, [f"G{j:03d}" for j in range(4)])


def test_doubles_that_single_precision_cannot_tell_apart_are_not_tied():
    encoded = encode.encode(make([[1.0, 1.0 + 1e-12]], ["A", "B"], dtype=np.float64))
    assert (encoded.sentences, encoded.ties["words_in_ties"]) == (["B A"], 0)


def test_more_words_than_two_bytes_can_number_are_ordered():
    values = sp.csr_matrix((np.ones(3, np.float32), ([0, 0, 0], [69_999, 5, 300])), shape=(1, 70_000))
    adata = make(values, [f"G{j:05d}" for j in range(70_000)][::-1])
    assert sentences(adata) == ["G00000 G69699 G69994"]


def test_columns_of_one_symbol_are_added_up_as_molecules_or_the_first_counts():
    counts = np.array([[3, 2, 4, 6], [1, 1, 0, 3]], float)
    logs = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)
    for values in (counts, logs):
        adata = make(values, list("wxyz"))
        adata.var["feature_name"] = ["A", "A", "B", "C"]
        assert sentences(adata) == ["C A B", "C A"]  # 6, 3 + 2, 4
        assert sentences(adata, duplicates="first") == ["C B A", "C A"]


def test_layers_and_raw_are_read_with_their_own_genes():
    adata = make([[1, 0], [0, 1]], ["A", "B"])
    adata.layers["other"] = np.array([[0, 2.0], [3.0, 4.0]])
    adata.raw = make([[1, 0, 5], [2, 9, 0]], ["A", "B", "C"])
    assert sentences(adata, layer="other") == ["B", "B A"]
    assert sentences(adata, layer="raw") == ["C A", "B A"]
    with pytest.raises(SentenceError, match=r"the AnnData has no 'lay'; it has: X, raw, other"):
        sentences(adata, layer="lay")


def test_seeded_ties_depend_on_seed_and_barcode_only(cells):
    one = sentences(cells, ties="seeded", seed=1)
    assert one != sentences(cells, ties="seeded", seed=2)
    chance = np.random.default_rng(0)
    order, genes = chance.permutation(cells.n_obs), chance.permutation(cells.n_vars)
    turned = cells[order][:, genes].copy()
    encoded = encode.encode(turned, rule=Rule(ties="seeded", seed=1), block=7)
    assert encoded.sentences == [one[i] for i in order]
    for text, (_, row) in zip(one, cells.to_df().iterrows(), strict=True):
        assert row[text.split()].is_monotonic_decreasing


def test_the_tie_report_counts_by_hand():
    adata = make([[3, 2, 2, 1], [1, 1, 1, 1], [0, 0, 0, 0]], list("ABCD"))
    ties = encode.encode(adata, rule=Rule(top_n=2)).ties
    assert (ties["cells"], ties["empty_cells"], ties["expressed"], ties["words"]) == (3, 1, 8, 4)
    assert (ties["cells_cut"], ties["cells_cut_within_a_tie"]) == (2, 2)
    assert ties["words_in_ties"] == 3  # B of the first cell, A and B of the second
    assert ties["tied_share"] == 0.75
    assert encode.encode(adata[2:].copy()).ties["tied_share"] is None


def test_gene_lists_give_sentences_of_their_own(cells):
    lists = {"two": ["G001", "G002", "absent"]}
    table = encode.encode(cells, rule=Rule(top_n=1, gene_lists=lists)).table
    for full, short in zip(sentences(cells, top_n=0), table["gene_sentence_two"], strict=True):
        assert short == " ".join(word for word in full.split() if word in lists["two"])


@pytest.mark.parametrize("kind", ["csr", "csc", "dense"])
@pytest.mark.parametrize("where", ["X", "raw", "layer"])
def test_files_of_every_kind_are_read_in_slices(cells, tmp_path, kind, where):
    expected = sentences(cells)
    values = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": lambda x: x.toarray()}[kind](cells.X)
    adata = anndata.AnnData(values, cells.obs, cells.var)
    if where != "X":
        adata.raw, adata.layers["layer"] = adata, values
        adata.X = sp.csr_matrix(adata.shape)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    encoded = encode.encode(tmp_path / "cells.h5ad", rule=Rule(layer=where), block=7)
    assert encoded.sentences == expected
    assert encoded.table["barcode"].to_list() == list(cells.obs_names)


def test_ranked_words_are_taken_and_marked_as_a_plain_loop_does(cells):
    ranked, texts = encode.rank(cells), sentences(cells)
    taken = ranked.take(np.array([5, 5, 0]))
    assert taken.text().to_pylist() == [texts[row] for row in (5, 5, 0)]
    assert taken.expressed.tolist() == [len(texts[row].split()) for row in (5, 5, 0)]
    names = np.array(ranked.vocabulary.words)
    marked = [set(names[row == 1]) for row in ranked.presence(3).toarray()]
    assert marked == [set(text.split()[:3]) for text in texts]
    assert ranked.text().to_pylist() == texts  # nothing was changed in place


def test_backed_anndata_is_read_from_its_file(cells, file):
    backed = anndata.read_h5ad(file, backed="r")
    assert sentences(backed) == sentences(cells)
    with pytest.raises(SentenceError, match=r"view of a backed AnnData.*call .to_memory\(\)"):
        sentences(backed[:3])
    backed.file.close()


@pytest.mark.parametrize(
    ("data", "columns", "text"), [([1.0, 1.0, 1.5], [0, 0, 1], "A B"), ([1.0, 1.0, 2.0], [2, 0, 1], "B A C")]
)
def test_rows_that_store_a_column_twice_or_unsorted_give_their_sum(data, columns, text):
    values = sp.csr_matrix((np.array(data), np.array(columns), np.array([0, 3])), shape=(1, 3))
    assert sentences(make(values, list("ABC"))) == [text]
