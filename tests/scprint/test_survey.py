import collections
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from helpers.errors import PartError
from helpers.scprint import archive, counting, keeping, layout, moments, parts, simulation, statistics, survey
from helpers.scprint.labels import Decoder
from helpers.scprint.statistics import Plan
from helpers.scprint.world import Planted

BARE = Decoder()


def load(folder, kind):
    """Read all parts of one kind with numpy alone, in the order of the parts."""
    stems = [part.stem for part in parts.find(folder)]
    return np.concatenate([np.load(folder / f"{stem}_{kind}.npz")["arr_0"] for stem in stems])


def same(one, two):
    assert_frame_equal(one.parts, two.parts)
    assert_frame_equal(one.tallies(), two.tallies())
    for table in one.plan.tables:
        assert_frame_equal(one.count(*table, decoder=BARE), two.count(*table, decoder=BARE))
    for name in layout.CLASSES:
        assert_frame_equal(one.histogram(name), two.histogram(name))
    for block in layout.BLOCKS:
        np.testing.assert_array_equal(one.mean(block), two.mean(block))
        np.testing.assert_array_equal(one.covariance(block), two.covariance(block))


@pytest.mark.parametrize(
    "table", [("sex",), ("cell_type", "tissue"), ("cell_type", "tissue", "age_group"), ("tissue", "tissue_2")]
)
def test_tables_are_those_of_a_plain_loop(made, surveyed, table):
    rows = load(made, "top3")
    places = [layout.LABEL_COLUMNS.index(name) for name in table]
    plain = collections.Counter(tuple(str(row[place]) for place in places) for row in rows)
    found = {tuple(row[:-1]): row[-1] for row in surveyed.count(*table, decoder=BARE).iter_rows()}
    assert found == dict(plain)


def test_a_table_can_be_asked_for_in_any_order(surveyed):
    one = surveyed.count("tissue", "cell_type", decoder=BARE)
    assert one.columns == ["tissue", "cell_type", "cells"]
    two = surveyed.count("cell_type", "tissue", decoder=BARE).select(one.columns)
    assert_frame_equal(one, two, check_row_order=False)


def test_a_table_that_was_not_counted_is_refused(surveyed):
    with pytest.raises(PartError, match="did not count sex x assay"):
        surveyed.count("sex", "assay")


def test_scores_are_those_of_a_plain_loop(made, surveyed):
    scores, labels = load(made, "scores").astype(np.float64), load(made, "top3")
    for row in surveyed.tallies().iter_rows(named=True):
        three = scores[:, layout.LABELS[row["class"]]]
        assert row["cells"] == len(scores)
        assert row["mean_sigmoid"] == pytest.approx((1 / (1 + np.exp(-three[:, 0]))).mean())
        histogram = surveyed.histogram(row["class"])
        inside = [
            ((three[:, 0] >= low) & (three[:, 0] < high)).sum()
            for low, high in histogram.select("low", "high").rows()
        ]
        # edges fall on half-precision scores: a neighboring bin may take a cell
        assert np.abs(np.cumsum(inside) - histogram["cells"].cum_sum().to_numpy()).max() <= 5
        if three.shape[1] == 3:
            gap = three[:, 0].astype(np.float32) - three[:, 1].astype(np.float32)
            assert row["near"] == (gap <= np.float32(0.15)).sum()
            assert row["second_positive"] == (three[:, 1] > 0).sum()
            assert row["tied"] == (three[:, 0] == three[:, 1]).sum()
            assert row["repeated"] == sum(
                len(set(r)) < 3 for r in labels[:, layout.LABELS[row["class"]]].tolist()
            )


def test_means_and_covariances_are_those_of_numpy(made, tmp_path):
    found = survey.run(made, plan=Plan(covariance_every=1), cache=tmp_path)
    values = load(made, "embs").astype(np.float64)
    for block, columns in layout.BLOCKS.items():
        np.testing.assert_allclose(found.mean(block), values[:, columns].mean(0), atol=1e-6)
        np.testing.assert_allclose(
            found.covariance(block), np.cov(values[:, columns], rowvar=False), rtol=1e-4, atol=1e-4
        )


def test_sampled_covariances_take_every_nth_cell(tmp_path):
    # parts longer than the blocks in which they are read
    folder = simulation.simulate_parts(tmp_path / "p", n_cells=2600, n_parts=2)
    found = survey.run(folder, plan=Plan(covariance_every=7), cache=tmp_path / "c")
    rows = [np.load(folder / f"{p.stem}_embs.npz")["arr_0"][::7] for p in parts.find(folder)]
    expected = np.cov(np.concatenate(rows).astype(float)[:, layout.BLOCKS["age_group"]], rowvar=False)
    np.testing.assert_allclose(found.covariance("age_group"), expected, rtol=1e-4, atol=1e-4)


def test_a_runner_up_exactly_at_the_limit_is_near():
    scores = np.zeros((3, 23), np.float32)
    scores[:, 0] = [0.15, np.nextafter(np.float32(0.15), np.float32(1)), 0.0]
    tallies = counting.count_scores(np.zeros((3, 23), np.uint16), scores)["cell_type"].tallies
    assert dict(zip(counting.TALLIES, tallies.tolist(), strict=True))["near"] == 2


def test_far_from_zero_covariances_stay_exact():
    values = np.random.default_rng(1).normal(1000, 0.01, (5000, 424)).astype(np.float32)
    one = moments.Moments()
    for piece in np.array_split(values, 7):
        one.add(piece)
    expected = np.cov(values[:, layout.BLOCKS["sex"]].astype(float), rowvar=False)
    np.testing.assert_allclose(one.covariance("sex"), expected, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(one.mean, values.astype(float).mean(0), atol=1e-6)


@pytest.mark.parametrize("how", ["compressed", "float32", "npy", "22"])
def test_storage_does_not_change_the_tables(tmp_path, made, surveyed, how):
    folder = tmp_path / "parts"
    if how in ("compressed", "22"):
        planted = Planted(compressed=how == "compressed", width=22 if how == "22" else 23)
        simulation.simulate_parts(folder, n_cells=3000, n_parts=6, seed=3, planted=planted)
    else:
        shutil.copytree(made, folder)
        for path in [*folder.glob("*_embs.npz"), *folder.glob("*_scores.npz")]:
            array = np.load(path)["arr_0"]
            with path.open("wb") as stream:
                np.savez(stream, array.astype(np.float32)) if how == "float32" else np.save(stream, array)
    found = survey.run(folder, cache=tmp_path / "cache")
    assert_frame_equal(found.count("cell_type", "tissue"), surveyed.count("cell_type", "tissue"))
    np.testing.assert_allclose(found.mean("other"), surveyed.mean("other"), atol=1e-5)
    assert found.missing_classes == (("cell_culture",) if how == "22" else ())
    if how == "22":
        assert "cell_culture" not in found.tallies()["class"]


def test_processes_and_one_process_give_identical_tables(made, surveyed, tmp_path):
    same(surveyed, survey.run(made, cache=tmp_path, processes=2))


@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_of_two_processes_gives_identical_tables(made, surveyed, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        same(surveyed, survey.run(made, cache=tmp_path, cluster=cluster.scheduler_address))


def test_a_cluster_that_is_not_there_is_said(made, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")

    def refuse(*_, **__):
        raise TimeoutError

    monkeypatch.setattr(distributed, "Client", refuse)
    with pytest.raises(PartError, match="no Dask scheduler answers at 'tcp://nobody:1'"):
        survey.run(made, cache=tmp_path, cluster="tcp://nobody:1")


def test_a_second_survey_reads_nothing_and_agrees(made, surveyed, tmp_path):
    first = survey.run(made, cache=tmp_path)
    assert (first.computed, first.reused) == (6, 0)
    second = survey.run(made, cache=tmp_path)
    assert (second.computed, second.reused) == (0, 6)
    same(first, second)
    same(surveyed, second)


def test_a_new_part_costs_only_itself(copied, tmp_path):
    held = {path: path.read_bytes() for path in copied.glob("step_1__predict_part_0_2_*")}
    for path in held:
        path.unlink()
    assert survey.run(copied, cache=tmp_path).cells == 2500
    for path, data in held.items():
        path.write_bytes(data)
    again = survey.run(copied, cache=tmp_path)
    assert (again.computed, again.reused, again.cells) == (1, 5, 3000)


def test_a_changed_part_is_read_again(copied, tmp_path):
    survey.run(copied, cache=tmp_path)
    path = next(copied.glob("*_top3.npz"))
    labels = np.load(path)["arr_0"]
    labels[:, 0] = 1
    np.savez(path, labels)
    again = survey.run(copied, cache=tmp_path)
    assert (again.computed, again.reused) == (1, 5)
    assert again.count("cell_type", decoder=BARE).filter(pl.col("cell_type") == "1")["cells"][0] >= 500


def test_another_plan_does_not_reuse(made, tmp_path):
    survey.run(made, cache=tmp_path)
    assert survey.run(made, plan=Plan(embeddings=False), cache=tmp_path).computed == 6


def test_a_damaged_cache_entry_is_computed_again(made, surveyed, tmp_path):
    survey.run(made, cache=tmp_path)
    entry = next(tmp_path.rglob("*.statistics"))
    entry.write_bytes(entry.read_bytes()[:300])
    again = survey.run(made, cache=tmp_path)
    assert again.computed == 1
    same(surveyed, again)


def test_an_interrupted_survey_goes_on(made, surveyed, tmp_path):
    def stop(done, _):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        survey.run(made, cache=tmp_path, progress=stop)
    again = survey.run(made, cache=tmp_path)
    assert (again.computed, again.reused) == (3, 3)
    same(surveyed, again)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_survey_goes_on(made, surveyed, tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from helpers.scprint import survey\n"
        "survey.run(sys.argv[1], cache=Path(sys.argv[2]), progress=lambda done, n: time.sleep(60 if done == 2 else 0))"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(made), str(tmp_path)], env=os.environ) as child:
        for _ in range(600):
            if len(list(tmp_path.rglob("*.statistics"))) >= 2:
                break
            time.sleep(0.1)
        child.send_signal(signal.SIGKILL)
    again = survey.run(made, cache=tmp_path)
    assert (again.computed, again.reused) == (4, 2)
    same(surveyed, again)


def test_one_corrupted_part_among_many_is_named_and_the_rest_counted(tmp_path):
    folder = simulation.simulate_parts(
        tmp_path / "p", n_cells=2000, n_parts=200, faults={137: archive.CHECKSUM}
    )
    found = survey.run(folder, plan=Plan(tables=(("sex",),)), cache=tmp_path / "c")
    assert found.faults["part"].to_list() == [simulation.part_name(137).stem]
    assert found.faults["kind"].to_list() == [archive.CHECKSUM]
    assert found.cells == found.count("sex")["cells"].sum() == 1990
    assert found.parts.height == 200


@pytest.mark.parametrize("fault", simulation.FAULTS)
def test_a_fault_is_skipped_or_stops_by_choice(tmp_path, fault):
    folder = simulation.simulate_parts(tmp_path / "p", n_cells=90, n_parts=3, faults={2: fault})
    found = survey.run(folder, cache=tmp_path / "c")
    assert found.cells == 60
    assert found.faults["kind"].to_list() == [fault]
    with pytest.raises(PartError, match=simulation.part_name(2).stem):
        survey.run(folder, cache=tmp_path / "c", on_fault="stop")


def test_nothing_sound_is_an_error(tmp_path):
    faults = dict.fromkeys(range(2), archive.SIBLING)
    folder = simulation.simulate_parts(tmp_path / "p", n_cells=20, n_parts=2, faults=faults)
    with pytest.raises(PartError, match="none of 2 parts can be counted"):
        survey.run(folder, cache=tmp_path / "c")


def test_choices_are_checked(made):
    with pytest.raises(PartError, match="on_fault is 'ignore'"):
        survey.run(made, on_fault="ignore")
    with pytest.raises(PartError, match="has 4 columns"):
        Plan(tables=(("sex", "tissue", "assay", "disease"),))
    with pytest.raises(PartError, match="'organ' is not a label column"):
        Plan(tables=(("organ",),))
    with pytest.raises(PartError, match="at least 1"):
        Plan(covariance_every=0)
    with pytest.raises(PartError, match="is not two or three of"):
        statistics.plan_for("cell_type")
    assert ("assay", "ethnicity") in statistics.plan_for("assay, ethnicity").tables
    assert statistics.plan_for("tissue,cell_type").tables == statistics.TABLES


def test_statistics_survive_the_disk(made):
    found = statistics.measure(parts.open_part(parts.find(made)[0]), plan=Plan())
    back = keeping.from_bytes(keeping.to_bytes(found))
    assert back.cells == found.cells
    assert list(back.tables) == list(found.tables)
    np.testing.assert_array_equal(back.sums, found.sums)
    np.testing.assert_array_equal(back.scores["tissue"].margins, found.scores["tissue"].margins)
    assert keeping.to_bytes(back) == keeping.to_bytes(found)
    with pytest.raises(PartError, match="cannot be read"):
        keeping.from_bytes(keeping.to_bytes(found)[:-10])


def test_results_are_saved(surveyed, tmp_path):
    paths = surveyed.save(tmp_path)
    assert pl.read_parquet(tmp_path / "parts.parquet").height == 6
    assert pl.read_parquet(tmp_path / "count_cell_type-tissue.parquet")["cells"].sum() == 3000
    assert all(path.is_file() for path in paths)


def test_memory_does_not_grow_with_parts(tmp_path):
    code = (
        "import sys; from pathlib import Path; from helpers.budget import peak_bytes; from helpers.scprint import survey\n"
        "survey.run(sys.argv[1], cache=Path(sys.argv[2])); print(peak_bytes())"
    )
    peaks = []
    for n in (1, 12):
        folder = simulation.simulate_parts(tmp_path / f"p{n}", n_cells=4000 * n, n_parts=n)
        out = subprocess.run(
            [sys.executable, "-c", code, str(folder), str(tmp_path / f"c{n}")],
            check=True,
            capture_output=True,
            text=True,
        )
        peaks.append(int(out.stdout))
    assert peaks[1] < peaks[0] + 30 * 2**20
    assert peaks[1] < 2**30
