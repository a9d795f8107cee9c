"""Claims of the card about values, embeddings and what the data show."""

from collections.abc import Callable

import numpy as np
import polars as pl

from helpers import names
from helpers.atlas import scan as scanning
from helpers.atlas.evidence import (
    FAILS,
    HOLDS,
    UNKNOWN,
    Claim,
    Evidence,
    Verdict,
    open_claim,
    share_by_donor,
    slope,
)
from helpers.facts import study

_RANGES = {
    names.SCVI: (-2.90, 3.64),
    names.UMAP: (7.50, 19.20),
    names.PCA: (-30.80, 17.86),
    names.TSNE: (-51.03, -4.97),
}


def _zeros(evidence: Evidence) -> Verdict:
    share = evidence.scan.zero_share
    return Verdict(
        f"{share:.2%} zeros",
        evidence.judge(true=abs(share - 0.954) < 0.0006),
        "Counted over the whole matrix.",
    )


def _median(column: str, published: int) -> Callable[[Evidence], Verdict]:
    def weigh(evidence: Evidence) -> Verdict:
        median = float(evidence.cells[column].median())
        return Verdict(
            f"{median:,.0f}",
            evidence.judge(true=abs(median / published - 1) < 0.001),
            f"Median of {column} in the metadata.",
        )

    return weigh


def _mito(evidence: Evidence) -> Verdict:
    top = float(evidence.cells[names.PERCENT_MITO].max())
    top = top * 100 if top <= 1 else top
    return Verdict(
        f"up to {top:.1f} %", HOLDS if top < 20 else FAILS, "The limit is in none of the study's sources."
    )


def _normalized(evidence: Evidence) -> Verdict:
    sums = evidence.scan.cell_sum
    logged = abs(float(np.median(sums)) / scanning.SCALE - 1) < 0.05
    found = f"expm1 of a cell adds up to {np.median(sums):,.0f} (median), so values are {'' if logged else 'not '}log1p of counts per 10,000"
    text = "The card names only the division by library size. Undo the logarithm before any mean or ratio."
    return Verdict(found, FAILS if logged else UNKNOWN, text)


def _fold_change(evidence: Evidence) -> Verdict:
    order = np.argsort(-evidence.scan.gene_cells)[:50]
    years = evidence.cells[names.AGE_MIDPOINT].to_numpy()
    young, old = years <= 30, years >= 60
    if not young.any() or not old.any():
        return open_claim("cells of both ages")
    differ = []
    for values in evidence.columns([evidence.scan.genes[i] for i in order]).values():
        linear = np.expm1(values)
        if min(linear[young].sum(), linear[old].sum()) > 0:
            card = np.log2((values[old].mean() + 1e-9) / (values[young].mean() + 1e-9))
            differ.append(abs(card - np.log2(linear[old].mean() / linear[young].mean())))
    if not differ:
        return open_claim("genes found at both ages")
    found = f"in the {len(differ)} most frequent genes it is off by {np.median(differ):.2f} (median), up to {max(differ):.2f}"
    text = "A ratio of mean logarithms is no fold change, and its cells are not replicates."
    return Verdict(found, FAILS if max(differ) > 0.05 else HOLDS, text)


def _range(key: str) -> Callable[[Evidence], Verdict]:
    def weigh(evidence: Evidence) -> Verdict:
        table = evidence.opened.projection(key)
        if table is None:
            return open_claim(names.PROJECTION_FILES[key])
        values = table.select(names.PROJECTION_COLUMNS[key]).to_numpy()
        low, high = _RANGES[key]
        true = abs(values.min() - low) < 0.01 and abs(values.max() - high) < 0.01
        first = values[:100]
        found = f"{values.min():.2f} to {values.max():.2f}; in the first 100 rows {first.min():.2f} to {first.max():.2f}"
        return Verdict(
            found,
            HOLDS if true else FAILS,
            "The range on the card goes back to a check of the first 100 rows.",
        )

    return weigh


def _type_one(evidence: Evidence) -> Verdict:
    """Follow the card's own lines, then ask the same question of donors."""
    counts = evidence.cells.group_by(names.AGE_GROUP).agg(
        one=(pl.col(names.LEVEL0) == "MF-I").sum(), two=(pl.col(names.LEVEL0) == "MF-II").sum()
    )
    ratio = {group: one / (one + two) for group, one, two in counts.iter_rows() if one + two}
    young = [ratio[g] for g in ("15-20", "25-30", "35-40") if g in ratio]
    old = [ratio[g] for g in ("60-65", "70-75") if g in ratio]
    years, shares = share_by_donor(evidence, of="MF-I", among=("MF-I", "MF-II"), assay=names.NUCLEI, least=20)
    change, p_value, n_donors = slope(years, shares)
    if not young or not old or np.isnan(change):
        return open_claim("myonuclei of enough donors")
    found = (
        f"mean of bins {np.mean(young):.3f} young, {np.mean(old):.3f} old; over {n_donors} donors {change:+.3f} per decade"
        f" (p = {p_value:.2f}), in nuclei"
    )
    text = "MF-I and MF-II are nuclei. The study saw type I nuclei fall with age; only fragments, in cells, go the other way."
    return Verdict(found, HOLDS if change > 0 and p_value < 0.05 else FAILS, text)


def _fibroblasts(evidence: Evidence) -> Verdict:
    lines = {}
    for assay in (names.CELLS, names.NUCLEI):
        years, shares = share_by_donor(evidence, of="FB", among=None, assay=assay, least=20)
        change, p_value, n_donors = slope(years, shares)
        if not np.isnan(change):
            lines[assay] = (change, p_value, n_donors)
    if not lines:
        return open_claim("fibroblasts of enough donors")
    found = "; ".join(
        f"{assay}: {c:+.3f} of the share per decade (p = {p:.2f}, {n} donors)"
        for assay, (c, p, n) in lines.items()
    )
    true = all(c > 0 and p < 0.05 for c, p, _ in lines.values())
    return Verdict(
        found,
        HOLDS if true else FAILS,
        "In the study's model the age slope of fibroblasts is not significant either.",
    )


def _sex_genes(evidence: Evidence) -> Verdict:
    genes = evidence.columns(["XIST", "RPS4Y1"])
    if len(genes) < 2:
        return open_claim("XIST and RPS4Y1")
    each = (
        evidence.cells.select(names.DONOR, names.SEX)
        .with_columns(woman=pl.Series(genes["XIST"]), man=pl.Series(genes["RPS4Y1"]))
        .group_by(names.DONOR)
        .agg(pl.col(names.SEX).first(), pl.col("woman", "man").mean())
    )
    right = each.filter((pl.col("woman") > pl.col("man")) == (pl.col(names.SEX) == names.FEMALE))
    found = f"XIST against RPS4Y1 tells the sex of {len(right)} of {len(each)} donors"
    return Verdict(
        found,
        HOLDS if len(right) == len(each) else FAILS,
        "The strongest 'age genes' among cells may be sex genes.",
    )


def _known_genes(evidence: Evidence) -> Verdict:
    genes = evidence.columns(["CDKN2A", "TP53"])
    if not genes:
        return open_claim("CDKN2A and TP53")
    lines = []
    for symbol, values in genes.items():
        each = evidence.cells.select(names.DONOR).with_columns(value=pl.Series(np.expm1(values)))
        each = each.group_by(names.DONOR).agg(pl.col("value").mean()).join(evidence.donors, on=names.DONOR)
        change, p_value, n_donors = slope(each["years"].to_numpy(), each["value"].to_numpy())
        lines.append(
            f"{symbol}: in {np.mean(values > 0):.1%} of cells, {change:+.3f} per 10,000 per decade (p = {p_value:.2f}, {n_donors} donors)"
        )
    return Verdict("; ".join(lines), UNKNOWN, "No source of the study reports them as genes of aging.")


def _tissue(evidence: Evidence) -> Verdict:
    if not evidence.donors_known:
        return Verdict("donors that are not in the authors' table", UNKNOWN, "Nothing in the files tells.")
    kinds = evidence.donors["Donor_type"].value_counts(sort=True)
    found = (
        ", ".join(f"{n} {kind}" for kind, n in kinds.iter_rows()) + " in the authors' table of these donors"
    )
    text = "DBD and DCD are deceased organ donors, after 2 to 10 days in hospital; the muscle is intercostal."
    return Verdict(found, FAILS, text)


def _elsewhere(text: str) -> Callable[[Evidence], Verdict]:
    return lambda _evidence: Verdict("nothing in the files", UNKNOWN, text)


def _scvi(evidence: Evidence) -> Verdict:
    n_kinds = evidence.cells[names.CHEMISTRY].n_unique()
    text = "The study's scVI took sample, donor, sex, chemistry and mitochondrial share, of its cells; for cells and nuclei it is not stated."
    return Verdict(f"{n_kinds} chemistries in the metadata", UNKNOWN, text)


CLAIMS = (
    Claim("sparsity", "95.4 % zeros", _zeros),
    Claim("genes per cell", "median 1,172", _median(names.N_GENES, study.MEDIAN_GENES)),
    Claim("molecules per cell", "median 2,751", _median(names.N_COUNTS, study.MEDIAN_COUNTS)),
    Claim("mitochondrial", "less than 20 % mitochondrial", _mito),
    Claim("normalization", "library size normalization, no more", _normalized),
    Claim("fold change", "log2 of the ratio of mean values is a fold change with age", _fold_change),
    *(Claim(f"range of {key}", f"{low:.2f} to {high:.2f}", _range(key)) for key, (low, high) in _RANGES.items()),
    Claim("scVI", "corrected across chemistries", _scvi),
    Claim("fiber switch", "the type I share of MF-I and MF-II rises with age", _type_one),
    Claim("fibroblasts", "fibroblasts increase with age", _fibroblasts),
    Claim("sex genes", "Y genes tell the sex", _sex_genes),
    Claim("genes of aging", "models should recover CDKN2A and TP53", _known_genes),
    Claim("tissue", "needle biopsies of healthy individuals", _tissue),
    Claim("sequencer", "NovaSeq 6000, about 50,000 reads a cell", _elsewhere("Not in the files, and in none of the study's sources at hand.")),
    Claim("ethics", "IRB approved, informed consent", _elsewhere("A matter of the study's own text.")),
)  # fmt: skip
