"""The claims of the public dataset card, each computed from the files of a release."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from scipy import stats

from helpers import budget, names
from helpers.atlas import scan as scanning
from helpers.atlas import validate
from helpers.facts import study

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "cannot be checked"
INCOMPARABLE, SIMULATED = "not comparable", "not judged: simulated"
SCHEMA = dict.fromkeys(("claim", "card", "found", "verdict", "explanation"), pl.String)
_LABEL, _DONOR, _ASSAY, _GROUP = names.LEVEL0, names.DONOR, names.ASSAY, names.AGE_GROUP
_MATRIX, _SAMPLE, _FEATURES = names.EXPRESSION_FILE, names.SAMPLE_FILE, names.FEATURE_FILE
_SETTINGS, _STRUCTURE = names.UNSTRUCTURED_FILE, names.STRUCTURE_FILE
_MEGABYTES = {  # as the card lists them
    _MATRIX: 1500,
    _SAMPLE: 4.3,
    _FEATURES: 1.0,
    names.PROJECTION_FILES[names.PCA]: 57,
    names.PROJECTION_FILES[names.TSNE]: 4.1,
    names.PROJECTION_FILES[names.UMAP]: 4.1,
    names.PROJECTION_FILES[names.SCVI]: 35,
}
_RANGES = {
    names.SCVI: (-2.90, 3.64),
    names.UMAP: (7.50, 19.20),
    names.PCA: (-30.80, 17.86),
    names.TSNE: (-51.03, -4.97),
}
_CLONE = r"^(?:A[A-Z]|B[XS]|C[RTUHF]|F[OP]|KC|LA|R[SP]|U|Z)[0-9]{5,6}\.[0-9]+$"
_GARBLED = re.compile("ðŸ|â€|Ã.|√[óÇ≥]|‚[ÄÜ]|œÜ|üß|üî|Ô∏è")
_LEAST = 20  # cells of one assay that a donor needs for a share

Answer = tuple[str, bool | None]  # what was found, and whether the claim holds, if files can tell


class Claim(NamedTuple):
    """A claim of the card, in other words; how it is weighed, and what to know about it.

    ``rests_on`` is empty; ``size`` where another number of cells gives another answer, which is no fault of the card; or
    ``values`` where the answer is what a simulation drew, so that on simulated data it says nothing about the card.
    """

    name: str
    card: str
    weigh: "Callable[[Evidence], Answer]"
    explanation: str
    rests_on: str = ""


class _AbsentError(Exception):
    """Something that a claim needs is not in the release."""


def _lack(what: str) -> NoReturn:
    raise _AbsentError(what)


@dataclass
class Evidence:
    """A release opened for questions; the matrix is read once, when first asked for."""

    files: validate.Files
    progress: Callable[[int, int], None] | None = None

    def need(self, what: str) -> Any:
        """Return a table, a text or a parsed JSON file."""
        found = self.files.get(what)
        if found is None:
            _lack(what)
        return found

    @property
    def cells(self) -> pl.DataFrame:
        """The sample metadata."""
        return self.need(_SAMPLE)

    @cached_property
    def scan(self) -> scanning.Scan:
        """Sums over the whole matrix."""
        broken = self.files.read_matrix(self.progress)
        if broken or self.files.scan is None:
            _lack(f"{_MATRIX}, which {broken.found}" if broken else _MATRIX)
        return self.files.scan

    @cached_property
    def donors(self) -> pl.DataFrame:
        """One row for each donor: age group, sex, middle of the group, and the authors' exact age where known."""
        exact = study.donors().select(
            _DONOR, pl.col("Age").cast(pl.Float64).alias(names.EXACT_AGE), "Donor_type"
        )
        columns = [_GROUP, names.AGE_BIN, names.SEX, names.AGE_MIDPOINT]
        each = self.cells.group_by(_DONOR, maintain_order=True).agg(pl.col(columns).first())
        years = pl.coalesce(names.EXACT_AGE, names.AGE_MIDPOINT).cast(pl.Float64)
        return each.join(exact, on=_DONOR, how="left").with_columns(years=years)

    @property
    def exact_ages(self) -> pl.Series | None:
        """Ages of all donors, if every one is in the authors' table."""
        ages = self.donors[names.EXACT_AGE]
        return None if ages.null_count() else ages

    def values(self, genes: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the values of genes in all cells; those the release lacks are left out."""
        wanted = [gene for gene in genes if gene in set(self.scan.genes)]
        if not wanted:
            _lack(" and ".join(genes))
        table = pq.read_table(self.files.folder / _MATRIX, columns=wanted)
        return {gene: table.column(gene).to_numpy().astype(np.float64) for gene in wanted}

    def settings(self, step: str) -> dict[str, Any]:
        """Return the stated parameters of a step, or none."""
        stated = self.need(_SETTINGS).get(step, {})
        return stated.get("params", {}) if isinstance(stated, dict) else {}


def audit(folder: str | Path, *, progress: Callable[[int, int], None] | None = None) -> pl.DataFrame:
    """Weigh each claim of the public card against the files of a release.

    A claim about size is not comparable on a part of the atlas, and the table says what part it is. A claim about
    values that a simulation drew is not judged on simulated data. What the files cannot show is said to be so.

    Parameters
    ----------
    folder
        Folder with the twelve files.
    progress
        Called with the genes read so far and all genes.

    Returns
    -------
    polars.DataFrame
        A row for each claim: ``claim``, ``card`` (in other words), ``found``, ``verdict`` (holds, does not hold,
        cannot be checked, not comparable, not judged: simulated), ``explanation``.

    Raises
    ------
    ReleaseError
        If there is no such folder, or a table in it is damaged so that its numbers mean nothing.
    """
    files = validate.read(folder)
    validate.require_tables(files)
    evidence = Evidence(files, progress)
    rows = [(claim.name, claim.card, *_judge(claim, evidence), claim.explanation) for claim in CLAIMS]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _judge(claim: Claim, evidence: Evidence) -> tuple[str, str]:
    try:
        found, true = claim.weigh(evidence)
    except _AbsentError as error:
        return f"not in the release: {error}", UNKNOWN
    sample, simulated = evidence.files.get(_SAMPLE), (evidence.files.folder / names.TRUTH_FOLDER).is_dir()
    if claim.rests_on == "values" and simulated:
        return found, SIMULATED
    if claim.rests_on == "size" and sample is not None and len(sample) != study.N_CELLS:
        kind = "simulated part" if simulated else "part"
        found = f"{found} ({kind}: {len(sample):,} of {study.N_CELLS:,} cells)"
        return found, HOLDS if true else INCOMPARABLE
    if claim.rests_on == "size" and simulated and not true:
        return found, INCOMPARABLE
    return found, UNKNOWN if true is None else HOLDS if true else FAILS


# Cells, donors and labels


def _count_cells(evidence: Evidence) -> Answer:
    by_assay, n_cells = dict(evidence.cells[_ASSAY].value_counts().iter_rows()), len(evidence.cells)
    found = f"{n_cells:,}: {by_assay.get('cells', 0):,} cells, {by_assay.get('nuclei', 0):,} nuclei"
    return found, n_cells == study.N_CELLS


def _name_donors(evidence: Evidence) -> Answer:
    ids = evidence.donors[_DONOR].sort().to_list()
    return ", ".join(ids[:4]) + " …" * (len(ids) > 4), all(one.startswith("Donor_") for one in ids)


def _span_ages(evidence: Evidence) -> Answer:
    bins, ages = evidence.cells[_GROUP].unique().sort(), evidence.exact_ages
    edges = f"bins run from {bins[0].split('-')[0]} to {bins[-1].split('-')[-1]}"
    if ages is None:
        return f"{edges}; these donors are not in the authors' table", None
    span = (ages.min(), ages.max())
    return f"donors are {span[0]:.0f} to {span[1]:.0f} years old; {edges}", span == (15, 75)


def _count_midpoints(evidence: Evidence) -> Answer:
    n_values = evidence.cells[names.AGE_MIDPOINT].n_unique()
    off = (evidence.donors[names.EXACT_AGE] - evidence.donors[names.AGE_MIDPOINT]).abs().max()
    far = "" if off is None else f"; up to {off:.1f} years off the exact age"
    return f"{n_values} distinct values{far}", n_values > 8


def _count_ages(evidence: Evidence) -> Answer:
    have = dict(evidence.cells[_GROUP].value_counts().iter_rows())
    found = ", ".join(f"{group}: {have.get(group, 0):,}" for group in names.AGE_GROUPS)
    return found, have == study.N_BY_AGE_GROUP


def _share_oldest(evidence: Evidence) -> Answer:
    share = evidence.cells[_GROUP].eq("70-75").mean()
    return f"{share:.1%}", abs(share - 0.327) < 0.0051


def _count_young(evidence: Evidence) -> Answer:
    young, old = (evidence.donors[names.AGE_BIN].eq(one).sum() for one in (names.YOUNG, names.OLD))
    return f"{young} young, {old} old donors", (young, old) == (8, 9)


def _balance(evidence: Evidence) -> Answer:
    bins = evidence.cells[_GROUP].value_counts().sort("count")
    (low, fewest), (high, most) = bins.row(0), bins.row(-1)
    young = evidence.cells[names.AGE_BIN].eq(names.YOUNG).mean()
    found = f"{young:.0%} of the cells are young; bins from {fewest:,} ({low}) to {most:,} cells ({high})"
    return found, most <= 10 * fewest


def _find_single_bins(evidence: Evidence) -> Answer:
    bins = evidence.donors.group_by(_GROUP).len()
    single = bins.filter(pl.col("len") == 1)[_GROUP].sort().to_list()
    return f"{len(single)} of {len(bins)} bins are one donor each: {', '.join(single) or 'none'}", not single


def _split(evidence: Evidence) -> Answer:
    """Put every fifth cell of an age group in the test set, and ask who is on both sides."""
    order = evidence.cells.select(_DONOR, _GROUP).sample(fraction=1, shuffle=True, seed=0)
    split = order.with_columns(test=pl.int_range(pl.len()).over(_GROUP) % 5 == 0)
    seen = split.filter(~pl.col("test"))[_DONOR].unique().to_list()
    leaked = split.filter("test")[_DONOR].is_in(seen).mean()
    return f"{leaked:.1%} of the test cells come from donors that are also in the training set", leaked == 0


def _count_labels(evidence: Evidence) -> Answer:
    counts = {level: evidence.cells[level].n_unique() for level in names.LEVELS}
    return " / ".join(str(n) for n in counts.values()), counts == study.N_LABELS


def _check_tree(evidence: Evidence) -> Answer:
    parents = evidence.cells.group_by(names.LEVEL2).agg(pl.col(names.LEVEL1).n_unique())
    several = parents.filter(pl.col(names.LEVEL1) > 1)[names.LEVEL2].sort().to_list()
    return (
        f"{len(several)} labels of level 2 have several parents: {', '.join(several) or 'none'}",
        not several,
    )


def _find_rare(evidence: Evidence) -> Answer:
    counts = evidence.cells[_LABEL].value_counts(sort=True)
    rare = counts.filter(pl.col("count") < 0.0003 * len(evidence.cells))
    umbrella = "Specialised MF" in counts[_LABEL].to_list()
    found = f"{len(counts)} labels; {len(rare)} hold less than 0.03 % of the cells"
    return found + "; Specialised MF stands for five kinds" * umbrella, not len(rare) and not umbrella


def _rank_types(evidence: Evidence) -> Answer:
    # counted at level 1, where the 62 cells that change type at level 2 are still with their own
    published = dict(study.level1_by_assay().group_by(_LABEL).agg(pl.col("n_total").sum()).iter_rows())
    top = dict(evidence.cells[_LABEL].value_counts(sort=True).head(10).iter_rows())
    wanted = dict(sorted(published.items(), key=lambda item: -item[1])[:10])
    return ", ".join(f"{label} {n:,}" for label, n in top.items()), top == wanted


def _find_fragments(evidence: Evidence) -> Answer:
    fragments = evidence.cells.filter(pl.col(_LABEL).str.contains("(fg)", literal=True))
    if fragments.is_empty():
        _lack("labels with (fg)")
    whole = fragments.filter(pl.col(_LABEL).str.contains("sc(fg)", literal=True))
    labels, genes = fragments[_LABEL].unique().sort().to_list(), fragments[names.N_GENES].median()
    n_nuclei = whole[_ASSAY].eq(names.NUCLEI).sum()
    return (
        f"{', '.join(labels)}: {n_nuclei} of {len(whole):,} MF-..sc(fg) are nuclei; median {genes:,.0f} genes",
        False,
    )


def _share_stem_cells(evidence: Evidence) -> Answer:
    cells = evidence.cells.select(_ASSAY, stem=pl.col(_LABEL) == "MuSC")
    by_assay = cells.group_by(_ASSAY).agg(pl.col("stem").mean()).sort(_ASSAY)
    shares = ", ".join(f"{share:.1%} of {assay}" for assay, share in by_assay.iter_rows())
    return f"{cells['stem'].mean():.1%} of all; {shares}", cells["stem"].mean() <= 0.05


def _find_one_assay(evidence: Evidence) -> Answer:
    share = (pl.col(_ASSAY) == names.CELLS).mean()
    each = evidence.cells.group_by(_LABEL).agg(pl.len(), share=share)
    single = each.filter((pl.col("share") < 0.001) | (pl.col("share") > 0.999))
    held = single["len"].sum() / len(evidence.cells)
    return (
        f"{len(single)} of {len(each)} labels occur in one assay only; they hold {held:.0%} of the cells",
        not len(single),
    )


def _find_young_women(evidence: Evidence) -> Answer:
    young = evidence.cells.filter((pl.col(names.AGE_BIN) == names.YOUNG) & (pl.col(_ASSAY) == names.CELLS))
    each = dict(young.group_by(names.SEX).agg(pl.col(_DONOR).n_unique()).iter_rows())
    women, men = each.get(names.FEMALE, 0), each.get(names.MALE, 0)
    return f"young donors among cells: {women} women, {men} men", women > 0


# Genes


def _share_coding(evidence: Evidence) -> Answer:
    ids = evidence.need(_FEATURES).select(ensembl_id=pl.col(names.ENSEMBL).str.replace(r"\.\d+$", ""))
    known = ids.join(study.genes(), on="ensembl_id", how="inner")["biotype"].drop_nulls()
    if known.is_empty():
        return "no gene of the human reference", None
    share = known.eq("protein_coding").mean()
    return f"{share:.1%} of {len(known):,} genes with a known biotype are protein coding", share > 0.99


def _find_clones(evidence: Evidence) -> Answer:
    symbols = evidence.need(_FEATURES)[names.SYMBOL]
    clones = symbols.filter(symbols.str.contains(_CLONE))
    found = f"{len(clones):,} of {len(symbols):,} are names of clones: {', '.join(clones.head(3)) or 'none'}"
    return found, len(clones) <= 0.01 * len(symbols)


def _check_gene_table(evidence: Evidence) -> Answer:
    genes = evidence.need(_FEATURES)
    empty = sum(genes[column].null_count() for column in names.FEATURE_COLUMNS)
    same = genes[names.GENE_IDS].eq(genes[names.SYMBOL]).mean()
    return f"{empty or 'no'} values missing; gene_ids equals SYMBOL in {same:.1%} of the genes", not empty


def _find_reference(evidence: Evidence) -> Answer:
    ids = evidence.need(_FEATURES).select(ensembl_id=names.ENSEMBL)
    known = len(ids.join(study.genes(), on="ensembl_id", how="semi"))
    found = f"{known:,} of {len(ids):,} identifiers are in reference 3.0.0"
    return found, False if known > 0.99 * len(ids) else None


def _find_variable(evidence: Evidence) -> Answer:
    used = evidence.settings("pca").get("use_highly_variable", "not stated")
    evidence.need(_FEATURES)
    held = [column for column in evidence.files.tables[_FEATURES].columns if "variable" in column]
    return f"columns of variable genes: {', '.join(held) or 'none'}; PCA used them: {used}", bool(held)


# Files


def _find_barcodes(evidence: Evidence) -> Answer:
    bare = [file for file in validate.CELL_FILES if file not in evidence.files.barcodes]
    n_files = len(validate.CELL_FILES)
    return (
        f"{n_files - len(bare)} of {n_files} files have barcodes; none in {', '.join(bare) or 'no file'}",
        not bare,
    )


def _access_by_label(evidence: Evidence) -> Answer:
    _need_matrix(evidence)
    there = _MATRIX in evidence.files.barcodes
    return ("barcodes in both" if there else "rows are numbered, so expression.loc[barcodes] fails"), there


def _chain(evidence: Evidence) -> Answer:
    index = evidence.cells[_DONOR].head(3).to_pandas()
    try:
        all(index == index == index)  # the card's line, with one index for all
    except ValueError as error:
        return f"ValueError: {str(error)[:60]}…", False
    return "the line runs", True


def _find_phantom(evidence: Evidence) -> Answer:
    there = names.INDEX_COLUMN in _need_matrix(evidence).names
    return f"{names.INDEX_COLUMN} is {'still' if there else 'not'} in the expression file", not there


def _need_matrix(evidence: Evidence) -> Any:
    if _MATRIX not in evidence.files.schemas:
        _lack(_MATRIX)
    return evidence.files.schemas[_MATRIX]


def _look_stored(evidence: Evidence) -> Answer:
    n_genes, zeros = len(evidence.scan.genes), evidence.scan.zero_share
    return f"{n_genes:,} dense columns, {zeros:.1%} of the values zeros", False


def _look_types(evidence: Evidence) -> Answer:
    kinds = sorted(evidence.scan.types)
    return ", ".join(kinds), kinds == ["float"]


def _count_dimensions(evidence: Evidence) -> Answer:
    wide = {key: len(columns) for key, columns in names.PROJECTION_COLUMNS.items()}
    tables = {key: evidence.files.tables.get(file) for key, file in names.PROJECTION_FILES.items()}
    have = {key: 0 if table is None else len(table.columns) for key, table in tables.items()}
    return ", ".join(f"{key} {n}" for key, n in have.items()), have == wide


def _look_settings(evidence: Evidence, *, step: str, stated: dict[str, Any]) -> Answer:
    params = evidence.settings(step)
    have = {key: params.get(key, "not stated") for key in stated}
    return ", ".join(f"{key} {value}" for key, value in have.items()), have == stated


def _find_origin(evidence: Evidence) -> Answer:
    keys = evidence.need(_STRUCTURE).get("obsm_keys")
    if keys is None:
        return "the structure report lists no embeddings", None
    added = [key for key in names.PROJECTION_FILES if key not in keys]
    return (
        f"the study's object had {', '.join(map(str, keys))}; added: {', '.join(added) or 'none'}",
        not added,
    )


def _count_files(evidence: Evidence) -> Answer:
    here = sum((evidence.files.folder / file).is_file() for file in names.RELEASE_FILES)
    return f"{here} of the 12 files", here == len(names.RELEASE_FILES)


def _weigh_files(evidence: Evidence) -> Answer:
    paths = {file: evidence.files.folder / file for file in _MEGABYTES}
    sizes = {file: path.stat().st_size / 1e6 for file, path in paths.items() if path.is_file()}
    off = [file for file, stated in _MEGABYTES.items() if not 0.8 < sizes.get(file, 0) / stated < 1.25]
    return f"{sum(sizes.values()):,.1f} MB in all; {len(off)} files of another size than stated", not off


def _weigh_sparse(evidence: Evidence) -> Answer:
    needed = 8 * ((1 - evidence.scan.zero_share) * study.N_CELLS * study.N_GENES + study.N_CELLS)
    return f"as CSR {budget.to_text(needed)}, at full size and the zeros of these files", 5e9 < needed < 7e9


def _find_configs(evidence: Evidence) -> Answer:
    head = evidence.need(names.README_FILE).split("---")[1:2]
    there = bool(head) and "configs:" in head[0]
    return f"the card {'states' if there else 'does not state'} which file is the data (configs)", there


def _find_garbled(evidence: Evidence) -> Answer:
    garbled = _GARBLED.findall(evidence.need(names.README_FILE))
    return f"{len(garbled):,} garbled characters", not garbled


# Values


def _median(evidence: Evidence, *, column: str, published: int) -> Answer:
    median = float(evidence.cells[column].median())
    return f"{median:,.0f}", abs(median / published - 1) < 0.001


def _look_normalized(evidence: Evidence) -> Answer:
    median = float(np.median(evidence.scan.cell_sum))
    logged = abs(median / scanning.SCALE - 1) < 0.05
    kind = "log1p of counts per 10,000" if logged else "something else than log1p of counts per 10,000"
    return f"expm1 of a cell adds up to {median:,.0f} (median): {kind}", False if logged else None


def _compare_folds(evidence: Evidence) -> Answer:
    top = [evidence.scan.genes[i] for i in np.argsort(-evidence.scan.gene_cells)[:50]]
    years = evidence.cells[names.AGE_MIDPOINT].to_numpy()
    young, old = years <= 30, years >= 60
    differ = []
    for logs in evidence.values(top).values() if young.any() and old.any() else ():
        linear = np.expm1(logs)
        if min(linear[young].sum(), linear[old].sum()) > 0:
            card = np.log2((logs[old].mean() + 1e-9) / (logs[young].mean() + 1e-9))
            differ.append(abs(card - np.log2(linear[old].mean() / linear[young].mean())))
    if not differ:
        _lack("genes found at both ages")
    off = f"it is off by {np.median(differ):.2f} (median), up to {max(differ):.2f}"
    return f"in the {len(differ)} most frequent genes {off}", max(differ) <= 0.05


def _look_range(evidence: Evidence, *, key: str) -> Answer:
    values = evidence.need(names.PROJECTION_FILES[key]).select(names.PROJECTION_COLUMNS[key]).to_numpy()
    (low, high), first = _RANGES[key], values[:100]
    true = abs(values.min() - low) < 0.01 and abs(values.max() - high) < 0.01
    found = f"{values.min():.2f} to {values.max():.2f}; in the first 100 rows {first.min():.2f} to {first.max():.2f}"
    return found, true


def _slope(evidence: Evidence, of: pl.Expr, cells: pl.DataFrame) -> tuple[float, float, int]:
    """Return a mean's change per decade over donors, its p-value, and the donors it rests on."""
    each = cells.group_by(_DONOR).agg(value=of.mean(), n=pl.len()).filter(pl.col("n") >= _LEAST)
    years, values = each.join(evidence.donors, on=_DONOR).select("years", "value").drop_nulls().to_numpy().T
    if len(values) < 4 or np.ptp(values) == 0 or np.ptp(years) == 0:
        _lack("cells of enough donors")
    line = stats.linregress(years, values)
    return float(line.slope * 10), float(line.pvalue), len(values)


def _switch_fibers(evidence: Evidence) -> Answer:
    nuclei = evidence.cells.filter((pl.col(_ASSAY) == names.NUCLEI) & pl.col(_LABEL).is_in(["MF-I", "MF-II"]))
    change, p_value, n_donors = _slope(evidence, pl.col(_LABEL) == "MF-I", nuclei)
    found = f"in nuclei, over {n_donors} donors {change:+.3f} per decade (p = {p_value:.2f})"
    return found, change > 0 and p_value < 0.05


def _follow_fibroblasts(evidence: Evidence) -> Answer:
    found, rises = [], []
    for assay in (names.CELLS, names.NUCLEI):
        cells = evidence.cells.filter(pl.col(_ASSAY) == assay)
        change, p_value, n_donors = _slope(evidence, pl.col(_LABEL) == "FB", cells)
        found.append(f"{assay}: {change:+.3f} per decade (p = {p_value:.2f}, {n_donors} donors)")
        rises.append(change > 0 and p_value < 0.05)
    return "; ".join(found), all(rises)


def _tell_sex(evidence: Evidence) -> Answer:
    genes = evidence.values(["XIST", "RPS4Y1"])
    if len(genes) < 2:
        _lack("XIST and RPS4Y1")
    cells = evidence.cells.select(_DONOR, names.SEX).with_columns(woman=genes["XIST"], man=genes["RPS4Y1"])
    each = cells.group_by(_DONOR).agg(pl.col(names.SEX).first(), pl.col("woman", "man").mean())
    woman = pl.col("woman") > pl.col("man")
    right = each.filter(woman == (pl.col(names.SEX) == names.FEMALE))
    return f"XIST against RPS4Y1 tells the sex of {len(right)} of {len(each)} donors", len(right) == len(each)


def _follow_genes(evidence: Evidence) -> Answer:
    found = []
    for gene, logs in evidence.values(["CDKN2A", "TP53"]).items():
        cells = evidence.cells.select(_DONOR).with_columns(linear=np.expm1(logs))
        change, p_value, _ = _slope(evidence, pl.col("linear"), cells)
        found.append(
            f"{gene}: in {np.mean(logs > 0):.1%} of cells, {change:+.3f} per decade (p = {p_value:.2f})"
        )
    return "; ".join(found), None


def _find_tissue(evidence: Evidence) -> Answer:
    if evidence.exact_ages is None:
        return "donors that are not in the authors' table", None
    kinds = evidence.donors["Donor_type"].value_counts(sort=True)
    return ", ".join(
        f"{n} {kind}" for kind, n in kinds.iter_rows()
    ) + " in the authors' table of these donors", False


def _says_nothing(_evidence: Evidence) -> Answer:
    return "nothing in the files", None


_DENSE = (
    f"float32 of {study.N_CELLS:,} x {study.N_GENES:,} is {budget.to_text(study.N_CELLS * study.N_GENES * 4)}"
)
_MAPS = f"{budget.to_text(study.N_CELLS * 84 * 8)} at most, at full size and in float64"
_PCA = {"n_comps": 50, "use_highly_variable": True}
_NEIGHBORS = {"n_neighbors": 15, "n_pcs": 50}

CLAIMS: tuple[Claim, ...] = (
    Claim("cells", "183,161 cells", _count_cells, "About half are nuclei: two assays, not one.", "size"),
    Claim("donors", "17 donors", lambda e: (str(len(e.donors)), len(e.donors) == 17), "The donors, not the cells, are the replicates.", "size"),
    Claim("donor names", "donors are called Donor_01, Donor_02 and so on", _name_donors, "The files keep the study's own codes."),
    Claim("age range", "donors aged 15 to 75 years", _span_ages, "15 and 75 are edges of bins; the authors' notebooks give exact ages."),
    Claim("numeric age", "age_numeric is the age, continuous, in years", _count_midpoints, "It is the middle of a bin, not the age of a donor."),
    Claim("age groups", "eight age groups with stated numbers of cells", _count_ages, "Counted in the metadata.", "size"),
    Claim("oldest group", "32.7 % of the data are 70-75 years old", _share_oldest, "Counted in the metadata.", "size"),
    Claim("young and old", "8 young and 9 old donors", _count_young, "Young is below 40 years.", "size"),
    Claim("balance", "eight age groups, balanced young and old", _balance, "Young and old are near balance, the eight bins are not. The card itself says both."),
    Claim("age classes", "the eight age groups are classes to predict", _find_single_bins, "Where a bin is one donor, age and person are the same thing: no test can tell them apart."),
    Claim("stratified split", "split cells at random, stratified by age group, to test an age model", _split, "A model can learn the donor in place of the age. Leave whole donors out."),
    Claim("labels", "36, 43 and 82 labels at three levels", _count_labels, "Distinct labels at levels 0, 1 and 2.", "size"),
    Claim("label hierarchy", "the three levels allow hierarchical classification", _check_tree, "In the published files 62 cells are cDC2 at levels 0 and 1 and cDC1 at level 2, so the levels are no tree."),
    Claim("major types", "36 major cell types", _find_rare, "Not all are major, and one is not a type."),
    Claim("top ten", "the ten largest cell types with their numbers", _rank_types, "Counted in the metadata.", "size"),
    Claim("(fg)", "MF-Isc(fg) and MF-IIsc(fg) are subcutaneous fibers", _find_fragments, "sc and sn name the assay; fg is a fragment: cytoplasmic fragments of fibers."),
    Claim("stem cells", "muscle stem cells are a rare class of about 11 %", _share_stem_cells, "Among the commonest types, and their share depends on the assay more than on age."),
    Claim("batch", "batch is a batch effect to detect and correct", _find_one_assay, "batch is the assay, partly collinear with the labels: correcting it away removes biology."),
    Claim("sex", "sex-specific aging patterns can be identified", _find_young_women, "Without young women among cells, age and sex cannot be told apart there: no model can adjust for it."),
    Claim("genes", "29,400 genes", lambda e: (f"{len(e.scan.genes):,}", len(e.scan.genes) == study.N_GENES), "Columns of the expression file.", "size"),
    Claim("protein coding", "the genes are protein coding", _share_coding, "Humans have about 20,000 protein-coding genes."),
    Claim("symbols", "columns are approved gene symbols", _find_clones, "A clone name is no approved symbol."),
    Claim("gene table", "all four columns complete, gene_ids an identifier", _check_gene_table, "gene_ids holds the column names of the matrix, not identifiers."),
    Claim("reference", "aligned to GRCh38-2020-A", _find_reference, "Reference 3.0.0 has 33,538 genes, as the study's gene space; 2020-A has 36,601."),
    Claim("variable genes", "about 10,000 highly variable genes pre-selected", _find_variable, "They were chosen inside the study's scVI model and are not in the files."),
    Claim("barcodes", "cell barcodes are the index of all files", _find_barcodes, "Without barcodes rows can only be matched by their order."),
    Claim("access by label", "expression.loc[barcodes of the metadata] picks cells", _access_by_label, "Align by the order of the rows."),
    Claim("index check", "one line checks that four indices agree", _chain, "a == b == c asks for the truth of an array. Compare in pairs."),
    Claim("phantom column", "the stray index column has been removed", _find_phantom, "That column was the barcodes: the fix took them away."),
    Claim("sparse storage", "a sparse matrix, stored efficiently in Parquet", _look_stored, "Parquet has no sparse matrices: zeros are stored, and only compressed."),
    Claim("float32", "values are float32", _look_types, "float is float32, double is float64."),
    Claim("embeddings", "scVI 30, PCA 50, UMAP 2, t-SNE 2 dimensions", _count_dimensions, "Columns of the projection files."),
    Claim("PCA settings", "50 components, of highly variable genes", partial(_look_settings, step="pca", stated=_PCA), "As the file states: PCA was made of all genes."),
    Claim("neighbors settings", "15 neighbors, 50 components", partial(_look_settings, step="neighbors", stated=_NEIGHBORS), "As the file states."),
    Claim("origin of maps", "the embeddings come with the study", _find_origin, "Added ones were computed by the uploader, without correction for donor or assay."),
    Claim("12 files", "twelve files", _count_files, "See the table of `musclebook validate`."),
    Claim("file sizes", "1.6 GB in all, each file with its size", _weigh_files, "Within a fifth of the stated size counts as the same.", "size"),
    Claim("8 GB of memory", "8 GB are enough to begin", lambda _: (_DENSE, False), "The card's own first line, pd.read_parquet of the expression file, needs that much."),
    Claim("6 GB sparse", "the expression matrix takes about 6 GB, sparse", _weigh_sparse, "Four bytes for each value and four for its column."),
    Claim("2 GB of maps", "all projections take about 2 GB more", lambda _: (_MAPS, False), "84 columns in all."),
    Claim("validation", "100 % validated, all tests passed", lambda e: (f"a report with {len(e.need(names.VALIDATION_FILE))} keys", None), "The uploader's own report read one row of ten genes, all zero; `musclebook validate` reads all."),
    Claim("loading by name", "ready for the hub's own loader", _find_configs, "Without it load_dataset took the validation report for the data."),
    Claim("text", "documented in readable text", _find_garbled, "Garbled where UTF-8 was read as another encoding."),
    Claim("license", "MIT, for the data", lambda e: (f"LICENSE begins {e.need(names.LICENSE_FILE).strip()[:30]!r}", None), "The uploader's license. The study is CC BY 4.0, its code Apache-2.0; its portal states none for the data."),
    Claim("sparsity", "95.4 % zeros", lambda e: (f"{e.scan.zero_share:.2%} zeros", abs(e.scan.zero_share - 0.954) < 0.0006), "Counted over the whole matrix.", "values"),
    Claim("genes per cell", "median 1,172", partial(_median, column=names.N_GENES, published=study.MEDIAN_GENES), "Median of n_genes in the metadata.", "values"),
    Claim("molecules per cell", "median 2,751", partial(_median, column=names.N_COUNTS, published=study.MEDIAN_COUNTS), "Median of n_counts in the metadata.", "values"),
    Claim("mitochondrial", "less than 20 % mitochondrial", lambda e: (f"up to {(top := e.cells[names.PERCENT_MITO].max()):.1f} %", top < 20), "The limit is in none of the study's sources.", "values"),
    Claim("normalization", "library size normalization, no more", _look_normalized, "The card names only the division by library size. Undo the logarithm before any mean or ratio."),
    Claim("fold change", "log2 of the ratio of mean values is a fold change with age", _compare_folds, "A ratio of mean logarithms is no fold change, and its cells are not replicates."),
    *(Claim(f"range of {key}", f"{low:.2f} to {high:.2f}", partial(_look_range, key=key), "The range on the card goes back to a check of the first 100 rows.", "values") for key, (low, high) in _RANGES.items()),
    Claim("scVI", "corrected across chemistries", lambda e: (f"{e.cells[names.CHEMISTRY].n_unique()} chemistries in the metadata", None), "The study's scVI took sample, donor, sex, chemistry and mitochondrial share, of its cells; for both assays it is not stated."),
    Claim("fiber switch", "the type I share of MF-I and MF-II rises with age", _switch_fibers, "MF-I and MF-II are nuclei. The study saw type I nuclei fall with age; only fragments, in cells, go the other way.", "values"),
    Claim("fibroblasts", "fibroblasts increase with age", _follow_fibroblasts, "In the study's model the age slope of fibroblasts is not significant either.", "values"),
    Claim("sex genes", "Y genes tell the sex", _tell_sex, "The strongest 'age genes' among cells may be sex genes.", "values"),
    Claim("genes of aging", "models should recover CDKN2A and TP53", _follow_genes, "No source of the study reports them as genes of aging.", "values"),
    Claim("tissue", "needle biopsies of healthy individuals", _find_tissue, "DBD and DCD are deceased organ donors, after 2 to 10 days in hospital; the muscle is intercostal."),
    Claim("sequencer", "NovaSeq 6000, about 50,000 reads a cell", _says_nothing, "Not in the files, and in none of the study's sources at hand."),
    Claim("ethics", "IRB approved, informed consent", _says_nothing, "A matter of the study's own text."),
)  # fmt: skip
