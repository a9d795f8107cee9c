"""Tables that keep promises: the columns, types, units and keys of what an analysis returns."""

from dataclasses import dataclass

import polars as pl

from helpers.errors import TableError


@dataclass(frozen=True)
class Column:
    """One column: its type, what it holds and in which unit, and whether a value may be missing."""

    dtype: pl.DataType | type[pl.DataType]
    meaning: str
    missing: bool = False


@dataclass(frozen=True)
class Schema:
    """The columns of a table in their order, and those that together name a row."""

    name: str
    columns: dict[str, Column]
    key: tuple[str, ...] = ()

    def check(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return the table's promised columns in order.

        Parameters
        ----------
        table
            May hold other columns, which are left out.

        Raises
        ------
        TableError
            If columns are absent, of another type, have missing or NaN values where none may be, or if two rows
            have one key; all faults are named at once.
        """
        faults = [
            fault
            for column, promised in self.columns.items()
            for fault in [_fault(table, column, promised)]
            if fault is not None
        ]
        if self.key and set(self.key) <= set(table.columns) and table.select(self.key).is_duplicated().any():
            first = table.filter(table.select(self.key).is_duplicated()).select(self.key).row(0)
            faults.append(f"rows repeat the key {', '.join(self.key)}, first {first}")
        if faults:
            msg = f"table {self.name!r} breaks its promise: {'; '.join(faults)}."
            raise TableError(msg)
        return table.select(list(self.columns))

    def empty(self) -> pl.DataFrame:
        """Return a table of no rows."""
        return pl.DataFrame(schema={name: column.dtype for name, column in self.columns.items()})

    def describe(self) -> pl.DataFrame:
        """Return what each column means: the table a reader of the files needs."""
        return pl.DataFrame(
            {
                "column": list(self.columns),
                "type": [str(column.dtype) for column in self.columns.values()],
                "meaning": [column.meaning for column in self.columns.values()],
            }
        )


def _fault(table: pl.DataFrame, column: str, promised: Column) -> str | None:
    if column not in table.columns:
        return f"no column {column!r}"
    values = table[column]
    if values.dtype != promised.dtype:
        return f"{column!r} is {values.dtype}, promised {promised.dtype}"
    n_missing = values.null_count()
    if values.dtype.is_float():
        n_missing += int(values.is_nan().sum() or 0)
    if n_missing and not promised.missing:
        return f"{column!r} has {n_missing:,} missing or NaN value(s)"
    return None


AGE_DE = Schema(
    "age_de",
    {
        "level": Column(pl.String, "column of the cell-type labels"),
        "cell_type": Column(pl.String, "cell type"),
        "assay": Column(pl.String, "cells or nuclei"),
        "gene": Column(pl.String, "gene symbol"),
        "per": Column(pl.String, "what the change is per: decade, or old over young"),
        "log2_change": Column(pl.Float64, "log2 fold change with age, per the unit in `per`"),
        "low": Column(pl.Float64, "lower bound of the 95 % interval of log2_change"),
        "high": Column(pl.Float64, "upper bound of the 95 % interval of log2_change"),
        "standard_error": Column(pl.Float64, "standard error of log2_change between donors"),
        "df": Column(pl.Float64, "degrees of freedom of the moderated variance"),
        "F": Column(pl.Float64, "quasi-likelihood F of the age term"),
        "p": Column(pl.Float64, "p-value of F"),
        "q": Column(
            pl.Float64, "p-value after Benjamini-Hochberg over the genes of this cell type and assay"
        ),
        "mean_log2_cpm": Column(pl.Float64, "mean expression over donors, log2 counts per million"),
        "donors_expressing": Column(pl.Int64, "donors with at least one molecule of the gene"),
        "donors": Column(pl.Int64, "donors in the fit"),
    },
    key=("cell_type", "assay", "gene"),
)

CELL_LEVEL = Schema(
    "cell_level_de",
    {
        "gene": Column(pl.String, "gene symbol"),
        "log2_change": Column(pl.Float64, "log2 ratio of mean expression, old over young cells"),
        "score": Column(pl.Float64, "z of the Wilcoxon test over cells"),
        "p": Column(pl.Float64, "p-value as if each cell were a replicate: not valid for age"),
        "q": Column(pl.Float64, "p-value after Benjamini-Hochberg, likewise not valid"),
    },
    key=("gene",),
)

REFUSALS = Schema(
    "refusals",
    {
        "cell_type": Column(pl.String, "cell type"),
        "assay": Column(pl.String, "cells or nuclei"),
        "reason": Column(pl.String, "what is missing for a test across age"),
    },
    key=("cell_type", "assay"),
)

NULL = Schema(
    "permutation_null",
    {
        "permutation": Column(pl.Int64, "number of the permutation"),
        "test": Column(pl.String, "donors (quasi-likelihood) or cells (Wilcoxon)"),
        "genes": Column(pl.Int64, "genes tested"),
        "false_positive_rate": Column(pl.Float64, "share of genes with p below alpha"),
        "calls": Column(pl.Int64, "genes called at the false-discovery rate asked for"),
    },
    key=("permutation", "test"),
)

STABILITY = Schema(
    "stability",
    {
        "gene": Column(pl.String, "gene symbol"),
        "log2_change": Column(pl.Float64, "log2 fold change with all donors"),
        "q": Column(pl.Float64, "q with all donors"),
        "smallest_change": Column(
            pl.Float64, "log2 fold change nearest to zero, or across it, of all refits", missing=True
        ),
        "largest_p": Column(pl.Float64, "largest p-value over the refits", missing=True),
        "refits": Column(pl.Int64, "refits, each without one donor, in which the gene was tested"),
        "refits_called": Column(pl.Int64, "refits that call the gene in the same direction"),
        "most_influential": Column(
            pl.String, "donor without whom the change is nearest to zero", missing=True
        ),
        "stable": Column(pl.Boolean, "p below 0.05 in the same direction whichever donor is left out"),
    },
    key=("gene",),
)

SCORES = Schema(
    "signature_scores",
    {
        "set": Column(pl.String, "gene set"),
        "donor": Column(pl.String, "donor"),
        "age": Column(pl.Float64, "years", missing=True),
        "sex": Column(pl.String, "sex", missing=True),
        "score": Column(
            pl.Float64, "mean over the set's genes of log2 counts per million, each gene centered on its mean"
        ),
        "genes": Column(pl.Int64, "genes of the set that could be scored"),
    },
    key=("set", "donor"),
)

SCORE_CHANGES = Schema(
    "signature_changes",
    {
        "set": Column(pl.String, "gene set"),
        "per": Column(pl.String, "what the change is per: decade, or old over young"),
        "change": Column(pl.Float64, "change of the donor score with age, log2"),
        "low": Column(pl.Float64, "lower bound of the 95 % interval between donors"),
        "high": Column(pl.Float64, "upper bound of the 95 % interval between donors"),
        "p": Column(pl.Float64, "two-sided p-value of the t test on donors"),
        "genes": Column(pl.Int64, "genes of the set that could be scored"),
        "donors": Column(pl.Int64, "donors in the fit"),
    },
    key=("set",),
)

CONCORDANCE = Schema(
    "concordance",
    {
        "cell_type": Column(pl.String, "cell type"),
        "assay": Column(pl.String, "cells or nuclei"),
        "gene": Column(pl.String, "gene symbol"),
        "direction": Column(pl.String, "published direction with age: up, down or none"),
        "log2_change": Column(pl.Float64, "log2 fold change of this run"),
        "low": Column(pl.Float64, "lower bound of its 95 % interval"),
        "high": Column(pl.Float64, "upper bound of its 95 % interval"),
        "q": Column(pl.Float64, "q of this run"),
        "agrees": Column(pl.Boolean, "same sign; missing where the study reports no change", missing=True),
    },
    key=("cell_type", "assay", "gene"),
)
