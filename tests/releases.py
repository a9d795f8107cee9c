"""A small release that follows the card, made without the simulator: 17 donors, some labels, 220 genes."""

import json

import numpy as np
import pandas as pd

from helpers import names
from helpers.facts import study

LABELS = (  # (level 0, level 1, level 2, assay)
    ("MF-I", "MF-I", "MF-I", "nuclei"),
    ("MF-II", "MF-II", "II-FAM", "nuclei"),
    ("FB", "FB", "Inter_FB", None),
    ("MuSC", "MuSC", "MuSC", None),
    ("MF-Isc(fg)", "MF-Isc(fg)", "MF_typeI(fg)", "cells"),
    ("cDC2", "cDC2", "cDC2", None),
    ("cDC2", "cDC2", "cDC1", None),
)


def write_small_release(folder, *, n_cells=680, n_genes=220, seed=5, barcodes_in_expression=False):
    """Write a release of `n_cells`, its 17 donors in turn, every number consistent."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    obs, kinds = _cells(rng, n_cells)
    var = _genes(n_genes)
    raw = rng.poisson(rng.gamma(0.15, 4.0, n_genes) * np.where(rng.random((7, n_genes)) < 0.3, 4, 0.4)[kinds])
    raw[np.arange(n_cells), rng.integers(0, n_genes, n_cells)] = 1  # every cell has one single molecule
    x = np.log1p(raw / raw.sum(1, keepdims=True) * 1e4).astype(np.float32)
    obs["n_counts"], obs["n_genes"] = raw.sum(1).astype(np.float32), (raw > 0).sum(1)
    var["n_cells"] = (raw > 0).sum(0)
    var["gene_ids"] = var.index
    expression = pd.DataFrame(x, index=obs.index, columns=var.index)
    if not barcodes_in_expression:
        expression = expression.reset_index(drop=True)
    expression.to_parquet(folder / names.EXPRESSION_FILE, row_group_size=n_cells)
    obs[list(names.SAMPLE_COLUMNS)].to_parquet(folder / names.SAMPLE_FILE)
    var[list(names.FEATURE_COLUMNS)].to_parquet(folder / names.FEATURE_FILE)
    for key, file in names.PROJECTION_FILES.items():
        columns = names.PROJECTION_COLUMNS[key]
        places = rng.normal(0, 5, (7, len(columns)))[kinds] + rng.normal(0, 1, (n_cells, len(columns)))
        pd.DataFrame(places.astype(np.float32), index=obs.index, columns=columns).to_parquet(folder / file)
    _texts(folder, obs, x)
    return folder


def _cells(rng, n_cells):
    donors = study.donors().to_pandas()
    at = np.arange(n_cells) % 17
    assay = np.where(at % 2 == 0, "cells", "nuclei")
    seen_in = {a: [k for k, label in enumerate(LABELS) if label[3] in (None, a)] for a in ("cells", "nuclei")}
    kinds = np.array([rng.choice(seen_in[a]) for a in assay])
    obs = pd.DataFrame(index=[f"lib{d:02d}-{i:016d}" for i, d in enumerate(at)])
    of_donors = donors.iloc[at].rename(columns={"Age_group_5y": "Age_group"}).set_index(obs.index)
    obs = of_donors[["DonorID", "Age_group", "Age_bin", "Sex"]].copy()
    obs["SampleID"] = [f"lib{d:02d}" for d in at]
    obs["batch"] = assay
    obs["10X_version"] = "3'v3"
    for level, column in enumerate(names.LEVELS):
        obs[column] = pd.Categorical([LABELS[k][level] for k in kinds])
    obs["percent_mito"], obs["percent_ribo"] = rng.uniform(0, 15, n_cells), rng.uniform(0, 9, n_cells)
    obs["scrublet_score"] = rng.uniform(0, 0.4, n_cells)
    obs["age_numeric"] = [sum(map(int, group.split("-"))) / 2 for group in obs["Age_group"]]
    return obs, kinds


def _genes(n_genes):
    genes = study.genes().to_pandas().drop_duplicates("symbol")
    wanted = ["MYH7", "MYH2", "XIST", "RPS4Y1", "CDKN2A", "TP53", "CCL2"]
    first = genes[genes.symbol.isin(wanted)]
    rest = genes[~genes.symbol.isin(wanted)].iloc[:: len(genes) // n_genes]
    chosen = pd.concat([first, rest]).iloc[:n_genes]
    columns = {"ENSEMBL": chosen.ensembl_id.to_numpy(), "SYMBOL": chosen.symbol.to_numpy()}
    return pd.DataFrame(columns, index=chosen.symbol.to_numpy())


def _texts(folder, obs, x):
    counts = {c: {k: int(v) for k, v in obs[c].value_counts().items()} for c in names.LEVELS}
    structure = {"obsm_keys": ["X_scVI", "X_umap"], "annotation_mapping": counts, "shape": list(x.shape)}
    (folder / names.STRUCTURE_FILE).write_text(json.dumps(structure))
    ratio = [0.15, 0.03, *[0.001] * 48]
    pca = {"zero_center": True, "use_highly_variable": False, "mask_var": None}
    unstructured = {
        "pca": {"params": pca, "variance_ratio": ratio},
        "neighbors": {"params": {"n_neighbors": 15, "method": "umap", "n_pcs": 40}},
        "tsne": {"params": {"perplexity": 30, "early_exaggeration": 12, "learning_rate": 1000}},
    }
    (folder / names.UNSTRUCTURED_FILE).write_text(json.dumps(unstructured))
    (folder / names.VALIDATION_FILE).write_text(json.dumps({"tests_passed": 34, "tests_total": 34}))
    (folder / names.README_FILE).write_text("---\nlicense: mit\n---\n# A small release\n")
    (folder / names.LICENSE_FILE).write_text("MIT License\n")
