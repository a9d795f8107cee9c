"""Claims of the card about genes and the reference they come from."""

import polars as pl

from helpers import names
from helpers.atlas.claims_files import params_of
from helpers.atlas.evidence import FAILS, HOLDS, UNKNOWN, Claim, Evidence, Verdict
from helpers.atlas.report import listing
from helpers.facts import study

_NOT_APPROVED = r"^(?:A[A-Z]|B[XS]|C[RTUHF]|F[OP]|KC|LA|R[SP]|U|Z)[0-9]{5,6}\.[0-9]+$"


def _n_genes(evidence: Evidence) -> Verdict:
    n_genes = len(evidence.scan.genes)
    return Verdict(
        f"{n_genes:,}", evidence.judge(true=n_genes == study.N_GENES), "Columns of the expression file."
    )


def _coding(evidence: Evidence) -> Verdict:
    ids = evidence.genes.select(pl.col(names.ENSEMBL).str.replace(r"\.\d+$", "").alias("ensembl_id"))
    known = ids.join(study.genes(), on="ensembl_id", how="inner").filter(pl.col("biotype").is_not_null())
    share = known["biotype"].eq("protein_coding").mean()
    if share is None:
        return Verdict("no gene of the human reference", UNKNOWN, "Biotypes are looked up by ENSEMBL.")
    second = known.filter(pl.col("biotype") != "protein_coding")["biotype"].value_counts(sort=True)
    other = f", next {second[0, 0]} {second[0, 1] / len(known):.1%}" if len(second) else ""
    found = f"{share:.1%} of {len(known):,} genes with a known biotype are protein coding{other}"
    return Verdict(found, HOLDS if share > 0.99 else FAILS, "Humans have about 20,000 protein-coding genes.")


def _symbols(evidence: Evidence) -> Verdict:
    symbols = evidence.genes[names.SYMBOL]
    clones = symbols.filter(symbols.str.contains(_NOT_APPROVED))
    found = f"{len(clones):,} of {len(symbols):,} are names of clones: {listing(clones.to_list(), most=3) or 'none'}"
    return Verdict(
        found, FAILS if len(clones) > 0.01 * len(symbols) else HOLDS, "A clone name is no approved symbol."
    )


def _coverage(evidence: Evidence) -> Verdict:
    nulls = {c: evidence.genes[c].null_count() for c in names.FEATURE_COLUMNS}
    empty = {c: n for c, n in nulls.items() if n}
    same = (
        evidence.genes[names.GENE_IDS].cast(pl.String).eq(evidence.genes[names.SYMBOL].cast(pl.String)).mean()
    )
    found = f"missing: {empty or 'none'}; gene_ids equals SYMBOL in {same:.1%} of the genes"
    return Verdict(
        found, FAILS if empty else HOLDS, "gene_ids holds the column names of the matrix, not identifiers."
    )


def _reference(evidence: Evidence) -> Verdict:
    pairs = evidence.genes.select(ensembl_id=names.ENSEMBL, symbol=names.SYMBOL)
    n_known = len(pairs.join(study.genes(), on=["ensembl_id", "symbol"], how="semi"))
    n_ids = len(pairs.join(study.genes(), on="ensembl_id", how="semi"))
    found = f"{n_ids:,} identifiers and {n_known:,} pairs of identifier and symbol, of {len(pairs):,}, are in reference 3.0.0"
    text = "Reference 3.0.0 has 33,538 genes, as the study's gene space; 2020-A has 36,601."
    return Verdict(found, FAILS if n_ids > 0.99 * len(pairs) else UNKNOWN, text)


def _variable_genes(evidence: Evidence) -> Verdict:
    columns = (
        [c for c in evidence.opened.tables[names.FEATURE_FILE].columns if "variable" in c]
        if len(evidence.genes)
        else []
    )
    used = params_of(evidence, "pca").get("use_highly_variable", "not stated")
    found = f"columns of variable genes: {', '.join(columns) or 'none'}; PCA used them: {used}"
    return Verdict(
        found,
        HOLDS if columns else FAILS,
        "They were chosen inside the study's scVI model and are not in the files.",
    )


CLAIMS = (
    Claim("genes", "29,400 genes", _n_genes),
    Claim("protein coding", "the genes are protein coding", _coding),
    Claim("symbols", "columns are approved gene symbols", _symbols),
    Claim("gene table", "all four columns complete, gene_ids an identifier", _coverage),
    Claim("reference", "aligned to GRCh38-2020-A", _reference),
    Claim("variable genes", "about 10,000 highly variable genes pre-selected", _variable_genes),
)  # fmt: skip
