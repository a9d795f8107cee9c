"""The planted truth as tables: what scoring may read, and nothing else may."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl

from helpers import files, names
from helpers.simulate import atlas, cells, cohort, composition, effects, genes
from helpers.simulate.planted import DECADE, LATE_TYPE, PLANTED, SILENT

VERSION = 2
_PLANTED = "log2_change_per_decade"


def composition_slopes() -> pl.DataFrame:
    """Return the planted slope of each label at each level: log2 change of unnormalized abundance per decade.

    Level 0 is planted as it stands. At the finer levels the slope is the least-squares line through the planted
    abundances at the ages of the donors of that assay.
    """
    origins = {(assay, label): origin for assay, label, _, origin in composition.list_slopes().rows()}
    rows = []
    for assay in (names.CELLS, names.NUCLEI):
        table = cohort.list_labels().filter(pl.col(names.ASSAY) == assay)
        libraries = cohort.list_libraries().filter(pl.col(names.ASSAY) == assay)
        people = libraries.unique(names.DONOR, maintain_order=True)
        abundance = np.exp2(composition.planted_log2(table, people)) * table["n"].to_numpy()
        decades = people[names.EXACT_AGE].to_numpy() / DECADE
        for level in names.LEVELS:
            for label in table[level].unique(maintain_order=True):
                member = (table[level] == label).to_numpy()
                slope = np.polyfit(decades, np.log2(abundance[:, member].sum(axis=1)), 1)[0]
                own = table.filter(member)
                origin = origins[assay, own[names.LEVEL0][0]]
                if level != names.LEVEL0 and own[names.LEVEL2].is_in(list(composition.SUBTYPE_SLOPES)).any():
                    origin = "assumed"
                rows.append((assay, level, label, float(slope), origin))
    return pl.DataFrame(rows, schema=["assay", "level", "label", _PLANTED, "origin"], orient="row")


def list_tables(simulation: atlas.Simulation) -> dict[str, pl.DataFrame]:
    """Return every truth table by its name; ``age_expression`` is that of `effects.list_age_effects`.

    ``late_expression`` are the genes whose change is not linear: none up to an age, then so many log2 a decade.
    ``donor_effects`` has the log2 standard deviation between donors of a low, a typical and a high gene; ``ageless``
    types have no planted change of expression but the published genes, ``silent_types`` none at all, nor of their number
    of cells. ``structural_zeros`` is what one assay cannot see.
    """
    seed, changes = simulation.seed, simulation.age_effects
    symbols = genes.list_genes().select(names.GENE)
    people, types = cohort.list_donors(), cohort.list_types()
    kinds = (
        cohort.list_labels()
        .select(pl.col(names.ASSAY).alias("assay"), names.LEVEL0)
        .unique(maintain_order=True)
    )
    flat = composition.list_slopes().filter(pl.col(_PLANTED) == 0)
    silent = flat.select("assay", pl.col("label").alias(names.LEVEL0))
    silent = silent.join(changes, on=["assay", names.LEVEL0], how="anti")

    hinges = {assay: effects.hinge_slope(assay, PLANTED.late_after) for assay in (names.CELLS, names.NUCLEI)}
    late = changes.filter(pl.col("origin") == "late").select(
        "assay",
        names.LEVEL0,
        names.GENE,
        after_years=pl.lit(PLANTED.late_after),
        log2_change_per_decade_after=pl.col(_PLANTED) / pl.col("assay").replace_strict(hinges),
    )
    low, median, high = np.quantile(effects.gene_spread(seed) / effects.LN2, (0.1, 0.5, 0.9))
    spreads = {"median_log2_sd": pl.lit(median), "low_log2_sd": pl.lit(low), "high_log2_sd": pl.lit(high)}
    kinds = kinds.join(types.select(names.LEVEL0, "ageless"), on=names.LEVEL0, maintain_order="left")

    factors = [f"factor_{k + 1}" for k in range(PLANTED.factors)]
    scores = [
        (donor, level0, *effects.factor_scores(seed, donor, level0))
        for donor in people[names.DONOR]
        for level0 in types[names.LEVEL0]
    ]
    loadings = dict(zip(factors, effects.factor_loadings(seed).astype(np.float32), strict=True))

    libraries = cohort.list_libraries()
    tubes = libraries.select(names.SAMPLE, pl.col(names.ASSAY).alias("assay"), names.DONOR)
    ambient = pl.Series([effects.ambient_share(seed, *row) for row in tubes.rows()])
    zeros = [(assay, gene) for assay, found in genes.STRUCTURAL_ZEROS.items() for gene in found]
    true = (names.BARCODE, cells.TRUE0, cells.TRUE1, cells.TRUE2, "mislabeled", "doublet", "doublet_with")
    stress = pl.Series([effects.stress_share(seed, donor) for donor in people[names.DONOR]])
    poor = pl.col(names.DONOR).replace_strict(effects.quality(seed))
    return {
        "age_expression": changes,
        "late_expression": late,
        "sex_expression": effects.list_sex_effects(seed),
        "silent_types": silent.with_columns(common=pl.col(names.LEVEL0) == SILENT),
        "composition": composition_slopes(),
        "donor_effects": kinds.select("assay", names.LEVEL0, **spreads, ageless="ageless"),
        "donor_factors": pl.DataFrame(scores, schema=[names.DONOR, names.LEVEL0, *factors], orient="row"),
        "factor_loadings": symbols.with_columns(**loadings),
        "ambient": tubes.with_columns(ambient_share=ambient, foreign_share=ambient * PLANTED.foreign),
        "chemistry_effects": symbols.with_columns(log2_v3_over_v2=effects.chemistry_log(seed) / effects.LN2),
        "structural_zeros": pl.DataFrame(zeros, schema=["assay", names.GENE], orient="row"),
        "cells": simulation.cells.select(true),
        "donors": people.with_columns(stress_share=stress, poor_quality=poor),
        "libraries": libraries,
    }


def write_truth(folder: Path, simulation: atlas.Simulation) -> None:
    """Write the truth tables and what made them into `folder`."""
    folder.mkdir(parents=True)
    for name, table in list_tables(simulation).items():
        table.write_parquet(folder / f"{name}.parquet")
    made = {"seed": simulation.seed, "scale": simulation.scale, "version": VERSION, "simulated": True}
    made["planted"] = asdict(PLANTED) | {"silent_type": SILENT, "late_type": LATE_TYPE}
    files.write_json(folder / "simulation.json", made)
