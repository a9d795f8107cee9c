# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["header"]
# # Fiber switching
#
# **Question.** Does the share of type I fibers rise with age, and do fibers change what they make?
#
# **You will** compute the fiber ratio that the dataset card suggests and watch it move with the way it is averaged; fit
# it donor by donor in three ways; leave out each donor in turn; score nuclei from fast to slow by their genes; and add
# up myosin molecules.
#
# **Before you start.** [Loading the atlas](01_loading) and [quality control](02_quality).
#
# **Time** 40 minutes to read, 30 for the exercises.
# **Memory** under 2 GiB on the default atlas, under 6 GiB at full size.
#
# **What can go wrong.** Nuclei of one donor are not replicates. A share of nuclei is not a share of fibers: a longer
# fiber has more nuclei. Labels that end in `(fg)` are fragments of fibers, not nuclei.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import scanpy as sc
import seaborn as sns
import statsmodels.api as sm
import statsmodels.formula.api as smf

from helpers import findings, parameters, sources, style
from helpers.book.workshop import check
from helpers.facts import study
from helpers.stats import composition, permute

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny", "n_permutations": 499}}
atlas: str = "demo"  # data: demo, tiny, a release folder, or an .h5ad file
slow: str = "MF-I"  # label of the slow nuclei (annotation_level0)
fast: str = "MF-II"  # label of the fast nuclei (annotation_level0)
age_as: str = "exact"  # age: exact years, middle of the age group, or young against old {exact, midpoint, bin}
min_cells: int = 5  # nuclei of a label that a donor needs for a mean score [1, 1000]
n_permutations: int = 9999  # ways to deal the ages that are looked at, where there are more [100, 200000]
seed: int = 4  # of everything drawn at random [0, 4294967295]
budget: str = "4 GiB"  # memory that loading nuclei may take
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("04_fibers", globals())

# %% [markdown]
# [`open_atlas`](../book/api) opens any source; `muscle.obs` has a row a barcode, `muscle.donors` a row a donor.

# %%
muscle = sources.open_atlas(atlas)
donors = muscle.donors
if age_as == "midpoint":
    donors = donors.with_columns(age=pl.col("age_numeric"))
is_nucleus = pl.col("batch").fill_null("nuclei") == "nuclei"
nuclei = muscle.obs.filter(is_nucleus)

# %% tags=["remove-input", "finding"]
for name, label in (("slow", slow), ("fast", fast)):
    parameters.require_known(name, label, nuclei["annotation_level0"].drop_nulls().unique())
note.say(
    "This page shows **{data_kind}** data: {nuclei:nucleus|nuclei} of {donors:donor|donors} of known age.",
    data_kind="simulated" if muscle.simulated else "real", nuclei=nuclei.height,
    donors=nuclei.join(donors.drop_nulls("age"), on="DonorID", how="semi")["DonorID"].n_unique(),
)

# %% [markdown]
# ## The ratio that the card suggests
#
# The card divides type I nuclei by type I and type II nuclei, pools all nuclei of an age group, and averages three young
# and two old groups. Each group then counts once, whether it holds one donor or three, and within a group the donor with
# most nuclei decides.
#
# Then the same donor by donor: [`count_by_donor`](../book/api) counts labels, zeros kept. Odds are compared as
# logarithms; a `step` is a decade of age, or old against young if so chosen.

# %%
label = pl.col("annotation_level0")
myonuclei = nuclei.filter(label.is_in([slow, fast]))
by_group = myonuclei.group_by("Age_group").agg(share=(label == slow).mean())
in_card = {"young": ["15-20", "25-30", "35-40"], "old": ["60-65", "70-75"]}
card = {
    age: by_group.filter(pl.col("Age_group").is_in(groups))["share"].mean()
    for age, groups in in_card.items()
}

counts = composition.count_by_donor(myonuclei, donors)
n, total = pl.col("n"), pl.col("total")
step = pl.col("Age_bin") == "old" if age_as == "bin" else pl.col("age") / 10
one = counts.filter(type=slow).with_columns(
    share=n / total, log2_odds=((n + 0.5) / (total - n + 0.5)).log(2),
    step=step.cast(pl.Float64),
)
share, group = pl.col("share"), pl.col("Age_bin")
ways = one.drop_nulls("Age_bin").group_by("Age_bin").agg(
    pooled=n.sum() / total.sum(), mean=share.mean(), median=share.median()
)
ways = ways.with_columns(card=group.replace_strict(card))
ways = ways.sort("Age_bin", descending=True)  # the young first

# %% mystnb={"figure": {"caption": "Share of type I among type I and II nuclei in every donor; the larger the mark, the more nuclei.", "name": "fig-04-ratio"}, "image": {"alt": "Scatter plot, one mark a donor: share of type I nuclei against age, shape by sex, size by the number of nuclei."}}
points = one.with_columns(pl.col("Sex").fill_null("not stated")).to_pandas()
axis = sns.scatterplot(
    points, x="age", y="share", hue="Sex", style="Sex", size="total",
    sizes=(30, 160),
)
axis.set(xlabel="age (years)", ylabel=f"share of {slow} nuclei", ylim=(0, 1))
sns.move_legend(axis, "center left", bbox_to_anchor=(1, 0.5));

# %% tags=["remove-input", "finding"]
note.table(
    ways, f"The share of {slow} among {slow} and {fast} nuclei, averaged in four ways from the same nuclei.",
    name="ratio_ways", percent=["card", "pooled", "mean", "median"],
    columns={
        "donors": "Age_bin", "age groups, as the card does": "card", "all nuclei pooled": "pooled",
        "mean over donors": "mean", "median over donors": "median",
    },
)
steps = [step for step in ways.select(pl.exclude("Age_bin").diff().last()).row(0) if step is not None]
up = sum(step > 0 for step in steps)
note.say(
    "The card's averages are {card_young:.3f} for the young and {card_old:.3f} for the old. Ways of averaging that rise "
    "with age: {ratio_ways_up.number} of {ratio_ways}."
    + (" The sign hangs on the average." if 0 < up < len(steps) else ""),
    card_young=card["young"], card_old=card["old"], ratio_ways=len(steps), ratio_ways_up=up,
)

# %% [markdown] tags=["exercise"]
# ### Exercise: Two averages of one table (10 minutes)
#
# Write `averages(slow, fast)`: two lists with the nuclei of each donor in, a pair out: the share of slow nuclei when all
# are pooled, and the mean of the donors' shares.
#
# <details><summary>Hint</summary>Pooled: sums first, then divide. Mean over donors: divide first, then
# average.</details>

# %% tags=["solution", "hide-cell"]
def averages(slow, fast):
    slow, fast = np.array(slow), np.array(fast)
    pooled = slow.sum() / (slow.sum() + fast.sum())
    return pooled, (slow / (slow + fast)).mean()


print([round(float(x), 3) for x in averages([80, 30], [20, 30])])
check("04.ways", averages)

# %% [markdown]
# ## Donors as replicates
#
# Three fits of the same points. [`permute.deal`](../book/api) deals the ages anew over donors alike in sex and chemistry,
# as far as that leaves enough ways: how often does chance alone give as steep a line? Least squares gives each donor
# one vote. The binomial model counts nuclei, and widens its errors by as much as donors differ.

# %%
exposure = "Age_bin" if age_as == "bin" else "age"
adjusted = composition.estimable(one, exposure=exposure)
dealt = permute.deal(
    one["step"], strata=one.select(adjusted), draws=n_permutations, seed=seed
)
found = permute.fit_slopes(dealt, one[["log2_odds"]].to_numpy())
rows = [("ages dealt over donors", *(float(value[0]) for value in found))]

terms, table = " + ".join(["step", *adjusted]), one.to_pandas()
line = smf.ols(f"log2_odds ~ {terms}", table).fit()
binomial = smf.glm(
    f"share ~ {terms}", table, family=sm.families.Binomial(),
    var_weights=table["total"],
).fit(scale="X2", use_t=True)
for name, fit, unit in (
    ("least squares", line, 1),
    ("binomial", binomial, 1 / np.log(2)),  # natural logarithm to log2
):
    bounds = fit.conf_int().loc["step"] * unit
    change, p = fit.params["step"] * unit, fit.pvalues["step"]
    rows.append((name, change, *bounds, p))

# %% tags=["remove-input", "finding"]
answers = pl.DataFrame(rows, schema=["fit", "change", "low", "high", "p"], orient="row")
_, slope, low, high, p = rows[0]
bounded = bool(np.isfinite([low, high]).all())
note.table(
    answers,
    f"Change of the log2 odds of {slow} against {fast} per {'step' if age_as == 'bin' else 'decade'}, with 95 % interval.",
    name="ratio_fits", columns={"fit": "fit", "change": ("change", "low", "high"), "p": "p"},
)
note.say(
    "With ages dealt over donors the slope is {ratio_slope}, p = {ratio_p}. " + dealt.sentence(),
    ratio_slope=(slope, "log2 odds per step of age", (low, high) if bounded else None), ratio_p=p,
)

# %% [markdown]
# **Where the sign turns, and why.** An average of groups moves with the one donor that fills a group, an average of
# nuclei with the donor that gave most. Leave out one donor at a time: if the smallest and the largest slope lie on both
# sides of zero, the direction hangs on one donor.

# %%
without = {}
for donor in one["DonorID"]:
    rest = one.filter(pl.col("DonorID") != donor)
    kept = composition.estimable(rest)
    terms = " + ".join(["log2_odds ~ step", *kept])
    without[donor] = smf.ols(terms, rest.to_pandas()).fit().params["step"]

# %% tags=["remove-input", "finding"]
whole, unit = line.params["step"], "log2 odds per step of age"
least, most = min(without.values()), max(without.values())
note.say(
    "Without one donor the least-squares slope ({ratio_line.number} with all) lies between {ratio_lowest.number} and "
    "{ratio_highest.number}; donor {ratio_donor} moves it most. "
    + ("The direction hangs on one donor." if least < 0 < most else "No single donor turns its direction."),
    ratio_line=(whole, unit), ratio_lowest=(least, unit), ratio_highest=(most, unit),
    ratio_donor=max(without, key=lambda donor: abs(without[donor] - whole)),
)

# %% [markdown]
# ## Fiber type from expression
#
# `sc.tl.score_genes` takes the mean of a set of genes less that of random genes of like expression; slow minus fast is a
# scale. If fibers switch, fast genes should rise within slow nuclei, or slow genes within fast ones.

# %%
hybrid = "Hyb"
of_fibers = is_nucleus & label.is_in([slow, fast, hybrid])
adata = muscle.to_anndata(cells=of_fibers, budget=budget)
seen = adata.var_names[adata.X.getnnz(axis=0) > 0]
gene_sets = study.fiber_genes()
for name, genes in gene_sets.items():
    present = seen.intersection(genes)
    sc.tl.score_genes(adata, present, score_name=name, random_state=seed)
adata.obs["fiber_score"] = adata.obs["slow"] - adata.obs["fast"]

# %% mystnb={"figure": {"caption": "From fast (left) to slow (right): fiber score of nuclei by label and donor, youngest on top. Box: quartiles; whiskers: fifth to ninety-fifth percentile.", "name": "fig-04-scores"}, "image": {"alt": "Boxes of the fiber score, one row a donor ordered by age and one box a label: type I nuclei lie to the right, type II nuclei to the left, hybrids between them."}}
labels = set(adata.obs["annotation_level0"])
plt.figure(figsize=(5.6, 1 + 0.42 * one.height))
axis = sns.boxplot(
    adata.obs, x="fiber_score", y="DonorID", hue="annotation_level0",
    hue_order=[kind for kind in (slow, hybrid, fast) if kind in labels],
    order=one.sort("age")["DonorID"].to_list(), palette="Greys_r",
    showfliers=False, whis=(5, 95),
)
axis.set(xlabel="fiber score (slow minus fast genes)", ylabel="")
axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3);

# %% tags=["remove-input", "finding"]
unseen = [gene for genes in gene_sets.values() for gene in genes if gene not in seen]
note.say("Genes of the sets that are in no nucleus here: {genes_unseen}.", genes_unseen=", ".join(unseen) or "none")
note.save("fiber_gene_sets", study.read("fiber_gene_sets.csv"))

# %% [markdown]
# Every measure becomes **one value a donor** before it meets age: log odds of the two labels, mean scores within labels,
# the share of each myosin among myosin molecules, and shares of hybrid nuclei and of nuclei at the junctions with nerve
# and tendon.

# %%
by = ["annotation_level0", "DonorID"]
scores = sc.get.obs_df(adata, [*by, "slow", "fast", "fiber_score"])
scores = scores.astype(dict.fromkeys(by, str)).groupby(by)
means, sizes = scores.mean().unstack(0), scores.size().unstack(0)
values = table.set_index("DonorID")[["log2_odds"]]
values.columns = ["type I among type I and II"]
for name, column, label in (
    (f"fiber score of {slow} nuclei", "fiber_score", slow),
    (f"fiber score of {fast} nuclei", "fiber_score", fast),
    (f"fast genes in {slow} nuclei", "fast", slow),
    (f"slow genes in {fast} nuclei", "slow", fast),
):
    values[name] = means[column, label].where(sizes[label] >= min_cells)

# %%
myosins = adata[:, adata.var_names.intersection(["MYH7", "MYH2", "MYH1"])]
summed = sc.get.aggregate(myosins, by="DonorID", func="sum", layer="counts")
molecules = summed.to_df(layer="sum")
rest = molecules.rsub(molecules.sum(axis=1), axis=0)  # all less this one
odds = np.log2((molecules + 0.5) / (rest + 0.5))
values = values.join(odds.add_suffix(" among myosins"))
for level, kinds in (
    ("annotation_level0", [hybrid]),
    ("annotation_level1", ["NMJ", "NMJ_accessory", "MTJ"]),
):
    shares = composition.count_by_donor(nuclei, donors, level=level)
    shares = shares.with_columns(log2=((n + 0.5) / (total + 1)).log(2))
    wide = shares.pivot("type", index="DonorID", values="log2").to_pandas()
    wide = wide.set_index("DonorID").filter(kinds)
    values = values.join(wide.add_suffix(" among nuclei"))

# %%
found = []
for measure in values:
    value = pl.Series("value", values[measure].to_numpy(), nan_to_null=True)
    own = one.with_columns(value).drop_nulls("value")
    if own.height < 4 or own["step"].n_unique() < 2:
        continue
    ways = permute.deal(
        own["step"], strata=own.select(composition.estimable(own)),
        draws=n_permutations, seed=seed,
    )
    slopes = permute.fit_slopes(ways, own[["value"]].to_numpy())
    slopes = [float(number[0]) for number in slopes]
    found.append((measure, *slopes, own["value"].std(), own.height))
traced = pl.DataFrame(
    found, orient="row",
    schema=["measure", "change", "low", "high", "p", "spread", "donors"],
)

# %% mystnb={"figure": {"caption": "Change of every measure with age, donors as units: estimate and 95 % interval, in standard deviations between donors.", "name": "fig-04-slopes"}, "image": {"alt": "One row a measure, a mark for the estimated change and a line for its interval, beside a dotted line at zero."}}
scale = traced["spread"]
figure, axis = plt.subplots(figsize=(5.6, 0.9 + 0.27 * traced.height))
low, high = (traced[end] / scale for end in ("low", "high"))
axis.hlines(traced["measure"], low.clip(-9, 9), high.clip(-9, 9), color="0.5")
axis.plot(traced["change"] / scale, traced["measure"], "o")
axis.axvline(0, color="black", linestyle=":")
axis.invert_yaxis()
axis.set(xlabel="standard deviations per step of age", xlim=(-1.5, 1.5));

# %% tags=["remove-input", "finding"]
def finding(measure, unit):
    for change, *ends in traced.filter(measure=measure).select("change", "low", "high").iter_rows():
        return change, unit, tuple(ends) if np.isfinite(ends).all() else None
    return None, unit


note.save("fiber_slopes", traced)
clear = traced.filter((pl.col("low") > 0) | (pl.col("high") < 0))
which = " ({measures_named}), not adjusted for how many were looked at." if clear.height else "."
note.say(
    "Fast genes in {slow_label} nuclei change by {fast_in_slow}, slow genes in {fast_label} nuclei by {slow_in_fast}; the "
    "share of hybrid nuclei by {hybrid_change}. Of {measures}, {measures_clear.number} have an interval clear of zero"
    + which,
    slow_label=slow, fast_label=fast, measures_named=", ".join(clear["measure"]),
    fast_in_slow=finding(f"fast genes in {slow} nuclei", "score per step of age"),
    slow_in_fast=finding(f"slow genes in {fast} nuclei", "score per step of age"),
    hybrid_change=finding(f"{hybrid} among nuclei", "log2 per step of age"),
    measures=(traced.height, "measures"), measures_clear=clear.height,
)

# %% [markdown] tags=["exercise"]
# ### Exercise: The smallest p that twelve donors allow (10 minutes)
#
# With five young and seven old donors, what is the smallest p that an exact two-sided permutation test of young against
# old can give, if no arrangement but the observed one is as extreme? Give the number.
#
# <details><summary>Hint</summary>How many ways are there to choose five of twelve? The observed one is one of
# them.</details>

# %% tags=["solution", "hide-cell"]
young = [1] * 5 + [0] * 7
print(f"{permute.deal(young, draws=999).smallest_p:.5f}")
check("04.smallest", permute.deal(young, draws=999).smallest_p)

# %% [markdown]
# ## Fragments
#
# Labels that end in `(fg)` are pieces of fiber without a nucleus, caught as if they were cells. In the study newer
# chemistry catches more of them: a share of fragments compares kits before it compares ages, and is no second witness.

# %% [markdown] tags=["exercise"]
# ### Exercise: Who is missing from the cells assay (10 minutes)
#
# From the table of donors in `helpers.facts.study`, find the identifiers of all donors *without* cells (no chemistry in
# `cells_10X_version`), sorted. For them fragments say nothing.
#
# <details><summary>Hint</summary><code>study.donors().filter(pl.col("cells_10X_version").is_null())</code></details>

# %% tags=["solution", "hide-cell"]
listed = study.donors()
nuclei_only = listed.filter(pl.col("cells_10X_version").is_null())["DonorID"]
print(nuclei_only.sort().to_list())
check("04.nuclei", nuclei_only.sort().to_list())

# %% [markdown]
# ## Scored against the plant
#
# A simulated atlas knows how the abundance of slow and fast nuclei was made to change, and which genes of the two sets
# change inside them.

# %%
truth, planted_slope, planted_genes = muscle.truth("composition"), None, []
if truth is not None:
    own = truth.filter(assay="nuclei", level="annotation_level0")
    change = dict(own.select("label", "log2_change_per_decade").iter_rows())
    planted_slope = change[slow] - change[fast]
    moved = muscle.truth("age_expression").filter(
        pl.col("annotation_level0").is_in([slow, fast]), assay="nuclei"
    ).filter(pl.col("gene").is_in(gene_sets["slow"] + gene_sets["fast"]))
    planted_genes = moved["gene"].unique().sort().to_list()

# %% tags=["remove-input", "finding"]
where = ""
if planted_slope is not None and bounded and age_as != "bin":
    where = ", inside the interval found" if rows[0][2] <= planted_slope <= rows[0][3] else ", outside the interval found"
switch = "{planted_genes}" if planted_genes else "none, so that there is no switch to find"
note.say(
    "Nothing was planted in these data."
    if planted_slope is None
    else f"Planted is {{planted_slope}}{where}. Genes of the two sets made to change within fiber nuclei: {switch}.",
    planted_slope=(planted_slope, "log2 odds per decade"),
    planted_genes=None if planted_slope is None else ", ".join(planted_genes),
)

# %% [markdown]
# ## What the study reported
#
# The [study](https://doi.org/10.1038/s43587-024-00613-3) reports that type II fibers are lost with age, and that type I
# fibers take on fast markers. Read off its figure, and **real whatever the rest of the page shows**:

# %% tags=["remove-input", "finding"]
medians = study.FIBER_MEDIANS
note.say(
    "The median share of type I among all nuclei is {reported_young:.1%} in young and {reported_old:.1%} in old groups of "
    "libraries. That fits no simple switch to slow fibers; the chapter on how far counts of cells reach tests these groups.",
    reported_young=medians["young"]["MF-I"], reported_old=medians["old"]["MF-I"],
)

# %% [markdown]
# **What imaging would have to answer.** How many *fibers* of each type are there, and how thick are they? Do single fibers
# hold slow and fast myosin protein at once? Are fibers grouped by type, as after loss and regrowth of nerves?
#
# ## In short

# %% tags=["remove-input", "finding"]
note.say(
    "The share of type I nuclei has a slope of {ratio_slope}, p = {ratio_p}. Without one donor it lies between "
    "{ratio_lowest.number} and {ratio_highest.number}. Of {measures} of fiber type, {measures_clear.number} have an "
    "interval clear of zero, before any adjustment."
)

# %% [markdown]
# ## Limits
#
# - The donors are deceased organ donors with different days in hospital; a dozen of them show large effects only.
# - A score is built on transcripts in nuclei, where some genes of the sets are hardly seen.
# - The simulated atlas has no fiber that switches: genes that change with age were drawn at random.
#
# ## On your own file
#
# Any AnnData with two labels to compare and one age a donor will do. The one of this page stands in for yours.

# %%
own = adata.obs  # yours: sc.read_h5ad("my_muscle.h5ad").obs
donor, age, label = "DonorID", "age_numeric", "annotation_level0"

mine = pd.crosstab(own[donor], own[label])
decades = own.groupby(donor, observed=True)[age].first().dropna() / 10
mine = mine.loc[decades.index]
log2_odds = np.log2((mine[[slow]] + 0.5) / (mine[[fast]] + 0.5).to_numpy())

dealt = permute.deal(decades, draws=999, seed=seed)
slope, low, high, p = permute.fit_slopes(dealt, log2_odds.to_numpy())

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# **The share of type I nuclei rises when all nuclei of a group are pooled and falls when donors are averaged. Which holds?**
#
# <details><summary>The pooled one: it uses all nuclei</summary>Not yet: a donor with many nuclei then speaks for the group.</details>
# <details><summary>Neither alone: the sign hangs on the average</summary>Right: say the donors' mean with its interval, and whose donor moves it.</details>

# %% tags=["remove-input"]
note.provenance(muscle.describe())
