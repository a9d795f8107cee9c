# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["header"]
# # Quality control
#
# **Question.** Which cells, genes and comparisons can the later chapters lean on?
#
# **You will** compute the usual metrics with scanpy, see whom a threshold would remove before you set it, check the sex
# of every library, look for doublets in one of them, find genes that one assay hardly sees, and write down which effects
# these donors can and cannot estimate.
#
# **Before you start.** [Loading the atlas](01_loading).
#
# **Time** 40 minutes to read, 35 for the exercises.
# **Memory** under 2 GiB on the default atlas, under 8 GiB at full size.
#
# **What can go wrong.** One threshold for all cells removes whole cell types: a resting lymphocyte has few genes because
# it is small. And no threshold repairs a design in which the young and the old differ in more than age.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import scanpy as sc
import seaborn as sns
from patsy import dmatrix
from sklearn.metrics import roc_auc_score

from helpers import findings, sources, style
from helpers.book.workshop import check

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny"}}
atlas: str = "demo"  # data: demo, tiny, a release folder, an .h5ad, or what 10x Genomics writes
min_genes: int = 300  # genes a cell must express [0, 10000]
min_counts: int = 500  # molecules a cell must hold [0, 100000]
max_percent_mito: float = 10.0  # mitochondrial share of the molecules, percent [0, 100]
n_mads: float = 5.0  # median absolute deviations from the own type that are too far [1, 20]
max_doublet_score: float = 0.4  # scrublet's score [0, 1]
min_expected: float = 60.0  # barcodes that should have seen a gene before its absence is told [3, 10000]
budget: str = "4 GiB"  # memory that loading may take
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("02_quality", globals())

# %% [markdown]
# [`open_atlas`](../book/api) opens any source; `to_anndata` reads the matrix in blocks and recovers whole counts. What
# comes is an ordinary AnnData. Cells without a label are kept, and called *not given*.

# %%
muscle = sources.open_atlas(atlas)
adata = muscle.to_anndata(budget=budget)
labels = ["annotation_level0", "batch", "DonorID", "SampleID"]
adata.obs[labels] = adata.obs[labels].astype("string").fillna("not given")

# %% tags=["remove-input", "finding"]
note.say(
    "This page shows **{data_kind}** data, {cells}. Missing from this source: {missing}.",
    data_kind="simulated" if muscle.simulated else "real", cells=(adata.n_obs, "cells and nuclei"),
    missing=", ".join(muscle.missing) or "nothing",
)

# %% [markdown]
# ## What a barcode holds
#
# Genes seen, molecules counted, and the shares of mitochondrial and ribosomal molecules, from whole counts. The release
# brings such columns of its own. Do they say the same? And do counts, normalized again, give the released values?

# %%
adata.var["mt"] = adata.var_names.str.startswith("MT-")
adata.var["ribo"] = adata.var_names.str.match("RP[SL]")
metrics, _ = sc.pp.calculate_qc_metrics(
    adata, qc_vars=["mt", "ribo"], layer="counts", percent_top=None
)
adata.obs[metrics.columns] = metrics
obs = adata.obs

pairs = {
    "n_genes": "n_genes_by_counts", "n_counts": "total_counts",
    "percent_mito": "pct_counts_mt", "percent_ribo": "pct_counts_ribo",
}
gaps = [
    (obs[released] - obs[computed]).abs().max()
    for released, computed in pairs.items() if muscle.has(released)
]
some = adata[:: max(1, adata.n_obs // 5000)]  # copies take memory
again = sc.AnnData(some.layers["counts"].astype("float32"))
sc.pp.normalize_total(again, target_sum=1e4)
sc.pp.log1p(again)
largest_gap = abs(again.X - some.X).max()

# %% tags=["remove-input", "finding"]
note.say(
    "A barcode holds at the median {median_genes} and {median_counts}. "
    + (
        "scanpy's metrics and the {columns_compared.number} released columns differ by {columns_gap} at most. "
        if gaps
        else "The source brings no quality columns to compare. "
    )
    + "Counts of {barcodes_checked}, normalized again, differ from the released values by {counts_gap} at most.",
    median_genes=(float(obs["n_genes_by_counts"].median()), "genes"),
    median_counts=(float(obs["total_counts"].median()), "molecules"), columns_compared=(len(gaps), "columns"),
    columns_gap=max(gaps, default=None), barcodes_checked=(some.n_obs, "barcodes"), counts_gap=float(largest_gap),
)

# %% [markdown]
# Expect genes and molecules to rise together. Barcodes with few genes for their molecules and a large mitochondrial share
# are dying cells, or fragments of muscle fibers, which hold mitochondria and little else.

# %% mystnb={"figure": {"caption": "Genes seen against molecules counted, one point a barcode, cells above and nuclei below; darker: a larger mitochondrial share.", "name": "fig-02-metrics"}, "image": {"alt": "Two scatter plots on logarithmic axes, single cells above and nuclei below, genes against molecules; points are shaded by mitochondrial percent, and the darkest lie below the others."}}
assays = obs["batch"].value_counts().index[:2].sort_values()
shades = sns.cubehelix_palette(rot=0, light=0.8, as_cmap=True)
figure, axes = plt.subplots(
    len(assays), 1, figsize=(5.6, 2.5 * len(assays)), sharex=True
)
for ax, assay in zip(np.atleast_1d(axes), assays, strict=True):
    part = obs[obs["batch"] == assay].sort_values("pct_counts_mt")
    points = ax.scatter(
        part["total_counts"], part["n_genes_by_counts"], s=3,
        c=part["pct_counts_mt"], vmax=20, cmap=shades, plotnonfinite=True,
    )
    ax.set(xscale="log", yscale="log", title=assay, ylabel="genes")
ax.set(xlabel="molecules")
figure.colorbar(points, ax=axes, label="mitochondrial molecules (%)");

# %% [markdown]
# ## Donors differ
#
# The release was filtered before it was published, so expect no debris. Expect differences between donors: each is a few
# libraries, handled together. Where donors differ for technical reasons, a test that takes cells for replicates finds
# "age" where there is none. Cells and nuclei stay apart: they are two ways to measure.

# %% mystnb={"figure": {"caption": "Genes per barcode of each donor, youngest on top, cells and nuclei apart: median, quartiles (box), fifth to ninety-fifth percentile (line).", "name": "fig-02-donors"}, "image": {"alt": "Horizontal boxes on a logarithmic axis, one row a donor ordered by age, for single cells and for nuclei: the number of genes seen in a barcode."}}
by_age = muscle.donors["DonorID"].to_list() or ["not given"]
palette = {**style.ASSAY_COLOR, "not given": "0.7"}
plt.figure(figsize=(5.6, 5))
ax = sns.boxplot(
    obs[obs["batch"].isin(palette)], x="n_genes_by_counts", y="DonorID",
    hue="batch", order=by_age, palette=palette, legend="full",
    log_scale=(True, False), showfliers=False, whis=(5, 95),
)
ax.set(xlabel="genes", ylabel="")
ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2);

# %% [markdown]
# ## Two rules, and whom they remove
#
# The fixed rule is the one that most pages show: too few genes, too few molecules, too much mitochondrion. The other
# asks whether a cell is odd *for its type and assay*: more than a few median absolute deviations (MAD) from the median
# of its own kind, on the logarithm {cite}`lun2016step`. Before either is used, count what it would cost, and *whose*
# cells. A rule that takes a tenth of all cells but nearly all of one type has changed the question.

# %%
def oddness(column):  # distance from the median of the own kind, in MADs
    values = np.log1p(obs[column])
    kinds = [obs["annotation_level0"], obs["batch"]]
    from_median = values - values.groupby(kinds).transform("median")
    mad = from_median.abs().groupby(kinds).transform("median")
    return (from_median / mad.where(mad > 0)).fillna(0)


fixed = (
    (obs["n_genes_by_counts"] < min_genes)
    | (obs["total_counts"] < min_counts)
    | (obs["pct_counts_mt"] > max_percent_mito)
)
odd = (
    (oddness("n_genes_by_counts") < -n_mads)
    | (oddness("total_counts") < -n_mads)
    | (oddness("pct_counts_mt") > n_mads)
)

# %% mystnb={"figure": {"caption": "Share of each coarse type that either rule would remove, types of at least twenty barcodes: one threshold for all (filled) and deviations within the own kind (open).", "name": "fig-02-removed"}, "image": {"alt": "Dot plot, one row a cell type: filled points for the share removed by fixed thresholds reach far to the right for fragments of fibers, open points for the rule within types stay near zero."}}
def cost(barcodes, of):
    shares = barcodes.group_by(of).agg(pl.len(), pl.mean("fixed", "odd"))
    return shares.filter(pl.col("len") >= 20).sort("fixed", descending=True)


removed = pl.from_pandas(obs[labels].assign(fixed=fixed, odd=odd))
whole = removed.filter(~pl.col("annotation_level0").str.ends_with("(fg)"))
by_type = cost(removed, "annotation_level0")
by_donor, without_fragments = cost(removed, "DonorID"), cost(whole, "DonorID")
figure, ax = plt.subplots(figsize=(5.6, 1 + 0.18 * by_type.height))
kinds = by_type["annotation_level0"]
ax.hlines(kinds, by_type["odd"], by_type["fixed"], color="0.8")
ax.plot(by_type["fixed"], kinds, "ko", label="fixed thresholds")
ax.plot(by_type["odd"], kinds, "ko", mfc="white", label="within type")
ax.invert_yaxis()
ax.xaxis.set_major_formatter("{x:.0%}")
ax.set(xlabel="share of the type's barcodes removed")
ax.legend(loc="lower right");

# %% tags=["remove-input", "finding"]
odd_most = by_type.filter(pl.col("len") >= 100).sort("odd", descending=True)
note.say(
    "The fixed thresholds would remove {removed_fixed:.1%} of all barcodes, {worst_type_share:.0%} of {worst_type}, and "
    "of donor {worst_donor} {worst_donor_share:.1%}. Fragments of fibers make a donor look bad: without them "
    "{removed_without_fragments:.1%} of all would go, and of the worst donor, {worst_donor_elsewhere}, "
    "{worst_donor_elsewhere_share:.1%}. The rule within types would remove {removed_within:.1%} of all, and of no type of a "
    "hundred barcodes more than {worst_within_share:.1%} ({worst_within}). **Nothing is removed on the pages that follow.**",
    removed_fixed=removed["fixed"].mean(), removed_within=removed["odd"].mean(),
    worst_type=by_type["annotation_level0"].first(), worst_type_share=by_type["fixed"].first(),
    worst_within=odd_most["annotation_level0"].first(), worst_within_share=odd_most["odd"].first(),
    worst_donor=by_donor["DonorID"].first(), worst_donor_share=by_donor["fixed"].first(),
    removed_without_fragments=whole["fixed"].mean(), worst_donor_elsewhere=without_fragments["DonorID"].first(),
    worst_donor_elsewhere_share=without_fragments["fixed"].first(),
)
note.save("removed_by_donor", by_donor)
note.save("removed_by_type", by_type)

# %% [markdown] tags=["exercise"]
# ### Exercise: A rule per type (15 minutes)
#
# Take the stem cells of the single-cell assay, `obs[(obs["annotation_level0"] == "MuSC") & (obs["batch"] == "cells")]`.
# Write `keep(values, n_mads)`: for a list of gene numbers it returns one truth value a cell, false where the number lies
# more than `n_mads` MADs *below* the median. Count whom it removes, and again with another `n_mads`.
#
# <details><summary>Hint</summary>The median absolute deviation is the median of the distances from the median. Only the
# lower side counts.</details>

# %% tags=["solution", "hide-cell"]
def keep(values, n_mads):
    values = np.asarray(values, dtype=float)
    mad = np.median(np.abs(values - np.median(values)))
    return values >= np.median(values) - n_mads * mad


stem = (obs["annotation_level0"] == "MuSC") & (obs["batch"] == "cells")
if stem.any():
    kept = keep(obs.loc[stem, "n_genes_by_counts"], n_mads)
    print(f"{(~kept).sum()} of {stem.sum()} stem cells go")
check("02.rule", keep)

# %% [markdown]
# ## Is every library from who the table says?
#
# XIST is made where a second X is silenced, the Y genes where there is a Y. Together they give the sex of each *library*:
# samples are swapped in tubes, not in donors. Ambient molecules leak a little of both into every library, so expect no
# share of zero. A library whose ratio lies nearer to equality than half of the usual distance is called *unclear*.

# %%
y_genes = ["RPS4Y1", "DDX3Y", "UTY", "KDM5D", "EIF1AY", "USP9Y", "ZFY"]
there = adata.var_names.intersection(["XIST", *y_genes])
genes = sc.get.obs_df(adata, ["SampleID", "Sex", *there])
genes["xist"] = genes.filter(["XIST"]).gt(0).any(axis=1)
genes["y"] = genes.filter(y_genes).gt(0).any(axis=1)
of_library = genes[genes["Sex"].isin(["F", "M"])].groupby(
    ["SampleID", "Sex"], observed=True
)
libraries = of_library[["xist", "y"]].mean().reset_index()
ratio = np.log2((libraries["xist"] + 0.01) / (libraries["y"] + 0.01))
unclear = ratio.abs() < ratio.abs().median() / 2
by_genes = pd.Series(np.where(ratio > 0, "F", "M"), libraries.index)
libraries["by_genes"] = by_genes.mask(unclear, "unclear")
wrong = libraries[~unclear & (by_genes != libraries["Sex"])]

# %% mystnb={"figure": {"caption": "Share of each library's barcodes with XIST against the share with any of seven Y genes. The dotted line is equality.", "name": "fig-02-sex"}, "image": {"alt": "Scatter plot, one mark a library, men as triangles and women as diamonds: share of barcodes with XIST against share with a Y gene. Libraries whose label fits lie on their side of the dotted line."}}
if len(libraries):
    ax = sns.scatterplot(
        libraries, x="xist", y="y", hue="Sex", style="Sex", s=45,
        palette=style.SEX_COLOR, markers=style.SEX_MARKER,
    )
    ax.axline((0, 0), slope=1, linestyle=":", color="0.5")
    ax.set(xlabel="share of barcodes with XIST", ylabel="share with a Y gene")

# %% tags=["remove-input", "finding"]
note.say(
    "Of {sex_checked:library|libraries} of stated sex **{sex_disagree:library contradicts its|libraries contradict their} "
    "label** (by name: {sex_wrong_names}), and {sex_unclear:library is|libraries are} unclear.",
    sex_checked=(len(libraries), "libraries"), sex_disagree=(len(wrong), "libraries"),
    sex_unclear=(int(unclear.sum()), "libraries"), sex_wrong_names=", ".join(wrong["SampleID"]) or "none",
)
note.save("sex_check", libraries)

# %% [markdown]
# ## Doublets, one library at a time
#
# A doublet is a droplet that caught two cells. Scrublet {cite}`wolock2019` adds up random pairs of barcodes of one
# *library*, and scores each barcode by how many such sums are among its neighbors. It must not see two libraries at once:
# cells of different tubes cannot share a droplet. Four thousand barcodes at most of the largest library are the example.

# %%
largest = obs["SampleID"].value_counts().index[0]
library = adata[obs["SampleID"] == largest].copy()
if library.n_obs > 4000:
    sc.pp.sample(library, n=4000, rng=1)
library.X = library.layers["counts"].astype("float32")
# no simulated doublet may lie above the threshold
with np.errstate(invalid="ignore"):
    sc.pp.scrublet(
        library, threshold=max_doublet_score, use_approx_neighbors=False,
        random_state=1, verbose=False,
    )
doublet = library.obs["doublet_score"]

# %% tags=["remove-input", "finding"]
with_released = muscle.has("scrublet_score") and library.obs["scrublet_score"].std() > 0
agreement = doublet.corr(library.obs["scrublet_score"], method="spearman") if with_released else None
note.say(
    "In library {doublet_library} {doublets_called:barcode|barcodes} of {doublet_barcodes.number} lie above the "
    "threshold. The rank correlation with the released score is {doublet_agreement}. A threshold of one library means "
    "nothing in another.",
    doublet_library=largest, doublet_barcodes=(library.n_obs, "barcodes"),
    doublets_called=(int((doublet > max_doublet_score).sum()), "barcodes"), doublet_agreement=agreement,
)

# %% [markdown]
# ## Genes that one assay hardly sees
#
# Whole cells hold spliced messenger, nuclei mostly unspliced: a score built on genes that one assay cannot see measures
# the assay. What an assay should have seen is added up over the types that both hold.
#
# Even a gene that both assays see can be seen several-fold less in one, so an absence is no proof. It is a bound: where
# none was seen and *n* were expected, the assay sees the gene at most at 3 / *n* of the rate of the other, with 95 %
# confidence. Hold it against the lowest rates of genes that are seen.
# <!-- facts: 3; 95 -->

# %%
group = ["annotation_level0", "batch"]
counted = sc.get.aggregate(adata, group, "count_nonzero", layer="counts")
kinds = pd.MultiIndex.from_frame(counted.obs[group].astype(str))
hits = pd.DataFrame(counted.layers["count_nonzero"], kinds, counted.var_names)
sizes = obs[group].astype(str).value_counts()
rates = hits.div(sizes, axis=0)
tables = [pd.DataFrame(columns=["gene", "expected", "seen", "assay"])]
if {"cells", "nuclei"} <= set(obs["batch"]):
    for assay, other in (("nuclei", "cells"), ("cells", "nuclei")):
        here = sizes.xs(assay, level="batch")
        expected = rates.xs(other, level="batch").mul(here, axis=0).dropna()
        seen = hits.xs(assay, level="batch").loc[expected.index].sum()
        table = pd.DataFrame({"expected": expected.sum(), "seen": seen})
        table = table.rename_axis("gene").reset_index()
        tables.append(table.assign(assay=assay))

testable = pd.concat(tables[-2:], ignore_index=True)
testable = testable[testable["expected"] >= min_expected]
seen_at_all = testable[testable["seen"] > 0]
lowest = (seen_at_all["seen"] / seen_at_all["expected"]).quantile(0.01)
absent = testable[testable["seen"] == 0]
absent = absent.assign(at_most=3 / absent["expected"]).sort_values("at_most")

# %% tags=["remove-input", "finding"]
note.say(
    "Of {zeros_looked_at:comparison|comparisons} of a gene between the assays, {structural_zeros.number} find nothing "
    "at all. Clearest is {first_structural_zero}: at most {first_zero_bound:.2%} of the other assay's rate. For the last "
    "of the list the bound is {last_zero_bound:.1%}; but one in a hundred of the genes that *are* seen stands at "
    "{assay_ratio_lowest:.1%} or less. Near the end of the list a gene may be rare rather than impossible."
    if len(absent)
    else "In {zeros_looked_at:comparison|comparisons} of a gene between the assays, both see it.",
    zeros_looked_at=(len(testable), "genes"), structural_zeros=(len(absent), "genes"),
    first_structural_zero=absent["gene"].iloc[0] if len(absent) else None,
    first_zero_bound=float(absent["at_most"].iloc[0]) if len(absent) else None,
    last_zero_bound=float(absent["at_most"].iloc[-1]) if len(absent) else None,
    assay_ratio_lowest=float(lowest) if len(testable) else None,
)
note.table(
    absent, "Genes never seen in one assay, with the largest rate that the zero still allows.", name="structural_zeros",
    columns={"gene": "gene", "never seen in": "assay", "expected barcodes": "expected", "at most, of the other's rate": "at_most"},
    percent=["at_most"], rows=6,
)

# %% [markdown] tags=["exercise"]
# ### Exercise: From released value to count (10 minutes)
#
# `adata.X[0]` holds the released values of one cell: logarithms (plus one) of counts per ten thousand. Write
# `to_counts(released)`: it turns the nonzero values of one cell back into whole counts, if the smallest of them is one
# molecule. Hold the result against `adata.layers["counts"][0].data`.
#
# <details><summary>Hint</summary>Undo the logarithm with <code>np.expm1</code>, divide by the smallest,
# round.</details>

# %% tags=["solution", "hide-cell"]
def to_counts(released):
    scaled = np.expm1(np.asarray(released, dtype=float))
    return np.rint(scaled / scaled.min()).astype(int)


print(to_counts(adata.X[0].data)[:12])
check("02.counts", to_counts)

# %% [markdown]
# ## Who is compared with whom
#
# Count the donors in each corner of the design: assay, age, sex. An empty corner is an effect that no method, however
# clever, can estimate from these donors.

# %% mystnb={"figure": {"caption": "Donors by assay, age bin and sex.", "name": "fig-02-design"}, "image": {"alt": "A shaded table of the number of donors: rows women and men, columns young and old in cells and in nuclei."}}
donor = ["batch", "DonorID", "Age_bin", "Sex"]
people = muscle.obs.group_by(donor).agg(
    pl.len(), chemistry=pl.col("10X_version").unique().sort().str.join(" + ")
)
people = people.drop_nulls(donor).sort(donor).to_pandas()
corners = pd.crosstab(people["Sex"], [people["batch"], people["Age_bin"]])
if len(corners):
    plt.figure(figsize=(5.6, 2.4))
    ax = sns.heatmap(corners, annot=True, cmap="Greys", cbar=False)
    ax.set(xlabel="assay and age bin")

# %% [markdown]
# The same as algebra: a model can be estimated if the columns of its design matrix are independent, and fewer than donors.

# %%
models = {
    "age": "Age_bin",
    "sex beside age": "Age_bin + Sex",
    "chemistry beside age": "Age_bin + chemistry",
    "age within each sex": "Age_bin * Sex",
}
rows = []
for assay, part in people.groupby("batch"):
    for effect, formula in models.items():
        design = dmatrix(formula, part)
        rank = int(np.linalg.matrix_rank(design))
        rows.append((assay, effect, rank == design.shape[1] < len(part)))
terms = pl.DataFrame(rows, ["assay", "effect", "estimable"], orient="row")

# %% tags=["remove-input", "finding"]
barred = terms.filter(~pl.col("estimable")) if terms.height else terms
why = ", ".join(f"{effect} in {assay}" for assay, effect in barred.select("assay", "effect").rows())
note.say(
    "Of {terms_looked_at:effect|effects} looked at, these donors cannot estimate {terms_not_estimable.number}: {why_not}."
    if barred.height
    else "Of {terms_looked_at:effect|effects} looked at, these donors can estimate every one."
    if terms.height
    else "Without ages and sexes of donors no effect of either can be estimated.",
    terms_looked_at=(terms.height, "effects"), terms_not_estimable=(barred.height, "effects"), why_not=why or "none",
)
note.save("design_terms", terms)

# %% [markdown] tags=["exercise"]
# ### Exercise: The empty corner (10 minutes)
#
# Start from `muscle.donors`, keep those with single cells (`cells` above zero) and count them by `Age_bin` and `Sex`.
# Which corner is empty in the study's donors? Answer with a tuple such as `("old", "M")`.
#
# <details><summary>Hint</summary><code>filter</code>, then <code>group_by("Age_bin", "Sex").len()</code>: three of four
# possible corners come back. The study's donors are in <code>helpers.facts.study.donors()</code>.</details>

# %% tags=["solution", "hide-cell"]
from helpers.facts import study

with_cells = study.donors().filter(pl.col("cells_10X_version").is_not_null())
filled = set(with_cells.select("Age_bin", "Sex").unique().rows())
every = [(age, sex) for age in ("young", "old") for sex in ("F", "M")]
corner = next(one for one in every if one not in filled)
print(corner)
check("02.corner", corner)

# %% [markdown]
# ## Scored against the plant
#
# The simulated atlas knows the genes it made invisible to one assay, and the barcodes it made of two cells. Only this
# section looks at them.

# %% tags=["remove-input", "finding"]
planted, pair = muscle.truth("structural_zeros"), ["gene", "assay"]
if planted is not None:
    found, looked = pl.from_pandas(absent[pair]), pl.from_pandas(testable[pair])
    truth = muscle.truth("cells").select("barcode", "doublet").to_pandas()
    mine = truth.set_index("barcode").loc[library.obs_names, "doublet"]
    note.say(
        "{zeros_planted:gene was|genes were} made invisible to one assay. Seen often enough by the other: "
        "{zeros_testable.number}, of which {zeros_found.number} in the list above. Listed without being planted, rare in one "
        "assay as the bound allows: {zeros_unplanted.number}. In the library above, "
        "{doublets_planted:barcode is a doublet|barcodes are doublets}"
        + (
            "; a doublet has a higher score than a single cell with probability {doublet_auc} (the area under the ROC curve)."
            if mine.any()
            else "."
        ),
        zeros_planted=(planted.height, "genes"), doublets_planted=(int(mine.sum()), "barcodes"),
        zeros_testable=(planted.join(looked, on=pair, how="semi").height, "genes"),
        zeros_found=(planted.join(found, on=pair, how="semi").height, "genes"),
        zeros_unplanted=(found.join(planted, on=pair, how="anti").height, "genes"),
        doublet_auc=float(roc_auc_score(mine, doublet)) if mine.nunique() > 1 else None,
    )
else:
    note.say("Nothing was planted in these data.")

# %% [markdown]
# ## What the study reported
#
# In the published object ALDOA is absent from every nucleus and abundant in fiber fragments, and all young donors with
# single cells are men. Published medians stand beside the found ones in [the first chapter](01_loading).
#
# ## Limits
#
# - In the study's single cells chemistry is nested in donors, and the newer one catches more fragments of fibers: a share
#   of fragments compares kits before it compares ages.
# - The released object was filtered upstream: what was removed, and the ambient RNA, cannot be seen.
# - A check of sex finds swaps between the sexes only.
#
# ## On your own file
#
# The rule within types on any `.h5ad` with whole counts in `X` and a column of types in `obs`. It runs as it stands, on a
# small file written from this page's atlas.

# %%
path, kind = f"{note.folder}/own.h5ad", "annotation_level0"
sc.AnnData(library.X, library.obs[[kind]], library.var[[]]).write_h5ad(path)

own = sc.read_h5ad(path)
sc.pp.calculate_qc_metrics(own, percent_top=None, inplace=True)
genes, types = own.obs["log1p_n_genes_by_counts"], own.obs[kind]
below = genes.groupby(types, observed=True).transform("median") - genes
mad = below.abs().groupby(types, observed=True).transform("median")
too_few = (below > n_mads * mad).groupby(types, observed=True)
too_few.agg(barcodes="size", too_few_genes="sum").nlargest(4, "barcodes")

# %% [markdown]
# ## In short

# %% tags=["remove-input", "finding"]
note.say(
    "One threshold for all would remove {worst_type_share:.0%} of {worst_type}; the rule within types removes "
    "{removed_within:.1%} of all barcodes and no type wholesale. Libraries whose genes contradict their label: "
    "{sex_disagree.number} of {sex_checked.number}. Effects that these donors cannot estimate: {why_not}."
)

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# **A fixed threshold removes nine in ten cells of one type. What was found?**
#
# <details><summary>That type was of bad quality</summary>Not yet: small cells, nuclei and fragments hold few genes because of what they are.</details>
# <details><summary>A rule that changes the question</summary>Right: what remains are other cells, not better ones. Ask first whose cells go.</details>
#
# **No young woman gave single cells. What helps?**
#
# <details><summary>A model with a term for sex</summary>Not yet: no formula estimates a corner without donors.</details>
# <details><summary>More cells of the donors at hand</summary>Not yet: more cells of a person do not add a person.</details>
# <details><summary>Saying so, and other donors</summary>Right: the limit lies in the design.</details>

# %% tags=["remove-input"]
note.provenance(muscle.describe())
