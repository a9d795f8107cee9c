# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["header"]
# # An atlas of cell embeddings, out of core
#
# **Question.** What is in an atlas of hundreds of millions of cell embeddings that nobody can open at once, and what
# are its predicted labels worth?
#
# **You will** check the files of the scPRINT-2 atlas, survey all of them in one pass, name what is missing, ask how
# far the model's first and second choices agree, count labels that cannot be true, find out what each block of the
# embedding knows, train a model without loading the data, and set skeletal muscle beside the muscle atlas.
#
# **Before you start.** [Loading the atlas](01_loading) for the muscle atlas. You know what a logit is.
#
# **Time** 40 minutes to read, 25 for the exercises.
# **Memory** under 1 GiB on the default atlas, under 1 GiB at full size.
#
# **What can go wrong.** The three files of a part carry no cell names: rows are paired by position alone, so a folder
# read in the order of its listing pairs the labels of one part with the embeddings of another and nothing complains.
# And the labels are predictions: read as if they were annotations, they describe the model, not the cells.

# %%
import polars as pl

from helpers import findings, sources
from helpers.figures import scprint as draw
from helpers.figures import style
from helpers.scprint import agreement, clusters, cost, counting, coverage, evaluation, knowledge, labels, layout
from helpers.scprint import models, muscle, ontology, plausibility, probe, sampling, scoring, simulation, statistics
from helpers.scprint import parts as part_files
from helpers.scprint import survey as surveying

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny", "parts": "tiny", "sample": 2000}}
atlas: str = "demo"  # muscle atlas for comparison: demo, tiny, a release folder, or an .h5ad file
parts: str = "demo"  # embedding parts: demo (200,000 simulated cells), tiny (12,000), or a folder
labels_file: str = ""  # Parquet of predicted labels, one row a cell; empty: that part steps aside
decoder_file: str = ""  # label names: JSON, YAML or checkpoint; empty: those beside the parts, if any
ontology_file: str = ""  # cell ontology, obo or JSON; empty: the one beside the parts, if any
classes: str = "cell_type,tissue,age_group"  # two or three classes whose combinations are surveyed
sample: int = 8000  # cells drawn for probes and neighbors [500, 200000]
seed: int = 7  # of the simulation, the sample and the fits [0, 1000000]
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("06_scprint_atlas", globals())

# %% [markdown]
# ## The files
#
# The atlas lies as parts. Each part is three arrays with one row a cell: the embedding, the three best labels of
# every class, and their scores. The public card fixes the columns; the code below knows them by name.

# %%
folder = simulation.open_parts(parts, seed=seed)
truth = simulation.read_truth(folder)
checked = part_files.check(folder)
decoder = labels.beside(folder, named=decoder_file)
tree = ontology.beside(folder, named=ontology_file)

# %% tags=["hide-input", "finding"]
faulty = checked.filter(pl.col("status") == "fault")
note.record("parts_found", checked.height, "parts")
note.record("parts_faulty", faulty.height, "parts")
note.record("parts_kind", "real" if truth is None else "simulated")
note.record("classes_decoded", sum(decoder.knows(name) for name in layout.CLASSES), "classes")
note.say(
    "This page reads **{parts_kind}** parts: {parts_found} found, with a fault {parts_faulty.number}. Label names are "
    "known for {classes_decoded}; labels of the others are shown as the numbers they are."
)

# %% tags=["hide-input"]
note.table(checked, "Every part, checked to its last byte: siblings, widths, rows, checksums, NaN.", name="parts")
note.table(cost.file_sizes(folder), "The three kinds of file, here and in the whole atlas.", name="file_sizes")

# %% [markdown]
# Three mistakes to expect in such a folder: a sibling file that was never uploaded, a download that stopped, and an
# array one row shorter than its siblings. A part with a fault is named and left out; the others count.

# %% [markdown]
# ## One pass over everything
#
# The survey reads each part once and keeps what can be merged: counts of labels and of their combinations, histograms
# of scores, means and covariances of the embedding. What it learns of a part is kept under a fingerprint of its
# content. A second survey reads nothing, a new part costs only itself, and a survey that was stopped goes on.

# %%
plan = statistics.plan_for(classes, covariance_every=4)
survey = surveying.run(folder, plan=plan)
counted = survey.parts.filter(pl.col("status") == "counted")["part"].to_list()

# %% tags=["hide-input", "finding"]
note.record("cells", survey.cells, "cells")
note.record("parts_counted", len(counted), "parts")
note.record("classes_missing", ", ".join(survey.missing_classes) or "none")
note.say("Counted: **{cells}** in {parts_counted}. Classes without a column in some part: {classes_missing}.")

# %% tags=["hide-input"]
note.table(
    survey.blocks(),
    "The blocks of the embedding: spread, and how many directions carry it (participation ratio).",
    name="blocks",
)

# %% [markdown]
# ## What exists and what is missing
#
# A model trained on this atlas has seen what is here and nothing else. Of all combinations of the labels that occur,
# few are filled. The crosses in the figure are empty cells: some cannot exist, others nobody has sampled. The table
# does not know which; a biologist does.

# %%
named = [name.strip() for name in classes.split(",")]
pairs = [survey.count(*pair, decoder=decoder) for pair in statistics.PAIRS if pair in survey.tables]
triple = survey.count(*named, decoder=decoder)
filled = coverage.summarize([triple, *pairs])
gaps = coverage.missing(triple, min_cells=max(1, survey.cells // 50), top=200)
pair_gaps = coverage.missing(
    survey.count("tissue", "age_group", decoder=decoder), min_cells=max(1, survey.cells // 100)
)

# %% mystnb={"figure": {"caption": "Cells of each combination of tissue and age group (logarithmic). Crosses: no cell at all.", "name": "fig-06-coverage"}, "image": {"alt": "Heat map of cells by tissue and age group. Dark squares hold many cells, crosses mark combinations without any."}} tags=["hide-input"]
draw.draw_coverage(*coverage.grid(survey.count("tissue", "age_group", decoder=decoder)))

# %% mystnb={"figure": {"caption": "Empty combinations of common labels, by the cells that independent labels would have put there.", "name": "fig-06-missing"}, "image": {"alt": "Bar chart of empty combinations of labels, longest where the absence is most surprising."}} tags=["hide-input"]
draw.draw_missing(gaps)

# %% tags=["hide-input"]
note.table(filled, "How much of each combination of classes is filled.", name="coverage", rows=16)
note.table(gaps, "Empty combinations of common labels, most surprising first.", name="missing")

# %% tags=["hide-input", "finding"]
note.record("combinations_possible", filled["possible"][0], "combinations")
note.record("combinations_filled", float(filled["share_present"][0]))
note.record("gaps_common", pair_gaps.height)
note.record("gap_first", " and ".join(pair_gaps.row(0)[:2]) if pair_gaps.height else "none")
note.say(
    "Of {combinations_possible} of the chosen classes {combinations_filled:.1%} hold a cell. Common tissues and common "
    "age groups that never meet: {gaps_common.number}; the most surprising: **{gap_first}**."
)

# %% [markdown]
# ## Do the first and the second label agree?
#
# Asked naively, never: within a cell the three labels of a class differ by construction. And their scores are raw
# outputs of one classifier per label, so they are neither probabilities nor bound to add up to anything. What can be
# asked is how far ahead the best label is, whether the runner-up passes the model's own rule for a second label, how
# the two are related in the ontology, and whether neighboring cells say the same.

# %%
agreed = agreement.summarize(survey)
choices = survey.count("cell_type", "cell_type_2", decoder=decoder)
related = agreement.relate(choices, tree, decoder=decoder) if tree is not None else None
drawn = sampling.draw(folder, cells=sample, seed=seed, only=counted)
near_cells = agreement.among_neighbors(drawn.limit(3000))

# %% mystnb={"figure": {"caption": "How far the best score is ahead of the second, as a share of cells. Left of the dotted line the model itself would report two labels.", "name": "fig-06-margins"}, "image": {"alt": "Rising curves, one a class, of the share of cells whose margin between best and second score is below a value."}} tags=["hide-input"]
draw.draw_margins({name: survey.histogram(name, of="margins") for name in layout.RANKED if name in agreed["class"]}, near=counting.NEAR)

# %% tags=["hide-input"]
note.table(agreed, "Agreement of first and second label, by class.", name="agreement")
note.table(choices if related is None else related, "First and second cell type, and what they are to each other.", name="choices")
note.table(near_cells, "Neighbors in the class's own block: do they carry the cell's labels? Random cells beside them.", name="neighbors")

# %% tags=["hide-input", "finding"]
by_class = dict(agreed.select("class", "share_near").iter_rows())
shares = {} if related is None else dict(agreement.relation_shares(related).select("relation", "share").iter_rows())
note.record("near_cell_type", by_class.get("cell_type"))
note.record("near_highest", max(by_class, key=by_class.get, default=None))
note.record("siblings", None if related is None else shares.get("sibling", 0.0))
note.record("siblings_by_chance", None if tree is None else agreement.expected_relation(choices, tree, "sibling", decoder=decoder))
note.record("triples_out_of_order", int(agreed["unordered"].sum()), "label triples")
note.say(
    "For {near_cell_type:.1%} of the cells the second cell type is as good as the first by the model's own rule; the "
    "class where this is most common: {near_highest}. Not best first: {triples_out_of_order}."
)
note.say(
    "No ontology was given, so nothing is said of how first and second label are related."
    if tree is None
    else "First and second cell type are siblings in the ontology for {siblings:.1%} of the cells, by chance for "
    "{siblings_by_chance:.1%}."
)

# %% [markdown]
# A second label that is a sibling of the first is a fine distinction, and a coarser label would be safe. A second
# label that is unrelated is a warning about the cell.

# %% [markdown]
# ## Labels that cannot be true
#
# Each class is predicted on its own, so nothing stops a plant cell from having a lung. Such cells are counted, not
# removed: they tell how far the labels can be trusted where nobody can see that they are wrong.

# %%
tables = plausibility.tables_of(lambda *pair: survey.count(*pair, decoder=decoder))
decoded = [name for name in layout.CLASSES if decoder.knows(name)]
judged = plausibility.judge(tables, decoded=decoded)

# %% mystnb={"figure": {"caption": "Cells that break each rule, as a share of those to which it applies.", "name": "fig-06-plausibility"}, "image": {"alt": "Bar chart, one row a rule, of the share of cells with two labels that exclude each other; the numbers of cells stand beside the bars."}} tags=["hide-input"]
draw.draw_plausibility(judged)

# %% tags=["hide-input"]
note.table(judged, "Cells whose labels exclude each other.", name="plausibility", rows=16)
note.table(plausibility.examples(tables), "The most common impossible pairs.", name="implausible_pairs")

# %% tags=["hide-input", "finding"]
broken = {row["rule"]: row for row in judged.iter_rows(named=True) if row["cells"] or not row["not_judged"]}
plants = broken.get("plant cells with an animal tissue", {})
people = broken.get("human cells with a mouse-only cell type", {})
note.record("plant_cells", plants.get("cells"))
note.record("plant_cells_animal", plants.get("implausible"))
note.record("human_cells", people.get("cells"))
note.record("human_cells_mouse_type", people.get("implausible"))
note.say(
    "Cells called a plant: {plant_cells}, of which with an animal tissue **{plant_cells_animal}**. Cells called human: "
    "{human_cells}, of which with a cell type that is defined in mouse only **{human_cells_mouse_type}**. (*Not "
    "available* means that the labels are numbers without names.)"
)

# %% [markdown]
# ### The same on a table of predicted labels
#
# The model's authors published labels of a sample of the real atlas. Give such a table as the parameter `labels_file`
# and the same questions are asked of it.

# %%
predicted = labels.read_predicted(labels_file) if labels_file else None
predicted_tables = {} if predicted is None else plausibility.tables_of(lambda *pair: labels.count(predicted, pair))
predicted_judged = plausibility.judge(predicted_tables)
predicted_gaps = None if predicted is None else coverage.missing(labels.count(predicted, ("tissue", "age_group")), min_cells=len(predicted) // 100)

# %% tags=["hide-input", "finding"]
told = {row["rule"]: row for row in predicted_judged.iter_rows(named=True)}
table_plants = told.get("plant cells with an animal tissue", {})
table_people = told.get("human cells with a mouse-only cell type", {})
note.record("table_cells", None if predicted is None else len(predicted))
note.record("table_plant_cells", table_plants.get("cells"))
note.record("table_plant_cells_animal", table_plants.get("implausible"))
note.record("table_human_cells", table_people.get("cells"))
note.record("table_human_cells_mouse_type", table_people.get("implausible"))
note.record("table_gaps", None if predicted_gaps is None else predicted_gaps.height)
note.say(
    "No table of predicted labels was given: this part steps aside."
    if predicted is None
    else "Cells in the table: {table_cells}. Called a plant: {table_plant_cells}, with an animal tissue "
    "**{table_plant_cells_animal}**. Called human: {table_human_cells}, with a mouse-only cell type "
    "**{table_human_cells_mouse_type}**. Common tissues and age groups that never meet: {table_gaps}."
)

# %% tags=["hide-input"]
note.table(predicted_judged, "Cells of the table whose labels exclude each other; empty if no table was given.", name="table_plausibility", rows=16)

# %% [markdown]
# ## What each block knows
#
# The embedding is a row of blocks, one for each class and one for the rest. The names suggest that the age block holds
# age and nothing else, and that the rest is free of the assay. A probe asks: can a simple model read this label from
# that block, in parts it has not seen? Beside it stands the same probe on labels shuffled within each part.

# %%
probes = knowledge.probe(drawn, seed=seed)

# %% mystnb={"figure": {"caption": "How well a linear probe reads each label from each block, held out by part: 0 as shuffled labels, 1 perfect. Dots: more than shuffled labels allow (1 % false discovery rate over parts).", "name": "fig-06-knowledge"}, "image": {"alt": "Matrix of blocks by labels. The diagonal holds each block with its own class; marked squares off the diagonal are candidates for leaks."}} tags=["hide-input"]
# facts: 0; 1
draw.draw_knowledge(probes)

# %% tags=["hide-input"]
note.table(probes, "Probes from every block to every label, linear and by neighbors, with 95 % intervals over parts.", name="probes")

# %% tags=["hide-input", "finding"]
linear = probes.filter((pl.col("method") == knowledge.LINEAR) & pl.col("knows"))
age_knows = linear.filter(pl.col("block") == "age_group")["class"].to_list()
hidden = probes.filter((pl.col("method") == knowledge.LINEAR) & (pl.col("block") == "other") & (pl.col("class") == "assay"))
note.record("age_block_knows", ", ".join(name.replace("_", " ") for name in age_knows) or "nothing")
note.record("other_assay_accuracy", hidden["balanced_accuracy"][0] if hidden.height else None, interval=hidden.select("low", "high").row(0) if hidden.height else None)
note.record("other_assay_shuffled", hidden["shuffled"][0] if hidden.height else None)
note.record("leaks", linear.filter(pl.col("block") != pl.col("class")).height, "relations")
note.say(
    "The age block knows: **{age_block_knows}**. From the block of everything else the assay is read with a balanced "
    "accuracy of {other_assay_accuracy:.2f}, shuffled {other_assay_shuffled:.2f}. Blocks that know another class than "
    "their own: {leaks}."
)

# %% [markdown]
# Some of these relations are no leak. Cell type tells tissue, because tissues are made of different cells. The probes
# with neighbors ask the same without assuming a straight boundary; where only they succeed, the block holds the label
# in a bent way.

# %% [markdown]
# ## Clusters without loading the data
#
# Centers come from the sample; one pass assigns and counts every cell.

# %%
clustered = clusters.count(folder, drawn, block="cell_type", k=30, seed=seed, only=counted)

# %% tags=["hide-input", "finding"]
note.table(clustered.table(decoder), "Clusters of the cell type block and their most common label.", name="clusters")
note.record("cluster_purity", clustered.purity)
note.say("Cells that carry the most common label of their cluster: {cluster_purity:.1%}.")

# %% [markdown]
# ## A model of one's own
#
# The card proposes downstream models. This one reads part after part, so it would train on the whole atlas in the
# memory of one part. It is tested on parts that it never saw; the right panel asks whether it knows when it is right.

# %%
recipe = models.Recipe(target="cell_type", block="cell_type", passes=2)
model = probe.train(folder, recipe=recipe, only=counted, seed=seed)
tested = evaluation.evaluate(model, folder)
per_class = tested.per_class(decoder.names("cell_type", model.labels.tolist()))

# %% mystnb={"figure": {"caption": "Left: F1 of each cell type on parts held out. Right: confidence against the share that is right; the area is the number of cells.", "name": "fig-06-model"}, "image": {"alt": "Dot chart of F1 by cell type beside a calibration plot: confidence against the share that is right, with the diagonal."}} tags=["hide-input"]
draw.draw_model(per_class, tested.calibration())

# %% tags=["hide-input"]
note.table(per_class, "The model on parts held out, by cell type.", name="model")

# %% tags=["hide-input", "finding"]
note.record("model_cells", model.cells, "cells")
note.record("model_accuracy", tested.accuracy)
note.record("model_macro_f1", tested.macro_f1)
note.record("model_calibration_error", tested.calibration_error)
note.say(
    "Trained on {model_cells}, the model is right for {model_accuracy:.1%} of the cells of parts held out (macro F1 "
    "{model_macro_f1:.2f}); its confidence is off by {model_calibration_error:.1%} on average. It learns the labels of "
    "another model: it can be no better than they are."
)

# %% [markdown]
# ## Skeletal muscle
#
# Which of these cells are muscle, by predicted tissue or type, and does their make-up resemble the
# [muscle atlas](01_loading)? The two name their types differently, so both are brought to broad groups by name.

# %%
chosen = muscle.select(survey.count("cell_type", "tissue", "age_group", decoder=decoder))
ages = chosen.group_by("age_group").agg(pl.col("cells").sum()).sort("cells", descending=True)
by_assay = muscle.shares_by_assay(sources.open_atlas(atlas).obs)
compared = muscle.compare(chosen, by_assay)
around = muscle.neighbors_of(drawn, decoder)

# %% mystnb={"figure": {"caption": "Broad cell groups: cells called skeletal muscle in the embedding atlas beside the muscle atlas (mean of donors), by assay.", "name": "fig-06-muscle"}, "image": {"alt": "Dot chart of the share of each broad cell group in the embedding atlas and in cells and nuclei of the muscle atlas."}} tags=["hide-input"]
draw.draw_muscle(compared)

# %% tags=["hide-input"]
note.table(compared, "Share of each broad group, by source.", name="muscle")
note.table(ages, "Predicted age groups of cells called skeletal muscle.", name="muscle_ages")
note.table(around, "Nearest neighbors of muscle cells that are not called muscle themselves.", name="muscle_neighbors")

# %% tags=["hide-input", "finding"]
readable = decoder.knows("cell_type") or decoder.knows("tissue")
whys = dict(chosen.group_by("why").agg(pl.col("cells").sum()).iter_rows())
note.record("muscle_cells", int(chosen["cells"].sum()) if readable else None)
note.record("muscle_by_type_only", int(whys.get("cell type", 0)) if readable else None)
note.record("muscle_compared", ", ".join(name.replace("_", " ") for name in by_assay) or "nothing: no annotation")
note.record("muscle_fibers", float(muscle.compose(chosen).filter(pl.col("group") == "muscle fiber")["share"].sum()) if readable else None)
note.say(
    "Cells called skeletal muscle: {muscle_cells}, by type alone, in another tissue: {muscle_by_type_only}. Share of "
    "muscle fibers: {muscle_fibers:.1%}. Set beside: {muscle_compared}."
)

# %% [markdown]
# Fibers are long cells with many nuclei. How many of them an atlas holds says first which assay was used, cells or
# nuclei, and only then anything about muscle.

# %% [markdown]
# ### Embedding the muscle atlas itself
#
# To place the muscle atlas into this space, its cells have to pass through the model. That needs the model's own
# environment (`environments/scprint.yml`), its weights, and the network. `musclebook scprint prepare` writes what the
# model reads: slices of at most 20,000 cells with raw counts and Ensembl identifiers, and a script that calls the
# published command; `helpers.scprint.embedded.read` puts the output back into the order of the cells. Preparation and
# reading are tested. **The call in between is not**: it cannot run here.
#
# <!-- facts: 20,000 -->

# %% [markdown]
# ## What the whole atlas costs
#
# Rates are measured here on one part, with its files in memory, on one core. The rest is arithmetic, and it is shown.

# %%
costs = cost.extrapolate(cost.measure(folder, only=counted))

# %% mystnb={"figure": {"caption": "Minutes for the whole atlas on one core, and minutes that the disk needs at 500 MB a second.", "name": "fig-06-cost"}, "image": {"alt": "Bars on a logarithmic axis: minutes of the processor and of the disk for each step of a survey of the whole atlas."}} tags=["hide-input"]
# facts: 500
draw.draw_cost(costs)

# %% tags=["hide-input", "finding"]
note.table(costs, "From one part to the whole atlas.", name="cost")
note.record("survey_rate", float(costs["cells_per_second"][-1]), "cells a second")
note.record("whole_minutes", float(costs["minutes"][-1]), "minutes")
note.say("The whole survey runs at {survey_rate:,.0f} on one core; the atlas would take about **{whole_minutes:,.0f}**.")

# %% [markdown]
# ## Found what was planted?
#
# Simulated parts carry the truth beside them. Real parts have none, and the table is empty.

# %%
scored = scoring.score(survey, judged, truth, decoder=decoder)
leaks = scoring.score_leaks(probes, truth)

# %% tags=["hide-input", "finding"]
note.table(scored, "Planted and found.", name="scored", rows=20)
note.record("planted_counts", None if truth is None else scored.height)
note.record("planted_counts_found", None if truth is None else int(scored["agrees"].sum()))
note.record("planted_relations", leaks["planted"])
note.record("planted_relations_found", leaks["found"])
note.say(
    "These parts are real and carry no truth: there is nothing to score."
    if truth is None
    else "Counts planted: {planted_counts.number}, found exactly: **{planted_counts_found.number}**. Relations of block and "
    "label planted: {planted_relations.number}, found by the linear probes: **{planted_relations_found.number}**."
)

# %% [markdown]
# ## What the authors report
#
# The public card counts about 338 million cells from some 22,000 data sets, 16 species and 320 tissues, and says that
# cells cannot be joined to their sources. It proposes the three questions asked above: what is missing, downstream
# models, agreement of labels. In the authors' own notebook the three kinds of file are stacked from an unsorted
# listing of the folder, which may pair rows of different parts.
#
# <!-- facts: 338; 22,000; 16; 320 -->

# %% [markdown]
# ## Limits
#
# - Every label is a prediction of one model. Coverage of predicted labels is not coverage of cells.
# - A probe shows what can be read from a block by a simple model, not what the block was used for.
# - Rules of plausibility find contradictions, not errors: a wrong label that fits the others passes.
# - Parts share data sets. Intervals over parts are honest only as far as parts differ.
# - Covariances are of every fourth cell; means and counts are of all.

# %% [markdown] tags=["exercise"]
# ```{exercise} From logit to probability
# :label: ex-06-sigmoid
# Scores are raw outputs, one classifier a label. Write `both_likely(first, second)`: true if *both* labels have a
# probability of at least one half.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# The sigmoid of zero is one half, and each label has a classifier of its own: nothing has to add up to one.
# :::

# %% tags=["solution", "hide-cell"]
from helpers.book.workshop import check


def both_likely(first, second):
    return first >= 0 and second >= 0


check("06.sigmoid", both_likely)

# %% [markdown] tags=["exercise"]
# ```{exercise} Pair the files
# :label: ex-06-pair
# Write `pair(files)` that takes a list of file names in any order and returns a dictionary from stem to the set of
# kinds (`embs`, `top3`, `scores`) that are there.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# Cut the suffix off, then split at the last underscore.
# :::

# %% tags=["solution", "hide-cell"]
def pair(files):
    found = {}
    for name in files:
        stem, _, kind = name.removesuffix(".npz").rpartition("_")
        found.setdefault(stem, set()).add(kind)
    return found


check("06.pair", pair)

# %% [markdown] tags=["exercise"]
# ```{exercise} Merge two means
# :label: ex-06-merge
# A survey keeps, for each part, the number of cells and the mean. Write `merge(n, mean, m, other)` that returns the
# number and the mean of both parts together.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# A mean times its number is a sum. Think of a part with no cells.
# :::

# %% tags=["solution", "hide-cell"]
def merge(n, mean, m, other):
    total = n + m
    return total, (n * mean + m * other) / total if total else 0.0


check("06.merge", merge)

# %% [markdown] tags=["exercise"]
# ```{exercise} Width of the embedding
# :label: ex-06-offset
# The blocks lie in this order: other, cell type, tissue, disease, age, assay, ethnicity, sex, organism, cell culture.
# Which columns hold the age block? Give the first column and the one after the last.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# Add up the widths of the public card: everything before age lies in front of it.
# :::

# %% tags=["solution", "hide-cell"]
check("06.offset", (layout.BLOCKS["age_group"].start, layout.BLOCKS["age_group"].stop))

# %% [markdown]
# ## In one sentence

# %% tags=["hide-input", "finding"]
note.say(
    "**{cells}** in {parts_counted} surveyed part by part; the second cell type is as good as the first for "
    "{near_cell_type:.1%} of them, and labels that cannot be true are counted, not guessed at."
)

# %% tags=["hide-input"]
note.provenance({"kind": f"{note.findings['parts_kind'].value} parts", "cells": survey.cells, "parts": len(counted), "plan": plan.key})
