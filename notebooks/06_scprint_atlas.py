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
# **You will** check the files of the scPRINT-2 atlas, read all of them in one pass, name what is missing, ask how far the
# model's first and second choices agree, count labels that cannot be true, and set skeletal muscle beside the muscle
# atlas. [What the embedding itself knows](11_embedding_probes) is the next chapter.
#
# **Before you start.** [Loading the atlas](01_loading) for the muscle atlas. You know what a {term}`logit` is.
#
# **Time** 30 minutes to read, 30 for the exercises.
# **Memory** under 1 GiB on the default atlas, under 1 GiB at full size.
#
# **What can go wrong.** The three files of a part carry no cell names: rows are paired by position alone, so a folder read
# in the order of its listing pairs labels of one part with embeddings of another, and nothing complains. And the labels
# are predictions: read as annotations, they describe the model, not the cells.

# %%
import timeit

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import obonet
import pandas as pd
import polars as pl
import seaborn as sns
from scipy import stats

from helpers import findings, sources, style
from helpers.book.workshop import check
from helpers.scprint import labels, layout, survey, twin
from helpers.scprint import parts as part_files

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny", "parts": "tiny"}}
atlas: str = "demo"  # muscle atlas: demo, tiny, a release folder, or an .h5ad
parts: str = "demo"  # demo (200,000 simulated cells), tiny, or a folder
labels_file: str = ""  # Parquet of predicted labels, a row a cell; empty: none
decoder_file: str = ""  # file of label names; empty: that beside the parts
ontology_file: str = ""  # cell ontology as .obo; empty: beside the parts
classes: str = "cell_type,tissue,age_group"  # two or three classes to combine
seed: int = 7  # of the simulation of parts [0, 1000000]
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("06_scprint_atlas", globals())

# %% [markdown]
# ## The files
#
# The atlas lies as parts. Each part is three arrays with one row a cell: the embedding, the three best labels of every
# class, and their scores. The public card fixes the columns; `layout` knows them by name. [`parts.check`](../book/api)
# reads every file to its last byte, without unpickling anything. A sibling that was never uploaded, a download that
# stopped, an array one row short: such a part is named and left out, the others count. [`labels.beside`](../book/api)
# finds the names of the label numbers.

# %%
folder = twin.open_parts(parts, seed=seed)
checked = part_files.check(folder)
decoder = labels.beside(folder, named=decoder_file)

# %% tags=["remove-input", "finding"]
truth = twin.read_truth(folder)
note.say(
    "This page reads **{parts_kind}** parts: {parts_found:part|parts}, {parts_faulty.number} of them with a fault. Label "
    "names are known for {classes_decoded:class|classes}; labels of the others are shown as the numbers they are.",
    parts_found=checked.height,
    parts_faulty=(checked["status"] == "fault").sum(),
    parts_kind="real" if truth is None else "simulated",
    classes_decoded=decoder["class"].n_unique(),
)
note.table(
    checked,
    "Every part, checked: siblings, widths, rows, checksums, NaN. The table on file has all of them.",
    name="parts",
    rows=4,
    columns={"part": "part", "cells": "cells", "status": "status", "what was found": "message"},
)

# %% [markdown] tags=["exercise"]
# ### Exercise: Pair the files (10 minutes)
#
# Write `pair(files)` that takes a list of file names in any order and returns a dictionary from stem to the set of
# kinds (`embs`, `top3`, `scores`) that are there.
#
# <details><summary>Hint</summary>Cut the suffix off, then split at the last underscore.</details>

# %% tags=["solution", "hide-cell"]
def pair(files):
    found = {}
    for name in files:
        stem, _, kind = name.removesuffix(".npz").rpartition("_")
        found.setdefault(stem, set()).add(kind)
    return found


names = ["step_0_part_0_0_embs.npz", "step_0_part_0_0_scores.npz"]
print({stem: sorted(kinds) for stem, kinds in pair(names).items()})
check("06.pair", pair)

# %% [markdown]
# ## One pass over everything
#
# [`survey.run`](../book/api) reads each part once. Labels and scores go to Parquet, about a hundred bytes a cell, and the
# embedding is summed up column by column. A part is known by its content: a second survey reads nothing, a new part
# costs only itself, a survey that was stopped goes on. What comes back is a lazy table of all cells, so every question
# from here on is a `group_by` or a `filter` that polars streams, in the memory of one part.

# %%
found = survey.run(folder)
cells = found.cells


def count(*columns):
    counted = cells.group_by(columns).len("cells")
    counted = labels.decode(counted.collect(engine="streaming"), decoder)
    counted = counted.group_by(columns).agg(pl.col("cells").sum())
    falling = [True] + [False] * len(columns)
    return counted.sort("cells", *columns, descending=falling)

# %% tags=["remove-input", "finding"]
absent = [name for name in layout.CLASSES if cells.select(pl.col(name).null_count()).collect().item()]
note.say(
    "Read: **{cells:cell|cells}** in {parts_counted:part|parts}. Classes without a column in some part: "
    "{classes_missing}.",
    cells=found.parts["cells"].sum(),
    parts_counted=len(found.counted),
    classes_missing=", ".join(absent) or "none",
)

# %% [markdown] tags=["exercise"]
# ### Exercise: Merge two means (10 minutes)
#
# A survey keeps, for each part, the number of cells and the mean of each column. Write `merge(n, mean, m, other)` that
# returns the number and the mean of both parts together. Each mean may be a number or an array.
#
# <details><summary>Hint</summary>A mean times its number is a sum. Think of a part with no cells.</details>

# %% tags=["solution", "hide-cell"]
def merge(n, mean, m, other):
    total = n + m
    return total, (n * mean + m * other) / total if total else 0.0


print(merge(3, 1.0, 1, 5.0))
check("06.merge", merge)

# %% [markdown]
# ## What exists and what is missing
#
# A model trained on this atlas has seen what is here and nothing else. Count the cells of each tissue at each age. A cross
# is an empty combination: some cannot exist, others nobody has sampled. A biologist knows which.

# %%
tissue_age = count("tissue", "age_group")
common = tissue_age["tissue"].unique(maintain_order=True)[:20]
ages = decoder.filter(pl.col("class") == "age_group")["name"]
grid = tissue_age.to_pandas().pivot(
    index="tissue", columns="age_group", values="cells"
)
in_order = [age for age in ages if age in grid] or list(grid.columns)
grid = grid.loc[common.to_list(), in_order]

# %% mystnb={"figure": {"caption": "Cells of each combination of tissue and age group, the most common tissues on top. Crosses: no cell at all.", "name": "fig-06-coverage"}, "image": {"alt": "Heat map of cells by tissue and age group. Dark squares hold many cells, crosses mark combinations without any."}}
plt.figure(figsize=(5.6, 5.2))
tint = {"cmap": "Greys", "vmin": 0, "linewidths": 0.5}
named_bar = {"label": "logarithm of the cells, to base ten"}
axis = sns.heatmap(np.log10(grid), cbar_kws=named_bar, **tint)
empty_rows, empty_columns = np.nonzero(grid.isna().to_numpy())
axis.scatter(empty_columns + 0.5, empty_rows + 0.5, marker="x", color="C1")
axis.set(xlabel="", ylabel="");

# %% [markdown]
# An empty combination of rare labels is no surprise. To rank the others: if labels did not depend on each other, how many
# cells would be there?

# %%
def missing(counted, least):
    *columns, _ = counted.columns
    total = counted["cells"].sum()
    usual = pl.sum("cells") / total
    every = pl.DataFrame({"expected": [float(total)]})
    for column in columns:
        shares = counted.drop_nulls(column).group_by(column).agg(share=usual)
        shares = shares.filter(pl.col("share") >= least)
        every = every.join(shares, how="cross")
        every = every.with_columns(pl.col("expected") * pl.col("share"))
        every = every.drop("share")
    never = every.join(counted, on=columns, how="anti")
    return never.sort(-pl.col("expected"), *columns)


named = [name.strip() for name in classes.split(",")]
triple = count(*named)
possible = np.prod([triple[name].n_unique() for name in named])
gaps = missing(triple, least=0.02)
pair_gaps = missing(tissue_age, least=0.01)

# %% tags=["remove-input", "finding"]
first = pair_gaps.select("tissue", "age_group").rows()[:1]
note.say(
    "Of {combinations_possible} of the chosen classes {combinations_filled:.1%} hold a cell. "
    + (
        "Common tissues and common age groups never meet in {gaps_common:combination|combinations}; the most surprising "
        "is **{gap_first}**."
        if first
        else "All common tissues and common age groups meet."
    ),
    combinations_possible=(possible, "combinations"),
    combinations_filled=triple.height / possible,
    gaps_common=pair_gaps.height,
    gap_first=" and ".join(first[0]) if first else "none",
)
note.table(
    gaps,
    "Empty combinations of common labels, most surprising first, and the cells expected there.",
    name="missing",
    rows=6,
    columns={**{name.replace("_", " "): name for name in named}, "cells expected": "expected"},
)

# %% [markdown]
# ## Do the first and the second label agree?
#
# Asked naively, never: within a cell the three labels of a class differ by construction. And their scores are raw outputs
# of one classifier per label: no probabilities, and not bound to add up to anything. What can be asked is how far ahead
# the best label is: the model itself reports a second label where the runner-up lies within a fixed distance,
# `layout.NEAR`. Parts are the unit of the interval, since cells of one part come from the same few data sets. Friedman's
# test asks whether the classes differ in the same order in part after part, or whether the first is first by chance.

# %%
near = {}
for name in layout.RANKED:
    best = pl.col(f"{name}_score").cast(pl.Float32)
    second = pl.col(f"{name}_2_score").cast(pl.Float32)
    near[name] = (best - second <= layout.NEAR).mean()
by_part = cells.group_by("part").agg(**near).collect(engine="streaming")
overall = cells.select(**near).collect(engine="streaming")
long = by_part.sort("part").unpivot(
    index="part", variable_name="class", value_name="share"
)
differ = stats.friedmanchisquare(*by_part.select(layout.RANKED)).pvalue

# %% mystnb={"figure": {"caption": "Share of cells whose second label is as good as the first by the model's own rule: parts (gray), their mean with 95 % interval (black).", "name": "fig-06-near"}, "image": {"alt": "Dot chart, one row a class: gray dots for parts and a black dot with an interval for the share of cells with a second label as good as the first."}}
order = overall.transpose(include_header=True).sort("column_0")["column"]
shown = {"data": long.to_pandas(), "x": "share", "y": "class"}
axis = sns.stripplot(**shown, order=order, color="0.7", size=4)
sns.pointplot(**shown, order=order, color="black", linestyle="none", ax=axis)
axis.set(xlabel="share of cells with a second label as good", ylabel="");

# %% tags=["remove-input", "finding"]
shares = overall.row(0, named=True)
spread = None
if by_part.height > 1:
    low, high = stats.ttest_1samp(by_part["cell_type"], 0).confidence_interval()
    spread = (max(float(low), 0), min(float(high), 1))
differs = bool(differ < 0.05)
falls = pl.any_horizontal(
    pl.col(f"{name}{a}_score") < pl.col(f"{name}{b}_score")
    for name in layout.RANKED
    for a, b in (("", "_2"), ("_2", "_3"))
)
fallen = cells.select(falls.sum()).collect(engine="streaming").item()
note.record("near_cell_type", shares["cell_type"], interval=spread)
note.say(
    "For {near_cell_type:.1%} of the cells the second cell type is as good as the first by the model's own rule. Over "
    "the classes the share runs from {near_lowest_share:.1%} to {near_highest_share:.1%}; "
    + (
        "it is highest for **{near_highest}**, in the same order part by part (p {near_differ_p:.2g})."
        if differs
        else "no class stands out beyond what parts differ by chance (p {near_differ_p:.2g})."
    )
    + (
        " In {triples_out_of_order:cell|cells} the labels are not best first."
        if fallen
        else " In every cell the labels stand best first."
    ),
    near_lowest_share=min(shares.values()),
    near_highest_share=max(shares.values()),
    near_differ_p=float(differ) if np.isfinite(differ) else None,
    near_highest=max(shares, key=shares.get).replace("_", " ") if differs else "none",
    triples_out_of_order=fallen,
)

# %% [markdown]
# How are the two related? A second label that is a sibling of the first in the {term}`ontology` is a fine distinction, and
# a coarser label would be safe. One that is unrelated is a warning about the cell. `obonet` reads an ontology as a graph
# in which terms point to their parents. Chance is what is left if the second label keeps its frequency but forgets the
# first.

# %%
beside = ontology_file or folder / twin.ONTOLOGY_FILE
is_a = nx.DiGraph()
if ontology_file or beside.is_file():
    tree = obonet.read_obo(beside)
    kinds = tree.edges(keys=True)
    is_a.add_edges_from((one, up) for one, up, kind in kinds if kind == "is_a")


def are_siblings(first, second):
    """Share a parent, and neither lies above the other."""
    if first not in is_a or second not in is_a:
        return False
    above = nx.descendants(is_a, first), nx.descendants(is_a, second)
    related = second in above[0] or first in above[1]
    return not related and bool(set(is_a[first]) & set(is_a[second]))

# %%
pair_of_types = ["cell_type", "cell_type_2"]
choices = cells.group_by(pair_of_types).len("cells").collect()
choices = labels.decode(choices, decoder, to="id")
one = choices.group_by("cell_type").agg(n=pl.col("cells").sum())
two = choices.group_by("cell_type_2").agg(m=pl.col("cells").sum())
random = one.join(two, how="cross").select(
    *pair_of_types, cells=pl.col("n").cast(float) * pl.col("m")
)
random = random.filter(pl.col("cell_type") != pl.col("cell_type_2"))
siblings = []
for table in (choices, random):
    alike = [are_siblings(*two) for two in table.select(pair_of_types).rows()]
    weight = table["cells"] / table["cells"].sum()
    siblings.append(weight.filter(alike).sum())

# %% tags=["remove-input", "finding"]
known = is_a.number_of_nodes() > 0
note.say(
    "First and second cell type are siblings in the ontology for {siblings:.1%} of the cells, by chance for "
    "{siblings_by_chance:.1%}."
    if known
    else "No ontology was given, so nothing is said of how first and second label are related.",
    siblings=siblings[0] if known else None,
    siblings_by_chance=siblings[1] if known else None,
)

# %% [markdown] tags=["exercise"]
# ### Exercise: From logit to probability (10 minutes)
#
# Scores are raw outputs, one classifier a label. Write `both_likely(scores)` for a polars frame with the columns
# `first` and `second`: keep the rows in which *both* labels have a probability of at least one half. Then ask `cells`
# for how many cells that holds of the cell type (cast the scores to `pl.Float32` first).
#
# <details><summary>Hint</summary>The sigmoid of zero is one half, and nothing has to add up to one.</details>

# %% tags=["solution", "hide-cell"]
def both_likely(scores):
    return scores.filter(pl.col("first") >= 0, pl.col("second") >= 0)


scores = cells.select(
    first=pl.col("cell_type_score").cast(pl.Float32), second=pl.col("cell_type_2_score").cast(pl.Float32)
)
print(f"{both_likely(scores).collect().height:,} cells")
check("06.sigmoid", both_likely)

# %% [markdown]
# ## Labels that cannot be true
#
# Each class is predicted on its own, so nothing stops a plant cell from having a lung. Such cells are counted, not
# removed: they tell how far the labels can be trusted where nobody can see that they are wrong.
# [`labels.judge`](../book/api) counts them by a table of rules: two labels, and a pattern of names for each.

# %%
judged = labels.judge(cells, decoder)
pairs = labels.examples(cells, decoder)
broken = judged.filter(pl.col("implausible") > 0)
broken = broken.sort("share", descending=True)

# %% mystnb={"figure": {"caption": "Cells that break each rule, as a share of those to which it applies; beside the bars their number.", "name": "fig-06-plausibility"}, "image": {"alt": "Bar chart, one row a rule, of the share of cells with two labels that exclude each other; the numbers of cells stand beside the bars."}}
plt.figure(figsize=(5.6, 0.5 + 0.45 * max(1, broken.height)))
axis = sns.barplot(broken.to_pandas(), x="share", y="rule", color="0.75")
for row, number in enumerate(broken["implausible"]):
    axis.text(broken["share"][row] + 0.02, row, f"{number:,}", va="center")
axis.set(xlim=(0, 1.25), xlabel="share of the cells", ylabel="")
two_lines = broken["rule"].str.replace(" with ", "\nwith ").to_list()
axis.set_yticks(range(len(two_lines)), two_lines);

# %% tags=["remove-input", "finding"]
told = {row["rule"]: row for row in judged.iter_rows(named=True) if row["cells"] or not row["not_judged"]}
plants = told.get("plant cells with an animal tissue", {})
people = told.get("human cells with a mouse-only cell type", {})
note.say(
    "Of {plant_cells:cell|cells} called a plant, **{plant_cells_animal.number}** have an animal tissue. Of "
    "{human_cells:cell|cells} called human, **{human_cells_mouse_type.number}** have a cell type that is defined in mouse only."
    if plants and people
    else "The labels are numbers without names, so most rules cannot be asked: give a `decoder_file`.",
    plant_cells=plants.get("cells"),
    plant_cells_animal=plants.get("implausible"),
    human_cells=people.get("cells"),
    human_cells_mouse_type=people.get("implausible"),
)
note.table(
    pairs,
    "The most common impossible pair of each rule.",
    name="implausible_pairs",
    rows=8,
    columns={"rule": "rule", "given": "given", "label": "label", "cells": "cells"},
)

# %% [markdown]
# ### The same on a table of predicted labels
#
# The model's authors published labels of a sample of the real atlas. Give such a table as the parameter `labels_file`
# and the same rules are asked of it.

# %%
predicted = labels.read_predicted(labels_file) if labels_file else None
if predicted is not None:
    table_judged = labels.judge(predicted)
    together = predicted.group_by("tissue", "age_group").len("cells")
    table_gaps = missing(together, least=0.01)

# %% tags=["remove-input", "finding"]
told = {} if predicted is None else {row["rule"]: row for row in table_judged.iter_rows(named=True)}
plants = told.get("plant cells with an animal tissue", {})
people = told.get("human cells with a mouse-only cell type", {})
note.say(
    "No table of predicted labels was given: this part steps aside."
    if predicted is None
    else "The table holds {table_cells:cell|cells}. Of {table_plant_cells:cell|cells} called a plant, **{table_plant_cells_animal.number}** "
    "have an animal tissue; of {table_human_cells:cell|cells} called human, **{table_human_cells_mouse_type.number}** have a "
    "mouse-only cell type. Common tissues and age groups never meet in {table_gaps:case|cases}.",
    table_cells=None if predicted is None else predicted.height,
    table_plant_cells=plants.get("cells"),
    table_plant_cells_animal=plants.get("implausible"),
    table_human_cells=people.get("cells"),
    table_human_cells_mouse_type=people.get("implausible"),
    table_gaps=None if predicted is None else table_gaps.height,
)
if predicted is not None:
    note.table(
        table_judged,
        "Cells of the table whose labels exclude each other.",
        name="table_plausibility",
        columns={"rule": "rule", "cells": "cells", "impossible": "implausible", "share": "share"},
        percent=["share"],
    )

# %% [markdown]
# ## Skeletal muscle
#
# Which of these cells are muscle, by predicted tissue or type, and does their make-up resemble the
# [muscle atlas](01_loading)? The two name their types differently, so both are brought to broad groups by name
# ([`labels.broad_group`](../book/api)). In the muscle atlas the donor is the unit: the mean of donors' shares. How many
# fibers an atlas holds, long cells with many nuclei, says first which assay was used, and only then anything about muscle.

# %%
typed = count("cell_type", "tissue").with_columns(
    by_tissue=labels.is_muscle("tissue"),
    by_type=labels.is_muscle("cell_type"),
    group=labels.broad_group("cell_type"),
)
chosen = typed.filter(pl.col("by_tissue") | pl.col("by_type"))
type_only = chosen.filter(~pl.col("by_tissue"))["cells"].sum()
share = pl.col("cells").sum() / chosen["cells"].sum()
shares = chosen.group_by("group").agg(share=share)
compared = [shares.with_columns(source=pl.lit("embedding atlas"))]

# %%
muscle = sources.open_atlas(atlas)
if muscle.has("annotation_level0"):
    obs = muscle.obs.drop_nulls("annotation_level0").select(
        pl.col("batch", "DonorID").cast(pl.String).fill_null("all"),
        group=labels.broad_group("annotation_level0"),
    ).to_pandas()
    donors = [obs["batch"], obs["DonorID"]]
    made = pd.crosstab(donors, obs["group"], normalize="index")
    means = pl.from_pandas(made.groupby("batch").mean().reset_index())
    means = means.unpivot(
        index="batch", variable_name="group", value_name="share"
    )
    source = pl.format("muscle atlas, {}", "batch")
    compared.append(means.select("group", "share", source=source))
compared = pl.concat(compared).filter(pl.col("share") > 0)

# %% mystnb={"figure": {"caption": "Broad cell groups: cells called skeletal muscle in the embedding atlas beside the muscle atlas (mean of donors), by assay.", "name": "fig-06-muscle"}, "image": {"alt": "Dot chart of the share of each broad cell group in the embedding atlas and in cells and nuclei of the muscle atlas."}}
plt.figure(figsize=(5.6, 4.2))
axis = sns.scatterplot(
    compared.sort("share", descending=True).to_pandas(),
    x="share", y="group", hue="source", style="source", s=55,
)
axis.grid(axis="y", color="0.9")
axis.set_axisbelow(True)
axis.set(xlabel="share of the cells", ylabel="")
sns.move_legend(axis, "lower center", bbox_to_anchor=(0.5, 1), title=None);

# %% tags=["remove-input", "finding"]
readable = {"cell_type", "tissue"} & set(decoder["class"])
fibers = shares.filter(pl.col("group") == "muscle fiber")["share"].sum()
beside_it = [name for name in compared["source"].unique(maintain_order=True) if name != "embedding atlas"]
note.save("muscle", compared)
note.say(
    "{muscle_cells:cell|cells} are called skeletal muscle, {muscle_by_type_only.number} by type alone, in another tissue. "
    "Muscle fibers are {muscle_fibers:.1%} of them. Set beside: {muscle_compared}."
    if readable
    else "Without names of cell types and tissues nothing can be called muscle. In the muscle atlas: {muscle_compared}.",
    muscle_cells=chosen["cells"].sum() if readable else None,
    muscle_by_type_only=type_only if readable else None,
    muscle_fibers=fibers if readable else None,
    muscle_compared=" and ".join(sorted(beside_it)) or "nothing, since there is no annotation",
)

# %% [markdown]
# ### Embedding the muscle atlas itself
#
# To place the muscle atlas into this space, its cells have to pass through the model, with the model's own environment
# (`environments/scprint.yml`), its weights, and the network. `musclebook scprint embed` writes what the model reads:
# slices of at most 20,000 cells with raw counts and Ensembl identifiers, and a script that calls the published command;
# [`prepare.read`](../book/api) puts the output back into the order of the cells. Preparation and reading are tested. **The
# call in between is not**: it cannot run here.
#
# <!-- facts: 20,000 -->

# %% [markdown]
# ## What the whole atlas costs
#
# The rate is measured here, on one part whose files are in memory, on one core. The rest is arithmetic. The card counts
# 338 million cells; a disk is taken to read 500 MB a second.
#
# <!-- facts: 338; 500 -->

# %%
whole, disk = 338e6, 500e6
bytes_a_cell = 2 * layout.EMBEDDING_WIDTH + 4 * layout.LABEL_WIDTH
opened = next(part_files.open_all(folder, found.counted))
seconds = timeit.repeat(lambda: survey.work(opened), number=1, repeat=3)
rate = opened.cells / min(seconds)
minutes = max(whole / rate, whole * bytes_a_cell / disk) / 60

# %% tags=["remove-input", "finding"]
note.say(
    "The survey reads {survey_rate:,.0f} on one core and the whole atlas is {whole_gigabytes:,.0f}: it would take about "
    "**{whole_minutes:,.0f}**, and the slower of processor and disk is the {slower}.",
    survey_rate=(rate, "cells a second"),
    whole_gigabytes=(whole * bytes_a_cell / 1e9, "GB"),
    whole_minutes=(minutes, "minutes"),
    slower="disk" if bytes_a_cell / disk > 1 / rate else "processor",
)

# %% [markdown]
# ## Found what was planted?
#
# Simulated parts carry the truth beside them. Real parts have none, and there is nothing to score.

# %%
if truth is not None:
    rule = dict(judged.select("rule", "implausible").iter_rows())
    of_mouse = "human cells with a mouse-only cell type"
    observed = {
        "cells": found.parts["cells"].sum(),
        "plant": rule["plant cells with an animal tissue"],
        "human_with_mouse_type": rule[of_mouse],
        "not_human": rule["cells not human with a human ethnicity"],
        "muscle": chosen.filter("by_tissue")["cells"].sum(),
        "human": judged.filter(rule=of_mouse)["cells"].item(),
    }
    for name in layout.RANKED:
        observed[f"near_{name}"] = round(overall[name][0] * observed["cells"])
    agree = [truth["counted"][key] == value for key, value in observed.items()]

# %% tags=["remove-input", "finding"]
note.say(
    "These parts are real and carry no truth: there is nothing to score."
    if truth is None
    else "Of {planted_counts.number} planted counts **{planted_counts_found.number}** were found exactly.",
    planted_counts=None if truth is None else len(agree),
    planted_counts_found=None if truth is None else sum(agree),
)

# %% [markdown]
# ## In short

# %% tags=["remove-input", "finding"]
note.say(
    "**{cells:cell|cells}** in {parts_counted:part|parts} were read once and asked many times. The second cell type is as "
    "good as the first for {near_cell_type:.1%} of them, and labels that cannot be true are counted, not guessed at."
)

# %% [markdown]
# ## What the authors report
#
# The public card counts about 338 million cells from some 22,000 data sets, 16 species and 320 tissues, and says that
# cells cannot be joined to their sources. It proposes the questions asked above and in the next chapter. In the authors'
# own notebook the three kinds of file are stacked from an unsorted listing, which may pair rows of different parts.
#
# <!-- facts: 338; 22,000; 16; 320 -->

# %% [markdown]
# ## Limits
#
# - Every label is a prediction of one model. Coverage of predicted labels is not coverage of cells.
# - Rules of plausibility find contradictions, not errors: a wrong label that fits the others passes.
# - Parts share data sets. Intervals over parts are honest only as far as parts differ.
# - In simulated parts, how many combinations are filled and how often labels tie was built in.

# %% [markdown]
# ## On your own file
#
# A folder of parts of your own, or the real ones: name it, and these lines read, count and ask. `parts.check` first
# if the files were downloaded.

# %%
my_parts = folder  # "/data/scprint2"
mine = survey.run(my_parts)
my_names = labels.beside(my_parts)
by_tissue = mine.cells.group_by("tissue", "age_group").len("cells").collect()
by_tissue = labels.decode(by_tissue, my_names).sort("cells", descending=True)
impossible = labels.judge(mine.cells, my_names)
print(by_tissue.head(3).write_csv(separator="\t"))
print((impossible["implausible"] > 0).sum(), "rules are broken")

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Choose by opening an answer.
#
# **A label is predicted for every cell with a high score. Is it true?**
#
# <details><summary>Mostly, since the score is high</summary>Not yet: a score says how sure the model is, and it is also sure of labels that cannot be.</details>
# <details><summary>It has to be held against what cannot be</summary>Right: cells of a stage or tissue that the data set cannot hold are the test.</details>

# %% tags=["remove-input"]
source = {"name": folder.name, "simulated": False} if truth is None else {"name": "embedding parts", "simulated": True}
note.provenance(source | {"cells": found.parts["cells"].sum(), "parts": len(found.counted)})
