"""Composition at length: coverage, signs and nulls over many simulated atlases, and the time of permutation tests.

Run: ``PYTHONPATH=src python bench/composition.py [seeds] [null_draws] [scale]``. Prints Markdown tables.
"""

import sys
import time

import numpy as np
import polars as pl
from scipy import stats

from helpers import names
from helpers.analysis import (
    arrangements,
    composition,
    composition_audit,
    composition_design,
    composition_scoring,
    composition_tests,
)
from helpers.facts import fibers
from helpers.simulate import composition as simulated
from helpers.simulate import donors

COVARIATES = [names.SEX, names.CHEMISTRY]


def tables(seed: int, scale: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    known = donors.list_donors().select(names.DONOR, names.EXACT_AGE, names.SEX, names.AGE_BIN)
    counted = pl.concat(
        [simulated.count_labels(a, scale=scale, seed=seed) for a in (names.CELLS, names.NUCLEI)]
    )
    obs = counted.join(known, on=names.DONOR).select(pl.exclude("n").repeat_by("n").explode())
    return composition.composition(obs), composition.composition(obs, unit="library")


def show(title: str, table: pl.DataFrame) -> None:
    print(f"\n## {title}\n")
    with pl.Config(
        tbl_formatting="MARKDOWN",
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        tbl_rows=40,
        tbl_width_chars=200,
    ):
        print(table)


def coverage(seeds: int, scale: float) -> None:
    truth = simulated.list_slopes().rename({names.ASSAY: "assay", "label": "type"})
    scored = []
    for seed in range(seeds):
        table, libraries = tables(seed, scale)
        plan = composition_tests.Plan(draws=2_000, seed=seed)
        results = composition_tests.run_all(table, libraries, covariates=COVARIATES, plan=plan)
        found = composition_scoring.score_all(results, table, truth, covariates=COVARIATES, plan=plan)
        scored.append(found.with_columns(pl.lit(seed).alias("seed")))
    every = pl.concat(scored)
    show(f"Planted slopes, {seeds} atlases of scale {scale:g}", composition_scoring.summarize(every))
    show("By assay", composition_scoring.summarize(every, by=["method", "assay"]))
    spread = (
        every.group_by("method", "type", "assay")
        .agg(pl.col("covered").mean())
        .group_by("method")
        .agg((pl.col("covered") >= 0.9).mean().alias("types covered in 90 % or more of the atlases"))
    )
    show("Types by coverage", spread.sort("method"))


def null(draws: int, scale: float) -> None:
    table, _ = tables(1, scale)
    plan = composition_audit.adjusted_plan(table, COVARIATES)
    found = composition_audit.run_null(table, plan=plan, draws=draws)
    show(f"Ages shuffled {draws} times", composition_audit.false_positives(found))
    uniform = [
        {"method": method, "KS p, one type at a time, smallest of all types": min(
            stats.kstest(part["p"].to_numpy(), "uniform").pvalue for _, part in own.group_by("assay", "type")
        )}
        for (method,), own in found.group_by("method")
    ]  # fmt: skip
    show("Uniform under the null", pl.DataFrame(uniform).sort("method"))


def uniform_permutation() -> None:
    from helpers.analysis import draws

    units, found = draws.donors(12, total=800), []
    for seed in range(500):
        table = draws.draw(units, shares={"A": 1, "B": 3, "C": 6}, concentration=30, seed=10_000 + seed)
        plan = composition_tests.Plan(draws=1_999, seed=seed, intervals=False)
        found.append(
            composition_tests.slopes(table, method="permutation", plan=plan)
            .filter(pl.col("type") == "B")["p"]
            .item()
        )
    print(
        f"\nPermutation p over 500 null draws: KS p = {stats.kstest(found, 'uniform').pvalue:.3f}, below 0.05: {np.mean(np.array(found) < 0.05):.3f}"
    )


def timing() -> None:
    response = np.random.default_rng(0).normal(size=(17, 36))
    for name, values in (
        ("young and old, all 24,310 arrangements", np.repeat([0, 1], [8, 9])),
        ("ages, 200,000 drawn", np.arange(17)),
    ):
        started = time.perf_counter()
        drawn = arrangements.arrange(values, draws=199_999)
        p = time.perf_counter()
        arrangements.p_values(drawn, response)
        done = time.perf_counter()
        arrangements.fit_slopes(drawn, response)
        print(
            f"\n36 types, 17 donors, {name}: arranged {p - started:.2f} s, p {done - p:.2f} s, with intervals {time.perf_counter() - done:.2f} s"
        )


def redrawn(draws: int, scale: float) -> None:
    table, _ = tables(1, scale)
    show(
        f"Donors redrawn {draws} times",
        composition_audit.sweep(table, fibers.published_slopes(), covariates=COVARIATES, draws=draws),
    )


if __name__ == "__main__":
    seeds, null_draws = (int(sys.argv[i]) if len(sys.argv) > i else n for i, n in ((1, 40), (2, 200)))
    scale = float(sys.argv[3]) if len(sys.argv) > 3 else 0.08
    print("# Composition\n\nDesign:", composition_design.estimable(tables(1, scale)[0], COVARIATES))
    timing()
    uniform_permutation()
    coverage(seeds, scale)
    null(null_draws, scale)
    redrawn(seeds, scale)
