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
# **You will** open the release without reading it, draw who was sampled, look up single genes at once, turn the
# expression table into a sparse matrix inside a memory budget, check every file against the others, and hold the
# public description of the data against the data.
#
# **Before you start.** You know what a count matrix is. Nothing else is needed.
#
# **Time** 35 minutes to read, 25 for the exercises.
# **Memory** under 3 GiB on the default atlas, under 7 GiB at full size.
#
# **What can go wrong.** The obvious way, one call of pandas on the expression file, asks for a dense table of more
# than twenty gigabytes on the real release. And the rows of that file usually carry no barcodes, so that a join by
# label fails or, worse, joins by accident.

# %%
import polars as pl

from helpers import findings, names, sources
from helpers.analysis import donors, labels
from helpers.atlas import audit, cost, validate
from helpers.facts import study
from helpers.figures import atlas as draw
from helpers.figures import style

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny"}}
atlas: str = "demo"  # data: demo, tiny, a release folder, or an .h5ad file
gene: str = "MYH7"  # gene looked up in the whole atlas
level: str = "annotation_level0"  # labels shown on the maps {annotation_level0, annotation_level1, annotation_level2}
budget: str = "4 GiB"  # memory that loading may take
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("01_loading", globals())

# %% [markdown]
# ## Open it
#
# Opening reads the schema, the two metadata tables and nothing else. What the source does not have is named here,
# once; the parts of this page that need it step aside.

# %%
muscle = sources.open_atlas(atlas)

# %% tags=["hide-input", "finding"]
note.record("cells", muscle.obs.height, "cells and nuclei")
note.record("genes", muscle.var.height, "genes")
note.record("missing", ", ".join(muscle.missing) or "nothing")
note.record("data_kind", "simulated" if muscle.simulated else "real")
note.say("This page shows **{data_kind}** data: {cells} by {genes}. Missing from this source: {missing}.")

# %% [markdown]
# ## The files
#
# A release is twelve files. The expression table holds one column a gene and is by far the largest; everything else
# can be read in a blink.

# %% tags=["hide-input"]
note.table(muscle.files(), "The files of this source.", name="files", rows=15)

# %% [markdown]
# ## Who was sampled
#
# The donor is the unit of everything that follows, so the donors come first. Read the figure from top to bottom as
# from young to old. Look for three things: which donors have cells and which nuclei, how unequal the bars are, and
# how age, sex and chemistry go together.

# %%
people = donors.by_donor(muscle.obs)

# %% mystnb={"figure": {"caption": "Cells and nuclei of each donor, youngest donor on top. The label gives donor, age in years and sex; the text beside a bar gives the number of barcodes and the 10x chemistry.", "name": "fig-01-donors"}, "image": {"alt": "Two bar charts side by side, one row a donor ordered by age: single cells at the left, single nuclei at the right, with the number of barcodes and the chemistry written beside each bar. A donor without an assay has no bar there."}} tags=["hide-input"]
draw.draw_donors(people)

# %% tags=["hide-input", "finding"]
note.record("donors", people.height, "donors")
note.record("donors_cells", people.filter(pl.col(names.CELLS) > 0).height, "donors")
note.record("donors_nuclei", people.filter(pl.col(names.NUCLEI) > 0).height, "donors")
note.record("donors_both", people.filter((pl.col(names.CELLS) > 0) & (pl.col(names.NUCLEI) > 0)).height, "donors")
note.say("In all {donors}: with cells {donors_cells}, with nuclei {donors_nuclei}, with both {donors_both}.")

# %% tags=["hide-input"]
note.table(people, "Donors, youngest first. Exact ages come from the study's own notebooks.", name="donors", rows=20)

# %% [markdown]
# Ages in the release are bins of five years, and `age_numeric` is the middle of the bin, not an age. Where a bin
# holds one donor, "age group" is another word for that donor: a model that predicts the bin has learned the person.

# %%
bins = donors.by_age_group(people)

# %% tags=["hide-input", "finding"]
note.record("one_donor_bins", bins.filter("one_donor").height, "age bins")
note.record("age_bins", bins.height, "age bins")
note.say("Of {age_bins.number} age bins, those that are a single donor: **{one_donor_bins.number}**.")

# %% tags=["hide-input"]
note.table(bins, "Age bins and the donors behind them.", name="age_bins")

# %% [markdown]
# ## What the cells are called
#
# Three columns hold the labels, from coarse to fine. Some labels exist in one assay only: muscle fibers are too long
# for a droplet, so whole fibers are seen through their nuclei, and the single-cell assay catches only pieces of
# cytoplasm. Those pieces are the labels that end in `(fg)`, for *fragment*; libraries of nuclei hold a few of them,
# too (`sn` in the label). They are not subcutaneous cells, and not "fast glycolytic" ones, as public descriptions
# have it.

# %%
tally = labels.count(muscle.obs, level=level)

# %% mystnb={"figure": {"caption": "Barcodes per label, cells as filled circles and nuclei as open diamonds, on a logarithmic axis. A label with one mark exists in one assay only.", "name": "fig-01-labels"}, "image": {"alt": "Dot chart, one row a cell-type label ordered by size: filled circles give the number of single cells, open diamonds the number of nuclei. Labels of one assay have one mark."}} tags=["hide-input"]
draw.draw_labels(tally)

# %%
tree = labels.check_tree(muscle.obs)

# %% tags=["hide-input", "finding"]
note.record("labels_coarse", labels.distinct(muscle.obs, names.LEVEL0), "labels")
note.record("labels_middle", labels.distinct(muscle.obs, names.LEVEL1), "labels")
note.record("labels_fine", labels.distinct(muscle.obs, names.LEVEL2), "labels")
note.record("tree_breaks", int(tree["cells"].sum()), "barcodes")
note.say(
    "Labels from coarse to fine: {labels_coarse.number}, {labels_middle.number}, {labels_fine.number}. "
    "Barcodes whose fine label hangs under another coarse label than most of its kind: {tree_breaks.number}."
)

# %% tags=["hide-input"]
note.table(
    study.label_meanings().join(tally.select("label", "cells", "nuclei"), on="label", how="inner"),
    "What the coarse labels mean, and how some have been misread in public.",
    name="label_meanings", rows=36,
)

# %% [markdown]
# ## One gene, all cells
#
# The file is stored by column. Reading one gene touches one column, so a look at a single gene never needs the
# matrix. Unknown names stop with the nearest known ones.

# %%
looked_up = labels.look_up(muscle.genes, gene, muscle.var[names.GENE].to_list())

# %% tags=["hide-input", "finding"]
note.record("gene_name", gene)
note.record("gene_note", looked_up["note"])
note.record("gene_share", looked_up["share"])
note.record("gene_seconds", looked_up["seconds"], "s")
note.say("{gene_name} ({gene_note}) is seen in {gene_share:.1%} of all barcodes; reading it took {gene_seconds}.")

# %% [markdown]
# ## The whole matrix, inside a budget
#
# Nearly all values are zero. Read in blocks of columns, with only the other values kept, the same matrix needs a
# fraction of the memory. Before anything is allocated the need is estimated and, if it is more than the budget,
# refused with advice.

# %%
matrix = muscle.to_anndata(counts=False, budget=budget)

# %% tags=["hide-input", "finding"]
shape = labels.weigh(matrix.X)
note.record("zero_share", shape["zero_share"])
note.record("sparse_gib", shape["sparse_gib"], "GiB")
note.record("dense_gib", shape["dense_gib"], "GiB")
note.say("Zeros: {zero_share:.1%} of all values. Stored dense: {dense_gib}; stored sparse: **{sparse_gib}**.")

# %% [markdown]
# The next figure is measured, not calculated: each way of reading runs in a process of its own, on this machine, on
# this source. Where the dense table would not fit, a part of its columns is read and the row is scaled up.

# %%
price = cost.measure(muscle.folder, budget="512 MiB") if muscle.folder else pl.DataFrame(schema=cost.COST_SCHEMA)

# %% mystnb={"figure": {"caption": "Wall time and peak memory of reading the expression file: a dense pandas table against sparse blocks.", "name": "fig-01-cost"}, "image": {"alt": "Two bar charts, seconds and gibibytes, one row a way of loading: the dense table and the sparse blocks."}} tags=["hide-input"]
draw.draw_cost(price)

# %% tags=["hide-input"]
note.table(price, "Loading, measured in fresh processes.", name="loading_cost")

# %% [markdown]
# ## The maps that come with it
#
# Four projections come with the release. Only scVI and the UMAP made from it belong to the study; PCA and t-SNE were
# added by the uploader, on all genes, without any correction for donor or assay. Expect cells and nuclei of one type
# to lie together on the first two and apart on the others. A map shows neighborhoods; sizes and distances of islands
# mean nothing.

# %%
maps = {
    "scVI, first two of its axes": muscle.projection(names.SCVI),
    "UMAP (of scVI)": muscle.projection(names.UMAP),
    "PCA (uncorrected)": muscle.projection(names.PCA),
    "t-SNE (uncorrected)": muscle.projection(names.TSNE),
}

# %% mystnb={"figure": {"caption": "The four projections of the release. The commonest labels are colored and numbered at their median; all other cells are gray.", "name": "fig-01-maps"}, "image": {"alt": "Four scatter plots of all cells: scVI, UMAP, PCA and t-SNE. The six commonest labels are colored and numbered, the rest is gray."}} tags=["hide-input"]
draw.draw_maps(maps, muscle.obs[level].to_list())

# %% [markdown]
# ## Is the release whole?
#
# Every file is held against the others: shapes, barcodes, types, the label vocabulary, and, over the whole matrix
# and not a sample of it, the values. `musclebook validate FOLDER` prints the same table and fails on damage.

# %%
integrity = validate.validate(muscle.folder) if muscle.folder else pl.DataFrame(schema=validate.SCHEMA)

# %% tags=["hide-input", "finding"]
note.record("checks_made", integrity.height, "checks")
note.record("checks_damaged", integrity.filter(pl.col("status") == "damaged").height, "checks")
note.say("Checks made: {checks_made.number}. Checks that found damage: **{checks_damaged.number}**.")

# %% tags=["hide-input"]
note.table(integrity, "Integrity of this source.", name="integrity", rows=40)

# %% [markdown]
# ## Does the public description hold?
#
# The data set's public card makes claims: sizes, meanings, ranges, advice. Each one that files can decide is computed
# from the files. A claim that does not hold is not a scandal; it is a trap with a sign on it.

# %%
claims = audit.audit(muscle.folder) if muscle.folder else pl.DataFrame(schema=audit.SCHEMA)

# %% tags=["hide-input", "finding"]
note.record("claims_checked", claims.height, "claims")
note.record("claims_failed", claims.filter(pl.col("verdict") == "does not hold").height, "claims")
note.say("Claims looked at: {claims_checked.number}. Claims that do not hold on these files: **{claims_failed.number}**.")

# %% tags=["hide-input"]
note.table(claims, "The public card, claim by claim.", name="card_audit", rows=60)

# %% [markdown]
# ## Scored against the plant
#
# A simulated atlas comes with its truth. Here it answers one question: did loading lose or mix up anything? A share
# of the labels was planted wrong, as annotation in real life is; the rest must come back cell by cell.

# %%
truth = labels.compare_with_truth(muscle.obs, muscle.truth("cells"))

# %% tags=["hide-input", "finding"]
note.record("truth_aligned", truth["aligned"])
note.record("truth_mislabeled", truth["mislabeled"], "of the labels")
note.say(
    "Labels that come back as planted: {truth_aligned:.2%}; planted wrong on purpose: {truth_mislabeled:.2%}."
    if truth["aligned"] is not None
    else "These data carry no planted truth (aligned: {truth_aligned}, mislabeled: {truth_mislabeled}), so loading is checked by the integrity table alone."
)

# %% [markdown]
# ## What the study reported
#
# The published object and the one loaded here, side by side. On a simulated atlas the first column is what the
# simulation was calibrated on, at a smaller scale; on the real release the two columns must agree.

# %% tags=["hide-input"]
note.table(labels.beside_the_study(muscle.obs, people), "Published and found.", name="published_and_found", rows=20)

# %% [markdown]
# ## Limits
#
# - A file that agrees with itself can still be wrong: integrity is not truth.
# - The gene table mixes protein-coding genes with long non-coding and unnamed loci; the card's word for all of them,
#   protein-coding, is tested in the audit above.
# - The study's donors were deceased organ donors who had spent days in hospital. Whatever differs between them may be
#   age, or may be the stay.
# - Exact ages are known for the study's donors only; other sources fall back to what they state.

# %% [markdown] tags=["exercise"]
# ```{exercise} How big would it be?
# :label: ex-01-dense
# Write a function `dense_gib(cells, genes)` that gives the size of a dense float32 table in gibibytes. What does it
# say of the release as published?
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# A float32 value takes four bytes; a gibibyte is two to the power of thirty bytes.
# :::

# %% tags=["solution", "hide-cell"]
from helpers.book.workshop import check


def dense_gib(cells, genes):
    return cells * genes * 4 / 2**30


check("01.dense", dense_gib)

# %% [markdown] tags=["exercise"]
# ```{exercise} Whose bin is it?
# :label: ex-01-bins
# Which of the study's age bins (`Age_group_5y` in `study.donors()`) are one single donor? Give them as a set.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# Group the donor table by bin and count the rows.
# :::

# %% tags=["solution", "hide-cell"]
per_bin = study.donors().group_by("Age_group_5y").len()
single = set(per_bin.filter(pl.col("len") == 1)["Age_group_5y"])
check("01.bins", single)

# %% [markdown] tags=["exercise"]
# ```{exercise} Two assays of one person
# :label: ex-01-align
# The expression file carries no barcodes. Write `same_rows(metadata_rows, expression_rows, barcodes)` that is true
# only if the two tables can be aligned by position: the numbers of rows agree and no barcode occurs twice.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# Compare the two numbers, and the length of the list of barcodes with the length of its set.
# :::

# %% tags=["solution", "hide-cell"]
def same_rows(metadata_rows, expression_rows, barcodes):
    return metadata_rows == expression_rows == len(barcodes) == len(set(barcodes))


check("01.align", same_rows)

# %% [markdown]
# ## In one sentence

# %% tags=["hide-input", "finding"]
note.say(
    "The atlas opens from its files without being read whole, holds {cells} of {donors}, and fits into {sparse_gib} "
    "where the obvious way asks for {dense_gib}."
)

# %% tags=["hide-input"]
note.provenance(muscle.describe())
