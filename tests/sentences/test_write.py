import errno
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
import yaml

from helpers import files, names
from helpers.errors import SentenceError, StorageError
from helpers.sentences import encode, read, shards, write
from helpers.sentences.write import Options

UUID = "10cc50a0-af80-4fa1-b668-893dd5c0113a"


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.mark.parametrize("seed", [0, 1])
def test_chunks_workers_and_storage_do_not_change_split_or_text(cells, file, tmp_path, seed):
    def sides(out, source, chunk_cells):
        options = Options(seed=seed, test_fraction=0.2, chunk_cells=chunk_cells)
        write.write(source, out, options=options, workers=chunk_cells % 3 + 1)
        table = read.read(out).select("barcode", "side", "donor_id", "cell_sentence", "age").collect()
        both = table.group_by("donor_id").agg(pl.col("side").n_unique())
        assert both["side"].max() == 1
        return table.sort("barcode").rows()

    dense = tmp_path / "dense" / "cells.h5ad"
    dense.parent.mkdir()
    anndata.AnnData(cells.X.toarray(), cells.obs, cells.var).write_h5ad(dense)
    columns = tmp_path / "columns" / "cells.h5ad"
    columns.parent.mkdir()
    anndata.AnnData(cells.X.tocsc(), cells.obs, cells.var).write_h5ad(columns)
    first = sides(tmp_path / "a", file, 7)
    sources = {"b": (file, 10_000), "c": (dense, 11), "d": (columns, 9), "e": ({"cells": cells}, 13)}
    for name, (source, chunk_cells) in sources.items():
        assert sides(tmp_path / name, source, chunk_cells) == first


def test_runs_and_workers_give_the_same_bytes(file, tmp_path):
    options = Options(chunk_cells=8, test_fraction=0.2)
    for out, workers in (("one", 1), ("two", 3)):
        write.write(file, tmp_path / out, options=options, workers=workers)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_a_finished_chunk_is_not_written_again(file, tmp_path, monkeypatch):
    options = Options(chunk_cells=20, test_fraction=0.2)
    write.write(file, tmp_path, options=options)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("chunk_*.parquet")}
    (tmp_path / "cells" / "train" / "chunk_0001.parquet").unlink()
    made = []
    original = shards._make_group
    spy = lambda job, rows: made.append(len(rows)) or original(job, rows)  # noqa: E731
    monkeypatch.setattr(shards, "_make_group", spy)
    write.write(file, tmp_path, options=options)
    assert made == [20]
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("chunk_*.parquet")}
    assert {path.name for path in before if before[path] != after[path]} == {"chunk_0001.parquet"}


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
    assert left == {"README.md", "cells", "cells.h5ad", "notes.txt"}
    assert not (done.folder / "train").exists()
    (tmp_path / "other" / "cells").mkdir(parents=True)
    (tmp_path / "other" / "cells" / "mine.txt").write_text("mine")
    write.write(file, tmp_path / "other", replace=True)
    assert (tmp_path / "other" / "cells" / "mine.txt").exists()


def test_damage_in_the_way_is_named(file, tmp_path):
    options = Options(split="none", chunk_cells=20)
    write.write(file, tmp_path, options=options)
    path = tmp_path / "cells" / "chunk_0001.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SentenceError, match=r"chunk_0001.parquet is damaged .* Remove it and run again"):
        write.write(file, tmp_path, options=options)


def test_missing_labels_are_nulls_and_not_the_text_nan(cells, tmp_path):
    cells.obs["half"] = pd.Categorical([None, "x"] * 30)
    cells.obs["text"] = ["nan", "y"] * 30
    cells.obs["number"] = [np.nan, 1.5] * 30
    cells.obs["whole"] = pd.array([None, 7] * 30, dtype="Int64")
    cells.obs["truth"] = [True, False] * 30
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    for name, source in (("file", path), ("memory", {"cells": cells})):
        write.write(source, tmp_path / name, options=Options(split="none"))
        table = pl.read_parquet(tmp_path / name / "cells" / "*.parquet")
        assert table.select("half", "text", "number", "whole", "truth").head(2).rows() == [
            (None, None, None, None, True), ("x", "y", 1.5, 7, False)
        ]  # fmt: skip


def test_columns_of_the_source_with_our_names_are_kept_under_another(cells, tmp_path):
    cells.obs["age"] = "old"
    [done] = write.write({"cells": cells}, tmp_path, options=Options(split="none"))
    table = pl.read_parquet(done.folder / "*.parquet")
    assert table["obs_age"].unique().to_list() == ["old"]
    assert table["age"].null_count() == 0
    assert done.manifest["renamed_columns"] == {"age": "obs_age"}


def test_a_table_of_collections_that_contradicts_itself_is_refused(file, tmp_path):
    table = tmp_path / "collections.csv"
    table.write_text(f"dataset_id,title\n{UUID},A\n{UUID},B\n")
    with pytest.raises(SentenceError, match=r"has different rows for data set"):
        write.write(file, tmp_path / "out", collections=table)
    table.write_text("id,title\n1,A\n")
    with pytest.raises(SentenceError, match=r"needs a column 'dataset_id'"):
        write.write(file, tmp_path / "out", collections=table)


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
    [dropped] = write.write(
        {"cells": cells}, tmp_path / "b", options=Options(test_fraction=0.2, missing_age="drop")
    )
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


def test_a_split_by_cell_happens_on_request_only_and_says_that_it_leaks(file, tmp_path):
    [done] = write.write(
        file, tmp_path / "a", options=Options(split="cells", test_fraction=0.3, chunk_cells=7)
    )
    assert done.manifest["donors_on_both_sides"] > 0
    assert "cells of one donor are in train and in test" in done.manifest["split"]["warning"]
    write.write(file, tmp_path / "b", options=Options(split="cells", test_fraction=0.3, chunk_cells=100))
    one, other = (read.read(tmp_path / x).select("barcode", "side").collect().sort("barcode") for x in "ab")
    assert one.equals(other)


def test_data_without_donors_are_refused_unless_the_split_is_given_up(cells, tmp_path):
    del cells.obs["donor_id"]
    with pytest.raises(SentenceError, match=r"names no donors .* Name the column, or ask for no split"):
        write.write({"cells": cells}, tmp_path / "out")
    write.write({"cells": cells}, tmp_path / "out", options=Options(split="none"))


def test_copies_that_say_so_are_left_out_and_others_are_counted_on_both_sides(cells, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "FEWEST_COMPARED", 5)
    copy = cells.copy()
    copy.obs["donor_id"] = pd.Categorical([f"other {name}" for name in cells.obs["donor_id"]])
    found = {}
    for name, primary in (("silent", None), ("said", False), ("text", "False")):
        if primary is not None:
            copy.obs["is_primary_data"] = primary
        inputs = {"study": cells, "atlas": copy}
        found[name] = [
            one.manifest
            for one in write.write(inputs, tmp_path / name, options=Options(test_fraction=0.3, copies="keep"))
        ]
        assert sum(one["test_sentences_in_train"] for one in found[name]) > 0
        dropped = write.write(inputs, tmp_path / f"{name} drop", options=Options(test_fraction=0.3))
        left = [one.manifest["cells_left_out_as_copies"] for one in dropped]
        assert left == [0, 0 if primary is None else 60]
        assert (sum(one.manifest["test_sentences_in_train"] for one in dropped) == 0) == (primary is not None)


def test_a_readme_lists_the_files_of_each_side_and_datasets_loads_them(cells, tmp_path):
    import importlib.util

    inputs = {"a": cells[:40].copy(), "b": cells[20:].copy()}
    for split in ("donors", "cells", "none"):
        out = tmp_path / split
        write.write(inputs, out, options=Options(split=split, test_fraction=0.3, chunk_cells=15))
        for folder, wanted in ((out, 80), (out / "a", 40), (out / "b", 40)):
            head = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
            first = head["configs"][0]["data_files"]
            paths = [folder / path for one in first for path in one["path"]]
            assert sum(pq.read_metadata(path).num_rows for path in paths) == wanted
            assert {one["split"] for one in first} == ({"train"} if split == "none" else {"train", "test"})
            if importlib.util.find_spec("datasets"):
                from datasets import load_dataset

                loaded = load_dataset(
                    str(folder), head["configs"][0]["config_name"], cache_dir=tmp_path / "hub"
                )
                assert sum(one.num_rows for one in loaded.values()) == wanted


def test_damaged_starts_and_columns_are_refused_before_any_kernel(file, tmp_path):
    import h5py

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


def test_the_layout_is_that_of_the_public_card(cells, file, tmp_path):
    [done] = write.write(file, tmp_path / "out", options=Options(chunk_cells=20, test_fraction=0.2))
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

    with monkeypatch.context() as patch:
        patch.setattr(shards, "_make_group", full)
        with pytest.raises(StorageError, match=r"chunk_0001.parquet' cannot be written: No space left"):
            write.write(file, out, options=options)
    assert [path.name for path in out.rglob("*.parquet")] == ["chunk_0000.parquet"]
    assert not list(out.rglob("*.part"))
    write.write(file, out, options=options)
    assert content(out) == content(tmp_path / "whole")


@pytest.mark.parametrize(
    ("name", "held", "message"),
    [
        ("cut.h5ad", None, "cut.h5ad cannot be read as an .h5ad file.*cut short or not HDF5"),
        ("text.h5ad", b"no HDF5", "text.h5ad cannot be read as an .h5ad file"),
        ("absent.h5ad", b"", "absent.h5ad does not exist"),
        ("packed.h5ad.gz", b"\x1f\x8b", "packed.h5ad.gz is compressed as a whole.*gunzip packed.h5ad.gz"),
    ],
)
def test_unreadable_inputs_say_which_and_what_to_do(file, tmp_path, name, held, message):
    held = file.read_bytes()[:4000] if held is None else held
    if held:
        (tmp_path / name).write_bytes(held)
    with pytest.raises(SentenceError, match=message):
        write.write(tmp_path / name, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_a_uuid_in_the_name_gives_the_id_and_the_users_table_the_publication(file, tmp_path):
    table = tmp_path / "collections.csv"
    rows = f"{UUID.upper()},c1,A title,10.1/x\nother,c2,B,10.1/y\n"
    table.write_text(f"dataset_id,collection_id,title,doi\n{rows}")
    told = {}
    for name in (UUID, "unknown"):
        [done] = write.write({name: file}, tmp_path / "out", collections=table, options=Options(split="none"))
        told[name] = pl.read_parquet(done.folder / "*.parquet").row(0, named=True)
    wanted = {"dataset_id": UUID, "publication_doi": "10.1/x", "publication_title": "A title"}
    assert wanted.items() <= told[UUID].items()
    assert dict.fromkeys(wanted).items() <= told["unknown"].items()


def test_inputs_and_options_that_cannot_be_are_refused(cells, tmp_path):
    for inputs, message in (
        ([cells, cells], "two inputs are called 'cells'"),
        ({"a/b": cells}, "'a/b' cannot name a folder"),
        ([], "no input"),
    ):
        with pytest.raises(SentenceError, match=message):
            write.write(inputs, tmp_path)
    with pytest.raises(SentenceError, match=r"a cluster reads files, and cells is in memory"):
        write.write({"cells": cells}, tmp_path, cluster="tcp://127.0.0.1:1")
    for wrong, message in (
        ({"split": "donor"}, "split is 'donor'; choose one of 'donors', 'cells', 'none'"),
        ({"chunk_cells": 0}, "chunk_cells is 0"),
        ({"test_fraction": 1.0}, "test_fraction is 1.0"),
        ({"missing_age": "x"}, "missing_age is 'x'"),
        ({"copies": "x"}, "copies is 'x'"),
    ):
        with pytest.raises(SentenceError, match=message):
            Options(**wrong)


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
    for name in (
        ".work/notes",
        ".log.parquet.0123456789ab.part",
        "cells/.movie.part",
        "cells/train/.mine.json.part",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    write.write(file, tmp_path, options=Options(test_fraction=0.2))
    assert sum(path.read_bytes() == b"mine" for path in tmp_path.rglob("*") if path.is_file()) == 4
