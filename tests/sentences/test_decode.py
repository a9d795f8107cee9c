import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers.errors import SentenceError
from helpers.sentences import decode, encode, fitting


def on_a_line(n_cells=40, n_genes=60, slope=-0.8, intercept=2.5):
    rng = np.random.default_rng(2)
    line = intercept + slope * np.log10(1 + np.arange(n_genes))
    values = np.array([line[rng.permutation(n_genes)] for _ in range(n_cells)])
    obs = pd.DataFrame({"type": ["a", "b"] * (n_cells // 2)}, index=[f"c{i}" for i in range(n_cells)])
    return anndata.AnnData(values, obs, pd.DataFrame(index=[f"G{j:02d}" for j in range(n_genes)]))


def test_a_planted_line_is_found_and_reconstructs_every_value():
    adata = on_a_line()
    found = fitting.fit(adata, by="type", cells_fitted=10)
    assert (found.slope, found.intercept) == (pytest.approx(-0.8), pytest.approx(2.5))
    assert found.quality["label"].to_list()[0] == "all cells"
    assert found.quality["n_cells"].to_list()[0] == 30  # held out, not those fitted
    assert found.quality["r2"].min() == pytest.approx(1.0)
    text = encode.encode(adata).sentences[0]
    table = decode.decode(text, found)
    truth = dict(zip(adata.var_names, adata.X[0], strict=True))
    assert [truth[gene] for gene in table["gene"]] == pytest.approx(table["expression"].to_list())
    matrix = decode.decode_all([text], found, vocabulary=list(adata.var_names))
    assert matrix.toarray()[0] == pytest.approx(adata.X[0], abs=1e-6)


def test_the_quality_is_that_of_a_plain_computation():
    rng = np.random.default_rng(3)
    adata = on_a_line()
    adata.X = np.maximum(adata.X + rng.normal(0, 0.3, adata.shape), 0)
    found = fitting.fit(adata, cells_fitted=15, seed=4)
    drawn = np.random.default_rng(4).permutation(40)[15:]
    truth, guess = [], []
    for i in drawn:
        expressed = np.sort(adata.X[i][adata.X[i] > 0])[::-1]
        truth.extend(expressed)
        guess.extend(np.maximum(found.intercept + found.slope * np.log10(1 + np.arange(len(expressed))), 0))
    truth, guess = np.array(truth), np.array(guess)
    row = found.quality.row(0, named=True)
    assert row["r2"] == pytest.approx(1 - ((truth - guess) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())
    assert row["pearson"] == pytest.approx(stats.pearsonr(truth, guess)[0])
    assert row["spearman"] == pytest.approx(stats.spearmanr(truth, guess)[0])


def test_molecules_are_normalized_before_the_fit(cells):
    found = fitting.fit(cells)
    assert found.normalized_here
    logged = cells.copy()
    totals = np.asarray(cells.X.sum(axis=1)).ravel()
    logged.X = np.log1p(cells.X.toarray() / totals[:, None] * 1e4)
    again = fitting.fit(logged)
    assert not again.normalized_here
    assert (again.slope, again.intercept) == (
        pytest.approx(found.slope, rel=1e-4),
        pytest.approx(found.intercept, rel=1e-4),
    )


def test_a_prediction_never_falls_below_zero():
    line = fitting.Fit(-2.0, 1.0, 1, False, None)
    assert line.predict(np.array([0, 10_000])).tolist() == [1.0, 0.0]


def test_generated_text_is_cleaned():
    vocabulary = ["MYH7", "TTN", "Actb", "HLA-A", "ACTB"]
    cleaned = decode.clean("MYH7, ttn foo MYH7 hla-a. actb", vocabulary)
    assert cleaned.words == ("MYH7", "TTN", "HLA-A")
    assert cleaned.ranks == (0.0, 1.0, 2.0)
    assert cleaned.unknown == ("foo", "actb")  # two words of the vocabulary could be meant
    assert cleaned.repeats == 1
    mean = decode.clean("A B A C", repeats="mean")
    assert dict(zip(mean.words, mean.ranks, strict=True)) == {"A": 1.0, "B": 1.0, "C": 3.0}
    assert decode.clean("", vocabulary).words == ()
    with pytest.raises(SentenceError, match=r"repeats is 'last'"):
        decode.clean("A", repeats="last")


def test_no_expression_or_a_missing_column_is_refused(cells):
    with pytest.raises(SentenceError, match=r"no column 'kind' for the cell type"):
        fitting.fit(cells, by="kind")
    cells.X = cells.X * 0
    with pytest.raises(SentenceError, match=r"fewer than two ranks"):
        fitting.fit(cells)


def test_no_sentences_give_an_empty_matrix():
    line = fitting.Fit(-2.0, 1.0, 1, False, None)
    assert decode.decode_all([], line, vocabulary=["A"]).shape == (0, 1)
    assert decode.decode("", line).height == 0


def test_what_first_words_keep_is_computed_by_hand():
    adata = on_a_line()
    found = fitting.fit(adata, cells_fitted=10)
    kept = fitting.survive(adata, found, lengths=(1, 30, 60), n_cells=40)
    line = np.sort(adata.X[0])[::-1]
    assert kept["genes"].to_list() == pytest.approx([1 / 60, 0.5, 1.0])
    assert kept["expression"].to_list() == pytest.approx(
        [line[0] / line.sum(), line[:30].sum() / line.sum(), 1.0]
    )
    lost = (line[30:] ** 2).sum() / ((line - line.mean()) ** 2).sum()
    assert kept["r2"].to_list()[1:] == pytest.approx([1 - lost, 1.0])


def test_cells_too_few_to_fit_are_measured_as_nothing(cells):
    measured = fitting.measure(cells[:1].copy(), by="cell_type")
    assert measured.fit is None
    assert measured.quality.is_empty()
    assert measured.survival.is_empty()
    assert fitting.measure(cells, by="absent").quality["label"].to_list() == ["all cells"]
