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
# **You will** see why a test over cells fails a null that it should pass, test donors instead, read effects with their
# intervals before any p-value, learn what these donors could and could not have shown, and find out whether a call
# rests on one person.
#
# **Before you start.** [Quality control](02_quality), above all its last part: who is compared with whom.
#
# **Time** 45 minutes to read, 40 for the exercises.
# **Memory** under 2 GiB on the default atlas, under 5 GiB at full size.
#
# **What can go wrong.** Cells of one donor are not replicates; a rare cell type has too few donors, and the test says
# so; on a new machine the first fit compiles for about half a minute.

# %%
import polars as pl

from helpers import findings, sources
from helpers.analysis import gene_scores, naive, schemas, scoring, screen, trial
from helpers.analysis.design import Comparison
from helpers.facts import study
from helpers.figures import evidence, people, style
from helpers.figures import expression as draw

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny", "n_permutations": 10}}
atlas: str = "demo"  # data: demo, tiny, a release folder, or an .h5ad file
cell_type: str = "MuSC"  # cell type to look at closely, as written in the column of the level below
level: str = "annotation_level0"  # labels to group cells by {annotation_level0, annotation_level1, annotation_level2}
assay: str = "cells"  # cells or nuclei, never pooled {cells, nuclei}
age_as: str = "exact"  # age as exact years, middle of the five-year bin, or old against young {exact, midpoint, bin}
min_cells: int = 10  # cells a donor needs for a profile [1, 1000]
young_max: float = 40.0  # years up to which a donor is young [15, 60]
old_min: float = 50.0  # years from which a donor is old [30, 90]
sex: str = "all"  # donors of one sex only, or all {all, M, F}
fdr: float = 0.1  # false-discovery rate of the calls [0.001, 0.5]
n_permutations: int = 50  # permutations of age behind the null [5, 1000]
gene_sets: str = ""  # CSV with columns set and gene, one row a gene; empty: ribosome biogenesis, stress, senescence, cytokines
seed: int = 1  # seed of the sampled permutations [0, 1000000]
budget: str = "8 GiB"  # memory that loading may take
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("03_age_de", globals())

# %% [markdown]
# ## From cells to donors
#
# A donor gives thousands of cells, and those cells share the donor's genes, illness, hospital days and library. Ask
# for an effect of age, and each *donor* answers once. So the molecules of all cells of one donor, assay and type are
# summed into one profile; what is tested later is a table of a dozen columns, not of thousands.

# %%
muscle = sources.open_atlas(atlas)
cells = muscle.to_anndata(budget=budget)
profiles, problem = trial.sum_profiles(cells, level=level, min_cells=min_cells)
comparison = Comparison(age_as=age_as, young_max=young_max, old_min=old_min, sex=sex)
test = trial.begin(
    profiles, cell_type=cell_type, assay=assay, level=level, comparison=comparison, fdr=fdr, refusal=problem
)

# %% tags=["hide-input", "finding"]
note.record("data_kind", "simulated" if muscle.simulated else "real")
note.record("cell_type_shown", f"{cell_type} in {assay}")
note.record("donors_tested", test.donors.height, "donors")
note.record("refusal", (test.refusal or "none").removesuffix("."))
note.say(
    "This page shows **{data_kind}** data and looks closely at {cell_type_shown}. Donors in the test: "
    "{donors_tested.number}. Reason against a test: {refusal}."
)

# %% tags=["hide-input"]
note.table(
    test.donors, "Donors with a profile, youngest first: years, cells in the profile.", name="donors", rows=17
)

# %% [markdown]
# ## Two lists
#
# First the list that most pages stop at: compare all old with all young cells by Wilcoxon's test, as if each cell had
# been drawn from its own person. Beside it the donors' list: edgeR's quasi-likelihood F test on profiles, with sex
# and chemistry in the model where they can be told apart from age.
#
# All of the study's young donors with single cells are men, so that genes of the Y chromosome "fall" and XIST "rises"
# with age in any comparison of them that forgets sex. Look for them: hatched in the figure, ranked in the table.

# %%
cell_list, chosen = test.compare_cells(cells)
of_sex = naive.compare_sex_genes(cell_list, test.table)
chromosomes = study.genes().select(pl.col("symbol").alias("gene"), "chromosome")

# %% mystnb={"figure": {"caption": "The leading genes of both tests. Hatched: genes on X or Y. Arrows: direction with age. The scales differ: left, cells pass for people.", "name": "fig-03-lists"}, "image": {"alt": "Two bar charts of minus log p. Left with cells as replicates, right with donors as replicates, each on a scale of its own; bars of genes on X or Y are hatched."}} tags=["hide-input"]
draw.draw_lists(cell_list, test.table, chromosomes=chromosomes)

# %% tags=["hide-input", "finding"]
note.record("naive_calls", cell_list.filter(pl.col("q") < fdr).height if cell_list.height else None, "genes")
note.record("naive_share", (cell_list["q"] < fdr).mean() if cell_list.height else None)
note.record("naive_sex_calls", of_sex.filter(pl.col("q_cells") < fdr).height, "genes")
note.record("naive_sex_first", of_sex["rank_cells"].min(), None)
note.record("donor_calls", test.calls.height if test.table.height else None, "genes")
note.record("donor_sex_calls", of_sex.filter(pl.col("q_donors") < fdr).height, "genes")
note.say(
    "With cells as replicates {naive_calls.number} genes pass, a share of {naive_share:.0%} of all tested; among them "
    "are genes of sex: {naive_sex_calls.number}, the first at rank {naive_sex_first}. With donors as replicates "
    "{donor_calls.number} pass, among them genes of sex: {donor_sex_calls.number}."
)

# %% tags=["hide-input"]
note.table(
    of_sex, "Genes of sex in the list over cells and in the list over donors.", name="sex_genes", rows=8
)

# %% [markdown]
# ## The same audit for both
#
# Which list should be believed? Not the longer one. Take age away and look: hand the ages to the donors at random,
# men's ages among men and women's among women, and run both tests again, many times. Nothing is left to be found, so
# a valid test gives p-values spread evenly, and one in twenty below 0.05. Every permutation of the donors' test is a
# fit of its own, with each gene's spread between donors estimated anew.

# %%
null = test.permute(chosen, n=n_permutations, seed=seed)

# %% mystnb={"figure": {"caption": "Both tests on permuted ages. Left: all p-values; a valid test follows the dotted line. Right: the share of genes with p below 0.05 in each permutation, with its mean.", "name": "fig-03-null"}, "image": {"alt": "Left, histograms of the p-values of both tests with a dotted line where a valid test would lie. Right, one point a permutation: the share of genes with p below 0.05, over donors and over cells."}} tags=["hide-input"]
evidence.draw_null(null.p_donors, null.p_cells, null.summary)

# %% tags=["hide-input", "finding"]
note.record("permutations", len(null.p_donors), "permutations")
note.record("permutations_possible", null.possible)
note.record("null_rate_donors", null.rate("donors"))
note.record("null_rate_cells", null.rate("cells"))
note.record("null_as_many", null.exceeds(test.calls.height) if len(null.p_donors) else None)
note.say(
    "Permutations run: {permutations.number} of {permutations_possible} possible. False-positive rate at 0.05: "
    "**{null_rate_donors:.1%}** over donors, **{null_rate_cells:.1%}** over cells. Share of permutations with at least "
    "as many calls as the real ages, those counted in: {null_as_many}."
)

# %% tags=["hide-input"]
note.table(
    null.summary, "Each permutation of ages: genes, false positives, calls.", name="permutation_null", rows=5
)

# %% [markdown]
# ## What these donors can tell
#
# Before the results, the design. Each term is in the model only if the donors can tell it apart from age and enough
# degrees of freedom are left; what was given up is named. The last table is the most useful and the least shown: the
# smallest change that this test would find in four of five tries, for a gene named in advance and for one found among
# thousands. Anything smaller can be missed, so that *not called* never means *unchanged*.

# %% tags=["hide-input"]
note.table(test.groups, "Donors of the test by age group, sex and chemistry.", name="design")
note.table(test.terms, "Terms of the model, kept or left out, and why.", name="terms")

# %%
named_gene = test.detectable(alpha=0.05)
any_gene = test.detectable(alpha=0.0005)

# %% tags=["hide-input", "finding"]
# facts: 0.0005
note.record("age_per", comparison.per)
note.record("residual_df", test.residual_df, "degrees of freedom")
note.record("age_inflation", test.age_inflation, "fold")
note.record("detectable_named", named_gene["smallest_log2_change"].median())
note.record("detectable_any", any_gene["smallest_log2_change"].median())
note.say(
    "Changes are log2, {age_per} as the unit. {residual_df} are left for the differences between donors. Sex and "
    "chemistry inflate the variance of the age effect {age_inflation}. Found with four fifths probability, gene of "
    "middling expression: a change of **{detectable_named}** if the gene was named in advance, **{detectable_any}** if "
    "it has to stand out at p below 0.0005."
)

# %% tags=["hide-input"]
# facts: 80
note.table(
    named_gene, "Smallest change found with 80 % power at p < 0.05, from lowly to highly expressed genes."
)

# %% [markdown]
# ## Effects first
#
# The volcano shows both, but read it sideways: how large, then how sure. The lower panel shows the same genes against
# expression. Lowly expressed genes scatter widely, which is noise that the intervals know about.

# %% mystnb={"figure": {"caption": "Change with age against p-value, one point a gene; calls are diamonds.", "name": "fig-03-volcano"}, "image": {"alt": "Volcano plot: one point a gene, called genes as filled diamonds, the leading ones named."}} tags=["hide-input"]
draw.draw_volcano(test.table, fdr=fdr)

# %% mystnb={"figure": {"caption": "Change with age against mean expression.", "name": "fig-03-ma"}, "image": {"alt": "MA plot: change with age against mean expression, one point a gene; called genes are diamonds."}} tags=["hide-input"]
draw.draw_ma(test.table, fdr=fdr)

# %% tags=["hide-input"]
note.table(test.table, "Leading genes: change with 95 % interval, then p and q.", name="age_de", rows=15)
note.table(schemas.AGE_DE.describe(), "What the columns of the saved table mean.", rows=20)

# %% [markdown]
# A list of genes hides the donors again. Here they are: each column of the heatmap is one person.

# %%
genes, values, shown = test.leading(top=24)

# %% mystnb={"figure": {"caption": "The leading genes over donors, youngest left; each gene centered on its mean.", "name": "fig-03-heatmap"}, "image": {"alt": "Heatmap, genes in rows and donors in columns by age. Rising genes go from purple to orange, falling ones the other way."}} tags=["hide-input"]
people.draw_heatmap(values, genes=genes, donors=shown)

# %% mystnb={"figure": {"caption": "Expression of the leading genes in each donor against age.", "name": "fig-03-donors"}, "image": {"alt": "Six small panels, one a gene: expression of each donor against age, men as triangles and women as diamonds."}} tags=["hide-input"]
people.draw_donors(values, genes=genes, donors=shown)

# %% [markdown]
# ## All types at a glance
#
# The same test for every cell type in each assay. A type that is missing here was refused, with a reason in the table;
# a type without calls may change in ways too small for its few cells.

# %%
tests, refusals = screen.age_de_everywhere(profiles, level=level, comparison=comparison)
counts = screen.count_calls(tests, fdr=fdr)

# %% mystnb={"figure": {"caption": "Genes called in every cell type, cells left and nuclei right.", "name": "fig-03-overview"}, "image": {"alt": "Paired bar charts by cell type: genes that rise to the right, genes that fall to the left; types without enough donors read not testable."}} tags=["hide-input"]
draw.draw_overview(tests, refusals, fdr=fdr)

# %% tags=["hide-input", "finding"]
note.record("types_tested", counts.height, "tests")
note.record("types_refused", refusals.height, "tests")
note.record("calls_everywhere", int(counts["calls"].sum()), "calls")
note.record("calls_shared", int(counts["shared"].sum()), "calls")
note.record("most_calls", f"{counts['cell_type'][0]} in {counts['assay'][0]}" if counts["calls"].sum() else None)
note.say(
    "Pairs of type and assay with enough donors: {types_tested.number}, without: {types_refused.number}. Calls in all: "
    "{calls_everywhere.number}; the type with most of them: {most_calls}; calls whose gene is also called in another "
    "type of the same assay: {calls_shared.number}. The false-discovery rate is kept within each type, not over all."
)

# %% tags=["hide-input"]
note.table(counts, "Calls of each type and assay, shared and specific.", name="calls_by_type")
note.table(
    tests,
    "Every test of every type; the columns are those of the table above.",
    name="age_de_everywhere",
    rows=3,
)
note.table(refusals, "Types that were refused, and what they lack.", name="refusals", rows=5)

# %% [markdown]
# ## Does a call rest on one person?
#
# Leave each donor out in turn and test again. A call that vanishes with one donor is a statement about that donor
# until others confirm it. In the study's data that is no pedantry: one old donor seems to hold a large part of the T
# cells, and several donors are alone in their age bins.

# %%
stable = test.leave_one_out()

# %% mystnb={"figure": {"caption": "Leading calls: change with interval, and the change left without the most influential donor.", "name": "fig-03-stability"}, "image": {"alt": "Forest plot of the leading genes: diamonds with gray intervals, and a tick for the change without the most influential donor; open circles mark genes that lose their call."}} tags=["hide-input"]
evidence.draw_stability(test.table, stable)

# %% tags=["hide-input", "finding"]
influence = stable["most_influential"].drop_nulls().value_counts(sort=True)
note.record("stable_calls", int(stable["stable"].sum()), "calls")
note.record("kept_calls", int((stable["refits_called"] == test.donors.height).sum()), "calls")
note.record("stable_share", stable["stable"].mean() if stable.height else None)
note.record("influential_donor", influence["most_influential"][0] if influence.height else None)
note.say(
    "Calls that keep direction and p below 0.05 whichever donor is left out: {stable_calls.number} of "
    "{donor_calls.number} ({stable_share:.0%}); that stay below the false-discovery rate each time: "
    "{kept_calls.number}. "
    "The donor whose absence most often shrinks a change most: {influential_donor}."
)

# %% tags=["hide-input"]
note.table(stable, "Each call without each donor in turn.", name="stability", rows=8)

# %% [markdown]
# ## A worked example: stem cells
#
# Among the study's claims on muscle stem cells are that ribosome biogenesis falls with age and that CCL2 rises.
# A set of genes is scored in each donor first, and only the donors' scores are compared: genes of a set move together,
# so that counting genes would be the pseudo-replication of this chapter once more. Dissociation stress is scored
# beside it, since a score that follows the hospital rather than age would show there too. Ribosome biogenesis is scored
# here on the short list of genes that the study's figure shows; the [chapter on signatures](07_signatures) takes the
# long list of the same notebooks, and the two need not agree in size.
#
# Sets of your own come in through `gene_sets`: a CSV with a column `set`, the name, and a column `gene`, the symbol, one
# row a gene. `signature` is taken for `set`. The chapter on signatures reads the same file.

# %%
stem = trial.begin(
    profiles, cell_type="MuSC", assay=assay, level=level, comparison=comparison, fdr=fdr, refusal=problem
)
scores = gene_scores.score_donors(stem.prepared, gene_scores.read_sets(gene_sets))
changes = gene_scores.change_with_age(stem.prepared, scores)

# %% mystnb={"figure": {"caption": "Scores of gene sets in stem cells against age, one point a donor; above each panel the change with age and its 95 % interval.", "name": "fig-03-scores"}, "image": {"alt": "Up to four panels, one a gene set: donor scores against age, men as triangles, women as diamonds."}} tags=["hide-input"]
people.draw_scores(scores, changes)

# %% tags=["hide-input", "finding"]
ribosome = gene_scores.find_change(changes, gene_scores.RIBOSOME)
stress = gene_scores.find_change(changes, gene_scores.STRESS)
ccl2 = stem.gene("CCL2")
note.record("ribosome_change", ribosome["change"], "log2", ribosome["interval"])
note.record("stress_change", stress["change"], "log2", stress["interval"])
note.record("ccl2_change", ccl2["log2_change"], "log2", ccl2["interval"])
note.record("ccl2_q", ccl2["q"])
note.say(
    "In stem cells, {age_per} as the unit: ribosome biogenesis {ribosome_change}; dissociation stress {stress_change}; "
    "CCL2 {ccl2_change} with q {ccl2_q}."
)

# %% tags=["hide-input"]
note.table(changes, "Change of each score with age: t intervals over donors.", name="signature_changes")
note.table(scores, "Scores of each donor.", name="signature_scores", rows=4)

# %% [markdown]
# ## Scored against the plant
#
# In a simulated atlas the true change of every gene is known. The planted changes are lines in exact age, so that for
# another coding of age each is projected on the design before it is compared. On real data nothing is planted, and
# this part stays empty.

# %%
truth = muscle.truth("age_expression")
scored = test.score(truth)
all_scored = screen.score_everywhere(profiles, tests, truth, comparison=comparison, fdr=fdr)
power = scoring.find_power(all_scored)

# %% mystnb={"figure": {"caption": "Found against planted change, genes with a planted effect; bars are 95 % intervals.", "name": "fig-03-planted"}, "image": {"alt": "Scatter of found against planted change with the diagonal, missed genes as gray circles, called ones as diamonds. Without a planted truth, a sentence says so."}} tags=["hide-input"]
evidence.draw_planted(scored)

# %% mystnb={"figure": {"caption": "Power and coverage by size of the planted change, all types and both assays.", "name": "fig-03-power"}, "image": {"alt": "Line plot against the size of the planted change: the share of planted genes that are called, and the share of intervals that hold the truth. Without a planted truth, a sentence says so."}} tags=["hide-input"]
evidence.draw_power(power, per=comparison.per)

# %% tags=["hide-input", "finding"]
total = scoring.summarize_calls(all_scored)
note.record("planted_false_share", total["false_discovery_proportion"])
note.record("planted_power", total["power"])
note.record("planted_coverage", total["coverage"])
note.record("planted_slope", total["slope"])
note.record("planted_null_rate", total["null_rate"])
note.record("planted_sign", total["right_sign"])
note.say(
    "Over all types: share of calls that were not planted {planted_false_share:.1%}; planted genes called "
    "{planted_power:.1%}; calls with the right sign {planted_sign:.0%}; intervals that hold the truth "
    "{planted_coverage:.1%}; found on planted change, one being unbiased, {planted_slope}; unplanted genes with p below "
    "0.05 {planted_null_rate:.1%}."
)

# %% tags=["hide-input"]
note.table(
    screen.summarize_tests(all_scored),
    "Power and false discoveries by type.",
    name="scored",
)

# %% [markdown]
# A *false* call here need not be noise: where the mixture of subtypes drifts with age, the coarse type changes in
# genes that no subtype changes. The test is right about the mean, and a reader who takes it for regulation is not.

# %% [markdown]
# ## What the study reported
#
# The study fitted one mixed model on cells, with donor among its random effects, and states directions. Below is each
# published direction that this run could test. Agreement is counted and set against a coin; the genes share donors,
# so the p-value describes and does not prove. On simulated data these directions were planted, and meeting them
# checks the method, not the biology.

# %%
published = scoring.read_published(level=level)
concordance = scoring.compare_directions(tests, published)
signs = scoring.compare_with_coin(concordance)

# %% tags=["hide-input", "finding"]
note.record("published_tested", signs["genes"], "directions")
note.record("published_agree", signs["agree"], "directions")
note.record("published_share", signs["share"], None, signs["interval"])
note.record("published_p", signs["p"])
note.say(
    "Published directions that could be tested: {published_tested.number}; met: {published_agree.number}, a share of "
    "{published_share:.2f}; exact sign test p {published_p}."
)

# %% tags=["hide-input"]
note.table(concordance, "Published directions beside this run.", name="concordance", rows=20)

# %% [markdown]
# ## What cannot be said
#
# - **Age, for women in single cells.** No young woman is among the study's; how young and old women differ cannot be
#   estimated, and the interaction of age group and sex cannot either.
# - **Age rather than hospital.** The donors died in hospital after days of care, many ventilated. Stress, steroid and
#   metal-response genes may vary with that, and with the minutes of dissociation.
# - **Single-donor bins.** Four of the study's eight age bins are one person each. A line through exact age leans on them.
# - **No change.** An interval around zero that is wider than an interesting change is no evidence of its absence.
# - **Cells against nuclei.** They see different molecules; a gene called in one and not in the other is not thereby
#   specific to either.

# %% [markdown] tags=["exercise"]
# ```{exercise} How many cells is a donor worth?
# :label: ex-03-effective
# A donor gives `n` cells whose values correlate within the donor by `icc`. Write `effective(n, icc)`: the number of
# independent cells that would estimate the donor's mean as precisely.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# The variance of a mean of correlated values is the usual one times $1 + (n - 1)\,\mathrm{icc}$. What happens for many cells?
# :::

# %% tags=["solution", "hide-cell"]
from helpers.book.workshop import check


def effective(n, icc):
    return n / (1 + (n - 1) * icc)


check("03.effective", effective)

# %% [markdown] tags=["exercise"]
# ```{exercise} The smallest p of a permutation test
# :label: ex-03-smallest
# Write `smallest_p(young, old)`: the smallest one-sided p-value that an exact permutation test of so many young against
# so many old donors can give. Try it on the men with single cells.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# Count the distinct ways to say who is old. The observed one is among them.
# :::

# %% tags=["solution", "hide-cell"]
import math


def smallest_p(young, old):
    return 1 / math.comb(young + old, old)


check("03.smallest", smallest_p)

# %% [markdown] tags=["exercise"]
# ```{exercise} From p to q
# :label: ex-03-adjust
# Write `adjust(p)`: the values of Benjamini and Hochberg for a list of p-values, in the order given.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# Sort, multiply the smallest by the number of tests, the second by half of it, and so on; then no q may exceed a
# later one, so take the running minimum from the end.
# :::


# %% tags=["solution", "hide-cell"]
def adjust(p):
    order = sorted(range(len(p)), key=lambda i: p[i])
    q, smallest = [0.0] * len(p), 1.0
    for rank, i in reversed(list(enumerate(order, start=1))):
        smallest = min(smallest, p[i] * len(p) / rank)
        q[i] = smallest
    return q


check("03.adjust", adjust)

# %% [markdown] tags=["exercise"]
# ```{exercise} Who is missing?
# :label: ex-03-women
# From `study.donors()`: how many women up to 40 years old have single cells (a known `cells_10X_version`)? Answer with
# a number, and say to yourself what that does to age within women.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# Filter by `Sex`, `Age` and `cells_10X_version`, then count the rows.
# :::

# %% tags=["solution", "hide-cell"]
with_cells = study.donors().filter(pl.col("cells_10X_version").is_not_null())
young_women = with_cells.filter((pl.col("Sex") == "F") & (pl.col("Age") <= 40)).height
check("03.women", young_women)

# %% [markdown]
# ## In one sentence

# %% tags=["hide-input", "finding"]
note.say(
    "Over donors {donor_calls.number} of the genes tested are called to change with age in {cell_type_shown}; "
    "{stable_calls.number} keep direction and p below 0.05 whichever donor is left out, {kept_calls.number} stay called; "
    "on permuted ages the test errs at {null_rate_donors:.1%}, the one over cells at {null_rate_cells:.1%}."
)

# %% tags=["hide-input"]
note.provenance(muscle.describe())
