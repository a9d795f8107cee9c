"""Claims of the card about files, formats, parameters and memory."""

import re

from helpers import budget, names
from helpers.atlas.evidence import FAILS, HOLDS, UNKNOWN, AbsentError, Claim, Evidence, Verdict
from helpers.atlas.report import listing
from helpers.facts import study

_SIZES = {  # megabytes, as the card lists them
    names.EXPRESSION_FILE: 1500,
    names.SAMPLE_FILE: 4.3,
    names.FEATURE_FILE: 1.0,
    names.PROJECTION_FILES[names.PCA]: 57,
    names.PROJECTION_FILES[names.TSNE]: 4.1,
    names.PROJECTION_FILES[names.UMAP]: 4.1,
    names.PROJECTION_FILES[names.SCVI]: 35,
}
_GARBLED = re.compile("ðŸ|â€|Ã.|√[óÇ≥]|‚[ÄÜ]|œÜ|üß|üî|Ô∏è")


def _barcodes(evidence: Evidence) -> Verdict:
    files = (names.EXPRESSION_FILE, names.SAMPLE_FILE, *names.PROJECTION_FILES.values())
    bare = [file for file in files if file not in evidence.opened.index]
    found = f"{len(files) - len(bare)} of {len(files)} files have barcodes; none in {', '.join(bare) or 'no file'}"
    return Verdict(
        found, FAILS if bare else HOLDS, "Without barcodes rows can only be matched by their order."
    )


def _by_label(evidence: Evidence) -> Verdict:
    if names.EXPRESSION_FILE not in evidence.opened.schemas:
        raise AbsentError(names.EXPRESSION_FILE)
    bare = names.EXPRESSION_FILE not in evidence.opened.index
    found = (
        "rows of the expression file are numbered, so expression.loc[barcodes] fails"
        if bare
        else "barcodes in both"
    )
    return Verdict(found, FAILS if bare else HOLDS, "Align by the order of the rows.")


def _chain(evidence: Evidence) -> Verdict:
    import pandas as pd

    index = pd.Index(evidence.cells.head(3)[names.DONOR].to_list())
    try:
        all(index == index == index)  # the card's line, with one index for all
    except ValueError as error:
        return Verdict(
            f"ValueError: {str(error)[:60]}…",
            FAILS,
            "a == b == c asks for the truth of an array. Compare in pairs.",
        )
    return Verdict("the line runs", HOLDS, "Compared in pairs.")


def _phantom(evidence: Evidence) -> Verdict:
    if names.EXPRESSION_FILE not in evidence.opened.schemas:
        raise AbsentError(names.EXPRESSION_FILE)
    there = names.INDEX_COLUMN in evidence.opened.schemas[names.EXPRESSION_FILE].names
    found = f"{names.INDEX_COLUMN} is {'still' if there else 'not'} in the expression file"
    return Verdict(found, FAILS if there else HOLDS, "That column was the barcodes: the fix took them away.")


def _stored(evidence: Evidence) -> Verdict:
    scan = evidence.scan
    kinds = ", ".join(sorted(scan.types))
    found = f"{len(scan.genes):,} dense columns of {kinds}, {scan.zero_share:.1%} of the values zeros"
    return Verdict(found, FAILS, "Parquet has no sparse matrices: zeros are stored, and only compressed.")


def _float32(evidence: Evidence) -> Verdict:
    kinds = sorted(evidence.scan.types)
    return Verdict(
        ", ".join(kinds), HOLDS if kinds == ["float"] else FAILS, "float is float32, double is float64."
    )


def _dimensions(evidence: Evidence) -> Verdict:
    have = {key: evidence.opened.tables.get(file) for key, file in names.PROJECTION_FILES.items()}
    found = ", ".join(f"{key} {'missing' if t is None else len(t.columns)}" for key, t in have.items())
    true = all(
        t is not None and len(t.columns) == len(names.PROJECTION_COLUMNS[key]) for key, t in have.items()
    )
    return Verdict(found, HOLDS if true else FAILS, "Columns of the projection files.")


def _pca(evidence: Evidence) -> Verdict:
    params = params_of(evidence, "pca")
    found = f"n_comps {params.get('n_comps', 'not stated')}, use_highly_variable {params.get('use_highly_variable', 'not stated')}"
    true = params.get("n_comps") == 50 and params.get("use_highly_variable") is True
    return Verdict(found, HOLDS if true else FAILS, "As the file states: PCA was made of all genes.")


def _neighbors(evidence: Evidence) -> Verdict:
    params = params_of(evidence, "neighbors")
    true = (params.get("n_neighbors"), params.get("n_pcs")) == (15, 50)
    found = (
        f"n_neighbors {params.get('n_neighbors', 'not stated')}, n_pcs {params.get('n_pcs', 'not stated')}"
    )
    return Verdict(found, HOLDS if true else FAILS, "As the file states.")


def params_of(evidence: Evidence, key: str) -> dict:
    """Return the stated parameters of a step, or none."""
    stated = evidence.text(names.UNSTRUCTURED_FILE)
    params = stated.get(key, {}) if isinstance(stated, dict) else {}
    return params.get("params", {}) if isinstance(params, dict) else {}


def _origin(evidence: Evidence) -> Verdict:
    structure = evidence.text(names.STRUCTURE_FILE)
    keys = structure.get("obsm_keys") if isinstance(structure, dict) else None
    if keys is None:
        return Verdict(
            "the structure report lists no embeddings", UNKNOWN, "Nothing says where they come from."
        )
    added = [key for key in names.PROJECTION_FILES if key not in keys]
    found = f"the study's object had {', '.join(keys)}; added for the release: {', '.join(added) or 'none'}"
    text = "Added ones were computed by the uploader, without correction for donor or assay."
    return Verdict(found, FAILS if added else HOLDS, text)


def _files(evidence: Evidence) -> Verdict:
    here = [file for file in names.RELEASE_FILES if (evidence.folder / file).is_file()]
    verdict = HOLDS if len(here) == len(names.RELEASE_FILES) else FAILS
    return Verdict(f"{len(here)} of the 12 files", verdict, "See the table of `musclebook validate`.")


def _sizes(evidence: Evidence) -> Verdict:
    sizes = {
        file: (evidence.folder / file).stat().st_size / 1e6
        for file in _SIZES
        if (evidence.folder / file).is_file()
    }
    total = sum(sizes.values())
    off = [file for file, size in _SIZES.items() if not 0.8 < sizes.get(file, 0) / size < 1.25]
    found = f"{total:,.1f} MB in all; other than stated: {listing([f'{f} {sizes.get(f, 0):,.1f} MB' for f in off], most=2) or 'none'}"
    return Verdict(
        evidence.sized(found),
        evidence.judge(true=not off),
        "Within a fifth of the stated size counts as the same.",
    )


def _dense(_evidence: Evidence) -> Verdict:
    needed = study.N_CELLS * study.N_GENES * 4
    found = f"float32 of {study.N_CELLS:,} x {study.N_GENES:,} is {budget.to_text(needed)} in memory"
    return Verdict(
        found, FAILS, "The card's own first line, pd.read_parquet of the expression file, needs that much."
    )


def _sparse(evidence: Evidence) -> Verdict:
    nonzero = (1 - evidence.scan.zero_share) * study.N_CELLS * study.N_GENES
    needed = nonzero * 8 + study.N_CELLS * 8
    found = f"as CSR {budget.to_text(needed)}, at full size and the zeros of these files"
    verdict = HOLDS if 5e9 < needed < 7e9 else FAILS
    return Verdict(found, verdict, "Four bytes for each value and four for its column.")


def _maps_memory(_evidence: Evidence) -> Verdict:
    needed = study.N_CELLS * sum(map(len, names.PROJECTION_COLUMNS.values())) * 8
    found = f"{budget.to_text(needed)} at most, at full size and in float64"
    return Verdict(found, FAILS if needed < 1e9 else HOLDS, "84 columns in all.")


def _passed(evidence: Evidence) -> Verdict:
    report = evidence.text(names.VALIDATION_FILE)
    keys = ", ".join(report) if isinstance(report, dict) else "no keys"
    text = "The uploader's own report. Its check of expression read one row of ten genes, all zero; `musclebook validate` reads all."
    return Verdict(f"a report with {keys}", UNKNOWN, text)


def _loads(evidence: Evidence) -> Verdict:
    head = str(evidence.text(names.README_FILE)).split("---")[1:2]
    there = bool(head) and "configs:" in head[0]
    found = f"the card {'states' if there else 'does not state'} which file is the data (configs)"
    return Verdict(
        found, HOLDS if there else FAILS, "Without it load_dataset took the validation report for the data."
    )


def _readable(evidence: Evidence) -> Verdict:
    garbled = _GARBLED.findall(str(evidence.text(names.README_FILE)))
    found = f"{len(garbled):,} garbled characters{': ' + listing(sorted(set(garbled))) if garbled else ''}"
    return Verdict(found, FAILS if garbled else HOLDS, "Garbled where UTF-8 was read as another encoding.")


def _license(evidence: Evidence) -> Verdict:
    first = str(evidence.text(names.LICENSE_FILE)).strip().splitlines()
    text = "The uploader's license. The study is CC BY 4.0, its code Apache-2.0; its portal states none for the data."
    return Verdict(f"LICENSE begins {first[0] if first else ''!r}", UNKNOWN, text)


CLAIMS = (
    Claim("barcodes", "cell barcodes are the index of all files", _barcodes),
    Claim("access by label", "expression.loc[barcodes of the metadata] picks cells", _by_label),
    Claim("index check", "one line checks that four indices agree", _chain),
    Claim("phantom column", "the stray index column has been removed", _phantom),
    Claim("sparse storage", "a sparse matrix, stored efficiently in Parquet", _stored),
    Claim("float32", "values are float32", _float32),
    Claim("embeddings", "scVI 30, PCA 50, UMAP 2, t-SNE 2 dimensions", _dimensions),
    Claim("PCA settings", "50 components, of highly variable genes", _pca),
    Claim("neighbors settings", "15 neighbors, 50 components", _neighbors),
    Claim("origin of maps", "the embeddings come with the study", _origin),
    Claim("12 files", "twelve files", _files),
    Claim("file sizes", "1.6 GB in all, each file with its size", _sizes),
    Claim("8 GB of memory", "8 GB are enough to begin", _dense),
    Claim("6 GB sparse", "the expression matrix takes about 6 GB, sparse", _sparse),
    Claim("2 GB of maps", "all projections take about 2 GB more", _maps_memory),
    Claim("validation", "100 % validated, all tests passed", _passed),
    Claim("loading by name", "ready for the hub's own loader", _loads),
    Claim("text", "documented in readable text", _readable),
    Claim("license", "MIT, for the data", _license),
)  # fmt: skip
