"""The planted truth as tables: what scoring may read, and nothing else may."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl

from helpers import files, names
from helpers.simulate import cells, cohort, effects, genes
from helpers.simulate.planted import DECADE, LATE_TYPE, PLANTED, SILENT

VERSION = 2
_PLANTED = "log2_change_per_decade"


def composition_slopes() -> pl.DataFrame:
    """Return the planted slope of each label at each level: log2 change of unnormalized abundance per decade.

    Level 0 is planted as it stands. At the finer levels the slope is the least-squares line through the planted
    abundances at the ages of the donors of that assay.
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


def write_truth(folder: Path, frame: pl.DataFrame, changes: pl.DataFrame, *, seed: int, scale: float) -> None:
    """Write what was planted in cells, by changes with age (`effects.list_age_effects`), and what made it into `folder`.

    ``late_expression`` are the genes whose change is not linear: none up to an age, then so many log2 a decade.
    ``donor_effects`` has the log2 standard deviation between donors of a low, a typical and a high gene; ``ageless``
    types have no planted change of expression but the published genes, ``silent_types`` none at all, nor of their number
    of cells. ``structural_zeros`` is what one assay cannot see.
    """
    in_assay = pl.col(names.ASSAY).alias("assay")
    symbols = genes.list_genes().select(names.GENE)
    people, types, libraries = cohort.list_donors(), cohort.list_types(), cohort.list_libraries()
    flat = cohort.list_slopes().filter(pl.col(_PLANTED) == 0)
    silent = flat.select("assay", pl.col("label").alias(names.LEVEL0))
    silent = silent.join(changes, on=["assay", names.LEVEL0], how="anti")

    after = pl.col(_PLANTED) / pl.col("assay").replace_strict(effects.hinge_slopes())
    change = {"after_years": pl.lit(PLANTED.late_after), "log2_change_per_decade_after": after}
    late = changes.filter(pl.col("origin") == "late").select("assay", names.LEVEL0, names.GENE, **change)
    median, low, high = np.quantile(effects.gene_spread(seed) / effects.LN2, (0.5, 0.1, 0.9))
    spreads = {"median_log2_sd": pl.lit(median), "low_log2_sd": pl.lit(low), "high_log2_sd": pl.lit(high)}
    kinds = cohort.list_labels().select(in_assay, names.LEVEL0).unique(maintain_order=True)
    kinds = kinds.join(types.select(names.LEVEL0, "ageless"), on=names.LEVEL0, maintain_order="left")

    factors = [f"factor_{k + 1}" for k in range(PLANTED.factors)]
    scores = [
        (donor, level0, *effects.factor_scores(seed, donor, level0))
        for donor in people[names.DONOR]
        for level0 in types[names.LEVEL0]
    ]
    loadings = dict(zip(factors, effects.factor_loadings(seed).astype(np.float32), strict=True))

    tubes = libraries.select(names.SAMPLE, in_assay, names.DONOR)
    ambient = pl.Series([effects.ambient_share(seed, *row) for row in tubes.rows()])
    zeros = [(assay, gene) for assay, found in genes.STRUCTURAL_ZEROS.items() for gene in found]
    true = (names.BARCODE, cells.TRUE0, cells.TRUE1, cells.TRUE2, "mislabeled", "doublet", "doublet_with")
    poor = pl.col(names.DONOR).replace_strict(effects.quality(seed))
    stress = pl.col(names.DONOR).replace_strict(effects.stress_shares(seed))
    tables = {
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
        "cells": frame.select(true),
        "donors": people.with_columns(stress_share=stress, poor_quality=poor),
        "libraries": libraries,
    }
    folder.mkdir(parents=True)
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
    made = {"seed": seed, "scale": scale, "version": VERSION, "simulated": True}
    made["planted"] = asdict(PLANTED) | {"silent_type": SILENT, "late_type": LATE_TYPE}
    files.write_json(folder / "simulation.json", made)
