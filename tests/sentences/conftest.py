from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(scope="session")
def shared():
    """Folder of facts and real files beside the repository; not part of it."""
    if not SHARED.is_dir():
        pytest.skip("no folder 'shared' beside the repository: facts and real files are not here")
    return SHARED


def make_cells(counts, *, genes=None, donors=None, stages=None, dtype=np.float32, **obs):
    counts = np.asarray(counts, dtype)
    frame = pd.DataFrame(obs, index=[f"cell{i}" for i in range(len(counts))])
    if donors is not None:
        frame["donor_id"] = pd.Categorical(donors)
    if stages is not None:
        frame["development_stage"] = pd.Categorical(stages)
    genes = genes or [f"G{j:03d}" for j in range(counts.shape[1])]
    return anndata.AnnData(sp.csr_matrix(counts), obs=frame, var=pd.DataFrame(index=genes))


@pytest.fixture(scope="session", name="make_cells")
def fixture_make_cells():
    """The function above, for tests that need cells of their own."""
    return make_cells


@pytest.fixture
def cells():
    """60 cells of 12 donors, 40 genes, with many ties."""
    rng = np.random.default_rng(5)
    counts = rng.poisson(rng.gamma(0.4, 2.0, 40), (60, 40))
    donors = [f"d{i // 5:02d}" for i in range(60)]
    stages = [f"{20 + 5 * (i // 5)}-year-old stage" for i in range(60)]
    adata = make_cells(counts, donors=donors, stages=stages, genes=[f"G{j:03d}" for j in rng.permutation(40)])
    adata.obs["cell_type"] = pd.Categorical([f"type {i % 3}" for i in range(60)])
    adata.obs["tissue"] = pd.Categorical(["muscle"] * 60)
    return adata


@pytest.fixture
def file(cells, tmp_path):
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    return path
