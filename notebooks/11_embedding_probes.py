# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["header"]
# # What an embedding knows
#
# **Question.** What does each block of the scPRINT-2 embedding know, and can a model be trained on parts that nobody
# can load at once?
#
# **You will** draw a fair sample of cells from all parts, probe which labels each block knows, count clusters over all
# cells, and train a model part by part that says how sure it is.
#
# **Before you start.** [The embedding atlas](06_scprint_atlas), which checks and surveys the same parts.
#
# **Time** 25 minutes to read, 30 for the exercises.
# **Memory** under 1 GiB on the default atlas, under 1 GiB at full size.
#
# **What can go wrong.** Cells of one part come from the same few data sets: a probe tested on parts it was trained on
# recognizes the data set, not the label. And labels are predictions of the model that made the embedding, so a probe that
# finds them has found the model's opinion.

# %%
import zlib

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import seaborn as sns
from scipy import stats
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.preprocessing import StandardScaler

from helpers import findings, style
from helpers.book.workshop import check
from helpers.scprint import labels, layout, survey, twin
from helpers.scprint import parts as part_files

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"parts": "tiny", "sample": 2000}}
parts: str = "demo"  # demo (200,000 simulated cells), tiny, or a folder
decoder_file: str = ""  # file of label names; empty: that beside the parts
sample: int = 8000  # cells drawn for probes and centers [500, 200000]
seed: int = 7  # of the simulation, the sample and the fits [0, 1000000]
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("11_embedding_probes", globals())

# %% [markdown]
# ## The parts again
#
# [The chapter before](06_scprint_atlas) says what the parts are. [`survey.run`](../book/api) reads nothing twice; parts
# with a fault stay out.

# %%
folder = twin.open_parts(parts, seed=seed)
decoder = labels.beside(folder, named=decoder_file)
found = survey.run(folder)
cells = found.cells

# %% tags=["remove-input", "finding"]
truth = twin.read_truth(folder)
if len(found.counted) < 3:
    msg = f"This page holds out whole parts: it needs three sound parts, {folder.name} has {len(found.counted)}."
    raise ValueError(msg)
note.say(
    "This page reads **{parts_kind}** parts: {cells:cell|cells} in {parts_counted:part|parts}.",
    parts_kind="real" if truth is None else "simulated",
    cells=found.parts["cells"].sum(),
    parts_counted=len(found.counted),
)

# %% [markdown] tags=["exercise"]
# ### Exercise: Width of the embedding (10 minutes)
#
# The blocks lie in this order: other, cell type, tissue, disease, age, assay, ethnicity, sex, organism, cell culture.
# Which columns hold the age block? Give the first column and the one after the last. `layout.WIDTHS` has the widths.
#
# <details><summary>Hint</summary>Add up the widths: everything before age lies in front of it.</details>

# %% tags=["solution", "hide-cell"]
before = list(layout.WIDTHS).index("age_group")
start = sum(list(layout.WIDTHS.values())[:before])
print((start, start + layout.WIDTHS["age_group"]))
check("11.offset", (start, start + layout.WIDTHS["age_group"]))

# %% [markdown]
# ## A fair sample
#
# The embedding stays on disk. [`survey.draw`](../book/api) takes cells with equal chance from all parts, as an AnnData: the
# 424 columns in `X`, the blocks in `obsm`, part and labels in `obs`. A new part changes few of the cells drawn.
#
# <!-- facts: 424 -->

# %%
drawn = survey.draw(
    folder, cells=sample, seed=seed, only=found.counted, decoder=decoder
)

# %% [markdown]
# ## What each block knows
#
# The embedding is a row of blocks, one for each class and one for the rest. The names suggest that the age block holds age
# and nothing else, and that the rest is free of the assay. A probe asks: can a simple model, here linear discriminant
# analysis with every label weighed the same, read this label from that block, in parts it has not seen? Beside it stands
# what the same guesses would get by chance, dealt anew over the cells of each part. A block *knows* a label if it does
# better than that by more than parts differ, at one false discovery in a hundred over the whole table.

# %%
part = drawn.obs["part"].astype(str).to_numpy()
folds = GroupKFold(min(3, len(set(part))))


def score_parts(own, guess, part):
    """Share of each part in the balanced accuracy: as guessed, by chance."""
    right = pd.Series((own == guess) / np.bincount(own)[own])
    lies = pd.crosstab(part, own, normalize="columns")
    said = pd.crosstab(part, guess, normalize="index")
    return right.groupby(part).sum(), (lies * said).sum(axis=1)

# %%
rows = []
for name in layout.CLASSES:
    label = drawn.obs[name].astype(str).where(drawn.obs[name].notna())
    usable = (label.map(label.value_counts()) >= 30).to_numpy()
    names, own = np.unique(label[usable].to_numpy(str), return_inverse=True)
    kinds = len(names)
    if kinds < 2:
        continue
    equal = np.full(kinds, 1 / kinds)
    model = LinearDiscriminantAnalysis(solver="lsqr", priors=equal)
    for block in layout.BLOCKS:
        guess = cross_val_predict(
            model, drawn.obsm[block][usable], own,
            groups=part[usable], cv=folds,
        )
        right, dealt = score_parts(own, guess, part[usable])
        test = stats.ttest_rel(right, dealt, alternative="greater")
        score = balanced_accuracy_score(own, guess)
        rows.append((block, name, score, dealt.sum() / kinds, test.pvalue))

# %%
head = ["block", "class", "balanced_accuracy", "by_chance", "p"]
probes = pl.DataFrame(rows, schema=head, orient="row")
q = stats.false_discovery_control(probes["p"].fill_nan(1).to_numpy())
gain = pl.col("balanced_accuracy") - pl.col("by_chance")
probes = probes.with_columns(
    knows=q < 0.01, above_chance=gain / (1 - pl.col("by_chance"))
)
table = probes.pivot("class", index="block", values="above_chance")
table = table.to_pandas().set_index("block")

# %% mystnb={"figure": {"caption": "How well a linear probe reads each label from each block, held out by part: 0 as by chance, 1 perfect. Dots: the block knows the label.", "name": "fig-11-knowledge"}, "image": {"alt": "Matrix of blocks by labels. The diagonal holds each block with its own class; marked squares off the diagonal are candidates for leaks."}}
# facts: 0; 1
plt.figure(figsize=(5.6, 4.6))
text = table.round(1).astype(str).where(table >= 0.05, "")
axis = sns.heatmap(
    table, annot=text, fmt="", cmap="Greys", vmin=0, vmax=1.2, cbar=False
)
for block, name in probes.filter("knows").select("block", "class").rows():
    column, row = table.columns.get_loc(name), table.index.get_loc(block)
    axis.plot(column + 0.85, row + 0.2, ".", color="C1")
axis.set(xlabel="label", ylabel="block");

# %% tags=["remove-input", "finding"]
knows = probes.filter("knows")
age_knows = sorted(knows.filter(block="age_group")["class"].str.replace_all("_", " "))
hidden = probes.filter(pl.col("class") == "assay", block="other")
note.save("probes", probes)
note.say(
    "The age block knows: **{age_block_knows}**. From the block of everything else the assay is read with a balanced "
    "accuracy of {other_assay_accuracy:.2f}, by chance {other_assay_shuffled:.2f}. A block knows another class than its own "
    "in {leaks:case|cases}.",
    age_block_knows=", ".join(age_knows) or "nothing",
    other_assay_accuracy=next(iter(hidden["balanced_accuracy"]), None),
    other_assay_shuffled=next(iter(hidden["by_chance"]), None),
    leaks=knows.filter(pl.col("block") != pl.col("class")).height,
)

# %% [markdown]
# Some of these are no leak: cell type tells tissue, because tissues are made of different cells. And a probe that finds
# nothing has shown only that nothing lies on one side of a plane.

# %% [markdown] tags=["exercise"]
# ### Exercise: Bent knowledge (10 minutes)
#
# Does the cell type block know the tissue better than a plane can tell? Write `vote(points, own, part)` that predicts
# each cell's label by `KNeighborsClassifier(15)`, held out by part with `GroupKFold(3)`, and returns the balanced
# accuracy. Try it on `drawn.obsm["cell_type"]` and the tissue, and compare with the figure.
#
# <details><summary>Hint</summary>Give <code>cross_val_predict</code> <code>groups=</code> and <code>cv=</code>.</details>

# %% tags=["solution", "hide-cell"]
from sklearn.neighbors import KNeighborsClassifier


def vote(points, own, part):
    guess = cross_val_predict(KNeighborsClassifier(15), points, own, groups=part, cv=GroupKFold(3))
    return balanced_accuracy_score(own, guess)


tissues = drawn.obs["tissue"].astype(str).to_numpy()
print(f"{vote(drawn.obsm['cell_type'], tissues, part):.2f}")
check("11.vote", vote)

# %% [markdown]
# ## Clusters and a model, part by part
#
# Centers come from the sample; one pass assigns every cell and counts. Nothing but one block of one part is in memory.

# %%
centers = KMeans(30, n_init=2, random_state=seed).fit(drawn.obsm["cell_type"])
where = layout.BLOCKS["cell_type"]
first = layout.LABELS["cell_type"].start
tables = []
for opened in part_files.open_all(folder, found.counted):
    block = part_files.read(opened, "embs", columns=where)
    best = part_files.read(opened, "top3")[:, first]
    cluster = centers.predict(block.astype(np.float32))
    pair = pl.DataFrame({"cluster": cluster, "cell_type": best})
    tables.append(pair.group_by("cluster", "cell_type").len("cells"))
clusters = pl.concat(tables).group_by("cluster", "cell_type").sum()
most = clusters.group_by("cluster").agg(pl.max("cells"))
purity = most["cells"].sum() / clusters["cells"].sum()

# %% [markdown]
# The card proposes downstream models. This one, a logistic regression by stochastic gradient, takes the parts one after
# the other with `partial_fit`, so it would train on the whole atlas in the memory of one part. One part in five is held
# out for the test and one in five for calibration, by a hash of the name: a new part moves no other.

# %%
names = sorted(found.counted, key=lambda name: zlib.crc32(name.encode()))
fifth = max(1, len(names) // 5)
test, calibration = names[:fifth], names[fifth : 2 * fifth]
train = names[2 * fifth :]
often = cells.group_by("cell_type").agg(
    a=pl.col("part").is_in(train).sum(),
    b=pl.col("part").is_in(calibration).sum(),
)
often = often.filter(pl.col("a") >= 50, pl.col("b") > 0).collect()
types = often["cell_type"].sort().to_numpy()


def batches(wanted):
    for opened in part_files.open_all(folder, wanted):
        block = part_files.read(opened, "embs", columns=where)
        best = part_files.read(opened, "top3")[:, first]
        learned = np.isin(best, types)
        yield block[learned].astype(np.float64), best[learned]

# %%
scaler = StandardScaler()
model = SGDClassifier(
    loss="log_loss", alpha=1e-5, average=True, random_state=seed
)
chance = np.random.default_rng(seed)
trained = 0
for block, best in batches(train):
    scaler.partial_fit(block)
    trained += len(best)
for _ in range(2):
    for block, best in batches(train):
        order = chance.permutation(len(best))
        points = scaler.transform(block)[order]
        model.partial_fit(points, best[order], classes=types)

# %% [markdown]
# Is it right when it says it is? `CalibratedClassifierCV` scales its confidence on a part that it was not trained on. The
# answers on the test parts are counted part by part.

# %%
points, best = next(batches(calibration))
frozen = FrozenEstimator(model)
calibrated = CalibratedClassifierCV(frozen, method="temperature")
calibrated.fit(scaler.transform(points), best)
answers = []
for block, best in batches(test):
    probability = calibrated.predict_proba(scaler.transform(block))
    guess = calibrated.classes_[probability.argmax(axis=1)]
    sure = probability.max(axis=1)
    given = pl.DataFrame({"truth": best, "guess": guess, "sure": sure})
    tenth = (pl.col("sure") * 10).floor().clip(0, 9).alias("bin")
    given = given.group_by("truth", "guess", tenth)
    answers.append(given.agg(pl.sum("sure"), cells=pl.len()))
right = pl.col("cells") * (pl.col("truth") == pl.col("guess"))
answers = pl.concat(answers).with_columns(right=right)
bins = answers.group_by("bin").agg(pl.sum("cells", "sure", "right"))
off = (bins["sure"] - bins["right"]).abs().sum() / bins["cells"].sum()

# %% tags=["remove-input", "finding"]
weighed = {"sample_weight": answers["cells"], "average": "macro"}
note.say(
    "Of all cells {cluster_purity:.1%} carry the most common label of their cluster. Trained on {model_cells}, the model is "
    "right for {model_accuracy:.1%} of the cells of parts held out (macro F1 {model_macro_f1:.2f}); its confidence is off by "
    "{model_calibration_error:.1%} on average. It learns the labels of another model: it can be no better than they are.",
    cluster_purity=purity,
    model_cells=(trained, "cells"),
    model_accuracy=answers["right"].sum() / answers["cells"].sum(),
    model_macro_f1=f1_score(answers["truth"], answers["guess"], **weighed),
    model_calibration_error=off,
)

# %% [markdown] tags=["exercise"]
# ### Exercise: Purity by hand (10 minutes)
#
# Write `purity(clusters)` for a polars frame with the columns `cluster`, `cell_type` and `cells`: the share of all cells
# that carry the most common label of their cluster. Compare with the number above.
#
# <details><summary>Hint</summary>The largest count of each cluster, added up, over all cells.</details>

# %% tags=["solution", "hide-cell"]
def purity_of(clusters):
    largest = clusters.group_by("cluster").agg(pl.col("cells").max())
    return largest["cells"].sum() / clusters["cells"].sum()


print(f"{purity_of(clusters):.3f}")
check("11.purity", purity_of)

# %% [markdown]
# ## Found what was planted?
#
# Simulated parts say which block was made to know which label. Real parts say nothing, and there is nothing to score.

# %%
if truth is not None:
    planted = {(leak["block"], leak["class"]) for leak in truth["leaks"]}
    planted |= {(name, name) for name in layout.CLASSES}
    planted &= set(probes.select("block", "class").rows())
    recovered = planted & set(knows.select("block", "class").rows())

# %% tags=["remove-input", "finding"]
note.say(
    "These parts are real and carry no truth: there is nothing to score."
    if truth is None
    else "Of {planted_relations.number} planted relations of block and label the linear probes found "
    "**{planted_relations_found.number}**. Those they found beyond these follow from them: tissues differ in cell types, and "
    "some organs have one sex.",
    planted_relations=None if truth is None else len(planted),
    planted_relations_found=None if truth is None else len(recovered),
)

# %% [markdown]
# ## In short

# %% tags=["remove-input", "finding"]
note.say(
    "A block of the embedding knows more than its name says in {leaks:case|cases}. A linear model trained part by part is "
    "right for {model_accuracy:.1%} of the cells of parts it has not seen, and knows how sure it may be to "
    "{model_calibration_error:.1%}. {cluster_purity:.1%} of all cells carry the label of their cluster."
)

# %% [markdown]
# ## What the authors report
#
# The card names the blocks and proposes downstream models trained on them. The authors benchmark the embedding on
# annotated data sets; such annotations do not come with the parts, so nothing here can be set beside those numbers.

# %% [markdown]
# ## Limits
#
# - Every label is a prediction of one model.
# - A probe shows what can be read from a block by a simple model, not what the block was used for.
# - Parts share data sets. What holds over parts is honest only as far as parts differ.
# - In simulated parts what a block knows was built in; how well it is found there says nothing of the model.

# %% [markdown]
# ## On your own file
#
# A folder of parts of your own: a fair sample as an AnnData, and a probe that holds whole parts out.

# %%
my_parts = folder  # "/data/scprint2"
my_names = labels.beside(my_parts)
some = survey.draw(my_parts, cells=2000, decoder=my_names)
tissue = some.obs["tissue"].astype(str)
often = (tissue.map(tissue.value_counts()) >= 30).to_numpy()
guess = cross_val_predict(
    LinearDiscriminantAnalysis(), some.obsm["tissue"][often], tissue[often],
    groups=some.obs["part"][often], cv=GroupKFold(3),
)
print(f"{balanced_accuracy_score(tissue[often], guess):.2f}")

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# **A probe reads the tissue from a block that was made for cell types. What follows?**
#
# <details><summary>The block is wrong</summary>Not yet: types and tissues go together.</details>
# <details><summary>Blocks share knowledge</summary>Right: compare with a probe on parts that were held out, and with chance.</details>

# %% tags=["remove-input"]
source = {"name": folder.name, "simulated": False} if truth is None else {"name": "embedding parts", "simulated": True}
note.provenance(source | {"cells": found.parts["cells"].sum(), "parts": len(found.counted)})
