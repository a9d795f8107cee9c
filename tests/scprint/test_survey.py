import collections
import contextlib
import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from helpers import cluster
from helpers.cli.scprint import group
from helpers.errors import PartError
from helpers.scprint import layout, parts, survey, twin


def load(folder, kind):
    """Read all parts of one kind with numpy alone, in the order of the parts."""
    stems = [part.stem for part in parts.find(folder)]
    return np.concatenate([np.load(folder / f"{stem}_{kind}.npz")["arr_0"] for stem in stems])


def same(one, two):
    assert_frame_equal(one.parts, two.parts)
    assert_frame_equal(one.embedding, two.embedding)
    assert_frame_equal(one.cells.collect(), two.cells.collect())


def known(found):
    return len(found.counted) - found.computed


@pytest.mark.parametrize("table", [("sex",), ("cell_type", "tissue", "age_group"), ("tissue", "tissue_2")])
def test_a_group_by_counts_what_a_plain_loop_counts(made, surveyed, table):
    rows = load(made, "top3")
    places = [layout.LABEL_COLUMNS.index(name) for name in table]
    plain = collections.Counter(tuple(int(row[place]) for place in places) for row in rows)
    counted = surveyed.cells.group_by(table).len().collect(engine="streaming")
    assert {tuple(row[:-1]): row[-1] for row in counted.iter_rows()} == dict(plain)


def test_means_and_variances_are_those_of_numpy(made, surveyed):
    values = load(made, "embs").astype(np.float64)
    np.testing.assert_allclose(surveyed.embedding["mean"], values.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(surveyed.embedding["variance"], values.var(axis=0, ddof=1), rtol=1e-5)
    assert surveyed.embedding.filter(block="age_group")["dimension"].to_list() == list(range(8))


def test_storage_in_single_precision_without_a_class_does_not_change_the_rest(tmp_path, narrow, surveyed):
    for path in [*narrow.glob("*_embs.npz"), *narrow.glob("*_scores.npz")]:
        np.savez(path, np.load(path)["arr_0"].astype(np.float32))
    found = survey.run(narrow, cache=tmp_path / "cache")
    lost = ["cell_culture", "cell_culture_score"]
    assert found.cells.select(lost).collect().null_count().row(0) == (3000, 3000)
    assert_frame_equal(found.cells.drop(lost).collect(), surveyed.cells.drop(lost).collect())
    assert_frame_equal(found.embedding, surveyed.embedding, rel_tol=1e-4, abs_tol=1e-4)


@pytest.mark.parametrize("pattern", ["*.parquet", "*.npy"])
def test_what_is_kept_is_not_read_again_unless_it_is_damaged(made, surveyed, tmp_path, pattern):
    assert survey.run(made, cache=tmp_path, processes=2).computed == 6
    for computed in (0, 1):
        again = survey.run(made, cache=tmp_path)
        assert (again.computed, known(again)) == (computed, 6 - computed)
        same(surveyed, again)
        entry = next(tmp_path.rglob(pattern))
        entry.write_bytes(entry.read_bytes()[:300])


def test_a_new_part_and_a_changed_part_cost_only_themselves(copied, tmp_path):
    held = {path: path.read_bytes() for path in copied.glob("step_1__predict_part_0_2_*")}
    for path in held:
        path.unlink()
    assert survey.run(copied, cache=tmp_path / "c").computed == 5
    for path, data in held.items():
        path.write_bytes(data)
    again = survey.run(copied, cache=tmp_path / "c")
    assert (again.computed, known(again), again.parts["cells"].sum()) == (1, 5, 3000)
    path = next(copied.glob("*_top3.npz"))
    np.savez(path, np.ones_like(np.load(path)["arr_0"]))
    again = survey.run(copied, cache=tmp_path / "c")
    assert (again.computed, known(again)) == (1, 5)
    assert again.cells.filter(cell_type=1).select(pl.len()).collect().item() >= 500


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_survey_goes_on(made, surveyed, tmp_path):
    code = "import sys, time; from pathlib import Path; from helpers.scprint import survey\n"
    code += "survey.run(sys.argv[1], cache=Path(sys.argv[2]), progress=lambda n, _: n < 2 or print(flush=True) or time.sleep(60))"
    command = [sys.executable, "-c", code, str(made), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        child.kill()
    again = survey.run(made, cache=tmp_path)
    assert (again.computed, known(again)) == (4, 2)
    same(surveyed, again)


@pytest.mark.parametrize("fault", [parts.CHECKSUM, parts.SIBLING, parts.PICKLED])
def test_a_fault_is_skipped_or_stops_by_choice(copied, spoil, tmp_path, fault):
    stem = spoil(copied, 2, fault)
    found = survey.run(copied, cache=tmp_path / "c")
    assert found.parts.filter(status="fault").select("part", "kind").rows() == [(stem, fault)]
    assert found.cells.select(pl.len()).collect().item() == found.parts["cells"].sum() == 2500
    with pytest.raises(PartError, match=stem):
        survey.run(copied, cache=tmp_path / "c", on_fault="stop")


def test_nothing_sound_is_an_error(tmp_path, spoil):
    folder = twin.simulate_parts(tmp_path / "p", n_cells=20, n_parts=2)
    for number in range(2):
        spoil(folder, number, parts.SIBLING)
    with pytest.raises(PartError, match="none of 2 parts can be counted"):
        survey.run(folder, cache=tmp_path / "c")
    with pytest.raises(PartError, match="on_fault is 'ignore'"):
        survey.run(folder, on_fault="ignore")


def test_memory_does_not_grow_with_parts(tmp_path):
    code = "import sys; from pathlib import Path; from helpers import budget; from helpers.scprint import survey\n"
    code += "survey.run(sys.argv[1], cache=Path(sys.argv[2])); print(budget.peak_bytes())"
    peaks = []
    for n in (1, 12):
        folder = twin.simulate_parts(tmp_path / f"p{n}", n_cells=4000 * n, n_parts=n)
        command = [sys.executable, "-c", code, str(folder), str(tmp_path / f"c{n}")]
        peaks.append(int(subprocess.check_output(command, text=True)))
    assert peaks[1] < peaks[0] + 30 * 2**20
    assert peaks[1] < 2**30


def test_the_command_writes_tables_that_polars_reads_and_a_full_disk_keeps(made, tmp_path, monkeypatch):
    out = tmp_path / "t"

    def run():
        words = ["survey", str(made), str(out), "--cache", str(tmp_path / "c"), "--processes", "1"]
        told = CliRunner().invoke(group, words)
        return told, {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    told, before = run()
    assert "3,000 cells of 6 parts (6 read, 0 known)" in told.stdout
    assert pl.read_parquet(out / "parts.parquet")["cells"].sum() == 3000
    assert pl.scan_parquet(out / "cells").select(pl.len()).collect().item() == 3000
    assert pl.read_parquet(out / "embedding.parquet").height == 424

    def full(*_, **__):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(survey.shutil, "copyfile", full)
    told, after = run()
    assert "what was there before is unchanged" in str(told.exception)
    assert after == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "t"]


# Dask


@contextlib.contextmanager
def started(workers):
    """Start a cluster in a process of its own, and give the process and the address."""
    pytest.importorskip("distributed")
    code = (
        "import distributed, sys, time\n"
        "options = {'processes': False, 'protocol': 'tcp', 'threads_per_worker': 1, 'dashboard_address': ':0'}\n"
        "cluster = distributed.LocalCluster(n_workers=int(sys.argv[1]), **options)\n"
        "print(cluster.scheduler_address, flush=True)\n"
        "time.sleep(120)"
    )
    command = [sys.executable, "-c", code, str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child, child.stdout.readline().strip()
        finally:
            child.kill()


@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_of_two_processes_gives_identical_tables(made, surveyed, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local:
        same(surveyed, survey.run(made, cache=tmp_path, cluster=local.scheduler_address))


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_is_not_there_or_idle_and_a_missing_extra_are_said(made, tmp_path, monkeypatch):
    def refused(message, address):
        with pytest.raises(PartError, match=message):
            survey.run(made, cache=tmp_path, cluster=address)

    for address in ("tcp://127.0.0.1:1", "nonsense"):
        refused(f"no Dask scheduler answers at {address}", address)
    monkeypatch.setattr(cluster, "WAIT", 1)
    with started(0) as (_, address):
        refused(f"at {address} has no workers. Start some: `dask worker {address}`", address)
    monkeypatch.setitem(sys.modules, "distributed", None)
    refused(r"musclebook\[cluster\]", address)


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_dies_is_said_and_what_was_read_is_kept(made, surveyed, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "WAIT", 2)
    monkeypatch.setattr(survey, "_WINDOW", 1)
    with started(1) as (child, address):
        message = f"(?s)the cluster at {address} was lost .* Finished files are kept"
        with pytest.raises(PartError, match=message):
            survey.run(made, cache=tmp_path, cluster=address, progress=lambda n, _: n == 2 and child.kill())
    again = survey.run(made, cache=tmp_path)
    assert known(again) >= 2
    same(surveyed, again)
