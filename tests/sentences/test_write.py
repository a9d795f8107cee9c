import errno
import json
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest

from helpers import files, names
from helpers.errors import SentenceError, StorageError
from helpers.sentences import encode, read, shards, write
from helpers.sentences.write import Options

TWENTY = Options(chunk_cells=20, test_fraction=0.2)


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def test_a_data_set_is_a_folder_of_chunks_with_a_plan_and_a_manifest(cells, file, tmp_path):
    [done] = write.write(file, tmp_path / "out", options=TWENTY)
    chunks = [*(f"cells/train/chunk_{i:04d}.parquet" for i in range(3)), "cells/test/chunk_0000.parquet"]
    assert set(content(tmp_path / "out")) == {*chunks, "cells/manifest.json", "cells/plan.json", "split.json"}
    table = pl.read_parquet(tmp_path / "out" / "cells" / "*" / "*.parquet")
    assert {"dataset_id", "donor_id", "development_stage", "cell_type", "barcode"} <= set(table.columns)
    expected = dict(zip(cells.obs_names, encode.encode(cells).sentences, strict=True))
    assert dict(table.select("barcode", "cell_sentence").iter_rows()) == expected
    years = cells.obs["development_stage"].str.split("-").str[0].astype(float)
    assert dict(table.select("barcode", "age").iter_rows()) == years.to_dict()
    listed = done.manifest["files"][0]
    assert listed["sha256"] == files.digest(done.folder / listed["file"])
    assert done.manifest["ties"]["cells"] == done.manifest["cells"] == 60
    assert str(tmp_path) not in (done.folder / "manifest.json").read_text()


def test_chunks_workers_and_storage_do_not_change_split_or_text(cells, file, tmp_path):
    def sides(name, source, size):
        options = Options(test_fraction=0.2, chunk_cells=size)
        write.write(source, tmp_path / name, options=options, workers=size % 3 + 1)
        table = (
            read.read(tmp_path / name).select("barcode", "side", "donor_id", "cell_sentence", "age").collect()
        )
        assert table.group_by("donor_id").agg(pl.col("side").n_unique())["side"].max() == 1
        return table.sort("barcode").rows()

    stored = {"dense": cells.X.toarray(), "columns": cells.X.tocsc()}
    for name, values in stored.items():
        (tmp_path / name).mkdir()
        anndata.AnnData(values, cells.obs, cells.var).write_h5ad(tmp_path / name / "cells.h5ad")
    first = sides("a", file, 7)
    assert sides("b", file, 10_000) == first
    assert sides("c", tmp_path / "dense" / "cells.h5ad", 11) == first
    assert sides("d", tmp_path / "columns" / "cells.h5ad", 9) == first
    assert sides("e", {"cells": cells}, 13) == first
    write.write(file, tmp_path / "f", options=Options(test_fraction=0.2, chunk_cells=7), workers=3)
    assert content(tmp_path / "f") == content(tmp_path / "a")


def test_a_finished_chunk_is_not_written_again(file, tmp_path, monkeypatch):
    write.write(file, tmp_path, options=TWENTY)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("chunk_*.parquet")}
    (tmp_path / "cells" / "train" / "chunk_0001.parquet").unlink()
    made = []
    original = shards._make_group
    monkeypatch.setattr(
        shards, "_make_group", lambda job, rows: made.append(len(rows)) or original(job, rows)
    )
    write.write(file, tmp_path, options=TWENTY)
    assert made == [20]
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("chunk_*.parquet")}
    assert {path.name for path in before if before[path] != after[path]} == {"chunk_0001.parquet"}


def test_a_folder_of_another_run_is_refused_before_anything_is_written(cells, file, tmp_path):
    out = tmp_path / "out"
    write.write(file, out, options=Options(test_fraction=0.2))
    before = content(out)
    with pytest.raises(SentenceError, match=r"holds sentences of another run \(different: options\)"):
        write.write(file, out, options=Options(test_fraction=0.2, rule=encode.Rule(top_n=5)))
    with pytest.raises(SentenceError, match=r"is split with seed 0 and test_fraction 0.2, not 1 and 0.2"):
        write.write(file, out, options=Options(test_fraction=0.2, seed=1))
    cells.X[0, 0] = 99
    cells.write_h5ad(file)
    with pytest.raises(SentenceError, match=r"different: source"):
        write.write(file, out, options=Options(test_fraction=0.2))
    assert content(out) == before


def test_a_file_of_another_run_in_the_way_is_refused_even_without_its_plan(file, tmp_path):
    options = Options(split="none")
    [done] = write.write(file, tmp_path, options=options)
    (done.folder / "plan.json").unlink()
    with pytest.raises(SentenceError, match=r"chunk_0000.parquet holds sentences of another run"):
        write.write(file, tmp_path, options=Options(split="none", rule=encode.Rule(top_n=5)))


def test_replacing_removes_another_run_and_nothing_else(file, tmp_path):
    write.write(file, tmp_path, options=Options(test_fraction=0.2))
    (tmp_path / "notes.txt").write_text("mine")
    [done] = write.write(file, tmp_path, options=Options(split="none", seed=3), replace=True)
    left = {path.name for path in tmp_path.iterdir() if path.name[0] != "."}
    assert left == {"cells", "cells.h5ad", "notes.txt"}
    assert not list((done.folder / "train").iterdir())
    (tmp_path / "other" / "cells").mkdir(parents=True)
    (tmp_path / "other" / "cells" / "mine.txt").write_text("mine")
    write.write(file, tmp_path / "other", replace=True)
    assert (tmp_path / "other" / "cells" / "mine.txt").exists()


def test_a_disk_that_fills_leaves_finished_files_and_a_clear_error(file, tmp_path, monkeypatch):
    options = Options(chunk_cells=20, test_fraction=0.2)
    write.write(file, tmp_path / "whole", options=options)
    out = tmp_path / "out"
    original, calls = shards._make_group, []

    def full(job, rows):
        calls.append(1)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(job, rows)

    monkeypatch.setattr(shards, "_make_group", full)
    with pytest.raises(StorageError, match=r"chunk_0001.parquet' cannot be written: No space left on device"):
        write.write(file, out, options=options)
    assert [path.name for path in out.rglob("*.parquet")] == ["chunk_0000.parquet"]
    assert not list(out.rglob("*.part"))
    monkeypatch.setattr(shards, "_make_group", original)
    write.write(file, out, options=options)
    assert content(out) == content(tmp_path / "whole")


def test_damage_in_the_way_is_named(file, tmp_path):
    options = Options(split="none", chunk_cells=20)
    write.write(file, tmp_path, options=options)
    path = tmp_path / "cells" / "chunk_0001.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SentenceError, match=r"chunk_0001.parquet is damaged .* Remove it and run again"):
        write.write(file, tmp_path, options=options)


@pytest.mark.parametrize("stated", ["obs", "uns"])
def test_the_organism_comes_from_obs_or_uns(cells, tmp_path, stated):
    if stated == "obs":
        cells.obs["organism_ontology_term_id"] = pd.Categorical(["NCBITaxon:10090"] * 60)
    else:
        cells.uns["organism_ontology_term_id"] = "NCBITaxon:10090"
    cells.obs["development_stage"] = pd.Categorical(["young adult stage"] * 60)
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    [done] = write.write(path, tmp_path / "out", options=Options(split="none"))
    row = pl.read_parquet(done.folder / "*.parquet").row(0, named=True)
    assert row["organism_ontology_term_id"] == "NCBITaxon:10090"
    assert row["age_upper"] == pytest.approx(10 / 12)  # a mouse's young adult stage
    if stated == "uns":
        assert row["organism"] == "Mus musculus"


def test_cells_without_an_age_are_kept_unless_asked(cells, tmp_path):
    cells.obs["development_stage"] = pd.Categorical(["unknown"] * 30 + ["50-year-old stage"] * 30)
    [kept] = write.write({"cells": cells}, tmp_path / "a", options=Options(test_fraction=0.2))
    drop = Options(test_fraction=0.2, missing_age="drop")
    [dropped] = write.write({"cells": cells}, tmp_path / "b", options=drop)
    assert (kept.manifest["cells"], dropped.manifest["cells"]) == (60, 30)
    assert kept.manifest["ages"] == {"unknown": 30, "exact": 30}
    assert dropped.manifest["cells_left_out_without_age"] == 30


def test_the_columns_of_the_atlas_give_exact_ages_and_donors(cells, tmp_path):
    cells.obs = pd.DataFrame(
        {names.DONOR: ["470BR"] * 30 + ["582C"] * 30, names.AGE_GROUP: ["15-20"] * 30 + ["55-60"] * 30},
        index=cells.obs_names,
    )
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


def test_data_without_donors_are_refused_unless_the_split_is_given_up(cells, tmp_path):
    del cells.obs["donor_id"]
    with pytest.raises(SentenceError, match=r"names no donors .* Name the column, or ask for no split"):
        write.write({"cells": cells}, tmp_path / "out")
    write.write({"cells": cells}, tmp_path / "out", options=Options(split="none"))


def test_inputs_without_a_name_of_their_own_are_refused(cells, tmp_path):
    with pytest.raises(SentenceError, match=r"two inputs are called 'cells'"):
        write.write([cells, cells], tmp_path)
    with pytest.raises(SentenceError, match=r"'a/b' cannot name a folder"):
        write.write({"a/b": cells}, tmp_path)
    with pytest.raises(SentenceError, match=r"no input"):
        write.write([], tmp_path)
    with pytest.raises(SentenceError, match=r"a cluster reads files, and cells is in memory"):
        write.write({"cells": cells}, tmp_path, cluster="tcp://127.0.0.1:1")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"split": "donor"}, "split is 'donor'; choose one of 'donors', 'none'"),
        ({"chunk_cells": 0}, "chunk_cells is 0"),
        ({"test_fraction": 1.0}, "test_fraction is 1.0"),
        ({"missing_age": "x"}, "missing_age is 'x'"),
    ],
)
def test_options_check_themselves(wrong, message):
    with pytest.raises(SentenceError, match=message):
        Options(**wrong)


def test_copies_that_say_so_are_left_out_and_others_are_counted_on_both_sides(
    cells, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(write, "FEWEST_COMPARED", 5)
    copy = cells.copy()
    copy.obs["donor_id"] = pd.Categorical([f"other {name}" for name in cells.obs["donor_id"]])
    for name, primary in (("silent", None), ("said", False), ("text", "False")):
        if primary is not None:
            copy.obs["is_primary_data"] = primary
        inputs = {"study": cells, "atlas": copy}
        kept = write.write(inputs, tmp_path / name, options=Options(test_fraction=0.3, copies="keep"))
        assert sum(one.manifest["test_sentences_in_train"] for one in kept) > 0
        assert "stand word for word in train" in caplog.text
        dropped = write.write(inputs, tmp_path / f"{name} drop", options=Options(test_fraction=0.3))
        assert [one.manifest["cells_left_out_as_copies"] for one in dropped] == [
            0,
            0 if primary is None else 60,
        ]
        assert (sum(one.manifest["test_sentences_in_train"] for one in dropped) == 0) == (primary is not None)
        written = json.loads((dropped[0].folder / "manifest.json").read_text())
        assert written["test_sentences_in_train"] == dropped[0].manifest["test_sentences_in_train"]


def test_hidden_files_of_others_stay_where_sentences_are_written(file, tmp_path):
    kept = [
        ".work/notes",
        ".log.parquet.0123456789ab.part",
        "cells/.movie.part",
        "cells/train/.mine.json.part",
    ]
    for name in kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    write.write(file, tmp_path, options=Options(test_fraction=0.2))
    assert [(tmp_path / name).read_text() for name in kept] == ["mine"] * 4


def test_damaged_starts_and_columns_are_refused_before_any_kernel(file, tmp_path):
    data = file.read_bytes()
    for name, place, value in (
        ("indices", 3, 40), ("indices", 3, -1), ("indptr", 5, 0), ("indptr", -1, 10**6), ("indptr", 0, 2)
    ):  # fmt: skip
        path = tmp_path / f"{name} {place} {value}.h5ad"
        path.write_bytes(data)
        with h5py.File(path, "a") as store:
            store[f"X/{name}"][place] = value
        with pytest.raises(SentenceError, match=path.name):
            write.write(path, tmp_path / "out", options=Options(split="none"))


def test_symbols_that_come_twice_are_added_as_molecules(cells, tmp_path):
    counts = np.array([[3, 2, 4, 6], [1, 1, 0, 3]], float)
    logs = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)
    adata = anndata.AnnData(
        logs, var=pd.DataFrame({"feature_name": ["A", "A", "B", "C"]}, index=list("wxyz"))
    )
    adata.uns["log1p"] = {"base": None}
    assert encode.encode(adata).sentences == ["C A B", "C A"]


@pytest.mark.parametrize("text", ["", "\n", "NOPE1, NOPE2", "# only words"])
def test_a_list_without_a_gene_of_the_data_is_refused(cells, tmp_path, text):
    from helpers.sentences import symbols

    (tmp_path / "mine.txt").write_text(text)

    def ask():
        lists = {"mine": symbols.read_list(tmp_path / "mine.txt")}
        options = Options(split="none", rule=encode.Rule(gene_lists=lists))
        write.write({"c": cells}, tmp_path / "out", options=options)

    with pytest.raises(SentenceError, match="mine"):
        ask()


def test_unreadable_inputs_say_which_and_what_to_do(file, tmp_path):
    whole = file.read_bytes()
    for name, data, words in (
        ("cut.h5ad", whole[:4000], r"cut.h5ad cannot be read as an .h5ad file.*cut short or not HDF5"),
        ("text.h5ad", b"no HDF5", r"text.h5ad cannot be read as an .h5ad file"),
        ("absent.h5ad", None, r"absent.h5ad does not exist"),
        ("packed.h5ad.gz", b"\x1f\x8b", r"packed.h5ad.gz is compressed as a whole.*gunzip packed.h5ad.gz"),
    ):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(SentenceError, match=words):
            write.write(tmp_path / name, tmp_path / "out")
    with pytest.raises(SentenceError, match=r"cells.h5ad .* has no 'raw'; it has: X"):
        write.write(file, tmp_path / "out", options=Options(rule=encode.Rule(layer="raw")))
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_missing_labels_are_nulls_and_a_column_of_our_name_gets_another(cells, tmp_path):
    cells.obs["half"] = pd.Categorical([None, "x"] * 30)
    cells.obs["text"] = ["nan", "y"] * 30
    cells.obs["number"] = [np.nan, 1.5] * 30
    cells.obs["whole"] = pd.array([None, 7] * 30, dtype="Int64")
    cells.obs["truth"] = [True, False] * 30
    cells.obs["age"] = "old"
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    for name, source in (("file", path), ("memory", {"cells": cells})):
        [done] = write.write(source, tmp_path / name, options=Options(split="none"))
        table = pl.read_parquet(tmp_path / name / "cells" / "*.parquet")
        assert table.select("half", "text", "number", "whole", "truth", "obs_age").head(2).rows() == [
            (None, None, None, None, True, "old"), ("x", "y", 1.5, 7, False, "old")
        ]  # fmt: skip
        assert table["age"].null_count() == 0
        assert done.manifest["renamed_columns"] == {"age": "obs_age"}


@pytest.mark.parametrize("word", ["pooled", "Unknown", " NA ", "doublet"])
def test_nobody_is_trained_on_and_never_tested_as_a_person(cells, tmp_path, word):
    cells.obs["donor_id"] = pd.Categorical([word] * 30 + [f"d{i // 5}" for i in range(30)])
    [done] = write.write({"cells": cells}, tmp_path, options=Options(test_fraction=0.4))
    split = done.manifest["split"]
    assert word not in split["test_donors"] + split["train_donors"]
    assert split["cells_of_unknown_donors"] == 30
    nobody = read.read(tmp_path).filter(pl.col("donor_id") == word).select("side").unique().collect()
    assert nobody["side"].to_list() == ["train"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("10CC50A0-AF80-4FA1-B668-893DD5C0113A", True),
        ("10cc50a0af804fa1b668893dd5c0113a", True),
        ("study_10cc50a0-af80-4fa1-b668-893dd5c0113a_v2", True),
        ("cellxgene_download", False),
        ("10cc50a0-af80-4fa1-b668-893dd5c0113", False),
    ],
)
def test_only_a_uuid_is_an_id_in_whatever_spelling(name, found):
    assert (write.find_id(name) == "10cc50a0-af80-4fa1-b668-893dd5c0113a") is found
