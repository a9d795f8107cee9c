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
# **You will** make two views with scanpy and scikit-learn, set them beside the deposited ones, and measure all on the
# same cells; see what an uncorrected projection does; read the trade between purity and mixing; and compare light
# gene networks of young and old donors, donor by donor.
#
# **Before you start.** [Loading the atlas](01_loading), and [prediction that respects donors](08_prediction).
#
# **Time** 35 minutes to read, 30 for the exercises.
# **Memory** under 2 GiB on the default atlas, under 7 GiB at full size.
#
# **What can go wrong.** Distances on a map of two dimensions are taken to mean something. A view that mixes donors perfectly
# may have mixed away what differs between them, age included. A view made with the labels in hand agrees with them.

# %%
import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import scanpy as sc
import scipy.sparse as sp
import seaborn as sns
from adjustText import adjust_text
from scipy.stats import entropy

# %%
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import RidgeCV
from sklearn.metrics import (
    adjusted_rand_score, f1_score, normalized_mutual_info_score,
    silhouette_score,
)
from sklearn.model_selection import GroupKFold, LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers import findings, sources, style
from helpers.book.workshop import check
from helpers.sentences.encode import Rule, encode
from helpers.stats import permute

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny", "sample": 1000}}
atlas: str = "demo"  # data: demo, tiny, a release folder, or an .h5ad file
level: str = "annotation_level0"  # labels that the measures refer to {annotation_level0, annotation_level1, annotation_level2}
sample: int = 3000  # cells on which the measures are computed [200, 50000]
words: int = 200  # words of a cell sentence [10, 2000]
extra: str = ""  # your own view: a key of obsm, or a Parquet file; empty: none
cell_type: str = "MuSC"  # coarse type whose gene networks are compared
assay: str = "cells"  # assay of those networks {cells, nuclei}
grn: str = ""  # an .h5ad with a gene network in varp; empty: none
n_permutations: int = 499  # deals of age bins over donors [50, 10000]
budget: str = "6 GiB"  # memory that loading may take
seed: int = 1  # of the sample, of clusterings and permutations [0, 1000000]
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("09_representations", globals())

# %% [markdown]
# [`open_atlas`](../book/api) opens any source as an ordinary AnnData. What is not given stays *not given*.

# %%
muscle = sources.open_atlas(atlas)
adata = muscle.to_anndata(counts=False, budget=budget)
columns = [level, "DonorID", "batch"]
adata.obs[columns] = adata.obs[columns].astype("string").fillna("not given")
years = dict(muscle.donors.select("DonorID", "age").iter_rows())

# %% tags=["remove-input", "finding"]
note.say(
    "This page shows **{data_kind}** data. Missing from this source: {missing}.",
    data_kind="simulated" if muscle.simulated else "real",
    missing=", ".join(muscle.missing) or "nothing",
)

# %% [markdown]
# ## The candidates
#
# Four projections come with the release. scVI was trained by the study's authors, who name sample, donor, sex and
# chemistry as what to take out; its UMAP was drawn from it. PCA and t-SNE were added by the uploader on all genes, without
# any correction. Two more are made here: a PCA of the most variable genes, and a view of *cell sentences*, which asks
# which genes are among a cell's most expressed, not where they stand. A variational autoencoder of your own, or
# embeddings of a foundation model, enter through `extra`.

# %%
n_genes = min(1500, adata.n_vars // 2)
sc.pp.highly_variable_genes(adata, n_top_genes=n_genes)
variable = adata[:, adata.var["highly_variable"]]
adata.obsm["PCA, made here"] = sc.pp.pca(variable.X, random_state=seed)

texts = encode(adata, rule=Rule(top_n=words)).sentences
bag = TfidfVectorizer(
    lowercase=False, token_pattern=r"\S+", min_df=3, dtype=np.float32
).fit_transform(texts)
svd = TruncatedSVD(min(50, bag.shape[1] - 1), n_iter=3, random_state=seed)
adata.obsm["sentences, made here"] = svd.fit_transform(bag)

if extra and extra not in adata.obsm:
    own = pl.read_parquet(extra, glob=False).select(pl.selectors.numeric())
    adata.obsm[extra] = own.to_numpy()

# %% [markdown]
# ## The same cells for all
#
# Labels of fewer than ten cells are too few for any measure. Of the rest a sample is drawn. Neighbors and clusters are
# scanpy's, one graph a view, with edges weighed by a Gaussian of the distance: the usual weights, of UMAP, would compile
# a library first, and change nothing below but the clusters.

# %%
size = adata.obs.groupby(level, observed=True)[level].transform("size")
usable = np.flatnonzero((size >= 10) & (adata.obs[level] != "not given"))
rng = np.random.default_rng(seed)
rows = rng.choice(usable, min(sample, len(usable)), replace=False)
sub = adata[np.sort(rows)].copy()
labels, donors, assays = (sub.obs[one].to_numpy(str) for one in columns)

views = list(sub.obsm)
near = {}
for view in views:
    sc.pp.neighbors(
        sub, n_neighbors=16, use_rep=view, key_added=view, method="gauss"
    )
    sc.tl.leiden(
        sub, neighbors_key=view, key_added=f"{view} leiden",
        flavor="igraph", n_iterations=2, directed=False, random_state=seed,
    )
    near[view] = sub.obsp[f"{view}_distances"].indices.reshape(len(labels), -1)

# %% [markdown]
# A look before any number: the first two axes of the PCA that was made here. If cells of one type lie apart by assay,
# the view holds the assay.

# %% mystnb={"figure": {"caption": "First two axes of the PCA made here: by type (the five most common), by assay, by donor.", "name": "fig-09-map"}, "image": {"alt": "Three scatter plots of the same points, below each other: groups by cell type, the same groups split by assay, and colored by donor."}}
five = sub.obs[level].value_counts().index[:5]
sub.obs["type"] = sub.obs[level].where(sub.obs[level].isin(five), "other")
figure, axes = plt.subplots(3, 1, figsize=(5.6, 11))
for ax, color in zip(axes, ["type", "batch", "DonorID"], strict=True):
    hues = sns.color_palette("colorblind", sub.obs[color].nunique())
    sc.pl.embedding(
        sub, "PCA, made here", color=color, ax=ax, show=False, frameon=False,
        size=10, palette=list(hues),
        legend_loc=None if color == "DonorID" else "right margin",
    )

# %% [markdown]
# ## Nine measures
#
# Each measure asks one thing. Clusters against labels: do the natural groups of the view look like the annotation
# (adjusted Rand index, {term}`ARI`, and normalized mutual information, {term}`NMI`, of k-means; ARI of {term}`Leiden`)?
# {term}`Silhouette <silhouette>` and purity: do cells of a type lie together? Mixing: within a type, do neighbors come
# from all donors and both assays? Transfer: can the neighbors from *other* donors name a cell? Age: does the mean
# position of a donor's cells tell the donor's age?
#
# Mixing is the entropy of donors among a cell's neighbors of its own type, as a share of the entropy of the whole type.


# %%
def mixing(neighbors, groups):
    names, shares = np.unique(groups), []
    for kind in np.unique(labels):
        mine = np.flatnonzero(labels == kind)
        whole = entropy(pd.Series(groups[mine]).value_counts())
        if whole == 0 or len(mine) < 20:
            continue
        around = neighbors[mine]
        same = labels[around] == kind
        tally = [(same & (groups[around] == one)).sum(axis=1) for one in names]
        tally = np.stack(tally, axis=1)
        shares += [entropy(tally[tally.sum(axis=1) >= 3], axis=1) / whole]
    return np.concatenate(shares).clip(max=1).mean() if shares else np.nan

# %% [markdown]
# Age is asked of the commonest type that eight donors have: {term}`ridge regression` on the donors' mean positions, each
# donor predicted without itself. What counts is how many years the view gains on the mean of the others.

# %%
tally = sub.obs.groupby([level, "DonorID"], observed=True).size()
held = tally[tally >= 5].groupby(level, observed=True).agg(["size", "sum"])
held = held[held["size"] >= min(8, held["size"].max())]
aged = held["sum"].idxmax()
people = tally[aged][tally[aged] >= 5].index
people = [one for one in people if years.get(one) is not None]
of_aged = np.isin(donors, people) & (labels == aged)


def age_gain(points):
    means = pd.DataFrame(points[of_aged]).groupby(donors[of_aged]).mean()
    age = means.index.map(years).to_numpy(float)
    if len(age) < 4:
        return np.nan
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 5, 11)))
    told = cross_val_predict(model, means.to_numpy(), age, cv=LeaveOneOut())
    alone = (age.sum() - age) / (len(age) - 1)
    return np.abs(alone - age).mean() - np.abs(told - age).mean()

# %%
measured = {}
folds = GroupKFold(min(4, len(np.unique(donors))))
for view in views:
    points, leiden = sub.obsm[view], sub.obs[f"{view} leiden"]
    clusters = KMeans(len(np.unique(labels)), n_init=2, random_state=seed)
    clusters = clusters.fit_predict(points)
    named = cross_val_predict(
        KNeighborsClassifier(15), points, labels, groups=donors, cv=folds
    )
    measured[view] = {
        "k-means ARI": adjusted_rand_score(labels, clusters),
        "k-means NMI": normalized_mutual_info_score(labels, clusters),
        "Leiden ARI": adjusted_rand_score(labels, leiden),
        "silhouette": silhouette_score(points, labels),
        "purity": (labels[near[view]] == labels[:, None]).mean(),
        "donors mixed": mixing(near[view], donors),
        "assays mixed": mixing(near[view], assays),
        "transfer F1": f1_score(labels, named, average="macro"),
        "age gained": age_gain(points),
    }
table = pd.DataFrame(measured).T.rename_axis("view")

# %% mystnb={"figure": {"caption": "Nine measures of each view (age gained in years); within a row, darker is better.", "name": "fig-09-measures"}, "image": {"alt": "Grid of numbers, rows measures, columns views, shaded from light to dark within each row by rank from worst to best."}}
figure, ax = plt.subplots(figsize=(5.6, 5))
sns.heatmap(
    table.rank().T, annot=table.T, fmt=".2f", cmap="Greys", cbar=False,
    vmax=len(table) + 3, linewidths=1, ax=ax, annot_kws={"size": style.POINTS},
)
ax.set(xlabel="")
ax.tick_params(axis="x", rotation=40)
plt.setp(ax.get_xticklabels(), ha="right");

# %% [markdown]
# Which is best? A view that was drawn from the labels has no part in that question. On the simulated atlas those are scVI,
# its UMAP and the t-SNE, which the simulation drew from the planted types; on real data the authors annotated on views
# made with scVI, a head start that no measure removes.

# %%
from_labels = ["X_scVI", "X_umap", "X_tsne"] if muscle.simulated else []
fair = table.drop(index=from_labels, errors="ignore")

# %% tags=["remove-input", "finding"]
note.say(
    "On {cells_measured}, {views_compared} were compared; {views_judged.number} of them are judged, those not drawn from the "
    "labels (left aside: {left_aside}). Purest neighbors: {purest} ({purity}); best mixed donors: {best_mixed} ({mixing}); "
    "labels best carried to other donors: **{best_transfer}** (macro F1 {transfer_f1}).",
    views_judged=(len(fair), "views"),
    left_aside=", ".join(view for view in from_labels if view in views) or "none",
    cells_measured=(sub.n_obs, "cells"),
    views_compared=(len(views), "views"),
    purest=fair["purity"].idxmax(),
    purity=float(fair["purity"].max()),
    best_mixed=fair["donors mixed"].idxmax(),
    mixing=float(fair["donors mixed"].max()),
    best_transfer=fair["transfer F1"].idxmax(),
    transfer_f1=float(fair["transfer F1"].max()),
)
note.save("representations", table.reset_index())

# %% [markdown] tags=["exercise"]
# ### Exercise: Purity by hand (10 minutes)
#
# Write `purity(labels, neighbors)`: `neighbors` holds, for each cell, the row numbers of its neighbors. Return the share
# of all neighbors that carry the cell's own label. Try it on `near["PCA, made here"]`.
#
# <details><summary>Hint</summary>Count the matches over cells and their neighbors, divide by the pairs.</details>

# %% tags=["solution", "hide-cell"]
def purity(labels, neighbors):
    pairs = [(cell, one) for cell, row in enumerate(neighbors) for one in row]
    return sum(labels[cell] == labels[one] for cell, one in pairs) / len(pairs)


print(f"{purity(labels, near['PCA, made here']):.3f}")
check("09.purity", purity)

# %% [markdown]
# ## What no correction does
#
# Read purity against donor mixing: a view without correction can keep people apart as well as types; a corrected one
# should mix people and keep types. Up and to the right is better. Age in the table is the check on both: a view that
# mixes donors so well that age is gone cannot be used to look for it.

# %% mystnb={"figure": {"caption": "Purity of neighbors against mixing of donors within types, one mark a view; open marks were drawn from the labels.", "name": "fig-09-trade"}, "image": {"alt": "Scatter plot with one named mark a view: share of neighbors of the own type against mixing of donors."}}
figure, ax = plt.subplots(figsize=(5.6, 4))
names = []
for name, row in table.iterrows():
    face = "white" if name in from_labels else "black"
    place = row["donors mixed"], row["purity"]
    ax.plot(*place, "o", mfc=face, mec="black")
    names.append(ax.text(*place, name))
ax.margins(0.25)
ax.set(xlabel="donors mixed (1: as in the type)", ylabel="purity")
adjust_text(names, ax=ax, expand=(1.3, 1.8));

# %% tags=["remove-input", "finding"]
note.say(
    (
        "Donor mixing of scVI: {mixing_scvi}, of the uncorrected PCA: {mixing_pca}. Mixing of the assays: "
        "{assay_mixing_scvi} against {assay_mixing_pca}. "
        if table.index.isin(["X_scVI", "X_pca"]).any()
        else "This source brings neither scVI nor a PCA, so that there is no correction to judge. "
    )
    + ("Of the simulated scVI this was built in, and says nothing about the method." if muscle.simulated else ""),
    mixing_scvi=table["donors mixed"].get("X_scVI"),
    mixing_pca=table["donors mixed"].get("X_pca"),
    assay_mixing_scvi=table["assays mixed"].get("X_scVI"),
    assay_mixing_pca=table["assays mixed"].get("X_pca"),
)

# %% [markdown] tags=["exercise"]
# ### Exercise: How mixed is mixed? (10 minutes)
#
# Write `entropy_of(groups)`: the Shannon entropy, in natural units, of the list of group names. Which list of four names
# has the largest? Try it on the donors of one cell's neighbors, `list(donors[near["X_pca"][0]])`.
#
# <details><summary>Hint</summary>Minus the sum, over groups, of share times logarithm of share.</details>

# %% tags=["solution", "hide-cell"]
def entropy_of(groups):
    shares = [groups.count(name) / len(groups) for name in set(groups)]
    return -sum(share * np.log(share) for share in shares)


print(f"{entropy_of(list(donors[near['PCA, made here'][0]])):.2f}")
check("09.entropy", entropy_of)

# %% [markdown]
# ## Networks, donor by donor
#
# The public card plans gene networks inferred by a foundation model. Until then, a light stand-in: correlation of the
# most variable genes over the cells of one type, *one network a donor*. Only so can be asked whether an edge differs
# between young and old people, and whether it is there in most of them.
#
# The null deals the age bins anew to the donors, among donors of one sex and chemistry where that leaves enough ways, else
# of one sex, else among all; the difference is taken between the same donors. Without this, an edge of men would pass for
# an edge of youth where all young donors are men.

# %%
chosen = (adata.obs["annotation_level0"] == cell_type) & (
    adata.obs["batch"] == assay
)
people = adata.obs[chosen].groupby("DonorID", observed=True).agg(
    cells=("Sex", "size"), bin=("Age_bin", "first"), Sex=("Sex", "first")
)
people = people[(people["cells"] >= 25) & people["bin"].isin(["young", "old"])]
kits = dict(muscle.donors.select("DonorID", "chemistry").iter_rows())
people["chemistry"] = people.index.map(kits)
old = (people["bin"] == "old").to_numpy()
enough = 2 <= old.sum() <= len(old) - 2

# %%
if enough:
    part = adata[chosen]
    seen = np.asarray((part.X > 0).mean(axis=0)).ravel() >= 0.1
    values = part[:, seen].to_df()
    values = values[values.var().nlargest(60).index.sort_values()]
    first, second = np.triu_indices(values.shape[1], 1)
    who = part.obs["DonorID"]
    networks = [values[who == one].corr().fillna(0) for one in people.index]
    edges_of = np.stack(networks)[:, first, second]
    z = np.arctanh(edges_of.clip(-0.999, 0.999))

# %%
if enough:
    deals = permute.deal(
        old.astype(float), strata=people[["Sex", "chemistry"]],
        draws=n_permutations, seed=seed,
    )
    difference, _, _, p = permute.fit_slopes(deals, z, steps=0)
    edges = pl.DataFrame(
        {
            "gene": values.columns[first],
            "partner": values.columns[second],
            "young": np.tanh(z[~old].mean(axis=0)),
            "old": np.tanh(z[old].mean(axis=0)),
            "difference": difference,
            "p": p,
            "same_sign": (np.sign(z) == np.sign(z.mean(axis=0))).mean(axis=0),
        }
    ).sort(pl.col("difference").abs(), descending=True)

# %% mystnb={"figure": {"caption": "Mean correlation of gene pairs over old donors against young donors; the five pairs of largest difference are black and named.", "name": "fig-09-edges"}, "image": {"alt": "Scatter plot of correlations, old against young, around the diagonal; the pairs farthest from it are black and named."}}
if enough:
    figure, ax = plt.subplots(figsize=(5.6, 4.6))
    ax.plot(edges["young"], edges["old"], ".", color="0.75")
    ax.axline((0, 0), slope=1, linestyle=":", color="0.5")
    top = edges.head(5)
    ax.plot(top["young"], top["old"], "o", color="black")
    pairs = []
    for row in top.iter_rows(named=True):
        name = f"{row['gene']}–{row['partner']}"
        pairs.append(ax.text(row["young"], row["old"], name))
    ax.margins(0.15)
    ax.set(xlabel="correlation, young donors", ylabel="old donors")
    adjust_text(pairs, ax=ax, expand=(1.3, 1.8))

# %% tags=["remove-input", "finding"]
note.say(
    "{network_type}: "
    + (
        "networks of {network_donors}, {network_edges} each. Pairs whose sign is the same in nearly all donors: "
        "{network_stable:.0%}. Pairs with a permutation p below 0.05, none of them adjusted for how many there are: "
        "{network_small_p:.1%}. " + deals.sentence()
        if enough
        else "{network_donors:donor|donors} with enough cells and a known age bin, too few to compare networks."
    ),
    network_type=f"{cell_type} of {assay}", network_donors=(len(people), "donors"),
    network_edges=(edges.height if enough else 0, "gene pairs"),
    network_stable=float((edges["same_sign"] >= 0.9).mean()) if enough else None,
    network_small_p=float((edges["p"] < 0.05).mean()) if enough else None,
)
if enough:
    note.save("network_edges", edges)

# %% [markdown]
# A network that another program wrote is read through `grn` and compared by the edges it shares with this one.

# %%
given, strongest = set(), set()
if enough:
    pairs = edges.head(200).select("gene", "partner").rows()
    strongest = {frozenset(pair) for pair in pairs}
if grn:
    other = ad.read_h5ad(grn)
    weights = sp.coo_matrix(other.varp["GRN"])
    most = np.argsort(-np.abs(weights.data))[:5000]
    genes = other.var_names.to_numpy()
    row, column = genes[weights.row[most]], genes[weights.col[most]]
    pairs = zip(row, column, strict=True)
    given = {frozenset(pair) for pair in pairs if len(set(pair)) == 2}

# %% tags=["remove-input", "finding"]
note.say(
    "The network given holds {grn_edges}; {grn_shared.number} of them are among the strongest differences here."
    if grn
    else "No network was given, so there is nothing to compare.",
    grn_edges=(len(given), "edges"),
    grn_shared=(len(given & strongest), "edges"),
)

# %% [markdown] tags=["exercise"]
# ### Exercise: Edges in common (10 minutes)
#
# Write `jaccard(first, second)` for two lists of gene pairs. A pair is undirected: `("A", "B")` is `("B", "A")`.
#
# <details><summary>Hint</summary>Turn each pair into a <code>frozenset</code>, each list into a set.</details>

# %% tags=["solution", "hide-cell"]
def jaccard(first, second):
    one, two = ({frozenset(x) for x in pairs} for pairs in (first, second))
    return len(one & two) / len(one | two) if one | two else 0.0


tried = jaccard([("A", "B"), ("C", "D")], [("B", "A"), ("E", "F")])
print(f"{tried:.2f}")
check("09.jaccard", jaccard)

# %% [markdown]
# ## Scored against the plant
#
# On the simulated atlas the deposited scVI view was drawn from the planted labels, with next to nothing of donor and
# assay in it, PCA from the matrix with both. A measure of mixing that does not tell the two apart would be no measure.

# %% tags=["remove-input", "finding"]
both = {"X_scVI", "X_pca"} <= set(table.index) and muscle.simulated
scvi, pca = (table["donors mixed"].get(view) for view in ("X_scVI", "X_pca"))
note.say(
    "Donor mixing ranks the corrected view above the uncorrected one: **{mixing_tells_corrected}**."
    if both
    else "Nothing was planted in these data.",
    mixing_tells_corrected=bool(scvi > pca) if both else None,
)

# %% [markdown]
# ## What the study reported
#
# The authors integrated with scVI and annotated compartment by compartment on views made the same way, so the labels
# themselves owe something to scVI: agreement with labels may flatter it. The PCA and the t-SNE are not theirs.

# %% [markdown]
# ## Limits
#
# - The study's labels were made on views like one of those compared, a head start that no measure removes.
# - Two-dimensional maps lose by construction; they are for looking.
# - Mixing is measured within types. A donor that truly differs should not mix, and no measure knows which donors do.
# - Correlations over the cells of a donor mix states of the type; an edge is not a regulation.
# - Embeddings of scPRINT-2 cannot be computed without its weights; [its chapter](06_scprint_atlas) shows how to prepare
#   the input and read the result.

# %% [markdown]
# ## On your own file
#
# Purity and mixing of any view of any `.h5ad` with types and donors. It runs as it stands, on a file written from this
# page's atlas.

# %%
path, kind, donor = f"{note.folder}/own.h5ad", level, "DonorID"
small = adata[rows[:500], adata.var["highly_variable"]]
small = ad.AnnData(small.X, small.obs[[kind, donor]], small.var[[]])
small.write_h5ad(path)

yours = sc.read_h5ad(path)
sc.pp.pca(yours)
sc.pp.neighbors(yours, n_neighbors=16, method="gauss")
closest = yours.obsp["distances"].indices.reshape(yours.n_obs, -1)
types, donor_of = (yours.obs[one].to_numpy(str) for one in (kind, donor))
own_type = (types[closest] == types[:, None]).mean(axis=1)
own_donor = (donor_of[closest] == donor_of[:, None]).mean(axis=1)
shares = pd.DataFrame({"own type": own_type, "own donor": own_donor})
print(shares.groupby(types).mean().round(2).head())

# %% [markdown]
# ## In short

# %% tags=["remove-input", "finding"]
note.say(
    "Of the views that were not drawn from the labels, labels travel best to other donors on {best_transfer} (macro F1 "
    "{transfer_f1}), and donors mix best on {best_mixed} ({mixing})."
    + (
        " Without correction, neighbors of a cell come from its own donor more than from others: donor mixing of the "
        "deposited PCA is {mixing_pca}."
        if "X_pca" in table.index
        else ""
    )
)

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Choose by opening an answer.
#
# **A view mixes donors perfectly. Is it the best view for aging?**
#
# <details><summary>Yes: nothing of the donors is left</summary>Not yet: age differs between donors and may be gone too.</details>
# <details><summary>It depends on the question</summary>Right: look at what is left of age before choosing.</details>

# %% tags=["remove-input"]
note.provenance(muscle.describe())
