"""Claims of the card about cells, donors, ages and labels."""

import polars as pl

from helpers import names
from helpers.atlas.evidence import FAILS, HOLDS, INCOMPARABLE, UNKNOWN, Claim, Evidence, Verdict
from helpers.atlas.report import listing
from helpers.facts import study

_SINGLE = "Where a bin is one donor, age and person are the same thing: no test can tell them apart."


def _n_cells(evidence: Evidence) -> Verdict:
    n_cells = len(evidence.cells)
    by_assay = dict(evidence.cells[names.ASSAY].value_counts().iter_rows())
    found = f"{n_cells:,}: {by_assay.get('cells', 0):,} cells, {by_assay.get('nuclei', 0):,} nuclei"
    return Verdict(
        evidence.sized(found),
        evidence.judge(true=evidence.whole),
        "About half are nuclei: two assays, not one.",
    )


def _n_donors(evidence: Evidence) -> Verdict:
    n_donors = len(evidence.donors)
    return Verdict(
        f"{n_donors}", evidence.judge(true=n_donors == 17), "The donors, not the cells, are the replicates."
    )


def _donor_format(evidence: Evidence) -> Verdict:
    ids = evidence.donors[names.DONOR].sort().to_list()
    match = all(str(one).startswith("Donor_") for one in ids)
    return Verdict(listing(ids), HOLDS if match else FAILS, "The files keep the study's own codes.")


def _age_range(evidence: Evidence) -> Verdict:
    bins = evidence.cells[names.AGE_GROUP].unique().sort()
    edges = f"bins run from {bins[0].split('-')[0]} to {bins[-1].split('-')[-1]}"
    if not evidence.donors_known:
        return Verdict(
            edges, UNKNOWN, "Only bins are in the files, and these donors are not in the authors' table."
        )
    ages = evidence.donors[names.EXACT_AGE]
    found = f"donors are {ages.min():.0f} to {ages.max():.0f} years old; {edges}"
    verdict = HOLDS if (ages.min(), ages.max()) == (15, 75) else FAILS
    return Verdict(found, verdict, "15 and 75 are edges of bins; the authors' notebooks give exact ages.")


def _age_numeric(evidence: Evidence) -> Verdict:
    n_values = evidence.cells[names.AGE_MIDPOINT].n_unique()
    off = (evidence.donors[names.EXACT_AGE] - evidence.donors[names.AGE_MIDPOINT]).abs().max()
    far = "" if off is None else f"; up to {off:.1f} years off the exact age"
    verdict = FAILS if n_values <= 8 else HOLDS
    return Verdict(
        f"{n_values} distinct values{far}", verdict, "It is the middle of a bin, not the age of a donor."
    )


def _age_counts(evidence: Evidence) -> Verdict:
    have = dict(evidence.cells[names.AGE_GROUP].value_counts().iter_rows())
    found = ", ".join(f"{group}: {have.get(group, 0):,}" for group in names.AGE_GROUPS)
    return Verdict(
        evidence.sized(found), evidence.judge(true=have == study.N_BY_AGE_GROUP), "Counted in the metadata."
    )


def _oldest_share(evidence: Evidence) -> Verdict:
    share = evidence.cells[names.AGE_GROUP].eq("70-75").mean()
    return Verdict(
        f"{share:.1%}", evidence.judge(true=abs(share - 0.327) < 0.0051), "Counted in the metadata."
    )


def _young_old(evidence: Evidence) -> Verdict:
    young = evidence.donors[names.AGE_BIN].eq(names.YOUNG).sum()
    old = evidence.donors[names.AGE_BIN].eq(names.OLD).sum()
    verdict = evidence.judge(true=(young, old) == (8, 9))
    return Verdict(f"{young} young, {old} old donors", verdict, "Young is below 40 years.")


def _balanced(evidence: Evidence) -> Verdict:
    bins = evidence.cells[names.AGE_GROUP].value_counts().sort("count")
    young = evidence.cells[names.AGE_BIN].eq(names.YOUNG).mean()
    low, high = bins.row(0), bins.row(-1)
    found = f"{young:.0%} of the cells are young; bins from {low[1]:,} ({low[0]}) to {high[1]:,} cells ({high[0]})"
    text = "Young and old are near balance, the eight bins are not. The card itself says both."
    return Verdict(found, FAILS if high[1] > 10 * low[1] else HOLDS, text)


def _one_donor_bins(evidence: Evidence) -> Verdict:
    donors = evidence.donors.group_by(names.AGE_GROUP).len()
    single = donors.filter(pl.col("len") == 1)[names.AGE_GROUP].sort().to_list()
    found = f"{len(single)} of {len(donors)} bins are one donor each: {', '.join(single) or 'none'}"
    return Verdict(found, FAILS if single else HOLDS, _SINGLE)


def _split(evidence: Evidence) -> Verdict:
    """Put every fifth cell of an age group in the test set, and ask who is on both sides."""
    order = evidence.cells.select(names.DONOR, names.AGE_GROUP).sample(fraction=1, shuffle=True, seed=0)
    split = order.with_columns(test=pl.int_range(pl.len()).over(names.AGE_GROUP) % 5 == 0)
    seen = split.filter(~pl.col("test"))[names.DONOR].unique().to_list()
    leaked = split.filter("test")[names.DONOR].is_in(seen).mean()
    found = f"{leaked:.1%} of the test cells come from donors that are also in the training set"
    text = "A model can learn the donor in place of the age. Leave whole donors out."
    return Verdict(found, FAILS if leaked > 0 else HOLDS, text)


def _n_labels(evidence: Evidence) -> Verdict:
    counts = {level: evidence.cells[level].n_unique() for level in names.LEVELS}
    found = " / ".join(str(n) for n in counts.values())
    return Verdict(
        evidence.sized(found),
        evidence.judge(true=counts == study.N_LABELS),
        "Distinct labels at levels 0, 1 and 2.",
    )


def _label_tree(evidence: Evidence) -> Verdict:
    parents = (
        evidence.cells.unique(list(names.LEVELS)).group_by(names.LEVEL2).agg(pl.col(names.LEVEL1).n_unique())
    )
    several = parents.filter(pl.col(names.LEVEL1) > 1)[names.LEVEL2].sort().to_list()
    found = f"{len(several)} labels of level 2 have several parents: {', '.join(several) or 'none'}"
    text = "In the published files 62 cells are cDC2 at levels 0 and 1 and cDC1 at level 2, so the levels are not a tree."
    return Verdict(found, FAILS if several else HOLDS, text)


def _major_types(evidence: Evidence) -> Verdict:
    counts = evidence.cells[names.LEVEL0].value_counts(sort=True)
    rare = counts.filter(pl.col("count") < 0.0003 * len(evidence.cells))
    umbrella = "Specialised MF" in counts[names.LEVEL0].to_list()
    shown = listing([f"{label} ({n:,})" for label, n in rare.reverse().iter_rows()])
    found = f"{len(counts)} labels; {len(rare)} hold less than 0.03 % of the cells{': ' + shown if len(rare) else ''}"
    found += "; Specialised MF is an umbrella over five kinds" if umbrella else ""
    return Verdict(
        found, FAILS if len(rare) or umbrella else HOLDS, "Not all are major, and one is not a type."
    )


def _top_types(evidence: Evidence) -> Verdict:
    # counted at level 1, where the 62 cells that change type at level 2 are still with their own
    published = dict(study.level1_by_assay().group_by(names.LEVEL0).agg(pl.col("n_total").sum()).iter_rows())
    top = evidence.cells[names.LEVEL0].value_counts(sort=True).head(10)
    wanted = dict(sorted(published.items(), key=lambda item: -item[1])[:10])
    same = dict(top.iter_rows()) == wanted
    found = ", ".join(f"{label} {n:,}" for label, n in top.iter_rows())
    return Verdict(evidence.sized(found), evidence.judge(true=same), "Counted in the metadata.")


def _fragments(evidence: Evidence) -> Verdict:
    labels = sorted(label for label in evidence.cells[names.LEVEL0].unique() if "(fg)" in label)
    if not labels:
        return Verdict("no label with (fg)", INCOMPARABLE, "Nothing to explain.")
    meanings = dict(study.label_meanings().select("label", "meaning").iter_rows())
    rows = evidence.cells.filter(pl.col(names.LEVEL0).str.contains("sc(fg)", literal=True))
    n_nuclei = rows[names.ASSAY].eq(names.NUCLEI).sum()
    genes = evidence.cells.group_by(pl.col(names.LEVEL0).is_in(labels)).agg(pl.col(names.N_GENES).median())
    few = dict(genes.iter_rows())
    found = f"{', '.join(labels)}: {n_nuclei} of {len(rows):,} MF-..sc(fg) are nuclei; median {few[True]:,.0f} genes"
    text = f"sc and sn name the assay, fg a fragment. {labels[0]}: {meanings.get(labels[0], 'a fragment of a fiber')}."
    return Verdict(found, FAILS, text)


def _stem_cells(evidence: Evidence) -> Verdict:
    share = evidence.cells[names.LEVEL0].eq("MuSC").mean()
    assays = (
        evidence.cells.group_by(names.ASSAY).agg((pl.col(names.LEVEL0) == "MuSC").mean()).sort(names.ASSAY)
    )
    found = f"{share:.1%} of all; " + ", ".join(f"{x:.1%} of {assay}" for assay, x in assays.iter_rows())
    rank = int(
        (
            evidence.cells[names.LEVEL0].value_counts()["count"]
            > evidence.cells[names.LEVEL0].eq("MuSC").sum()
        ).sum()
    )
    text = f"Number {rank + 1} of all types by size, and its share depends on the assay more than on age."
    return Verdict(found, FAILS if share > 0.05 else HOLDS, text)


def _assay(evidence: Evidence) -> Verdict:
    each = evidence.cells.group_by(names.LEVEL0).agg(
        pl.len(), (pl.col(names.ASSAY) == names.CELLS).mean().alias("share")
    )
    single = each.filter((pl.col("share") < 0.001) | (pl.col("share") > 0.999))
    found = (
        f"{len(single)} of {len(each)} labels occur in one assay only; they hold"
        f" {single['len'].sum() / len(evidence.cells):.0%} of the cells"
    )
    text = "batch is the assay (cells or nuclei), partly collinear with the labels: correcting it away removes biology."
    return Verdict(found, FAILS if len(single) else HOLDS, text)


def _young_women(evidence: Evidence) -> Verdict:
    rows = evidence.cells.filter(pl.col(names.AGE_BIN) == names.YOUNG)
    each = (
        rows.group_by(names.ASSAY, names.SEX).agg(pl.col(names.DONOR).n_unique()).sort(names.ASSAY, names.SEX)
    )
    n_by = {(assay, sex): n for assay, sex, n in each.iter_rows()}
    women, men = n_by.get((names.CELLS, names.FEMALE), 0), n_by.get((names.CELLS, names.MALE), 0)
    found = f"young donors among cells: {women} women, {men} men; among nuclei: {n_by.get((names.NUCLEI, 'F'), 0)} women"
    text = (
        "Without young women among cells, age and sex cannot be told apart there: no model can adjust for it."
    )
    return Verdict(found, FAILS if women == 0 else HOLDS, text)


CLAIMS = (
    Claim("cells", "183,161 cells", _n_cells),
    Claim("donors", "17 donors", _n_donors),
    Claim("donor names", "donors are called Donor_01, Donor_02 and so on", _donor_format),
    Claim("age range", "donors aged 15 to 75 years", _age_range),
    Claim("numeric age", "age_numeric is the age, continuous, in years", _age_numeric),
    Claim("age groups", "eight age groups with stated numbers of cells", _age_counts),
    Claim("oldest group", "32.7 % of the data are 70-75 years old", _oldest_share),
    Claim("young and old", "8 young and 9 old donors", _young_old),
    Claim("balance", "eight age groups, balanced young and old", _balanced),
    Claim("age classes", "the eight age groups are classes to predict", _one_donor_bins),
    Claim("stratified split", "split cells at random, stratified by age group, to test an age model", _split),
    Claim("labels", "36, 43 and 82 labels at three levels", _n_labels),
    Claim("label hierarchy", "the three levels allow hierarchical classification", _label_tree),
    Claim("major types", "36 major cell types", _major_types),
    Claim("top ten", "the ten largest cell types with their numbers", _top_types),
    Claim("(fg)", "MF-Isc(fg) and MF-IIsc(fg) are subcutaneous fibers", _fragments),
    Claim("stem cells", "muscle stem cells are a rare class of about 11 %", _stem_cells),
    Claim("batch", "batch is a batch effect to detect and correct", _assay),
    Claim("sex", "sex-specific aging patterns can be identified", _young_women),
)  # fmt: skip
