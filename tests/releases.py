"""A small release that follows the card, made without the simulator: 17 donors, some labels, 220 genes."""

import json
from dataclasses import dataclass
from pathlib import Path

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


@dataclass
class Small:
    """Cells of the 17 donors in turn, every number consistent; `counts` and `x` are what a reader must find."""

    n_cells: int = 680
    n_genes: int = 220
    seed: int = 5
    genes: list[str] | None = None  # in place of so many of the study

    def __post_init__(self):
        rng = np.random.default_rng(self.seed)
        self.obs, kinds = _cells(rng, self.n_cells)
        self.var = _genes(self.n_genes) if self.genes is None else _named(self.genes)
        self.genes, self.barcodes, n = list(self.var.index), list(self.obs.index), len(self.var)
        raw = rng.poisson(rng.gamma(0.15, 4.0, n) * np.where(rng.random((7, n)) < 0.3, 4, 0.4)[kinds])
        raw[np.arange(self.n_cells), rng.integers(0, n, self.n_cells)] = 1  # a single molecule in every cell
        self.counts, totals = raw, raw.sum(1)
        self.x = np.log1p(raw / totals[:, None] * 1e4).astype(np.float32)
        self.obs[names.N_COUNTS], self.obs[names.N_GENES] = totals.astype(np.float32), (raw > 0).sum(1)
        self.obs = self.obs[list(names.SAMPLE_COLUMNS)]
        self.var[names.N_CELLS], self.var[names.GENE_IDS] = (raw > 0).sum(0), self.var.index
        self.maps = {}
        for key, columns in names.PROJECTION_COLUMNS.items():
            shape = len(self.obs), len(columns)
            places = rng.normal(0, 5, (7, shape[1]))[kinds] + rng.normal(0, 1, shape)
            self.maps[key] = places.astype(np.float32)

    @property
    def umap(self):
        return self.maps[names.UMAP]

    def assert_held(self, adata, rows=slice(None), columns=slice(None)):
        """Assert that values and counts of these cells and genes are what was written."""
        found = adata.layers[names.COUNTS]
        np.testing.assert_array_equal(adata.X.toarray(), self.x[rows][:, columns])
        np.testing.assert_array_equal(found.toarray(), self.counts[rows][:, columns])
        assert (adata.X.dtype, found.dtype) == (np.float32, np.int32)

    def write(self, folder, *, barcodes_in_expression=False):
        """Write the way the release was written: pandas, nameless index, expression without barcodes."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        index = self.barcodes if barcodes_in_expression else None
        expression = pd.DataFrame(self.x, index=index, columns=self.genes)
        expression.to_parquet(folder / names.EXPRESSION_FILE, row_group_size=self.n_cells)
        self.obs.to_parquet(folder / names.SAMPLE_FILE)
        self.var.to_parquet(folder / names.FEATURE_FILE)
        for key, file in names.PROJECTION_FILES.items():
            table = pd.DataFrame(self.maps[key], index=self.barcodes, columns=names.PROJECTION_COLUMNS[key])
            table.to_parquet(folder / file)
        _texts(folder, self.obs, self.x)
        return folder


def write_small_release(folder, *, barcodes_in_expression=False, **size):
    return Small(**size).write(folder, barcodes_in_expression=barcodes_in_expression)


def _cells(rng, n_cells):
    donors = study.donors().to_pandas()
    at = np.arange(n_cells) % 17
    assay = np.where(at % 2 == 0, "cells", "nuclei")
    kinds = np.array(
        [rng.choice([k for k, label in enumerate(LABELS) if label[3] in (None, a)]) for a in assay]
    )
    obs = pd.DataFrame(index=[f"lib{d:02d}-{i:016d}" for i, d in enumerate(at)])
    for column in (names.DONOR, names.AGE_BIN, names.SEX):
        obs[column] = donors[column].to_numpy()[at]
    obs[names.AGE_GROUP] = donors["Age_group_5y"].to_numpy()[at]
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
    return _named(chosen.symbol.to_list(), chosen.ensembl_id.to_list())


def _named(symbols, ids=None):
    ids = [f"ENSG{i:011d}" for i in range(len(symbols))] if ids is None else ids
    return pd.DataFrame({names.ENSEMBL: ids, names.SYMBOL: symbols}, index=symbols)


def _texts(folder, obs, x):
    counts = {c: {k: int(v) for k, v in obs[c].value_counts().items()} for c in names.LEVELS}
    structure = {"obsm_keys": ["X_scVI", "X_umap"], "annotation_mapping": counts, "shape": list(x.shape)}
    (folder / names.STRUCTURE_FILE).write_text(json.dumps(structure))
    ratio = [0.15, 0.03, *[0.001] * 48]
    unstructured = {
        "pca": {
            "params": {"zero_center": True, "use_highly_variable": False, "mask_var": None},
            "variance_ratio": ratio,
        },
        "neighbors": {"params": {"n_neighbors": 15, "method": "umap", "n_pcs": 40}},
        "tsne": {"params": {"perplexity": 30, "early_exaggeration": 12, "learning_rate": 1000}},
    }
    (folder / names.UNSTRUCTURED_FILE).write_text(json.dumps(unstructured))
    (folder / names.VALIDATION_FILE).write_text(json.dumps({"tests_passed": 34, "tests_total": 34}))
    (folder / names.README_FILE).write_text("---\nlicense: mit\n---\n# A small release\n")
    (folder / names.LICENSE_FILE).write_text("MIT License\n")
