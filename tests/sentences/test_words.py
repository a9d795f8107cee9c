import numpy as np
import polars as pl
import pytest
from scipy import stats

from helpers import names
from helpers.figures import sentences as draw
from helpers.sentences import baseline, encode, scoring, turnover, words


def planted(make_cells, n_donors=12, per_donor=30, seed=0, effect=0.06):
    """Cells in which word UP enters with age, DOWN leaves, TYPE marks a type, and the others are noise."""
    rng = np.random.default_rng(seed)
    genes = ["UP", "DOWN", "TYPE", *(f"N{i:02d}" for i in range(40))]
    ages = np.linspace(20, 75, n_donors)
    values, donor, label, years = [], [], [], []
    for i, age in enumerate(ages):
        share = 0.5 + effect * (age - 47.5) / 10
        for k in range(per_donor):
            row = (rng.random(len(genes)) < 0.4).astype(float)
            row[0], row[1] = rng.random() < share, rng.random() < 1 - share
            row[2] = 5.0 * (k % 2)
            values.append(row)
            donor.append(f"d{i:02d}")
            label.append("a" if k % 2 else "b")
            years.append(age)
    cells = pl.DataFrame({"donor": donor, "label": label, "assay": ["cells"] * len(donor), "age": years})
    return encode.rank(make_cells(values, genes=genes)), cells


@pytest.fixture(scope="module")
def data(make_cells):
    return planted(make_cells)


def test_presence_is_the_set_of_first_words(data):
    ranked, _ = data
    found = words.presence(ranked, top=3).toarray()
    for i in (0, 1, 200):
        first = ranked.words[ranked.starts[i] : ranked.starts[i + 1]][:3]
        assert set(np.flatnonzero(found[i])) == set(first)


def test_a_share_and_its_slope_are_those_of_plain_regression(data):
    ranked, cells = data
    group = turnover.choose_group(cells, min_cells=5)
    table = turnover.changes(ranked, cells, group, top=100)
    column = ranked.vocabulary.words.index("UP")
    part = cells[group.rows].with_columns(
        has=pl.Series(words.presence(ranked, top=100)[group.rows][:, [column]].toarray().ravel())
    )
    donors = part.group_by("donor").agg(pl.col("age").first(), pl.col("has").mean()).sort("donor")
    line = stats.linregress(donors["age"].to_numpy() / 10, donors["has"].to_numpy())
    row = table.filter(pl.col("word") == "UP").row(0, named=True)
    assert row["change_per_decade"] == pytest.approx(line.slope)
    assert row["p"] == pytest.approx(line.pvalue)
    assert row["upper"] - row["lower"] == pytest.approx(2 * stats.t.ppf(0.975, len(donors) - 2) * line.stderr)


def test_planted_words_are_found_with_their_sign_and_chance_stays_silent(make_cells):
    ranked, cells = planted(make_cells, n_donors=30, per_donor=60, effect=0.12)
    group = turnover.choose_group(cells)
    table = turnover.changes(ranked, cells, group, top=100)
    called = dict(table.filter(pl.col("q") < 0.05).select("word", "change_per_decade").iter_rows())
    assert called["UP"] > 0 > called["DOWN"]
    assert len(called) <= 4
    silent, null_cells = planted(make_cells, n_donors=30, per_donor=60, effect=0.0, seed=3)
    assert (
        turnover.changes(silent, null_cells, turnover.choose_group(null_cells), top=100)
        .filter(pl.col("q") < 0.05)
        .height
        <= 1
    )
    assert turnover.permute(ranked, cells, group, top=100, n_permutations=50).mean() < 1


def test_cells_of_a_type_share_more_words_than_others(data):
    ranked, cells = data
    table = words.overlap(ranked, cells, lengths=(1,), n_pairs=200)
    shared = dict(table.select("pairs", "shared").iter_rows())
    assert shared[words.OTHER_DONOR] > shared[words.OTHER_TYPE]


def test_padding_makes_every_sentence_as_long_and_keeps_what_was_there(data):
    ranked, _ = data
    padded = words.pad(ranked, length=20)
    assert set(np.diff(padded.starts)) == {20}
    for own, longer in zip(ranked.text().to_pylist()[:20], padded.text().to_pylist(), strict=False):
        assert longer.split()[: len(own.split())] == own.split()[:20]
        assert len(set(longer.split())) == 20


def test_one_order_agrees_with_itself_and_orders_differ_within_ties_only(data):
    ranked, _ = data
    same = words.compare_orders(ranked, ranked, lengths=(5,))
    assert same.row(0) == (5, 1.0, 1.0)


def test_cells_taken_are_those_asked_for(data):
    ranked, _ = data
    text = ranked.text().to_pylist()
    assert ranked.take([5, 2, 7]).text().to_pylist() == [text[5], text[2], text[7]]


def test_about_cells_reads_the_atlas_and_other_files():
    atlas = pl.DataFrame(
        {names.DONOR: ["470BR"], names.AGE_GROUP: ["15-20"], names.LEVEL0: ["FB"], names.ASSAY: ["cells"]}
    )
    assert words.about_cells(atlas).row(0) == ("470BR", "FB", "cells", 19.0)
    other = pl.DataFrame({"development_stage": ["50-year-old stage"], "n": [1]})
    assert words.about_cells(other).row(0) == (None, None, None, 50.0)
    assert words.about_cells(pl.DataFrame({"n": [1]})).row(0) == (None, None, None, None)


def test_the_leaking_split_promises_what_new_donors_do_not_keep(make_cells):
    # every donor has a word of its own: nothing about age, everything about the donor
    rng = np.random.default_rng(0)
    n_donors, per_donor = 12, 40
    genes = [f"D{i:02d}" for i in range(n_donors)] + [f"N{i}" for i in range(20)] + ["A", "B"]
    donor = np.repeat(np.arange(n_donors), per_donor)
    values = (rng.random((len(donor), len(genes))) < 0.3).astype(float)
    values[:, :n_donors] = 0
    values[np.arange(len(donor)), donor] = 9
    kind = rng.random(len(donor)) < 0.5
    values[:, -2], values[:, -1] = 5 * kind, 5 * ~kind
    cells = pl.DataFrame(
        {
            "donor": [f"d{i}" for i in donor],
            "label": np.where(kind, "a", "b"),
            "assay": ["x"] * len(donor),
            "age": rng.permutation(np.linspace(20, 80, n_donors))[donor],
        }
    )
    read = baseline.read(encode.rank(make_cells(values, genes=genes)), cells, n_permutations=30)
    age, types = baseline.summarize(read, "age"), baseline.summarize(read, "cell type")
    assert age["leaking"] < 0.5 * age["guessing"] < age["honest"]
    assert age["p"] > 0.05
    assert age["guessing"] == pytest.approx(
        np.mean([abs(a - (50 * 12 - a) / 11) for a in np.linspace(20, 80, 12)])
    )
    assert types["honest"] > 0.95  # the type is a word of its own
    again = baseline.read(encode.rank(make_cells(values, genes=genes)), cells, n_permutations=30)
    assert again.scores.equals(read.scores)


def test_scores_against_the_plant_are_counted_by_hand():
    changes = pl.DataFrame(
        {
            "word": ["A", "B", "C", "D"],
            "q": [0.01, 0.02, 0.03, 0.9],
            "change_per_decade": [0.1, -0.1, 0.1, 0.2],
            "lower": 0.0,
            "upper": 0.0,
        }
    )
    truth = pl.DataFrame(
        {"assay": ["cells"] * 4, names.LEVEL0: ["FB", "FB", "FB", "MuSC"], names.LEVEL2: [None] * 4, "gene": ["A", "B", "D", "C"], "log2_change_per_decade": [0.5, 0.5, 0.1, 0.3]},
        schema_overrides={names.LEVEL2: pl.String},
    )  # fmt: skip
    group = turnover.Group("FB", "cells", ("x",), np.zeros(1, int))
    scored = scoring.score(changes, truth, group, q=0.1)
    assert scored == {
        "called": 3,
        "planted": 3,
        "true": 2,
        "right_way": 1,
        "false_share": pytest.approx(1 / 3),
    }
    assert scoring.score(changes, None, group, q=0.1)["planted"] is None
    published = pl.DataFrame(
        {names.LEVEL0: ["FB", "FB"], "assay": ["cells"] * 2, "gene": ["A", "B"], "direction": ["up", "up"]}
    )
    assert scoring.compare_published(changes, published, group)["agrees"].to_list() == [True, False]


def test_sources_without_donors_types_or_ages_give_empty_tables_and_figures_that_say_so(data):
    ranked, cells = data
    bare = cells.with_columns(
        donor=pl.lit(None, pl.String), label=pl.lit(None, pl.String), age=pl.lit(None, pl.Float64)
    )
    group = turnover.choose_group(bare)
    changes, read = turnover.changes(ranked, bare, group, top=10), baseline.read(ranked, bare)
    assert (group.title, changes.height, read.scores.height) == ("no cell type", 0, 0)
    assert words.overlap(ranked, bare).is_empty()
    assert turnover.permute(ranked, bare, group, top=10).size == 0
    assert baseline.summarize(read, "age")["honest"] is None
    assert scoring.compare_published(
        changes,
        pl.DataFrame(
            schema={names.LEVEL0: pl.String, "assay": pl.String, "gene": pl.String, "direction": pl.String}
        ),
        group,
    ).is_empty()
    for figure in (
        draw.draw_changes(changes, title="x", q=0.1), draw.draw_null(np.zeros(0), 0), draw.draw_overlap({"x": words.overlap(ranked, bare)}),
        draw.draw_reader(read.scores, read.predicted, read.permuted),
    ):  # fmt: skip
        assert len(figure.axes) == 1
        assert figure.axes[0].texts


def test_figures_show_what_the_tables_hold(data, make_cells):
    from helpers.sentences import fitting

    ranked, cells = data
    group = turnover.choose_group(cells, min_cells=5)
    changes = turnover.changes(ranked, cells, group, top=100)
    figure = draw.draw_changes(changes, title=group.title, q=0.1, most=10)
    assert len(figure.axes[0].get_yticklabels()) == 10
    counts = turnover.permute(ranked, cells, group, top=100, n_permutations=20)
    assert len(draw.draw_null(counts, 3).axes[0].lines) == 1
    read = baseline.read(ranked, cells, n_permutations=10, n_bootstraps=50)
    assert len(draw.draw_reader(read.scores, read.predicted, read.permuted).axes) == 2
    assert len(draw.draw_overlap({"a": words.overlap(ranked, cells)}).axes[0].lines) == 3
    assert len(draw.draw_orders(words.compare_orders(ranked, ranked)).axes[0].lines) == 2
    rng = np.random.default_rng(0)
    measured = fitting.measure(make_cells(rng.poisson(1.0, (60, 50))), by=None)
    assert len(draw.draw_quality(measured.quality, measured.survival).axes) == 2
    assert draw.draw_quality(measured.quality.clear(), measured.survival).axes[0].texts
