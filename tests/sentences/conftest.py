import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp


@pytest.fixture
def cells():
    """60 cells of 12 donors, 40 genes, with many ties."""
    rng = np.random.default_rng(5)
    counts = rng.poisson(rng.gamma(0.4, 2.0, 40), (60, 40)).astype(np.float32)
    labels = {
        "donor_id": [f"d{i // 5:02d}" for i in range(60)],
        "development_stage": [f"{20 + 5 * (i // 5)}-year-old stage" for i in range(60)],
        "cell_type": [f"type {i % 3}" for i in range(60)],
        "tissue": ["muscle"] * 60,
    }
    obs = pd.DataFrame(labels, index=[f"cell{i}" for i in range(60)], dtype="category")
    var = pd.DataFrame(index=[f"G{j:03d}" for j in rng.permutation(40)])
    return anndata.AnnData(sp.csr_matrix(counts), obs, var)


@pytest.fixture
def file(cells, tmp_path):
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    return path
