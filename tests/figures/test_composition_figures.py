"""Figures of chapter 04 hold what they are given, and say why when there is nothing."""

import polars as pl
import pytest

from helpers import names
from helpers.analysis import (
    composition,
    composition_audit,
    composition_stability,
    composition_tests,
    donor_slopes,
    draws,
    fractions,
    reference,
)
from helpers.facts import fibers as facts
from helpers.figures import composition as draw
from helpers.figures import composition_limits as limits
from helpers.figures import fibers as draw_fibers
from helpers.figures import style


@pytest.fixture(scope="module")
def table():
    shares = {f"t{i}": float(i + 1) for i in range(12)}
    return draws.draw(draws.donors(8), shares=shares, concentration=50, seed=1)


@pytest.fixture(scope="module")
def results(table):
    return composition_tests.compare(table, methods=["log-ratio", "chi-square"])


def small(figure):
    assert len(style.picture(figure)) < 500_000
    return figure


def test_bars_of_the_tissue_reach_one_in_every_donor(table):
    figure = small(draw.draw_tissue(table, shown=4))
    bars = figure.axes[0].patches
    tops = {}
    for bar in bars:
        tops[round(bar.get_x(), 3)] = max(tops.get(round(bar.get_x(), 3), 0), bar.get_y() + bar.get_height())
    assert len(tops) == 8
    assert all(top == pytest.approx(1) for top in tops.values())


def test_every_tested_type_has_a_row_of_intervals(results):
    figure = small(draw.draw_effects(results))
    assert len(figure.axes[0].get_yticks()) == results["type"].n_unique()


def test_each_test_has_a_panel_of_null_p_values(table):
    null = composition_audit.run_null(table, draws=3)
    assert len(small(limits.draw_null(null)).axes) == null["method"].n_unique()


def test_frames_and_their_truth_are_drawn():
    trap, planted = reference.trap()
    figure = small(draw.draw_frames(reference.sensitivity(trap), truth=planted))
    assert "planted" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_published_slopes_stand_on_the_axis_they_are_named_for():
    joined = pl.DataFrame(
        {"assay": ["cells"] * 3, "type": list("abc"), "found_per_sd": [0.1, 0.2, -0.4], "low_per_sd": [-1.0] * 3,
         "high_per_sd": [1.0] * 3, "published_per_sd": [0.3, -0.2, 0.5]}
    )  # fmt: skip
    line = small(draw.draw_published(joined)).axes[0].lines[0]
    assert line.get_xdata().tolist() == [0.3, -0.2, 0.5]
    assert line.get_ydata().tolist() == [0.1, 0.2, -0.4]


def test_limits_are_drawn(table, results):
    small(limits.draw_dominance(composition_stability.dominance(table)))
    power = composition_audit.power(results.filter(pl.col("method") == "log-ratio"))
    published = pl.DataFrame({"assay": ["simulated"], "type": ["t1"], "published_per_decade": [0.3]})
    small(limits.draw_power(power, published))
    both = composition_stability.without(table, "D03", method="log-ratio")
    small(limits.draw_without(both, donor="D03", types=["t1", "t2"], assay="simulated"))


def test_published_fractions_have_all_their_points():
    real = facts.completed_fractions()
    panels = fractions.retest(real).select(names.ASSAY, names.LEVEL0).head(5).rows()
    figure = small(limits.draw_fractions(real, types=panels))
    assay, kind = panels[0]
    drawn = sum(len(line.get_xdata()) for line in figure.axes[0].lines)
    assert drawn == real.filter((pl.col(names.ASSAY) == assay) & (pl.col(names.LEVEL0) == kind)).height


def test_nothing_to_draw_is_said_in_words(table, results):
    empty = results.clear()
    slopes = pl.DataFrame(schema=donor_slopes.SCHEMA)
    shares = composition.shares(table).clear()
    for figure in (
        draw.draw_tissue(table.clear()),
        draw.draw_effects(empty),
        draw.draw_frames(empty.with_columns(pl.lit("x").alias("frame"))),
        limits.draw_null(pl.DataFrame(schema={"method": pl.String, "p": pl.Float64})),
        limits.draw_dominance(composition_stability.dominance(table.clear())),
        limits.draw_power(composition_audit.power(empty), pl.DataFrame()),
        draw_fibers.draw_ratio(pl.DataFrame(), shares),
        draw_fibers.draw_fragments(shares),
        draw_fibers.draw_slopes(slopes),
    ):
        words = [text.get_text() for axis in figure.axes for text in axis.texts]
        assert any("Nothing to draw" in text or "no donors" in text for text in words)
