"""The claims of the public dataset card, each computed from the files of a release."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from scipy import stats

from helpers import budget, names
from helpers.atlas import matrix, validate
from helpers.atlas.validate import CELL_FILES, Files
from helpers.facts import study

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "cannot be checked"
INCOMPARABLE, SIMULATED = "not comparable", "not judged: simulated"
SCHEMA = dict.fromkeys(("claim", "card", "found", "verdict", "explanation"), pl.String)
_LABEL, _DONOR, _ASSAY, _GROUP = names.LEVEL0, names.DONOR, names.ASSAY, names.AGE_GROUP
_MATRIX, _SAMPLE, _FEATURES = names.EXPRESSION_FILE, names.SAMPLE_FILE, names.FEATURE_FILE
_MEGABYTES = {_MATRIX: 1500, _SAMPLE: 4.3, _FEATURES: 1.0}  # as the card lists them
_MEGABYTES |= dict(zip(names.PROJECTION_FILES.values(), (35, 4.1, 57, 4.1), strict=True))
_RANGES = {names.SCVI: (-2.90, 3.64), names.UMAP: (7.50, 19.20), names.PCA: (-30.80, 17.86), names.TSNE: (-51.03, -4.97)}  # fmt: skip
_CLONE = r"^(?:A[A-Z]|B[XS]|C[RTUHF]|F[OP]|KC|LA|R[SP]|U|Z)[0-9]{5,6}\.[0-9]+$"
_GARBLED = re.compile("ðŸ|â€|Ã.|√[óÇ≥]|‚[ÄÜ]|œÜ|üß|üî|Ô∏è")
_LEAST = 20  # cells of one assay that a donor needs for a share
_STATED = {"pca": {"n_comps": 50, "use_highly_variable": True}, "neighbors": {"n_neighbors": 15, "n_pcs": 50}}  # fmt: skip

# a claim, what was found, and whether it holds, if files can tell
Answers = Iterator[tuple[str, str, bool | None]]


class _AbsentError(Exception):
    """Something that a claim needs is not in the release."""


def _lack(what: str) -> NoReturn:
    raise _AbsentError(what)


def _need(files: Files, what: str) -> Any:
    """Return a table, a text, a parsed JSON file or the scan of the matrix."""
    found = files.get(what)
    if found is None:
        broken = f"{_MATRIX}, which {files.broken.found}" if files.broken else _MATRIX
        _lack(broken if what == "matrix" else what)
    return found


_cells = partial(_need, what=_SAMPLE)


def _donors(files: Files) -> pl.DataFrame:
    """Return a row for each donor: age group, bin, middle of the group, the authors' exact age where known."""
    exact = study.donors().select(_DONOR, "Donor_type", age=pl.col("Age").cast(pl.Float64))
    said = pl.col(_GROUP, names.AGE_BIN, names.AGE_MIDPOINT).first()
    each = _cells(files).group_by(_DONOR, maintain_order=True).agg(said).join(exact, on=_DONOR, how="left")
    return each.with_columns(years=pl.coalesce(names.EXACT_AGE, names.AGE_MIDPOINT).cast(pl.Float64))


def _values(files: Files, *genes: str) -> dict[str, np.ndarray]:
    """Return the log values of genes in all cells; those the release lacks are left out."""
    held = set(_need(files, "matrix").genes)
    if files.get("logs") is None:
        _lack(f"a {_MATRIX} of log1p of counts, every value finite")
    wanted = [gene for gene in genes if gene in held]
    if not wanted:
        _lack(" and ".join(genes))
    table = pq.read_table(files.folder / _MATRIX, columns=wanted)
    return {gene: table.column(gene).to_numpy().astype(np.float64) for gene in wanted}


def audit(folder: str | Path, *, progress: Callable[[int, int], None] | None = None) -> pl.DataFrame:
    """Weigh each claim of the public card against the files of a release.

    A claim about size is not comparable on a part of the atlas; one about values that a simulation drew is not judged
    on simulated data. `progress` is called with the genes read so far and all genes. No such folder, or a table so
    damaged that its numbers mean nothing, is a `ReleaseError`.

    Returns
    -------
    polars.DataFrame
        A row for each claim: ``claim``, ``card`` (in other words), ``found``, ``verdict`` (holds, does not hold,
        cannot be checked, not comparable, not judged: simulated), ``explanation``.
    """
    files = Files(folder)
    validate.require_tables(files)
    files.read_matrix(progress)
    answers, absent, claims = {}, {}, study.read("card_claims.tsv")
    for topic in claims["topic"].unique():
        name, *more = topic.split()
        try:
            for claim, found, true in globals()[f"_weigh_{name}"](files, *more):
                answers[claim] = found, true
        except _AbsentError as error:
            absent[topic] = f"not in the release: {error}"
    rows = []
    for claim, topic, rests_on, card, explanation in claims.iter_rows():
        judged = _judge(*answers[claim], rests_on, files) if claim in answers else (absent[topic], UNKNOWN)
        rows.append((claim, card, *judged, explanation))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _judge(found: str, true: bool | None, rests_on: str | None, files: Files) -> tuple[str, str]:  # noqa: FBT001
    """Return what was found and the verdict; where a claim rests on size or drawn values, the card is not to blame."""
    sample, simulated = files.get(_SAMPLE), (files.folder / names.TRUTH_FOLDER).is_dir()
    part = sample is not None and len(sample) != study.N_CELLS
    if rests_on == "values" and simulated:
        return found, SIMULATED
    if rests_on == "size" and part:
        kind = "simulated part" if simulated else "part"
        found = f"{found} ({kind}: {len(sample):,} of {study.N_CELLS:,} cells)"
    if rests_on == "size" and (part or simulated) and not true:
        return found, INCOMPARABLE
    return found, UNKNOWN if true is None else HOLDS if true else FAILS


def _name(found: Iterable[object], nothing: str = "none") -> str:
    return ", ".join(map(str, found)) or nothing


def _weigh_donors(files: Files) -> Answers:
    donors = _donors(files)
    ids, exact = donors[_DONOR].sort().to_list(), donors[names.EXACT_AGE]
    yield "donors", str(len(ids)), len(ids) == 17
    few = _name(ids[:4]) + " …" * (len(ids) > 4)
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

    n_values = _cells(files)[names.AGE_MIDPOINT].n_unique()
    off = (exact - donors[names.AGE_MIDPOINT]).abs().max()
    far = "" if off is None else f"; up to {off:.1f} years off the exact age"
    yield "numeric age", f"{n_values} distinct values{far}", n_values > 8

    young, old = (donors[names.AGE_BIN].eq(one).sum() for one in (names.YOUNG, names.OLD))
    yield "young and old", f"{young} young, {old} old donors", (young, old) == (8, 9)
    single = donors.filter(pl.len().over(_GROUP) == 1)[_GROUP].sort()
    found = f"{len(single)} of {len(bins)} bins are one donor each: {_name(single)}"
    yield "age classes", found, single.is_empty()


def _weigh_cells(files: Files) -> Answers:
    cells = _cells(files)
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
    who = [among[_DONOR].filter(among[names.SEX] == sex) for sex in (names.FEMALE, names.MALE)]
    women, men = (donors.n_unique() for donors in who)
    yield "sex", f"young donors among cells: {women} women, {men} men", women > 0

    index = cells[_DONOR].head(3).to_pandas()
    try:
        all(index == index == index)  # the card's line, with one index for all
        yield "index check", "the line runs", True
    except ValueError as error:
        yield "index check", f"ValueError: {str(error)[:60]}…", False


def _weigh_quality(files: Files) -> Answers:
    cells = _cells(files)
    genes, molecules = (cells[column].median() for column in (names.N_GENES, names.N_COUNTS))
    top = cells[names.PERCENT_MITO].max()
    yield "genes per cell", f"{genes:,.0f}", abs(genes / study.MEDIAN_GENES - 1) < 0.001
    yield "molecules per cell", f"{molecules:,.0f}", abs(molecules / study.MEDIAN_COUNTS - 1) < 0.001
    yield "mitochondrial", f"up to {top:.1f} %", top < 20
    yield "scVI", f"{cells[names.CHEMISTRY].n_unique()} chemistries in the metadata", None


def _weigh_labels(files: Files) -> Answers:
    cells = _cells(files)
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
    single = each.filter(~pl.col("share").is_between(0.001, 0.999))
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


def _weigh_genes(files: Files) -> Answers:
    genes, reference = _need(files, _FEATURES), study.genes()
    ids = genes.select(ensembl_id=pl.col(names.ENSEMBL).str.replace(r"\.\d+$", ""))
    known = ids.join(reference, on="ensembl_id", how="inner")["biotype"].drop_nulls()
    share = known.eq("protein_coding").mean()
    found = f"{share or 0:.1%} of {len(known):,} genes with a known biotype are protein coding"
    found = "no gene of the human reference" if share is None else found
    yield "protein coding", found, None if share is None else share > 0.99

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

    held = [column for column in genes.columns if "variable" in column]
    found = f"columns of variable genes: {_name(held)}"
    yield "variable genes", f"{found}; PCA used them: {_settings(files)['use_highly_variable']}", bool(held)


def _weigh_index(files: Files) -> Answers:
    if _MATRIX not in files.schemas:
        _lack(_MATRIX)
    there = _MATRIX in files.barcodes
    found = "barcodes in both" if there else "rows are numbered, so expression.loc[barcodes] fails"
    yield "access by label", found, there
    there = names.INDEX_COLUMN in files.schemas[_MATRIX].names
    found = f"{names.INDEX_COLUMN} is {'still' if there else 'not'} in the expression file"
    yield "phantom column", found, not there


def _settings(files: Files, step: str = "pca") -> dict[str, Any]:
    """Return the parameters of a step that the card states, as the files state them."""
    held = _need(files, names.UNSTRUCTURED_FILE).get(step, {})
    held = held.get("params", {}) if isinstance(held, dict) else {}
    return {key: held.get(key, "not stated") for key in _STATED[step]}


def _weigh_settings(files: Files) -> Answers:
    for step, stated in _STATED.items():
        have = _settings(files, step)
        found = _name(f"{key} {value}" for key, value in have.items())
        yield f"{step.replace('pca', 'PCA')} settings", found, have == stated


def _weigh_origin(files: Files) -> Answers:
    keys = _need(files, names.STRUCTURE_FILE).get("obsm_keys")
    added = [key for key in names.PROJECTION_FILES if key not in (keys or ())]
    found = f"the study's object had {_name(keys or (), '')}; added: {_name(added)}"
    found = "the structure report lists no embeddings" if keys is None else found
    yield "origin of maps", found, None if keys is None else not added


def _weigh_files(files: Files) -> Answers:
    bare, n_files = [file for file in CELL_FILES if file not in files.barcodes], len(CELL_FILES)
    found = f"{n_files - len(bare)} of {n_files} files have barcodes; none in {_name(bare, 'no file')}"
    yield "barcodes", found, not bare

    wide = {key: len(columns) for key, columns in names.PROJECTION_COLUMNS.items()}
    have = {key: files.tables.get(file, pl.DataFrame()).width for key, file in names.PROJECTION_FILES.items()}
    yield "embeddings", _name(f"{key} {n}" for key, n in have.items()), have == wide

    here = sum((files.folder / file).is_file() for file in names.RELEASE_FILES)
    yield "12 files", f"{here} of the 12 files", here == len(names.RELEASE_FILES)
    there = [file for file in _MEGABYTES if (files.folder / file).is_file()]
    sizes = {file: (files.folder / file).stat().st_size / 1e6 for file in there}
    off = [file for file, stated in _MEGABYTES.items() if not 0.8 < sizes.get(file, 0) / stated < 1.25]
    found = f"{sum(sizes.values()):,.1f} MB in all; {len(off)} files of another size than stated"
    yield "file sizes", found, not off

    dense, maps = budget.to_text(study.N_CELLS * study.N_GENES * 4), budget.to_text(study.N_CELLS * 84 * 8)
    yield "8 GB of memory", f"float32 of {study.N_CELLS:,} x {study.N_GENES:,} is {dense}", False
    yield "2 GB of maps", f"{maps} at most, at full size and in float64", False
    yield "sequencer", "nothing in the files", None
    yield "ethics", "nothing in the files", None


def _weigh_readme(files: Files) -> Answers:
    text = _need(files, names.README_FILE)
    there = "configs:" in "".join(text.split("---")[1:2])
    found = f"the card {'states' if there else 'does not state'} which file is the data (configs)"
    yield "loading by name", found, there
    garbled = _GARBLED.findall(text)
    yield "text", f"{len(garbled):,} garbled characters", not garbled


def _weigh_license(files: Files) -> Answers:
    yield "license", f"LICENSE begins {_need(files, names.LICENSE_FILE).strip()[:30]!r}", None


def _weigh_validation(files: Files) -> Answers:
    yield "validation", f"a report with {len(_need(files, names.VALIDATION_FILE))} keys", None


def _weigh_matrix(files: Files) -> Answers:
    scan = _need(files, "matrix")
    n_genes, zeros, kinds = len(scan.genes), scan.zero_share, sorted(scan.types)
    yield "genes", f"{n_genes:,}", n_genes == study.N_GENES
    yield "sparse storage", f"{n_genes:,} dense columns, {zeros:.1%} of the values zeros", False
    yield "float32", ", ".join(kinds), kinds == ["float"]
    yield "sparsity", f"{zeros:.2%} zeros", abs(zeros - 0.954) < 0.0006
    needed = 8 * ((1 - zeros) * study.N_CELLS * study.N_GENES + study.N_CELLS)
    found = f"as CSR {budget.to_text(needed)}, at full size and the zeros of these files"
    yield "6 GB sparse", found, 5e9 < needed < 7e9
    median = float(np.median(scan.cell_sum))
    logged = abs(median / matrix.SCALE - 1) < 0.05
    kind = "log1p of counts per 10,000" if logged else "something else than log1p of counts per 10,000"
    found = f"expm1 of a cell adds up to {median:,.0f} (median): {kind}"
    yield "normalization", found, False if logged else None


def _weigh_folds(files: Files) -> Answers:
    scan, years = _need(files, "matrix"), _cells(files)[names.AGE_MIDPOINT].to_numpy()
    top = [scan.genes[i] for i in np.argsort(-scan.found[:, 0])[:50]]
    young, old = years <= 30, years >= 60
    differ = []
    for logs in _values(files, *top).values() if young.any() and old.any() else ():
        linear = np.expm1(logs)
        if min(linear[young].sum(), linear[old].sum()) > 0:
            card = np.log2((logs[old].mean() + 1e-9) / (logs[young].mean() + 1e-9))
            differ.append(abs(card - np.log2(linear[old].mean() / linear[young].mean())))
    if not differ:
        _lack("genes found at both ages")
    off = f"it is off by {np.median(differ):.2f} (median), up to {max(differ):.2f}"
    yield "fold change", f"in the {len(differ)} most frequent genes {off}", max(differ) <= 0.05


def _weigh_range(files: Files, key: str) -> Answers:
    values = _need(files, names.PROJECTION_FILES[key]).select(names.PROJECTION_COLUMNS[key]).to_numpy()
    (low, high), first = _RANGES[key], values[:100]
    true = abs(values.min() - low) < 0.01 and abs(values.max() - high) < 0.01
    found = f"{values.min():.2f} to {values.max():.2f}"
    yield f"range of {key}", f"{found}; in the first 100 rows {first.min():.2f} to {first.max():.2f}", true


def _slope(files: Files, of: pl.Expr, cells: pl.DataFrame) -> tuple[str, bool]:
    """Return a mean's change per decade over donors in words, and whether it rises."""
    each = cells.group_by(_DONOR).agg(value=of.mean(), n=pl.len()).filter(pl.col("n") >= _LEAST)
    years, values = each.join(_donors(files), on=_DONOR).select("years", "value").drop_nulls().to_numpy().T
    if len(values) < 4 or np.ptp(values) == 0 or np.ptp(years) == 0:
        _lack("cells of enough donors")
    line = stats.linregress(years, values)
    found = f"{line.slope * 10:+.3f} per decade (p = {line.pvalue:.2f}, {len(values)} donors)"
    return found, bool(line.slope > 0 and line.pvalue < 0.05)


def _weigh_fibers(files: Files) -> Answers:
    nuclei = _cells(files).filter((pl.col(_ASSAY) == names.NUCLEI) & pl.col(_LABEL).is_in(["MF-I", "MF-II"]))
    found, rises = _slope(files, pl.col(_LABEL) == "MF-I", nuclei)
    yield "fiber switch", f"in nuclei: {found}", rises


def _weigh_fibroblasts(files: Files) -> Answers:
    fibroblast, assays = pl.col(_LABEL) == "FB", (names.CELLS, names.NUCLEI)
    each = [_slope(files, fibroblast, _cells(files).filter(pl.col(_ASSAY) == assay)) for assay in assays]
    found = "; ".join(f"{assay}: {said}" for assay, (said, _) in zip(assays, each, strict=True))
    yield "fibroblasts", found, all(rises for _, rises in each)


def _weigh_sex(files: Files) -> Answers:
    genes = _values(files, "XIST", "RPS4Y1")
    if len(genes) < 2:
        _lack("XIST and RPS4Y1")
    cells = _cells(files).select(_DONOR, names.SEX).with_columns(woman=genes["XIST"], man=genes["RPS4Y1"])
    each = cells.group_by(_DONOR).agg(pl.col(names.SEX).first(), pl.col("woman", "man").mean())
    right = each.filter((pl.col("woman") > pl.col("man")) == (pl.col(names.SEX) == names.FEMALE))
    found = f"XIST against RPS4Y1 tells the sex of {len(right)} of {len(each)} donors"
    yield "sex genes", found, len(right) == len(each)


def _weigh_aging(files: Files) -> Answers:
    found = []
    for gene, logs in _values(files, "CDKN2A", "TP53").items():
        cells = _cells(files).select(_DONOR).with_columns(linear=np.expm1(logs))
        change, _ = _slope(files, pl.col("linear"), cells)
        found.append(f"{gene}: in {np.mean(logs > 0):.1%} of cells, {change}")
    yield "genes of aging", "; ".join(found), None
