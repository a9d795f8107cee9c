# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["header"]
# # Prediction that respects donors
#
# **Question.** What can be predicted about a person who was not in the training data: age, sex, cell types, the
# assay?
#
# **You will** predict age with whole donors left out, set the error beside the mean, beside permuted ages and beside
# the split that leaks; find which cell types carry age; label cells of unseen donors and of the other assay; list the
# cells whose label the model disputes; and see sex and assay read off the data.
#
# **Before you start.** [Quality control](02_quality) for the design; [genes that change with age](03_age_de) for
# profiles of donors.
#
# **Time** 45 minutes to read, 30 for the exercises.
# **Memory** under 2 GiB on the default atlas, under 6 GiB at full size.
#
# **What can go wrong.** Split the cells at random, as the data set's public card suggests, and cells of every donor
# stand on both sides. The model can then recognize the person and look up the age. The error shrinks and says nothing
# about anyone else.

# %%
import polars as pl

from helpers import findings, names, sources
from helpers.analysis import age_cards, age_classes, age_scoring, age_types, ages, kind_cards, kind_tasks, sexes
from helpers.atlas import recovery
from helpers.facts import study
from helpers.figures import prediction as draw
from helpers.figures import style

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny", "n_permutations": 40}}
atlas: str = "demo"  # data: demo, tiny, a release folder, or an .h5ad file
cell_type: str = "MuSC"  # coarse type whose donors' profiles predict age
assay: str = "cells"  # assay of those profiles {cells, nuclei}
min_cells: int = 10  # cells a donor needs for a profile [1, 1000]
n_permutations: int = 200  # permutations of age over donors [10, 10000]
n_folds: int = 4  # groups of donors that are left out in turn when cells are labeled [3, 17]
dispute_odds: float = 20.0  # a label is disputed when another is this many times as probable [1, 1000000]
budget: str = "6 GiB"  # memory that loading may take
seed: int = 1  # of splits, permutations and bootstraps [0, 1000000]
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("08_prediction", globals())

# %%
muscle = sources.open_atlas(atlas)
recovered = recovery.with_counts(muscle, budget=budget)
adata = recovered.adata

# %% tags=["hide-input", "finding"]
note.record("data_kind", "simulated" if muscle.simulated else "real")
note.record("missing", ", ".join(muscle.missing) or "nothing")
note.say("This page shows **{data_kind}** data. Missing from this source: {missing}.")

# %% [markdown]
# ## Age, one donor at a time
#
# The rows are donors, not cells: the molecules of all cells of one type are summed per donor. With each donor in turn
# left out, genes are chosen, scaled and the model tuned on the others alone, and the age of the one left out is
# predicted. Predicting everybody's age as the mean of the others is the baseline; a model that cannot beat it has
# learned nothing.

# %%
profiles = age_types.profiles(adata, counted=recovered.found, min_cells=min_cells)
features, years, people = age_types.donor_features(profiles, cell_type=cell_type, assay=assay)
predicted = {name: ages.leave_donors_out(features, years, people, model=name, seed=seed) for name in ages.usable(people)}

# %% [markdown]
# The same, by ridge regression, with the ages dealt out anew to the donors. Whatever error comes out then is what chance
# gives with these donors and this many genes.

# %%
null = ages.permute_ages(features, years, n_permutations=n_permutations, seed=seed)

# %% [markdown]
# And the warning: each donor's cells are dealt into pieces, the pieces are split at random, and everything else stays
# as it was.

# %%
pieces = age_types.split_donors(adata, cell_type=cell_type, assay=assay, counted=recovered.found, seed=seed)
leaked = ages.leak(*pieces, seed=seed)

# %%
cards = age_cards.collect(predicted, leaked, task=cell_type, seed=seed)

# %% mystnb={"figure": {"caption": "Error of predicting age for donors left out, by three models and by the mean of the others, with a bootstrap interval over donors. Shaded: ages permuted over donors. The cross marks the split that leaks.", "name": "fig-08-errors"}, "image": {"alt": "Dot chart of mean absolute errors in years with intervals: the models with donors left out, the mean of the others, a shaded band of errors under permuted ages, and a cross for the leaking split."}} tags=["hide-input"]
draw.draw_errors(cards, null)

# %% tags=["hide-input", "finding"]
best = age_cards.best(cards, null)
note.record("donors_predicted", len(people), "donors")
note.record("mae_model", best["mae"], "years", interval=best["interval"])
note.record("best_model", best["model"])
note.record("mae_mean", best["mean"], "years")
note.record("mae_permuted", best["permuted"], "years")
note.record("p_permuted", best["p"])
note.record("mae_leaking", best["leaking"], "years")
note.record("r2_model", best["r2"])
note.say(
    "For {donors_predicted} left out in turn, the model of least error, {best_model}, misses the age by {mae_model:.1f}; it "
    "was picked after looking, so that its error flatters itself a little. The mean of the others misses by "
    "{mae_mean:.1f}. Ridge regression on permuted ages gives {mae_permuted:.1f} at the median; as small an error as that of "
    "ridge on the true ages has p = {p_permuted}. The leaking split claims **{mae_leaking:.1f}**, which is a promise for "
    "nobody new. (R squared of the honest model: {r2_model}.)"
)

# %% tags=["hide-input"]
note.table(cards, "Report card of age. The best honest model was picked after looking: its error flatters itself a little.", name="age_cards")

# %% mystnb={"figure": {"caption": "Age predicted by ridge regression for each donor left out, against true age. Dashes: mean of the other donors. Dotted: perfect.", "name": "fig-08-ages"}, "image": {"alt": "Scatter plot of predicted against true age with one labeled mark a donor, the diagonal, and dashes at the mean of the other donors."}} tags=["hide-input"]
draw.draw_ages(predicted.get("ridge", pl.DataFrame(schema=ages.PREDICTIONS_SCHEMA)))

# %% [markdown]
# Young or old is a coarser question. It is graded the same way, each donor by a model without that donor, and set
# beside the same models with young and old dealt anew to the donors. AUROC asks whether old donors rank above young
# ones; being right also needs the cut between them in the right place. With so few donors the interval is wide
# whatever the model: read it before the share. Expect permuted labels to rank *below* one half: without the donor left
# out, the others hold fewer of that donor's group, and a model with nothing to read leans the wrong way.

# %%
classes = age_classes.classify(features, years, people)
class_null = age_classes.permute(features, years, n_permutations=n_permutations, seed=seed)
verdict = age_classes.grade(classes, class_null)

# %% tags=["hide-input", "finding"]
note.record("class_accuracy", verdict["accuracy"], interval=verdict["interval"])
note.record("class_baseline", verdict["baseline"])
note.record("class_auroc", verdict["auroc"])
note.record("class_auroc_permuted", verdict["permuted"])
note.record("class_p", verdict["p"])
note.record("class_wrong_ages", verdict["wrong"])
note.say(
    "Young or old is right for {class_accuracy:.0%} of the donors; always guessing the larger group: {class_baseline:.0%}. "
    "AUROC {class_auroc}, with permuted labels {class_auroc_permuted} at the median (p = {class_p}). Ages in years of the "
    "donors on the wrong side: {class_wrong_ages}."
)

# %% [markdown]
# ## Which cell types carry age
#
# Ridge regression, type by type and assay by assay, each against its own permutations. Expect the types with many
# cells first: a profile of few cells is mostly noise. On simulated data, types without a planted effect should stay
# silent.

# %%
scan = age_types.scan(profiles, n_permutations=n_permutations, seed=seed)

# %% mystnb={"figure": {"caption": "Years by which leaving-one-donor-out ridge regression beats the mean of the others, by type and assay (number of donors in brackets). Filled: better than permuted ages at q below 0.05.", "name": "fig-08-types"}, "image": {"alt": "Dot chart, one row a cell type and assay, sorted by how many years better than the mean the prediction is. Filled marks beat the permutation null, open marks do not."}} tags=["hide-input"]
draw.draw_types(scan)

# %% tags=["hide-input"]
note.table(scan, "Age by cell type, donors left out, permutation p and Benjamini-Hochberg q.", name="age_by_type")

# %% tags=["hide-input", "finding"]
planted = age_scoring.compare(scan, muscle.truth("age_expression"))
note.record("types_tested", scan.height, "types and assays")
note.record("types_informative", scan.filter(pl.col("q") < 0.05).height, "types and assays")
note.record("planted_found", planted["found"])
note.record("planted_total", planted["planted"])
note.record("silent_called", planted["false"])
note.say(
    "Types and assays tested: {types_tested.number}; age predicted better than chance at q below 0.05: "
    "{types_informative.number}. With an effect planted: {planted_total.number}, of which called: {planted_found.number}; "
    "called without a planted effect: {silent_called.number}."
)

# %% [markdown]
# ## Cell types of people not seen before
#
# Labels at three levels, predicted from a linear model on a low-rank view of expression, with groups of donors left
# out. The random split stands beside it. Expect it to do less harm here than with age: cell types differ more than
# people do. Look at the macro average, in which a rare type weighs as much as a common one.
#
# Transfer between assays is graded in the same way: a model learns from one assay of some donors and is tested on the
# other assay of *other* donors. Were the same people on both sides, part of what carried over could be theirs. A donor
# measured in one assay only is learned from, or tested, but never both.
#
# Each honest row has an interval over donors: the donors tested are drawn again with replacement, and the score is
# computed anew from the same predictions. It tells how much the score hangs on who was tested. A type that none of the
# drawn donors has is left out of that draw, so that intervals of macro F1 lean upward where many types are rare. A split
# that leaks gets no interval, for none would make it true.

# %%
plan = kind_tasks.donor_plan(adata, n_folds=n_folds, seed=seed)
levels = kind_tasks.by_level(adata, plan, seed=seed)
transfer = kind_tasks.across_assays(adata, n_folds=n_folds, seed=seed)

# %% mystnb={"figure": {"caption": "Accuracy (circles) and macro F1 (squares) of cell-type labels, by level and split, and across assays; lines are 95 % intervals over donors, where the split is honest.", "name": "fig-08-cards"}, "image": {"alt": "Dot chart, one row a task and split: accuracy and macro F1 between zero and one with interval lines over donors, for three levels of labels and for transfer between assays."}} tags=["hide-input"]
draw.draw_cards(pl.concat([levels.cards, transfer.cards]))

# %% tags=["hide-input"]
note.table(pl.concat([levels.cards, transfer.cards]), "Report card of cell types, with 95 % intervals over donors (models not fitted again).", name="type_cards")

# %% tags=["hide-input", "finding"]
across = kind_cards.summarize(levels, transfer)
note.record("macro_f1_donors", **across["donors"])
note.record("macro_f1_fine", **across["fine"])
note.record("macro_f1_to_nuclei", **across["to_nuclei"])
note.record("macro_f1_to_cells", **across["to_cells"])
note.record("macro_f1_to_nuclei_aware", **across["to_nuclei_aware"])
note.say(
    "Macro F1 of coarse labels for donors left out: **{macro_f1_donors}**, of the finest labels {macro_f1_fine}. Between "
    "assays, on the labels that both hold and for donors left out: from cells to nuclei {macro_f1_to_nuclei}, from nuclei "
    "to cells {macro_f1_to_cells}; a reader that centers each assay, the new one on the donors tested, reaches "
    "{macro_f1_to_nuclei_aware} on nuclei."
)

# %%
per_class = kind_cards.classes(levels, names.LEVEL0)

# %% mystnb={"figure": {"caption": "Recall of each coarse label for donors left out against its number of cells; the lowest are named.", "name": "fig-08-recall"}, "image": {"alt": "Scatter plot of recall against number of cells on a logarithmic axis, one mark a cell type; those of lowest recall are named."}} tags=["hide-input"]
draw.draw_recall(per_class)

# %% tags=["hide-input"]
note.table(per_class, "Recall, precision and AUROC by coarse label, rarest first.", name="type_classes", rows=36)

# %% [markdown]
# Not all errors are equal. Taking one fibroblast state for another is a matter of names; taking a fibroblast for a
# stem cell is not.

# %% tags=["hide-input", "finding"]
errors = kind_cards.errors_in_tree(levels, adata.obs)
note.record("fine_right", errors["right"])
note.record("fine_within", errors["within_parent"])
note.record("fine_across", errors["across_parents"])
note.say("Finest labels right: {fine_right:.1%}; wrong within the same coarse type: {fine_within:.1%}; wrong across types: {fine_across:.1%}.")

# %% [markdown]
# ## Labels the model disputes
#
# Each cell was judged by a model that never saw its donor. Where another label is many times as probable as the given
# one, the label deserves a second look: it may be wrong, or the cell a doublet, or the model naive.

# %%
disputes = kind_cards.disputes(levels, names.LEVEL0)
by_type = kind_cards.count_disputes(disputes, kind_cards.column(adata, names.LEVEL0), odds=dispute_odds)
by_donor = kind_cards.count_disputes(disputes, kind_cards.column(adata, names.DONOR), odds=dispute_odds)

# %% mystnb={"figure": {"caption": "Share of cells whose coarse label is disputed, by given label; the number beside a bar is cells.", "name": "fig-08-disputes"}, "image": {"alt": "Bar chart, one row a cell type, of the share of cells for which the model prefers another label by the chosen odds."}} tags=["hide-input"]
draw.draw_disputes(by_type)

# %% tags=["hide-input"]
note.table(pl.concat([by_type, by_donor]), "Disputed labels by type and by donor.", name="disputed")

# %% tags=["hide-input", "finding"]
noise = kind_cards.score_disputes(disputes, muscle.obs, muscle.truth("cells"))
note.record("disputed_cells", int(by_type["disputed"].sum()), "cells")
note.record("noise_planted", noise["planted"])
note.record("noise_precision", noise["precision"])
note.say(
    "Disputed: {disputed_cells}. Labels planted wrong: {noise_planted.number}; precision when half of them are found: "
    "**{noise_precision}**. (Real data hold no plant, and these read *not available*.)"
)

# %% [markdown]
# ## Sex, and the assay
#
# Sex is written on two chromosomes. Expect XIST and a handful of Y genes to tell it almost without error, and all other
# genes, for donors not seen before, to leave little more than a guess. What looks better than that with random cells is
# the donor again. The assay should be the easiest of all, and is the most dangerous: a model trained on both can learn
# it first.
#
# Centering each assay is the usual remedy. How much does it hide? A linear reader cannot tell: it compares means, and
# centering makes the means of the assays equal in every training set. Such a reader falls back on the assay of which
# its training donors have more cells, the donors left out tend to have more of the other, and it comes out *below*
# chance, by construction. So the reader here also looks at how components vary and go together, the centers are those
# of the training donors, and both assays weigh alike: balanced accuracy, where one half is a guess.

# %%
linked = study.genes().filter(pl.col("chromosome").is_in(["X", "Y"]))["symbol"].to_list()
sex = kind_tasks.sex(adata, plan, genes=sexes.known_genes(muscle.var), sex_linked=linked, seed=seed)
protocol = kind_tasks.protocol(adata, plan, seed=seed)
votes = kind_cards.grade_donors(sex, kind_cards.column(adata, names.DONOR))

# %% tags=["hide-input"]
note.table(pl.concat([sex.cards, protocol.cards]), "Report card of sex and assay, donors left out.", name="sex_protocol_cards")
note.table(votes, "Sex of each donor by the vote of the donor's cells.", name="sex_votes", rows=34)

# %% tags=["hide-input", "finding"]
read = kind_cards.summarize_sex(votes, protocol, kind_cards.column(adata, names.DONOR), seed=seed)
note.record("sex_from_genes", **read["genes"])
note.record("sex_from_rest", **read["rest"])
note.record("assay_balanced", **read["assay"])
note.record("assay_balanced_aware", **read["assay_aware"])
note.say(
    "Donors whose sex is read right from XIST and Y genes: {sex_from_genes:.0%}; from everything else: "
    "{sex_from_rest:.0%}. Balanced accuracy of the assay: {assay_balanced:.1%}, and {assay_balanced_aware:.1%} once each "
    "assay is centered: what centering leaves of the assay."
)

# %% [markdown]
# ## What the study reported
#
# The study's notebooks train no clock, so there is no error to compare with. The public card expects models to recover
# sex from Y genes, which the table above tests, and aging genes such as CDKN2A and TP53, for which no source of the study
# that we could read shows evidence; the [chapter on signatures](07_signatures) tests them.

# %% [markdown]
# ## Limits
#
# - The donors are few. The interval around each error is the honest part of the result; a difference between two
#   models inside it is no difference.
# - Among the study's single cells all young donors are men, so a predictor of age may read sex. The sex genes are a small
#   part of the features, but nothing in these data can prove that they, or a hospital stay, are not what was read.
# - Permuting ages keeps the confounding of donors with chemistry; it tests chance, not cause.
# - Predictions are drawn toward the mean, as any shrunken regression does: the old look younger, the young older.

# %% [markdown] tags=["exercise"]
# ```{exercise} A split that does not leak
# :label: ex-08-split
# Write `leave_out(donors, name)` that returns two lists of row numbers, training and test, such that all rows of the
# donor `name`, and only those, are tested.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# Go through the rows with `enumerate` and compare each donor with `name`.
# :::

# %% tags=["solution", "hide-cell"]
from helpers.book.workshop import check


def leave_out(donors, name):
    test = [row for row, donor in enumerate(donors) if donor == name]
    train = [row for row, donor in enumerate(donors) if donor != name]
    return train, test


check("08.split", leave_out)

# %% [markdown] tags=["exercise"]
# ```{exercise} Beat the mean
# :label: ex-08-baseline
# Write `baseline_error(ages)`: the mean absolute error, in years, when each donor's age is predicted as the mean of
# the *other* donors' ages.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# The mean of the others is the total without the one, divided by one less than the number.
# :::

# %% tags=["solution", "hide-cell"]
def baseline_error(ages):
    total, n = sum(ages), len(ages)
    return sum(abs(age - (total - age) / (n - 1)) for age in ages) / n


check("08.baseline", baseline_error)

# %% [markdown] tags=["exercise"]
# ```{exercise} Macro against micro
# :label: ex-08-macro
# Write `macro_recall(truth, predicted)`: recall computed class by class over the classes in `truth`, then averaged with
# equal weight.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# For each class: of the rows that truly are in it, the share predicted as it.
# :::

# %% tags=["solution", "hide-cell"]
def macro_recall(truth, predicted):
    recalls = []
    for label in sorted(set(truth)):
        hits = [guess == label for true, guess in zip(truth, predicted, strict=True) if true == label]
        recalls.append(sum(hits) / len(hits))
    return sum(recalls) / len(recalls)


check("08.macro", macro_recall)

# %% [markdown]
# ## In one sentence

# %% tags=["hide-input", "finding"]
note.say(
    "For donors left out, the best of the models tried misses the age by {mae_model:.1f} where the mean misses by "
    "{mae_mean:.1f}, and the leaking split would have promised {mae_leaking:.1f}."
)

# %% tags=["hide-input"]
note.provenance(muscle.describe())
