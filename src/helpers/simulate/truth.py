"""The planted truth as tables: what scoring may read, and nothing else may."""

from pathlib import Path

import numpy as np
import polars as pl

from helpers import files, names
from helpers.simulate import atlas, cells, composition, donors, effects, genes, labels

VERSION = 1
_LABEL_OF = {"level0": names.LEVEL0, "level1": names.LEVEL1, "level2": names.LEVEL2}


def age_expression(simulation: atlas.Simulation) -> pl.DataFrame:
    """Return assay, level 0, level 2 (null: every subtype), gene, log2 change per decade, origin; absent is zero."""
    return simulation.age_effects.rename({names.ASSAY: "assay"})


def composition_slopes() -> pl.DataFrame:
    """Return the planted slope of each label at each level: log2 change of unnormalized abundance per decade.

    Level 0 is planted as it stands. At the finer levels the slope is the least-squares line through the planted
    abundances at the ages of the donors of that assay.
    """
    planted = {(assay, label): origin for assay, label, _, origin in composition.list_slopes().rows()}
    rows = []
    for assay in (names.CELLS, names.NUCLEI):
        table = labels.list_labels().filter(pl.col(names.ASSAY) == assay)
        people = (
            atlas.list_libraries()
            .filter(pl.col(names.ASSAY) == assay)
            .unique(names.DONOR, maintain_order=True)
        )
        abundance = np.exp2(composition.planted_log2(table, people)) * table["n"].to_numpy()
        decades = people[names.EXACT_AGE].to_numpy() / composition.DECADE
        for level in names.LEVELS:
            for label in table[level].unique(maintain_order=True):
                member = (table[level] == label).to_numpy()
                slope = np.polyfit(decades, np.log2(abundance[:, member].sum(axis=1)), 1)[0]
                parent = table[names.LEVEL0].to_numpy()[member][0]
                child = set(table[names.LEVEL2].to_numpy()[member]) & set(composition.SUBTYPE_SLOPES)
                plain = level == names.LEVEL0 or not child
                rows.append(
                    (assay, level, label, float(slope), planted[assay, parent] if plain else "assumed")
                )
    schema = ["assay", "level", "label", "log2_change_per_decade", "origin"]
    return pl.DataFrame(rows, schema=schema, orient="row")


def donor_effects(simulation: atlas.Simulation) -> pl.DataFrame:
    """Return assay, level 0, gene and the log2 standard deviation between donors that was planted."""
    table = genes.list_genes()
    spread = effects.gene_spread(simulation.seed) / effects.LN2
    frame = pl.DataFrame({names.GENE: table[names.GENE], "log2_sd": spread}).with_columns(
        pl.col("log2_sd").cast(pl.Float32)
    )
    kinds = (
        labels.list_labels()
        .select(pl.col(names.ASSAY).alias("assay"), names.LEVEL0)
        .unique(maintain_order=True)
    )
    quantile = frame.select(
        pl.col("log2_sd").median().alias("median_log2_sd"),
        pl.col("log2_sd").quantile(0.1).alias("low_log2_sd"),
        pl.col("log2_sd").quantile(0.9).alias("high_log2_sd"),
    )
    ageless = pl.col(names.LEVEL0).is_in(effects.AGELESS).alias("ageless")
    return kinds.join(quantile, how="cross").with_columns(ageless)


def structural_zeros() -> pl.DataFrame:
    """Return assay and gene of what one assay cannot see."""
    rows = [(assay, gene) for assay, found in genes.STRUCTURAL_ZEROS.items() for gene in found]
    return pl.DataFrame(rows, schema=["assay", names.GENE], orient="row")


def chemistry_effects(simulation: atlas.Simulation) -> pl.DataFrame:
    """Return gene and the planted log2 change from the second to the third version of the chemistry."""
    change = effects.chemistry_log(simulation.seed) / effects.LN2
    return pl.DataFrame({names.GENE: genes.list_genes()[names.GENE], "log2_v3_over_v2": change})


def true_cells(simulation: atlas.Simulation) -> pl.DataFrame:
    """Return barcode, true labels, and whether the cell is mislabeled or a doublet."""
    columns = [names.BARCODE, cells.TRUE0, cells.TRUE1, cells.TRUE2, "mislabeled", "doublet"]
    return simulation.cells.select(columns)


def true_donors(simulation: atlas.Simulation) -> pl.DataFrame:
    """Return the donors with exact ages and the planted share of dissociation-stress molecules."""
    people = donors.list_donors()
    share = [effects.stress_share(simulation.seed, donor) for donor in people[names.DONOR]]
    return people.with_columns(pl.Series("stress_share", share))


def list_tables(simulation: atlas.Simulation) -> dict[str, pl.DataFrame]:
    """Return every truth table by its name."""
    return {
        "age_expression": age_expression(simulation),
        "sex_expression": effects.list_sex_effects(),
        "composition": composition_slopes(),
        "donor_effects": donor_effects(simulation),
        "chemistry_effects": chemistry_effects(simulation),
        "structural_zeros": structural_zeros(),
        "cells": true_cells(simulation),
        "donors": true_donors(simulation),
        "libraries": atlas.list_libraries(),
    }


def write_truth(folder: Path, simulation: atlas.Simulation) -> None:
    """Write the truth tables and what made them into `folder`."""
    folder.mkdir(parents=True)
    for name, table in list_tables(simulation).items():
        table.write_parquet(folder / f"{name}.parquet")
    made = {"seed": simulation.seed, "scale": simulation.scale, "version": VERSION, "simulated": True}
    files.write_json(folder / "simulation.json", made)
