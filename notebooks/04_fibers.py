# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["header"]
# # Fiber switching, and what the tissue is made of
#
# **Question.** Does the share of type I fibers rise with age, and which cell types come and go?
#
# **You will** compute the fiber ratio that the dataset card suggests and watch it change its sign with the way it is
# averaged; look at the tissue donor by donor; run three donor-level tests and a mixed model side by side; see why a test
# on cells calls too much; learn what a share can and cannot say about abundance; follow stem cells, immune
# cells and the glia of the nerve; read fiber type from expression; and test the published fractions yourself.
#
# **Before you start.** [Loading the atlas](01_loading) and [quality control](02_quality).
#
# **Time** 60 minutes to read, 40 for the exercises.
# **Memory** under 2 GiB on the default atlas, under 3 GiB at full size.
#
# **What can go wrong.** Cells of one donor are not replicates. Cells and nuclei are different samples of a tissue and
# are never pooled here. The labels that end in `(fg)` are fragments of fibers, not nuclei, and how many are caught
# depends on the chemistry. And shares add up to one: when one type grows, all others fall.

# %%
import polars as pl

from helpers import findings, names, sources
from helpers.analysis import composition, composition_audit, composition_scoring, composition_stability, composition_tests
from helpers.analysis import fiber_scores, fibers, fractions, reference as frames
from helpers.analysis.lookup import pick, pick_interval
from helpers.book.workshop import check
from helpers.facts import fibers as published
from helpers.facts import study
from helpers.figures import composition as draw
from helpers.figures import composition_limits as draw_limits
from helpers.figures import fibers as draw_fibers
from helpers.figures import style

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny", "n_null": 10, "n_permutations": 500}}
atlas: str = "demo"  # data: demo, tiny, a release folder, or an .h5ad file
level: str = "annotation_level0"  # labels that are counted {annotation_level0, annotation_level1, annotation_level2}
unit: str = "donor"  # what the main test counts: donors, or libraries nested in donors {donor, library}
age_as: str = "exact"  # age: exact years, middle of the age group, or young against old {exact, midpoint, bin}
reference: str = "all"  # what a share is a share of: all, center (geometric mean of the types), or one label
min_total: int = 20  # barcodes a type needs in an assay to be tested [1, 100000]
min_cells: int = 5  # nuclei of a label that a donor needs for a mean score [1, 1000]
left_out_donor: str = "640C"  # donor without whom the immune changes are shown again
fdr: float = 0.05  # false-discovery rate of a call [0.001, 0.5]
n_permutations: int = 5000  # orders of ages drawn where they are too many to list [100, 200000]
n_null: int = 40  # times the ages are shuffled to audit the tests [2, 1000]
seed: int = 4  # of everything drawn at random [0, 4294967295]
budget: str = "4 GiB"  # memory that loading nuclei may take
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("04_fibers", globals())

# %%
muscle = sources.open_atlas(atlas)
lacking = composition.missing(muscle.obs, level=level)
obs = composition.usable(muscle.obs, level=level)

# %% tags=["hide-input", "finding"]
note.record("data_kind", "simulated" if muscle.simulated else "real")
note.record("donors", obs[names.DONOR].n_unique(), "donors")
note.record("lacking", ", ".join(lacking) or "nothing")
note.say(
    "This page shows **{data_kind}** data. Donors of known age: {donors}. What this chapter needs and the source does "
    "not have: {lacking}. Parts that need it step aside; the published fractions near the end are shown in any case."
)

# %% [markdown]
# ## The ratio that the card suggests
#
# The card of the dataset divides type I nuclei by type I and type II nuclei, pools all nuclei of an age group, and
# averages three young and two old groups. Each group then counts once, whether it holds one donor or three, and within
# a group the donor with most nuclei decides. Below is that number, and then the same nuclei donor by donor.

# %%
by_group, card = fibers.card_ratio(obs)
ratios = fibers.type_one_shares(fibers.count_myonuclei(obs))
ways = fibers.compare_ratios(obs, ratios, card)

# %% mystnb={"figure": {"caption": "Share of type I among type I and II nuclei. Left: pooled by age group, as the card computes it. Right: every donor once, with a least-squares line.", "name": "fig-04-ratio"}, "image": {"alt": "Left, bars of the pooled type I share for each age group. Right, one point a donor against age with a dashed least-squares line."}} tags=["hide-input"]
draw_fibers.draw_ratio(by_group, ratios)

# %% tags=["hide-input"]
note.table(ways, "The type I share of young and old, averaged in four ways from the same nuclei.", name="ratio_ways")

# %%
share_slope = fibers.trace({"type I share": (ratios, "log2_odds", "log2 odds")}, seed=seed, draws=n_permutations)

# %% tags=["hide-input", "finding"]
note.record("card_young", card["young"])
note.record("card_old", card["old"])
note.record("ratio_slope", pick(share_slope, "slope_per_decade"), "log2 odds per decade", pick_interval(share_slope, "low", "high"))
note.record("ratio_p", pick(share_slope, "permutation_p"))
note.record("ratio_ways_up", ways.filter(pl.col("difference") > 0).height)
note.record("ratio_ways", ways.drop_nulls("difference").height)
note.say(
    "The card's averages are {card_young.number} for the young and {card_old.number} for the old. Of the {ratio_ways} ways "
    "of averaging that could be computed, those that rise with age: {ratio_ways_up}. With one value a donor the slope is "
    "{ratio_slope}; the same ages given to the donors in another order do as well with p = {ratio_p}."
)

# %% [markdown]
# **Where the sign turns, and why.** Look at the points on the right, and at how much donors of like age differ. An
# average of groups moves with the one donor that fills a group, an average of nuclei with the donor that gave most. The
# line below leaves out one donor at a time. If the smallest and the largest slope lie on both sides of zero, the
# direction hangs on one donor.

# %% tags=["hide-input", "finding"]
note.record("ratio_lowest", pick(share_slope, "lowest_without_one"), "log2 odds per decade")
note.record("ratio_highest", pick(share_slope, "highest_without_one"), "log2 odds per decade")
note.record("ratio_donor", pick(share_slope, "most_influential"))
note.say(
    "Without one donor the slope lies between {ratio_lowest} and {ratio_highest}; donor {ratio_donor} moves it most. "
    "A share of nuclei is not a share of fibers in any case: a longer fiber has more nuclei."
)

# %% [markdown]
# ## The whole tissue, donor by donor
#
# Before any test, look. Donors run from young to old, once for cells and once for nuclei. The two assays are different
# samples: fiber nuclei fill the one, cells between fibers the other. Pooling them would compare assays, not ages.

# %%
table = composition.composition(obs, level=level, age_as="exact" if age_as == "bin" else age_as)
libraries = composition.composition(obs, level=level, unit="library", age_as="exact" if age_as == "bin" else age_as)

# %% mystnb={"figure": {"caption": "Composition of every donor, ordered by age, in cells and in nuclei: the most common types, all others together.", "name": "fig-04-tissue"}, "image": {"alt": "Stacked bars, one a donor ordered by age, upper row cells, lower row nuclei. Colors and hatches mark the most common types."}} tags=["hide-input"]
draw.draw_tissue(table)

# %% tags=["hide-input"]
note.table(composition.shares(table), "Counts and shares of every type in every donor; zeros are kept.", name="composition")

# %% [markdown]
# ## Four tests that respect donors, one that does not
#
# All answer one question in one unit: by how much does the share of a type change (log2) per decade of age?
#
# - **log-ratio**: a line through log-odds of shares, few counts weighted less, variances of all types drawn together
#   ([Phipson et al. 2022](https://doi.org/10.1093/bioinformatics/btac582)).
# - **quasi-binomial**: logistic regression of counts whose donors differ more than chance would make them.
# - **permutation**: how often do the same ages, handed to the donors in another order, do as well?
# - **mixed**: libraries nested in donors. Two libraries of a donor are two looks at one person.
# - **chi-square**: all cells of young against all cells of old. Every cell counts as a witness; shown for contrast.
#
# Sex and chemistry are in the model where the donors can tell them from age. The columns `adjusted_for` and `left_out`
# say what was done, type by type.

# %%
plan = composition_tests.Plan(
    reference=reference,
    exposure=names.AGE_BIN if age_as == "bin" else None,
    min_total=min_total,
    draws=n_permutations,
    seed=seed,
)
covariates = [names.SEX, names.CHEMISTRY]
results = composition_tests.run_all(table, libraries, covariates=covariates, plan=plan)
headline = results.filter(pl.col("method") == ("mixed" if unit == "library" else "log-ratio"))
calls = composition_tests.count_calls(results, fdr=fdr)

# %% mystnb={"figure": {"caption": "Change of every type's share with age, five tests side by side: estimate and 95 % interval. Intervals that leave the panel are cut.", "name": "fig-04-tests"}, "image": {"alt": "Two panels, cells and nuclei, one row a type sorted by effect, with the estimate and the interval of each of the five tests beside a line at zero."}} tags=["hide-input"]
draw.draw_effects(results)

# %% tags=["hide-input"]
note.table(headline.sort("p", nulls_last=True), "The main test: effect with interval, p, Benjamini-Hochberg q.", name="composition_tests", rows=15)

# %% tags=["hide-input"]
note.table(calls, "Types tested, with p and with q below the limit, by test and assay.", name="composition_calls")
_ = note.save("composition_all_tests", results)

# %% tags=["hide-input", "finding"]
agreement = composition_tests.agreement_of_methods(results)
note.record("tested", headline.filter(pl.col("p").is_not_null()).height, "types in an assay")
note.record("called", headline.filter(pl.col("q") < fdr).height)
note.record("called_cells", calls.filter(pl.col("method") == "chi-square")["called"].sum())
note.record("lowest_agreement", agreement["lowest_correlation"])
note.record("same_direction", agreement["same_sign"])
note.say(
    "Tested: {tested}. Called by the main test: {called}; called by the test on cells: {called_cells}. How far the "
    "donor-level tests agree: the lowest correlation between the effects of two of them is {lowest_agreement.number}, and "
    "they all point in one direction for {same_direction:.0%} of the types."
)

# %% [markdown]
# ## Is a test to be believed? Shuffle the ages
#
# Give the ages of the donors to the donors in random order. Now there is nothing to find, and a test that keeps its
# promise has p below the limit as often as the limit says: its histogram is flat.

# %%
null = composition_audit.run_null(table, plan=composition_audit.adjusted_plan(table, covariates, plan), draws=n_null, seed=seed)
rates = composition_audit.false_positives(null)

# %% mystnb={"figure": {"caption": "p-values after shuffling ages between donors. A test that keeps its promise is flat at the dashed line.", "name": "fig-04-null"}, "image": {"alt": "Histograms of p-values of four tests, with a dashed line at the height of a test that keeps its promise."}} tags=["hide-input"]
draw_limits.draw_null(null)

# %% tags=["hide-input", "finding"]
note.record("false_rate_cells", pick(rates, "false_positive_rate", method="chi-square"))
note.record("false_rate_log_ratio", pick(rates, "false_positive_rate", method="log-ratio"))
note.record("false_rate_quasi", pick(rates, "false_positive_rate", method="quasi-binomial"))
note.record("false_rate_permutation", pick(rates, "false_positive_rate", method="permutation"))
note.table(rates, "Share of null tests with p below 0.05, and its spread over the shuffles.", name="null_rates")
note.say(
    "With shuffled ages p fell below 0.05 in this share of tests: chi-square on cells "
    "{false_rate_cells.number}, log-ratio {false_rate_log_ratio.number}, quasi-binomial {false_rate_quasi.number}, "
    "permutation {false_rate_permutation.number}."
)

# %% [markdown]
# ## The compositional trap
#
# Take a made-up tissue in which one common type grows with age and *nothing else happens*. The share of every other
# type falls, and a correct test of shares says so, with small p-values. It is right about shares and wrong about cells.

# %%
trap, planted = frames.trap(seed=seed)
steady = [kind for kind in planted if kind.startswith("steady")][:3]
trap_frames = {"all barcodes": "all", "center of types": "center", "three steady types": steady}
trap_results = frames.sensitivity(trap, references=trap_frames)

# %% mystnb={"figure": {"caption": "A made-up tissue: one type grows (black tick), the others stay. Effects in three frames of reference.", "name": "fig-04-trap"}, "image": {"alt": "One row a type, one marker a frame of reference: all barcodes, the center of the types, three steady types; black ticks at the planted change."}} tags=["hide-input"]
draw.draw_frames(trap_results, truth=planted)

# %% [markdown]
# The cure is not a better test but an honest frame. Here the tissue is measured in three: against all barcodes, against
# the center of the types, and against the types that vary least between donors (chosen without looking at age). What
# holds in all three does not hang on the frame.

# %%
in_frames = frames.sensitivity(table, plan=composition_audit.adjusted_plan(table, covariates, plan))
steadiness = frames.agreement(in_frames)

# %% mystnb={"figure": {"caption": "The most common types in three frames of reference: estimate and 95 % interval.", "name": "fig-04-frames"}, "image": {"alt": "Two panels, cells and nuclei, one row a type, three markers each, one for every frame, with intervals and a line at zero."}} tags=["hide-input"]
draw.draw_frames(in_frames)

# %% tags=["hide-input", "finding"]
note.record("frame_sign_holds", steadiness["same_sign"].mean())
note.record("frame_clear_some", steadiness["clear_in_some"].sum())
note.record("frame_clear_all", steadiness["clear_in_all"].sum())
note.table(steadiness, "Smallest and largest effect over the frames, and whether sign and interval hold in all.", name="frames")
note.say(
    "The sign is the same in all frames for {frame_sign_holds:.0%} of the types. Intervals clear of zero in at least "
    "one frame: {frame_clear_some}; in every frame: {frame_clear_all}."
)

# %% [markdown]
# ## Stem cells, and why pooled shares mislead
#
# The study reports fewer stem cells among the cells of older donors. Within the stem cells, look at the subtypes in two
# ways: pool all cells of young and old, or take each donor's share and fit age with sex and chemistry where they can be
# told apart. In the study's own outputs the TNFRSF12A+ state rises when cells are pooled and falls in a test that adjusts
# for sex and chemistry. Donors with many cells decide a pooled share.

# %%
stem = fibers.subtypes(obs, parent="MuSC", assay=names.CELLS)
stem_plan = composition_audit.adjusted_plan(stem, covariates, composition_tests.Plan(min_total=min_total, seed=seed))
stem_results = composition_tests.slopes(stem, method="log-ratio", plan=stem_plan)
stem_both = fibers.beside_pooled(stem, stem_results)

# %% tags=["hide-input"]
note.table(stem_both, "Subtypes among stem cells of the cells assay: pooled shares, and the donor-level effect.", name="stem_subtypes")

# %% tags=["hide-input", "finding"]
musc = {"assay": names.CELLS, "type": "MuSC"}
note.record("musc_change", pick(headline, "log2_change", **musc), "log2 per step of age", pick_interval(headline, "low", "high", **musc))
note.record("musc_p", pick(headline, "p", **musc))
note.record("musc_q", pick(headline, "q", **musc))
note.record("stem_disagree", stem_both.filter(pl.col("signs_differ"))["type"].str.join(", ").item() or "none")
note.say(
    "The share of stem cells in cells changes by {musc_change}, p = {musc_p}, q = {musc_q} (a step is a decade, or "
    "young to old if so chosen). Subtypes whose pooled and donor-level signs differ: {stem_disagree}."
)

# %% [markdown]
# ## Immune cells, and what one donor does to them
#
# Lymphoid cells rise with age in the published model, and one old donor holds very many of the T cells. Any claim about
# them must survive without that donor.

# %%
immune = ["T-cell", "NK-cell", "B-cell", "B-plasma", "Monocyte", "Macrophage", "Mast", "cDC2"]
without = composition_stability.without(table, left_out_donor, method="log-ratio", plan=composition_audit.adjusted_plan(table, covariates, plan))

# %% mystnb={"figure": {"caption": "Immune types in cells, with all donors and without the donor named by the parameter.", "name": "fig-04-without"}, "image": {"alt": "One row an immune type, two intervals each: all donors, and without one donor."}} tags=["hide-input"]
draw_limits.draw_without(without, donor=left_out_donor, types=immune, assay=names.CELLS)

# %% tags=["hide-input", "finding"]
lymphoid = without.filter((pl.col("assay") == names.CELLS) & pl.col("type").is_in(immune[:4])).drop_nulls()
note.record("left_out", left_out_donor)
note.record("lymphoid_types", lymphoid.height)
note.record("lymphoid_up", lymphoid.filter(pl.col("log2_change") > 0).height)
note.record("lymphoid_up_without", lymphoid.filter(pl.col("log2_change_without") > 0).height)
note.record("lymphoid_clear_without", lymphoid.filter(pl.col("low_without") > 0).height)
note.say(
    "Lymphoid types that could be tested: {lymphoid_types}. Rising with all donors: {lymphoid_up}; without donor "
    "{left_out}: {lymphoid_up_without}, of which clear of zero: {lymphoid_clear_without}."
)

# %% [markdown]
# ## Schwann cells and smooth muscle, and every headline without each donor
#
# Among the strongest falls of the published model in cells are Schwann cells and smooth muscle. The table below repeats
# the log-ratio test without each donor in turn, for every type.

# %%
stability = composition_stability.leave_one_out(table, method="log-ratio", plan=composition_audit.adjusted_plan(table, covariates, plan))

# %% tags=["hide-input"]
note.table(stability.sort("sign_turns", "type"), "Effect of all donors, and its range when one donor is left out.", name="leave_one_out")

# %% tags=["hide-input", "finding"]
for_smc, for_schwann = {"assay": names.CELLS, "type": "SMC"}, {"assay": names.CELLS, "type": "mSchwann"}
note.record("smc_change", pick(headline, "log2_change", **for_smc), "log2 per step of age", pick_interval(headline, "low", "high", **for_smc))
note.record("schwann_change", pick(headline, "log2_change", **for_schwann), "log2 per step of age", pick_interval(headline, "low", "high", **for_schwann))
note.record("smc_turns", pick(stability, "sign_turns", **for_smc))
note.record("schwann_turns", pick(stability, "sign_turns", **for_schwann))
note.record("signs_that_turn", stability["sign_turns"].mean())
note.say(
    "Smooth muscle changes by {smc_change}; does one donor turn its sign? {smc_turns}. Myelinating Schwann cells change by "
    "{schwann_change}; turned by one donor? {schwann_turns}. Of all types tested, {signs_that_turn:.0%} have a sign that "
    "one donor can turn."
)

# %% [markdown]
# ## Fiber type from expression
#
# A nucleus has a label, and it has an amount. The score below is the mean of slow genes minus the mean of fast genes,
# each gene scaled by its spread; the sets and the evidence for each gene are in the table. Asked are four things: the
# score within each label, fast genes in slow nuclei and the reverse, hybrid nuclei and those at nerve and tendon
# junctions, and myosin molecules added up per donor.

# %%
wanted = [g for g in [*published.slow_genes(), *published.fast_genes()] if g in set(muscle.var[names.GENE])]
in_fibers = fibers.find_myonuclei(muscle.obs, usable=obs)
nuclei = composition.with_age(muscle.obs.hstack(muscle.genes(wanted)).filter(in_fibers))
scored, used = fiber_scores.score_nuclei(nuclei, slow=published.slow_genes(), fast=published.fast_genes())
myosins = list(published.MYOSINS.values())
adata = muscle.to_anndata(cells=in_fibers, budget=budget) if in_fibers.any() else None
molecules = fiber_scores.sum_genes(adata, myosins)

# %%
measures = fiber_scores.measure(obs, scored, molecules, myosins=published.MYOSINS, min_cells=min_cells)
traced = fibers.trace(measures, covariates=[names.SEX], seed=seed, draws=n_permutations)

# %% mystnb={"figure": {"caption": "Fiber score of nuclei by label, one column a donor ordered by age: median, quartiles, fifth to ninety-fifth percentile.", "name": "fig-04-scores"}, "image": {"alt": "Three panels, type I, type II and hybrid nuclei, one column a donor ordered by age: median, quartiles and spread of the score, zero as a line."}} tags=["hide-input"]
draw_fibers.draw_scores(scored, labels=[*fibers.MYONUCLEI, fibers.HYBRID])

# %% mystnb={"figure": {"caption": "Slopes of every measure of fiber type, donors as units, adjusted for sex: estimate, 95 % interval, and range without one donor.", "name": "fig-04-slopes"}, "image": {"alt": "Rows of measures in three panels by unit, each with an interval and a thicker bar for the range without one donor, beside a line at zero."}} tags=["hide-input"]
draw_fibers.draw_slopes(traced)

# %% tags=["hide-input"]
note.table(traced, "Every measure of fiber type across age, one value a donor.", name="fiber_slopes", rows=16)
note.table(published.gene_sets(), "Slow and fast genes, and the evidence for each.", name="fiber_gene_sets", rows=20)

# %% tags=["hide-input", "finding"]
fast_in_slow, slow_in_fast = {"measure": "fast genes in MF-I nuclei"}, {"measure": "slow genes in MF-II nuclei"}
hybrid = {"measure": "Hyb among all nuclei"}
note.record("genes_unseen", ", ".join(used["left_out"]) or "none")
note.record("fast_in_slow", pick(traced, "slope_per_decade", **fast_in_slow), "spreads per decade", pick_interval(traced, "low", "high", **fast_in_slow))
note.record("slow_in_fast", pick(traced, "slope_per_decade", **slow_in_fast), "spreads per decade", pick_interval(traced, "low", "high", **slow_in_fast))
note.record("hybrid_change", pick(traced, "slope_per_decade", **hybrid), "log2 per decade", pick_interval(traced, "low", "high", **hybrid))
note.record("measures_clear", traced.filter((pl.col("low") > 0) | (pl.col("high") < 0)).height)
note.record("measures", traced.filter(pl.col("p").is_not_null()).height, "measures")
note.say(
    "Fast genes in type I nuclei change by {fast_in_slow}, slow genes in type II nuclei by {slow_in_fast}; the share "
    "of hybrid nuclei by {hybrid_change}. Of {measures}, those whose interval leaves out zero: {measures_clear}, none "
    "of them adjusted for how many were looked at. Genes of the sets not seen in these nuclei: {genes_unseen}."
)

# %% [markdown]
# ## Fragments
#
# Labels that end in `(fg)` are pieces of fiber without a nucleus, caught as if they were cells. In the study newer
# chemistry catches more of them. Young and old donors were not measured with the chemistries in equal parts, so a rise
# of fragments with age and a change of chemistry are partly the same thing.

# %%
pieces = fibers.fragment_shares(obs)

# %% mystnb={"figure": {"caption": "Fragments in every library, by age and chemistry; logarithmic axis, zero at the bottom.", "name": "fig-04-fragments"}, "image": {"alt": "Two panels, cells and nuclei, one mark a library: the share of fragments against age, with a shape for each chemistry."}} tags=["hide-input"]
draw_fibers.draw_fragments(pieces)

# %% tags=["hide-input", "finding"]
kinds = fibers.contrast_chemistry(pieces)
note.record("fragment_ratio", kinds["log2_ratio"], "log2, v3 over v2 libraries of cells")
note.record("fragment_donors", kinds["donors"], "donors")
note.say("Fragments in cells, newer over older chemistry, donors averaged: {fragment_ratio}, from {fragment_donors}.")

# %% [markdown]
# ## Types that are one donor
#
# Some of the finest labels come from one person. No statistic can tell such a label from that person.

# %%
finest = composition.composition(obs, level=names.LEVEL2)
dominance = composition_stability.dominance(finest)

# %% mystnb={"figure": {"caption": "The finest labels with the largest part from one donor; donor and barcodes of the label beside the bar.", "name": "fig-04-dominance"}, "image": {"alt": "Bars of the part that one donor holds of a label, longest on top, with donor and barcodes beside each bar."}} tags=["hide-input"]
draw_limits.draw_dominance(dominance.filter(pl.col("total") >= min_total))

# %% tags=["hide-input", "finding"]
enough = dominance.filter(pl.col("total") >= min_total)
note.record("labels_seen", enough.height, "labels in an assay")
note.record("labels_of_one_donor", enough.filter(pl.col("largest_part") > 0.9).height)
note.table(dominance, "How much of each finest label comes from one donor.", name="dominance")
note.say("Of {labels_seen} with enough barcodes, those of which one donor holds more than nine tenths: {labels_of_one_donor}.")

# %% [markdown]
# ## What these donors could have shown
#
# An effect that was not found may be absent, or too small for a dozen donors. From the spread between donors follows
# the smallest change that four of five such studies would have found.

# %%
power = composition_audit.power(headline)
slopes_known = published.published_slopes()

# %% mystnb={"figure": {"caption": "The smallest change found with a power of 80 % by these donors and by twice as many, beside the size of published slopes.", "name": "fig-04-power"}, "image": {"alt": "Two panels, one row a type: the smallest change that these donors and twice as many can detect, and a mark for the published slope."}} tags=["hide-input"]
# facts: 80
draw_limits.draw_power(power, slopes_known)

# %% tags=["hide-input", "finding"]
# facts: 80
within_reach = composition_audit.count_reachable(power, slopes_known)
note.record("power_types", within_reach["types"])
note.record("power_reached", within_reach["reached"])
note.record("power_reached_twice", within_reach["reached_with_twice"])
note.table(power, "Smallest detectable change by type, two-sided at 0.05, power 80 %.", name="power")
note.say(
    "Types with a published slope and a test per decade: {power_types}. With these donors the published slope is within "
    "reach for {power_reached}, with twice as many donors for {power_reached_twice}."
)

# %% [markdown]
# ## Scoring against what was planted
#
# A simulated atlas knows its truth. Planted is a change of *abundance*; shares move by that minus the change of
# everything together, so the truth is translated into shares before intervals are compared with it.

# %%
truth = composition_scoring.read_truth(muscle.truth("composition"), level=level)
scored_tests = composition_scoring.score_all(results, table, truth, covariates=covariates, plan=plan)
coverage = composition_scoring.summarize(scored_tests)

# %% tags=["hide-input", "finding"]
main = {"method": headline["method"][0] if headline.height else ""}
note.record("planted_types", pick(coverage, "types", **main))
note.record("coverage", pick(coverage, "coverage", **main))
note.record("sign_recovered", pick(coverage, "sign_recovered", **main))
note.record("coverage_cells", pick(coverage, "coverage", method="chi-square"))
note.table(coverage, "Coverage of planted changes, bias, error, and signs of changes above twice the standard error.", name="coverage")
note.say(
    "Types with a planted truth: {planted_types}. Share of 95 % intervals of the main test that hold the truth: "
    "{coverage.number}; share of large planted changes with the right sign: {sign_recovered.number}. The test on cells covers "
    "{coverage_cells.number}. On real data there is no planted truth, and these read not available."
)

# %% [markdown]
# One atlas is one draw of donors, and its types share those donors: an unlucky draw moves many types at once. Whether
# intervals keep their promise shows over many draws. Here the ages, sexes, chemistries and totals of the donors above
# are kept, changes as large as the published ones are planted, and everything else is drawn again and again.

# %%
sweep = composition_audit.sweep(table, slopes_known, covariates=covariates, draws=n_null, seed=seed)

# %% tags=["hide-input", "finding"]
note.record("sweep_coverage", pick(sweep, "coverage", method="log-ratio"))
note.record("sweep_coverage_quasi", pick(sweep, "coverage", method="quasi-binomial"))
note.record("sweep_sign", pick(sweep, "sign_recovered", method="log-ratio"))
note.table(sweep, "Redrawn donors: coverage of 95 % intervals, bias, error, and recovered signs.", name="sweep")
note.say(
    "Over all draws the intervals hold the planted change in this share of cases: log-ratio {sweep_coverage.number}, "
    "quasi-binomial {sweep_coverage_quasi.number}; signs of large changes are right in {sweep_sign.number}."
)

# %% [markdown]
# ## Beside the published slopes
#
# The [study](https://doi.org/10.1038/s43587-024-00613-3) fits mixed models to the counts of libraries; those compared here are its fits to one
# assay. They take libraries for replicates and leave donor and sex out; this page takes donors, and adjusts for sex
# where it can be told from age. Slopes are per standard deviation of age, as published.

# %%
beside = composition_scoring.beside_published(headline, slopes_known, age_sd=study.AGE_SD)
agreeing = composition_scoring.agree(beside)

# %% mystnb={"figure": {"caption": "Slopes found in this run against published slopes, per standard deviation of age, with 95 % intervals; dashed: equal.", "name": "fig-04-published"}, "image": {"alt": "Scatter of found against published slopes, circles for cells, squares for nuclei, with intervals and a dashed diagonal."}} tags=["hide-input"]
draw.draw_published(beside)

# %% tags=["hide-input", "finding"]
note.record("published_types", agreeing["types"])
note.record("published_correlation", agreeing["correlation"])
note.record("published_same_sign", agreeing["same_sign"])
note.record("clear_types", agreeing["clear_types"])
note.record("clear_same_sign", agreeing["clear_same_sign"])
note.table(beside, "Found and published slopes, log2 per standard deviation of age.", name="published_slopes")
note.say(
    "Types with both slopes: {published_types}; correlation {published_correlation}; same sign: {published_same_sign}. "
    "Of {clear_types} that the study calls clear, {clear_same_sign} have the same sign here. On simulated data this "
    "compares with slopes that were planted from the study, so agreement is a check of the method, not of biology."
)

# %% [markdown]
# ## Real data: the published fractions, tested again
#
# **Everything in this section is real, whatever the rest of the page shows.** The study prints the fraction of each type
# in every group of libraries of a donor. These were read off its figures. A reading loses points that lie on each other:
# those a person can tell were added, the rest is counted as lost and put at zero, where they most likely lie. With so
# few groups every arrangement of young and old can be listed, so the p-values are exact.

# %%
real = published.completed_fractions()
retested = fractions.retest(real)
panels = retested.filter(pl.col("lost") == 0).sort("rank_sum_p", nulls_last=True).select(names.ASSAY, names.LEVEL0).head(8).rows()

# %% mystnb={"figure": {"caption": "REAL DATA, read off the published figures: fractions of library groups, young against old, for the fully read types with the smallest p-values. Line: median.", "name": "fig-04-fractions"}, "image": {"alt": "Small panels of published fractions, one a type and assay: a point a group of libraries, young and old side by side, a line at the median."}} tags=["hide-input"]
draw_limits.draw_fractions(real, types=panels)

# %% tags=["hide-input"]
note.table(retested, "REAL DATA: published fractions tested again; smallest p first within each assay.", name="real_fractions", rows=14)

# %% tags=["hide-input", "finding"]
smallest = retested.sort("rank_sum_p", nulls_last=True)
note.record("real_first", smallest[names.LEVEL0][0])
note.record("real_first_assay", smallest[names.ASSAY][0])
note.record("real_first_p", smallest["rank_sum_p"][0])
note.record("real_first_permutation_p", smallest["permutation_p"][0])
note.record("real_smallest_q", retested["rank_sum_q"].min())
note.record("real_called", retested.filter((pl.col("rank_sum_q") < fdr) | (pl.col("permutation_q") < fdr)).height)
note.record("real_tested", retested.filter(pl.col("rank_sum_p").is_not_null()).height, "types in an assay")
note.record("real_lost", int(retested["lost"].sum()), "points")
note.say(
    "**Real data.** Tested: {real_tested}; lost in reading: {real_lost}. The smallest p belongs to {real_first} in "
    "{real_first_assay}: rank sum {real_first_p}, permutation of root fractions {real_first_permutation_p}. The smallest "
    "adjusted p is {real_smallest_q}; left after adjustment: {real_called}. The study's own adjusted rank tests left none."
)

# %% [markdown]
# Its mixed model over libraries nevertheless calls many types, from the same tissue. The two differ in more than one way:
# exact age against two groups, types fitted together against one by one, and what counts as a replicate. A model in
# which libraries of one donor are independent has more replicates than there are people. In nuclei even the groups here
# are not all different people: two donors seem to appear with two chemistries.

# %% tags=["hide-input"]
note.table(fractions.beside_slopes(retested, slopes_known), "REAL DATA: exact p of the fractions beside the published mixed-model slopes.", name="real_beside_slopes", rows=14)

# %% [markdown]
# ## What imaging would have to answer
#
# - How many *fibers* of each type are there, and how thick are they? Nuclei do not count fibers.
# - Do single fibers hold slow and fast myosin protein at once? A nucleus shows transcripts of one place in a fiber.
# - Are fibers grouped by type, as after loss and regrowth of nerves? Dissociated nuclei have lost their neighbors.
# - Are nuclei at nerve junctions more, or only easier to catch? Staining of junctions can count them.
#
# **Limits.** The study's donors are deceased organ donors with different days in hospital. All its young donors of the
# cells assay are men; sex is adjusted for, but no young woman is there to check it. Four age groups are one donor each.
# Effects are of
# shares in what an assay catches, not of numbers of cells in a muscle.

# %% [markdown] tags=["exercise"]
# ````{exercise} A share within a frame
# :label: ex-04-push
# Three types have counts in young and old tissue. Write a function `log2_change(young, old, kind, reference)` that takes
# two dictionaries of counts and returns the log2 change of `kind` (old over young) *relative to* the type `reference`.
# ````

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# Divide the count of the type by the count of the reference, in each tissue, and compare the two ratios. Totals cancel.
# :::

# %% tags=["solution", "hide-cell"]
from math import log2


def log2_change(young, old, kind, reference):
    return log2(old[kind] / old[reference]) - log2(young[kind] / young[reference])


check("04.push", log2_change)

# %% [markdown] tags=["exercise"]
# ````{exercise} An exact permutation p
# :label: ex-04-exact
# Write `exact_p(young, old)`: two short lists of donor fractions in, the exact two-sided permutation p of the difference of
# means out. List every way to choose who is young. Mind that equal differences count.
# ````

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# `itertools.combinations(range(n), k)` lists every choice. Compare with a small tolerance, and count the observed one.
# :::

# %% tags=["solution", "hide-cell"]
from itertools import combinations


def exact_p(young, old):
    values = [*young, *old]
    size, total = len(young), sum([*young, *old])
    sums = [sum(values[i] for i in chosen) for chosen in combinations(range(len(values)), size)]
    gaps = [abs(s / size - (total - s) / (len(values) - size)) for s in sums]
    return sum(gap >= gaps[0] - 1e-12 for gap in gaps) / len(gaps)


check("04.exact", exact_p)

# %% [markdown] tags=["exercise"]
# ````{exercise} The smallest p that twelve donors allow
# :label: ex-04-smallest
# With five young and seven old donors, what is the smallest p that an exact two-sided permutation test of young against
# old can give, if no arrangement but the observed one is as extreme? Give the number.
# ````

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# How many ways are there to choose five of twelve? The observed one is one of them.
# :::

# %% tags=["solution", "hide-cell"]
from math import comb

smallest_p = 1 / comb(12, 5)
check("04.smallest", smallest_p)

# %% [markdown] tags=["exercise"]
# ````{exercise} Who is missing from the cells assay
# :label: ex-04-nuclei
# From the table of donors in `helpers.facts.study`, find the identifiers of all donors *without* cells (no chemistry in
# `cells_10X_version`), sorted. These are the donors for whom fragments in cells say nothing.
# ````

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# `study.donors().filter(pl.col("cells_10X_version").is_null())`
# :::

# %% tags=["solution", "hide-cell"]
nuclei_only = sorted(study.donors().filter(pl.col("cells_10X_version").is_null())["DonorID"])
check("04.nuclei", nuclei_only)

# %% [markdown]
# ## In one paragraph

# %% tags=["hide-input", "finding"]
note.say(
    "The type I share of nuclei has a slope of {ratio_slope} and a permutation p of {ratio_p}; without one donor it lies "
    "between {ratio_lowest.number} and {ratio_highest.number}. Of {tested} the main donor-level test calls {called}, the "
    "test on cells {called_cells}; on shuffled ages that one errs at {false_rate_cells.number}, the log-ratio test at "
    "{false_rate_log_ratio.number}. In the real published fractions the smallest p is {real_first_p} ({real_first}); types "
    "left after adjustment: {real_called}."
)

# %% tags=["hide-input"]
note.provenance(muscle.describe())
