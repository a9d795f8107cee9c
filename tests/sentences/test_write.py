import errno
import json
import multiprocessing
import os
import random
import signal
import time
from importlib.util import find_spec
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
import yaml
from scipy import sparse
from typer.testing import CliRunner

from helpers import files, names
from helpers.cli.main import app
from helpers.errors import SentenceError, StorageError
from helpers.sentences import encode, read, shards, symbols, write
from helpers.sentences.write import Options

UUID = "10cc50a0-af80-4fa1-b668-893dd5c0113a"
WHOLE = Options(split="none")
SPLIT = Options(test_fraction=0.2, chunk_cells=20)


def content(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_files_become_sentences_and_sentences_become_prompts(file, tmp_path):
    genes = tmp_path / "muscle.txt"
    genes.write_text("G001\nG002\n")
    options = ("--top-n", 9, "--workers", 2, "--test-fraction", 0.2, "--gene-list", genes)
    made = run("sentences", file, tmp_path / "out", *options)
    assert made.exit_code == 0, made.output
    assert "60 cells (train" in made.output
    assert "muscle: 2 of 2 genes of the list are in the data" in made.output
    table = pl.read_parquet(tmp_path / "out" / "cells" / "*" / "*.parquet")
    assert table["cell_sentence"].str.split(" ").list.len().max() == 9
    assert "gene_sentence_muscle" in table.columns
    asked = run("prompts", tmp_path / "out", tmp_path / "p.jsonl", "--task", "age", "--side", "test")
    assert asked.exit_code == 0, asked.output
    assert all(json.loads(line)["side"] == "test" for line in (tmp_path / "p.jsonl").read_text().splitlines())
    twice = run("sentences", file, file, tmp_path / "out")
    assert "two inputs are called 'cells'" in twice.output


@pytest.mark.parametrize("seed", [0, 1])
def test_chunks_workers_and_storage_do_not_change_split_or_text(cells, file, tmp_path, seed):
    def sides(out, source, chunk_cells):
        options = Options(seed=seed, test_fraction=0.2, chunk_cells=chunk_cells)
        write.write(source, out, options=options, workers=chunk_cells % 3 + 1)
        table = read.read(out).select("barcode", "side", "donor_id", "cell_sentence", "age").collect()
        assert table.group_by("donor_id").agg(pl.col("side").n_unique())["side"].max() == 1
        return table.sort("barcode").rows()

    first = sides(tmp_path / "7", file, 7)
    dense = anndata.AnnData(cells.X.toarray(), cells.obs, cells.var)
    for source, chunk_cells in ((file, 10_000), ({"cells": cells}, 13), ({"cells": dense}, 11)):
        assert sides(tmp_path / str(chunk_cells), source, chunk_cells) == first


def test_threads_and_machines_of_a_cluster_write_the_same_bytes(file, tmp_path):
    for out, workers in (("one", 1), ("three", 3)):
        write.write(file, tmp_path / out, options=SPLIT, workers=workers)
    assert content(tmp_path / "three") == content(tmp_path / "one")
    distributed = pytest.importorskip("distributed")
    options = {"processes": False, "dashboard_address": ":0", "protocol": "tcp"}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, **options) as cluster:
        write.write(file, tmp_path / "there", options=SPLIT, cluster=cluster.scheduler_address)
    assert content(tmp_path / "there") == content(tmp_path / "one")


def test_a_folder_of_another_run_is_refused_before_anything_is_written(cells, file, tmp_path):
    out = tmp_path / "out"
    write.write(file, out, options=Options(test_fraction=0.2))
    before = content(out)
    with pytest.raises(SentenceError, match=r"holds sentences of another run \(different: options\)"):
        write.write(file, out, options=Options(test_fraction=0.2, rule=encode.Rule(top_n=5)))
    split = r"is split with .'seed': 0, 'test_fraction': 0.2., not with .'seed': 1,"
    with pytest.raises(SentenceError, match=split):
        write.write(file, out, options=Options(test_fraction=0.2, seed=1))
    cells.X[0, 0] = 99
    cells.write_h5ad(file)
    with pytest.raises(SentenceError, match=r"different: source"):
        write.write(file, out, options=Options(test_fraction=0.2))
    assert content(out) == before


def test_damage_and_files_of_another_run_in_the_way_are_named(file, tmp_path):
    [done] = write.write(file, tmp_path, options=WHOLE)
    (done.folder / "plan.json").unlink()
    with pytest.raises(SentenceError, match=r"chunk_0000.parquet holds sentences of another run"):
        write.write(file, tmp_path, options=Options(split="none", rule=encode.Rule(top_n=5)))
    (done.folder / "plan.json").write_text("[]")
    with pytest.raises(SentenceError, match=r"plan.json .*cannot be read as JSON.*Remove it"):
        write.write(file, tmp_path, options=WHOLE)
    (done.folder / "plan.json").unlink()
    path = done.folder / "chunk_0000.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SentenceError, match=r"chunk_0000.parquet .*cannot be read .*Remove it and run again"):
        write.write(file, tmp_path, options=WHOLE)


def test_replacing_removes_another_run_and_nothing_else(file, tmp_path):
    write.write(file, tmp_path, options=Options(test_fraction=0.2))
    for mine in (tmp_path / "notes.txt", tmp_path / "other" / "cells" / "mine.txt"):
        mine.parent.mkdir(parents=True, exist_ok=True)
        mine.write_text("mine")
    [done] = write.write(file, tmp_path, options=Options(split="none", seed=3), replace=True)
    left = {path.name for path in tmp_path.iterdir() if path.name[0] != "."}
    assert left == {"README.md", "cells", "cells.h5ad", "notes.txt", "other"}
    assert not (done.folder / "train").exists()
    write.write(file, tmp_path / "other", options=SPLIT, replace=True)
    assert mine.exists()


def test_missing_labels_are_nulls_and_columns_with_our_names_are_kept_under_another(cells, tmp_path):
    cells.obs["age"] = "old"
    cells.obs["half"] = pd.Categorical([None, "x"] * 30)
    cells.obs["text"] = ["nan", "y"] * 30
    cells.obs["number"] = [np.nan, 1.5] * 30
    cells.obs["whole"] = pd.array([None, 7] * 30, dtype="Int64")
    cells.obs["truth"] = [True, False] * 30
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    for name, source in (("file", path), ("memory", {"cells": cells})):
        [done] = write.write(source, tmp_path / name, options=WHOLE)
        table = pl.read_parquet(done.folder / "*.parquet")
        rows = table.select("half", "text", "number", "whole", "truth").head(2).rows()
        assert rows == [(None, None, None, None, True), ("x", "y", 1.5, 7, False)]
        assert (table["obs_age"].unique().to_list(), table["age"].null_count()) == (["old"], 0)
        assert done.manifest["renamed_columns"] == {"age": "obs_age"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (UUID.upper(), True),
        (UUID.replace("-", ""), True),
        (f"study_{UUID}_v2", True),
        (UUID[:-1], False),
        ("cellxgene_download", False),
    ],
)
def test_a_uuid_in_the_name_gives_the_id_and_the_users_table_the_publication(file, tmp_path, name, found):
    table = tmp_path / "collections.csv"
    rows = f"{UUID.upper()},c1,A title,10.1/x\nother,c2,B,10.1/y\n"
    table.write_text(f"dataset_id,collection_id,title,doi\n{rows}")
    [done] = write.write({name: file}, tmp_path / "out", collections=table, options=WHOLE)
    told = pl.read_parquet(done.folder / "*.parquet").row(0, named=True)
    wanted = {"dataset_id": UUID, "publication_doi": "10.1/x", "publication_title": "A title"}
    assert (wanted if found else dict.fromkeys(wanted)).items() <= told.items()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (f"dataset_id,title\n{UUID},A\n{UUID},B\n", "has different rows for data set"),
        ("id,title\n1,A\n", "needs a column 'dataset_id'"),
    ],
)
def test_a_table_of_collections_that_cannot_be_is_refused(file, tmp_path, rows, message):
    (tmp_path / "collections.csv").write_text(rows)
    with pytest.raises(SentenceError, match=message):
        write.write(file, tmp_path / "out", collections=tmp_path / "collections.csv")


@pytest.mark.parametrize("stated", ["obs", "uns"])
def test_the_organism_comes_from_obs_or_uns(cells, tmp_path, stated):
    if stated == "obs":
        cells.obs["organism_ontology_term_id"] = pd.Categorical(["NCBITaxon:10090"] * 60)
    else:
        cells.uns["organism_ontology_term_id"] = "NCBITaxon:10090"
    cells.obs["development_stage"] = pd.Categorical(["young adult stage"] * 60)
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    [done] = write.write(path, tmp_path / "out", options=WHOLE)
    row = pl.read_parquet(done.folder / "*.parquet").row(0, named=True)
    assert row["organism_ontology_term_id"] == "NCBITaxon:10090"
    assert row["age_upper"] == pytest.approx(10 / 12)  # a mouse's young adult stage
    assert row.get("organism") == ("Mus musculus" if stated == "uns" else None)


def test_cells_without_an_age_are_kept_unless_asked(cells, tmp_path):
    cells.obs["development_stage"] = pd.Categorical(["unknown"] * 30 + ["50-year-old stage"] * 30)
    [kept] = write.write({"cells": cells}, tmp_path / "a", options=Options(test_fraction=0.2))
    drop = Options(test_fraction=0.2, missing_age="drop")
    [dropped] = write.write({"cells": cells}, tmp_path / "b", options=drop)
    assert (kept.manifest["cells"], dropped.manifest["cells"]) == (60, 30)
    assert kept.manifest["ages"] == {"unknown": 30, "exact": 30}
    assert dropped.manifest["cells_left_out_without_age"] == 30


def test_the_columns_of_the_atlas_give_exact_ages_and_donors(cells, tmp_path):
    columns = {names.DONOR: ["470BR"] * 30 + ["582C"] * 30, names.AGE_GROUP: ["15-20"] * 30 + ["55-60"] * 30}
    cells.obs = pd.DataFrame(columns, index=cells.obs_names)
    [done] = write.write({"atlas": cells}, tmp_path, options=Options())
    table = pl.read_parquet(done.folder / "*" / "*.parquet")
    assert dict(table.select(names.DONOR, "age").unique().iter_rows()) == {"470BR": 19.0, "582C": 58.0}


def test_a_data_set_added_later_leaves_the_others_as_they_are(cells, tmp_path):
    options = Options(test_fraction=0.3)
    write.write({"a": cells[:40].copy()}, tmp_path, options=options)
    before = content(tmp_path / "a")
    write.write({"a": cells[:40].copy(), "b": cells[20:].copy()}, tmp_path, options=options)
    assert content(tmp_path / "a") == before
    sides = read.read(tmp_path).select("donor_id", "side").unique().collect()
    assert not sides["donor_id"].is_duplicated().any()


def test_scaled_values_are_told(tmp_path):
    values = np.array([[1.5, -0.5, 2.0], [0.3, np.nan, -1.0]], np.float32)
    anndata.AnnData(values, var=pd.DataFrame(index=["MYH7", "TTN", "XIST"])).write_h5ad(
        tmp_path / "scaled.h5ad"
    )
    done = run("sentences", tmp_path / "scaled.h5ad", tmp_path / "out", "--split", "none")
    assert done.exit_code == 0
    said = " ".join(done.output.split())
    assert "values that are negative, which give no words: 2. Scaled" in said
    assert "values that are not finite, which give no words: 1" in said


def test_a_split_by_cell_happens_on_request_only_and_says_that_it_leaks(file, tmp_path):
    sides = []
    for size in (7, 100):
        options = Options(split="cells", test_fraction=0.3, chunk_cells=size)
        [done] = write.write(file, tmp_path / str(size), options=options)
        sides.append(read.read(done.folder).select("barcode", "side").collect().sort("barcode"))
    assert done.manifest["donors_on_both_sides"] > 0
    assert "cells of one donor are in train and in test" in done.manifest["split"]["warning"]
    assert sides[0].equals(sides[1])


def test_data_without_donors_are_refused_unless_the_split_is_given_up(cells, tmp_path):
    del cells.obs["donor_id"]
    with pytest.raises(SentenceError, match=r"names no donors .* Name the column, or ask for no split"):
        write.write({"cells": cells}, tmp_path / "out")
    write.write({"cells": cells}, tmp_path / "out", options=WHOLE)


@pytest.mark.parametrize("primary", [None, False, "False"])
def test_copies_that_say_so_are_left_out_and_others_are_counted_on_both_sides(
    cells, tmp_path, monkeypatch, primary
):
    monkeypatch.setattr(shards, "FEWEST_COMPARED", 5)
    copy = cells.copy()
    copy.obs["donor_id"] = pd.Categorical([f"other {name}" for name in cells.obs["donor_id"]])
    if primary is not None:
        copy.obs["is_primary_data"] = primary
    copied, left = {}, {}
    for what in ("keep", "drop"):
        options = Options(test_fraction=0.3, copies=what)
        written = write.write({"study": cells, "atlas": copy}, tmp_path / what, options=options)
        copied[what] = sum(one.manifest["test_sentences_in_train"] for one in written)
        left[what] = [one.manifest["cells_left_out_as_copies"] for one in written]
    assert left == {"keep": [0, 0], "drop": [0, 0 if primary is None else 60]}
    assert copied["keep"] > 0
    assert (copied["drop"] == 0) == (primary is not None)


@pytest.mark.parametrize("split", ["donors", "cells", "none"])
def test_a_readme_lists_the_files_of_each_side_and_datasets_loads_them(cells, tmp_path, split):
    inputs = {"a": cells[:40].copy(), "b": cells[20:].copy()}
    write.write(inputs, tmp_path, options=Options(split=split, test_fraction=0.3, chunk_cells=15))
    for folder, wanted in ((tmp_path, 80), (tmp_path / "a", 40), (tmp_path / "b", 40)):
        config = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])["configs"][0]
        paths = [folder / path for one in config["data_files"] for path in one["path"]]
        assert sum(pq.read_metadata(path).num_rows for path in paths) == wanted
        sides = {"train"} if split == "none" else {"train", "test"}
        assert {one["split"] for one in config["data_files"]} == sides
        if find_spec("datasets"):
            from datasets import load_dataset

            loaded = load_dataset(str(folder), config["config_name"], cache_dir=tmp_path / "hub")
            assert sum(one.num_rows for one in loaded.values()) == wanted


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [("indices", 3, 40), ("indices", 3, -1), ("indptr", 5, 0), ("indptr", -1, 10**6), ("indptr", 0, 2)],
)
def test_damaged_starts_and_columns_are_refused_before_any_kernel(file, tmp_path, name, place, value):
    with h5py.File(file, "a") as store:
        store[f"X/{name}"][place] = value
    with pytest.raises(SentenceError, match=file.name):
        write.write(file, tmp_path / "out", options=WHOLE)


@pytest.mark.parametrize("text", ["", "\n", "NOPE1, NOPE2", "# only words"])
def test_a_list_without_a_gene_of_the_data_is_refused(cells, tmp_path, text):
    def ask():
        rule = encode.Rule(gene_lists=symbols.read_lists([tmp_path / "mine.txt"]))
        write.write({"c": cells}, tmp_path / "out", options=Options(split="none", rule=rule))

    (tmp_path / "mine.txt").write_text(text)
    with pytest.raises(SentenceError, match="mine"):
        ask()


def test_the_layout_is_that_of_the_public_card(cells, file, tmp_path):
    [done] = write.write(file, tmp_path / "out", options=SPLIT)
    chunks = [f"cells/train/chunk_{i:04d}.parquet" for i in range(3)] + ["cells/test/chunk_0000.parquet"]
    about = ["cells/manifest.json", "cells/plan.json", "cells/README.md", "README.md", "split.json"]
    assert set(content(tmp_path / "out")) == {*chunks, *about}
    table = pl.read_parquet(tmp_path / "out" / "cells" / "*" / "*.parquet")
    assert table.schema["age"] == pl.Float64
    assert table.columns[0] == "cell_sentence"
    assert {"dataset_id", "donor_id", "development_stage", "cell_type", "barcode"} <= set(table.columns)
    expected = dict(zip(cells.obs_names, encode.encode(cells).sentences, strict=True))
    assert dict(table.select("barcode", "cell_sentence").iter_rows()) == expected
    years = cells.obs["development_stage"].str.split("-").str[0].astype(float)
    assert dict(table.select("barcode", "age").iter_rows()) == dict(years.items())
    assert done.manifest["cells"] == 60
    assert done.manifest["donors_on_both_sides"] == 0
    first = done.manifest["files"][0]
    assert first["sha256"] == files.digest(done.folder / first["file"])


def test_a_disk_that_fills_leaves_finished_files_which_are_not_written_again(file, tmp_path, monkeypatch):
    write.write(file, tmp_path / "whole", options=SPLIT)
    out = tmp_path / "out"
    original, calls = shards._make_group, []

    def full(job, rows):
        calls.append(1)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(job, rows)

    with monkeypatch.context() as patch:
        patch.setattr(shards, "_make_group", full)
        with pytest.raises(StorageError, match=r"chunk_0001.parquet' cannot be written: No space left"):
            write.write(file, out, options=SPLIT)
    [finished] = out.rglob("*.parquet")
    written = finished.stat().st_mtime_ns
    assert finished.name == "chunk_0000.parquet"
    assert not list(out.rglob("*.part"))
    write.write(file, out, options=SPLIT)
    assert content(out) == content(tmp_path / "whole")
    assert finished.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("name", "held", "message"),
    [
        ("cut.h5ad", None, "cut.h5ad .*cannot be read as an .h5ad file.*cut short or not HDF5"),
        ("text.h5ad", b"no HDF5", "text.h5ad .*cannot be read as an .h5ad file"),
        ("absent.h5ad", b"", "absent.h5ad does not exist"),
        ("packed.h5ad.gz", b"\x1f\x8b", "packed.h5ad.gz .*compressed as a whole.*gunzip packed.h5ad.gz"),
    ],
)
def test_unreadable_inputs_say_which_and_what_to_do(file, tmp_path, name, held, message):
    held = file.read_bytes()[:4000] if held is None else held
    if held:
        (tmp_path / name).write_bytes(held)
    with pytest.raises(SentenceError, match=message):
        write.write(tmp_path / name, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_inputs_that_cannot_be_are_refused(cells, tmp_path):
    for inputs, message in (
        ([cells, cells], "two inputs are called 'cells'"),
        ({"a/b": cells}, "'a/b' cannot name a folder"),
        ([], "no input"),
    ):
        with pytest.raises(SentenceError, match=message):
            write.write(inputs, tmp_path)
    with pytest.raises(SentenceError, match=r"a cluster reads files, and cells is in memory"):
        write.write({"cells": cells}, tmp_path, cluster="tcp://127.0.0.1:1")
    with pytest.raises(SentenceError, match=r"from an AnnData or the path of an .h5ad file, not from a list"):
        encode.encode([1, 2])


WRONG = {
    Options: {"split": "donor", "chunk_cells": 0, "test_fraction": 1.0, "missing_age": "x", "copies": "x"},
    encode.Rule: {"top_n": -1, "ties": "random", "duplicates": "mean", "case": "lower"},
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, wrong in WRONG.items() for name in wrong])
def test_options_that_cannot_be_are_refused_in_words(kind, name):
    value = WRONG[kind][name]
    with pytest.raises(SentenceError, match=f"{name} is {value!r}; (choose one of '|give |a file holds)"):
        kind(**{name: value})


@pytest.mark.parametrize("word", ["pooled", "Unknown", " NA ", "doublet"])
def test_nobody_is_tested_as_a_person(cells, tmp_path, word):
    cells.obs["donor_id"] = pd.Categorical([word] * 30 + [f"d{i // 5}" for i in range(30)])
    [done] = write.write({"cells": cells}, tmp_path, options=Options(test_fraction=0.4))
    split = done.manifest["split"]
    assert word not in split["test_donors"] + split["train_donors"]
    assert split["cells_of_unknown_donors"] == 30
    table = read.read(tmp_path).filter(pl.col("donor_id") == word).select("side").collect()
    assert table["side"].unique().to_list() == ["train"]


def test_hidden_files_of_others_stay_where_sentences_are_written(file, tmp_path):
    others = (".work/notes", ".log.parquet.0123456789ab.part", "cells/.movie.part", "cells/train/.mine.part")
    for name in others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    write.write(file, tmp_path, options=Options(test_fraction=0.2))
    assert [(tmp_path / name).read_text() for name in others] == ["mine"] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
def test_a_writer_killed_at_ten_random_moments_and_resumed_gives_the_same_bytes(tmp_path):
    values = sparse.random(2_000, 300, 0.2, format="csr", dtype=np.float32, random_state=1)
    values.data = np.random.default_rng(0).poisson(2, len(values.data)).astype(np.float32)
    labels = {
        "donor_id": [f"d{i % 20}" for i in range(2_000)],
        "development_stage": [f"{20 + i % 20}-year-old stage" for i in range(2_000)],
    }
    obs = pd.DataFrame(labels, index=[f"c{i}" for i in range(2_000)], dtype="category")
    source = tmp_path / "cells.h5ad"
    anndata.AnnData(values, obs, pd.DataFrame(index=[f"G{i}" for i in range(300)])).write_h5ad(source)
    # one process imports everything and touches nothing, and forks a writer for each attempt
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["helpers.sentences.write"])

    options = Options(chunk_cells=150, test_fraction=0.2)

    def start(out):
        child = forks.Process(target=write.write, args=(source, out), kwargs={"options": options})
        child.start()
        return child

    start(whole := tmp_path / "whole").join()
    expected = content(whole)
    assert len(expected) > 15
    moments = random.Random(1)
    killed, unfinished = 0, 0
    for attempt in range(10):
        out = tmp_path / f"out{attempt}"
        child = start(out)
        # a random number of finished files, then a random instant: spread over the whole run
        wanted, until = moments.randrange(0, 14), time.monotonic() + 20
        while len(list(out.rglob("chunk_*.parquet"))) < wanted and time.monotonic() < until:
            time.sleep(0.0005)
        time.sleep(moments.random() * 0.01)
        child.kill()
        child.join()
        killed += child.exitcode == -signal.SIGKILL
        half = content(out)
        unfinished += set(half) != set(expected)
        assert all(expected[name] == half[name] for name in half)  # what is visible is whole
        write.write(source, out, options=options)
        assert content(out) == expected
        assert not list(out.rglob("*.part"))
    assert killed >= 8
    assert unfinished >= 8
