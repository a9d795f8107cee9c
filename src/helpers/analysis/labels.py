"""Labels of the cells: how many, in which assay, whether they form a tree, whether they are as planted."""

import difflib
import time
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import scipy.sparse as sp

from helpers import names
from helpers.analysis.donors import known
from helpers.facts import study

COUNT_SCHEMA = {"label": pl.String, "cells": pl.Int64, "nuclei": pl.Int64, "total": pl.Int64}
TREE_SCHEMA = {
    "finer": pl.String,
    "label": pl.String,
    "expected": pl.String,
    "found": pl.String,
    "cells": pl.Int64,
}
STUDY_SCHEMA = {"what": pl.String, "published": pl.Float64, "found": pl.Float64}


def count(obs: pl.DataFrame, *, level: str = names.LEVEL0) -> pl.DataFrame:
    """Count cells and nuclei per label, commonest label first; empty if the source has no such labels.

    Barcodes of a source that states no assay count in `total` alone.
    """
    if not known(obs, level):
        return pl.DataFrame(schema=COUNT_SCHEMA)
    return (
        obs.group_by(pl.col(level).cast(pl.String).alias("label"))
        .agg(
            *(
                (pl.col(names.ASSAY).cast(pl.String) == assay).sum().cast(pl.Int64).alias(assay)
                for assay in (names.CELLS, names.NUCLEI)
            ),
            pl.len().cast(pl.Int64).alias("total"),
        )
        .sort("total", "label", descending=[True, False])
        .select(*COUNT_SCHEMA)
    )


def distinct(obs: pl.DataFrame, level: str) -> int:
    """Return the number of different labels of one level; 0 if the source has none."""
    return obs[level].drop_nulls().n_unique() if known(obs, level) else 0


def check_tree(obs: pl.DataFrame) -> pl.DataFrame:
    """List the barcodes whose label hangs under another parent than most of its kind.

    Returns
    -------
    polars.DataFrame
        finer (column of the label), label, expected parent (the commonest), found parent, cells. Empty for a tree.
    """
    tables = [pl.DataFrame(schema=TREE_SCHEMA)]
    for upper, finer in ((names.LEVEL0, names.LEVEL1), (names.LEVEL1, names.LEVEL2)):
        if not known(obs, upper, finer):
            continue
        pairs = (
            obs.group_by(
                pl.col(finer).cast(pl.String).alias("label"), pl.col(upper).cast(pl.String).alias("found")
            )
            .agg(pl.len().cast(pl.Int64).alias("cells"))
            .sort("label", "cells", "found", descending=[False, True, False])
            .with_columns(pl.col("found").first().over("label").alias("expected"))
            .filter(pl.col("found") != pl.col("expected"))
        )
        tables.append(pairs.select(pl.lit(finer).alias("finer"), "label", "expected", "found", "cells"))
    return pl.concat(tables)


def weigh(matrix: sp.csr_matrix) -> dict[str, float]:
    """Return the share of zeros of a sparse matrix and its size in GiB, sparse as held and dense as float32."""
    held = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
    cells, genes = matrix.shape
    return {
        "zero_share": 1 - matrix.nnz / max(cells * genes, 1),
        "sparse_gib": held / 2**30,
        "dense_gib": cells * genes * np.dtype(np.float32).itemsize / 2**30,
    }


def look_up(
    read: Callable[[Sequence[str]], pl.DataFrame], gene: str, known_genes: Sequence[str]
) -> dict[str, float | str | None]:
    """Read one gene of all cells: the share of cells that see it and the seconds it took.

    Parameters
    ----------
    read
        Returns the columns of the genes that it is given.
    gene
        Symbol.
    known_genes
        Genes of the source. Where the gene is not among them, the values are none and `note` names the nearest.
    """
    if gene not in set(known_genes):
        near = difflib.get_close_matches(gene, [str(name) for name in known_genes], n=3)
        return {
            "share": None,
            "seconds": None,
            "note": f"not in this source; nearest: {', '.join(near) or 'none'}",
        }
    start = time.perf_counter()
    values = read([gene])[gene]
    return {
        "share": float((values > 0).mean() or 0.0),
        "seconds": time.perf_counter() - start,
        "note": "found",
    }


def compare_with_truth(obs: pl.DataFrame, truth: pl.DataFrame | None) -> dict[str, float | None]:
    """Compare the loaded labels with the planted ones, barcode by barcode.

    Parameters
    ----------
    obs
        One row a cell.
    truth
        The planted labels (barcode, true_level0, mislabeled), or none for real data.

    Returns
    -------
    dict
        `aligned`, the share of barcodes not mislabeled on purpose whose coarse label is the planted one (1 if loading
        lost nothing), and `mislabeled`, the share planted wrong; both none without a truth.
    """
    if truth is None or not known(obs, names.LEVEL0):
        return {"aligned": None, "mislabeled": None}
    both = obs.select(names.BARCODE, pl.col(names.LEVEL0).cast(pl.String)).join(
        truth, on=names.BARCODE, how="left"
    )
    kept = both.filter(~pl.col("mislabeled").fill_null(value=False))
    right = (kept[names.LEVEL0] == kept["true_level0"].cast(pl.String)).fill_null(value=False)
    return {"aligned": float(right.mean() or 0.0), "mislabeled": float(both["mislabeled"].mean() or 0.0)}


def beside_the_study(obs: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """Put published figures beside those of the loaded source: sizes, donors, labels, medians, shares.

    Parameters
    ----------
    obs
        One row a cell.
    people
        What `donors.by_donor` returns.
    """
    total = max(obs.height, 1)

    def share(column: str, label: str) -> float | None:
        return float((obs[column].cast(pl.String) == label).sum()) / total if known(obs, column) else None

    def median(column: str) -> float | None:
        return float(obs[column].median()) if known(obs, column) else None

    rows = [
        ("barcodes", study.N_CELLS, obs.height),
        ("donors", 17, people.height or None),
        ("donors with cells", 12, people.filter(pl.col(names.CELLS) > 0).height or None),
        ("donors with nuclei", 13, people.filter(pl.col(names.NUCLEI) > 0).height or None),
        *(
            (f"labels, {level}", number, distinct(obs, level) or None)
            for level, number in study.N_LABELS.items()
        ),
        ("median genes per barcode", study.MEDIAN_GENES, median(names.N_GENES)),
        ("median counts per barcode", study.MEDIAN_COUNTS, median(names.N_COUNTS)),
        *(
            (f"share of barcodes: {label}", number / study.N_CELLS, share(column, label))
            for column, numbers in (
                (names.ASSAY, study.N_BY_ASSAY),
                (names.AGE_BIN, study.N_BY_AGE_BIN),
                (names.SEX, study.N_BY_SEX),
                (names.AGE_GROUP, study.N_BY_AGE_GROUP),
            )
            for label, number in numbers.items()
        ),
    ]
    return pl.DataFrame(rows, schema=STUDY_SCHEMA, orient="row")
