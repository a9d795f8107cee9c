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
    ("is_broken", "cells"),
    [
        (False, {"organism": "maize", "tissue": ["leaf", "PO:0025034 leaf", "root tip"]}),
        (
            True,
            {"organism": ["maize", "arabidopsis", "maize"], "tissue": ["testis", "brain stem", "nerve root"]},
        ),
        (
            True,
            {
                "organism": ["human", "mouse"],
                "cell_type": ["type 6 cone bipolar cell (sensu Mus)", "x, human"],
            },
        ),
        (False, {"organism": "human", "cell_type": ["muscle cell", "CL:0000097"]}),
        (True, {"organism": ["chicken"], "cell_type": "x, mammalian"}),
        (False, {"organism": ["cow", "naked mole-rat female"], "cell_type": "x, mammalian"}),
        (True, {"organism": ["mouse"], "ethnicity": "British"}),
        (False, {"organism": ["mouse"], "ethnicity": "unknown"}),
        (True, {"sex": ["female"], "tissue": "prostate gland"}),
        (True, {"sex": ["male"], "cell_type": "granulosa cell"}),
        (False, {"sex": ["male", "unknown"], "tissue": ["prostate gland", "ovary"]}),
        (False, {"organism": pl.Series([None], dtype=pl.String), "tissue": "lung"}),
    ],
)
def test_rules_by_name(is_broken, cells):
    frame = pl.DataFrame(cells)
    assert labels.judge(frame)["implausible"].sum() == (frame.height if is_broken else 0)


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
    drawn = pl.concat(
        pl.DataFrame(survey.draw(made, cells=600, seed=seed).obs[["part"]]) for seed in range(40)
    )
    assert (drawn["part"].value_counts()["count"] / 40 - 100).abs().max() < 8


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
