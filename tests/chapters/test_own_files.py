"""Chapters on files of other people: a plain matrix, and a CELLxGENE-schema file whose labels are not the atlas's."""

import io
import json
import re

import anndata as ad
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scanpy as sc
import scipy.io

from helpers import names, sources
from helpers.book import run
from helpers.book.project import Project
from helpers.facts import study

from bookbuilt import ROOT  # isort: skip  the folder tests is put on the path by conftest

PROJECT = Project(ROOT)
ABLE = {"01", "02", "06", "11"}  # chapters that a plain matrix can serve
pytestmark = pytest.mark.xdist_group("own files")


@pytest.fixture(scope="module")
def files(tmp_path_factory, tiny_adata):
    """Both files, of the cells of the tiny atlas, without anything that tells where they are from."""
    # every fourth gene and those that a published table names: chapters take a third of the time
    sexed = study.genes().filter(pl.col("chromosome").is_in(["X", "Y", "MT"]))["symbol"]
    named = {*sexed, *study.markers()["gene"], *study.gene_sets()["gene"], *study.signatures()["gene"]}
    kept = tiny_adata.var_names.isin(named) | (np.arange(tiny_adata.n_vars) % 4 == 0)
    made, folder = tiny_adata[:, kept], tmp_path_factory.mktemp("own")
    counts = made.layers["counts"].astype("float32")
    plain = ad.AnnData(counts, var=pd.DataFrame(index=made.var_names.astype(str)))
    plain.obs_names = [f"barcode {number}" for number in range(plain.n_obs)]
    plain.write_h5ad(folder / "plain.h5ad")
    kinds = made.obs["annotation_level0"].astype("category").cat.codes
    obs = pd.DataFrame(
        {
            "donor_id": made.obs["DonorID"].astype(str).to_numpy(),
            "development_stage": [f"{int(age)}-year-old stage" for age in made.obs["age_numeric"]],
            "sex": np.where(made.obs["Sex"] == "M", "male", "female"),
            "suspension_type": np.where(made.obs["batch"] == "cells", "cell", "nucleus"),
            "cell_type": [f"kind {number} of 細胞 $_{{x}}$" for number in kinds],
            "assay": "10x 3' v3",
            "tissue": "muscle tissue",
            "organism": "Homo sapiens",
            "is_primary_data": True,
        },
        index=plain.obs_names,
    )
    ids = [f"ENSG{number:011d}" for number in range(plain.n_vars)]
    raw = ad.AnnData(counts, obs=obs, var=pd.DataFrame({"feature_name": plain.var_names}, index=ids))
    schema = raw.copy()
    sc.pp.normalize_total(schema, target_sum=1e4)
    sc.pp.log1p(schema)
    schema.raw, schema.uns["schema_version"] = raw, "5.2.0"
    schema.write_h5ad(folder / "schema.h5ad")
    return folder


def plans_of(file):
    return run.plan(PROJECT, PROJECT.choose(), run.Request(atlas=str(file), profile="test"))


def test_what_a_file_lacks_leaves_a_chapter_out_with_its_reason(files):
    lacks = {one.name[:2]: one.lacks for one in plans_of(files / "schema.h5ad")}
    assert {number for number, words in lacks.items() if words} == {"04", "08"}
    assert "lacks annotation_level0=MF-I" in lacks["04"]
    assert "lacks annotation_level1, annotation_level2" in lacks["08"]
    lacks = {one.name[:2]: one.lacks for one in plans_of(files / "plain.h5ad")}
    assert {number for number, words in lacks.items() if not words} == ABLE
    assert re.search(r"lacks DonorID>=6, age_numeric.*batch or suspension_type \(cells or nucl", lacks["03"])


def run_here(plan, out_dir):
    """Run the cells of a chapter in this process, one after the other: six kernels would load scanpy six times."""
    space = {"__name__": "__main__"}
    for cell in nbformat.read(PROJECT.notebooks[plan.name].pair, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        exec(compile(cell.source, plan.name, "exec"), space)
        if "parameters" in cell.metadata.get("tags", []):
            space |= plan.effective | {"out_dir": str(out_dir)}
        for number in plt.get_fignums():  # as Jupyter does after a cell
            plt.figure(number).savefig(io.BytesIO())
        plt.close("all")
    return json.loads((out_dir / "results.json").read_text())["findings"]


@pytest.mark.filterwarnings(
    "default", "error:.*palette:UserWarning", "error:Mean of empty", "error:Glyph"
)  # as in a kernel
@pytest.mark.parametrize(
    ("file", "chapters"),
    [("schema.h5ad", ["01", "02", "03", "07", "10", "12"]), ("plain.h5ad", ["01", "02"])],
)
def test_chapters_run_on_it(files, tmp_path, file, chapters):
    plans = {one.name[:2]: one for one in plans_of(files / file)}
    results = {number: run_here(plans[number], tmp_path / number) for number in chapters}
    if file == "schema.h5ad":
        assert results["01"]["donors"]["value"] == 17
        assert not pl.read_parquet(tmp_path / "01" / "donors.parquet")["age"].has_nulls()
    found = results["02"]
    held = ad.read_h5ad(files / file)  # no column of the file says any of this
    counts = (held.raw.to_adata() if held.raw is not None else held).X
    assert found["median_counts"]["value"] == np.median(np.asarray(counts.sum(axis=1)))
    assert found["median_genes"]["value"] == np.median(np.asarray((counts > 0).sum(axis=1)))
    assert 0 < found["removed_fixed"]["value"] < 1


def test_what_cell_ranger_writes_is_a_source_of_chapters_too(files, tmp_path, own_cache):
    held = ad.read_h5ad(files / "plain.h5ad")[:200]
    scipy.io.mmwrite(tmp_path / "matrix.mtx", held.X.T.astype(int))
    (tmp_path / "barcodes.tsv").write_text("\n".join(held.obs_names))
    genes = [f"ENSG{number:011d}\t{gene}" for number, gene in enumerate(held.var_names)]
    (tmp_path / "genes.tsv").write_text("\n".join(genes))
    assert {one.name[:2] for one in plans_of(tmp_path) if not one.lacks} == ABLE


def test_what_a_run_leaves_beside_a_release_does_not_make_it_stale(write_release, tmp_path):
    folder = write_release(tmp_path / "release")
    before = plans_of(folder)[0].key
    sources.open_atlas(folder).convert(folder / "converted.h5ad")
    (folder / "notes.txt").write_text("what a lab keeps there")
    assert plans_of(folder)[0].key == before
    with (folder / names.UNSTRUCTURED_FILE).open("ab") as file:  # its own file is another matter
        file.write(b" ")
    assert plans_of(folder)[0].key != before
