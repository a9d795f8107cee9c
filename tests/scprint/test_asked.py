"""What is asked of parts: a fair sample, labels that cannot be true, and the simulated parts that answers are held to."""

import numpy as np
import polars as pl
import pytest

from helpers import files
from helpers.errors import BudgetError, PartError
from helpers.scprint import labels, layout, parts, survey, twin


def broken(frame, decoder=None):
    return {row["rule"]: row for row in labels.judge(frame, decoder).iter_rows(named=True)}


# impossible labels


def test_planted_impossible_pairs_are_counted(made, surveyed, decoder):
    planted = twin.read_truth(made)["counted"]
    found = broken(surveyed.cells, decoder)
    assert found["plant cells with an animal tissue"]["implausible"] == planted["plant"]
    assert found["human cells with a mouse-only cell type"]["cells"] == planted["human"]
    assert found["human cells with a mouse-only cell type"]["implausible"] == planted["human_with_mouse_type"]
    assert found["cells not human with a human ethnicity"]["implausible"] == planted["not_human"]
    assert sum(row["not_judged"] for row in found.values()) == 0
    nameless = broken(surveyed.cells)["human cells with a mouse-only cell type"]
    assert (nameless["cells"], nameless["not_judged"]) == (0, planted["human"])


def test_the_real_sample_gives_the_published_counts(real_sample):
    frame = labels.read_predicted(real_sample)
    found = {name: (row["cells"], row["implausible"]) for name, row in broken(frame).items()}
    shares = [found[f"plant cells with an animal {what}"] for what in ("tissue", "cell type", "disease")]
    assert shares == [(293, 293), (293, 293), (293, 268)]
    assert found["human cells with a mouse-only cell type"] == (33123, 1148)
    assert found["cells not human with a human ethnicity"] == (16877, 16877)
    listed = labels.examples(frame).select("given", "label", "cells").rows()
    assert ("human", "vascular leptomeningeal cell (Mmus)", 1148) in listed


@pytest.mark.parametrize(
    ("given", "other", "is_broken"),
    [
        ({"organism": "maize"}, {"tissue": "leaf"}, False), ({"organism": "maize"}, {"tissue": "PO:0025034 leaf"}, False),
        ({"organism": "maize"}, {"tissue": "root tip"}, False), ({"organism": "maize"}, {"tissue": "testis"}, True),
        ({"organism": "arabidopsis"}, {"tissue": "brain stem"}, True), ({"organism": "maize"}, {"tissue": "nerve root"}, True),
        ({"organism": "human"}, {"cell_type": "type 6 cone bipolar cell (sensu Mus)"}, True),
        ({"organism": "human"}, {"cell_type": "muscle cell"}, False), ({"organism": "mouse"}, {"cell_type": "x, human"}, True),
        ({"organism": "chicken"}, {"cell_type": "x, mammalian"}, True), ({"organism": "cow"}, {"cell_type": "x, mammalian"}, False),
        ({"organism": "naked mole-rat female"}, {"cell_type": "x, mammalian"}, False),
        ({"organism": "mouse"}, {"ethnicity": "unknown"}, False), ({"organism": "mouse"}, {"ethnicity": "British"}, True),
        ({"sex": "female"}, {"tissue": "prostate gland"}, True), ({"sex": "male"}, {"tissue": "prostate gland"}, False),
        ({"sex": "male"}, {"cell_type": "granulosa cell"}, True), ({"sex": "unknown"}, {"tissue": "ovary"}, False),
        ({"organism": "human"}, {"cell_type": "CL:0000097"}, False), ({"organism": None}, {"tissue": "lung"}, False),
    ],
)  # fmt: skip
def test_rules_by_name(given, other, is_broken):
    frame = pl.DataFrame([given | other], schema=dict.fromkeys([*given, *other], pl.String))
    found = labels.judge(frame)
    assert found["implausible"].sum() == is_broken


# a fair sample


def test_a_sample_is_cells_of_the_parts_with_their_labels(made, decoder):
    drawn = survey.draw(made, cells=300, seed=1, decoder=decoder)
    assert drawn.shape == (300, 424)
    for part, rows in drawn.obs.groupby("part", observed=True):
        stored = np.load(made / f"{part}_embs.npz")["arr_0"][rows["row"]]
        np.testing.assert_array_equal(drawn[rows.index].X, stored.astype(np.float32))
        codes = np.load(made / f"{part}_top3.npz")["arr_0"][rows["row"]]
        names = labels.decode(pl.DataFrame({"tissue": codes[:, 3]}), decoder)["tissue"].to_list()
        assert rows["tissue"].astype(str).tolist() == names
    np.testing.assert_array_equal(drawn.obsm["sex"], drawn.X[:, layout.BLOCKS["sex"]])
    assert drawn.var["block"].value_counts()["other"] == 256


def test_a_class_that_the_parts_do_not_have_is_missing(narrow):
    drawn = survey.draw(narrow, cells=20)
    assert drawn.obs["cell_culture"].isna().all()
    assert drawn.obs["organism"].notna().all()


def test_every_cell_has_the_same_chance(made):
    shares = [
        survey.draw(made, cells=600, seed=seed).obs["part"].value_counts(sort=False).to_numpy()
        for seed in range(40)
    ]
    assert np.abs(np.mean(shares, axis=0) - 100).max() < 8


def test_a_new_part_changes_few_of_the_cells_drawn(copied):
    names = [part.stem for part in parts.find(copied)]
    before = set(survey.draw(copied, cells=300, only=names[:5]).obs_names)
    after = set(survey.draw(copied, cells=300).obs_names)
    assert 220 <= len(before & after) <= 280


def test_what_cannot_be_drawn_is_refused_or_skipped_by_name(made, copied, spoil):
    with pytest.raises(BudgetError, match="a sample of 900 cells"):
        survey.draw(made, cells=900, budget="1 MiB")
    with pytest.raises(PartError, match="no cell could be drawn"):
        survey.draw(made, cells=10, only=["none"])
    stem = spoil(copied, 1, parts.NOT_FINITE)
    assert list(survey.draw(copied, cells=3000, only=[stem, twin.part_name(0)]).uns["skipped"]) == [stem]


# the twin


def test_the_same_seed_makes_the_same_parts_and_another_does_not(tmp_path):
    made = [
        twin.simulate_parts(tmp_path / name, n_cells=40, n_parts=2, seed=len(name))
        for name in ("a", "b", "cc")
    ]
    one, two, other = ([files.digest(path) for path in sorted(folder.glob("*.npz"))] for folder in made)
    assert one == two
    assert not set(one) & set(other)


def test_planted_near_ties_lie_inside_the_limit_of_the_model(made, surveyed):
    planted = twin.read_truth(made)["counted"]
    for name in layout.RANKED:
        gap = pl.col(f"{name}_score").cast(pl.Float32) - pl.col(f"{name}_2_score").cast(pl.Float32)
        assert surveyed.cells.select((gap <= layout.NEAR).sum()).collect().item() == planted[f"near_{name}"]


def test_parts_are_opened_by_word_or_by_folder(made, tmp_path, monkeypatch):
    monkeypatch.setenv(files.CACHE_VARIABLE, str(tmp_path / "cache"))
    assert twin.open_parts(str(made)) == made
    folder = twin.open_parts("tiny")
    assert parts.check(folder, deep=False)["cells"].sum() == 12_000
    assert twin.open_parts("tiny") == folder
    with pytest.raises(PartError, match=r"'nothing' is not a folder of parts. Choose demo or tiny"):
        twin.open_parts("nothing")
    assert twin.read_truth(tmp_path) is None
    with pytest.raises(PartError, match="every part needs a cell"):
        twin.simulate_parts(tmp_path / "q", n_cells=1, n_parts=2)
