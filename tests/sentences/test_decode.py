import anndata
import numpy as np
import pandas as pd
import pytest

from helpers.sentences import decode, encode
from helpers.sentences.decode import Fit


def test_a_sentence_gives_back_values_that_lie_on_the_line():
    rng = np.random.default_rng(2)
    line = Fit(slope=-0.8, intercept=2.5)
    values = np.array([line.predict(np.arange(60))[rng.permutation(60)] for _ in range(4)])
    adata = anndata.AnnData(values, var=pd.DataFrame(index=[f"G{j:02d}" for j in range(60)]))
    texts = encode.encode(adata).sentences
    table = decode.decode(texts[0], line)
    truth = dict(zip(adata.var_names, values[0], strict=True))
    assert [truth[gene] for gene in table["gene"]] == pytest.approx(table["expression"].to_list())


def test_a_prediction_never_falls_below_zero():
    assert Fit(slope=-2.0, intercept=1.0).predict([0, 10_000]).tolist() == [1.0, 0.0]


def test_generated_text_is_cleaned():
    vocabulary = ["MYH7", "TTN", "Actb", "HLA-A", "ACTB"]
    cleaned = decode.clean("MYH7, ttn foo MYH7 hla-a. actb", vocabulary)
    assert cleaned.words == ("MYH7", "TTN", "HLA-A")
    assert cleaned.unknown == ("foo", "actb")  # two words of the vocabulary could be meant
    assert cleaned.repeats == 1
    assert decode.clean("", vocabulary).words == ()
    assert decode.decode("", Fit(-2.0, 1.0)).height == 0
