from helpers.sentences import decode
from helpers.sentences.decode import Fit


def test_a_prediction_never_falls_below_zero():
    assert Fit(slope=-2.0, intercept=1.0).predict([0, 10_000]).tolist() == [1.0, 0.0]


def test_generated_text_is_cleaned():
    vocabulary = ["MYH7", "TTN", "Actb", "HLA-A", "ACTB"]
    cleaned = decode.clean("MYH7, ttn foo MYH7 hla-a. actb", vocabulary)
    assert cleaned.words == ("MYH7", "TTN", "HLA-A")
    assert cleaned.unknown == ("foo", "actb")  # two words of the vocabulary could be meant
    assert cleaned.repeats == 1
    assert decode.clean("", vocabulary).words == ()
