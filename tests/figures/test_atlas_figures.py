"""Figures of the atlas are drawn for what a source has, and say what it lacks."""

import polars as pl

from helpers import names
from helpers.analysis import donors, labels
from helpers.figures import atlas as draw


def test_labels_are_drawn_by_assay_and_without_one():
    obs = pl.DataFrame({names.LEVEL0: ["FB", "FB", "MuSC"], names.ASSAY: ["cells", "nuclei", "cells"]})
    by_assay = draw.draw_labels(labels.count(obs))
    assert [text.get_text() for text in by_assay.axes[0].get_legend().get_texts()] == ["cells", "nuclei"]
    without = obs.with_columns(pl.lit(None, dtype=pl.String).alias(names.ASSAY))
    plain = draw.draw_labels(labels.count(without))
    assert "assay not stated" in [text.get_text() for text in plain.axes[0].get_legend().get_texts()]


def test_a_source_without_donors_or_labels_gets_a_sentence():
    nobody = donors.by_donor(pl.DataFrame({names.DONOR: [None]}, schema={names.DONOR: pl.String}))
    assert "no donors" in draw.draw_donors(nobody).axes[0].texts[0].get_text()
    assert (
        "no cell-type labels"
        in draw.draw_labels(labels.count(pl.DataFrame({"x": [1]}))).axes[0].texts[0].get_text()
    )


def test_a_label_with_markup_is_drawn_as_text():
    obs = pl.DataFrame({names.LEVEL0: ["$\\frac{1}{$<b>"], names.ASSAY: ["cells"]})
    figure = draw.draw_labels(labels.count(obs))
    figure.canvas.draw()
    assert "<b>" in figure.axes[0].get_yticklabels()[0].get_text()
