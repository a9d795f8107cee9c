"""Measure the age tests: false positives, false discoveries, coverage over seeds; time at any scale.

python bench/expression.py                 # six seeds of the default size, about five minutes
python bench/expression.py --seeds 3
python bench/expression.py --scale 1 --seeds 1 --nulls 0   # full size: times and peak memory
"""

import argparse
import json
import time
import warnings
from importlib.util import find_spec

import anndata
import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp

from helpers import budget, names
from helpers.analysis import expression, fits, naive, permutation, pseudobulk, scoring, screen, trial
from helpers.analysis.design import Comparison
from helpers.simulate import atlas, truth


def measure(seed, *, scale, age_as, nulls):
    """One simulated atlas: everything tested, everything scored."""
    simulation = atlas.simulate(scale=scale, seed=seed)
    planted = truth.age_expression(simulation)
    cells = simulation.adata
    comparison = Comparison(age_as=age_as)
    started = time.monotonic()
    profiles = pseudobulk.sum_by_donor(cells)
    seconds = {"pseudobulk": time.monotonic() - started}
    started = time.monotonic()
    tests, refusals = screen.age_de_everywhere(profiles, comparison=comparison)
    seconds["age_de_everywhere"] = time.monotonic() - started
    scored = screen.score_everywhere(profiles, tests, planted, comparison=comparison)
    by_type = screen.summarize_tests(scored)
    sure = scored.filter(
        (pl.col("origin") == "published") & (pl.col("power") > 0.8) & (pl.col("planted") != 0)
    )
    row = {"seed": seed, "age_as": age_as, "tests": by_type.height, "refused": refusals.height}
    row |= scoring.summarize_calls(scored)
    row["mean_false_discovery_proportion"] = by_type["false_discovery_proportion"].mean()
    row["sure_published"] = sure.height
    row["sure_published_right"] = int((sure["planted"].sign() == sure["log2_change"].sign()).sum())
    if nulls:
        row |= measure_null(profiles, cells, comparison, n=nulls, seconds=seconds)
    row |= {f"seconds_{name}": value for name, value in seconds.items()}
    row["peak_memory"] = budget.to_text(budget.peak_bytes())
    return row, by_type.with_columns(seed=seed)


def measure_null(profiles, cells, comparison, *, n, seconds):
    """Both tests of the stem cells on permuted ages."""
    test = trial.begin(profiles, cell_type="MuSC", assay=names.CELLS, comparison=comparison)
    _, chosen = test.compare_cells(cells)
    started = time.monotonic()
    null = test.permute(chosen, n=n, seed=0)
    seconds["permutations"] = time.monotonic() - started
    rates = null.summary.filter(pl.col("test") == permutation.DONORS)["false_positive_rate"]
    return {
        "permutations": len(null.p_donors),
        "null_rate_donors": null.rate("donors"),
        "null_rate_donors_spread": float(rates.std() or 0),
        "null_rate_cells": null.rate("cells"),
        "sex_genes_called": trial_sex_calls(test),
    }


def trial_sex_calls(test):
    """Genes of sex among the calls of the donor-level test."""
    return test.calls.filter(pl.col("gene").is_in(naive.list_sex_genes())).height


def compare_with_pydeseq2(profiles, comparison):
    """Fit the stem cells with this package's engine and with PyDESeq2, where it is installed, in one process."""
    if find_spec("pydeseq2") is None:
        return "PyDESeq2 is not installed: no comparison."
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.ds import DeseqStats

    prepared = expression.prepare(profiles, cell_type="MuSC", assay=names.CELLS, comparison=comparison)
    started = time.monotonic()
    ours = fits.tabulate(prepared, expression.fit_age(prepared)).sort("gene")
    seconds = time.monotonic() - started
    design = prepared.design
    matrix = pd.DataFrame(design.matrix, columns=list(design.columns), index=design.donors["donor"])
    counts = pd.DataFrame(prepared.counts.T.astype(int), columns=prepared.genes, index=matrix.index)
    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = DeseqDataSet(counts=counts, metadata=matrix, design=matrix, quiet=True)
        data.deseq2()
        place = np.zeros(matrix.shape[1])
        place[1] = 1  # age follows the intercept
        found = DeseqStats(data, contrast=place, quiet=True)
        found.summary()
    theirs = time.monotonic() - started
    both = found.results_df.loc[ours["gene"].to_list(), "log2FoldChange"]
    same = np.corrcoef(both.fillna(0), ours["log2_change"])[0, 1]
    return (
        f"one fit, {counts.shape[0]} donors x {counts.shape[1]:,} genes: this package {seconds:.1f} s, PyDESeq2 {theirs:.1f} s, "
        f"{theirs / seconds:.0f} times; correlation of the changes {same:.3f}"
    )


def warm():
    """Compile before anything is timed."""
    generator = np.random.default_rng(0)
    started = time.monotonic()
    people = [
        ("470BR", 19, "M"),
        ("411C", 29, "M"),
        ("583B", 28, "M"),
        ("362C", 60, "M"),
        ("367C", 70, "F"),
        ("640C", 74, "F"),
    ]
    obs = pd.DataFrame(
        people, columns=[names.DONOR, names.EXACT_AGE, names.SEX], index=[row[0] for row in people]
    )
    obs[names.ASSAY], obs[names.LEVEL0], obs[names.N_CELLS] = names.CELLS, "MuSC", 100
    profiles = anndata.AnnData(sp.csr_matrix(generator.poisson(80, (6, 200))), obs=obs)
    expression.age_de(profiles, cell_type="MuSC", assay=names.CELLS)
    return time.monotonic() - started


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=6, help="simulated atlases")
    parser.add_argument(
        "--scale", type=float, default=atlas.DEFAULT_SCALE, help="share of the release's cells"
    )
    parser.add_argument("--age-as", default="exact", choices=["exact", "midpoint", "bin"])
    parser.add_argument("--nulls", type=int, default=50, help="permutations of the stem cells; 0 for none")
    options = parser.parse_args()
    print(f"first fit, compiled or from the cache: {warm():.1f} s")
    cells = atlas.simulate(scale=options.scale, seed=1).adata
    print(
        compare_with_pydeseq2(pseudobulk.sum_by_donor(cells), Comparison(age_as=options.age_as)), flush=True
    )
    del cells
    rows, types = [], []
    for seed in range(1, options.seeds + 1):
        row, by_type = measure(seed, scale=options.scale, age_as=options.age_as, nulls=options.nulls)
        rows.append(row)
        types.append(by_type)
        print(json.dumps(row, default=float), flush=True)
    table = pl.DataFrame(rows, infer_schema_length=None)
    numbers = [column for column in table.columns if table[column].dtype.is_numeric() and column != "seed"]
    print("mean over seeds:", json.dumps(table.select(pl.col(numbers).mean()).row(0, named=True)))
    with pl.Config(tbl_rows=60, tbl_width_chars=160):
        per_type = pl.concat(types, how="vertical_relaxed").group_by("cell_type", "assay")
        columns = ("cells_per_donor", "false_discovery_proportion", "power", "coverage", "null_rate", "calls")
        print(
            per_type.agg(pl.len().alias("seeds"), *(pl.col(name).mean() for name in columns)).sort(
                "cells_per_donor"
            )
        )


if __name__ == "__main__":
    main()
