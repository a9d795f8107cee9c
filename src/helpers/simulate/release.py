"""A simulated release on disk: the twelve files of the real one, with its quirks, and a folder of truth."""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from helpers import files, names
from helpers.facts import study
from helpers.simulate import atlas, cohort, truth
from helpers.simulate.atlas import DEFAULT_SCALE, DEFAULT_SEED

KIND = "simulated release"
_BLOCK = 256  # genes made dense at once
_NEIGHBORS = {"n_neighbors": 15, "method": "umap", "random_state": 0, "metric": "euclidean", "n_pcs": 40}
_TSNE = {
    "perplexity": 30, "early_exaggeration": 12, "learning_rate": 1000, "n_jobs": 8, "metric": "euclidean",
}  # fmt: skip
_TEXTS = Path(study.__file__).with_name("tables")


def write(
    folder: Path,
    *,
    scale: float = DEFAULT_SCALE,
    seed: int = DEFAULT_SEED,
    force: bool = False,
    owned: bool = False,
) -> Path:
    """Simulate an atlas and write it as a release with its truth; a stopped run leaves nothing under `folder`.

    Parameters
    ----------
    folder
        Where the release goes. One that was simulated there and not changed since is replaced once the new one is
        whole; anything else is refused, unless by `force`. One of the cache is `owned`.
    scale, seed
        Those of `atlas.simulate`.
    """
    folder = Path(folder)
    if owned:
        files.require_writable(folder)
    else:
        files.claim(folder, kind=KIND, force=force)  # before the costly step
    files.drop_leftovers(folder)
    simulation = atlas.simulate(scale=scale, seed=seed)
    with files.writing(folder, kind=KIND, force=force, owned=owned) as part:
        part.mkdir()
        _write_files(part, simulation)
    return folder


def _write_files(folder: Path, simulation: atlas.Simulation) -> None:
    """Write the twelve files and the truth of `simulation` into an existing folder."""
    adata = simulation.adata
    _write_expression(folder / names.EXPRESSION_FILE, adata.X, list(adata.var_names))
    adata.obs.to_parquet(folder / names.SAMPLE_FILE)
    adata.var.reset_index(drop=True).to_parquet(folder / names.FEATURE_FILE)
    for key, file in names.PROJECTION_FILES.items():
        columns = list(names.PROJECTION_COLUMNS[key])
        pd.DataFrame(adata.obsm[key], index=adata.obs_names, columns=columns).to_parquet(folder / file)
    truth.write_truth(folder / names.TRUTH_FOLDER, simulation)
    _write_texts(folder, simulation)


def _write_expression(path: Path, x: sp.csr_matrix, genes: list[str]) -> None:
    """Write dense float32 columns in one row group; they wait in a scratch file, since full size is 20 GiB of them."""
    files.require_room(path, 4 * x.shape[0] * x.shape[1])
    with tempfile.TemporaryFile(dir=path.parent) as scratch:
        held = x.tocsc()
        for first in range(0, x.shape[1], _BLOCK):
            held[:, first : first + _BLOCK].T.toarray().tofile(scratch)
        del held
        dense = np.memmap(scratch, np.float32, "r", shape=(x.shape[1], x.shape[0]))
        table = pa.table([pa.array(column) for column in dense], names=genes)
        pq.write_table(table, path, row_group_size=x.shape[0])


def _write_texts(folder: Path, simulation: atlas.Simulation) -> None:
    """Write the five texts into `folder`: keys and parameters are those of the real ones, numbers of this matrix."""
    adata = simulation.adata
    unstructured = {
        "pca": {
            "params": {"zero_center": True, "use_highly_variable": False, "mask_var": None},
            "variance": simulation.variance.tolist(),
            "variance_ratio": simulation.variance_ratio.tolist(),
        },
        "neighbors": {
            "connectivities_key": "connectivities",
            "distances_key": "distances",
            "params": _NEIGHBORS,
        },
        "tsne": {"params": _TSNE},
    }
    structure = {
        "obsm_keys": [names.SCVI, names.UMAP],
        "var_columns": list(names.FEATURE_COLUMNS[:3]),
        "obs_columns": list(names.SAMPLE_COLUMNS[:-1]),
        "annotation_mapping": {level: adata.obs[level].value_counts().to_dict() for level in names.LEVELS},
        "shape": list(adata.shape),
        "sparsity": float(100 * (1 - adata.X.nnz / np.prod(adata.shape, dtype=np.int64))),
    }
    report = {"simulated": True, "shape": list(adata.shape), "files": list(names.RELEASE_FILES)}
    assumed = ", ".join(f"{sample} {donor}" for sample, donor in cohort.ASSUMED_DONOR.items())
    made = {"seed": simulation.seed, "scale": simulation.scale, "cells": adata.n_obs, "genes": adata.n_vars}
    (folder / names.UNSTRUCTURED_FILE).write_text(json.dumps(unstructured, indent=2))
    (folder / names.STRUCTURE_FILE).write_text(json.dumps(structure, indent=2))
    files.write_json(folder / names.VALIDATION_FILE, report)
    readme = (_TEXTS / "twin_readme.md").read_text(encoding="utf-8").format(**made, assumed=assumed)
    (folder / names.README_FILE).write_text(readme, encoding="utf-8")
    shutil.copyfile(_TEXTS / "twin_license.txt", folder / names.LICENSE_FILE)
