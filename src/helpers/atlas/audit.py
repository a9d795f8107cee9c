"""The claims of the public dataset card, each computed from the files of a release."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
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
_MEGABYTES = {_MATRIX: 1500, _SAMPLE: 4.3, _FEATURES: 1.0}  # as the card lists them
_MEGABYTES |= dict(zip(names.PROJECTION_FILES.values(), (35, 4.1, 57, 4.1), strict=True))
_RANGES = {names.SCVI: (-2.90, 3.64), names.UMAP: (7.50, 19.20), names.PCA: (-30.80, 17.86), names.TSNE: (-51.03, -4.97)}  # fmt: skip
_CLONE = r"^(?:A[A-Z]|B[XS]|C[RTUHF]|F[OP]|KC|LA|R[SP]|U|Z)[0-9]{5,6}\.[0-9]+$"
_GARBLED = re.compile("ðŸ|â€|Ã.|√[óÇ≥]|‚[ÄÜ]|œÜ|üß|üî|Ô∏è")
_LEAST = 20  # cells of one assay that a donor needs for a share
_STATED = {"pca": {"n_comps": 50, "use_highly_variable": True}, "neighbors": {"n_neighbors": 15, "n_pcs": 50}}  # fmt: skip

Answer = tuple[str, bool | None]  # what was found, and whether the claim holds, if files can tell
Answers = Iterator[tuple[str, str, bool | None]]  # the same for several claims, each with its name


class Claim(NamedTuple):
    """A claim of the card, in other words; what weighs it, and what to know about it.

    ``rests_on`` is empty; ``size`` where another number of cells gives another answer, which is no fault of the card; or
    ``values`` where the answer is what a simulation drew, so that on simulated data it says nothing about the card.
    """

    name: str
    card: str
    weigh: "Callable[[Evidence], Answers]"
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
    weighed: dict[Callable, tuple[dict[str, Answer], str]] = field(default_factory=dict)

    def weigh(self, claim: Claim) -> Answer | str:
        """Return the answer to a claim, or what it needs that the release does not have."""
        if claim.weigh not in self.weighed:
            answers, absent = {}, ""
            try:
                for name, found, true in claim.weigh(self):
                    answers[name] = found, true
            except _AbsentError as error:
                absent = str(error)
            self.weighed[claim.weigh] = answers, absent
        answers, absent = self.weighed[claim.weigh]
        return answers.get(claim.name, absent)

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
        exact = study.donors().select(_DONOR, "Donor_type", age=pl.col("Age").cast(pl.Float64))
        columns = [_GROUP, names.AGE_BIN, names.SEX, names.AGE_MIDPOINT]
        each = self.cells.group_by(_DONOR, maintain_order=True).agg(pl.col(columns).first())
        years = pl.coalesce(names.EXACT_AGE, names.AGE_MIDPOINT).cast(pl.Float64)
        return each.join(exact, on=_DONOR, how="left").with_columns(years=years)

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
    answer = evidence.weigh(claim)
    if isinstance(answer, str):
        return f"not in the release: {answer}", UNKNOWN
    found, true = answer
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


def _name(found: Iterable[object], nothing: str = "none") -> str:
    return ", ".join(map(str, found)) or nothing


# Cells, donors and labels


def _weigh_donors(evidence: Evidence) -> Answers:
    donors = evidence.donors
    ids, exact = donors[_DONOR].sort().to_list(), donors[names.EXACT_AGE]
    yield "donors", str(len(ids)), len(ids) == 17
    few = ", ".join(ids[:4]) + " …" * (len(ids) > 4)
    yield "donor names", few, all(one.startswith("Donor_") for one in ids)

    bins = donors[_GROUP].unique().sort()
    edges = f"bins run from {bins[0].split('-')[0]} to {bins[-1].split('-')[-1]}"
    if exact.null_count():
        yield "age range", f"{edges}; these donors are not in the authors' table", None
        yield "tissue", "donors that are not in the authors' table", None
    else:
        low, high = exact.min(), exact.max()
        yield "age range", f"donors are {low:.0f} to {high:.0f} years old; {edges}", (low, high) == (15, 75)
        kinds = donors["Donor_type"].value_counts(sort=True).iter_rows()
        yield "tissue", _name(f"{n} {k}" for k, n in kinds) + " in the authors' table of these donors", False

    n_values, off = (
        evidence.cells[names.AGE_MIDPOINT].n_unique(),
        (exact - donors[names.AGE_MIDPOINT]).abs().max(),
    )
    far = "" if off is None else f"; up to {off:.1f} years off the exact age"
    yield "numeric age", f"{n_values} distinct values{far}", n_values > 8

    young, old = (donors[names.AGE_BIN].eq(one).sum() for one in (names.YOUNG, names.OLD))
    yield "young and old", f"{young} young, {old} old donors", (young, old) == (8, 9)
    single = donors.filter(pl.len().over(_GROUP) == 1)[_GROUP].sort()
    found = f"{len(single)} of {len(bins)} bins are one donor each: {_name(single)}"
    yield "age classes", found, single.is_empty()


def _weigh_cells(evidence: Evidence) -> Answers:
    cells = evidence.cells
    by_assay = dict(cells[_ASSAY].value_counts().iter_rows())
    found = f"{len(cells):,}: {by_assay.get('cells', 0):,} cells, {by_assay.get('nuclei', 0):,} nuclei"
    yield "cells", found, len(cells) == study.N_CELLS

    have = dict(cells[_GROUP].value_counts().iter_rows())
    found = _name(f"{group}: {have.get(group, 0):,}" for group in names.AGE_GROUPS)
    yield "age groups", found, have == study.N_BY_AGE_GROUP
    share = cells[_GROUP].eq("70-75").mean()
    yield "oldest group", f"{share:.1%}", abs(share - 0.327) < 0.0051
    bins = cells[_GROUP].value_counts().sort("count", _GROUP)
    (low, fewest), (high, most) = bins.row(0), bins.row(-1)
    young = cells[names.AGE_BIN].eq(names.YOUNG).mean()
    found = f"{young:.0%} of the cells are young; bins from {fewest:,} ({low}) to {most:,} cells ({high})"
    yield "balance", found, most <= 10 * fewest

    # every fifth cell of an age group in the test set: who is on both sides?
    order = cells.select(_DONOR, _GROUP).sample(fraction=1, shuffle=True, seed=0)
    split = order.with_columns(test=pl.int_range(pl.len()).over(_GROUP) % 5 == 0)
    seen = split.filter(~pl.col("test"))[_DONOR].unique().to_list()
    leaked = split.filter("test")[_DONOR].is_in(seen).mean()
    found = f"{leaked:.1%} of the test cells come from donors that are also in the training set"
    yield "stratified split", found, leaked == 0

    among = cells.filter((pl.col(names.AGE_BIN) == names.YOUNG) & (pl.col(_ASSAY) == names.CELLS))
    each = dict(among.group_by(names.SEX).agg(pl.col(_DONOR).n_unique()).iter_rows())
    women, men = each.get(names.FEMALE, 0), each.get(names.MALE, 0)
    yield "sex", f"young donors among cells: {women} women, {men} men", women > 0

    index = cells[_DONOR].head(3).to_pandas()
    try:
        all(index == index == index)  # the card's line, with one index for all
        yield "index check", "the line runs", True
    except ValueError as error:
        yield "index check", f"ValueError: {str(error)[:60]}…", False


def _weigh_quality(evidence: Evidence) -> Answers:
    medians = ("genes per cell", names.N_GENES, study.MEDIAN_GENES), ("molecules per cell", names.N_COUNTS, study.MEDIAN_COUNTS)  # fmt: skip
    for name, column, published in medians:
        median = float(evidence.cells[column].median())
        yield name, f"{median:,.0f}", abs(median / published - 1) < 0.001
    top = evidence.cells[names.PERCENT_MITO].max()
    yield "mitochondrial", f"up to {top:.1f} %", top < 20
    yield "scVI", f"{evidence.cells[names.CHEMISTRY].n_unique()} chemistries in the metadata", None


def _weigh_labels(evidence: Evidence) -> Answers:
    cells = evidence.cells
    n_labels = {level: cells[level].n_unique() for level in names.LEVELS}
    yield "labels", " / ".join(map(str, n_labels.values())), n_labels == study.N_LABELS
    parents = cells.group_by(names.LEVEL2).agg(pl.col(names.LEVEL1).n_unique())
    several = parents.filter(pl.col(names.LEVEL1) > 1)[names.LEVEL2].sort()
    found = f"{len(several)} labels of level 2 have several parents: {_name(several)}"
    yield "label hierarchy", found, several.is_empty()

    sizes = cells[_LABEL].value_counts(sort=True)
    rare, umbrella = (sizes["count"] < 0.0003 * len(cells)).sum(), "Specialised MF" in sizes[_LABEL].to_list()
    found = f"{len(sizes)} labels; {rare} hold less than 0.03 % of the cells"
    found += "; Specialised MF stands for five kinds" * umbrella
    yield "major types", found, not rare and not umbrella
    # counted at level 1, where the 62 cells that change type at level 2 are still with their own
    published = study.level1_by_assay().group_by(_LABEL).agg(pl.col("n_total").sum()).iter_rows()
    top = dict(sizes.head(10).iter_rows())
    wanted = dict(sorted(published, key=lambda item: -item[1])[:10])
    yield "top ten", _name(f"{label} {n:,}" for label, n in top.items()), top == wanted

    stem = cells.select(_ASSAY, stem=pl.col(_LABEL) == "MuSC")
    shares = stem.group_by(_ASSAY).agg(pl.col("stem").mean()).sort(_ASSAY).iter_rows()
    found = f"{stem['stem'].mean():.1%} of all; {_name(f'{share:.1%} of {assay}' for assay, share in shares)}"
    yield "stem cells", found, stem["stem"].mean() <= 0.05
    each = cells.group_by(_LABEL).agg(pl.len(), share=(pl.col(_ASSAY) == names.CELLS).mean())
    single = each.filter((pl.col("share") < 0.001) | (pl.col("share") > 0.999))
    held = single["len"].sum() / len(cells)
    found = f"{len(single)} of {len(each)} labels occur in one assay only; they hold {held:.0%} of the cells"
    yield "batch", found, single.is_empty()

    fragments = cells.filter(pl.col(_LABEL).str.contains("(fg)", literal=True))
    if fragments.is_empty():
        _lack("labels with (fg)")
    whole = fragments.filter(pl.col(_LABEL).str.contains("sc(fg)", literal=True))
    n_nuclei, genes = whole[_ASSAY].eq(names.NUCLEI).sum(), fragments[names.N_GENES].median()
    found = f"{n_nuclei} of {len(whole):,} MF-..sc(fg) are nuclei; median {genes:,.0f} genes"
    yield "(fg)", f"{_name(fragments[_LABEL].unique().sort())}: {found}", False


# Genes


def _weigh_genes(evidence: Evidence) -> Answers:
    genes, reference = evidence.need(_FEATURES), study.genes()
    ids = genes.select(ensembl_id=pl.col(names.ENSEMBL).str.replace(r"\.\d+$", ""))
    known = ids.join(reference, on="ensembl_id", how="inner")["biotype"].drop_nulls()
    if known.is_empty():
        yield "protein coding", "no gene of the human reference", None
    else:
        share = known.eq("protein_coding").mean()
        found = f"{share:.1%} of {len(known):,} genes with a known biotype are protein coding"
        yield "protein coding", found, share > 0.99

    symbols = genes[names.SYMBOL]
    clones = symbols.filter(symbols.str.contains(_CLONE))
    found = f"{len(clones):,} of {len(symbols):,} are names of clones: {_name(clones.head(3))}"
    yield "symbols", found, len(clones) <= 0.01 * len(symbols)
    empty = sum(genes[column].null_count() for column in names.FEATURE_COLUMNS)
    same = genes[names.GENE_IDS].eq(symbols).mean()
    found = f"{empty or 'no'} values missing; gene_ids equals SYMBOL in {same:.1%} of the genes"
    yield "gene table", found, not empty
    n_known = genes[names.ENSEMBL].is_in(reference["ensembl_id"].to_list()).sum()
    found = f"{n_known:,} of {len(genes):,} identifiers are in reference 3.0.0"
    yield "reference", found, False if n_known > 0.99 * len(genes) else None

    used = evidence.settings("pca").get("use_highly_variable", "not stated")
    held = [column for column in evidence.files.tables[_FEATURES].columns if "variable" in column]
    yield "variable genes", f"columns of variable genes: {_name(held)}; PCA used them: {used}", bool(held)


# Files


def _weigh_index(evidence: Evidence) -> Answers:
    if _MATRIX not in evidence.files.schemas:
        _lack(_MATRIX)
    there = _MATRIX in evidence.files.barcodes
    found = "barcodes in both" if there else "rows are numbered, so expression.loc[barcodes] fails"
    yield "access by label", found, there
    there = names.INDEX_COLUMN in evidence.files.schemas[_MATRIX].names
    found = f"{names.INDEX_COLUMN} is {'still' if there else 'not'} in the expression file"
    yield "phantom column", found, not there


def _weigh_settings(evidence: Evidence) -> Answers:
    for step, stated in _STATED.items():
        params = evidence.settings(step)
        have = {key: params.get(key, "not stated") for key in stated}
        found = _name(f"{key} {value}" for key, value in have.items())
        yield f"{step.replace('pca', 'PCA')} settings", found, have == stated


def _weigh_origin(evidence: Evidence) -> Answers:
    keys = evidence.need(_STRUCTURE).get("obsm_keys")
    if keys is None:
        yield "origin of maps", "the structure report lists no embeddings", None
        return
    added = [key for key in names.PROJECTION_FILES if key not in keys]
    yield "origin of maps", f"the study's object had {_name(keys, '')}; added: {_name(added)}", not added


def _weigh_files(evidence: Evidence) -> Answers:
    files = evidence.files
    bare = [file for file in validate.CELL_FILES if file not in files.barcodes]
    n_files = len(validate.CELL_FILES)
    found = f"{n_files - len(bare)} of {n_files} files have barcodes; none in {_name(bare, 'no file')}"
    yield "barcodes", found, not bare

    wide = {key: len(columns) for key, columns in names.PROJECTION_COLUMNS.items()}
    tables = {key: files.tables.get(file) for key, file in names.PROJECTION_FILES.items()}
    have = {key: 0 if table is None else len(table.columns) for key, table in tables.items()}
    yield "embeddings", _name(f"{key} {n}" for key, n in have.items()), have == wide

    here = sum((files.folder / file).is_file() for file in names.RELEASE_FILES)
    yield "12 files", f"{here} of the 12 files", here == len(names.RELEASE_FILES)
    paths = {file: files.folder / file for file in _MEGABYTES}
    sizes = {file: path.stat().st_size / 1e6 for file, path in paths.items() if path.is_file()}
    off = [file for file, stated in _MEGABYTES.items() if not 0.8 < sizes.get(file, 0) / stated < 1.25]
    found = f"{sum(sizes.values()):,.1f} MB in all; {len(off)} files of another size than stated"
    yield "file sizes", found, not off

    dense = budget.to_text(study.N_CELLS * study.N_GENES * 4)
    yield "8 GB of memory", f"float32 of {study.N_CELLS:,} x {study.N_GENES:,} is {dense}", False
    maps = budget.to_text(study.N_CELLS * 84 * 8)
    yield "2 GB of maps", f"{maps} at most, at full size and in float64", False
    yield "sequencer", "nothing in the files", None
    yield "ethics", "nothing in the files", None


def _weigh_readme(evidence: Evidence) -> Answers:
    text = evidence.need(names.README_FILE)
    head = text.split("---")[1:2]
    there = bool(head) and "configs:" in head[0]
    found = f"the card {'states' if there else 'does not state'} which file is the data (configs)"
    yield "loading by name", found, there
    garbled = _GARBLED.findall(text)
    yield "text", f"{len(garbled):,} garbled characters", not garbled


def _weigh_license(evidence: Evidence) -> Answers:
    yield "license", f"LICENSE begins {evidence.need(names.LICENSE_FILE).strip()[:30]!r}", None


def _weigh_validation(evidence: Evidence) -> Answers:
    yield "validation", f"a report with {len(evidence.need(names.VALIDATION_FILE))} keys", None


# Values


def _weigh_matrix(evidence: Evidence) -> Answers:
    scan = evidence.scan
    n_genes, zeros, kinds = len(scan.genes), scan.zero_share, sorted(scan.types)
    yield "genes", f"{n_genes:,}", n_genes == study.N_GENES
    yield "sparse storage", f"{n_genes:,} dense columns, {zeros:.1%} of the values zeros", False
    yield "float32", ", ".join(kinds), kinds == ["float"]
    yield "sparsity", f"{zeros:.2%} zeros", abs(zeros - 0.954) < 0.0006
    needed = 8 * ((1 - zeros) * study.N_CELLS * study.N_GENES + study.N_CELLS)
    found = f"as CSR {budget.to_text(needed)}, at full size and the zeros of these files"
    yield "6 GB sparse", found, 5e9 < needed < 7e9
    median = float(np.median(scan.cell_sum))
    logged = abs(median / scanning.SCALE - 1) < 0.05
    kind = "log1p of counts per 10,000" if logged else "something else than log1p of counts per 10,000"
    found = f"expm1 of a cell adds up to {median:,.0f} (median): {kind}"
    yield "normalization", found, False if logged else None


def _weigh_folds(evidence: Evidence) -> Answers:
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
    yield "fold change", f"in the {len(differ)} most frequent genes {off}", max(differ) <= 0.05


def _weigh_range(evidence: Evidence, *, key: str) -> Answers:
    values = evidence.need(names.PROJECTION_FILES[key]).select(names.PROJECTION_COLUMNS[key]).to_numpy()
    (low, high), first = _RANGES[key], values[:100]
    true = abs(values.min() - low) < 0.01 and abs(values.max() - high) < 0.01
    found = f"{values.min():.2f} to {values.max():.2f}"
    yield f"range of {key}", f"{found}; in the first 100 rows {first.min():.2f} to {first.max():.2f}", true


def _slope(evidence: Evidence, of: pl.Expr, cells: pl.DataFrame) -> tuple[float, float, int]:
    """Return a mean's change per decade over donors, its p-value, and the donors it rests on."""
    each = cells.group_by(_DONOR).agg(value=of.mean(), n=pl.len()).filter(pl.col("n") >= _LEAST)
    years, values = each.join(evidence.donors, on=_DONOR).select("years", "value").drop_nulls().to_numpy().T
    if len(values) < 4 or np.ptp(values) == 0 or np.ptp(years) == 0:
        _lack("cells of enough donors")
    line = stats.linregress(years, values)
    return float(line.slope * 10), float(line.pvalue), len(values)


def _weigh_fibers(evidence: Evidence) -> Answers:
    nuclei = evidence.cells.filter((pl.col(_ASSAY) == names.NUCLEI) & pl.col(_LABEL).is_in(["MF-I", "MF-II"]))
    change, p_value, n_donors = _slope(evidence, pl.col(_LABEL) == "MF-I", nuclei)
    found = f"in nuclei, over {n_donors} donors {change:+.3f} per decade (p = {p_value:.2f})"
    yield "fiber switch", found, change > 0 and p_value < 0.05


def _weigh_fibroblasts(evidence: Evidence) -> Answers:
    found, rises = [], []
    for assay in (names.CELLS, names.NUCLEI):
        cells = evidence.cells.filter(pl.col(_ASSAY) == assay)
        change, p_value, n_donors = _slope(evidence, pl.col(_LABEL) == "FB", cells)
        found.append(f"{assay}: {change:+.3f} per decade (p = {p_value:.2f}, {n_donors} donors)")
        rises.append(change > 0 and p_value < 0.05)
    yield "fibroblasts", "; ".join(found), all(rises)


def _weigh_sex(evidence: Evidence) -> Answers:
    genes = evidence.values(["XIST", "RPS4Y1"])
    if len(genes) < 2:
        _lack("XIST and RPS4Y1")
    cells = evidence.cells.select(_DONOR, names.SEX).with_columns(woman=genes["XIST"], man=genes["RPS4Y1"])
    each = cells.group_by(_DONOR).agg(pl.col(names.SEX).first(), pl.col("woman", "man").mean())
    right = each.filter((pl.col("woman") > pl.col("man")) == (pl.col(names.SEX) == names.FEMALE))
    found = f"XIST against RPS4Y1 tells the sex of {len(right)} of {len(each)} donors"
    yield "sex genes", found, len(right) == len(each)


def _weigh_aging(evidence: Evidence) -> Answers:
    found = []
    for gene, logs in evidence.values(["CDKN2A", "TP53"]).items():
        cells = evidence.cells.select(_DONOR).with_columns(linear=np.expm1(logs))
        change, p_value, _ = _slope(evidence, pl.col("linear"), cells)
        seen = f"in {np.mean(logs > 0):.1%} of cells"
        found.append(f"{gene}: {seen}, {change:+.3f} per decade (p = {p_value:.2f})")
    yield "genes of aging", "; ".join(found), None


CLAIMS: tuple[Claim, ...] = (
    Claim("cells", "183,161 cells", _weigh_cells, "About half are nuclei: two assays, not one.", "size"),
    Claim("donors", "17 donors", _weigh_donors, "The donors, not the cells, are the replicates.", "size"),
    Claim("donor names", "donors are called Donor_01, Donor_02 and so on", _weigh_donors, "The files keep the study's own codes."),
    Claim("age range", "donors aged 15 to 75 years", _weigh_donors, "15 and 75 are edges of bins; the authors' notebooks give exact ages."),
    Claim("numeric age", "age_numeric is the age, continuous, in years", _weigh_donors, "It is the middle of a bin, not the age of a donor."),
    Claim("age groups", "eight age groups with stated numbers of cells", _weigh_cells, "Counted in the metadata.", "size"),
    Claim("oldest group", "32.7 % of the data are 70-75 years old", _weigh_cells, "Counted in the metadata.", "size"),
    Claim("young and old", "8 young and 9 old donors", _weigh_donors, "Young is below 40 years.", "size"),
    Claim("balance", "eight age groups, balanced young and old", _weigh_cells, "Young and old are near balance, the eight bins are not. The card itself says both."),
    Claim("age classes", "the eight age groups are classes to predict", _weigh_donors, "Where a bin is one donor, age and person are the same thing: no test can tell them apart."),
    Claim("stratified split", "split cells at random, stratified by age group, to test an age model", _weigh_cells, "A model can learn the donor in place of the age. Leave whole donors out."),
    Claim("labels", "36, 43 and 82 labels at three levels", _weigh_labels, "Distinct labels at levels 0, 1 and 2.", "size"),
    Claim("label hierarchy", "the three levels allow hierarchical classification", _weigh_labels, "In the published files 62 cells are cDC2 at levels 0 and 1 and cDC1 at level 2, so the levels are no tree."),
    Claim("major types", "36 major cell types", _weigh_labels, "Not all are major, and one is not a type."),
    Claim("top ten", "the ten largest cell types with their numbers", _weigh_labels, "Counted in the metadata.", "size"),
    Claim("(fg)", "MF-Isc(fg) and MF-IIsc(fg) are subcutaneous fibers", _weigh_labels, "sc and sn name the assay; fg is a fragment: cytoplasmic fragments of fibers."),
    Claim("stem cells", "muscle stem cells are a rare class of about 11 %", _weigh_labels, "Among the commonest types, and their share depends on the assay more than on age."),
    Claim("batch", "batch is a batch effect to detect and correct", _weigh_labels, "batch is the assay, partly collinear with the labels: correcting it away removes biology."),
    Claim("sex", "sex-specific aging patterns can be identified", _weigh_cells, "Without young women among cells, age and sex cannot be told apart there: no model can adjust for it."),
    Claim("genes", "29,400 genes", _weigh_matrix, "Columns of the expression file.", "size"),
    Claim("protein coding", "the genes are protein coding", _weigh_genes, "Humans have about 20,000 protein-coding genes."),
    Claim("symbols", "columns are approved gene symbols", _weigh_genes, "A clone name is no approved symbol."),
    Claim("gene table", "all four columns complete, gene_ids an identifier", _weigh_genes, "gene_ids holds the column names of the matrix, not identifiers."),
    Claim("reference", "aligned to GRCh38-2020-A", _weigh_genes, "Reference 3.0.0 has 33,538 genes, as the study's gene space; 2020-A has 36,601."),
    Claim("variable genes", "about 10,000 highly variable genes pre-selected", _weigh_genes, "They were chosen inside the study's scVI model and are not in the files."),
    Claim("barcodes", "cell barcodes are the index of all files", _weigh_files, "Without barcodes rows can only be matched by their order."),
    Claim("access by label", "expression.loc[barcodes of the metadata] picks cells", _weigh_index, "Align by the order of the rows."),
    Claim("index check", "one line checks that four indices agree", _weigh_cells, "a == b == c asks for the truth of an array. Compare in pairs."),
    Claim("phantom column", "the stray index column has been removed", _weigh_index, "That column was the barcodes: the fix took them away."),
    Claim("sparse storage", "a sparse matrix, stored efficiently in Parquet", _weigh_matrix, "Parquet has no sparse matrices: zeros are stored, and only compressed."),
    Claim("float32", "values are float32", _weigh_matrix, "float is float32, double is float64."),
    Claim("embeddings", "scVI 30, PCA 50, UMAP 2, t-SNE 2 dimensions", _weigh_files, "Columns of the projection files."),
    Claim("PCA settings", "50 components, of highly variable genes", _weigh_settings, "As the file states: PCA was made of all genes."),
    Claim("neighbors settings", "15 neighbors, 50 components", _weigh_settings, "As the file states."),
    Claim("origin of maps", "the embeddings come with the study", _weigh_origin, "Added ones were computed by the uploader, without correction for donor or assay."),
    Claim("12 files", "twelve files", _weigh_files, "See the table of `musclebook validate`."),
    Claim("file sizes", "1.6 GB in all, each file with its size", _weigh_files, "Within a fifth of the stated size counts as the same.", "size"),
    Claim("8 GB of memory", "8 GB are enough to begin", _weigh_files, "The card's own first line, pd.read_parquet of the expression file, needs that much."),
    Claim("6 GB sparse", "the expression matrix takes about 6 GB, sparse", _weigh_matrix, "Four bytes for each value and four for its column."),
    Claim("2 GB of maps", "all projections take about 2 GB more", _weigh_files, "84 columns in all."),
    Claim("validation", "100 % validated, all tests passed", _weigh_validation, "The uploader's own report read one row of ten genes, all zero; `musclebook validate` reads all."),
    Claim("loading by name", "ready for the hub's own loader", _weigh_readme, "Without it load_dataset took the validation report for the data."),
    Claim("text", "documented in readable text", _weigh_readme, "Garbled where UTF-8 was read as another encoding."),
    Claim("license", "MIT, for the data", _weigh_license, "The uploader's license. The study is CC BY 4.0, its code Apache-2.0; its portal states none for the data."),
    Claim("sparsity", "95.4 % zeros", _weigh_matrix, "Counted over the whole matrix.", "values"),
    Claim("genes per cell", "median 1,172", _weigh_quality, "Median of n_genes in the metadata.", "values"),
    Claim("molecules per cell", "median 2,751", _weigh_quality, "Median of n_counts in the metadata.", "values"),
    Claim("mitochondrial", "less than 20 % mitochondrial", _weigh_quality, "The limit is in none of the study's sources.", "values"),
    Claim("normalization", "library size normalization, no more", _weigh_matrix, "The card names only the division by library size. Undo the logarithm before any mean or ratio."),
    Claim("fold change", "log2 of the ratio of mean values is a fold change with age", _weigh_folds, "A ratio of mean logarithms is no fold change, and its cells are not replicates."),
    *(Claim(f"range of {key}", f"{low:.2f} to {high:.2f}", partial(_weigh_range, key=key), "The range on the card goes back to a check of the first 100 rows.", "values") for key, (low, high) in _RANGES.items()),
    Claim("scVI", "corrected across chemistries", _weigh_quality, "The study's scVI took sample, donor, sex, chemistry and mitochondrial share, of its cells; for both assays it is not stated."),
    Claim("fiber switch", "the type I share of MF-I and MF-II rises with age", _weigh_fibers, "MF-I and MF-II are nuclei. The study saw type I nuclei fall with age; only fragments, in cells, go the other way.", "values"),
    Claim("fibroblasts", "fibroblasts increase with age", _weigh_fibroblasts, "In the study's model the age slope of fibroblasts is not significant either.", "values"),
    Claim("sex genes", "Y genes tell the sex", _weigh_sex, "The strongest 'age genes' among cells may be sex genes.", "values"),
    Claim("genes of aging", "models should recover CDKN2A and TP53", _weigh_aging, "No source of the study reports them as genes of aging.", "values"),
    Claim("tissue", "needle biopsies of healthy individuals", _weigh_donors, "DBD and DCD are deceased organ donors, after 2 to 10 days in hospital; the muscle is intercostal."),
    Claim("sequencer", "NovaSeq 6000, about 50,000 reads a cell", _weigh_files, "Not in the files, and in none of the study's sources at hand."),
    Claim("ethics", "IRB approved, informed consent", _weigh_files, "A matter of the study's own text."),
)  # fmt: skip
