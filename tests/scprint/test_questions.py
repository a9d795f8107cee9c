import itertools

import numpy as np
import polars as pl
import pytest

from helpers.errors import BudgetError, PartError
from helpers.scprint import (
    agreement,
    clusters,
    coverage,
    knowledge,
    labels,
    layout,
    neighbors,
    ontology,
    parts,
    plausibility,
    sampling,
    scoring,
    simulation,
    survey,
)
from helpers.scprint.knowledge import Setting
from helpers.scprint.labels import Decoder
from helpers.scprint.statistics import Plan
from helpers.scprint.world import Planted


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted") / "parts"
    return simulation.simulate_parts(folder, n_cells=12000, n_parts=10, seed=11)


@pytest.fixture(scope="module")
def drawn(planted):
    return sampling.draw(planted, cells=4000, seed=1)


# coverage


def test_empty_combinations_are_named_and_ranked_by_surprise():
    counts = pl.DataFrame(
        {
            "tissue": ["lung", "lung", "blood", "skin"],
            "age": ["old", "young", "old", "young"],
            "cells": [60, 20, 15, 5],
        }
    )
    found = coverage.missing(counts, min_cells=1)
    assert found.select("tissue", "age").rows() == [("skin", "old"), ("blood", "young")] or found.height == 2
    expected = {(t, a): n for t, a, n in found.rows()}
    assert expected["blood", "young"] == pytest.approx(15 * 25 / 100)
    assert expected["skin", "old"] == pytest.approx(5 * 75 / 100)
    assert coverage.missing(counts, min_cells=10).select("tissue", "age").rows() == [("blood", "young")]


def test_missing_is_what_a_plain_loop_finds():
    chance = np.random.default_rng(1)
    rows = [tuple(chance.integers(0, 4, 3).astype(str)) for _ in range(40)]
    counts = pl.DataFrame(rows, schema=["a", "b", "c"], orient="row").group_by("a", "b", "c").len("cells")
    counts = counts.with_columns(pl.col("cells").cast(pl.Int64))
    held = set(rows)
    plain = {c for c in itertools.product(*[sorted({r[i] for r in rows}) for i in range(3)]) if c not in held}
    assert set(coverage.missing(counts, min_cells=1).select("a", "b", "c").rows()) == plain


def test_the_planted_gap_is_found(planted, tmp_path):
    found = survey.run(planted, plan=Plan(embeddings=False), cache=tmp_path)
    gaps = coverage.missing(found.count("tissue", "age_group", decoder=labels.beside(planted)), min_cells=50)
    assert gaps.select("tissue", "age_group").rows() == [("ovary", "fetal stage")]


def test_summary_counts_the_possible_and_the_present():
    counts = pl.DataFrame({"a": ["x", "x", "y"], "b": ["1", "2", "1"], "cells": [50, 25, 25]})
    row = coverage.summarize([counts], thin_below=30).row(0, named=True)
    assert (row["possible"], row["present"], row["thin"], row["cells"]) == (4, 3, 2, 100)
    assert row["effective"] == pytest.approx(2**1.5)


def test_a_grid_keeps_the_most_common_labels():
    counts = pl.DataFrame({"a": ["x", "x", "y"], "b": ["1", "2", "1"], "cells": [5, 7, 1]})
    matrix, rows, columns = coverage.grid(counts, rows=1)
    assert (matrix.tolist(), rows, columns) == ([[7, 5]], ["x"], ["2", "1"])
    with pytest.raises(PartError, match="a grid has two classes"):
        coverage.grid(counts.drop("b"))
    with pytest.raises(PartError, match="expected label columns and cells"):
        coverage.summarize([counts.drop("cells")])


# agreement


def test_planted_near_ties_and_siblings_are_recovered(planted, tmp_path):
    found = survey.run(planted, plan=Plan(embeddings=False), cache=tmp_path)
    table = agreement.summarize(found)
    truth = simulation.read_truth(planted)["counted"]
    for row in table.iter_rows(named=True):
        assert row["share_near"] * row["cells"] == pytest.approx(truth[f"near_{row['class']}"])
        assert row["unordered"] == row["repeated"] == 0
    pairs = found.count("cell_type", "cell_type_2", decoder=labels.beside(planted))
    related = agreement.relate(pairs, ontology.beside(planted), decoder=labels.beside(planted))
    shares = dict(agreement.relation_shares(related).select("relation", "share").rows())
    # 0.7 planted, and the rest falls on siblings by chance
    assert 0.68 < shares["sibling"] < 0.78
    assert (
        agreement.expected_relation(
            pairs, ontology.beside(planted), "sibling", decoder=labels.beside(planted)
        )
        < 0.2
    )


def test_asymmetry_and_entropy_of_small_tables():
    one_way = pl.DataFrame({"a": ["x", "y"], "a_2": ["y", "z"], "cells": [10, 10]})
    both_ways = pl.DataFrame({"a": ["x", "y"], "a_2": ["y", "x"], "cells": [10, 10]})
    assert agreement._asymmetry(one_way) == 1.0
    assert agreement._asymmetry(both_ways) == 0.0
    assert agreement._entropies(both_ways) == (pytest.approx(1.0), pytest.approx(0.0))


def test_neighbors_agree_more_than_random_cells(drawn):
    table = agreement.among_neighbors(drawn.limit(1500))
    assert table["class"].to_list() == list(layout.CLASSES)
    assert (table["share_in_top"] > table["random_share_in_top"]).all()


def test_neighbors_are_those_of_a_plain_loop():
    points = np.random.default_rng(1).normal(size=(60, 5)) + 100
    found = neighbors.nearest(points, k=3, rows=7)
    for i, row in enumerate(found):
        apart = ((points - points[i]) ** 2).sum(1)
        apart[i] = np.inf
        assert set(row) == set(np.argsort(apart)[:3])


# plausibility


def count_of(frame):
    return lambda *pair: labels.count(frame, pair)


def test_planted_impossible_pairs_are_counted(planted, tmp_path):
    decoder = labels.beside(planted)
    found = survey.run(planted, plan=Plan(), cache=tmp_path)
    judged = plausibility.judge(plausibility.tables_of(lambda *pair: found.count(*pair, decoder=decoder)))
    scored = scoring.score(found, judged, simulation.read_truth(planted), decoder=decoder)
    assert scored.height == 13
    assert scored["agrees"].all()
    assert judged["not_judged"].sum() == 0


def test_the_real_sample_gives_the_published_counts(real_sample):
    frame = labels.read_predicted(real_sample)
    judged = {row[0]: row[1:] for row in plausibility.judge(plausibility.tables_of(count_of(frame))).rows()}
    assert judged["plant cells with an animal tissue"] == (293, 293, 1.0, 0)
    assert judged["plant cells with an animal cell type"][1] == 293
    assert judged["plant cells with an animal disease"][1] == 268
    assert judged["human cells with a mouse-only cell type"][:2] == (33123, 1148)
    assert judged["cells not human with a human ethnicity"][:2] == (16877, 16877)
    listed = plausibility.examples(plausibility.tables_of(count_of(frame)), top=1)
    assert ("human", "vascular leptomeningeal cell (Mmus)", 1148) in listed.select(
        "given", "label", "cells"
    ).rows()


def test_the_real_sample_has_gaps(real_sample):
    frame = labels.read_predicted(real_sample)
    counts = labels.count(frame, ("cell_type", "tissue", "age_group"))
    assert counts["cells"].sum() == 50_000
    summary = coverage.summarize([counts]).row(0, named=True)
    assert summary["possible"] == frame["cell_type"].n_unique() * frame["tissue"].n_unique() * 14
    assert summary["present"] == frame.select("cell_type", "tissue", "age_group").n_unique()
    assert coverage.missing(labels.count(frame, ("tissue", "age_group")), min_cells=500).height > 0


@pytest.mark.parametrize(
    ("label", "animal"),
    [
        ("leaf", False),
        ("PO:0025034", False),
        ("root tip", False),
        ("testis", True),
        ("brain stem", True),
        ("stem cell niche", True),
        ("nerve root", True),
    ],
)
def test_plant_organs_are_known(label, animal):
    assert plausibility.is_animal(label) is animal


@pytest.mark.parametrize(
    ("label", "mouse"),
    [
        ("vascular leptomeningeal cell (Mmus)", True),
        ("type 6 cone bipolar cell (sensu Mus)", True),
        ("mouse-ear cell", False),
        ("ILC1, human", False),
    ],
)
def test_mouse_only_types_say_so(label, mouse):
    assert plausibility.is_mouse_only(label) is mouse


def test_numbers_and_bare_identifiers_are_not_judged():
    frame = pl.DataFrame(
        {"organism": ["human"] * 4, "cell_type": ["12", "CL:4023051", "mast cell", "x (Mmus)"]}
    )
    row = next(
        r
        for r in plausibility.judge(plausibility.tables_of(count_of(frame))).rows(named=True)
        if "mouse-only" in r["rule"]
    )
    assert (row["cells"], row["implausible"], row["not_judged"]) == (2, 1, 2)
    undecoded = plausibility.judge(plausibility.tables_of(count_of(frame)), decoded=["organism"])
    assert undecoded["implausible"].sum() == 0


def test_naked_mole_rats_are_no_humans():
    assert plausibility.is_organism("naked mole-rat female", "naked mole-rat")
    assert not plausibility.is_organism("humanoid", "human")


# sampling and probes


def test_a_sample_is_fair_and_pairs_its_rows(planted, drawn):
    assert len(drawn) == 4000
    per_part = np.bincount(drawn.part)
    assert abs(per_part - 400).max() < 80
    for number in (0, 7):
        here = drawn.part == number
        stem = drawn.parts[number]
        stored = np.load(planted / f"{stem}_embs.npz")["arr_0"][drawn.row[here]]
        np.testing.assert_array_equal(drawn.embeddings[here], stored.astype(np.float32))
        np.testing.assert_array_equal(
            drawn.labels[here], np.load(planted / f"{stem}_top3.npz")["arr_0"][drawn.row[here]]
        )


def test_a_new_part_changes_few_of_the_cells_drawn(planted, drawn):
    fewer = sampling.draw(planted, cells=4000, seed=1, only=drawn.parts[:9])
    key = lambda s: set(zip([s.parts[p] for p in s.part], s.row.tolist(), strict=True))  # noqa: E731
    assert len(key(drawn) & key(fewer)) > 0.85 * 4000
    assert key(sampling.draw(planted, cells=4000, seed=1)) == key(drawn)
    assert key(sampling.draw(planted, cells=4000, seed=2)) != key(drawn)


def test_a_faulty_part_gives_no_cells(tmp_path):
    folder = simulation.simulate_parts(
        tmp_path, n_cells=300, n_parts=3, faults={0: "not finite", 2: "sibling"}
    )
    drawn = sampling.draw(folder, cells=1000)
    assert len(drawn) == 100
    assert sorted(drawn.skipped) == sorted(simulation.part_name(n).stem for n in (0, 2))
    with pytest.raises(PartError, match="no cell could be drawn"):
        sampling.draw(folder, cells=1000, only=[simulation.part_name(0).stem])
    with pytest.raises(BudgetError, match="a sample of 1,000,000 cells"):
        sampling.draw(folder, cells=10**6)


def test_probes_find_the_planted_relations_and_no_others(planted, drawn):
    found = knowledge.probe(drawn, setting=Setting(neighbor_cells=2000), seed=1)
    leaks = scoring.score_leaks(found, simulation.read_truth(planted))
    assert leaks["found"] == leaks["planted"] == 13
    linear = found.filter((pl.col("method") == "linear") & pl.col("knows"))
    known = set(linear.select("block", "class").rows())
    consequences = {
        ("cell_type", "tissue"),
        ("other", "tissue"),
        ("tissue", "sex"),
        ("cell_type", "sex"),
        ("other", "sex"),
        ("sex", "tissue"),
        ("sex", "cell_type"),
    }
    planted_pairs = {
        ("other", "assay"),
        ("other", "cell_type"),
        ("age_group", "disease"),
        ("tissue", "cell_type"),
    }
    own = {(name, name) for name in layout.CLASSES}
    # one in a hundred discoveries may be false
    assert len(known - planted_pairs - own - consequences) <= 1
    assert (found["low"] <= found["balanced_accuracy"] + 1e-9).all()
    assert (found["high"] >= found["balanced_accuracy"] - 1e-9).all()


def test_probes_of_labels_that_nothing_knows_stay_silent(drawn):
    blind = sampling.Sample(
        **{**drawn.__dict__, "labels": drawn.labels[np.random.default_rng(5).permutation(len(drawn))]}
    )
    found = knowledge.probe(blind, setting=Setting(neighbor_cells=1500), seed=1)
    assert found["knows"].sum() <= 2
    # a probe tested on cells it was trained on would read two labels from 256 columns of noise
    noise = found.filter(
        (pl.col("block") == "other") & (pl.col("class") == "sex") & (pl.col("method") == "linear")
    )
    assert 0.46 < noise["balanced_accuracy"][0] < 0.54
    assert 0.46 < noise["shuffled"][0] < 0.54


def test_probes_need_two_parts(planted):
    drawn = sampling.draw(planted, cells=100, only=[parts.find(planted)[0].stem])
    with pytest.raises(PartError, match="held out by part"):
        knowledge.probe(drawn)


def test_clusters_count_every_cell_once(planted, drawn):
    found = clusters.count(planted, drawn, block="cell_type", k=27, seed=1)
    assert found.cells.sum() == 12000
    assert found.purity > 0.7
    table = found.table(labels.beside(planted))
    assert table["cells"].sum() == 12000
    again = clusters.count(planted, drawn, block="cell_type", k=27, seed=1)
    np.testing.assert_array_equal(found.centers, again.centers)
    with pytest.raises(PartError, match="need a class's block"):
        clusters.count(planted, drawn, block="other")


def test_the_spread_of_one_cluster_is_the_variance(planted, drawn):
    found = clusters.count(planted, drawn, block="sex", k=1)
    values = np.concatenate(
        [np.load(p.files["embs"])["arr_0"][:, layout.BLOCKS["sex"]] for p in parts.find(planted)]
    ).astype(float)
    np.testing.assert_allclose(found.centers[0], values.mean(0), atol=1e-4)
    assert found.spread == pytest.approx(((values - drawn.block("sex").mean(0)) ** 2).sum(1).mean(), rel=1e-3)


def test_planted_shares_are_planted(tmp_path):
    wish = Planted(near=0.5, plant_cells=0.1, mouse_type_in_human=0.2, human=0.5)
    truth = simulation.read_truth(simulation.simulate_parts(tmp_path, n_cells=4000, n_parts=2, planted=wish))[
        "counted"
    ]
    assert truth["near_tissue"] / 4000 == pytest.approx(0.5, abs=0.04)
    assert truth["plant"] / 4000 == pytest.approx(0.1, abs=0.02)
    assert truth["human_with_mouse_type"] / truth["human"] == pytest.approx(0.2, abs=0.03)


def test_simulated_parts_depend_on_the_seed_alone(made, tmp_path):
    again = simulation.simulate_parts(tmp_path, n_cells=3000, n_parts=6, seed=3)
    for path in made.glob("*.npz"):
        np.testing.assert_array_equal(np.load(path)["arr_0"], np.load(again / path.name)["arr_0"])


def test_simulation_refuses_what_it_cannot_make(tmp_path):
    with pytest.raises(PartError, match="need a cell a part"):
        simulation.simulate_parts(tmp_path, n_cells=1, n_parts=2)
    with pytest.raises(PartError, match="faults of"):
        simulation.simulate_parts(tmp_path, n_cells=10, n_parts=2, faults={0: "gone"})


def test_named_parts_are_simulated_once(tmp_path, monkeypatch):
    monkeypatch.setenv("MUSCLEBOOK_CACHE", str(tmp_path))
    monkeypatch.setitem(simulation.SIZES, "tiny", (60, 2))
    folder = simulation.open_parts("tiny", seed=5)
    stamp = (folder / "truth.json").stat().st_mtime_ns
    assert simulation.open_parts("tiny", seed=5) == folder
    assert (folder / "truth.json").stat().st_mtime_ns == stamp
    assert simulation.open_parts(str(folder)) == folder
    assert Decoder() != labels.beside(folder)
    with pytest.raises(PartError, match=r"'tyny' is not a folder of parts\. Choose demo or tiny"):
        simulation.open_parts("tyny")
