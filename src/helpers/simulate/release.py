"""A simulated release on disk: the twelve files of the real one, with its quirks, and a folder of truth."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import files, names
from helpers.simulate import atlas, rowgroup, truth
from helpers.simulate.atlas import DEFAULT_SCALE, DEFAULT_SEED


def write(folder: Path, *, scale: float = DEFAULT_SCALE, seed: int = DEFAULT_SEED, threads: int = 2) -> Path:
    """Simulate an atlas and write it as a release with its truth; a stopped run leaves nothing under `folder`.

    Parameters
    ----------
    folder
        Where the release goes. What is there already is replaced once the new release is whole.
    scale
        Share of the release's 183,161 cells.
    seed
        Everything random follows from it.
    threads
        Threads that draw and write; the files do not depend on it.

    Returns
    -------
    Path
        `folder`.
    """
    simulation = atlas.simulate(scale=scale, seed=seed, threads=threads)
    with files.writing(Path(folder)) as part:
        part.mkdir()
        write_files(part, simulation, threads=threads)
    return Path(folder)


def write_files(folder: Path, simulation: atlas.Simulation, *, threads: int) -> None:
    """Write the twelve files and the truth of `simulation` into an existing folder."""
    adata = simulation.adata
    rowgroup.write_columns(folder / names.EXPRESSION_FILE, adata.X, list(adata.var_names), threads=threads)
    adata.obs.to_parquet(folder / names.SAMPLE_FILE)
    adata.var.reset_index(drop=True).to_parquet(folder / names.FEATURE_FILE)
    for key, file in names.PROJECTION_FILES.items():
        columns = list(names.PROJECTION_COLUMNS[key])
        pd.DataFrame(adata.obsm[key], index=adata.obs_names, columns=columns).to_parquet(folder / file)
    truth.write_truth(folder / names.TRUTH_FOLDER, simulation)
    _write_texts(folder, simulation)


def _write_texts(folder: Path, simulation: atlas.Simulation) -> None:
    adata = simulation.adata
    files.write_json(
        folder / names.UNSTRUCTURED_FILE,
        {
            "pca": {
                "params": {"zero_center": True, "use_highly_variable": False, "mask_var": None},
                "variance": [float(v) for v in simulation.variance],
                "variance_ratio": [float(v) for v in simulation.variance_ratio],
            },
            "neighbors": {
                "connectivities_key": "connectivities",
                "distances_key": "distances",
                "params": {
                    "n_neighbors": 15, "method": "umap", "random_state": 0, "metric": "euclidean", "n_pcs": 40,
                },
            },
            "tsne": {
                "params": {
                    "perplexity": 30, "early_exaggeration": 12, "learning_rate": 1000, "n_jobs": 8,
                    "metric": "euclidean",
                }
            },
        },
    )  # fmt: skip
    counted = {level: adata.obs[level].value_counts().to_dict() for level in names.LEVELS}
    sparsity = 100 * (1 - adata.X.nnz / np.prod(adata.shape))
    structure = {
        "obsm_keys": [names.SCVI, names.UMAP],
        "var_columns": list(names.FEATURE_COLUMNS[:3]),
        "obs_columns": list(names.SAMPLE_COLUMNS[:-1]),
        "annotation_mapping": {level: {k: int(v) for k, v in n.items()} for level, n in counted.items()},
        "shape": list(adata.shape),
        "sparsity": float(sparsity),
    }
    (folder / names.STRUCTURE_FILE).write_text(json.dumps(structure, indent=2))
    files.write_json(
        folder / names.VALIDATION_FILE, {"simulated": True, "shape": list(adata.shape), "passed": True}
    )
    (folder / names.README_FILE).write_text(
        "# SIMULATED skeletal muscle atlas\n\nNo real cell is in these files.\n"
    )
    (folder / names.LICENSE_FILE).write_text("MIT License\n")
