# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["header"]
# # What the tissue is made of
#
# **Question.** Which cell types come and go with age, and which of these changes can a dozen donors show?
#
# **You will** count cell types by donor; fit one type by hand; test all types with ages dealt over donors; run the same
# tests where there is nothing to find; see what a share says about abundance; and leave out each donor in turn.
#
# **Before you start.** [Quality control](02_quality) and [fiber switching](04_fibers).
#
# **Time** 35 minutes to read, 20 for the exercises.
# **Memory** under 2 GiB on the default atlas, under 2 GiB at full size.
#
# **What can go wrong.** Cells of one donor are not replicates. And shares add up to one: when one type grows, all others
# fall.

# %%
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import seaborn as sns
import statsmodels.formula.api as smf

from helpers import findings, parameters, sources, style
from helpers.book.workshop import check
from helpers.facts import study
from helpers.stats import composition, permute

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny", "n_null": 8, "n_permutations": 499}}
atlas: str = "demo"  # data: demo, tiny, a release folder, or an .h5ad file
level: str = "annotation_level0"  # labels that are counted {annotation_level0, annotation_level1, annotation_level2}
cell_type: str = ""  # type followed closely; empty: MuSC where there are any, else the most common
age_as: str = "exact"  # age: exact years, middle of the age group, or young against old {exact, midpoint, bin}
reference: str = "all"  # what a share is a share of: all, center (geometric mean of the types), or one label
min_total: int = 20  # barcodes a type needs in an assay to be tested [1, 100000]
fdr: float = 0.05  # false-discovery rate of a call [0.001, 0.5]
n_permutations: int = 9999  # ways to deal the ages that are looked at, where there are more [100, 200000]
n_null: int = 40  # times the ages are dealt to audit the tests [2, 1000]
seed: int = 4  # of everything drawn at random [0, 4294967295]
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("10_composition", globals())

# %% [markdown]
# [`open_atlas`](../book/api) opens any source and reads no matrix. [`count_by_donor`](../book/api) counts labels by donor
# and assay and keeps the zeros: a type that a donor lacks is an observation, not a missing row.

# %%
muscle = sources.open_atlas(atlas)
donors = muscle.donors
if age_as == "midpoint":
    donors = donors.with_columns(age=pl.col("age_numeric"))
exposure = "Age_bin" if age_as == "bin" else "age"

counts = composition.count_by_donor(muscle.obs, donors, level=level)
counts = counts.with_columns(share=pl.col("n") / pl.col("total"))
assays = counts["batch"].unique().sort().to_list()

# %% tags=["remove-input", "finding"]
note.say(
    "This page shows **{data_kind}** data: {donors:donor|donors} of known age and {types:label|labels} in the column {level}.",
    data_kind="simulated" if muscle.simulated else "real", donors=counts["DonorID"].n_unique(),
    types=counts["type"].n_unique(), level=level,
)
note.save("composition", counts)
parameters.require_known("cell_type", cell_type, counts["type"].unique())
held = counts.group_by("type", "batch").agg(pl.col("n").sum(), donors=pl.len())
held = held.sort(pl.col("donors") > 3, "n")
cell_type = cell_type or ("MuSC" if "MuSC" in held["type"] else held["type"][-1])
assay = held.filter(type=cell_type)["batch"][-1]

# %% [markdown]
# ## The whole tissue, donor by donor
#
# Before any test, look. Fiber nuclei fill the one assay, cells between fibers the other: pooling them would compare
# assays, not ages.

# %% mystnb={"figure": {"caption": "Share of the most common types in every donor, youngest at the left; darker is more, on a logarithmic scale, white is none.", "name": "fig-10-tissue"}, "image": {"alt": "A gray map for each assay: one row a type, one column a donor ordered by age, darker where the type has a larger share of the donor's barcodes."}}
plt.figure(figsize=(5.6, 3.7 * len(assays)))
for place, name in enumerate(assays, 1):
    own = counts.filter(batch=name).sort("age").to_pandas()
    wide = own.pivot(index="type", columns="DonorID", values="share")
    wide = 100 * wide[own["DonorID"].unique()]
    axis = sns.heatmap(
        wide.loc[wide.mean(axis=1).nlargest(12).index], cmap="Greys",
        norm="log", cbar_kws={"label": "% of barcodes"},
        ax=plt.subplot(len(assays), 1, place),
    )
    axis.set(title=name, xlabel="", ylabel="")

# %% [markdown]
# ## One type, by hand
#
# Shares are compared as logarithms: one more is a doubling. Half a count is added, so that a donor without the type has
# a value too. A `step` is a decade of age, or old against young if so chosen.

# %% mystnb={"figure": {"caption": "The followed type: log2 of its share in every donor against age.", "name": "fig-10-one"}, "image": {"alt": "Scatter plot, one mark a donor: log2 of the share of the followed type against age, color and shape by sex."}}
half = 0.5 * pl.col("total") / pl.col("total").mean()
step = pl.col("Age_bin") == "old" if age_as == "bin" else pl.col("age") / 10
one = counts.filter(type=cell_type, batch=assay).with_columns(
    log2_share=((pl.col("n") + half) / (pl.col("total") + 2 * half)).log(2),
    step=step.cast(pl.Float64),
)
points = one.with_columns(pl.col("Sex").fill_null("not stated")).to_pandas()
axis = sns.scatterplot(
    points, x="age", y="log2_share", hue="Sex", style="Sex", s=70
)
axis.set(title=f"{cell_type} in {assay}", xlabel="age (years)")
sns.move_legend(axis, "center left", bbox_to_anchor=(1, 0.5));

# %% [markdown]
# Sex and chemistry are in the model where these donors can tell them from age, as [`estimable`](../book/api) says.
# [`permute.deal`](../book/api) deals the ages anew over donors alike in these, as far as that leaves enough ways; its p
# says how often chance alone gives as steep a line.

# %%
adjusted = composition.estimable(one, exposure=exposure)
formula = " + ".join(["log2_share ~ step", *adjusted])
line = smf.ols(formula, one.to_pandas()).fit()

dealt = permute.deal(
    one["step"], strata=one.select(adjusted), draws=n_permutations, seed=seed
)
found = permute.fit_slopes(dealt, one[["log2_share"]].to_numpy())
slope, low, high, p = (float(number[0]) for number in found)

# %% tags=["remove-input", "finding"]
unit = "log2 per step of age"
note.say(
    "With ages dealt over donors, the share of {followed} in {followed_assay} changes by {musc_change}, p = {musc_p}; by "
    "least squares {line_change}, p = {line_p}. " + dealt.sentence(),
    followed=cell_type, followed_assay=assay, musc_p=p, line_p=line.pvalues["step"],
    musc_change=(slope, unit, (low, high) if np.isfinite([low, high]).all() else None),
    line_change=(line.params["step"], unit, tuple(line.conf_int().loc["step"])),
)

# %% [markdown] tags=["exercise"]
# ### Exercise: Zeros that are not in the list (10 minutes)
#
# Write `count_all(pairs)`: a list of pairs `(donor, type)`, one a barcode, in; a polars table with columns `donor`,
# `type`, `n` out, with one row for **every** donor and **every** type of the list, zeros among them.
#
# <details><summary>Hint</summary>Count with <code>group_by("donor", "type").len("n")</code>. Join the unique donors
# with the unique types (<code>how="cross"</code>), the counts onto that, and fill what is null.</details>

# %% tags=["solution", "hide-cell"]
def count_all(pairs):
    seen = pl.DataFrame(pairs, schema=["donor", "type"], orient="row")
    grid = seen.select(pl.col("donor").unique()).join(seen.select(pl.col("type").unique()), how="cross")
    counted = seen.group_by("donor", "type").agg(n=pl.len())
    return grid.join(counted, on=["donor", "type"], how="left").fill_null(0)


print(count_all([("A", "T"), ("A", "B"), ("B", "T")]))
check("10.zeros", count_all)

# %% [markdown]
# ## All types, tested with ages dealt over donors
#
# [`composition.compare`](../book/api) does the same for every type of every assay, by both methods above and by three
# more: limma's, which draws the variances of all types to a common trend
# ([Phipson et al.](https://doi.org/10.1093/bioinformatics/btac582)); a binomial model of the barcodes, whose errors are
# widened by as much as donors differ; and the chi-square test, which takes each barcode for a witness of its own.
# **The test with dealt ages leads**: it assumes only that donors could be exchanged.

# %% mystnb={"figure": {"caption": "Change of every tested type's share with age: estimate and 95 % interval, ages dealt over donors. Intervals that leave the panel are cut.", "name": "fig-10-effects"}, "image": {"alt": "One row a type and assay, sorted by its change: a mark for the estimate and a line for the interval, beside a vertical line at zero."}}
ask = {"exposure": exposure, "reference": reference, "min_total": min_total}
ask |= {"draws": n_permutations, "seed": seed}
methods = ["permutation", "least squares", "moderated"]
if reference != "center":  # counts have no center
    methods += ["binomial", "chi-square"]
every = pl.concat(
    composition.compare(counts, method=method, **ask) for method in methods
)
tested = every.filter(method="permutation").drop_nulls("p").sort("log2_change")
rows = tested["type"] + ", " + tested["batch"]
figure, axis = plt.subplots(figsize=(5.6, 1 + 0.2 * tested.height))
low, high = tested["low"].clip(-9, 9), tested["high"].clip(-9, 9)
axis.hlines(rows, low, high, color=style.GRAY)
axis.plot(tested["log2_change"], rows, "o")
axis.axvline(0, color="black", linestyle=":")
axis.set(xlim=(-3, 3), xlabel="log2 change of the share");

# %% tags=["remove-input", "finding"]
note.save("composition_tests", every)
wide = every.filter(pl.col("method") != "chi-square").drop_nulls("p")
wide = wide.pivot(on="method", index=["batch", "type"], values="log2_change").drop_nulls()
signs = np.sign(wide.drop("batch", "type").to_numpy())
called = tested.filter(pl.col("q") < fdr)
called_cells = every.filter(pl.col("q") < fdr, method="chi-square").height
note.say(
    "Of {tested}, the test with dealt ages calls {called:type|types}; taking every barcode for a witness would call "
    "{called_cells.number}. The tests on donors point the same way for {same_direction:.0%} of the types.",
    tested=(tested.height, "types in an assay"), called=called.height, called_cells=called_cells,
    same_direction=float((signs == signs[:, :1]).all(axis=1).mean()) if len(signs) else None,
)
columns = {"type": "type", "assay": "batch", "log2 change": ("log2_change", "low", "high"), "q": "q"}
note.table(called, "Types called by the test with dealt ages.", columns=columns)

# %% [markdown]
# ## Is a test to be believed? Deal the ages, and test again
#
# Deal the ages among donors of like sex. Now there is nothing to find, and a test that keeps its promise has p below 0.05
# in one of twenty tests, **for every type**: a mean of five per cent may hide a type that is called three times too often
# beside one that never is.

# %% mystnb={"figure": {"caption": "False calls: how often p falls below 0.05 when ages are dealt, one mark a type. Dashed: the one in twenty that a test promises.", "name": "fig-10-null"}, "image": {"alt": "One row a test, one mark a type: the share of dealt ages with p below 0.05, with a dashed line at the promised share; only the test on barcodes lies far to the right."}}
ages = counts.unique("DonorID").sort("DonorID")
orders = permute.deal(
    np.arange(len(ages)), strata=ages.select("Sex"), draws=n_null, seed=seed
).values[1 : n_null + 1]
quick = ask | {"draws": 399, "intervals": False}
found = []
for order in orders.astype(int):
    moved = ages.select("age", "Age_bin")[order]
    moved = moved.with_columns(ages["DonorID"])
    null = counts.drop("age", "Age_bin").join(moved, on="DonorID")
    for method in methods:
        found.append(composition.compare(null, method=method, **quick))
rates = pl.concat(found).drop_nulls("p").group_by("method", "batch", "type")
rates = rates.agg(rate=(pl.col("p") < 0.05).mean())
axis = sns.stripplot(
    rates.to_pandas(), x="rate", y="method", order=methods, hue="batch",
    hue_order=assays, alpha=0.7, jitter=0.25,
)
axis.axvline(0.05, color="black", linestyle="--")
axis.set(xlabel="share of null tests with p below 0.05", ylabel="")
sns.move_legend(axis, "center left", bbox_to_anchor=(1, 0.5), title="");

# %% tags=["remove-input", "finding"]
rate = pl.col("rate")
spread = rates.group_by("method").agg(
    mean=rate.mean(), least=rate.min(), most=rate.max(), worst=pl.col("type").sort_by("rate").last()
)
note.save("null_rates", spread)
note.save("null_rates_by_type", rates)
mean, most = dict(spread.select("method", "mean").rows()), dict(spread.select("method", "most").rows())
note.say(
    "The test with dealt ages errs in {false_rate_permutation:.1%} of null tests, in no type more often than "
    "{false_rate_permutation_most:.1%}; the moderated test in {false_rate_moderated:.1%}, in single types up to "
    "{false_rate_moderated_most:.1%}. "
    + (
        "The binomial model errs in {false_rate_binomial:.1%}, up to {false_rate_binomial_most:.1%}; barcodes taken for "
        "witnesses in {false_rate_cells:.1%}. "
        if "binomial" in mean
        else ""
    )
    + "A few dozen deals leave each type's rate uncertain by several points.",
    false_rate_permutation=mean.get("permutation"), false_rate_permutation_most=most.get("permutation"),
    false_rate_moderated=mean.get("moderated"), false_rate_moderated_most=most.get("moderated"),
    false_rate_binomial=mean.get("binomial"), false_rate_binomial_most=most.get("binomial"),
    false_rate_cells=mean.get("chi-square"),
)

# %% [markdown]
# ## The compositional trap
#
# Take a tissue in which one common type grows with age and *nothing else happens*. The share of every other type falls,
# and a correct test of shares says so. It is right about shares and wrong about cells. The cure is not a better test but
# another frame: the center of the types, their geometric mean, which one type that grows moves less. What holds in both
# frames does not hang on the frame. The parameter `reference` takes a type that you trust to be steady.

# %%
centered = composition.compare(counts, **ask | {"reference": "center"})
frames = tested.join(
    centered.drop_nulls("p"), on=["batch", "type"], suffix="_center"
)
same_sign = pl.col("log2_change").sign() == pl.col("log2_change_center").sign()

# %% tags=["remove-input", "finding"]
note.save("frames", frames)
note.say(
    "Against the center of the types, {center_same_sign:.0%} of the types keep the sign of their change, and "
    "{center_called:type is|types are} called.",
    center_same_sign=frames.select(same_sign.mean()).item(),
    center_called=frames.filter(pl.col("q_center") < fdr).height,
)

# %% [markdown] tags=["exercise"]
# ### Exercise: A share within a frame (10 minutes)
#
# Write `log2_change(young, old, kind, reference)`: it takes two dictionaries of counts by type and returns the log2 change
# of `kind` (old over young) *relative to* the type `reference`.
#
# <details><summary>Hint</summary>Divide the count of the type by the count of the reference, in each tissue, and
# compare the two ratios. Totals cancel.</details>

# %% tags=["solution", "hide-cell"]
def log2_change(young, old, kind, reference):
    return np.log2(old[kind] / old[reference]) - np.log2(young[kind] / young[reference])


tried = log2_change({"A": 10, "B": 10}, {"A": 10, "B": 40}, "A", "B")
print(f"{tried:.1f}")
check("10.push", log2_change)

# %% [markdown]
# ## Every change without each donor
#
# One donor with very many T cells is enough to make lymphoid cells rise, or seem to. A claim about a type must survive
# without each single donor.

# %%
found = []
for donor in ages["DonorID"]:
    rest = counts.filter(pl.col("DonorID") != donor)
    test = composition.compare(rest, **quick | {"draws": 499})
    found.append(test.with_columns(without=pl.lit(donor)))
change, all_donors = pl.col("log2_change"), pl.col("all_donors")
whole = tested.select("batch", "type", all_donors=change)
without = pl.concat(found).drop_nulls("p").join(whole, on=["batch", "type"])
move = (change - all_donors).abs()
stability = without.group_by("batch", "type").agg(
    all_donors.first(), lowest=change.min(), highest=change.max(),
    most_moved_by=pl.col("without").sort_by(move).last(),
    turns=change.min() * change.max() < 0,
)
stability = stability.sort(pl.col("lowest") - pl.col("highest"), "type")

# %% tags=["remove-input", "finding"]
note.say(
    "Of all types tested, {signs_that_turn:.0%} have a sign that leaving out one donor can turn.",
    signs_that_turn=stability["turns"].mean(),
)
note.table(
    stability, "The types that hang most on one donor: log2 change of the share.", name="leave_one_out", rows=6,
    columns={
        "type": "type", "assay": "batch", "all donors": "all_donors", "lowest without one": "lowest", "highest": "highest",
        "most moved by": "most_moved_by",
    },
)

# %% [markdown]
# ## What the study reported
#
# The [study](https://doi.org/10.1038/s43587-024-00613-3) fits mixed models to the counts of libraries; compared here are
# its fits to one assay. They take libraries for replicates and leave donor and sex out; this page takes donors.

# %% mystnb={"figure": {"caption": "Changes found in this run against published slopes, log2 per decade; circles: those that the study calls clear. Dashed: equal.", "name": "fig-10-published"}, "image": {"alt": "Scatter of found against published slopes, one mark a type, a circle where the study calls the slope clear and a cross elsewhere, with a dashed diagonal."}}
known = study.published_slopes()
known = known.drop_nulls("published_per_decade")
compared = tested.filter(per="decade").join(known, on=["batch", "type"])
same = pl.col("log2_change").sign() == pl.col("published_per_decade").sign()
clear = compared.filter("clear")
if compared.height:
    verdict = pl.when("clear").then(pl.lit("clear")).otherwise(pl.lit("not"))
    points = compared.with_columns(verdict.alias("in the study"))
    axis = sns.scatterplot(
        points.to_pandas(), x="published_per_decade", y="log2_change",
        hue="batch", hue_order=assays, style="in the study",
        markers={"clear": "o", "not": "X"}, s=50,
    )
    axis.axline((0, 0), slope=1, linestyle="--", color=style.GRAY)
    axis.set(xlabel="published", ylabel="found")
    sns.move_legend(axis, "center left", bbox_to_anchor=(1, 0.5))

# %% tags=["remove-input", "finding"]
pair = compared.select("published_per_decade", "log2_change").to_numpy()
note.save("published_slopes", compared)
note.say(
    (
        "Of {published_types:type|types} with both slopes {published_same_sign.number} have the same sign (correlation "
        "{published_correlation.number}); of {clear_types.number} that the study calls clear, {clear_same_sign.number}."
        if compared.height
        else "No type of this source bears a name that the study tested."
    )
    + (" These slopes were planted: they check the method, not biology." if muscle.simulated and compared.height else ""),
    published_correlation=float(np.corrcoef(pair.T)[0, 1]) if len(pair) > 2 else None,
    published_types=compared.height, published_same_sign=compared.filter(same).height,
    clear_types=clear.height, clear_same_sign=clear.filter(same).height,
)

# %% [markdown]
# ## In short

# %% tags=["remove-input", "finding"]
note.say(
    "Of {tested}, the donor-level test with dealt ages calls {called:type|types}"
    + (
        "; the test that takes every barcode for a witness calls {called_cells.number}, and errs in {false_rate_cells:.0%} of "
        "tests in which there is nothing to find"
        if "chi-square" in mean
        else ""
    )
    + ". The sign of {signs_that_turn:.0%} of the types hangs on a single donor."
)

# %% [markdown]
# ## Limits
#
# - Effects are of shares in what an assay catches, not of numbers of cells in a muscle.
# - All young donors of the study's cells assay are men; sex is adjusted for, but no young woman is there to check it.
# - What goes with age in every donor, such as days in hospital, no dealing of ages takes away.
# - What these donors could have shown, and what the published fractions say, is on
#   [a page of its own](12_composition_reach).
#
# ## On your own file
#
# Any table of counts will do: one row per donor and type, with an age, such as the supplement of a paper.
# [`composition_from_counts`](../book/api) fills the zeros and names every fault of the table at once. Here the counts of
# this page stand in for yours.

# %%
yours = note.folder / "composition.csv"  # path of your own table

own = composition.composition_from_counts(
    pl.read_csv(yours), donor="DonorID", kind="type", n="n", age="age",
    assay="batch",
)
answer = composition.compare(own, adjust=(), min_total=min_total, draws=999)
answer.sort("p").write_csv(note.folder / "my_composition.csv")

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# **One type grows tenfold, all others stay. What do their shares do?**
#
# <details><summary>They stay</summary>Not yet: shares add up to one.</details>
# <details><summary>They fall</summary>Right: so ask against which reference a share changed.</details>

# %% tags=["remove-input"]
note.provenance(muscle.describe())
