"""What the signature tests add up to, in the tables and single numbers that a page shows."""

from collections.abc import Mapping, Sequence

import pandas as pd
import polars as pl

from helpers import names
from helpers.analysis import donor_slopes

DESCRIBED_SCHEMA = {"signature": pl.String, "genes": pl.Int64, "expected": pl.String, "source": pl.String}
AGREEMENT_SCHEMA = {
    "signature": pl.String,
    "slopes": pl.String,
    "p_values": pl.String,
    "same_sign": pl.Boolean,
}
CARRIERS_SCHEMA = {
    "signature": pl.String,
    "lowest": pl.Float64,
    "highest": pl.Float64,
    "changes_sign": pl.Boolean,
    "gene": pl.String,
}
PROMISED_SCHEMA = {
    "gene": pl.String,
    "donors": pl.Int64,
    "median_share": pl.Float64,
    "slope_per_decade": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
}


def describe(sets: Mapping[str, Sequence[str]], built_in: pl.DataFrame) -> pl.DataFrame:
    """List the sets: genes, the direction claimed with age, and their source ("given by the user" for others)."""
    about = {
        name: (expected, source)
        for name, expected, source in built_in.group_by("signature")
        .agg(pl.col("expected", "source").first())
        .iter_rows()
    }
    rows = [
        (name, len(genes), *about.get(name, ("not stated", "given by the user")))
        for name, genes in sets.items()
    ]
    return pl.DataFrame(rows, schema=DESCRIBED_SCHEMA, orient="row")


def select(table: pl.DataFrame, *, cell_type: str, assay: str) -> pl.DataFrame:
    """Return the rows of one type and assay."""
    return table.filter((pl.col("type") == cell_type) & (pl.col("assay") == assay))


def lookup(table: pl.DataFrame, signature: str, column: str) -> float | None:
    """Return one value of one signature's row, or none."""
    found = table.filter(pl.col("signature") == signature)[column]
    return None if found.is_empty() else found[0]


def compare_methods(slopes: pl.DataFrame) -> pl.DataFrame:
    """Put the ways of scoring side by side: slope and p of each, and whether all have one sign.

    Signatures that not every method could score are left out.
    """
    methods = slopes["method"].unique(maintain_order=True).to_list()
    rows = []
    for (name,), part in slopes.group_by(["signature"], maintain_order=True):
        if part.height < len(methods) or len(methods) < 2:
            continue
        signs = (part["slope_per_decade"] > 0).to_list()
        rows.append(
            (
                name,
                "; ".join(f"{m} {v:+.2g}" for m, v in part.select("method", "slope_per_decade").iter_rows()),
                "; ".join(f"{m} {v:.2g}" for m, v in part.select("method", "p").iter_rows()),
                len(set(signs)) == 1,
            )
        )
    return pl.DataFrame(rows, schema=AGREEMENT_SCHEMA, orient="row")


def carriers(without: pl.DataFrame) -> pl.DataFrame:
    """Return, per signature, the range of the slope when any one gene is left out, and the gene that lowers it most.

    Parameters
    ----------
    without
        What `signature_genes.without_one_gene` returns.
    """
    return (
        without.group_by("signature", maintain_order=True)
        .agg(
            pl.col("slope_per_decade").min().alias("lowest"),
            pl.col("slope_per_decade").max().alias("highest"),
            pl.col("gene").sort_by(pl.col("slope_per_decade").abs()).first(),
        )
        .with_columns((pl.col("lowest").sign() * pl.col("highest").sign() < 0).alias("changes_sign"))
        .select(*CARRIERS_SCHEMA)
    )


def closer_than_age(table: pl.DataFrame) -> pl.DataFrame:
    """Return the correlations with something else that are stronger than the same signature's with age.

    Parameters
    ----------
    table
        What `signature_tests.confounders` returns.
    """
    age = table.filter(pl.col("with") == "age").select("signature", pl.col("spearman").abs().alias("age"))
    other = table.filter(pl.col("with") != "age")
    return (
        other.join(age, on="signature")
        .filter(pl.col("spearman").abs() > pl.col("age"))
        .sort(pl.col("spearman").abs(), descending=True)
        .unique("signature", keep="first", maintain_order=True)
    )


def present(genes: Sequence[str], var: pl.DataFrame) -> list[str]:
    """Return those genes that the source has."""
    have = set(var[names.GENE])
    return [gene for gene in genes if gene in have]


def fit_shares(shares: pl.DataFrame, *, people: pd.DataFrame) -> pl.DataFrame:
    """Fit the share of cells that hold a gene on age over donors.

    Parameters
    ----------
    shares
        What `signatures.detection` returns.
    people
        ``obs`` of profiles: donor, age, sex, chemistry.
    """
    if shares.is_empty() or people.empty or names.EXACT_AGE not in people:
        return pl.DataFrame(schema=PROMISED_SCHEMA)
    about = people.drop_duplicates(names.DONOR)
    donors = pl.DataFrame(
        {
            names.DONOR: about[names.DONOR].astype(str).to_list(),
            "age": about[names.EXACT_AGE].astype(float).to_list(),
            names.SEX: about[names.SEX].astype(str).to_list()
            if names.SEX in about
            else ["unknown"] * len(about),
        }
    ).filter(pl.col("age").is_not_nan())
    rows = []
    for (gene,), part in shares.join(donors, on=names.DONOR).group_by(["gene"], maintain_order=True):
        found = donor_slopes.fit(
            part, value="share", measure=gene, unit="share", covariates=(names.SEX,), draws=100
        )
        row = found.row(0, named=True)
        if row["slope_per_decade"] is not None:
            middle = float(part["share"].median() or 0.0)
            rows.append(
                (gene, row["donors"], middle, row["slope_per_decade"], row["low"], row["high"], row["p"])
            )
    return pl.DataFrame(rows, schema=PROMISED_SCHEMA, orient="row")


def planted(scored: pl.DataFrame, signature: str, *, cell_type: str, assay: str) -> float | None:
    """Return the planted slope of one signature in one type and assay, or none."""
    return lookup(select(scored, cell_type=cell_type, assay=assay), signature, "planted_slope")
