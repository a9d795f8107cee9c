"""Embedding the muscle atlas: what goes to the model and what comes back."""

import json
import os
import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from typer.testing import CliRunner

from helpers import names
from helpers.cli.scprint import group
from helpers.errors import CountsError, PartError, StorageError
from helpers.scprint import prepare


def atlas_of(n_cells=250, n_genes=10_050, *, prefix="ENSG", seed=1):
    chance = np.random.default_rng(seed)
    counts = sp.random(n_cells, n_genes, density=0.01, random_state=chance, format="csr")
    counts.data = chance.integers(1, 9, counts.nnz).astype(np.int32)
    ids = [f"{prefix}{i:011d}" for i in range(n_genes)]
    var = pd.DataFrame({names.ENSEMBL: ids}, index=[f"G{i}" for i in range(n_genes)])
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)])
    return ad.AnnData(counts.astype(np.float32), obs=obs, var=var, layers={names.COUNTS: counts})


def test_slices_carry_raw_counts_and_ensembl_ids(tmp_path):
    atlas = atlas_of()
    atlas.var.iloc[7, 0] = "not an id"
    made = prepare.write((atlas[:200].copy(), atlas[200:].copy()), tmp_path, slice_cells=120)
    assert made == {"slice_0000": 100, "slice_0001": 100, "slice_0002": 50}
    together = ad.concat([ad.read_h5ad(tmp_path / f"{name}.h5ad") for name in made])
    assert (atlas.layers[names.COUNTS][:, np.arange(10_050) != 7] != together.X).nnz == 0
    assert together.var_names[7] == "ENSG00000000008"
    assert set(together.obs["organism_ontology_term_id"]) == {"NCBITaxon:9606"}
    assert together.obs["row_id"].tolist() == list(range(250))


def refused(message, atlas, out, error=PartError, **options):
    with pytest.raises(error, match=message):
        prepare.write([atlas], out, **options)


def test_the_organism_is_read_off_the_genes_and_a_mouse_is_never_sent_as_a_person(tmp_path):
    prepare.write([atlas_of(prefix="ENSDARG")], tmp_path / "fish")
    made = ad.read_h5ad(tmp_path / "fish" / "slice_0000.h5ad")
    assert set(made.obs["organism_ontology_term_id"]) == {"NCBITaxon:7955"}
    assert "--species NCBITaxon:7955" in (tmp_path / "fish" / "embed.sh").read_text()
    mouse, out = atlas_of(prefix="ENSMUSG"), tmp_path / "out"
    refused("the genes are those of mouse .* stated is NCBITaxon:9606", mouse, out, organism="NCBITaxon:9606")
    mouse.obs["organism_ontology_term_id"] = "NCBITaxon:9606"
    refused("the genes are those of mouse", mouse, out)
    both = atlas_of(n_genes=12_000)
    both.var.iloc[::2, 0] = mouse.var[names.ENSEMBL].to_numpy()[:6000]
    refused("6,000 genes have an Ensembl identifier of", both, out)
    assert not out.exists()


def test_the_script_calls_the_published_command_once_a_slice(tmp_path):
    prepare.write([atlas_of()], tmp_path, slice_cells=125, checkpoint="my weights.ckpt")
    stand_in, log = tmp_path / "scprint2", tmp_path / "log"
    stand_in.write_text('#!/usr/bin/env bash\necho "$@" >> "$LOG"\ntouch "${@: -1}"\n')
    stand_in.chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(log)}
    for _ in range(2):
        subprocess.run(["bash", str(tmp_path / "embed.sh")], check=True, env=env)
    first, _ = log.read_text().splitlines()
    assert first.startswith(
        "embed --adata slice_0000.h5ad --ckpt_path my weights.ckpt --species NCBITaxon:9606"
    )
    assert (tmp_path / "slice_0001_embedded.h5ad").is_file()


def test_bad_input_is_refused(tmp_path):
    atlas, out = atlas_of(), tmp_path / "out"
    refused("the model needs 10,000", atlas[:, :500].copy(), out)
    refused("slices of 30,000 cells", atlas, out, slice_cells=30_000)
    atlas.layers[names.COUNTS] = atlas.layers[names.COUNTS] / 2
    refused("stored values are not whole", atlas, out, CountsError)
    del atlas.layers[names.COUNTS]
    refused("no layer 'counts'", atlas, out, CountsError)
    assert not out.exists()


def test_slices_that_were_embedded_are_not_replaced(tmp_path):
    for _ in range(2):
        prepare.write([atlas_of()], tmp_path)
    embedded = tmp_path / "slice_0000_embedded.h5ad"
    embedded.write_bytes(b"hours of work")
    refused(r"slice_0000_embedded\.h5ad", atlas_of(), tmp_path, StorageError)
    assert embedded.read_bytes() == b"hours of work"


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_a_disk_that_fills_up_is_said_and_leaves_nothing(tmp_path):
    atlas_of().write_h5ad(tmp_path / "atlas.h5ad")
    code = (
        "import resource, signal, sys, anndata as ad; from helpers.scprint import prepare\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "prepare.write([ad.read_h5ad(sys.argv[1])], sys.argv[2])\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "atlas.h5ad"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "StorageError" in done.stderr
    assert "Nothing half-written is kept" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["atlas.h5ad"]


# the way back


def model_output(folder, name, *, keep=slice(None), rows=None, first=None):
    """Write what the model writes for a slice: shuffled cells, an embedding, class arrays, predictions."""
    piece = ad.read_h5ad(folder / f"{name}.h5ad")[keep]
    piece = piece[np.random.default_rng(1).permutation(piece.n_obs)]
    vectors = np.repeat(piece.obs["row_id"].to_numpy()[:, None], 4, axis=1).astype(np.float32)
    vectors[0] = vectors[0] if first is None else first
    obs = piece.obs.assign(pred_cell_type_ontology_term_id="CL:0000097", conf=1.0)
    if rows is not None:
        obs["row_id"] = rows
    out = ad.AnnData(obs=obs, obsm={"scprint_emb": vectors, "scprint_emb_tissue": vectors[:, :2] + 1})
    out.write_h5ad(folder / f"{name}_embedded.h5ad")


def test_the_output_comes_back_in_the_order_of_the_cells_and_what_is_none_is_named(tmp_path):
    def refused(message):
        with pytest.raises(PartError, match=message):
            prepare.read(tmp_path)

    refused("prepare the slices first")
    one, two = prepare.write([atlas_of()], tmp_path, slice_cells=130)
    refused("2 of 2 slices are not embedded yet, first slice_0000_embedded")
    model_output(tmp_path, one, keep=slice(5, None))
    model_output(tmp_path, two)
    found = prepare.read(tmp_path)
    assert found.uns["dropped"] == 5
    assert found.obs["row_id"].tolist() == list(range(5, 250))
    np.testing.assert_array_equal(found.X[:, 0], np.arange(5, 250))
    np.testing.assert_array_equal(found.obsm["scprint_emb_tissue"][:, 0], np.arange(5, 250) + 1)
    assert (found.obs_names[5], found.obs["cell_type"].iloc[5]) == ("cell10", "CL:0000097")
    model_output(tmp_path, one, rows=np.arange(1000, 1125))
    refused("rows outside 0 to 249")
    model_output(tmp_path, one, rows=np.arange(125, 250))
    refused("125 rows came back twice")
    model_output(tmp_path, one, first=np.nan)
    refused("holds NaN or infinite embeddings")
    ad.AnnData(np.zeros((2, 2), np.float32)).write_h5ad(tmp_path / f"{one}_embedded.h5ad")
    refused("not an output of the model")


@pytest.mark.parametrize("verb", ["embed", "prepare"])
def test_the_command_takes_a_source_in_even_slices(monkeypatch, tmp_path, small_release, verb):
    monkeypatch.setattr(prepare, "MIN_GENES", 100)
    told = CliRunner().invoke(group, [verb, str(small_release), str(tmp_path / "o"), "--slice-cells", "250"])
    assert told.exit_code == 0, told.output
    assert "680 cells in 3 slice(s)" in told.stdout
    assert json.loads((tmp_path / "o" / "manifest.json").read_text())["slices"]["slice_0002"] == 226
