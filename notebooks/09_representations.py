# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["header"]
# # Representations compared
#
# **Question.** Which view of a cell, deposited, computed here or made of words, keeps types together, mixes people, and
# still knows age?
#
# **You will** measure the four deposited projections, a PCA made here and a view made of cell sentences on the same
# cells with nine measures; see what an uncorrected projection does; read the trade between purity and mixing; and
# compare light gene networks of young and old donors, donor by donor.
#
# **Before you start.** [Loading the atlas](01_loading), and [prediction that respects donors](08_prediction).
#
# **Time** 35 minutes to read, 30 for the exercises.
# **Memory** under 2 GiB on the default atlas, under 5 GiB at full size.
#
# **What can go wrong.** A map of two dimensions is measured as if distances in it meant something. A representation that
# mixes donors perfectly may have mixed away what differs between them, age included. And scores depend on how many
# neighbors one asks.

# %%
import polars as pl

from helpers import findings, names, sources
from helpers.analysis import networks, representation
from helpers.analysis import representation_cards as cards
from helpers.figures import representation as draw
from helpers.figures import style
from helpers.sentences import encode

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny", "sample": 1000}}
atlas: str = "demo"  # data: demo, tiny, a release folder, or an .h5ad file
level: str = "annotation_level0"  # labels that the measures refer to {annotation_level0, annotation_level1, annotation_level2}
sample: int = 3000  # cells on which the measures are computed [200, 50000]
words: int = 200  # words of a cell sentence [10, 2000]
extra: str = ""  # a representation of your own: a key of obsm, or a Parquet file with one row a cell; empty: none
cell_type: str = "MuSC"  # coarse type whose gene networks are compared
assay: str = "cells"  # assay of those networks {cells, nuclei}
grn: str = ""  # an .h5ad with a gene network in varp, such as scPRINT writes; empty: none
n_permutations: int = 499  # deals of age bins over donors, all where there are fewer [50, 10000]
budget: str = "6 GiB"  # memory that loading may take
seed: int = 1  # of the sample, of clusterings and permutations [0, 1000000]
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("09_representations", globals())

# %%
muscle = sources.open_atlas(atlas)
adata = muscle.to_anndata(counts=False, budget=budget)

# %% tags=["hide-input", "finding"]
note.record("data_kind", "simulated" if muscle.simulated else "real")
note.record("missing", ", ".join(muscle.missing) or "nothing")
note.say("This page shows **{data_kind}** data. Missing from this source: {missing}.")

# %% [markdown]
# ## The candidates
#
# Four projections come with the release. scVI was trained by the study's authors, whose notebook of the cells names
# sample, donor, sex and chemistry as what to take out; its UMAP was drawn from it. PCA and t-SNE were added by the uploader on all genes, without any correction. Two more are
# made here: a PCA of the most variable genes, and a view of *cell sentences*, which list a cell's most expressed genes in
# order; the view asks which genes are in a sentence, not where they stand. A variational autoencoder of your own, or embeddings of a foundation model, enter through `extra`.

# %%
views = cards.gather(
    adata,
    {
        "PCA (made here)": lambda: representation.principal_components(adata.X),
        "sentences (made here)": lambda: representation.from_sentences(
            encode.encode(adata, rule=encode.Rule(top_n=words)).sentences, seed=seed
        ),
    },
    extra=extra,
)

# %% [markdown]
# ## Nine measures on the same cells
#
# Each measure asks one thing. Clusters against labels: do the natural groups of the view look like the annotation? Purity:
# are a cell's neighbors of its type? Mixing: within a type, do neighbors come from all donors and both assays? Transfer: can
# the neighbors from *other* donors name a cell? Age: does the mean position of a donor's cells tell the donor's age?

# %%
labels, donors, assays = (cards.texts(adata, column) for column in (level, names.DONOR, names.ASSAY))
rows = representation.sample_cells(adata.n_obs, labels, size=sample, seed=seed) if labels is not None else []
table = cards.compare_where_labeled(
    views, rows, labels=labels, donors=donors, assays=assays, donor_ages=cards.donor_ages(adata), seed=seed
)

# %% mystnb={"figure": {"caption": "Nine measures of each representation, the value in each square; within a column, darker is better. A dash marks what this source cannot tell.", "name": "fig-09-measures"}, "image": {"alt": "Grid of numbers, rows representations, columns measures, shaded from light to dark within each column by rank from worst to best."}} tags=["hide-input"]
draw.draw_measures(table)

# %% tags=["hide-input", "finding"]
pure, purity = cards.best(table, "neighbor_purity")
mixed, mixing = cards.best(table, "donor_mixing")
transfer, f1 = cards.best(table, "label_transfer_f1")
note.record("views_compared", len(views), "representations")
note.record("cells_measured", len(rows), "cells")
note.record("purest", pure)
note.record("purity", purity)
note.record("best_mixed", mixed)
note.record("mixing", mixing)
note.record("best_transfer", transfer)
note.record("transfer_f1", f1)
note.say(
    "On {cells_measured}, {views_compared} were compared. Purest neighbors: {purest} ({purity}); best mixed donors: "
    "{best_mixed} ({mixing}); labels best carried to other donors: **{best_transfer}** (macro F1 {transfer_f1})."
)

# %% tags=["hide-input"]
note.table(cards.widen(table), "Every measure of every representation.", name="representations", rows=20)
note.table(cards.meanings(), "What each measure means.", rows=12)

# %% [markdown]
# ## What no correction does
#
# Read purity against donor mixing. A view without correction can keep people apart as well as types; a corrected one should
# mix people and keep types. Up and to the right is better. Age in the table is the check on both: a view that mixes donors so well
# that age is gone cannot be used to look for it.

# %% mystnb={"figure": {"caption": "Purity of neighbors against mixing of donors within types, one mark a representation.", "name": "fig-09-trade"}, "image": {"alt": "Scatter plot with one labeled mark a representation: share of neighbors of the own type against mixing of donors."}} tags=["hide-input"]
draw.draw_trade(table)

# %% tags=["hide-input", "finding"]
note.record("mixing_scvi", cards.value_of(table, "scVI (deposited)", "donor_mixing"))
note.record("mixing_pca", cards.value_of(table, "PCA (deposited)", "donor_mixing"))
note.record("assay_mixing_scvi", cards.value_of(table, "scVI (deposited)", "assay_mixing"))
note.record("assay_mixing_pca", cards.value_of(table, "PCA (deposited)", "assay_mixing"))
note.say(
    "Donor mixing of scVI: {mixing_scvi}, of the uncorrected PCA: {mixing_pca}. Mixing of the assays: {assay_mixing_scvi} "
    "against {assay_mixing_pca}."
)

# %% [markdown]
# ## Networks, donor by donor
#
# The public card plans gene networks inferred by a foundation model. Until then, a light stand-in: correlation of the
# most variable genes over the cells of one type, *one network a donor*. Only so can an edge be asked whether it differs
# between young and old people, and whether it is there in most of them. The null deals the age bins anew to the donors,
# among donors of one sex and chemistry where that leaves enough ways to do it, else of one sex, else among all; each row of
# the table says which, and the difference is taken between the same donors. Without this, an edge of men would pass for an
# edge of youth where all young donors are men. With few donors there are few ways to say who is young, and no p falls
# below one over their number: none below one in twenty can then mean that none could.

# %%
per_donor = networks.correlate(adata, cell_type=cell_type, assay=assay)
edges = networks.compare_ages(per_donor, n_permutations=n_permutations, seed=seed)

# %% mystnb={"figure": {"caption": "Mean correlation of gene pairs over old donors against young donors; the pairs of largest difference are black, the first ones named.", "name": "fig-09-edges"}, "image": {"alt": "Scatter plot of correlations, old against young, around the diagonal; the pairs farthest from it are black and a few are named."}} tags=["hide-input"]
draw.draw_edges(edges)

# %% tags=["hide-input", "finding"]
summary = networks.summarize(edges, per_donor)
note.record("network_donors", summary["donors"], "donors")
note.record("network_edges", summary["edges"], "gene pairs")
note.record("network_stable", summary["stable"])
note.record("network_small_p", summary["small_p"])
note.record("network_dealt_within", summary["dealt_within"])
note.record("network_arrangements", summary["arrangements"])
note.say(
    "Networks of {network_donors}, {network_edges} each. Pairs whose sign is the same in nearly all donors: "
    "{network_stable:.0%}. Pairs with a permutation p below 0.05, none of them adjusted for how many there are: "
    "{network_small_p:.1%}, where chance alone gives about one in twenty. Age bins were dealt anew within: "
    "{network_dealt_within}; ways to do it: {network_arrangements}."
)

# %% tags=["hide-input"]
note.table(edges, "Gene pairs, young against old donors, largest difference first.", name="network_edges")

# %% [markdown]
# A network that another program wrote is read through `grn` and compared by the edges it shares with this one.

# %%
other = networks.read_grn(grn) if grn else pl.DataFrame(schema=networks.GRN_SCHEMA)
shared = networks.overlap(edges.head(200), other)

# %% tags=["hide-input", "finding"]
note.record("grn_edges", shared["edges_second"], "edges")
note.record("grn_shared", shared["shared"], "edges")
note.say("Network given by the user: {grn_edges}; shared with the strongest differences here: {grn_shared}. (None given reads as zero.)")

# %% [markdown]
# ## Scored against the plant
#
# On the simulated atlas the deposited scVI view was drawn from the planted labels, with next to nothing of donor and
# assay in it, PCA from the matrix with both. A measure of mixing that does not tell the two apart would be no measure.
# What scVI, UMAP and t-SNE score on simulated data was built in, and says nothing about these methods.

# %% tags=["hide-input", "finding"]
told = cards.tells_corrected(table, simulated=muscle.simulated)
note.record("mixing_tells_corrected", told)
note.say("Donor mixing ranks the corrected view above the uncorrected one: **{mixing_tells_corrected}**. (Not available on real data, where nothing was planted.)")

# %% [markdown]
# ## What the study reported
#
# The authors integrated with scVI and annotated compartment by compartment on views made the same way, so the labels
# themselves owe something to scVI: agreement with labels may flatter it. The PCA and the t-SNE are not theirs.

# %% [markdown]
# ## Limits
#
# - The study's labels were made on views like one of those compared. That view has a head start that no measure removes.
#   On simulated data the head start is larger: scVI, UMAP and t-SNE were drawn from the planted labels themselves.
# - Two-dimensional maps lose by construction; they are for looking.
# - Mixing is measured within types. A donor that truly differs should not mix, and no measure knows which donors do.
# - Correlations over the cells of a donor mix states of the type; an edge is not a regulation.
# - Embeddings of scPRINT-2 cannot be computed on a machine without its weights; [its chapter](06_scprint_atlas) shows how
#   to prepare the input and read the result.

# %% [markdown] tags=["exercise"]
# ```{exercise} Purity by hand
# :label: ex-09-purity
# Write `purity(labels, neighbors)`: `neighbors` holds, for each cell, the row numbers of its neighbors. Return the share of
# all neighbors that carry the cell's own label.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# Go through cells and their neighbors, count the matches, divide by the number of pairs.
# :::

# %% tags=["solution", "hide-cell"]
from helpers.book.workshop import check


def purity(labels, neighbors):
    pairs = [(cell, near) for cell, row in enumerate(neighbors) for near in row]
    return sum(labels[cell] == labels[near] for cell, near in pairs) / len(pairs)


check("09.purity", purity)

# %% [markdown] tags=["exercise"]
# ```{exercise} How mixed is mixed?
# :label: ex-09-entropy
# Write `entropy(groups)`: the Shannon entropy, in natural units, of the list of group names. Which list of four names has the
# largest?
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# Minus the sum, over groups, of share times logarithm of share.
# :::

# %% tags=["solution", "hide-cell"]
import math


def entropy(groups):
    shares = [groups.count(name) / len(groups) for name in set(groups)]
    return -sum(share * math.log(share) for share in shares)


check("09.entropy", entropy)

# %% [markdown] tags=["exercise"]
# ```{exercise} Edges in common
# :label: ex-09-jaccard
# Write `jaccard(first, second)` for two lists of gene pairs. A pair is undirected: `("A", "B")` is `("B", "A")`.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# Turn each pair into a `frozenset`, each list into a set; divide the intersection by the union.
# :::

# %% tags=["solution", "hide-cell"]
def jaccard(first, second):
    one, two = ({frozenset(pair) for pair in pairs} for pairs in (first, second))
    return len(one & two) / len(one | two) if one | two else 0.0


check("09.jaccard", jaccard)

# %% [markdown]
# ## In one sentence

# %% tags=["hide-input", "finding"]
note.say("Labels travel best to other donors on {best_transfer} (macro F1 {transfer_f1}), donors mix best on {best_mixed} ({mixing}).")

# %% tags=["hide-input"]
note.provenance(muscle.describe())
