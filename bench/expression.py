"""Measure the age tests: false positives, false discoveries, coverage over seeds; time at any scale.

python bench/expression.py                 # five seeds of the default size, about five minutes
python bench/expression.py --seeds 3
python bench/expression.py --scale 1 --seeds 1 --nulls 0   # full size: times and peak memory
"""

import argparse
import json
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import edgepython as ep
import numpy as np
import pandas as pd
import polars as pl
from patsy import dmatrix
from scipy import stats

from helpers import budget, names
from helpers.atlas.columns import tabulate
from helpers.simulate import release
from helpers.stats import expression, permute, score

TRUSTS = (1.0, 0.75)  # edgeR as published, and its prior trusted less


def measure(seed, *, scale, age_as, nulls):
    """One simulated atlas: everything tested and scored, with the prior as published and trusted less."""
    simulation = release.simulate(scale=scale, seed=seed)
    planted = simulation.age_effects
    cells = simulation.adata
    donors = find_donors(cells)
    rows, types = [], []
    for trust in TRUSTS:
        started = time.monotonic()
        tests, refusals = expression.screen(cells, donors, age_as=age_as, prior_trust=trust)
        seconds = time.monotonic() - started
        scored = score.score_changes(tests, planted)
        by_type = score.summarize_tests(scored)
        row = {
            "seed": seed,
            "age_as": age_as,
            "prior_trust": trust,
            "tests": by_type.height,
            "refused": refusals.height,
        }
        row |= score.summarize_calls(scored)
        row["mean_false_discovery_proportion"] = by_type["false_discovery_proportion"].mean()
        row["below_0.001"] = scored.filter("is_null").select((pl.col("p") < 0.001).mean()).item() / 0.001
        row |= {"seconds_screen": seconds}
        if nulls:
            row |= measure_null(cells, donors, n=nulls, age_as=age_as, prior_trust=trust)
        row["peak_memory"] = budget.to_text(budget.peak_bytes())
        rows.append(row)
        types.append(by_type.with_columns(seed=seed, prior_trust=trust))
    return rows, pl.concat(types, how="vertical_relaxed")


def find_donors(cells):
    """The donors' table of a simulated atlas, as its reader makes it."""
    wanted = (
        names.DONOR,
        names.SEX,
        names.ASSAY,
        names.CHEMISTRY,
        names.AGE_GROUP,
        names.AGE_BIN,
        names.AGE_MIDPOINT,
    )
    numbers = {names.AGE_MIDPOINT}
    return tabulate(
        pl.DataFrame(
            {
                name: cells.obs[name].astype(float if name in numbers else str).to_numpy()
                for name in wanted
                if name in cells.obs
            }
        )
    )


def choose_stem_cells(cells, donors, *, age_as="exact"):
    """Counts, donors and design of the stem cells."""
    mine = (cells.obs[names.LEVEL0] == "MuSC") & (cells.obs[names.ASSAY] == names.CELLS)
    profiles = expression.sum_profiles(cells[mine.to_numpy()], donors)
    chosen = expression.choose_donors(profiles.obs, age_as=age_as)
    counts = expression.find_expressed(profiles.to_df("sum").T[chosen[names.DONOR]])
    return chosen, counts, dmatrix(expression.write_formula(chosen), chosen, return_type="dataframe")


def measure_null(cells, donors, *, n, age_as, prior_trust):
    """The test of the stem cells on ages dealt within sex and chemistry; beside edgeR as published limma's voom."""
    chosen, counts, design = choose_stem_cells(cells, donors, age_as=age_as)
    dealt = permute.deal(chosen["coded_age"], strata=chosen[["Sex", "chemistry"]], draws=n, seed=0)
    started = time.monotonic()
    found = summarize_nulls(
        edger_on_deals(counts, design, dealt, prior_trust=prior_trust), "null_rate_donors"
    )
    found |= {"permutations": dealt.n - 1, "seconds_permutations": time.monotonic() - started}
    if prior_trust == 1:
        found |= summarize_nulls(voom_on_deals(counts, design, dealt), "voom_null_rate")
    return found


def edger_on_deals(counts, design, dealt, *, prior_trust=1.0):
    """p-values of every gene on each dealt ages: deals x genes."""
    sizes = expression.find_sizes(counts)
    tests = (
        expression.run_test(counts, design.assign(coded_age=ages), sizes=sizes, prior_trust=prior_trust)
        for ages in dealt.values[1:]
    )
    return np.array([test.sort("gene")["p"].to_numpy() for test in tests])


def voom_on_deals(counts, design, dealt):
    """The same with limma's voom: precision weights, a linear model, variances moderated on their trend."""
    sizes, rows = expression.find_sizes(counts), []
    for ages in dealt.values[1:]:
        terms = design.assign(coded_age=ages)
        fit = ep.voom_lmfit(counts.to_numpy(float), design=terms.to_numpy(float), lib_size=sizes)
        fit = fit.get("fit", fit)
        squeezed = ep.squeeze_var(fit["sigma"] ** 2, fit["df_residual"], covariate=fit["Amean"])
        place = terms.columns.get_loc("coded_age")
        error = fit["stdev_unscaled"][:, place] * np.sqrt(squeezed["var_post"])
        df = np.minimum(fit["df_residual"] + squeezed["df_prior"], np.sum(fit["df_residual"]))
        rows.append(2 * stats.t.sf(np.abs(fit["coefficients"][:, place] / error), df))
    return np.array(rows)


def summarize_nulls(p, name):
    """Mean share below 0.05 with its spread between deals, and how many deals lead to a call."""
    rates = (p < 0.05).mean(axis=1)
    with_calls = np.mean([(stats.false_discovery_control(row) < 0.1).any() for row in p])
    return {name: rates.mean(), f"{name}_spread": rates.std(), f"{name}_with_calls": with_calls}


def measure_people(path, *, people=12, total=200_000, draws=50, seed=0):
    """A null that is no simulation: real counts, thinned to a profile's molecules, the book's ages dealt at random."""
    if path is None:
        return (
            "Real counts: no file was given (--counts, a table of genes by people), and no package known here ships counts "
            "of a dozen people: this null was left out."
        )
    table = (
        pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, sep=None, engine="python")
    )
    counts = table.select_dtypes("number").to_numpy()
    rng = np.random.default_rng(seed)
    counts = counts[:, rng.permutation(counts.shape[1])[:people]]
    thin = rng.binomial(counts.astype(np.int64), np.minimum(1, total / counts.sum(axis=0)))
    thin = expression.find_expressed(pd.DataFrame(thin, table.index.astype(str)))
    ages = np.array([1.9, 2.2, 2.5, 2.9, 3.2, 3.6, 6.1, 6.5, 6.9, 7.1, 7.4, 7.9])[: thin.shape[1]]
    design = pd.DataFrame({"Intercept": 1.0, "coded_age": ages})
    dealt = permute.deal(ages, draws=draws, seed=seed)
    row = {"people": thin.shape[1], "genes": thin.shape[0]}
    row |= summarize_nulls(edger_on_deals(thin, design, dealt), "edger")
    row |= summarize_nulls(edger_on_deals(thin, design, dealt, prior_trust=0.75), "edger_trust_0.75")
    row |= summarize_nulls(voom_on_deals(thin, design, dealt), "voom")
    return f"Real counts of {path.name}: {json.dumps(row, default=float)}"


def compare_with_pydeseq2(cells, donors):
    """Fit the stem cells with edgePython and with PyDESeq2, where it is installed, in one process."""
    if find_spec("pydeseq2") is None:
        return "PyDESeq2 is not installed: no comparison."
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.ds import DeseqStats

    _, counts, design = choose_stem_cells(cells, donors)
    started = time.monotonic()
    ours = expression.run_test(counts, design)
    seconds = time.monotonic() - started
    matrix = pd.DataFrame(design.to_numpy(), counts.columns, list(design.columns))
    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = DeseqDataSet(counts=counts.T.astype(int), metadata=matrix, design=matrix, quiet=True)
        data.deseq2()
        found = DeseqStats(data, contrast=(design.columns == "coded_age").astype(float), quiet=True)
        found.summary()
    theirs = time.monotonic() - started
    both = found.results_df.loc[ours["gene"].to_list(), "log2FoldChange"]
    same = np.corrcoef(both.fillna(0), ours["log2_change"])[0, 1]
    return (
        f"one fit, {counts.shape[1]} donors x {counts.shape[0]:,} genes: edgePython {seconds:.1f} s, PyDESeq2 {theirs:.1f} s, "
        f"{theirs / seconds:.0f} times; correlation of the changes {same:.3f}"
    )


def warm():
    """Compile before anything is timed."""
    started = time.monotonic()
    counts = pd.DataFrame(np.random.default_rng(0).poisson(80, (200, 6)))
    design = pd.DataFrame({"Intercept": 1.0, "coded_age": [1.9, 2.9, 2.8, 6.0, 7.0, 7.4]})
    expression.run_test(counts, design)
    return time.monotonic() - started


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5, help="simulated atlases")
    parser.add_argument("--first", type=int, default=11, help="first seed; those below tuned the twin")
    parser.add_argument("--scale", type=float, default=0.08, help="share of the release's cells")
    parser.add_argument("--age-as", default="exact", choices=["exact", "midpoint", "bin"])
    parser.add_argument("--nulls", type=int, default=50, help="permutations of the stem cells; 0 for none")
    parser.add_argument("--counts", type=Path, help="real counts, genes x people, for a null that is no twin")
    options = parser.parse_args()
    print(f"first fit, compiled or from the cache: {warm():.1f} s")
    cells = release.simulate(scale=options.scale, seed=1).adata
    print(compare_with_pydeseq2(cells, find_donors(cells)), flush=True)
    del cells
    print(measure_people(options.counts), flush=True)
    rows, types = [], []
    for seed in range(options.first, options.first + options.seeds):
        found, by_type = measure(seed, scale=options.scale, age_as=options.age_as, nulls=options.nulls)
        rows += found
        types.append(by_type)
        for row in found:
            print(json.dumps(row, default=float), flush=True)
    table = pl.DataFrame(rows, infer_schema_length=None)
    numbers = [
        name
        for name in table.columns
        if table[name].dtype.is_numeric() and name not in ("seed", "prior_trust")
    ]
    for mean in table.group_by("prior_trust").agg(pl.col(numbers).mean()).sort("prior_trust").to_dicts():
        print("mean over seeds:", json.dumps(mean))
    with pl.Config(tbl_rows=120, tbl_width_chars=180, tbl_cols=12):
        per_type = pl.concat(types, how="vertical_relaxed").group_by("cell_type", "assay", "prior_trust")
        columns = ("cells_per_donor", "false_discovery_proportion", "power", "coverage", "null_rate", "calls")
        print(
            per_type.agg(pl.len().alias("seeds"), *(pl.col(name).mean() for name in columns)).sort(
                "cells_per_donor", "cell_type", "prior_trust"
            )
        )


if __name__ == "__main__":
    main()
