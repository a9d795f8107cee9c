# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["header"]
# # How far counts of cells reach
#
# **Question.** Which changes of composition could a dozen donors have shown, and do the intervals hold what they say?
#
# **You will** compute the smallest change that these donors could have shown; hold intervals against a planted truth,
# and against donors drawn again; and test the published fractions yourself.
#
# **Before you start.** [What the tissue is made of](10_composition).
#
# **Time** 20 minutes to read, 10 for the exercises.
# **Memory** under 2 GiB on the default atlas, under 2 GiB at full size.
#
# **What can go wrong.** An effect that was not found is taken for one that is not there. An interval is believed
# because it was printed.

# %%
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import seaborn as sns
from scipy import stats

from helpers import findings, sources, style
from helpers.book.workshop import check
from helpers.facts import study
from helpers.stats import composition, permute

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny", "n_drawn": 4, "n_permutations": 499}}
atlas: str = "demo"  # data: demo, tiny, a release folder, or an .h5ad file
level: str = "annotation_level0"  # labels that are counted {annotation_level0, annotation_level1, annotation_level2}
age_as: str = "exact"  # age: exact years, middle of the age group, or young against old {exact, midpoint, bin}
reference: str = "all"  # what a share is a share of: all, or one label
min_total: int = 20  # barcodes a type needs in an assay to be tested [1, 100000]
fdr: float = 0.05  # false-discovery rate of a call [0.001, 0.5]
n_permutations: int = 9999  # ways to deal the ages that are looked at, where there are more [100, 200000]
n_drawn: int = 20  # times all donors are drawn again [2, 500]
seed: int = 4  # of everything drawn at random [0, 4294967295]
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("12_composition_reach", globals())

# %% [markdown]
# Counts by donor and the tests of every type are those of the chapter before.

# %%
muscle = sources.open_atlas(atlas)
donors = muscle.donors
if age_as == "midpoint":
    donors = donors.with_columns(age=pl.col("age_numeric"))
exposure = "Age_bin" if age_as == "bin" else "age"
counts = composition.count_by_donor(muscle.obs, donors, level=level)
ask = {"exposure": exposure, "reference": reference}
options = ask | {"min_total": min_total, "draws": n_permutations, "seed": seed}
every = pl.concat(
    composition.compare(counts, method=method, **options)
    for method in ("permutation", "least squares", "moderated", "chi-square")
)

# %% tags=["remove-input", "finding"]
note.say(
    "This page shows **{data_kind}** data: {donors:donor|donors} of known age and {types:label|labels}.",
    data_kind="simulated" if muscle.simulated else "real",
    donors=counts["DonorID"].n_unique(), types=counts["type"].n_unique(),
)

# %% [markdown]
# ## What these donors could have shown
#
# From the error of the line of least squares and its degrees of freedom follows the smallest change that four of five such
# studies would find; twice as many donors have a smaller error and more freedom.

# %%
def reach(freedom):
    return stats.t.isf(0.025, freedom) + stats.t.ppf(0.8, freedom)


lines = every.filter(method="least squares").drop_nulls("p")
error, df = lines["error"], lines["df"].to_numpy()
known = study.published_slopes()
power = lines.select("batch", "type", "donors", "df", "per").with_columns(
    detectable=error * reach(df),
    with_twice=error / np.sqrt(2) * reach(df + lines["donors"].to_numpy()),
).join(known, on=["batch", "type"], how="left")

# %% tags=["remove-input", "finding"]
size = pl.col("published_per_decade").abs()
with_slope = power.filter(per="decade").drop_nulls("published_per_decade")
note.table(
    with_slope.sort(size / pl.col("detectable"), descending=True),
    "Smallest change found with a power of four in five (log2 per decade, two-sided at 0.05): the types nearest to reach.",
    name="power", rows=8,
    columns={
        "type": "type", "assay": "batch", "these donors": "detectable", "twice as many": "with_twice",
        "published": "published_per_decade",
    },
)
note.say(
    "Of {power_types:type|types} with a published slope and a test per decade, the published slope is within reach for "
    "{power_reached.number} with these donors, and for {power_reached_twice.number} with twice as many."
    if with_slope.height
    else "No type here has both a published slope and a test per decade, so that none can be held against the other.",
    power_types=with_slope.height, power_reached=with_slope.filter(size >= pl.col("detectable")).height,
    power_reached_twice=with_slope.filter(size >= pl.col("with_twice")).height,
)

# %% [markdown]
# ## Scored against the plant
#
# A simulated atlas knows its truth. Planted is a change of *abundance*; shares move by that minus the change of
# everything together, so [`estimand`](../book/api) translates the truth into shares before intervals are held against it.

# %%
def score(table):
    aim, change = pl.col("estimand"), pl.col("log2_change")
    large = aim.abs() > 0.3
    return table.group_by("method", maintain_order=True).agg(
        types=pl.len(), coverage=aim.is_between("low", "high").mean(),
        width=(pl.col("high") - pl.col("low")).median(), large=large.sum(),
        sign_right=(aim.sign() == change.sign()).filter(large).mean(),
    )


truth = muscle.truth("composition")
if truth is not None:
    planted = truth.rename({"assay": "batch", "label": "type"})
    planted = planted.filter(level=level)
    halves = ask | {"exposure": "Age_bin", "adjust": ()}  # of all barcodes
    pooling, of_type = pl.col("method") == "chi-square", ["batch", "type"]
    on_donors = composition.estimand(counts, planted, **ask)
    on_barcodes = composition.estimand(counts, planted, **halves)
    scored = pl.concat([
        every.filter(~pooling).join(on_donors, on=of_type),
        every.filter(pooling).join(on_barcodes, on=of_type),
    ]).drop_nulls("p")
    coverage = score(scored)

# %% tags=["remove-input", "finding"]
if truth is not None and scored.height:
    note.save("coverage", coverage)
    still = scored.filter(pl.col("planted").abs() < 0.01, method="permutation")
    note.say(
        "On {planted_types:type|types}, intervals of the leading test hold the truth for {coverage:.1%}; taking barcodes for "
        "witnesses, {coverage_cells:.1%}. Of {ageless_types:tested type|tested types} without any change of abundance "
        "{ageless_called.number} are called; shares of such types move all the same, because the others do.",
        planted_types=scored.filter(method="permutation").height,
        coverage=coverage.filter(method="permutation")["coverage"][0],
        coverage_cells=coverage.filter(method="chi-square")["coverage"][0],
        ageless_types=still.height, ageless_called=still.filter(pl.col("q") < fdr).height,
    )
else:
    note.say("Nothing was planted in these data, so that no interval can be held against a truth.")

# %% [markdown]
# One atlas is one draw of donors, and an unlucky one moves many types at once. So ages, sexes, chemistries and totals of the
# donors are kept, and the rest is drawn again: shares as found, changes as large as the published ones, and **for each
# type the spread between donors that it shows here**: one spread for all would flatter tests that assume it.

# %%
n, total = pl.col("n"), pl.col("total")
plan = counts.group_by("batch", "type", maintain_order=True).agg(
    share=(n / total).mean(), spread=((n + 0.5) / (total + 1)).log(2).std()
)
slope = pl.col("published_per_decade").fill_null(0)
plan = plan.join(
    known, on=["batch", "type"], how="left", maintain_order="left"
).with_columns(log2_change_per_decade=slope)

# %%
redrawn = []
for number in range(n_drawn):
    for (name,), own in plan.group_by("batch", maintain_order=True):
        made = composition.draw(
            counts.filter(batch=name).unique("DonorID").sort("DonorID"),
            shares=dict(own.select("type", "share").rows()),
            slopes=dict(own.select("type", "log2_change_per_decade").rows()),
            log2_sd=dict(own.select("type", "spread").rows()),
            seed=seed + number,
        )
        expected = composition.estimand(made, own)
        for method in ("permutation", "least squares", "moderated"):
            again = composition.compare(made, method=method, draws=999)
            redrawn.append(again.join(expected, on=["batch", "type"]))
redrawn = pl.concat(redrawn).drop_nulls("p")
sweep = score(redrawn)

# %% tags=["remove-input", "finding"]
held = pl.col("estimand").is_between("low", "high")
by_type = redrawn.group_by("method", "batch", "type", maintain_order=True).agg(coverage=held.mean())
least = by_type.group_by("method").agg(
    lowest=pl.col("coverage").min(), lowest_type=pl.col("type").sort_by("coverage", "type").first()
)
sweep = sweep.join(least, on="method", how="left", maintain_order="left")
note.save("sweep", sweep)
note.save("sweep_by_type", by_type)
of_test = {row["method"]: row for row in sweep.iter_rows(named=True)}
lead, moderated = of_test.get("permutation", {}), of_test.get("moderated", {})
note.say(
    "Over all draws the intervals of the leading test hold the truth in {sweep_coverage:.1%} of cases, those of the "
    "moderated test in {sweep_coverage_moderated:.1%}; in the type with the fewest it is {sweep_lowest:.0%} and "
    "{sweep_lowest_moderated:.0%}."
    + (" Signs of large changes are right in {sweep_sign:.0%}." if lead.get("sign_right") is not None else ""),
    sweep_coverage=lead.get("coverage"), sweep_coverage_moderated=moderated.get("coverage"),
    sweep_lowest=lead.get("lowest"), sweep_lowest_moderated=moderated.get("lowest"),
    sweep_sign=lead.get("sign_right"),
)

# %% [markdown]
# ## Real data: the published fractions, tested again
#
# **Everything in this section is real, whatever the rest of the page shows.** The study prints the fraction of each type
# in every group of libraries of a donor. These were read off its figures, and a reading loses points that lie on each
# other. So only types of which **every** point could be read are tested. With so few groups all ways to name young and
# old can be listed: [`permute`](../book/api) gives exact p-values, of ranks and of root fractions.

# %%
real = study.completed_fractions()
all_read = (pl.col("lost") == 0).all().over("batch", "annotation_level0")
whole = real.filter(all_read)
rows = []
for (name, kind), own in whole.group_by("batch", "annotation_level0"):
    old = (own["Age_bin"] == "old").to_numpy()
    fraction = own["fraction"].to_numpy()
    ways = permute.deal(old.astype(float), draws=9999)  # so few: all listed
    both = np.column_stack([stats.rankdata(fraction), np.sqrt(fraction)])
    middle = np.median(fraction[~old]), np.median(fraction[old])
    rows.append((name, kind, *middle, *permute.p_values(ways, both), ways.n))
retested = pl.DataFrame(
    rows, orient="row",
    schema=["batch", "type", "young", "old", "rank_p", "root_p", "ways"],
).sort("rank_p")
q = stats.false_discovery_control(retested["rank_p"])
retested = retested.with_columns(rank_q=pl.Series(q))

# %% mystnb={"figure": {"caption": "REAL DATA, read off the published figures: fraction of each fully read type in every library group, young and old; axis linear up to a hundredth, then logarithmic.", "name": "fig-12-fractions"}, "image": {"alt": "One row a type and assay, one mark a library group: published fractions of young and old side by side."}}
points = whole.sort("batch", "annotation_level0", "fraction").with_columns(
    row=pl.col("annotation_level0") + ", " + pl.col("batch")
)
plt.figure(figsize=(5.6, 4.2))
axis = sns.scatterplot(
    points.to_pandas(), x="fraction", y="row", hue="Age_bin", s=50,
    style="Age_bin", palette=style.GROUP_COLOR, markers=style.GROUP_MARKER,
)
axis.set_xscale("symlog", linthresh=0.01)
axis.set(ylabel="", xlim=(-0.001, 1))
sns.move_legend(axis, "center left", bbox_to_anchor=(1, 0.5), title="");

# %% tags=["remove-input", "finding"]
panels = real.unique(["batch", "annotation_level0", "Age_bin"])
first = retested.row(0, named=True)
note.table(
    retested, "REAL DATA: median fractions of young and old, with exact p; q of the ranks over all types tested.",
    name="real_fractions", percent=["young", "old"],
    columns={
        "type": "type", "assay": "batch", "young": "young", "old": "old",
        "p, ranks": "rank_p", "q": "rank_q", "p, roots": "root_p",
    },
)
note.say(
    "**Real data.** Of {real_points} that the figures should show {real_lost.number} could not be read, so that {real_tested} are "
    "tested. The smallest p belongs to {real_first} in {real_first_assay}: {real_first_p} of ranks, {real_first_permutation_p} of root "
    "fractions. The smallest adjusted p is {real_smallest_q}; after adjustment {real_called:type is|types are} left. "
    "The study's own adjusted rank tests left none.",
    real_first=first["type"], real_first_assay=first["batch"], real_points=(int(panels["groups"].sum()), "points"),
    real_lost=int(panels["lost"].clip(0).sum()), real_tested=(retested.height, "types in an assay"),
    real_first_p=first["rank_p"], real_first_permutation_p=first["root_p"], real_smallest_q=retested["rank_q"].min(),
    real_called=retested.filter(pl.col("rank_q") < fdr).height,
)

# %% [markdown]
# Its mixed model over libraries nevertheless calls many types. It takes exact age for two groups, fits types together, and
# where libraries of one donor are independent it has more replicates than there are people. In nuclei even the groups
# here are not all different people: two donors seem to appear with two chemistries.

# %% [markdown] tags=["exercise"]
# ### Exercise: An exact permutation p (10 minutes)
#
# Write `exact_p(young, old)`: two short lists of donor fractions in, the exact two-sided permutation p of the difference of
# means out. List every way to choose who is young; equal differences count.
#
# <details><summary>Hint</summary><code>itertools.combinations(range(n), k)</code> lists every choice. Compare with a
# small tolerance, and count the observed one.</details>

# %% tags=["solution", "hide-cell"]
from itertools import combinations


def exact_p(young, old):
    values = np.array([*young, *old])
    gaps = []
    for chosen in combinations(range(len(values)), len(young)):
        others = np.delete(values, chosen)
        gaps.append(abs(values[list(chosen)].mean() - others.mean()))
    return np.mean(np.array(gaps) >= gaps[0] - 1e-12)


print(exact_p([1, 2, 3], [7, 8, 9]))
check("12.exact", exact_p)

# %% [markdown]
# ## In short

# %% tags=["remove-input", "finding"]
note.say(
    (
        "With these donors, published slopes are within reach for {power_reached.number} of {power_types.number} types. "
        if with_slope.height
        else ""
    )
    + "When all donors are drawn again, intervals of the test with dealt ages hold the truth in "
    "{sweep_coverage:.1%} of cases. In the real published fractions the smallest p is {real_first_p} ({real_first}), and "
    "{real_called:type is|types are} left after adjustment."
)

# %% [markdown]
# ## Limits
#
# - Power is that of the line of least squares; a test that deals ages needs a little more.
# - In the redrawn tissue types differ between donors independently of each other. Real types may move together.
# - The published fractions were read off figures; what could not be read was left out, not guessed.
#
# ## On your own file
#
# How large would a change have to be in your study? The standard error of one slope and the number of donors are enough.

# %%
standard_error = 0.2  # of your type's slope, log2 per decade
free = 8  # donors less terms of the model
smallest = reach(free) * standard_error
print(f"{smallest:.2f} log2 per decade, or {2**smallest:.2f}-fold")

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# **A type's change is not called. What follows?**
#
# <details><summary>It does not change</summary>Not yet: look at the smallest change that these donors could have shown.</details>
# <details><summary>A change, if any, is smaller than these donors can show</summary>Right: and the interval says how large it may be.</details>

# %% tags=["remove-input"]
note.provenance(muscle.describe())
