"""Files of others: columns with other names, labels and units; files of Cell Ranger; ids and species; marks that stay."""

import gzip
import json
import os

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.io
import scipy.sparse as sp

from helpers import files, names, sources
from helpers.atlas import validate
from helpers.errors import CountsError, MusclebookError, SourceError
from helpers.facts import study
from helpers.scprint import parts
from helpers.sentences import read, write

import damage  # isort: skip  the folder tests is put on the path by conftest

YEARS = (29, 73, 41, 66)


def own_file(path, *, obs=None, var=None, counts=None, layout="csr", **more):
    """Eighty cells of four donors, counts in X, with these columns put in or (None) taken out."""
    counts = np.random.default_rng(0).poisson(0.8, (80, 12)) if counts is None else counts
    kind = np.arange(len(counts)) % 4
    columns = {
        "donor_id": [f"P{k}" for k in kind],
        "sex": np.where(kind % 2, "male", "female"),
        "development_stage": [f"{YEARS[k]}-year-old stage" for k in kind],
        "suspension_type": np.where(kind < 2, "cell", "nucleus"),
        "cell_type": np.where(np.arange(len(counts)) % 3, "fibroblast", "myocyte"),
        **(obs or {}),
    }
    held = {name: v(kind) if callable(v) else v for name, v in columns.items() if v is not None}
    table = pd.DataFrame(held, index=[f"c{i}" for i in range(len(counts))])
    genes = pd.DataFrame(index=[f"G{i}" for i in range(counts.shape[1])]) if var is None else var
    matrix = sp.csr_matrix(counts.astype(np.float32)).asformat(layout)
    ad.AnnData(matrix, obs=table, var=genes, **more).write_h5ad(path)
    return path


def opened(tmp_path, **options):
    return sources.open_atlas(own_file(tmp_path / "own.h5ad", **options))


def logs_of(counts):
    return np.log1p(counts / np.maximum(counts.sum(1, keepdims=True), 1) * 1e4).astype(np.float32)


def noted(atlas, *words):
    return any(all(word in note for word in words) for note in atlas.notes)


def years(kind):
    return np.array(YEARS)[kind]


@pytest.mark.parametrize(
    "obs",
    [
        {},
        {"batch": lambda kind: pd.Categorical((kind % 3).astype(str))},
        {"age": lambda kind: [f"{y} y" for y in years(kind)]},
        {"age": lambda kind: years(kind) * 12.0},
        {"age": "adult", "Age_group": "A", "Age_bin": "group 1", "age_numeric": "x"},
        {"Age_bin": lambda kind: np.where(years(kind) < 40, "Young", np.where(years(kind) > 50, "OLD", "middle"))},
        {"Sex": lambda kind: np.where(kind % 2, "Male", "Female")},
        {"Sex": "not recorded", "DonorID": "unknown", "SampleID": "na", "annotation_level0": "unknown"},
        {"n_genes": 1.5, "n_counts": -1.0, "scrublet_score": "singlet"},
        {"development_stage": "unknown", "development_stage_ontology_term_id": lambda kind: [f"HsapDv:{94 + y:07d}" for y in years(kind)]},
        {"development_stage": None, "age_months": lambda kind: years(kind) * 12},
        {"development_stage": None, "age_years": lambda kind: years(kind).astype(str)},
        {"sex": None, "sex_ontology_term_id": lambda kind: np.where(kind % 2, "PATO:0000384", "PATO:0000383")},
    ],
    # names alone: the text of a function holds an address, and parallel workers must collect the same tests
    ids=lambda obs: "-".join(obs) or "plain",
)  # fmt: skip
def test_columns_are_taken_only_for_what_they_hold(tmp_path, obs):
    atlas = opened(tmp_path, obs=obs)
    plain = opened(tmp_path)
    wanted = [names.DONOR, names.SEX, "age", names.AGE_BIN, names.CELLS, names.NUCLEI]
    assert atlas.donors.select(wanted).equals(plain.donors.select(wanted)), atlas.donors
    assert plain.donors["age"].to_list() == [29, 41, 66, 73]
    assert plain.donors[names.AGE_BIN].to_list() == ["young", None, "old", "old"]
    assert atlas.obs[names.LEVEL0].equals(plain.obs[names.LEVEL0])


def test_an_own_column_that_is_not_taken_stays_under_another_name(tmp_path):
    atlas = opened(tmp_path, obs={"batch": lambda kind: (kind % 3).astype(str)})
    assert set(atlas.obs["batch_own"]) == {"0", "1", "2"}
    assert noted(atlas, "batch is not taken", "0, 1, 2")
    assert noted(atlas, "batch is taken from suspension_type")


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [("percent_mito", 1, 100), ("percent_mito", 100, 100), ("pct_counts_mt", 1, 1)],
)
def test_shares_of_one_become_percent_and_percent_stays(tmp_path, name, given, wanted):
    share = np.random.default_rng(0).gamma(2, 0.04, 80).clip(0, 1)
    atlas = opened(tmp_path, obs={name: share * given})
    assert atlas.obs["percent_mito"].to_list() == pytest.approx(share * wanted)
    assert noted(atlas, "percent_mito", "multiplied by 100") == (given != wanted)
    assert names.PERCENT_MITO in opened(tmp_path, obs={"percent_mito": 300.0}).missing


@pytest.mark.parametrize("word", ["pooled", "N/A", "<NA>", "Doublet", " ambiguous "])
def test_nobody_is_no_donor(tmp_path, write_release, word):
    obs = {"donor_id": lambda kind: np.where(kind == 3, word, np.char.add("P", kind.astype(str)))}
    atlas = opened(tmp_path, obs=obs)
    assert atlas.donors[names.DONOR].to_list() == ["P0", "P2", "P1"]
    assert noted(atlas, "20 cells", word.strip(), "nobody")
    folder = write_release(tmp_path / "release")
    damage.column(names.DONOR, lambda people: [word] * 10 + list(people[10:]))(folder / names.SAMPLE_FILE)
    atlas = sources.open_atlas(folder)
    assert word not in atlas.donors[names.DONOR].to_list()
    assert noted(atlas, "10 cells", "nobody")


def test_copies_of_cells_are_told(tmp_path):
    assert noted(opened(tmp_path, obs={"is_primary_data": lambda kind: kind > 1}), "40 cells are copies")
    assert not noted(opened(tmp_path, obs={"is_primary_data": True}), "copies")


def test_a_file_without_columns_opens_and_has_no_donors(tmp_path):
    gone = dict.fromkeys(["donor_id", "sex", "development_stage", "suspension_type", "cell_type"])
    atlas = opened(tmp_path, obs=gone)
    assert atlas.donors.is_empty()
    assert not atlas.has("donors")
    assert atlas.to_anndata().layers["counts"].sum() > 0


COLUMNS = {
    "missing": pd.Categorical([1, 2, None, 2] * 20),
    "truth": pd.Categorical([True, False] * 40),
    "nullable": pd.array([1, None] * 40, dtype="Int64"),
    "complex": np.ones(80, complex),
    "big-endian": np.arange(80, dtype=">f4"),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_no_column_keeps_a_file_from_opening(tmp_path, kind):
    atlas = opened(tmp_path, obs={"cluster": COLUMNS[kind]})
    assert ("cluster" in atlas.obs.columns) == (kind != "complex")
    labels = opened(tmp_path, obs={"cell_type": COLUMNS[kind]}).obs[names.LEVEL0]
    assert not any("." in label for label in labels.drop_nulls())  # whole numbers as labels have no point


def test_a_layer_with_a_slash_in_its_name_is_found(tmp_path):
    counts = np.random.default_rng(1).poisson(1, (80, 12))
    path = own_file(tmp_path / "own.h5ad", counts=counts)
    with h5py.File(path, "a") as file:
        file.move("X", "layers/soupx/counts")
        ad.io.write_elem(file, "X", sp.csr_matrix(logs_of(counts)))
        file["layers/loop"] = h5py.SoftLink("/layers")
    atlas = sources.open_atlas(path)
    assert noted(atlas, "counts are taken from layers/soupx/counts")
    np.testing.assert_array_equal(atlas.to_anndata().layers["counts"].toarray(), counts)


def test_entries_stored_twice_are_added_before_the_log(tmp_path):
    counts = np.random.default_rng(2).poisson(2, (80, 12))
    path = own_file(tmp_path / "own.h5ad", counts=counts)
    half = sp.csr_matrix(np.log1p(np.expm1(logs_of(counts)) / 2))
    twice = np.repeat(half.data, 2), np.repeat(half.indices, 2), half.indptr * 2
    with h5py.File(path, "a") as file:
        ad.io.write_elem(file, "X", sp.csr_matrix(twice, shape=half.shape))
    np.testing.assert_array_equal(sources.open_atlas(path).to_anndata().layers["counts"].toarray(), counts)


# Ids and species


def ids_of(symbols):
    known = dict(study.genes().select("symbol", "ensembl_id").iter_rows())
    return [known[symbol] for symbol in symbols]


SYMBOLS = ["MYH7", "MYH1", "PAX7", "ACTA1", "TTN", "DES", "CKM", "XIST", "MB", "PDGFRA", "PECAM1", "CD68"]


@pytest.mark.parametrize("version", ["", ".7"])
def test_ids_alone_are_named_by_the_studys_table(tmp_path, version):
    var = pd.DataFrame(index=[gene + version for gene in ids_of(SYMBOLS)])
    atlas = opened(tmp_path, var=var)
    assert atlas.var[names.GENE].to_list() == SYMBOLS
    assert atlas.genes(["MYH7"]).columns == ["MYH7"]
    assert atlas.species == "human"
    assert noted(atlas, "12 of 12 genes are named by the study's table")


def test_antibodies_are_told_and_a_file_without_genes_is_refused(tmp_path):
    kinds = ["Gene Expression"] * 11 + ["Antibody Capture"]
    atlas = opened(tmp_path, var=pd.DataFrame({"feature_types": kinds}, index=SYMBOLS))
    assert noted(atlas, "Antibody Capture beside genes")
    ad.AnnData(np.zeros((3, 0), np.float32)).write_h5ad(tmp_path / "empty.h5ad")
    with pytest.raises(SourceError, match=r"empty\.h5ad: var has no rows"):
        sources.open_atlas(tmp_path / "empty.h5ad")


MOUSE = {"organism": "Mus musculus"}
MOUSE_GENES = pd.DataFrame(index=[f"ENSMUSG{i:011d}" for i in range(12)])


@pytest.mark.parametrize("says", [{"var": MOUSE_GENES}, {"obs": MOUSE}, {"uns": MOUSE}], ids=" ".join)
def test_a_mouse_is_told_by_what_it_says_and_by_its_ids(tmp_path, says):
    stage = {"development_stage": "18-month-old stage", "age": 18}
    atlas = opened(tmp_path, **says | {"obs": says.get("obs", {}) | stage})
    assert atlas.species == "mouse"
    assert not atlas.has("human")
    assert names.AGE_BIN in atlas.missing
    assert atlas.donors["age"].to_list() == [1.5] * 4
    assert opened(tmp_path, obs={"organism": "Danio rerio"}).species == "other"
    assert opened(tmp_path, obs={"organism": "unknown"}).species == "human"


# Cell Ranger


def cell_ranger(tmp_path):
    matrix = sp.csc_matrix(np.random.default_rng(3).poisson(0.7, (12, 30)))
    ids, barcodes = ids_of(SYMBOLS), [f"AAAC{i:04d}-1" for i in range(30)]
    folder = tmp_path / "filtered_feature_bc_matrix"
    path, kinds = folder.with_suffix(".h5"), ["Gene Expression"] * 12
    features = {"id": ids, "name": SYMBOLS, "feature_type": kinds}
    with h5py.File(path, "w") as file:
        for name in ("shape", "data", "indices", "indptr"):
            file[f"matrix/{name}"] = np.array(getattr(matrix, name), np.int32)
        for name, values in {**features, "genome": ["GRCh38"] * 12}.items():
            file[f"matrix/features/{name}"] = np.array(values, "S")
        file["matrix/barcodes"] = np.array(barcodes, "S")
    folder.mkdir()
    with gzip.open(folder / "matrix.mtx.gz", "wb") as stream:
        scipy.io.mmwrite(stream, matrix)
    for name, table in (("features", features), ("barcodes", {"barcode": barcodes})):
        pd.DataFrame(table).to_csv(folder / f"{name}.tsv.gz", sep="\t", header=False, index=False)
    return matrix.T.toarray(), path, folder


def test_what_cell_ranger_writes_opens_as_it_is(tmp_path):
    counts, path, folder = cell_ranger(tmp_path)
    for source in (path, folder):
        atlas = sources.open_atlas(source)
        assert (atlas.shape, atlas.describe()["name"]) == ((30, 12), source.name)
        found = atlas.to_anndata()
        np.testing.assert_array_equal(found.layers["counts"].toarray(), counts)
        assert list(found.var_names) == SYMBOLS
        assert found.var[names.ENSEMBL].to_list() == ids_of(SYMBOLS)
    path.write_bytes(path.read_bytes()[:3000])
    (folder / "barcodes.tsv.gz").unlink()
    for source in (path, folder):
        with pytest.raises(SourceError, match="cannot be read"):
            sources.open_atlas(source)


# Marks that stay


def test_made_up_cells_stay_made_up(tiny_release, tmp_path):
    for path in tiny_release.iterdir():
        if path.is_file():  # all but the truth
            (tmp_path / path.name).symlink_to(path)
    assert sources.open_atlas(tmp_path).simulated
    adata = ad.read_h5ad(sources.open_atlas(tiny_release).convert(tmp_path / "made.h5ad"))[:50].copy()
    adata.write_h5ad(tmp_path / "again.h5ad")
    del adata.uns[names.SIMULATION]
    adata.write_h5ad(tmp_path / "column.h5ad")
    del adata.obs[names.SIMULATED]
    adata.uns[names.SIMULATION] = json.dumps({"seed": 1})
    adata.write_h5ad(tmp_path / "uns.h5ad")
    for name in ("made", "again", "column", "uns"):
        atlas = sources.open_atlas(tmp_path / f"{name}.h5ad")
        assert atlas.simulated, name
        assert names.SIMULATED in atlas.to_anndata(counts=False).obs
    assert not opened(tmp_path).simulated


# Damage at the door


def spoil(path, name, change):
    with h5py.File(path, "a") as file:
        held = file.pop(name)
        file[name] = change(held)
        if isinstance(held, h5py.Dataset):
            file[name].attrs.update(held.attrs)


def put(place, value):
    def change(values):
        values = values[()].astype(np.int64)
        values[place] = value
        return values

    return change


FAULTS = {
    "a column beyond the genes": ("X/indices", put(5, 80)),
    "a negative column": ("X/indices", put(5, -1)),
    "starts that fall": ("X/indptr", put(5, 0)),
    "starts that overshoot": ("X/indptr", put(-1, 10**6)),
    "too few starts": ("X/indptr", lambda values: values[:-1]),
    "texts for values": ("X/data", lambda values: np.array(["x"] * len(values), "S")),
    "codes out of range": ("obs/donor_id/codes", put(3, 99)),
    "a short column": ("obs/donor_id/codes", lambda values: values[:-3]),
    "a column that is a link to itself": ("obs/donor_id", lambda _: h5py.SoftLink("/obs/donor_id")),
}


@pytest.mark.parametrize("layout", ["csr", "csc"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_file_is_refused_in_words_before_any_kernel(tmp_path, fault, layout):
    obs = {"donor_id": lambda kind: pd.Categorical([f"P{k}" for k in kind])}
    path = own_file(tmp_path / "own.h5ad", obs=obs, layout=layout)
    spoil(path, *FAULTS[fault])
    for asked in ({}, {"genes": ["G1", "G0"]}, {"cells": pl.col("sex") == "female"}):
        with pytest.raises(SourceError, match=r"own\.h5ad"):
            sources.open_atlas(path).to_anndata(**asked)


def test_a_map_that_is_no_map_is_left_out_and_said(tmp_path):
    path = own_file(tmp_path / "own.h5ad", obsm={"X_umap": np.zeros((80, 2)), "X_pca": np.zeros((80, 3))})
    spoil(path, "obsm/X_umap", lambda values: np.array([["a", "b"]] * len(values), "S"))
    spoil(path, "obsm/X_pca", lambda values: values[:-2])
    atlas = sources.open_atlas(path)
    assert not atlas.has("X_umap")
    assert not atlas.has("X_pca")
    assert noted(atlas, "obsm/X_umap", "left out")
    atlas.to_anndata()


@pytest.mark.parametrize("value", [2**31, 2**40])
def test_counts_that_wrap_are_refused(tmp_path, value):
    counts = np.full((80, 12), value)
    with pytest.raises(CountsError, match="more than"):
        opened(tmp_path, counts=counts).to_anndata()


# Content, not time or size


def test_a_fingerprint_is_of_content_and_leaves_out_what_we_add(tmp_path, write_release):
    folder = write_release(tmp_path / "release")
    before = files.fingerprint(folder)
    for added in (f"{names.STEM}.converted-0123456789abcdef.h5ad", ".notes", "notes.txt"):
        (folder / added).write_text("not of the release")
    assert files.fingerprint(folder) == before
    table = folder / names.SAMPLE_FILE
    table.write_bytes(table.read_bytes().replace(b"470BR", b"470BS"))
    assert files.fingerprint(folder) != before


@pytest.mark.parametrize("text", ["[1, 2]", "[" * 100_000, "not json", '"text"'])
def test_odd_json_is_refused_in_words(tmp_path, write_release, text):
    folder = write_release(tmp_path / "release")
    (folder / names.UNSTRUCTURED_FILE).write_text(text)
    with pytest.raises(MusclebookError, match=names.UNSTRUCTURED_FILE):
        sources.open_atlas(folder).to_anndata()
    (folder / names.VALIDATION_FILE).write_text(text)
    assert not sources.open_atlas(folder).simulated


def test_what_git_lfs_left_out_is_said(tmp_path, write_release):
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    folder, own, sentences = (
        write_release(tmp_path / "release"),
        tmp_path / "own.h5ad",
        tmp_path / "s.parquet",
    )
    embeddings = [tmp_path / f"step_0_{kind}.npz" for kind in ("embs", "top3", "scores")]
    for path in (folder / names.EXPRESSION_FILE, own, sentences, *embeddings):
        path.write_text(text)
    for door in (
        lambda: sources.open_atlas(folder),
        lambda: sources.open_atlas(own),
        lambda: read.read(sentences),
        lambda: write.write(own, tmp_path / "out"),
    ):
        with pytest.raises(MusclebookError, match=r"Git LFS pointer.*git lfs pull"):
            door()
    assert "git lfs pull" in " ".join(validate.validate(folder)["found"])
    assert "git lfs pull" in " ".join(parts.check(tmp_path)["message"].drop_nulls())


def test_commands_pair_no_files_of_a_neighbor_by_a_pattern(tmp_path, monkeypatch, write_release):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_release(tmp_path / "rel1", seed=1)
    own = write_release(tmp_path / "rel[1]", seed=2)
    held = ad.read_h5ad(sources.open_atlas("~/rel[1]").convert(tmp_path / "out.h5ad"))
    wanted = pd.read_parquet(own / names.SAMPLE_FILE)[names.N_COUNTS].to_list()
    assert held.obs[names.N_COUNTS].to_list() == wanted
    assert np.ravel(held.layers["counts"].sum(1)).tolist() == wanted
    assert "damaged" not in validate.validate(own)["status"]


def test_a_change_is_seen_though_size_and_time_are_set_back(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SETTLED", -1)
    monkeypatch.setattr(files, "REMEMBERED", 10)
    path = tmp_path / "chunk_0000.parquet"
    path.write_bytes(bytes(3_000_000))
    before, state = files.fingerprint(path), path.stat()
    path.write_bytes(bytes(1_234_567) + b"x" + bytes(3_000_000 - 1_234_568))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert files.fingerprint(path) != before
