"""One cell type put to the test across age, with everything a page says about it; a refusal instead where it fails."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from anndata import AnnData

from helpers import names
from helpers.analysis import (
    design,
    expression,
    fits,
    naive,
    permutation,
    precision,
    pseudobulk,
    schemas,
    scoring,
    stability,
)
from helpers.errors import CountsError, DesignError, TableError


@dataclass(frozen=True)
class Trial:
    """A test across age of one cell type and assay, or the reason why there is none."""

    profiles: AnnData | None
    prepared: fits.Prepared | None
    table: pl.DataFrame  # schemas.AGE_DE, no rows where refused
    refusal: str | None
    fdr: float
    options: dict

    @property
    def calls(self) -> pl.DataFrame:
        """The called genes, smallest p first."""
        return self.table.filter(pl.col("q") < self.fdr)

    @property
    def donors(self) -> pl.DataFrame:
        """The donors of the test: donor, years, group, sex, chemistry, cells."""
        columns = ["donor", "years", "group", "sex", "chemistry", "cells"]
        if self.prepared is None:
            return pl.DataFrame(
                schema=dict.fromkeys(columns, pl.String) | {"years": pl.Float64, "cells": pl.Int64}
            )
        frame = self.prepared.design.donors[columns]
        return pl.DataFrame({column: frame[column].to_list() for column in columns}).sort("years", "donor")

    @property
    def groups(self) -> pl.DataFrame:
        """Donors counted by age group, sex and chemistry."""
        columns = ["group", "sex", "chemistry"]
        return self.donors.group_by(columns).len("donors").sort(columns, descending=[True, False, False])

    @property
    def terms(self) -> pl.DataFrame:
        """The terms of the model: kept or left out, and why."""
        if self.prepared is None:
            return pl.DataFrame(
                schema={"term": pl.String, "levels": pl.String, "kept": pl.Boolean, "why": pl.String}
            )
        return self.prepared.design.terms

    @property
    def residual_df(self) -> int | None:
        """Degrees of freedom left for the differences between donors."""
        return None if self.prepared is None else self.prepared.design.residual_df

    @property
    def age_inflation(self) -> float | None:
        """Variance inflation of the age effect by the covariates."""
        return None if self.prepared is None else self.prepared.design.age_inflation

    def detectable(self, *, alpha: float = 0.05) -> pl.DataFrame:
        """Smallest change detected with 80 % power, by expression; no rows where there is no test.

        Parameters
        ----------
        alpha
            Two-sided p-value that counts as detected.
        """
        return precision.find_detectable(self.table, alpha=alpha)

    def leading(self, *, top: int) -> tuple[list[str], np.ndarray, pl.DataFrame]:
        """Return the genes of smallest p, their log2 counts per million (donors x genes), and the donors in that order.

        Parameters
        ----------
        top
            Genes wanted.
        """
        genes = self.table["gene"].head(top).to_list()
        return genes, *self.values(genes)

    def values(self, genes: list[str]) -> tuple[np.ndarray, pl.DataFrame]:
        """Return log2 counts per million of genes (donors x genes), and the donors in that order.

        Parameters
        ----------
        genes
            Tested genes.
        """
        if self.prepared is None:
            return np.zeros((0, len(genes))), self.donors
        place = {gene: at for at, gene in enumerate(self.prepared.genes)}
        frame = self.prepared.design.donors
        donors = pl.DataFrame({column: frame[column].to_list() for column in ("donor", "years", "sex")})
        return self.prepared.log2_cpm[:, [place[gene] for gene in genes]], donors

    def gene(self, gene: str) -> dict:
        """Return the row of one gene and its ``interval``, each None where it was not tested.

        Parameters
        ----------
        gene
            Symbol.
        """
        found = self.table.filter(pl.col("gene") == gene)
        if found.is_empty():
            return dict.fromkeys((*found.columns, "interval"))
        row = found.row(0, named=True)
        return row | {"interval": (row["low"], row["high"])}

    def compare_cells(self, cells: AnnData) -> tuple[pl.DataFrame, AnnData | None]:
        """Run the naive test on the same donors; return its table, and the cells with the genes of the donors' test.

        The naive list is made as lists of its kind are: over all genes that one cell in fifty expresses.

        Parameters
        ----------
        cells
            The whole atlas, cells x genes.
        """
        if self.prepared is None:
            return schemas.CELL_LEVEL.empty(), None
        people = self.prepared.design.donors
        where = {key: self.options[key] for key in ("cell_type", "assay", "level")}
        chosen = naive.choose_cells(cells, **where, donors=list(people["donor"]))
        groups = dict(zip(people["donor"], people["group"], strict=True))
        table = naive.cell_level_de(naive.keep_expressed(chosen), groups=groups)
        return table, chosen[:, list(self.prepared.genes)]

    def permute(self, cells: AnnData | None, *, n: int, seed: int) -> permutation.Null:
        """Run both tests on permuted ages.

        Parameters
        ----------
        cells
            From `compare_cells`.
        n
            Permutations wanted.
        seed
            Of their sample.
        """
        if self.prepared is None:
            nothing = np.zeros((0, 0))
            return permutation.Null(
                schemas.NULL.empty(), nothing, None, np.zeros(0, dtype=object), 0, complete=True
            )
        return permutation.run_null(self.prepared, cells=cells, n=n, fdr=self.fdr, seed=seed)

    def leave_one_out(self) -> pl.DataFrame:
        """Return table `schemas.STABILITY` of the called genes."""
        if self.profiles is None or self.calls.is_empty():
            return schemas.STABILITY.empty()
        return stability.leave_one_out(self.profiles, **self.options, fdr=self.fdr)

    def score(self, truth: pl.DataFrame | None) -> pl.DataFrame:
        """Set every tested gene beside what was planted; no rows where nothing is known or tested.

        Parameters
        ----------
        truth
            Planted changes, or none.
        """
        if truth is None or self.prepared is None:
            return scoring.no_scores()
        where = {key: self.options[key] for key in ("cell_type", "assay", "level")}
        planted = scoring.find_planted(truth, **where)
        return scoring.score_changes(self.table, planted, self.prepared.design, fdr=self.fdr)


def sum_profiles(cells: AnnData, *, level: str, min_cells: int) -> tuple[AnnData | None, str | None]:
    """Sum profiles by donor, assay and cell type; or say why that cannot be.

    Parameters
    ----------
    cells
        The whole atlas, cells x genes, with a layer of counts.
    level
        Column of cell types.
    min_cells
        Cells a profile needs.

    Returns
    -------
    The profiles, or none, and the reason, or none.
    """
    try:
        profiles = pseudobulk.sum_by_donor(cells, by=(names.DONOR, names.ASSAY, level), min_cells=min_cells)
    except (CountsError, TableError) as problem:
        return None, str(problem)
    if profiles.n_obs == 0:
        return None, (
            f"No profile of at least {min_cells} cells has a donor, an assay and a cell type. "
            f"This source lacks one of {names.DONOR}, {names.ASSAY} and {level}, or is too small."
        )
    return profiles, None


def begin(
    profiles: AnnData | None,
    *,
    cell_type: str,
    assay: str,
    level: str = names.LEVEL0,
    comparison: design.Comparison | None = None,
    fdr: float = 0.1,
    refusal: str | None = None,
) -> Trial:
    """Test one cell type and assay across age, or keep the reason why it cannot be.

    Parameters
    ----------
    profiles
        From `sum_profiles`.
    cell_type, assay, level, comparison
        As in `expression.prepare`.
    fdr
        q-value below which a gene is called.
    refusal
        From `sum_profiles` where it gave no profiles.
    """
    options = {"cell_type": cell_type, "assay": assay, "level": level, "comparison": comparison}
    if profiles is not None:
        try:
            prepared = expression.prepare(profiles, **options)
        except (DesignError, TableError) as problem:
            refusal = str(problem)
        else:
            table = fits.tabulate(prepared, expression.fit_age(prepared))
            return Trial(profiles, prepared, table, None, fdr, options)
    return Trial(profiles, None, schemas.AGE_DE.empty(), refusal or "no profiles", fdr, options)
