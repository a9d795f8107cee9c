# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["header"]
# # Signatures of aging
#
# **Question.** Do the named processes of aging, from stem-cell exhaustion to senescence, show in these donors, or do
# they show only to those who expect them?
#
# **You will** score gene sets in donors' profiles, in cells and by ranks; test each score across age on donors; set it
# beside random sets of like expression and beside ages dealt at random; leave out one gene and one donor; and check what
# the public card promises of CDKN2A and TP53.
#
# **Before you start.** [Genes that change with age](03_age_de), for profiles of donors and their tests.
#
# **Time** 40 minutes to read, 30 for the exercises.
# **Memory** under 2 GiB on the default atlas, under 6 GiB at full size.
#
# **What can go wrong.** A score is an average with a name. Sets of stress genes answer to how tissue was handled, any
# large set can drift with the depth of sequencing, and a name such as *senescence* makes a drift look like a finding.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import scanpy as sc
import seaborn as sns
import statsmodels.formula.api as smf
from patsy import dmatrix
from scipy import stats

from helpers import findings, sources, style
from helpers.book.workshop import check
from helpers.facts import signatures
from helpers.stats import expression, permute

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny", "n_random": 200}}
atlas: str = "demo"  # data: demo, tiny, a release folder, or an .h5ad file
cell_type: str = ""  # coarse type looked at closely; empty: MuSC, else the most common that can be tested
assay: str = "cells"  # assay looked at closely {cells, nuclei}
signature: str = ""  # signature drawn donor by donor; empty: the long list of ribosome biogenesis, else the first set
gene_sets: str = ""  # CSV with columns set and gene, one row a gene; empty: the sets of this book
min_cells: int = 10  # cells a donor needs for a profile [1, 1000]
n_random: int = 2000  # random gene sets, and arrangements of age, behind each null [100, 100000]
fdr: float = 0.1  # false-discovery rate of a call [0.001, 0.5]
budget: str = "6 GiB"  # memory that loading may take
seed: int = 1  # of random sets, arrangements and control genes [0, 1000000]
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("07_signatures", globals())

# %% [markdown]
# ## The sets
#
# Each set comes with the direction that is claimed for it and the place it was taken from. Of the book's own sets,
# ribosome biogenesis and dissociation stress are lists of the study's authors. The others were put together for this book
# from genes that the field names for each process; there is no agreed list of any of them, which is the first thing to
# know about signatures. Ribosome biogenesis comes twice: the *short list* holds the genes of the authors' figure, the
# *long list* every gene of the process in their notebooks. They need not agree: the figure shows genes that were picked
# because they fall, the long list takes all of the process, fallen or not. They stand side by side below.
#
# Sets of your own come in through `gene_sets`: a CSV with a column `set` (or `signature`), the name, and a column
# `gene`, the symbol, one row a gene. [`read_sets`](../book/api) reads and checks it.

# %%
sets = signatures.read_sets(gene_sets)
signature = signatures.choose_set(sets, signature)
muscle = sources.open_atlas(atlas)
adata = muscle.to_anndata(budget=budget)
cell_type = expression.choose_type(
    adata.obs, muscle.donors, cell_type, assay=assay, min_cells=min_cells
)

# %% tags=["remove-input", "finding"]
common = adata.obs.loc[adata.obs["batch"] == assay, "annotation_level0"].value_counts().index[:6]
note.say(
    "This page shows **{data_kind}** data and looks closely at {type_shown}. The most common labels of this assay are "
    "{types_there}. Missing from this source: {missing}.",
    data_kind="simulated" if muscle.simulated else "real",
    type_shown=f"{cell_type} in {assay}",
    types_there=", ".join(common.astype(str)),
    missing=", ".join(muscle.missing) or "nothing",
)
about = signatures.signatures().group_by("signature").agg(pl.col("expected", "source").first())
described = pl.DataFrame({"signature": list(sets), "genes": [len(genes) for genes in sets.values()]}).join(
    about, on="signature", how="left", maintain_order="left"
)
note.table(
    described,
    "Signatures, the direction claimed with age, and their source.",
    name="signatures",
    columns={"signature": "signature", "genes": "genes", "claimed": "expected", "source": "source"},
)

# %% [markdown] tags=["exercise"]
# ### Exercise: Which lists overlap? (10 minutes)
#
# Two signatures that share genes cannot disagree. From the table `signatures.signatures()`, give the set of genes that
# are in both *senescence* and *inflammaging*.
#
# <details><summary>Hint</summary>
#
# Filter the table twice and intersect the two sets of genes.
#
# </details>

# %% tags=["solution", "hide-cell"]
table = signatures.signatures()
senescence = table.filter(pl.col("signature") == "senescence")["gene"]
inflammaging = table.filter(pl.col("signature") == "inflammaging")["gene"]
print(sorted(set(senescence) & set(inflammaging)))
check("07.overlap", set(senescence) & set(inflammaging))

# %% [markdown]
# ## One score a donor
#
# Molecules are summed over the cells of each donor, as in [chapter 3](03_age_de): [`sum_profiles`](../book/api) is
# `sc.get.aggregate` with the donors' table beside it. The profiles are divided by the same effective library sizes that
# the test of genes uses, found once by one function. It matters: by plain totals the genes of a type seem to drift with
# age all together, because a few abundant ones take up room.

# %%
mine = (adata.obs["annotation_level0"] == cell_type) & (
    adata.obs["batch"] == assay
)
cells = adata[mine].copy()
profiles = expression.sum_profiles(cells, muscle.donors, min_cells=min_cells)
donors = expression.choose_donors(profiles.obs)
counts = profiles.to_df("sum").T[donors["DonorID"]]

# %% [markdown]
# A score is the mean log expression of the set's genes, each gene centered over the donors. It is in log2 units: a slope
# of a tenth per decade means seven percent more of the set every ten years. Sets of fewer than three genes that are seen
# have no score.

# %%
def score_sets(counts):
    """Log values, genes of each set that are seen, and its scores."""
    sizes = expression.find_sizes(expression.find_expressed(counts))
    logs = expression.to_log2_cpm(counts[counts.mean(axis=1) >= 5], sizes)
    centered = logs.sub(logs.mean(axis=1), axis=0)
    held = {name: logs.index.intersection(sets[name]) for name in sets}
    held = {name: genes for name, genes in held.items() if len(genes) >= 3}
    means = {name: centered.loc[genes].mean() for name, genes in held.items()}
    return logs, held, pd.DataFrame(means)


logs, present, scores = score_sets(counts)

# %% [markdown]
# Then a straight line on age is fitted over donors, with sex and chemistry in the formula where the donors allow it.
# `statsmodels` writes the interval.

# %%
def fit_scores(scores, donors):
    """Fit each score (donors x sets) on age, one row a set."""
    formula = f"score ~ {expression.write_formula(donors)}"
    rows = []
    for name in scores:
        data = donors.assign(score=scores[name].to_numpy(float))
        line = smf.ols(formula, data).fit()
        low, high = line.conf_int().loc["coded_age"]
        slope, p = line.params["coded_age"], line.pvalues["coded_age"]
        rows.append((name, slope, low, high, p))
    numbers = dict.fromkeys(["change", "low", "high", "p"], pl.Float64)
    return pl.DataFrame(rows, {"set": pl.String} | numbers, orient="row")


slopes = fit_scores(scores, donors)

# %% [markdown]
# ### Beside random sets, and beside ages dealt at random
#
# An interval that leaves zero is not yet a finding. Two nulls stand beside each slope.
#
# *Random sets.* For each gene another of the same tenth of expression is drawn, many times. A least-squares slope is
# linear in what is fitted, so that the slope of a score is the mean of its genes' slopes, and all random sets come from
# one matrix product. This null knows nothing of how the genes of a set move together, which makes it too narrow.

# %%
formula = expression.write_formula(donors)
design = dmatrix(formula, donors, return_type="dataframe")
age = design.columns.get_loc("coded_age")
gene_slopes = np.linalg.pinv(design.to_numpy())[age] @ logs.T.to_numpy()
tenth = logs.mean(axis=1).rank(method="first").sub(1) * 10 // len(logs)
alike = {number: np.flatnonzero(tenth == number) for number in range(10)}
random_slopes = {}
for name, genes in present.items():
    generator = np.random.default_rng(seed)
    drawn = [generator.choice(alike[tenth[gene]], n_random) for gene in genes]
    random_slopes[name] = gene_slopes[np.column_stack(drawn)].mean(axis=1)

# %% [markdown]
# *Dealt ages.* The set stays as it is, and the ages are handed to other donors, among donors alike in sex and, where that
# leaves enough ways, in chemistry. This null keeps all that genes do together, and is the wider one for a set whose genes
# follow the same few causes. And the signature looked at closely is fitted again without each donor.

# %%
dealt = permute.deal(
    donors["coded_age"], strata=donors[["Sex", "chemistry"]], draws=n_random,
    seed=seed,
)
dealt_slopes = np.array(
    [
        np.linalg.pinv(design.assign(coded_age=ages).to_numpy())[age]
        @ scores.to_numpy()
        for ages in dealt.values
    ]
)
as_far = np.abs(dealt_slopes) >= np.abs(dealt_slopes[0]) - 1e-9

# %%
beside = []
for number, (name, null) in enumerate(random_slopes.items()):
    away = np.abs(null - np.median(null))
    farther = away >= abs(dealt_slopes[0, number] - np.median(null)) - 1e-12
    low, high = np.quantile(null, [0.025, 0.975])
    p_random = (1 + farther.sum()) / (1 + n_random)
    p_dealt = as_far[:, number].mean()
    beside.append((name, len(present[name]), low, high, p_random, p_dealt))
names = ["set", "genes", "random_low", "random_high", "p_random", "p_dealt"]
beside = pl.DataFrame(beside, names, orient="row")
slopes = slopes.join(beside, on="set").sort("change")

# %% mystnb={"figure": {"caption": "Change of each signature per decade with its 95 % interval over donors. Gray bars: the middle 95 % of random sets of like size and expression.", "name": "fig-07-slopes"}, "image": {"alt": "Dot chart, one row a signature: the slope per decade with its interval over donors, zero as a line, and gray bars for what random gene sets do."}}
figure, axis = plt.subplots(figsize=(5.6, 1 + 0.3 * slopes.height))
width = slopes["random_high"] - slopes["random_low"]
axis.barh(slopes["set"], width, left=slopes["random_low"], color="0.85")
axis.hlines(slopes["set"], slopes["low"], slopes["high"], color="black")
axis.plot(slopes["change"], slopes["set"], "D", color="black")
axis.axvline(0, color="0.5", linestyle=":")
axis.set_xlabel("change per decade, log2");

# %%
without_one = []
for left_out in donors["DonorID"]:
    others = donors[donors["DonorID"] != left_out]
    if signature in scores and others["coded_age"].nunique() > 1:
        kept = scores.loc[others["DonorID"], [signature]]
        without_one += fit_scores(kept, others)["change"].to_list()

# %% tags=["remove-input", "finding"]
rows = {row["set"]: row for row in slopes.iter_rows(named=True)}
twin = signatures.SHORT if signature != signatures.SHORT else signatures.LONG
one, other = rows.get(signature, {}), {} if gene_sets else rows.get(twin, {})
slope, other_slope = (
    (row["change"], "log2 per decade", (row["low"], row["high"])) if row else (None, "log2 per decade")
    for row in (one, other)
)
note.say(
    "**{signature_shown}** in {type_shown}: {slope}, p {slope_p}; against random sets p {slope_random_p}, against dealt "
    "ages p {slope_dealt_p}. Leaving out one donor moves the slope between {slope_lowest} and {slope_highest}."
    + (" Beside it {other_signature}: {other_slope}, against dealt ages p {other_dealt_p}." if other else "")
    if one
    else "Fewer than three genes of {signature_shown} are expressed in {type_shown}: it has no score there.",
    signature_shown=signature,
    slope=slope,
    slope_p=one.get("p"),
    slope_random_p=one.get("p_random"),
    slope_dealt_p=one.get("p_dealt"),
    slope_lowest=min(without_one, default=None),
    slope_highest=max(without_one, default=None),
    other_signature=other.get("set"),
    other_slope=other_slope,
    other_dealt_p=other.get("p_dealt"),
)
plain = expression.to_log2_cpm(counts.loc[logs.index], counts.sum().to_numpy())
plain_slopes = np.linalg.pinv(design.to_numpy())[age] @ plain.T.to_numpy()
note.say(
    dealt.sentence() + " The middle gene of all that are seen changes by {gene_drift.number} per decade; divided by plain "
    "totals of molecules it would be {plain_drift.number}, a drift of everything that each set would inherit.",
    gene_drift=(float(np.median(gene_slopes)), "log2 per decade"),
    plain_drift=(float(np.median(plain_slopes)), "log2 per decade"),
)

# %% tags=["remove-input"]
note.table(
    slopes,
    "Change per decade of each signature (log2), and how often random sets and dealt ages do as much.",
    name="random_sets",
    columns={
        "signature": "set",
        "genes": "genes",
        "change": ("change", "low", "high"),
        "p": "p",
        "p, random sets": "p_random",
        "p, dealt ages": "p_dealt",
    },
)

# %% mystnb={"figure": {"caption": "The score of the chosen signature in each donor against age.", "name": "fig-07-donors"}, "image": {"alt": "Scatter plot of one score a donor against age in years, color and shape of the mark by sex."}}
if signature in scores:
    plt.figure(figsize=(5.6, 2.6))
    axis = sns.scatterplot(
        x=donors["age"].to_numpy(), y=scores[signature].to_numpy(),
        hue=donors["Sex"].to_numpy(), style=donors["Sex"].to_numpy(), s=60,
    )
    axis.set(xlabel="years", ylabel="score, log2", title=signature)

# %% [markdown] tags=["exercise"]
# ### Exercise: A p-value that is never zero (10 minutes)
#
# Write `empirical_p(observed, null)`: the two-sided empirical p of `observed` among the values of `null`, which lie around
# zero. The observed value counts as one of the draws. Try it on a slope and its random sets.
#
# <details><summary>Hint</summary>
#
# Count the draws at least as far from zero, add one above and below the line.
#
# </details>

# %% tags=["solution", "hide-cell"]
def empirical_p(observed, null):
    extreme = (np.abs(null) >= abs(observed)).sum()
    return (1 + extreme) / (1 + len(null))


print(empirical_p(2.5, np.linspace(-3, 3, 199)))
check("07.empirical", empirical_p)

# %% [markdown]
# ## Three ways to score, one answer?
#
# A cell can be scored by the mean of the set less the mean of control genes (`sc.tl.score_genes`), or by where the set's
# genes stand in the cell's own ranking ({term}`AUCell` {cite:p}`aibar2017`, in `decoupler`), which no scaling can move.

# %%
import decoupler as dc
import numba

numba.set_num_threads(1)  # a dozen sets a cell: sharing them costs more
scored_cells = cells[cells.obs["DonorID"].isin(donors["DonorID"])].copy()
sc.pp.filter_genes(scored_cells, min_cells=3)
sc.pp.filter_cells(scored_cells, min_genes=1)
for name, genes in present.items():
    sc.tl.score_genes(scored_cells, genes, score_name=name, random_state=seed)
net = pd.DataFrame(
    [(name, gene) for name, genes in present.items() for gene in genes],
    columns=["source", "target"],
).assign(weight=1.0)
dc.mt.aucell(scored_cells, net, tmin=3, bsize=2000)

# %% [markdown]
# Averaged over the cells of a donor, both give one number a donor, and the same test. Their units differ; compare signs
# and p-values, not slopes. Where three ways disagree, the signature is too weak to speak.

# %%
who = scored_cells.obs["DonorID"].astype(str)
by_means = scored_cells.obs[list(present)].groupby(who).mean()
by_ranks = scored_cells.obsm["score_aucell"].groupby(who).mean()
ways = {
    "profile": scores,
    "score_genes": by_means.loc[donors["DonorID"]],
    "aucell": by_ranks.loc[donors["DonorID"]],
}
three_ways = pl.concat(
    fit_scores(table, donors).with_columns(way=pl.lit(way))
    for way, table in ways.items()
)
agreement = (
    three_ways.group_by("set")
    .agg(ways=pl.len(), one_sign=(pl.col("change") > 0).n_unique() == 1)
    .filter(pl.col("ways") == len(ways))
)

# %% tags=["remove-input", "finding"]
note.say(
    "Of {sets_compared:signature|signatures} that were scored in all three ways, {sets_agreeing.number} have one sign in all "
    "three.",
    sets_compared=(agreement.height, "signatures"),
    sets_agreeing=(agreement.filter("one_sign").height, "signatures"),
)
note.save("three_ways", three_ways.pivot("way", index="set", values=["change", "p"]).join(agreement, on="set"))

# %% [markdown] tags=["exercise"]
# ### Exercise: A score by hand (10 minutes)
#
# Write `score(table, genes)`: `table` maps a gene to a list of log values, one a donor. Return one score a donor: the
# mean over `genes` of the values, each gene first centered on its own mean.
#
# <details><summary>Hint</summary>
#
# `pd.DataFrame(table)` has a column a gene: choose columns, subtract their means, then average over `axis=1`.
#
# </details>

# %% tags=["solution", "hide-cell"]
def score(table, genes):
    values = pd.DataFrame(table)[list(genes)]
    return (values - values.mean()).mean(axis=1).tolist()


tried = score({"A": [1, 2, 3], "B": [0, 4, 2]}, ["A", "B"])
print([round(value, 2) for value in tried])
check("07.score", score)

# %% [markdown]
# ## Every type, every signature
#
# The same for each type and assay with enough donors. [`find_testable`](../book/api) sums them one at a time. The
# false-discovery rate is over all tests of this section.

# %%
everywhere = []
for kind, there, people, table in expression.find_testable(
    adata, muscle.donors, min_cells=min_cells
):
    if people is None:
        continue
    _, own, by_set = score_sets(table)
    found = fit_scores(by_set, people)
    genes = pl.Series([list(own[name]) for name in found["set"]])
    where = [pl.lit(kind).alias("type"), pl.lit(there).alias("assay")]
    everywhere.append(found.select(*where, pl.all(), genes=genes))
everywhere = pl.concat(everywhere)
q = stats.false_discovery_control(everywhere["p"].to_numpy())
everywhere = everywhere.with_columns(q=pl.Series(q)).sort("p", "set", "type")

# %% mystnb={"figure": {"caption": "Change per decade of each signature in each type and assay (log2). A star where the false-discovery rate is met.", "name": "fig-07-everywhere"}, "image": {"alt": "Heatmap, rows signatures, columns cell types by assay: purple for falling, orange for rising; stars for calls."}}
squares = everywhere.with_columns(
    row=pl.col("type") + ", " + pl.col("assay"),
    mark=pl.when(pl.col("q") < fdr).then(pl.lit("*")).otherwise(pl.lit("")),
).to_pandas()
figure, axis = plt.subplots(figsize=(5.6, 3.9))
sns.heatmap(
    squares.pivot(index="set", columns="row", values="change"),
    annot=squares.pivot(index="set", columns="row", values="mark"), fmt="",
    cmap=style.DIVERGING, center=0, ax=axis,
    cbar_kws={"label": "change per decade, log2"},
)
axis.set(xlabel="", ylabel="");

# %% tags=["remove-input", "finding"]
mine_here = (pl.col("set") == signature) & (pl.col("type") == cell_type) & (pl.col("assay") == assay)
called = everywhere.filter(pl.col("q") < fdr).height
note.say(
    "Over types, assays and signatures {tests_made:test was|tests were} made, and **"
    + ("{tests_called:test reaches|tests reach}" if called else "none of them reaches")
    + "** the false-discovery rate; the signature drawn above has q {slope_q}.",
    tests_made=(everywhere.height, "tests"),
    tests_called=(called, "tests"),
    slope_q=next(iter(everywhere.filter(mine_here)["q"]), None),
)
note.save("slopes", everywhere.with_columns(genes=pl.col("genes").list.len()))

# %% [markdown]
# ## Does one gene carry it?
#
# The slope of a score is the mean of its genes' slopes, so that leaving a gene out takes no new fit.

# %%
slope_of = pd.Series(gene_slopes, logs.index)
carried = []
for name, genes in present.items():
    own = slope_of[genes]
    if len(own) > 3:
        without = (own.sum() - own) / (len(own) - 1)
        gene = without.abs().idxmin()
        carried.append((name, own.mean(), without.min(), without.max(), gene))
names = ["set", "change", "lowest", "highest", "gene"]
carried = pl.DataFrame(carried, names, orient="row")
turned = carried.filter(pl.col("lowest") * pl.col("highest") < 0)

# %% tags=["remove-input", "finding"]
note.say(
    "The sign of the slope hangs on a single gene in {sets_carried:signature|signatures}.",
    sets_carried=(turned.height, "signatures"),
)
note.save("without_one_gene", carried)

# %% [markdown]
# ## The card's promise
#
# The public card expects models to recover aging genes, and names CDKN2A and TP53. Here they are, gene by gene, in the
# chosen type: how many cells show them at all, and how that share changes with age over donors.

# %%
promised = adata.var_names.intersection(signatures.CARD_GENES)
shown = sc.get.obs_df(cells, ["DonorID", *promised])
shares = (
    shown.set_index("DonorID").gt(0).groupby(level=0, observed=True).mean()
)
shares = shares.loc[donors["DonorID"]]
kept = fit_scores(shares, donors).with_columns(
    median_share=pl.Series(shares.median().to_numpy(), dtype=pl.Float64)
)

# %% tags=["remove-input", "finding"]
rising = kept.filter((pl.col("change") > 0) & (pl.col("p") < 0.05))
note.say(
    "{promised_tested:promised gene was|promised genes were} tested, and **{promised_rising:gene rises|genes rise}** with age "
    "at p below 0.05. The median donor shows such a gene in {promised_share:.1%} of the cells."
    if kept.height
    else "This source has none of the promised genes.",
    promised_tested=(kept.height, "genes"),
    promised_rising=(rising.height, "genes"),
    promised_share=float(np.median(shares)) if shares.size else None,
)
note.save("promised_genes", kept)

# %% [markdown]
# ## Scored against the plant
#
# On a simulated atlas each slope can be set beside what was planted in its genes. In stem cells the short list of
# ribosome biogenesis was planted to fall and CCL2 to rise; in the long list most genes have no plant, so that the planted
# slope of that set is small. Most other sets hold genes with planted effects only by chance. On real data this part stays
# empty.

# %%
truth = muscle.truth("age_expression")
if truth is not None:
    planted = truth.filter(pl.col("annotation_level2").is_null()).select(
        pl.col("annotation_level0").alias("type"), "assay",
        pl.col("gene").alias("genes"), "log2_change_per_decade",
    )
    keys = ["set", "type", "assay"]
    in_sets = (
        everywhere.explode("genes")
        .join(planted, on=["type", "assay", "genes"], how="left")
        .group_by(keys)
        .agg(planted=pl.col("log2_change_per_decade").fill_null(0).mean())
    )
    scored = everywhere.join(in_sets, on=keys).with_columns(
        covered=pl.col("planted").is_between(pl.col("low"), pl.col("high"))
    )

# %% tags=["remove-input", "finding"]
plant_here = scored.filter(mine_here)["planted"] if truth is not None else []
note.say(
    "Planted in {signature_shown}, {type_shown}: {planted_slope}. Of all intervals {coverage:.1%} hold the planted slope."
    if truth is not None
    else "Nothing is planted in these data.",
    planted_slope=(next(iter(plant_here), None), "log2 per decade"),
    coverage=scored["covered"].mean() if truth is not None else None,
)
if truth is not None:
    note.save("scored", scored.sort("planted").drop("genes"))

# %% [markdown]
# ## What the study reported
#
# The authors report a lower ribosome-biogenesis score in stem cells of older donors, by a rank-sum test over donors, and
# more CCL2 in stem cells and several other types. They strip the dissociation genes before they test pathways. No source
# of the study that we could read shows CDKN2A or TP53 rising.

# %% [markdown]
# ## Limits
#
# - A set's score says that its genes moved together on average, not that the process it is named after did.
# - Senescent cells are rare and their marker is hardly ever caught; an absent signal is weak evidence of absence.
# - Nuclei and cells catch different molecules. A score is compared over donors of one assay, never between assays.
# - With so few donors, only large and consistent shifts can be seen; the intervals say how large.
# - The donors lay between two and ten days in hospital before they gave tissue. A score that follows the days, or the
#   stress of handling, looks like one that follows age, and so few donors cannot tell them apart.

# %% [markdown]
# ## On your own file
#
# Score any AnnData of log-normalized values with `sc.tl.score_genes`, average over donors, fit over donors. Put
# `sc.read_h5ad` of your file in the first line, one cell type at a time.

# %%
own = cells  # sc.read_h5ad("mine.h5ad"), log-normalized, one cell type
own = own[own.obs["age_numeric"].notna()].copy()
sc.tl.score_genes(own, own.var_names.intersection(sets[signature]))
by_donor = own.obs.groupby("DonorID", observed=True).agg(
    score=("score", "mean"), cells=("score", "size"),
    years=("age_numeric", "first"), sex=("Sex", "first"),
)
by_donor = by_donor[by_donor["cells"] >= 10]
both_sexes = " + sex" if by_donor["sex"].nunique() > 1 else ""
answer = smf.ols(f"score ~ years{both_sexes}", by_donor).fit()
pd.DataFrame({"change": answer.params, "p": answer.pvalues})

# %% [markdown]
# ## In short

# %% tags=["remove-input", "finding"]
beside_it = ", and {other_signature} by {other_slope}: the name is the same, the genes are not" if other else ""
note.say(
    "In {type_shown} {signature_shown} changes by {slope}"
    + beside_it
    + ". Of {tests_made:test|tests} of a signature in a type {tests_called.number} reached the false-discovery rate. "
    "The card's promise of rising genes is met by {promised_rising:gene|genes}."
)

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# **A score of senescence rises with age. Which question comes first?**
#
# <details><summary>How small is p?</summary>Not yet.</details>
# <details><summary>Does it rise without its strongest gene, and with another way to score?</summary>Right: a signature that hangs on one gene is that gene.</details>

# %% tags=["remove-input"]
note.provenance(muscle.describe())
