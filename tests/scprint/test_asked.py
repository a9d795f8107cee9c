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
    mice = "human cells with a mouse-only cell type"
    assert found["plant cells with an animal tissue"]["implausible"] == planted["plant"]
    assert found["cells not human with a human ethnicity"]["implausible"] == planted["not_human"]
    assert found[mice]["implausible"] == planted["human_with_mouse_type"]
    assert found[mice]["cells"] == broken(surveyed.cells)[mice]["not_judged"] == planted["human"]
    assert sum(row["not_judged"] for row in found.values()) == 0


def test_the_real_sample_gives_the_published_counts(shared):
    frame = labels.read_predicted(shared / "realdata" / "scprint2_atlas_50k_predicted_labels.parquet")
    found = {name: (row["cells"], row["implausible"]) for name, row in broken(frame).items()}
    shares = [found[f"plant cells with an animal {what}"] for what in ("tissue", "cell type", "disease")]
    assert shares == [(293, 293), (293, 293), (293, 268)]
    assert found["human cells with a mouse-only cell type"] == (33123, 1148)
    assert found["cells not human with a human ethnicity"] == (16877, 16877)
    listed = labels.examples(frame).select("given", "label", "cells").rows()
    assert ("human", "vascular leptomeningeal cell (Mmus)", 1148) in listed
    assert 500 < frame.filter(labels.is_muscle("tissue") | labels.is_muscle("cell_type")).height < 1500


@pytest.mark.parametrize(
    ("rule", "true", "impossible"),
    [
        (("organism", "tissue"), {"maize": "leaf", "human": "lung", None: "lung"}, {"maize": "testis"}),
        (("organism", "tissue"), {"maize": "root tip"}, {"maize": "nerve root", "arabidopsis": "brain stem"}),
        (("organism", "cell_type"), {"human": "muscle cell"}, {"human": "cone cell (sensu Mus)", "mouse": "x, human"}),
        (("organism", "cell_type"), {"cow": "x, mammalian", "naked mole-rat female": "x, mammalian"}, {"chicken": "x, mammalian"}),
        (("organism", "ethnicity"), {"mouse": "unknown"}, {"mouse": "British"}),
        (("sex", "tissue"), {"male": "prostate gland", "unknown": "ovary"}, {"female": "prostate gland"}),
        (("sex", "cell_type"), {"female": "granulosa cell"}, {"male": "granulosa cell"}),
    ],
)  # fmt: skip
def test_rules_by_name(rule, true, impossible):
    for pairs, count in ((true, 0), (impossible, len(impossible))):
        frame = pl.DataFrame(list(pairs.items()), schema=dict.fromkeys(rule, pl.String), orient="row")
        assert labels.judge(frame)["implausible"].sum() == count


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
    shares = np.zeros(6)
    for seed in range(40):
        shares += survey.draw(made, cells=600, seed=seed).obs["part"].value_counts(sort=False).to_numpy()
    assert np.abs(shares / 40 - 100).max() < 8


def test_a_new_part_changes_few_of_the_cells_drawn(copied):
    before = survey.draw(copied, cells=300, only=[part.stem for part in parts.find(copied)[:5]])
    after = survey.draw(copied, cells=300)
    assert 220 <= len(set(before.obs_names) & set(after.obs_names)) <= 280


def test_what_cannot_be_drawn_is_refused_or_skipped_by_name(made, copied, spoil):
    with pytest.raises(BudgetError, match="a sample of 900 cells"):
        survey.draw(made, cells=900, budget="1 MiB")
    with pytest.raises(PartError, match="no cell could be drawn"):
        survey.draw(made, cells=10, only=["none"])
    stem = spoil(copied, 1, parts.NOT_FINITE)
    assert list(survey.draw(copied, cells=3000, only=[stem, twin.part_name(0)]).uns["skipped"]) == [stem]


# the twin


def test_the_same_seed_makes_the_same_parts_and_another_does_not(tmp_path):
    def made(name, seed):
        folder = twin.simulate_parts(tmp_path / name, n_cells=40, n_parts=2, seed=seed)
        return [files.digest(path) for path in sorted(folder.glob("*.npz"))]

    one = made("a", 1)
    assert made("b", 1) == one
    assert not set(made("c", 2)) & set(one)


def test_planted_near_ties_lie_inside_the_limit_of_the_model(made, surveyed):
    planted = twin.read_truth(made)["counted"]
    for name in layout.RANKED:
        gap = pl.col(f"{name}_score").cast(pl.Float32) - pl.col(f"{name}_2_score").cast(pl.Float32)
        assert surveyed.cells.select((gap <= layout.NEAR).sum()).collect().item() == planted[f"near_{name}"]


def test_parts_are_opened_by_word_or_by_folder(made, own_cache):
    assert twin.open_parts(str(made)) == made
    folder = twin.open_parts("tiny")
    assert twin.open_parts("tiny") == folder
    assert parts.check(folder, deep=False)["cells"].sum() == 12_000
    assert twin.read_truth(own_cache) is None
    with pytest.raises(PartError, match=r"'nothing' is not a folder of parts. Choose demo or tiny"):
        twin.open_parts("nothing")
    with pytest.raises(PartError, match="every part needs a cell"):
        twin.simulate_parts(own_cache / "q", n_cells=1, n_parts=2)
