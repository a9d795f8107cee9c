import errno
import json
import multiprocessing
import os
import random
import signal
import time
from dataclasses import replace
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
from typer.testing import CliRunner

from helpers import files, names
from helpers.cli.main import app
from helpers.errors import SentenceError, StorageError
from helpers.sentences import encode, read, shards, write
from helpers.sentences.write import Options

UUID = "10cc50a0-af80-4fa1-b668-893dd5c0113a"
WHOLE = Options(split="none")
SPLIT = Options(test_fraction=0.2, chunk_cells=20)


def content(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(message, source, out, **more):
    with pytest.raises(SentenceError, match=message):
        write.write(source, out, **more)


def rows(done):
    return pl.read_parquet(done.folder / "*.parquet")


def test_files_become_sentences_and_sentences_become_prompts(file, tmp_path):
    (tmp_path / "muscle.txt").write_text("G001\nG002\n")
    options = ("--top-n", 9, "--workers", 2, "--test-fraction", 0.2, "--gene-list", tmp_path / "muscle.txt")
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
    assert "two inputs are called 'cells'" in run("sentences", file, file, tmp_path / "out").output


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


def test_another_run_and_damage_are_named_before_anything_is_written(cells, file, tmp_path):
    [done] = write.write(file, tmp_path / "out", options=SPLIT)
    before = content(tmp_path / "out")
    plan, chunk = done.folder / "plan.json", done.folder / "train" / "chunk_0000.parquet"
    shorter = {"rule": encode.Rule(top_n=5)}

    def again(message, **changed):
        refused(message, file, tmp_path / "out", options=replace(SPLIT, **changed))

    again(r"holds sentences of another run \(different: options\)", **shorter)
    again(r"is split with .'seed': 0, 'test_fraction': 0.2., not with .'seed': 1,", seed=1)
    cells.X[0, 0] = 99
    cells.write_h5ad(file)
    again(r"different: source")
    assert content(tmp_path / "out") == before
    plan.write_text("[]")
    again(r"plan.json .*cannot be read as JSON.*Remove it")
    plan.unlink()
    again(r"chunk_0000.parquet holds sentences of another run", **shorter)
    plan.unlink()
    chunk.write_bytes(chunk.read_bytes()[:100])
    again(r"chunk_0000.parquet .*cannot be read .*Remove it and run again")


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


def test_missing_labels_are_nulls_and_columns_with_our_names_are_kept_under_another(cells, file, tmp_path):
    half, whole = pd.Categorical([None, "x"] * 30), pd.array([None, 7] * 30, dtype="Int64")
    number, truth = [np.nan, 1.5] * 30, [True, False] * 30
    cells.obs = cells.obs.assign(
        half=half, text=["nan", "y"] * 30, number=number, whole=whole, truth=truth, age="old"
    )
    cells.write_h5ad(file)
    for name, source in (("file", file), ("memory", {"cells": cells})):
        [done] = write.write(source, tmp_path / name, options=WHOLE)
        table = rows(done)
        found = table.select("half", "text", "number", "whole", "truth").head(2).rows()
        assert found == [(None, None, None, None, True), ("x", "y", 1.5, 7, False)]
        assert (table["obs_age"].unique().to_list(), table["age"].null_count()) == (["old"], 0)
        assert done.manifest["renamed_columns"] == {"age": "obs_age"}


@pytest.mark.parametrize(
    ("name", "found"), [(UUID.replace("-", ""), True), (f"study_{UUID.upper()}_v2", True), (UUID[:-1], False)]
)
def test_a_uuid_in_the_name_gives_the_id_and_the_users_table_the_publication(file, tmp_path, name, found):
    table = tmp_path / "collections.csv"
    table.write_text(f"dataset_id,title,doi\n{UUID.upper()},A title,10.1/x\nother,B,10.1/y\n")
    [done] = write.write({name: file}, tmp_path / "out", collections=table, options=WHOLE)
    wanted = {"dataset_id": UUID, "publication_doi": "10.1/x", "publication_title": "A title"}
    assert (wanted if found else dict.fromkeys(wanted)).items() <= rows(done).row(0, named=True).items()


def test_a_table_of_collections_that_cannot_be_is_refused(file, tmp_path):
    table = tmp_path / "collections.csv"
    for held, message in (
        (f"dataset_id,title\n{UUID},A\n{UUID},B\n", "has different rows for data set"),
        ("id,title\n1,A\n", "needs a column 'dataset_id'"),
    ):
        table.write_text(held)
        refused(message, file, tmp_path / "out", collections=table)


@pytest.mark.parametrize("stated", ["obs", "uns"])
def test_the_organism_comes_from_obs_or_uns(cells, file, tmp_path, stated):
    getattr(cells, stated)["organism_ontology_term_id"] = "NCBITaxon:10090"
    cells.obs["development_stage"] = "young adult stage"
    cells.write_h5ad(file)
    [done] = write.write(file, tmp_path / "out", options=WHOLE)
    row = rows(done).row(0, named=True)
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
    scaled = anndata.AnnData(values, var=pd.DataFrame(index=["MYH7", "TTN", "XIST"]))
    scaled.write_h5ad(tmp_path / "scaled.h5ad")
    done = run("sentences", tmp_path / "scaled.h5ad", tmp_path / "out", "--split", "none")
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
    refused(r"names no donors .* Name the column, or ask for no split", {"cells": cells}, tmp_path / "out")
    write.write({"cells": cells}, tmp_path / "out", options=WHOLE)


@pytest.mark.parametrize("primary", [None, False, "False"])
def test_copies_that_say_so_are_left_out_and_others_are_counted_on_both_sides(
    cells, tmp_path, monkeypatch, primary
):
    monkeypatch.setattr(shards, "FEWEST_COMPARED", 5)
    copy = cells.copy()
    copy.obs["donor_id"] = [f"other {name}" for name in cells.obs["donor_id"]]
    if primary is not None:
        copy.obs["is_primary_data"] = primary

    def copied(what):
        options = Options(test_fraction=0.3, copies=what)
        done = write.write({"study": cells, "atlas": copy}, tmp_path / what, options=options)
        left = [one.manifest["cells_left_out_as_copies"] for one in done]
        return sum(one.manifest["test_sentences_in_train"] for one in done), left

    kept = copied("keep")
    assert kept[0] > 0
    assert kept[1] == [0, 0]
    assert copied("drop") == (kept if primary is None else (0, [0, 60]))


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
    refused(file.name, file, tmp_path / "out", options=WHOLE)


@pytest.mark.parametrize("text", ["", "NOPE1, NOPE2", "# only words"])
def test_a_list_without_a_gene_of_the_data_is_refused(file, tmp_path, text):
    (tmp_path / "mine.txt").write_text(text)
    made = run("sentences", file, tmp_path / "out", "--gene-list", tmp_path / "mine.txt")
    assert made.exit_code == 2
    assert "Give symbols or Ensembl identifiers" in made.output


def test_the_layout_is_that_of_the_public_card(cells, file, tmp_path):
    [done] = write.write(file, tmp_path / "out", options=SPLIT)
    chunks = [f"cells/train/chunk_{i:04d}.parquet" for i in range(3)] + ["cells/test/chunk_0000.parquet"]
    about = ["cells/manifest.json", "cells/plan.json", "cells/README.md", "README.md", "split.json"]
    assert set(content(tmp_path / "out")) == {*chunks, *about}
    table = pl.read_parquet(tmp_path / "out" / "cells" / "*" / "*.parquet")
    assert (table.columns[0], table.schema["age"]) == ("cell_sentence", pl.Float64)
    assert {"dataset_id", "donor_id", "development_stage", "cell_type", "barcode"} <= set(table.columns)
    years = cells.obs["development_stage"].str.split("-").str[0].astype(float)
    expected = zip(cells.obs_names, encode.encode(cells).sentences, years, strict=True)
    assert set(table.select("barcode", "cell_sentence", "age").iter_rows()) == set(expected)
    assert (done.manifest["cells"], done.manifest["donors_on_both_sides"]) == (60, 0)
    first = done.manifest["files"][0]
    assert first["sha256"] == files.digest(done.folder / first["file"])


def test_a_disk_that_fills_leaves_finished_files_which_are_not_written_again(file, tmp_path, monkeypatch):
    write.write(file, tmp_path / "whole", options=SPLIT)
    out, make = tmp_path / "out", shards._make_group

    def full(job, rows):
        if list(out.rglob("*.parquet")):
            raise OSError(errno.ENOSPC, "No space left on device")
        return make(job, rows)

    with monkeypatch.context() as patch:
        patch.setattr(shards, "_make_group", full)
        with pytest.raises(StorageError, match=r"chunk_0001.parquet' cannot be written: No space left"):
            write.write(file, out, options=SPLIT)
    [finished] = out.rglob("*.parquet")
    written = finished.stat().st_mtime_ns
    assert not list(out.rglob("*.part"))
    write.write(file, out, options=SPLIT)
    assert content(out) == content(tmp_path / "whole")
    assert finished.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("name", "held", "message"),
    [
        ("cut.h5ad", None, "cut.h5ad .*cannot be read as an .h5ad file.*cut short or not HDF5"),
        ("absent.h5ad", b"", "absent.h5ad does not exist"),
        ("packed.h5ad.gz", b"\x1f\x8b", "packed.h5ad.gz .*compressed as a whole.*gunzip packed.h5ad.gz"),
    ],
)
def test_unreadable_inputs_say_which_and_what_to_do(file, tmp_path, name, held, message):
    held = file.read_bytes()[:4000] if held is None else held
    if held:
        (tmp_path / name).write_bytes(held)
    refused(message, tmp_path / name, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_inputs_that_cannot_be_are_refused(cells, tmp_path):
    refused("'a/b' cannot name a folder", {"a/b": cells}, tmp_path)
    refused("no input", [], tmp_path)
    refused(
        "a cluster reads files, and cells is in memory", {"cells": cells}, tmp_path, cluster="tcp://here:1"
    )
    with pytest.raises(SentenceError, match=r"from an AnnData or the path of an .h5ad file, not from a list"):
        encode.encode([1, 2])


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        *((Options, "split", "donor"), (Options, "chunk_cells", 0), (Options, "test_fraction", 1.0)),
        *((Options, "missing_age", "x"), (Options, "copies", "x"), (encode.Rule, "top_n", -1)),
        *(
            (encode.Rule, "ties", "random"),
            (encode.Rule, "duplicates", "mean"),
            (encode.Rule, "case", "lower"),
        ),
    ],
)
def test_options_that_cannot_be_are_refused_in_words(kind, name, value):
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
def test_a_writer_killed_at_ten_random_moments_and_resumed_gives_the_same_bytes(cells, tmp_path):
    source = tmp_path / "cells.h5ad"
    anndata.concat([cells] * 34, index_unique="-").write_h5ad(source)
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
