import dataclasses

import anndata as ad
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

from helpers import names
from helpers.errors import CountsError, PartError
from helpers.scprint import (
    cost,
    embed,
    embedded,
    evaluation,
    groups,
    labels,
    models,
    muscle,
    parts,
    probe,
    sampling,
    simulation,
)
from helpers.scprint.cost import Measured
from helpers.scprint.models import Recipe


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted") / "parts"
    return simulation.simulate_parts(folder, n_cells=9000, n_parts=6, seed=21)


@pytest.fixture(scope="module", params=["logistic", "boosted"])
def trained(planted, request):
    return probe.train(
        planted, recipe=Recipe(target="age_group", block="age_group", kind=request.param), seed=1
    )


def test_planted_labels_are_learned(planted, trained):
    tested = evaluation.evaluate(trained, planted)
    assert tested.accuracy > 0.75
    assert tested.macro_f1 > 0.75
    assert tested.calibration_error < 0.05
    assert tested.confusion.sum() + tested.unseen == 1500


def test_a_model_is_tested_on_parts_it_never_saw(planted, trained):
    assert len(trained.held_out) == 1
    # training again without the held-out part gives the same model
    rest = [p.stem for p in parts.find(planted) if p.stem not in trained.held_out]
    assert trained.cells <= 1500 * (len(rest) - 1)


def test_all_columns_reach_what_the_block_reaches(planted):
    tested = evaluation.evaluate(probe.train(planted, recipe=Recipe(block="all"), seed=1), planted)
    assert tested.accuracy > 0.9


def test_nothing_is_learned_from_a_block_that_knows_nothing(planted):
    tested = evaluation.evaluate(
        probe.train(planted, recipe=Recipe(target="sex", block="ethnicity")), planted
    )
    assert 0.45 < tested.accuracy < 0.55


def test_two_labels_have_two_probabilities(planted):
    model = probe.train(planted, recipe=Recipe(target="sex", block="sex"))
    rows = parts.rows_of(parts.open_part(parts.find(planted)[0]), "embs", columns=model.recipe.columns)
    chance = model.probabilities(rows)
    assert chance.shape == (1500, 2)
    np.testing.assert_allclose(chance.sum(1), 1)
    assert evaluation.evaluate(model, planted).accuracy > 0.9


def test_f1_and_calibration_are_those_of_a_plain_loop():
    tested = evaluation.Evaluation(np.array([4, 9]), np.array([[8, 2], [1, 9]]), np.zeros((10, 3)), 0)
    rows = {row["label"]: row for row in tested.per_class(["a", "b"]).iter_rows(named=True)}
    assert rows["a"]["precision"] == pytest.approx(8 / 9)
    assert rows["a"]["recall"] == pytest.approx(0.8)
    assert rows["a"]["f1"] == pytest.approx(2 * (8 / 9) * 0.8 / (8 / 9 + 0.8))
    assert tested.accuracy == 0.85
    bins = np.zeros((10, 3))
    bins[9], bins[5] = (10, 9.5, 8), (10, 5.5, 6)
    tested = dataclasses.replace(tested, bins=bins)
    assert tested.calibration_error == pytest.approx((1.5 + 0.5) / 20)


def test_a_saved_model_says_the_same(planted, trained, tmp_path):
    models.save(trained, tmp_path / "m")
    back = models.load(tmp_path / "m", trust=trained.recipe.kind == "boosted")
    one, two = (pl.concat(evaluation.predict(m, planted)) for m in (trained, back))
    assert one.equals(two)
    assert one.height == 9000
    assert back.held_out == trained.held_out


def test_a_pickled_model_is_not_loaded_unless_trusted(planted, tmp_path):
    boosted = Recipe(target="sex", block="sex", kind="boosted", max_cells=500)
    models.save(probe.train(planted, recipe=boosted), tmp_path / "m")
    with pytest.raises(PartError, match="are a pickle, which can run any code"):
        models.load(tmp_path / "m")
    (tmp_path / "m" / "trees.joblib").write_bytes(b"other")
    with pytest.raises(PartError, match="changed since the model was saved"):
        models.load(tmp_path / "m", trust=True)
    with pytest.raises(PartError, match="is not a saved model"):
        models.load(tmp_path / "none")


def test_a_logistic_model_holds_no_pickle(planted, tmp_path):
    models.save(probe.train(planted, recipe=Recipe(target="sex", block="sex")), tmp_path / "m")
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [
        ".musclebook.json",
        "model.json",
        "model.npz",
    ]


def test_new_parts_are_predicted(planted, trained, tmp_path):
    folder = simulation.simulate_parts(tmp_path, n_cells=40, n_parts=2, seed=99)
    found = list(evaluation.predict(trained, folder))
    assert [frame.height for frame in found] == [20, 20]
    assert found[0]["probability"].is_between(0, 1).all()


def test_recipes_are_checked_all_at_once(planted, tmp_path):
    with pytest.raises(
        PartError, match=r"target 'x' is not one of .*block 'y' is not all.*kind 'z' is not logistic"
    ):
        Recipe(target="x", block="y", kind="z")
    few = simulation.simulate_parts(tmp_path, n_cells=20, n_parts=2)
    with pytest.raises(PartError, match="2 parts: need one to train on"):
        probe.train(few)
    with pytest.raises(PartError, match="0 labels of tissue have 100000 cells"):
        probe.train(planted, recipe=Recipe(target="tissue", min_cells=100_000))


def test_rows_of_another_width_are_refused(trained):
    with pytest.raises(PartError, match="the model reads the 8 of age_group"):
        trained.predict(np.zeros((2, 9), np.float32))


# muscle


def test_muscle_is_chosen_by_tissue_or_type():
    counts = pl.DataFrame(
        {
            "cell_type": [
                "fast muscle cell",
                "mast cell",
                "fast muscle cell",
                "mast cell",
                "aortic smooth muscle cell",
            ],
            "tissue": ["gastrocnemius", "gastrocnemius", "lung", "lung", "aorta"],
            "cells": [5, 4, 3, 2, 1],
        }
    )
    found = muscle.select(counts)
    assert found["why"].to_list() == ["both", "tissue", "cell type"]
    assert dict(muscle.compose(found).select("group", "cells").rows()) == {"muscle fiber": 8, "mast cell": 4}
    with pytest.raises(PartError, match="the table has no tissue"):
        muscle.select(counts.drop("tissue"))


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("skeletal muscle satellite stem cell", groups.STEM), ("slow muscle cell", groups.FIBER),
        ("cardiac muscle myoblast", groups.ELSE), ("perineuronal satellite cell", groups.ELSE),
        ("regular ventricular cardiac myocyte", groups.ELSE), ("aortic smooth muscle cell", groups.SMOOTH),
        ("naive regulatory T cell", groups.LYMPHOID), ("large pre-B-II cell", groups.LYMPHOID),
        ("mature microglial cell", groups.MYELOID), ("fibroblast of cardiac tissue", groups.FIBROBLAST),
        ("enucleate erythrocyte", groups.RED), ("brown adipocyte", groups.FAT), ("", groups.ELSE),
    ],
)  # fmt: skip
def test_cell_types_fall_into_broad_groups(name, group):
    assert groups.broad_group(name) == group


def test_every_label_of_the_muscle_atlas_has_a_group():
    from helpers.facts import study

    known = set(study.hierarchy()[names.LEVEL0])
    assert known == set(groups.ATLAS_GROUPS)


def test_shares_of_the_muscle_atlas_are_means_over_donors():
    obs = pl.DataFrame(
        {
            names.ASSAY: ["cells"] * 5,
            names.DONOR: ["a", "a", "a", "a", "b"],
            names.LEVEL0: ["MuSC", "MuSC", "MuSC", "FB", "FB"],
        }
    )
    found = {row["group"]: row["share"] for row in muscle.compose_atlas(obs).iter_rows(named=True)}
    assert found[groups.STEM] == pytest.approx((0.75 + 0) / 2)
    assert found[groups.FIBROBLAST] == pytest.approx((0.25 + 1) / 2)
    assert muscle.compose_atlas(obs.drop(names.DONOR, names.ASSAY))["share"].sum() == pytest.approx(1)
    named = obs.with_columns(pl.lit("fast muscle cell").alias(names.LEVEL0), pl.lit(None).alias(names.ASSAY))
    assert list(muscle.shares_by_assay(named)) == ["muscle_atlas_all"]
    assert muscle.shares_by_assay(named)["muscle_atlas_all"].filter(pl.col("share") == 1)[
        "group"
    ].to_list() == [groups.FIBER]
    assert muscle.shares_by_assay(obs.drop(names.LEVEL0)) == {}
    with pytest.raises(PartError, match="has no column annotation_level0"):
        muscle.compose_atlas(obs.drop(names.LEVEL0))


def test_muscle_of_simulated_parts_lies_beside_the_atlas(planted):
    decoder = labels.beside(planted)
    drawn = sampling.draw(planted, cells=1500, seed=1)
    near = muscle.neighbors_of(drawn, decoder)
    assert near.height > 0
    assert not any(groups.is_muscle_tissue(tissue) for tissue in near["tissue"])
    assert near.group_by("group").agg(pl.col("share").sum())["share"].to_list() == pytest.approx(
        [1.0] * near["group"].n_unique()
    )
    assert muscle.neighbors_of(drawn, labels.Decoder()).is_empty()


def test_the_real_sample_has_little_muscle(real_sample):
    frame = labels.read_predicted(real_sample)
    found = muscle.select(labels.count(frame, ("cell_type", "tissue")))
    assert 500 < found["cells"].sum() < 1500


# embedding the muscle atlas


def atlas_of(n_cells=250, n_genes=10_050, *, seed=1):
    chance = np.random.default_rng(seed)
    counts = sp.random(n_cells, n_genes, density=0.01, random_state=chance, format="csr")
    counts.data = chance.integers(1, 9, counts.nnz).astype(np.int32)
    var = pd.DataFrame(
        {names.ENSEMBL: [f"ENSG{i:011d}" for i in range(n_genes)]}, index=[f"G{i}" for i in range(n_genes)]
    )
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)])
    return ad.AnnData(counts.astype(np.float32), obs=obs, var=var, layers={names.COUNTS: counts})


def test_slices_carry_raw_counts_and_ensembl_ids(tmp_path):
    atlas = atlas_of()
    atlas.var.iloc[7, 0] = "not an id"
    made = embed.prepare(atlas, tmp_path, slice_cells=120)
    assert made.slices == ("slice_0000.h5ad", "slice_0001.h5ad", "slice_0002.h5ad")
    assert (made.cells, made.genes) == (250, 10_049)
    pieces = [ad.read_h5ad(tmp_path / name) for name in made.slices]
    assert max(piece.n_obs for piece in pieces) <= 120
    assert min(piece.n_obs for piece in pieces) >= 80
    together = sp.vstack([piece.X for piece in pieces])
    expected = atlas.layers[names.COUNTS][:, np.arange(10_050) != 7]
    assert (together != expected).nnz == 0
    assert pieces[0].var_names[7] == "ENSG00000000008"
    assert pieces[0].obs["organism_ontology_term_id"].unique().tolist() == ["NCBITaxon:9606"]
    assert np.concatenate([piece.obs["row_id"] for piece in pieces]).tolist() == list(range(250))


def test_pieces_give_the_slices_of_the_whole(tmp_path):
    atlas = atlas_of(200)
    embed.prepare((atlas[:100].copy(), atlas[100:].copy()), tmp_path, slice_cells=100)
    last = ad.read_h5ad(tmp_path / "slice_0001.h5ad")
    assert last.obs["row_id"].tolist() == list(range(100, 200))
    assert last.obs_names[0] == "cell100"


def test_the_script_names_every_slice_and_the_published_command(tmp_path):
    embed.prepare(atlas_of(), tmp_path, slice_cells=120, checkpoint="my weights.ckpt")
    script = (tmp_path / "embed.sh").read_text()
    assert "scprint2 embed --adata" in script
    assert "--species NCBITaxon:9606" in script
    assert "'my weights.ckpt'" in script
    assert all(f"slice_000{n}" in script for n in range(3))
    import shutil
    import subprocess

    if shutil.which("bash"):
        subprocess.run(["bash", "-n", str(tmp_path / "embed.sh")], check=True)


def test_the_script_calls_the_command_once_a_slice(tmp_path):
    import os
    import subprocess

    embed.prepare(atlas_of(), tmp_path / "slices", slice_cells=125)
    stand_in = tmp_path / "bin" / "scprint2"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/usr/bin/env bash\necho "$@" >> "$LOG"\ntouch "${@: -1}"\n')
    stand_in.chmod(0o755)
    log = tmp_path / "log"
    env = {**os.environ, "PATH": f"{stand_in.parent}:{os.environ['PATH']}", "LOG": str(log)}
    for _ in range(2):
        subprocess.run(["bash", str(tmp_path / "slices" / "embed.sh")], check=True, env=env)
    assert len(log.read_text().splitlines()) == 2
    assert sorted(p.name for p in (tmp_path / "slices").glob("*_embedded.h5ad")) == [
        "slice_0000_embedded.h5ad",
        "slice_0001_embedded.h5ad",
    ]


def test_bad_input_is_refused(tmp_path):
    atlas = atlas_of()
    halves = atlas.copy()
    halves.layers[names.COUNTS] = halves.layers[names.COUNTS].astype(float) / 2
    with pytest.raises(CountsError, match="stored values are not whole"):
        embed.prepare(halves, tmp_path)
    del halves.layers[names.COUNTS]
    with pytest.raises(CountsError, match="no layer 'counts'"):
        embed.prepare(halves, tmp_path)
    with pytest.raises(PartError, match="the model needs 10,000"):
        embed.prepare(atlas[:, :500].copy(), tmp_path)
    with pytest.raises(PartError, match="slices of 30,000 cells"):
        embed.prepare(atlas, tmp_path, slice_cells=30_000)


def model_output(folder, name, *, keep=slice(None), rows=None):
    """Write what the model writes for a slice: shuffled cells, an embedding, class arrays, predictions."""
    piece = ad.read_h5ad(folder / name)[keep].copy()
    piece = piece[np.random.default_rng(1).permutation(piece.n_obs)].copy()
    vectors = np.repeat(piece.obs["row_id"].to_numpy()[:, None], 4, axis=1).astype(np.float32)
    obs = piece.obs.assign(pred_cell_type_ontology_term_id="CL:0000097", conf=1.0)
    if rows is not None:
        obs["row_id"] = rows
    out = ad.AnnData(obs=obs, obsm={"scprint_emb": vectors, "scprint_emb_tissue": vectors[:, :2] + 1})
    out.write_h5ad(folder / embed.output_name(name))


def test_the_output_comes_back_in_the_order_of_the_cells(tmp_path):
    made = embed.prepare(atlas_of(), tmp_path, slice_cells=130)
    model_output(tmp_path, made.slices[0], keep=slice(5, None))
    model_output(tmp_path, made.slices[1])
    found = embedded.read(tmp_path)
    assert found.dropped == 5
    assert found.cells["row_id"].to_list() == list(range(250))
    assert found.cells["embedded"].to_list() == [False] * 5 + [True] * 245
    np.testing.assert_array_equal(found.vectors[:, 0], np.arange(5, 250))
    np.testing.assert_array_equal(found.blocks["scprint_emb_tissue"][:, 0], np.arange(5, 250) + 1)
    assert found.cells["cell_type"][10] == "CL:0000097"
    assert found.cells["barcode"][10] == "cell10"


def test_a_missing_or_foreign_output_is_named(tmp_path):
    made = embed.prepare(atlas_of(), tmp_path, slice_cells=130)
    with pytest.raises(PartError, match="2 of 2 slices are not embedded yet, first slice_0000_embedded"):
        embedded.read(tmp_path)
    model_output(tmp_path, made.slices[0], rows=np.arange(1000, 1125))
    model_output(tmp_path, made.slices[1])
    with pytest.raises(PartError, match="rows outside 0 to 249"):
        embedded.read(tmp_path)
    model_output(tmp_path, made.slices[0], rows=np.arange(125, 250))
    with pytest.raises(PartError, match="125 rows came back twice"):
        embedded.read(tmp_path)
    ad.AnnData(np.zeros((2, 2), np.float32)).write_h5ad(tmp_path / "slice_0000_embedded.h5ad")
    with pytest.raises(PartError, match="not an output of the model"):
        embedded.read(tmp_path)
    with pytest.raises(PartError, match="prepare the slices first"):
        embedded.read(tmp_path / "none")


# cost


def test_the_arithmetic_of_the_whole_atlas():
    found = cost.extrapolate(
        [Measured("x", 20_000, 0.01, 940)], cells=338_000_000, cores=2, disk_mb_per_second=500
    )
    row = found.row(0, named=True)
    assert row["cells_per_second"] == pytest.approx(2_000_000)
    assert row["processor_minutes"] == pytest.approx(338 / 2 / 2 / 60)
    assert row["disk_minutes"] == pytest.approx(338e6 * 940 / 500e6 / 60)
    assert row["minutes"] == row["disk_minutes"]
    assert "338,000,000 cells / (2,000,000 cells/s x 2) / 60" in row["arithmetic"]
    with pytest.raises(PartError, match="cannot be extrapolated"):
        cost.extrapolate([Measured("x", 0, 1.0)])


def test_the_volume_of_the_atlas(made):
    sizes = cost.file_sizes(made)
    assert sizes["whole_atlas_gb"].round(1).to_list() == [286.6, 15.5, 15.5]
    assert sizes["files"].to_list() == [6, 6, 6]


def test_steps_are_measured(made):
    steps = cost.measure(made, repeats=1)
    assert [step.cells for step in steps] == [500] * 5
    assert all(step.seconds > 0 for step in steps)
