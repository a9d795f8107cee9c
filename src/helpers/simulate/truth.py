"""The planted truth as tables: what scoring may read, and nothing else may."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl

from helpers import files, names
from helpers.simulate import atlas, cells, cohort, composition, effects, genes
from helpers.simulate.planted import DECADE, LATE_TYPE, SILENT

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


def donor_effects(simulation: atlas.Simulation) -> pl.DataFrame:
    """Return assay, level 0 and the log2 standard deviation between donors of a low, a typical and a high gene.

    ``ageless`` types have no planted change of expression but the published genes; `silent_types` have none at all.
    """
    spread = effects.gene_spread(simulation.seed, simulation.planted) / effects.LN2
    low, median, high = np.quantile(spread, (0.1, 0.5, 0.9))
    types = cohort.list_types().select(names.LEVEL0, "ageless")
    kinds = cohort.list_labels().select(pl.col(names.ASSAY).alias("assay"), names.LEVEL0)
    kinds = kinds.unique(maintain_order=True).join(types, on=names.LEVEL0, maintain_order="left")
    return kinds.select(
        "assay",
        names.LEVEL0,
        median_log2_sd=pl.lit(median),
        low_log2_sd=pl.lit(low),
        high_log2_sd=pl.lit(high),
        ageless="ageless",
    )


def silent_types(simulation: atlas.Simulation) -> pl.DataFrame:
    """Return assay and level 0 of the types without any effect of age: no gene changes, nor their number of cells."""
    flat = composition.list_slopes().filter(pl.col(_PLANTED) == 0)
    kinds = flat.select("assay", pl.col("label").alias(names.LEVEL0))
    silent = kinds.join(simulation.age_effects, on=["assay", names.LEVEL0], how="anti")
    return silent.with_columns(common=pl.col(names.LEVEL0) == SILENT)


def late_effects(simulation: atlas.Simulation) -> pl.DataFrame:
    """Return the genes whose change is not linear: none up to an age, then so many log2 a decade."""
    after = simulation.planted.late_after
    late = simulation.age_effects.filter(pl.col("origin") == "late")
    hinges = {assay: effects.hinge_slope(assay, after) for assay in (names.CELLS, names.NUCLEI)}
    change = pl.col(_PLANTED) / pl.col("assay").replace_strict(hinges)
    about = ("assay", names.LEVEL0, names.GENE)
    return late.select(*about, after_years=pl.lit(after), log2_change_per_decade_after=change)


def donor_factors(simulation: atlas.Simulation) -> pl.DataFrame:
    """Return donor, level 0 and the donor's score on each latent factor."""
    rows = [
        (donor, level0, *effects.factor_scores(simulation.seed, donor, level0, simulation.planted))
        for donor in cohort.list_donors()[names.DONOR]
        for level0 in cohort.list_types()[names.LEVEL0]
    ]
    return pl.DataFrame(rows, schema=[names.DONOR, names.LEVEL0, *_factors(simulation)], orient="row")


def factor_loadings(simulation: atlas.Simulation) -> pl.DataFrame:
    """Return gene and its loading on each latent factor, in standard deviations of the gene between donors."""
    loading = effects.factor_loadings(simulation.seed, simulation.planted).astype(np.float32)
    columns = dict(zip(_factors(simulation), loading, strict=True))
    return genes.list_genes().select(names.GENE).with_columns(**columns)


def _factors(simulation: atlas.Simulation) -> list[str]:
    return [f"factor_{k + 1}" for k in range(simulation.planted.factors)]


def ambient(simulation: atlas.Simulation) -> pl.DataFrame:
    """Return library, assay, donor, and the shares of its molecules that were ambient and that are of other libraries."""
    seed, planted = simulation.seed, simulation.planted
    table = cohort.list_libraries().select(names.SAMPLE, pl.col(names.ASSAY).alias("assay"), names.DONOR)
    share = pl.Series([effects.ambient_share(seed, *row, planted) for row in table.rows()])
    return table.with_columns(ambient_share=share, foreign_share=share * planted.foreign)


def structural_zeros() -> pl.DataFrame:
    """Return assay and gene of what one assay cannot see."""
    rows = [(assay, gene) for assay, found in genes.STRUCTURAL_ZEROS.items() for gene in found]
    return pl.DataFrame(rows, schema=["assay", names.GENE], orient="row")


def chemistry_effects(simulation: atlas.Simulation) -> pl.DataFrame:
    """Return gene and the planted log2 change from the second to the third version of the chemistry."""
    change = effects.chemistry_log(simulation.seed, simulation.planted) / effects.LN2
    return genes.list_genes().select(names.GENE).with_columns(log2_v3_over_v2=change)


def true_cells(simulation: atlas.Simulation) -> pl.DataFrame:
    """Return barcode, true labels, whether the cell is mislabeled or a doublet, and the second cell's finest label."""
    columns = [names.BARCODE, cells.TRUE0, cells.TRUE1, cells.TRUE2, "mislabeled", "doublet", "doublet_with"]
    return simulation.cells.select(columns)


def true_donors(simulation: atlas.Simulation) -> pl.DataFrame:
    """Return the donors with exact ages, the planted share of dissociation-stress molecules, and how poor the tissue is."""
    people = cohort.list_donors()
    share = [effects.stress_share(simulation.seed, donor) for donor in people[names.DONOR]]
    poor = pl.col(names.DONOR).replace_strict(effects.quality(simulation.seed, simulation.planted))
    return people.with_columns(pl.Series("stress_share", share), poor_quality=poor)


def list_tables(simulation: atlas.Simulation) -> dict[str, pl.DataFrame]:
    """Return every truth table by its name; ``age_expression`` is that of `effects.list_age_effects`."""
    return {
        "age_expression": simulation.age_effects,
        "late_expression": late_effects(simulation),
        "sex_expression": effects.list_sex_effects(simulation.seed, simulation.planted),
        "silent_types": silent_types(simulation),
        "composition": composition_slopes(),
        "donor_effects": donor_effects(simulation),
        "donor_factors": donor_factors(simulation),
        "factor_loadings": factor_loadings(simulation),
        "ambient": ambient(simulation),
        "chemistry_effects": chemistry_effects(simulation),
        "structural_zeros": structural_zeros(),
        "cells": true_cells(simulation),
        "donors": true_donors(simulation),
        "libraries": cohort.list_libraries(),
    }


def write_truth(folder: Path, simulation: atlas.Simulation) -> None:
    """Write the truth tables and what made them into `folder`."""
    folder.mkdir(parents=True)
    for name, table in list_tables(simulation).items():
        table.write_parquet(folder / f"{name}.parquet")
    made = {"seed": simulation.seed, "scale": simulation.scale, "version": VERSION, "simulated": True}
    made["planted"] = asdict(simulation.planted) | {"silent_type": SILENT, "late_type": LATE_TYPE}
    files.write_json(folder / "simulation.json", made)
