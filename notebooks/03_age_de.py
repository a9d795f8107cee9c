# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["header"]
# # Genes that change with age, tested on donors
#
# **Question.** Which genes change with age in a cell type, and which only seem to?
#
# **You will** sum cells to one profile a donor, look before you model, write the design, test it with edgeR's
# quasi-likelihood, see why a test over cells fails a null that it should pass, learn what these donors could have shown,
# and find out whether a call rests on one person.
#
# **Before you start.** [Quality control](02_quality), above all its last part: who is compared with whom.
#
# **Time** 45 minutes to read, 20 for the exercises.
# **Memory** under 2 GiB on the default atlas, under 6 GiB at full size.
#
# **What can go wrong.** Cells of one donor are not replicates; a rare cell type has too few donors, and the page then
# stops and says so; on a new machine the first fit compiles for about half a minute.

# %%
import math

import edgepython as ep
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import scanpy as sc
import seaborn as sns
from adjustText import adjust_text
from patsy import dmatrix
from scipy import stats

from helpers import findings, sources, style
from helpers.book.workshop import check
from helpers.stats import expression, permute, score

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny", "n_permutations": 10}}
atlas: str = "demo"  # data: demo, tiny, a release folder, or an .h5ad file
cell_type: str = ""  # cell type to look at closely, a label of the level below; empty: MuSC, else the most common
level: str = "annotation_level0"  # labels to group cells by {annotation_level0, annotation_level1, annotation_level2}
assay: str = "cells"  # cells or nuclei, never pooled {cells, nuclei}
age_as: str = "exact"  # age as exact years, middle of the five-year bin, or old against young {exact, midpoint, bin}
min_cells: int = 10  # cells a donor needs for a profile [1, 1000]
young_max: float = 40.0  # years up to which a donor is young [15, 60]
old_min: float = 50.0  # years from which a donor is old [30, 90]
sex: str = "all"  # donors of one sex only, or all {all, M, F}
fdr: float = 0.1  # false-discovery rate of the calls [0.001, 0.5]
n_permutations: int = 29  # permutations of age behind the null [5, 1000]
seed: int = 1  # seed of the sampled permutations [0, 1000000]
budget: str = "8 GiB"  # memory that loading may take
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("03_age_de", globals())

# %% [markdown]
# ## From cells to donors
#
# The cells of a donor share the donor's genes, illness, hospital days and library. Ask for an effect of age, and each
# *donor* answers once. So the molecules of all cells of one donor, assay and type are summed into one profile.
#
# [`open_atlas`](../book/api) reads the source, `muscle.donors` is its table of donors, and [`choose_type`](../book/api)
# takes the cell type asked for, or the most common one that has enough donors.

# %%
muscle = sources.open_atlas(atlas)
adata = muscle.to_anndata(budget=budget)
comparison = {
    "age_as": age_as, "young_max": young_max, "old_min": old_min, "sex": sex
}
cell_type = expression.choose_type(
    adata.obs, muscle.donors, cell_type, level=level, assay=assay,
    min_cells=min_cells, **comparison,
)

# %% [markdown]
# `sc.get.aggregate` sums the counts of a donor's cells; donors with too few are left out. The donors' table gets the number
# of these cells and their chemistry. [`choose_donors`](../book/api) codes age in decades, or old against young, and
# refuses a comparison of too few.

# %%
mine = (adata.obs[level] == cell_type) & (adata.obs["batch"] == assay)
sizes = adata.obs.loc[mine, "DonorID"].value_counts()
enough = sizes.index[sizes >= min_cells].astype(str)
cells = adata[mine & adata.obs["DonorID"].isin(enough)].copy()
profiles = sc.get.aggregate(cells, by="DonorID", func="sum", layer="counts")

people = muscle.donors.to_pandas().set_index("DonorID")
people = people[people.index.isin(enough)]
people["n_cells"] = sizes[people.index].to_numpy()
kits = cells.obs.groupby("DonorID", observed=True)["10X_version"]
people["chemistry"] = kits.agg(
    lambda kit: " + ".join(sorted(kit.dropna().astype(str).unique()))
)
donors = expression.choose_donors(people.reset_index(), **comparison)

# %% tags=["remove-input", "finding"]
there = adata.obs.loc[adata.obs["batch"] == assay, level].value_counts().index[:6]
note.say(
    "This page shows **{data_kind}** data and looks closely at {cell_type_shown}, with {donors_tested:donor|donors} in "
    "the test. The most common labels of this assay are {types_there}.",
    data_kind="simulated" if muscle.simulated else "real", cell_type_shown=f"{cell_type} in {assay}",
    donors_tested=(len(donors), "donors"), types_there=", ".join(there.astype(str)),
)
note.save("donors", donors)
_ = expression.find_expressed(profiles.to_df("sum").T[donors["DonorID"]], what=f"{cell_type} in {assay}")

# %% [markdown] tags=["exercise"]
# ### Exercise: How many cells is a donor worth? (10 minutes)
#
# A donor gives `n` cells whose values correlate within the donor by `icc`. Write `effective(n, icc)`: the number of
# independent cells that would estimate the donor's mean as precisely. Try it on `donors["n_cells"]`.
#
# <details><summary>Hint</summary>The variance of a mean of correlated values is the usual one times
# <code>1 + (n - 1) * icc</code>. What happens for many cells?</details>

# %% tags=["solution", "hide-cell"]
def effective(n, icc):
    return n / (1 + (n - 1) * icc)


print(effective(donors["n_cells"], 0.1).round(1).to_list())
check("03.effective", effective)

# %% [markdown]
# ## Look before you model
#
# `filter_by_expr` keeps genes that half of the donors express. `calc_norm_factors` finds how many molecules a profile
# *effectively* holds: zeros are many in profiles of few cells, and TMM with singleton pairing was made for those.

# %%
every_gene = profiles.to_df("sum").T[donors["DonorID"]]
half = -(-len(donors) // 2)
keep = ep.filter_by_expr(every_gene, min_count=10, min_sample_size=half)
counts = every_gene[keep]
factors = ep.calc_norm_factors(counts, method="TMMwsp")
effective_sizes = counts.sum().to_numpy() * factors
logs = np.log2((counts + 0.5) / (effective_sizes + 1) * 1e6)

# %% [markdown]
# Two components of the log profiles show what donors differ in most. If the first follows the chemistry or the sex, a
# test that forgets them finds those.

# %% mystnb={"figure": {"caption": "Profiles of the donors on their first two principal components, with age in years. Color: chemistry. Shape: sex.", "name": "fig-03-profiles"}, "image": {"alt": "Scatter plot of donors on two principal components. Colors tell chemistries apart, shapes the sexes, and a number beside each point is the age in years."}}
look = sc.AnnData(logs.T)
sc.pp.pca(look, n_comps=2)
donors[["PC1", "PC2"]] = look.obsm["X_pca"]
first, second = look.uns["pca"]["variance_ratio"]
axis = sns.scatterplot(
    donors, x="PC1", y="PC2", hue="chemistry", style="Sex", s=70
)
axis.set(xlabel=f"PC1, {first:.0%} of variance", ylabel=f"PC2, {second:.0%}")
axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
years = [
    axis.text(row.PC1, row.PC2, round(row.age)) for row in donors.itertuples()
]
adjust_text(years, expand=(1.6, 1.6));

# %% [markdown]
# ## The design
#
# A formula says what is compared: age, and beside it what must not pass for age. [`choose_terms`](../book/api) keeps a
# term if the donors can tell it apart from age and enough degrees of freedom are left.

# %%
terms = expression.choose_terms(donors, ["Sex", "chemistry"])
formula = " + ".join(["coded_age", *terms.filter("kept")["term"]])
design = dmatrix(formula, donors, return_type="dataframe")
age = design.columns.get_loc("coded_age")
residual_df = len(design) - design.shape[1]
inflation = np.diag(np.linalg.inv(design.iloc[:, 1:].corr()))[age - 1]

# %% tags=["remove-input", "finding"]
note.table(
    terms, "Terms beside age: in the model or left out, and why.", name="terms",
    columns={"term": "term", "donors by level": "levels", "why": "why"},
)
note.say(
    "Changes are log2, {age_per} as the unit. {residual_df:degree of freedom|degrees of freedom} are left for the "
    "differences between donors; the terms beside age inflate the variance of its effect {age_inflation}.",
    age_per="old over young" if age_as == "bin" else "decade",
    residual_df=(residual_df, "degrees of freedom"), age_inflation=(float(inflation), "fold"),
)

# %% [markdown]
# ## The test
#
# edgeR's {term}`quasi-likelihood` F test {cite:p}`chen2016`, as published: negative-binomial counts, a spread between
# donors for each gene, and a moderation that lends genes the experience of all others. `robust=True` keeps one donor far
# out from widening the spread of all. [`add_intervals`](../book/api) adds 95 % intervals, and Benjamini and Hochberg's q.

# %%
offset = np.broadcast_to(np.log(effective_sizes), counts.shape)
fit = ep.glm_ql_fit(counts, design=design, offset=offset, robust=True)
tested = ep.glm_ql_ftest(fit, coef=age)
table = expression.add_intervals(tested, fit, coef=age, genes=counts.index)
calls = table.filter(pl.col("q") < fdr)

# %% tags=["remove-input"]
unit = "old over young" if age_as == "bin" else "per decade"
note.table(
    table, f"Leading genes in {cell_type}, {assay}: change with age ({unit}, log2) with its 95 % interval.", name="age_de",
    rows=8, columns={"gene": "gene", "change": ("log2_change", "low", "high"), "p": "p", "q": "q"},
)

# %% [markdown]
# A list of genes hides the donors again. Here they are.

# %% mystnb={"figure": {"caption": "Expression of the leading genes in each donor against age. Triangles are men, diamonds women.", "name": "fig-03-donors"}, "image": {"alt": "Two panels, one a gene: expression of each donor against age in years, men as triangles and women as diamonds."}}
marks = {"M": "^", "F": "D", "not stated": "o"}
figure, axes = plt.subplots(1, 2, figsize=(5.6, 2.5), sharex=True)
for axis, gene in zip(axes, table["gene"].head(2), strict=True):
    sns.scatterplot(
        donors.assign(**{gene: logs.loc[gene].to_numpy()}), x="age", y=gene,
        hue="Sex", style="Sex", markers=marks, legend=False, ax=axis, s=45,
    )
    axis.set(title=gene, xlabel="years", ylabel="log2 CPM")

# %% [markdown]
# ## What these donors can tell
#
# *Not called* never means *unchanged*. The standard errors say how large a change must be to be found in four of five
# tries: for a gene named in advance, and for one that has to stand out among thousands.

# %%
# facts: 0.0005
errors, df = table["standard_error"], table["df"].to_numpy()
in_four_of_five = stats.t.ppf(0.8, df)
named_gene = errors * (stats.t.isf(0.05 / 2, df) + in_four_of_five)
any_gene = errors * (stats.t.isf(0.0005 / 2, df) + in_four_of_five)

# %% tags=["remove-input", "finding"]
# facts: 0.0005
note.say(
    "A gene of middling precision must change by **{detectable_named}** if it was named in advance, by "
    "**{detectable_any}** if it has to stand out at p below 0.0005.",
    detectable_named=named_gene.median(), detectable_any=any_gene.median(),
)

# %% [markdown]
# ## The list that most pages stop at
#
# Compare all old with all young cells by Wilcoxon's test, as if each cell came from its own person. Both tests get the
# same genes, people and question, old against young. [`run_test`](../book/api) makes the four calls above.

# %%
pair = expression.choose_donors(donors, **comparison | {"age_as": "bin"})
formula = expression.write_formula(pair)
pair_design = dmatrix(formula, pair, return_type="dataframe")
over_donors = expression.run_test(counts[pair["DonorID"]], pair_design)
taken = cells.obs["DonorID"].isin(pair["DonorID"])
old_young = sc.AnnData(
    cells[taken, counts.index].X, cells.obs.loc[taken, ["DonorID"]].astype(str)
)
old_young.var_names = counts.index
group_of = pair.set_index("DonorID")["group"]
old_young.obs["group"] = old_young.obs["DonorID"].map(group_of)
wilcoxon = {"reference": "young", "method": "wilcoxon", "tie_correct": True}
sc.tl.rank_genes_groups(old_young, "group", groups=["old"], **wilcoxon)
over_cells = sc.get.rank_genes_groups_df(old_young, group="old")

# %% tags=["remove-input", "finding"]
over_cells = pl.from_pandas(over_cells).select(gene="names", p_cells="pvals", q_cells="pvals_adj")
both = over_donors.join(over_cells, on="gene").sort("p_cells")
passing = both.select(pl.col("q_cells") < fdr, pl.col("q") < fdr)
note.say(
    "Of the same {genes_tested.number} genes the test over cells calls **{naive_share:.0%}** ({naive_calls.number}), and "
    "the test over donors calls {pair_calls:gene|genes}.",
    genes_tested=(both.height, "genes"), naive_calls=(int(passing["q_cells"].sum()), "genes"),
    naive_share=passing["q_cells"].mean(), pair_calls=(int(passing["q"].sum()), "genes"),
)
note.table(
    both, "What leads over cells, and what the donors say of it: change of old over young, log2.", name="two_lists", rows=6,
    columns={"gene": "gene", "q, cells": "q_cells", "change, donors": ("log2_change", "low", "high"), "q, donors": "q"},
)

# %% [markdown]
# ## The same audit for both
#
# Which list should be believed? Hand the ages to the donors at random, among donors alike in sex and, where that leaves
# enough ways, in chemistry, and run both tests again. Nothing is left to be found, so a valid test gives p-values spread
# evenly, one in twenty below 0.05.
#
# [`deal`](../book/api) gives the arrangements, the observed one first. Only the common dispersion of the molecules, which
# does not depend on age, is kept.

# %%
dealt = permute.deal(
    donors["coded_age"], strata=donors[["Sex", "chemistry"]],
    draws=n_permutations, seed=seed,
)
null_donors = []
for ages in dealt.values[1:]:
    refit = ep.glm_ql_fit(
        counts, design=design.assign(coded_age=ages), offset=offset,
        robust=True, dispersion=float(np.mean(fit["dispersion"])),
    )
    retest = ep.glm_ql_ftest(refit, coef=age)["table"]
    null_donors.append(retest["PValue"].to_numpy())
null_donors = np.array(null_donors)

# %% [markdown]
# The test over cells gets the same dealt ages. Five hundred genes and ten arrangements are enough to tell its rate.

# %%
chance = np.random.default_rng(seed)
some = chance.choice(counts.index, min(500, len(counts)), replace=False)
sample = cells[cells.obs["DonorID"].isin(donors["DonorID"]), some].copy()
group_at = donors.set_index("coded_age")["group"].to_dict()
null_cells = []
for ages in dealt.values[1:11]:
    groups = pd.Series(ages, donors["DonorID"]).map(group_at)
    sample.obs["dealt"] = sample.obs["DonorID"].astype(str).map(groups)
    sc.tl.rank_genes_groups(sample, "dealt", groups=["old"], **wilcoxon)
    null_cells.append(sample.uns["rank_genes_groups"]["pvals"]["old"])
null_cells = np.array(null_cells)
rate_donors = (null_donors < 0.05).mean(axis=1)
rate_cells = (null_cells < 0.05).mean(axis=1)
q_donors = stats.false_discovery_control(null_donors, axis=1)
null_calls = (q_donors < fdr).sum(axis=1)
as_many = (1 + (null_calls >= calls.height).sum()) / dealt.n

# %% mystnb={"figure": {"caption": "Both tests on dealt ages. Above: all p-values; a valid test follows the dotted line. Below: the share of genes with p below 0.05, one point an arrangement; the dotted line is one in twenty.", "name": "fig-03-null"}, "image": {"alt": "Above, histograms of the p-values of both tests with a dotted line where a valid test would lie: donors follow it, cells pile up near zero. Below, one point an arrangement: the share of genes below 0.05 over donors and over cells."}}
rates = {"over donors": rate_donors, "over cells": rate_cells}
colors = ["black", style.ORANGE]
figure, (above, below) = plt.subplots(2, 1, figsize=(5.6, 3.2))
above.hist(
    [null_donors.ravel(), null_cells.ravel()], np.linspace(0, 1, 21),
    density=True, color=colors, label=list(rates),
)
above.axhline(1, color="0.5", linestyle=":")
above.set(xlabel="p on dealt ages", ylabel="density")
above.legend()
sns.stripplot(rates, orient="h", palette=colors, ax=below)
below.axvline(0.05, color="0.5", linestyle=":")
below.set(xlabel="share of genes with p below 0.05", ylabel="");

# %% tags=["remove-input", "finding"]
note.say(
    "With ages dealt anew {permutations.number} times, of {permutations_possible} ways, the share of genes with p below "
    "0.05 is **{null_rate_donors:.1%}** over donors and **{null_rate_cells:.0%}** over cells. Genes move together: over "
    "donors the rate of one arrangement lies between {null_rate_lowest:.1%} and {null_rate_highest:.1%}, and "
    "{null_with_calls:.0%} of the arrangements call a gene at all. Real ages call {donor_calls:gene|genes}; the real "
    f"one counted in, {{null_as_many:.1%}} of arrangements call at least as many. {dealt.sentence()}",
    permutations=(len(null_donors), "permutations"), permutations_possible=dealt.total,
    null_rate_donors=rate_donors.mean(), null_rate_lowest=rate_donors.min(),
    null_rate_highest=rate_donors.max(), null_rate_cells=rate_cells.mean(),
    null_with_calls=(null_calls > 0).mean(), null_as_many=as_many, donor_calls=(calls.height, "genes"),
)
note.save("permutation_null", pl.DataFrame({"false_positive_rate": rate_donors, "calls": null_calls}))

# %% [markdown] tags=["exercise"]
# ### Exercise: The smallest p of a permutation test (10 minutes)
#
# Write `smallest_p(young, old)`: the smallest one-sided p-value that an exact permutation test of so many young against
# so many old donors can give. Try it on the men with single cells; `Age_bin` in `muscle.donors` says who is old.
#
# <details><summary>Hint</summary>Count the distinct ways to say who is old. The observed one is among them.</details>

# %% tags=["solution", "hide-cell"]
def smallest_p(young, old):
    return 1 / math.comb(young + old, old)


men = muscle.donors.filter(pl.col("cells") > 0, pl.col("Sex") == "M")["Age_bin"]
print(f"{smallest_p((men == 'young').sum(), (men == 'old').sum()):.4f}")
check("03.smallest", smallest_p)

# %% [markdown]
# ## Does a call rest on one person?
#
# Leave each donor out in turn and test again. A call that vanishes with one donor is a statement about that donor until
# others confirm it. Keeping p below 0.05 would prove little, since a called gene has a p far below it. So count the
# refits in which it is called again.

# %%
refits = []
for donor in donors["DonorID"]:
    rest = expression.choose_donors(
        donors[donors["DonorID"] != donor], min_donors=2, **comparison
    )
    formula = expression.write_formula(rest)
    without = dmatrix(formula, rest, return_type="dataframe")
    refit = expression.run_test(counts[rest["DonorID"]], without)
    refits.append(refit.with_columns(left_out=pl.lit(donor)))
refits = pl.concat(refits).join(
    calls.select("gene", all_donors="log2_change"), on="gene"
)
toward = pl.col("log2_change") * pl.col("all_donors").sign()
stable = refits.group_by("gene").agg(
    refits_called=((pl.col("q") < fdr) & (toward > 0)).sum(),
    smallest_change=pl.col("log2_change").sort_by(toward).first(),
    most_influential=pl.col("left_out").sort_by(toward).first(),
)
stable = calls.join(stable, on="gene").sort("q", "gene")
kept = stable.filter(pl.col("refits_called") == len(donors))

# %% tags=["remove-input", "finding"]
by_donor = stable["most_influential"].value_counts(sort=True)
note.say(
    "Of {donor_calls.number} calls **{kept_calls.number} stay called whichever donor is left out**; the middle call is "
    "called again in {median_refits_called:.0f} of {donors_tested.number} refits. The donor whose absence most often "
    "shrinks a change most is {influential_donor}."
    if calls.height
    else "Nothing is called, so that no call can rest on one person.",
    kept_calls=(kept.height, "calls"), median_refits_called=stable["refits_called"].median(),
    influential_donor=by_donor["most_influential"][0] if by_donor.height else None,
)
note.table(
    stable, f"The leading calls in {len(donors)} refits.", name="stability", rows=8,
    columns={
        "gene": "gene", "change": ("log2_change", "low", "high"), "refits that call it": "refits_called",
        "smallest change": "smallest_change", "without donor": "most_influential",
    },
)

# %% [markdown]
# ## All types at a glance
#
# [`screen`](../book/api) does for every cell type in each assay what this page showed for one. Its `prior_trust` says
# how much of edgeR's moderation is believed; the default of one is edgeR as published. The smallest p-values then come
# somewhat too often; a smaller trust mends that and costs calls.
# [How the numbers are made](../book/how_numbers_are_made) has both side by side.

# %% mystnb={"figure": {"caption": "Genes called in every cell type with enough donors: rising to the right, falling to the left.", "name": "fig-03-overview"}, "image": {"alt": "Diverging bar chart, one row a cell type and assay: genes that rise with age to the right, genes that fall to the left."}}
del cells, old_young, sample  # copies, before all types are summed
tests, refusals = expression.screen(
    adata, muscle.donors, level=level, min_cells=min_cells, **comparison
)
called, rises = pl.col("q") < fdr, pl.col("log2_change") > 0
counted = tests.group_by("cell_type", "assay").agg(
    pl.col("donors").first(), genes=pl.len(), calls=called.sum(),
    rising=(called & rises).sum(), falling=(called & ~rises).sum(),
)
counted = counted.sort(-pl.col("calls").cast(int), "cell_type", "assay")

bars = counted.head(24).to_pandas()
names = bars["cell_type"] + ", " + bars["assay"]
figure, axis = plt.subplots(figsize=(5.6, 0.7 + 0.22 * len(bars)))
axis.barh(names, bars["rising"], color=style.VERMILION, label="rising")
axis.barh(names, -1.0 * bars["falling"], color=style.SKY, label="falling")
axis.axvline(0, color="black", linewidth=0.8)
axis.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
axis.set(xlabel="genes called", ylim=(len(bars), -1))
axis.legend(loc="lower right");

# %% tags=["remove-input", "finding"]
found = counted["calls"].sum()
note.say(
    "{types_tested:pair|pairs} of type and assay have enough donors"
    + (", {types_refused.number} have not. " if refusals.height else ". ")
    + "Together they call {calls_everywhere:gene|genes}"
    + (", most {most_calls}. " if found else ". ")
    + "The false-discovery rate is kept within each type, not over all.",
    types_tested=(counted.height, "tests"), types_refused=(refusals.height, "tests"),
    calls_everywhere=(int(found), "calls"),
    most_calls=f"{counted['cell_type'][0]} in {counted['assay'][0]}" if found else "nowhere",
)
note.save("age_de_everywhere", tests)
note.save("calls_by_type", counted)
note.save("refusals", refusals)

# %% [markdown]
# ## Scored against the plant
#
# In a simulated atlas the true change of every gene is known: a line in exact age, projected on the design where age is
# coded otherwise. [`score`](../book/api) alone is handed the truth.

# %%
truth, total = muscle.truth("age_expression"), {}
if truth is not None:
    scored = score.score_changes(tests, truth, level=level, fdr=fdr)
    total = score.summarize_calls(scored)

# %% tags=["remove-input", "finding"]
note.say(
    "Over all types {planted_false_share:.1%} of the calls were not planted, where {aimed_fdr:.0%} were allowed. Of the "
    "planted genes {planted_power:.1%} are called, **most are missed**; {planted_sign:.0%} of the calls have the right "
    "sign, and {planted_coverage:.1%} of the intervals hold the truth. The slope of found on planted changes is "
    "{planted_slope.number}, one being unbiased; {planted_null_rate:.1%} of unplanted genes have p below 0.05."
    if total
    else "Nothing is planted in these data; calls are held to a false-discovery rate of {aimed_fdr:.0%}.",
    aimed_fdr=fdr, planted_false_share=total.get("false_discovery_proportion"),
    planted_power=total.get("power"), planted_coverage=total.get("coverage"),
    planted_slope=total.get("slope"), planted_null_rate=total.get("null_rate"),
    planted_sign=total.get("right_sign"),
)
silent = muscle.truth("silent_types") if total else None
if silent is not None:
    quiet = scored.filter(pl.col("cell_type").is_in(silent["annotation_level0"].unique().implode()))
    note.say(
        "Types planted without any effect of age, among those tested: {silent_tests.number}; called among their genes: "
        "{silent_calls.number}.",
        silent_tests=(quiet["cell_type"].n_unique(), "types"), silent_calls=(int(quiet["called"].sum()), "genes"),
    )
if total:
    note.save("scored", score.summarize_tests(scored))

# %% [markdown]
# A *false* call here need not be noise: where the mixture of subtypes drifts with age, the coarse type changes in
# genes that no subtype changes. The test is right about the mean, and a reader who takes it for regulation is not.
#
# ## What the study reported
#
# The study fitted one mixed model on cells, with donor among its random effects, and states directions. Agreement with
# those that this run could test is set against a coin; the genes share donors, so the p-value describes and does not
# prove. On simulated data the directions were planted: they check the method, not the biology. Of stem cells the study
# says that CCL2 rises and ribosome biogenesis falls; sets of genes have [their own chapter](07_signatures).

# %%
stated = score.read_published(level=level)
stated = stated.filter(pl.col("direction").is_in(["up", "down"]))
key = ["cell_type", "assay", "gene"]
published = tests.join(stated, on=key).sort(key).with_columns(
    agrees=(pl.col("direction") == "up") == rises
)
agree = int(published["agrees"].sum())
coin = stats.binomtest(agree, published.height) if published.height else None

# %% tags=["remove-input", "finding"]
bounds = coin and coin.proportion_ci()
note.say(
    "Of {published_tested:published direction|published directions} that could be tested, {published_agree.number} are "
    "met, a share of {published_share:.2f}; exact sign test p {published_p}."
    if coin
    else "Of the published directions {published_tested.number} could be tested.",
    published_tested=(published.height, "directions"), published_agree=(agree, "directions"),
    published_share=(coin and coin.statistic, None, coin and (bounds.low, bounds.high)),
    published_p=coin and coin.pvalue,
)
ccl2 = next(table.filter(pl.col("gene") == "CCL2").iter_rows(named=True), None)
note.say(
    "In {cell_type_shown} CCL2 changes by {ccl2_change}, with q {ccl2_q}."
    if ccl2
    else "Too few donors express CCL2 in {cell_type_shown} to test it.",
    ccl2_change=(ccl2 and ccl2["log2_change"], "log2", ccl2 and (ccl2["low"], ccl2["high"])),
    ccl2_q=ccl2 and ccl2["q"],
)
note.table(
    published, "Published directions beside this run (log2).", name="concordance", rows=5,
    columns={"cell type": "cell_type", "gene": "gene", "published": "direction", "change here": ("log2_change", "low", "high")},
)

# %% [markdown]
# ## What cannot be said
#
# - **Age, for women in single cells.** No young woman is among the study's, so how age and sex interact cannot be told.
# - **Age rather than hospital.** The donors died in hospital after days of care, many ventilated. Stress, steroid and
#   metal-response genes may vary with that, and with the minutes of dissociation.
# - **Single-donor bins.** Four of the study's eight age bins are one person each. A line through exact age leans on them.
# - **Cells against nuclei.** They see different molecules; a gene called in one only is not thereby specific to it.
#
# ## On your own file
#
# The whole of it, on any AnnData with raw counts, donors and ages. Put `sc.read_h5ad` of your file in the first line, one
# cell type at a time, and into the formula whatever else tells your donors apart.

# %%
own = adata[mine]  # sc.read_h5ad("mine.h5ad"), cells of one type
own = own[own.obs[["DonorID", "age_numeric"]].notna().all(axis=1)]
bulk = sc.get.aggregate(own, by="DonorID", func="sum", layer="counts")
who = own.obs.drop_duplicates("DonorID").set_index("DonorID")
who = who.loc[bulk.obs_names]
terms_of_mine = "age_numeric" + (" + Sex" if who["Sex"].nunique() > 1 else "")
x = dmatrix(terms_of_mine, who, return_type="dataframe")
y = bulk.to_df("sum").T
y = y[ep.filter_by_expr(y, min_sample_size=len(who) // 2)]
size = y.sum().to_numpy() * ep.calc_norm_factors(y, method="TMMwsp")
log_sizes = np.broadcast_to(np.log(size), y.shape)
model = ep.glm_ql_fit(y, design=x, offset=log_sizes, robust=True)
answer = ep.glm_ql_ftest(model, coef=x.columns.get_loc("age_numeric"))
answer["table"].set_axis(y.index).nsmallest(3, "PValue")

# %% [markdown]
# ## In short

# %% tags=["remove-input", "finding"]
note.say(
    (
        "Tested over donors, {donor_calls:gene changes|genes change} with age in {cell_type_shown}, of which "
        "{kept_calls.number} stay called whichever donor is left out. "
        if calls.height
        else "Tested over donors, no gene is called to change with age in {cell_type_shown}. "
    )
    + "Tested over cells, {naive_share:.0%} of the same genes would pass, but on ages dealt at random that test errs at "
    "{null_rate_cells:.0%}, the one over donors at {null_rate_donors:.1%}. Changes much below {detectable_any} are mostly missed."
)

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# **A test over cells lists hundreds of genes with tiny p-values. Ages dealt at random give a list just as long. What follows?**
#
# <details><summary>Age changes hundreds of genes</summary>Not yet: the same list comes without any age.</details>
# <details><summary>The test takes differences between people for age</summary>Right: cells of one donor are alike, so they are not independent observations.</details>
#
# **A call vanishes when one donor is left out. What is it?**
#
# <details><summary>A false call</summary>Not yet: it may be true, and the donors too few.</details>
# <details><summary>A statement that rests on one donor</summary>Right: it waits for other donors.</details>

# %% tags=["remove-input"]
note.provenance(muscle.describe())
