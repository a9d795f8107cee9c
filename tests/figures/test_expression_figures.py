import numpy as np
import polars as pl
import pytest

from helpers.analysis import schemas, scoring
from helpers.figures import evidence, expression, people, style


def texts(figure):
    return [
        text.get_text() for axis in figure.axes for text in [*axis.texts, *axis.get_yticklabels(), axis.title]
    ]


@pytest.fixture
def table():
    generator = np.random.default_rng(0)
    n = 60
    change = generator.normal(0, 0.3, n)
    p = np.sort(generator.random(n)) ** 3
    return pl.DataFrame(
        {
            "level": "annotation_level0",
            "cell_type": "MuSC",
            "assay": "cells",
            "gene": [f"G${i}" for i in range(n)],
            "per": "decade",
            "log2_change": change,
            "low": change - 0.2,
            "high": change + 0.2,
            "standard_error": 0.1,
            "df": 12.0,
            "F": 1.0,
            "p": p,
            "q": np.minimum(p * 5, 1),
            "mean_log2_cpm": generator.normal(6, 1, n),
            "donors_expressing": 12,
            "donors": 12,
        }
    )


DONORS = pl.DataFrame({"donor": ["a", "b", "c"], "years": [70.0, 20.0, None], "sex": ["F", "M", "M"]})


def test_lists_hatch_genes_of_the_sex_chromosomes(table):
    chromosomes = pl.DataFrame({"gene": ["G$0", "G$1"], "chromosome": ["Y", "1"]})
    figure = expression.draw_lists(table, table, chromosomes=chromosomes, top=5)
    bars = figure.axes[0].patches
    assert [bool(bar.get_hatch()) for bar in bars[:5]] == [True, False, False, False, False]
    assert len(style.picture(figure)) < 500_000


def test_volcano_and_ma_draw_every_gene_and_only_calls_are_named(table):
    for draw in (expression.draw_volcano, expression.draw_ma):
        figure = draw(table, fdr=0.1, label=3)
        drawn = sum(len(points.get_offsets()) for points in figure.axes[0].collections)
        assert drawn == table.height
        assert len([text for text in figure.axes[0].texts if text.get_text()]) == 3
        style.picture(figure)


def test_the_heatmap_runs_from_young_to_old_and_is_centered():
    values = np.array([[5.0, 1.0], [3.0, 1.0], [4.0, 1.0]])
    figure = people.draw_heatmap(values, genes=["A", "B"], donors=DONORS)
    image = figure.axes[0].images[0].get_array()
    assert image[0].tolist() == [-1, 1, 0]
    assert figure.axes[0].get_xticklabels()[2].get_text().startswith("c\nage unknown")
    style.picture(figure)


def test_donors_are_drawn_one_panel_a_gene():
    figure = people.draw_donors(np.ones((3, 8)), genes=list("ABCDEFGH"), donors=DONORS)
    assert [axis.get_title() for axis in figure.axes] == list("ABCDEF")
    style.picture(figure)


def test_types_that_cannot_be_tested_are_marked(table):
    refusals = pl.DataFrame({"cell_type": ["pDC"], "assay": ["cells"], "reason": ["few"]})
    figure = expression.draw_overview(table, refusals, fdr=0.1)
    assert " not testable" in texts(figure)
    style.picture(figure)


def test_the_null_is_drawn_as_density_and_rates():
    generator = np.random.default_rng(0)
    p = generator.random((4, 500))
    summary = pl.DataFrame(
        {
            "permutation": [0, 1, 2, 3] * 2,
            "test": ["donors"] * 4 + ["cells"] * 4,
            "genes": [500] * 8,
            "false_positive_rate": [0.05] * 4 + [0.4] * 4,
            "calls": [0] * 8,
        }
    )
    figure = evidence.draw_null(p, p**4, summary)
    heights = figure.axes[0].patches[0].get_data().values
    assert heights.mean() == pytest.approx(1)
    style.picture(figure)


def test_planted_power_and_stability_are_drawn(table):
    scored = table.with_columns(
        planted=pl.col("log2_change") * 0.9,
        origin=pl.lit("random"),
        is_null=pl.lit(value=False),
        called=pl.col("q") < 0.1,
        covered=pl.lit(value=True),
        power=pl.lit(0.5),
    )
    style.picture(evidence.draw_planted(scored))
    style.picture(evidence.draw_power(scoring.find_power(scored), per="decade"))
    stable = table.select(
        "gene", "log2_change", "q", smallest_change=pl.col("log2_change") * 0.5, stable=pl.lit(value=False)
    )
    figure = evidence.draw_stability(table, stable, top=4)
    assert figure.axes[0].get_yticklabels()[0].get_text().endswith("○")
    style.picture(figure)


def test_scores_carry_their_change_and_interval():
    scores = pl.DataFrame(
        {
            "set": ["s"] * 3,
            "donor": list("abc"),
            "age": [20.0, 40, 70],
            "sex": ["M", "F", "M"],
            "score": [1.0, 0, -1],
        }
    )
    changes = pl.DataFrame({"set": ["s"], "change": [-0.4], "low": [-0.5], "high": [-0.3]})
    figure = people.draw_scores(scores, changes)
    assert "-0.40 (-0.50 to -0.30)" in figure.axes[0].get_title()
    style.picture(figure)


def test_without_data_each_figure_says_so():
    nothing = schemas.AGE_DE.empty()
    figures = [
        expression.draw_lists(schemas.CELL_LEVEL.empty(), nothing, chromosomes=pl.DataFrame()),
        expression.draw_volcano(nothing, fdr=0.1),
        expression.draw_ma(nothing, fdr=0.1),
        people.draw_heatmap(np.zeros((0, 0)), genes=[], donors=DONORS),
        people.draw_donors(np.zeros((0, 0)), genes=[], donors=DONORS),
        expression.draw_overview(nothing, schemas.REFUSALS.empty(), fdr=0.1),
        evidence.draw_null(np.zeros((0, 0)), None, schemas.NULL.empty()),
        evidence.draw_planted(scoring.no_scores()),
        evidence.draw_power(scoring.find_power(scoring.no_scores()), per="decade"),
        evidence.draw_stability(nothing, schemas.STABILITY.empty()),
        people.draw_scores(schemas.SCORES.empty(), schemas.SCORE_CHANGES.empty()),
    ]
    assert all(figure.axes[0].texts[0].get_text() for figure in figures)
