"""A simulated atlas, in memory and on disk: the twelve files of the real one, with its quirks, and a folder of truth."""

import itertools
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
from anndata import AnnData

from helpers import files, names
from helpers.errors import ParameterError
from helpers.facts import study
from helpers.simulate import cells, cohort, genes
from helpers.simulate.cohort import DECADE, LATE_TYPE, PLANTED, SILENT

KIND = "simulated release"
SMALLEST_SCALE = 0.001
_BLOCK = 256  # genes made dense at once
TRUTH_VERSION = 2
_PLANTED = "log2_change_per_decade"
_TEXTS = Path(study.__file__).with_name("tables")


@dataclass(frozen=True)
class Simulation:
    """Everything one simulation made: the atlas, the cells with their truth, the planted genes."""

    adata: AnnData
    cells: pl.DataFrame
    age_effects: pl.DataFrame
    scale: float
    seed: int


def _observe(frame: pl.DataFrame, counts: sp.csr_matrix) -> pd.DataFrame:
    """Return the 16 columns of the sample metadata, with the quality columns computed from the counts."""
    symbols = genes.list_genes()[names.GENE]
    total = np.asarray(counts.sum(axis=1)).ravel().astype(np.float64)
    members = (symbols.str.contains(start).to_numpy() for start in ("^MT-", "^RP[LS]"))
    mito, ribo = ((100 * (counts @ member) / total).astype(np.float32) for member in members)
    quality = (total.astype(np.float32), np.diff(counts.indptr).astype(np.int64), mito, ribo)
    computed = dict(zip(names.QUALITY_COLUMNS[:4], quality, strict=True))
    obs = frame.with_columns(**computed).select(names.SAMPLE_COLUMNS).to_pandas()
    obs.index = pd.Index(frame[names.BARCODE].to_list())
    return obs.astype(dict.fromkeys(names.LABEL_COLUMNS, "category"))


def simulate(*, scale: float = 0.08, seed: int = 1) -> Simulation:
    """Simulate an atlas with its truth; a `scale` of one gives exactly the published number of cells of every label.

    Everything random follows from `seed`: the same seed gives the same atlas, whatever the number of threads.
    """
    if not SMALLEST_SCALE <= scale <= 1:
        msg = f"scale {scale!r} is not a share of the release: give a number from {SMALLEST_SCALE} to 1."
        raise ParameterError(msg)
    means = {assay: genes.make_profiles(assay, seed=seed) for assay in (names.CELLS, names.NUCLEI)}
    age_effects = genes.list_age_effects(means, seed=seed)
    frame = cells.make_cells(scale=scale, seed=seed)
    counts = cells.draw_counts(frame, means, age_effects, seed=seed)
    scored = cells.score_doublets(counts, frame[names.SAMPLE].to_numpy(), seed=seed)
    frame = frame.with_columns(pl.Series(names.DOUBLET_SCORE, scored))
    total = np.asarray(counts.sum(axis=1)).ravel()
    values = np.empty(counts.nnz, np.float32)
    cells.log_normalize(counts.indptr, counts.data, total, values)
    x = sp.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)
    scores, variance, ratio = cells.fit_pca(x, seed=seed)
    latent = cells.make_latent(frame, seed=seed)
    maps = {names.SCVI: latent, names.PCA: scores}
    for key, word in ((names.UMAP, "umap"), (names.TSNE, "tsne")):
        maps[key] = cells.make_plane(frame, latent, seed=seed, key=word)
    var = genes.list_genes().select(names.ENSEMBL, names.SYMBOL, pl.col(names.GENE).alias(names.GENE_IDS))
    var = var.to_pandas().set_index(names.GENE_IDS, drop=False).rename_axis(None)
    var.insert(2, names.N_CELLS, counts.getnnz(axis=0))
    adata = AnnData(x, obs=_observe(frame, counts), var=var, layers={names.COUNTS: counts}, obsm=maps)
    adata.uns["pca"] = {"variance": variance, "variance_ratio": ratio}
    return Simulation(adata, frame, age_effects, scale, seed)


def write(
    folder: Path, *, scale: float = 0.08, seed: int = 1, force: bool = False, owned: bool = False
) -> Path:
    """Simulate an atlas and write it as a release with its truth; a stopped run leaves nothing under `folder`.

    One that was simulated there and not changed since is replaced once the new one is whole; anything else is refused,
    unless by `force`. One of the cache is `owned`.
    """
    folder = Path(folder)
    if owned:
        files.require_writable(folder)
    else:
        files.claim(folder, kind=KIND, force=force)  # before the costly step
    files.drop_leftovers(folder)
    simulation = simulate(scale=scale, seed=seed)
    with files.writing(folder, kind=KIND, force=force, owned=owned) as part:
        part.mkdir()
        _write_files(part, simulation)
    return folder


def _write_files(folder: Path, simulation: Simulation) -> None:
    """Write the twelve files and the truth; keys and parameters of the texts are the real ones, numbers of this matrix."""
    adata = simulation.adata
    _write_expression(folder / names.EXPRESSION_FILE, adata.X, list(adata.var_names))
    adata.obs.to_parquet(folder / names.SAMPLE_FILE)
    adata.var.reset_index(drop=True).to_parquet(folder / names.FEATURE_FILE)
    for key, file in names.PROJECTION_FILES.items():
        columns = list(names.PROJECTION_COLUMNS[key])
        pd.DataFrame(adata.obsm[key], index=adata.obs_names, columns=columns).to_parquet(folder / file)
    _write_truth(folder / names.TRUTH_FOLDER, simulation)
    unstructured = json.loads((_TEXTS / "twin_unstructured.json").read_text())
    unstructured["pca"] |= {key: values.tolist() for key, values in adata.uns["pca"].items()}
    structure = {
        "obsm_keys": [names.SCVI, names.UMAP],
        "var_columns": list(names.FEATURE_COLUMNS[:3]),
        "obs_columns": list(names.SAMPLE_COLUMNS[:-1]),
        "annotation_mapping": {level: adata.obs[level].value_counts().to_dict() for level in names.LEVELS},
        "shape": list(adata.shape),
        "sparsity": float(100 * (1 - adata.X.nnz / np.prod(adata.shape, dtype=np.int64))),
    }
    report = {"simulated": True, "shape": list(adata.shape), "files": list(names.RELEASE_FILES)}
    (folder / names.UNSTRUCTURED_FILE).write_text(json.dumps(unstructured, indent=2))
    (folder / names.STRUCTURE_FILE).write_text(json.dumps(structure, indent=2))
    files.write_json(folder / names.VALIDATION_FILE, report)
    assumed = cohort.list_libraries().filter("donor_assumed").select(names.SAMPLE, names.DONOR).rows()
    made = {"seed": simulation.seed, "scale": simulation.scale, "cells": adata.n_obs, "genes": adata.n_vars}
    made["assumed"] = ", ".join(map(" ".join, assumed))
    readme = (_TEXTS / "twin_readme.md").read_text(encoding="utf-8").format(**made)
    (folder / names.README_FILE).write_text(readme, encoding="utf-8")
    shutil.copyfile(_TEXTS / "twin_license.txt", folder / names.LICENSE_FILE)


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


def composition_slopes() -> pl.DataFrame:
    """Return the planted slope of each label at each level: log2 change of unnormalized abundance per decade.

    At the finer levels it is that of the line through the planted abundances at the ages of the donors of that assay.
    """
    origins = {(assay, label): origin for assay, label, _, origin in cohort.list_slopes().rows()}
    rows = []
    for (assay,), table in cohort.list_labels().group_by(names.ASSAY, maintain_order=True):
        people = cohort.list_libraries().filter(pl.col(names.ASSAY) == assay)
        people = people.unique(names.DONOR, maintain_order=True)
        abundance = np.exp2(cohort.planted_log2(table, people)) * table["n"].to_numpy()
        decades = people[names.EXACT_AGE].to_numpy() / DECADE
        for level in names.LEVELS:
            for label in table[level].unique(maintain_order=True):
                member = (table[level] == label).to_numpy()
                slope = np.polyfit(decades, np.log2(abundance[:, member].sum(axis=1)), 1)[0]
                own = table.filter(member)
                origin = origins[assay, own[names.LEVEL0][0]]
                if level != names.LEVEL0 and own[names.LEVEL2].is_in(list(cohort.SUBTYPE_SLOPES)).any():
                    origin = "assumed"
                rows.append((assay, level, label, float(slope), origin))
    return pl.DataFrame(rows, schema=["assay", "level", "label", _PLANTED, "origin"], orient="row")


def _write_truth(folder: Path, simulation: Simulation) -> None:
    """Write what was planted, and what made it: what scoring may read, and nothing else may.

    ``late_expression`` are the genes whose change is not linear: none up to an age, then so many log2 a decade.
    ``donor_effects`` has the log2 standard deviation between donors of a low, a typical and a high gene; ``ageless``
    types have no planted change of expression but the published genes, ``silent_types`` none at all, nor of their number
    of cells. ``structural_zeros`` is what one assay cannot see.
    """
    changes, seed = simulation.age_effects, simulation.seed
    in_assay = pl.col(names.ASSAY).alias("assay")
    symbols = genes.list_genes().select(names.GENE)
    people, types, libraries = cohort.list_donors(), cohort.list_types(), cohort.list_libraries()
    flat = cohort.list_slopes().filter(pl.col(_PLANTED) == 0)
    silent = flat.select("assay", pl.col("label").alias(names.LEVEL0))
    silent = silent.join(changes, on=["assay", names.LEVEL0], how="anti")

    after = pl.col(_PLANTED) / pl.col("assay").replace_strict(genes.hinge_slopes())
    change = {"after_years": pl.lit(PLANTED.late_after), "log2_change_per_decade_after": after}
    late = changes.filter(pl.col("origin") == "late").select("assay", names.LEVEL0, names.GENE, **change)
    median, low, high = np.quantile(genes.gene_spread(seed) / genes.LN2, (0.5, 0.1, 0.9))
    spreads = {"median_log2_sd": pl.lit(median), "low_log2_sd": pl.lit(low), "high_log2_sd": pl.lit(high)}
    kinds = cohort.list_labels().select(in_assay, names.LEVEL0).unique(maintain_order=True)
    kinds = kinds.join(types.select(names.LEVEL0, "ageless"), on=names.LEVEL0, maintain_order="left")

    factors = [f"factor_{k + 1}" for k in range(PLANTED.factors)]
    pairs = itertools.product(people[names.DONOR], types[names.LEVEL0])
    scores = [(*pair, *genes.factor_scores(seed, *pair)) for pair in pairs]
    loadings = dict(zip(factors, genes.factor_loadings(seed).astype(np.float32), strict=True))

    tubes = libraries.select(names.SAMPLE, in_assay, names.DONOR)
    ambient = pl.Series([genes.ambient_share(seed, *row) for row in tubes.rows()])
    zeros = [(assay, gene) for assay, found in genes.STRUCTURAL_ZEROS.items() for gene in found]
    true = (names.BARCODE, cells.TRUE0, cells.TRUE1, cells.TRUE2, "mislabeled", "doublet", "doublet_with")
    poor = pl.col(names.DONOR).replace_strict(genes.quality(seed))
    stress = pl.col(names.DONOR).replace_strict(genes.stress_shares(seed))
    tables = {
        "age_expression": changes,
        "late_expression": late,
        "sex_expression": genes.list_sex_effects(seed),
        "silent_types": silent.with_columns(common=pl.col(names.LEVEL0) == SILENT),
        "composition": composition_slopes(),
        "donor_effects": kinds.select("assay", names.LEVEL0, **spreads, ageless="ageless"),
        "donor_factors": pl.DataFrame(scores, schema=[names.DONOR, names.LEVEL0, *factors], orient="row"),
        "factor_loadings": symbols.with_columns(**loadings),
        "ambient": tubes.with_columns(ambient_share=ambient, foreign_share=ambient * PLANTED.foreign),
        "chemistry_effects": symbols.with_columns(log2_v3_over_v2=genes.chemistry_log(seed) / genes.LN2),
        "structural_zeros": pl.DataFrame(zeros, schema=["assay", names.GENE], orient="row"),
        "cells": simulation.cells.select(true),
        "donors": people.with_columns(stress_share=stress, poor_quality=poor),
        "libraries": libraries,
    }
    folder.mkdir(parents=True)
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
    made = {"seed": seed, "scale": simulation.scale, "version": TRUTH_VERSION, "simulated": True}
    made["planted"] = asdict(PLANTED) | {"silent_type": SILENT, "late_type": LATE_TYPE}
    files.write_json(folder / "simulation.json", made)
