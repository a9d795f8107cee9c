# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["header"]
# # Loading the atlas
#
# **Question.** What is in the release, can it be trusted as it lies on disk, and how does it fit into a laptop?
#
# **You will** open the release without reading it, see who was sampled, look up a gene at once, load the expression
# table inside a memory budget, read the maps, and hold the files against each other and against their public description.
#
# **Before you start.** You know what a count matrix is. Nothing else is needed.
#
# **Time** 35 minutes to read, 30 for the exercises.
# **Memory** under 3 GiB on the default atlas, under 5 GiB at full size.
#
# **What can go wrong.** One call of pandas on the expression file makes a dense table of more than twenty gigabytes of
# the real release. And its rows usually carry no barcodes: a join by label fails or, worse, joins by accident.

# %%
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import scanpy as sc
import seaborn as sns

from helpers import findings, sources, style
from helpers.book.workshop import check
from helpers.atlas import audit, validate
from helpers.facts import study

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny"}}
atlas: str = "demo"  # data: demo, tiny, a release folder, an .h5ad, or what 10x Genomics writes
gene: str = "MYH7"  # gene looked up in the whole atlas
level: str = "annotation_level0"  # labels shown on the maps {annotation_level0, annotation_level1, annotation_level2}
budget: str = "4 GiB"  # memory that loading may take
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("01_loading", globals())

# %% [markdown]
# ## Open it
#
# [`open_atlas`](../book/api) reads the schema and the two metadata tables, and nothing else. `obs` and `var` are polars
# tables, a row a barcode and a row a gene, under the column names of the release. What the source does not have is named
# here, once; the parts of this page that need it step aside.

# %%
muscle = sources.open_atlas(atlas)
cells, genes = muscle.obs, muscle.var

# %% tags=["remove-input", "finding"]
note.say(
    "This page shows **{data_kind}** data: {cells} by {genes}. Missing from this source: {missing}.",
    data_kind="simulated" if muscle.simulated else "real", cells=(cells.height, "cells and nuclei"),
    genes=(genes.height, "genes"), missing=", ".join(muscle.missing) or "nothing",
)
note.table(muscle.files(), "The files of this source.", name="files", rows=12)

# %% [markdown]
# ## Who was sampled
#
# The donor is the unit of everything that follows, so the donors come first. `muscle.donors` has a row for each, with
# the exact age where the study's own table gives it. Look for three things: which donors have cells and which nuclei,
# how unequal the bars are, and how age and sex go together.
#
# Ages in the release are bins of five years, and `age_numeric` is the middle of the bin, not an age. Where a bin holds
# one donor, "age group" is another word for that donor: a model that predicts the bin has learned the person.

# %%
donors = muscle.donors
bins = donors.drop_nulls("Age_group").group_by("Age_group").len()
alone = bins.filter(pl.col("len") == 1)

# %% mystnb={"figure": {"caption": "Cells and nuclei of each donor, youngest donor on top, with age in years and sex.", "name": "fig-01-donors"}, "image": {"alt": "Bar chart, one row a donor ordered by age, with one bar for single cells and one for single nuclei. A donor without an assay has no bar for it."}}
years = pl.col("age").round(0).cast(pl.Int64).cast(pl.String).fill_null("?")
sex = pl.col("Sex").fill_null("?")
people = donors.with_columns(who=pl.format("{}, {} {}", "DonorID", years, sex))
counted = people.unpivot(["cells", "nuclei"], index="who").to_pandas()
if people.height:
    plt.figure(figsize=(5.6, 0.26 * min(people.height, 40) + 1))
    ax = sns.barplot(
        counted, x="value", y="who", hue="variable", palette=style.ASSAY_COLOR
    )
    ax.set(xlabel="barcodes", ylabel="")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)

# %% tags=["remove-input", "finding"]
in_cells, in_nuclei = donors["cells"] > 0, donors["nuclei"] > 0
note.say(
    "Of {donors:donor|donors}, {donors_cells.number} gave single cells, {donors_nuclei.number} nuclei, and "
    "{donors_both.number} both."
    if donors.height
    else "This source names no donors, so that nothing on it can be tested across people.",
    donors=(donors.height, "donors"), donors_cells=(int(in_cells.sum()), "donors"),
    donors_nuclei=(int(in_nuclei.sum()), "donors"), donors_both=(int((in_cells & in_nuclei).sum()), "donors"),
)
note.save("donors", donors)
note.say(
    "Of {age_bins:age bin|age bins}, **{one_donor_bins.number}** stand for a single donor."
    if bins.height
    else "This source has no age bins.",
    age_bins=(bins.height, "age bins"), one_donor_bins=(alone.height, "age bins"),
)

# %% [markdown] tags=["exercise"]
# ### Exercise: Whose bin is it? (10 minutes)
#
# Which of the study's age bins (`Age_group_5y` in `study.donors()`) are one single donor? Give them as a set.
#
# <details><summary>Hint</summary>Group the donor table by bin and count the rows.</details>

# %% tags=["solution", "hide-cell"]
per_bin = study.donors().group_by("Age_group_5y").len()
single = set(per_bin.filter(pl.col("len") == 1)["Age_group_5y"])
print(sorted(single))
check("01.bins", single)

# %% [markdown]
# ## What the cells are called
#
# Three columns hold the labels, from coarse to fine. Some labels exist in one assay only: muscle fibers are too long
# for a droplet, so they are seen through their nuclei, and the single-cell assay catches only pieces of cytoplasm. Those
# pieces are the labels that end in `(fg)`, for *fragment*; libraries of nuclei hold a few, too (`sn` in the label). They
# are not subcutaneous cells, and not "fast glycolytic" ones, as public descriptions have it.

# %% mystnb={"figure": {"caption": "Barcodes of the forty commonest labels, on a logarithmic axis. A label with one mark exists in one assay only.", "name": "fig-01-labels"}, "image": {"alt": "Dot chart, one row a cell-type label ordered by size: one mark for single cells, another for single nuclei. Labels of one assay have one mark."}}
tally = cells.drop_nulls(level).group_by(label=level).agg(
    cells=(pl.col("batch") == "cells").sum(),
    nuclei=(pl.col("batch") == "nuclei").sum(), all=pl.len(),
).sort("all", "label", descending=[True, False])
most = tally.head(40).unpivot(["cells", "nuclei"], index="label")
most = most.filter(pl.col("value") > 0).to_pandas()
if len(most):
    plt.figure(figsize=(5.6, 0.19 * most["label"].nunique() + 1))
    ax = sns.scatterplot(
        most, x="value", y="label", hue="variable", style="variable",
        palette=style.ASSAY_COLOR, s=34,
    )
    ax.set(xscale="log", xlabel="barcodes", ylabel="")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)

# %% tags=["remove-input", "finding"]
levels = ["annotation_level0", "annotation_level1", "annotation_level2"]
coarse, middle, fine = (cells[name].drop_nulls().n_unique() for name in levels)
note.say(
    "From coarse to fine there are {labels_coarse.number}, {labels_middle.number} and {labels_fine.number} labels."
    if middle and fine
    else "Of the coarse kind there are {labels_coarse:label|labels}; at least one finer level is missing.",
    labels_coarse=(coarse, "labels"), labels_middle=(middle, "labels"), labels_fine=(fine, "labels"),
)
note.table(
    study.label_meanings().join(tally, on="label", how="inner"),
    "What the commonest coarse labels mean. The saved table holds all, and how some have been misread in public.",
    name="label_meanings", rows=8,
    columns={"label": "label", "meaning": "meaning", "cells": "cells", "nuclei": "nuclei"},
)

# %% [markdown]
# ## One gene, all cells
#
# The file is stored by column, so a look at a single gene reads one column and never needs the matrix.

# %%
found = gene in genes["gene"]
if found:
    values = muscle.genes([gene])[gene]

# %% tags=["remove-input", "finding"]
note.say(
    "{gene_name} is seen in {gene_share:.1%} of all barcodes."
    if found
    else "{gene_name} is not among the genes of this source.",
    gene_name=gene, gene_share=float((values > 0).mean()) if found else None,
)

# %% [markdown]
# ## The whole matrix, inside a budget
#
# Nearly all values are zero. `to_anndata` reads block after block of columns and keeps what is not zero: the matrix is
# never dense as a whole. A need above the budget is refused, with advice, before anything is allocated. What comes is a
# plain AnnData: values as released in `X`, maps in `obsm`.

# %%
adata = muscle.to_anndata(counts=False, budget=budget)
zeros = 1 - adata.X.nnz / (adata.n_obs * adata.n_vars)
held = adata.X.data.nbytes + adata.X.indices.nbytes + adata.X.indptr.nbytes
dense_bytes = adata.n_obs * adata.n_vars * 4  # float32

# %% tags=["remove-input", "finding"]
note.say(
    "Of all values {zero_share:.1%} are zero. The matrix takes **{sparse_gib}** sparse; as a dense table its values alone "
    "are {dense_gib}.",
    zero_share=float(zeros), sparse_gib=(held / 2**30, "GiB"), dense_gib=(dense_bytes / 2**30, "GiB"),
)
note.table(
    study.loading(),
    "What loading costs, measured once on simulated atlases, each way in a process of its own. pandas holds more than one "
    "copy while it reads, so its peak is several times the size of the values.",
    name="loading_cost",
    columns={"way": "work", "cells read": "cells", "seconds": "seconds", "peak memory (GiB)": "peak_gib"},
)

# %% [markdown] tags=["exercise"]
# ### Exercise: How big would it be? (10 minutes)
#
# Write a function `dense_gib(cells, genes)` that gives the size of a dense float32 table in gibibytes. What does it
# say of the release as published?
#
# <details><summary>Hint</summary>A float32 value takes four bytes; a gibibyte is two to the power of thirty
# bytes.</details>

# %% tags=["solution", "hide-cell"]
def dense_gib(cells, genes):
    return cells * genes * 4 / 2**30


print(f"{dense_gib(*muscle.shape):.2f} GiB")
check("01.dense", dense_gib)

# %% [markdown]
# ## The maps that come with it
#
# Four projections come with the release. Only scVI and the UMAP made from it belong to the study; PCA and t-SNE were
# added by the uploader, without any correction for donor or assay. Here is one of each kind. Where colors lie apart
# within a type, something else than the type shaped the map; sizes and distances of islands mean nothing. How well each
# mixes is measured in the [chapter on representations](09_representations).

# %% mystnb={"figure": {"caption": "Two of the projections, one corrected and one not, by type (the six commonest labels, all others gray), by assay and by donor.", "name": "fig-01-maps"}, "image": {"alt": "Up to six scatter plots of all cells, UMAP on the left and PCA on the right: colored by the commonest types, by assay and by donor. Where colors lie on each other a map mixes them."}}
maps = {"X_umap": "UMAP of scVI", "X_pca": "PCA, uncorrected"}
maps = {key: title for key, title in maps.items() if key in adata.obsm}
common = tally["label"].head(6).to_list()
shown = adata.obs[[level, "batch", "DonorID"]].astype("string")
shown[level] = shown[level].where(shown[level].isin(common), "other")
adata.obs[["type", "assay", "donor"]] = shown.fillna("not given")
palettes = {
    "type": dict(zip(common, style.CYCLE, strict=False)) | {"other": "0.85"},
    "assay": dict(style.ASSAY_COLOR) | {"not given": "0.6"},
    "donor": "tab20",
}
if maps:
    figure, axes = plt.subplots(3, len(maps), figsize=(5.6, 7), squeeze=False)
    for row, (color, palette) in zip(axes, palettes.items(), strict=True):
        for ax, (key, title) in zip(row, maps.items(), strict=True):
            last = ax is row[-1] and color != "donor"
            sc.pl.embedding(
                adata, key, color=color, palette=palette, ax=ax, show=False,
                title=f"{title}, by {color}",
                legend_loc="right margin" if last else None,
            )
            ax.set(xlabel="", ylabel="")

# %% [markdown]
# ## Is the release whole?
#
# [`validate`](../book/api) holds every file against the others: shapes, barcodes, types, labels, and the values of the
# whole matrix. `musclebook validate FOLDER` prints the same table and fails on damage. Only release folders have one.

# %%
checks = pl.DataFrame(schema=validate.SCHEMA)
if muscle.folder:
    checks = validate.validate(muscle.folder)

# %% tags=["remove-input", "finding"]
note.say(
    "Of {checks_made:check|checks}, **{checks_damaged.number}** found damage."
    if muscle.folder
    else "This source is not a release folder, so nothing is checked.",
    checks_made=(checks.height, "checks"),
    checks_damaged=(checks.filter(pl.col("status") == "damaged").height, "checks"),
)
note.save("integrity", checks)
note.table(
    checks.filter(pl.col("status") != "ok"), "What is not as expected, and what to do.", name="integrity_unusual", rows=8,
    columns={"file": "file", "status": "status", "found": "found", "what to do": "remedy"},
)

# %% [markdown] tags=["exercise"]
# ### Exercise: Two assays of one person (10 minutes)
#
# The expression file carries no barcodes. Write `same_rows(metadata_rows, expression_rows, barcodes)` that is true
# only if the two tables can be aligned by position: the numbers of rows agree and no barcode occurs twice.
#
# <details><summary>Hint</summary>Compare the two numbers, and the length of the list of barcodes with the length of its
# set.</details>

# %% tags=["solution", "hide-cell"]
def same_rows(metadata_rows, expression_rows, barcodes):
    return metadata_rows == expression_rows == len(barcodes) == len(set(barcodes))


print(same_rows(3, 3, ["A", "B", "B"]))
check("01.align", same_rows)

# %% [markdown]
# ## Does the public description hold?
#
# The data set's public card makes claims: sizes, meanings, ranges, advice. A claim that does not hold is not a scandal;
# it is a trap with a sign on it. Four to look for in the table: `age_numeric` is the middle of a bin and no age; age
# groups of one donor are no classes; cells split at random leave the same donors on both sides; and the values are
# logarithms, where the card names only a division by the size of the library.
#
# [`audit`](../book/api) weighs all that files can decide. On simulated data, claims about values that the simulation
# drew, such as the range of an axis or a change with age, are shown and not judged.

# %%
card = pl.DataFrame(schema=audit.SCHEMA)
if muscle.folder:
    card = audit.audit(muscle.folder)
wrong = card.filter(verdict="does not hold").height
unjudged = card.filter(verdict="not judged: simulated").height

# %% tags=["remove-input", "finding"]
note.say(
    "Of {claims_checked:claim|claims}, **{claims_failed.number}** do not hold on these files; not judged because the data "
    "are simulated: {claims_simulated.number}."
    if muscle.folder
    else "The card describes the release; this source is another one.",
    claims_checked=(card.height, "claims"), claims_failed=(wrong, "claims"), claims_simulated=(unjudged, "claims"),
)
note.table(
    card.sort(pl.col("verdict") != "does not hold", maintain_order=True),
    "The public card, claim by claim: those that do not hold first. The saved table holds all, with an explanation of each.",
    name="card_audit", columns={"claim": "claim", "verdict": "verdict", "found": "found"},
)

# %% [markdown]
# ## Scored against the plant
#
# Did loading lose or mix up anything? In a simulated atlas some labels were planted wrong, as in real life; the rest must
# come back cell by cell.

# %%
planted = muscle.truth("cells")
if planted is not None:
    scored = cells.join(planted, on="barcode", how="left")
    sound = scored.filter(~pl.col("mislabeled"))
    right = sound["annotation_level0"] == sound["true_level0"].cast(pl.String)

# %% tags=["remove-input", "finding"]
note.say(
    "Labels that come back as planted: {truth_aligned:.2%}; planted wrong on purpose: {truth_mislabeled:.2%}."
    if planted is not None
    else "These data carry no planted truth, so that loading is checked by the table of integrity alone.",
    truth_aligned=None if planted is None else float(right.mean()),
    truth_mislabeled=(None if planted is None else float(scored["mislabeled"].mean()), "of the labels"),
)

# %% [markdown]
# ## What the study reported
#
# A simulated atlas was calibrated on the published values; on the real release the two columns must agree.

# %% tags=["remove-input"]
published = [
    ("barcodes", study.N_CELLS, cells.height),
    ("donors", study.donors().height, donors.height),
    ("labels, coarse", study.N_LABELS[levels[0]], cells[levels[0]].n_unique()),
    ("labels, fine", study.N_LABELS[levels[2]], cells[levels[2]].n_unique()),
    ("genes a barcode", study.MEDIAN_GENES, cells["n_genes"].median()),
    ("molecules a barcode", study.MEDIAN_COUNTS, cells["n_counts"].median()),
]
beside = pl.DataFrame(published, ["what", "published", "found"], orient="row", strict=False)
note.table(beside, "Published and found; of genes and molecules the median.", name="published_and_found")

# %% [markdown]
# ## Limits
#
# - A file that agrees with itself can still be wrong: integrity is not truth.
# - The study's donors were deceased organ donors who had spent days in hospital. Whatever differs between them may be
#   age, or may be the stay.
# - Exact ages are known for the study's donors only; other sources fall back to what they state.
#
# ## On your own file
#
# The same questions to any `.h5ad`: who was sampled, how full is the matrix, are values whole counts? It runs as it
# stands, on a small file written from this page's atlas.

# %%
path = f"{note.folder}/own.h5ad"
about = adata.obs[["DonorID", "annotation_level0"]].astype(str)
sc.AnnData(adata.X[:500], about[:500], adata.var[[]]).write_h5ad(path)

own = sc.read_h5ad(path)
filled = own.X.nnz / (own.n_obs * own.n_vars)
whole = (own.X.data == np.round(own.X.data)).all()
print(f"{filled:.1%} of the values are not zero; whole counts: {whole}")
donor = own.obs.groupby("DonorID", observed=True)["annotation_level0"]
donor.agg(barcodes="size", types="nunique").head(4)

# %% [markdown]
# ## In short

# %% tags=["remove-input", "finding"]
note.say(
    "The atlas opens without being read whole and holds {cells} of {donors:donor|donors}. Its matrix fits into {sparse_gib} "
    "sparse, where the values of a dense table alone are {dense_gib}."
    + (" Of {claims_checked:claim|claims} of its public card, {claims_failed.number} do not hold." if muscle.folder else "")
)

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# **A donor gave 9,000 cells, another 90. How many independent observations of aging are they together?**
# <!-- facts: 9000; 90 -->
#
# <details><summary>9,090, one for each cell</summary>Not yet: cells of one person share genes, illness and handling.</details>
# <details><summary>Two, one for each donor</summary>Right: age belongs to the person, so the person is the unit.</details>

# %% tags=["remove-input"]
note.provenance(muscle.describe())
