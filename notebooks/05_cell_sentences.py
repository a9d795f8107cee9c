# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["header"]
# # Cell sentences, faster and right
#
# **Question.** A cell can be written as a sentence: its gene symbols, the most expressed first. What does such a
# sentence keep of the cell, what does it make up, and can a reader of sentences tell a donor's age?
#
# **You will** write a cell as words by hand, and all cells with a compiled writer; see what ties and padding make up;
# decode words back to expression; find the words that enter and leave with age; read sentences with the plainest
# model, honestly and with a leak; and write files that a language model can be trained on.
#
# **Before you start.** [Loading](01_loading) for the data; [prediction](08_prediction) for why donors are held out.
#
# **Time** 40 minutes to read, 30 for the exercises.
# **Memory** under 3 GiB on the default atlas, under 7 GiB at full size.
#
# **What can go wrong.** Most genes of a cell share their value with others. Whoever sorts without a rule for ties
# writes another sentence on another computer; whoever splits cells at random tests on donors the model knows.

# %%
import time

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import seaborn as sns
from scipy import stats
from sklearn.compose import TransformedTargetRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers import findings, sources, style
from helpers.book.workshop import check
from helpers.sentences import prompts, read, write
from helpers.sentences.encode import Rule, add_shares, count_ties, encode, rank
from helpers.stats import permute

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny", "sample": 1000, "n_permutations": 50}}
atlas: str = "demo"  # data: demo, tiny, a release folder, or an .h5ad file
top_n: int = 2000  # words of a sentence at most [10, 100000]
ties: str = "symbol"  # order among equal values {symbol, file, seeded}
sample: int = 5000  # cells at most that are measured [100, 1000000]
test_fraction: float = 0.1  # cells to test on, of whole donors [0.01, 0.5]
n_permutations: int = 200  # deals of ages over donors [20, 5000]
seed: int = 1  # of every draw [0, 1000000]
budget: str = "4 GiB"  # memory that loading may take
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("05_cell_sentences", globals())

# %% [markdown]
# [`open_atlas`](../book/api) opens any source, `to_anndata` reads it. What a source does not say of a cell stays empty.

# %%
muscle = sources.open_atlas(atlas)
adata = muscle.to_anndata(counts=False, budget=budget)
columns = ["annotation_level0", "batch", "DonorID"]
known_of = muscle.donors.select("DonorID", "age", "Sex")
cells = pl.from_pandas(adata.obs[columns].astype("string")).join(
    known_of, on="DonorID", how="left", maintain_order="left"
)
rng = np.random.default_rng(seed)
few = np.sort(rng.permutation(adata.n_obs)[:sample])

# %% tags=["remove-input", "finding"]
note.say(
    "This page shows **{data_kind}** data, {cells_read}. Missing from this source: {missing}.",
    data_kind="simulated" if muscle.simulated else "real",
    cells_read=(adata.n_obs, "cells"),
    missing=", ".join(muscle.missing) or "nothing",
)

# %% [markdown]
# ## One cell, by hand
#
# Take the genes above zero. Put the highest first, equal values in the order of the alphabet. Write their symbols. That is
# all. Where the last column of the table is above one, the data do not say which of these genes comes first.


# %%
def words_of(row, genes):
    """Expressed genes of one cell, the highest value first."""
    cell = pl.DataFrame({"gene": genes[row.indices], "value": row.data})
    cell = cell.filter(pl.col("value") > 0)
    return cell.sort("value", "gene", descending=[True, False])


genes = adata.var.get("SYMBOL", adata.var_names).to_numpy().astype(str)
expressed = np.diff(adata.X.indptr)
middle = int(np.argsort(expressed)[len(expressed) // 2])
one_cell = words_of(adata.X[middle], genes)
one_cell = one_cell.with_columns(sharing=pl.len().over("value"))
by_hand = one_cell["gene"].head(top_n).to_list()

# %% tags=["remove-input", "finding"]
note.table(
    one_cell,
    "One cell as words: the first of its sentence, and how many genes of the cell share the value.",
    name="one_cell",
    rows=5,
    columns={"word": "gene", "value": "value", "genes with this value": "sharing"},
)
note.say(
    "The sentence of this cell has {example_words} and begins: *{example_start} ...*",
    example_words=(len(by_hand), "words"),
    example_start=" ".join(by_hand[:10]),
)

# %% [markdown]
# ## All cells, faster
#
# A loop in Python sorts one cell after the other. [`encode`](../book/api) does the same with compiled code, block by block.
# Are the sentences the same, and what is gained? (Genes that share a symbol, whose molecules the writer adds, stay out.)

# %%
rule = Rule(top_n=top_n, ties=ties, seed=seed)
own_symbol = pl.Series(genes).is_unique().to_numpy()
racing = adata[few, own_symbol].copy()
encode(racing[:2].copy(), rule=rule)  # the first call compiles

started = time.perf_counter()
looped = [
    " ".join(words_of(row, genes[own_symbol])["gene"].head(top_n))
    for row in racing.X[:300]
]
loop_speed = len(looped) / (time.perf_counter() - started)

started = time.perf_counter()
compiled = encode(racing, rule=rule).sentences
encode_speed = len(compiled) / (time.perf_counter() - started)
same = np.mean([a == b for a, b in zip(looped, compiled, strict=False)])

# %% tags=["remove-input", "finding"]
note.record("faster", encode_speed / loop_speed)
note.record("same_sentences", float(same))
note.say(
    "The loop wrote {loop_speed:,.0f} sentences a second, the compiled writer {encode_speed:,.0f}: **{faster:.0f} times "
    "as many**, measured by this run. Equal to the letter: {same_sentences:.0%}"
    + ("." if ties == "symbol" else ", since the loop keeps to the alphabet."),
    loop_speed=float(loop_speed),
    encode_speed=float(encode_speed),
)

# %% [markdown]
# ## What equal values decide
#
# Most expressed genes were seen once or twice, so words come in long runs of equal values. The alphabet orders each
# run: dull, and the same for every file, machine and run. The alternative is a draw for each cell that depends on a
# seed and the barcode alone. [`rank`](../book/api) gives words as numbers; `presence` says which are among the first of
# each cell. Where the lines of the figure are low, the text is the rule's and not the cell's.

# %%
ranked = rank(adata, rule=rule)
tied = add_shares(count_ties(ranked.statistics))
mine = ranked.take(few)
unlike = Rule(top_n, "symbol" if ties == "seeded" else "seeded", seed=seed)
other = rank(adata[few].copy(), rule=unlike)


def first_words(ranked, n):
    """Table of cells by places: the number of the word, -1 after the end."""
    each = np.split(ranked.words, ranked.starts[1:-1])
    table = np.full((len(each), n), -1)
    for row, words in zip(table, each, strict=True):
        row[: len(words)] = words[:n]
    return table

# %%
steps = (10, 25, 50, 100, 200, 500, 1000, 2000)
rows = []
for n in steps:
    both = mine.presence(n).multiply(other.presence(n)).sum()
    left, right = first_words(mine, n), first_words(other, n)
    is_word = left >= 0
    rows.append((n, "word", both / is_word.sum()))
    rows.append((n, "word and place", (left == right)[is_word].mean()))
orders = pl.DataFrame(rows, ["words", "same", "share"], orient="row")

# %% mystnb={"figure": {"caption": "Agreement between two orders of equal values on the first words of the same cells: words that both have, and words that stand at the same place in both.", "name": "fig-05-ties"}, "image": {"alt": "Line chart over the number of first words. The share of words in both orders stays high; the share of words at the same place falls steeply after the first words."}}
ax = sns.lineplot(
    orders.to_pandas(), x="words", y="share", hue="same", style="same",
    markers=True, palette=["black", "0.55"],
)
ax.set(xscale="log", ylim=(0, 1.03), xlabel="first words", ylabel="agreement")
ax.legend(title="the same")
ax.yaxis.set_major_formatter("{x:.0%}");

# %% tags=["remove-input", "finding"]
note.say(
    "Words whose value another gene of the cell shares: **{tied_words:.1%}** of all, {tied_first_words:.1%} of those in "
    "the sentences. A cell expresses {median_expressed} at the median. Sentences cut inside a run of equal values: "
    "{cells_cut_in_tie}.",
    tied_words=tied["tied_share"],
    tied_first_words=tied["tied_share_of_top"],
    median_expressed=(float(np.median(ranked.expressed)), "genes"),
    cells_cut_in_tie=(tied["cells_cut_within_a_tie"], "cells"),
)

# %% [markdown] tags=["exercise"]
# ### Exercise: Write a sentence (10 minutes)
#
# Write `sentence(values, n)`: `values` maps symbols to numbers. Return at most `n` symbols joined by spaces: only
# those above zero, the highest first, equal values in alphabetical order. Try it on the example cell,
# `dict(zip(genes, adata.X[middle].toarray()[0]))`.
#
# <details><summary>Hint</summary>Sort by a pair: the negative value, then the symbol. Leave out zeros first.</details>

# %% tags=["solution", "hide-cell"]
def sentence(values, n):
    ordered = sorted((-v, word) for word, v in values.items() if v > 0)
    return " ".join(word for _, word in ordered[:n])


print(sentence(dict(zip(genes, adata.X[middle].toarray()[0], strict=True)), 8))
check("05.sentence", sentence)

# %% [markdown]
# ## What padding does
#
# Some builders promise every sentence the same length and fill up with genes that the cell does not express. Such words
# say nothing about the cell, and cells of different types begin to look alike. So fill up ours, and compare pairs of
# cells before and after. [`read.find_padding`](../book/api) tells whether sentences of others are padded: by the number of
# expressed genes where a file states it, else by tails that run through the alphabet.

# %%
names = np.array(ranked.vocabulary.words)
meant = first_words(ranked.take(few[:1000]), min(2000, len(names)))
filled = meant.copy()
for row in filled:
    absent = np.setdiff1d(np.arange(len(names)), row)
    row[row < 0] = absent[: (row < 0).sum()]
foreign = [" ".join(names[row]) for row in filled[:500]]
told = read.find_padding(foreign, expressed=ranked.expressed[few[:500]])

left, right = rng.integers(0, len(meant), (2, 200_000))
a, b = cells[few[:1000]][left], cells[few[:1000]][right]
alike, person = (a[one] == b[one] for one in ("annotation_level0", "DonorID"))
pairs = {
    "one type, one donor": alike & person & pl.Series(left != right),
    "one type, two donors": alike & ~person,
    "two types": ~alike,
}
pairs = {kind: at.arg_true().to_numpy()[:1000] for kind, at in pairs.items()}

# %%
rows = []
for how, table in {"expressed genes": meant, "filled up": filled}.items():
    for n in steps:
        has = np.zeros((len(table), len(names) + 1), bool)
        np.put_along_axis(has, table[:, :n], 1, axis=1)
        has = has[:, :-1]  # the last column took what is no word
        for kind, at in pairs.items():
            one, two = has[left[at]], has[right[at]]
            smaller = np.minimum(one.sum(axis=1), two.sum(axis=1)).sum()
            if smaller:
                rows.append((how, kind, n, (one & two).sum() / smaller))
head = ["sentence", "pair", "words", "share"]
overlap = pl.DataFrame(rows, head, orient="row")

# %% mystnb={"figure": {"caption": "Share of first words that two cells have in common, by what the cells have in common: sentences of expressed genes (solid), and the same filled up with unexpressed genes (dashed).", "name": "fig-05-overlap"}, "image": {"alt": "Line chart over the number of first words. Cells of one type and donor share most, cells of different types least. Late in the sentence the dashed line of different types rises toward the others."}}
ax = sns.lineplot(
    overlap.to_pandas(), x="words", y="share", hue="pair", style="sentence",
    palette=["black", "0.45", "0.7"],
)
ax.set(xscale="log", xlabel="first words", ylabel="in common")
ax.yaxis.set_major_formatter("{x:.0%}")
sns.move_legend(ax, "lower center", bbox_to_anchor=(0.5, 1), ncols=2);

# %% tags=["remove-input", "finding"]
share = dict(overlap.filter(words=steps[-1], pair="two types").select("sentence", "share").iter_rows())
note.say(
    "Filled up, **{padded_words:.0%}** of the words are of genes that the cell does not express, in {padded_cells:.0%} of "
    "the cells. Cells of two types then share {shared_other_type_padded:.0%} of their words instead of "
    "{shared_other_type:.0%}.",
    padded_words=told.padded_words,
    padded_cells=told.padded_cells,
    shared_other_type=share.get("expressed genes"),
    shared_other_type_padded=share.get("filled up"),
)

# %% [markdown]
# ## How much of a cell survives
#
# A rank is less than a value, but not nothing: expression falls along a straight line when the place is counted in
# logarithms {cite}`levine2024`. Fit the line to some cells and measure it on others. Three measures, since they
# differ: R² says how well values come back, Pearson whether they lie on a line, Spearman only whether the order does.

# %%
part = adata.X[few]
cell = np.repeat(few, np.diff(part.indptr))
table = pl.DataFrame({"cell": cell, "value": part.data.astype(float)})
table = table.filter(pl.col("value") > 0)
place = pl.col("value").rank("ordinal", descending=True).over("cell") - 1
table = table.with_columns(place=place.cast(pl.Int64))
to_fit = pl.col("cell").is_in(rng.permutation(few)[: len(few) // 5])
near = table.filter(to_fit, pl.col("place") < 1000)
line = read.Fit(*np.polyfit(np.log10(1 + near["place"]), near["value"], 1))
held_out = table.filter(~to_fit)
held_out = held_out.with_columns(
    decoded=pl.Series(line.predict(held_out["place"].to_numpy())),
    type=cells["annotation_level0"].gather(held_out["cell"]),
)

# %%
missed = (pl.col("value") - pl.col("decoded")).pow(2).mean()
measures = {
    "r2": 1 - missed / pl.col("value").var(ddof=0),
    "pearson": pl.corr("value", "decoded"),
    "spearman": pl.corr("value", "decoded", method="spearman"),
}
back = held_out.select(**measures).row(0, named=True)
by_type = held_out.drop_nulls("type").group_by("type")
by_type = by_type.agg(cells=pl.col("cell").n_unique(), **measures)
by_type = by_type.filter(pl.col("cells") >= 10).sort("r2", descending=True)

# %% mystnb={"figure": {"caption": "How well expression comes back from ranks on held-out cells, by cell type: R squared (filled) and Spearman correlation (open); types of at least ten cells.", "name": "fig-05-decode"}, "image": {"alt": "Dot chart, one row a cell type: filled dots for R squared and open dots for the rank correlation, most above three quarters."}}
figure, ax = plt.subplots(figsize=(5.6, 1 + 0.15 * by_type.height))
ax.plot(by_type["r2"], by_type["type"], "ko", label="R²")
ax.plot(by_type["spearman"], by_type["type"], "wo", mec="k", label="Spearman")
ax.invert_yaxis()
ax.set(xlabel="decoded against true")
ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncol=2);

# %% [markdown]
# How much do the first words hold? And a sentence that a model generated is decoded alike, after
# [`read.clean`](../book/api): words that do not exist are set aside and counted, a word that comes twice counts once.

# %%
rows, total = [], held_out["value"].sum()
for n in steps:
    first = held_out.filter(pl.col("place") < n)["value"]
    rows.append((n, first.sum() / total, len(first) / held_out.height))
survival = pl.DataFrame(rows, ["words", "expression", "genes"], orient="row")
generated = " ".join([*by_hand[:5], "NOTAGENE", by_hand[0]])
cleaned = read.clean(generated, ranked.vocabulary.words)

# %% tags=["remove-input", "finding"]
note.table(
    survival,
    "What the first words of a sentence hold: share of the summed values, and of the expressed genes.",
    name="survival",
    columns={"first words": "words", "of the values": "expression", "of the genes": "genes"},
    percent=["expression", "genes"],
)
note.save("decoding", by_type)
note.say(
    "On held-out cells R squared is **{decode_r2}**, Pearson {decode_pearson}, Spearman {decode_spearman}. The first "
    "{survives_words} hold {survives_expression:.0%} of a cell's summed values. In a sentence with one invented and one "
    "repeated word the cleaner found {unknown_words} unknown and {repeated_words} repeated.",
    decode_r2=back["r2"],
    decode_pearson=back["pearson"],
    decode_spearman=back["spearman"],
    survives_words=(200, "words"),
    survives_expression=survival.filter(words=200)["expression"].item(),
    unknown_words=len(cleaned.unknown),
    repeated_words=cleaned.repeats,
)

# %% [markdown]
# ## Words that enter and leave with age
#
# A cell type, an assay, one number a donor: the share of the donor's cells whose sentence holds the word, set against the
# donors' ages. The type and the assay are those with the most donors, not those with the nicest result. A donor with
# deeper sequencing has longer sentences, and a cut at a fixed length hides that only in part.

# %%
known = cells.with_row_index("row").drop_nulls([*columns, "age"])
enough = known.group_by(columns).agg(pl.len(), pl.first("age", "Sex"))
enough = enough.filter(pl.col("len") >= 20)
groups = enough.group_by("annotation_level0", "batch")
groups = groups.agg(donors=pl.len(), cells=pl.sum("len"))
most = ["donors", "cells", "annotation_level0"]
cell_type, assay = groups.sort(most, descending=[True, True, False]).row(0)[:2]
chosen = {"annotation_level0": cell_type, "batch": assay}
people = enough.filter(**chosen).sort("DonorID")

group = known.filter(**chosen)
has = ranked.take(group["row"].to_numpy()).presence(top_n)
own = [(group["DonorID"] == one).to_numpy() for one in people["DonorID"]]
shares = np.vstack([np.asarray(has[rows].mean(axis=0)) for rows in own])
usable = ((shares >= 0.05).any(axis=0)) & (np.ptp(shares, axis=0) > 0)
shares = shares[:, usable]

# %%
def slopes(ages):
    """Change of each word's share per decade, and its standard error."""
    line, spread = np.polyfit(ages / 10, shares, 1, cov=True)
    return line[0], np.sqrt(spread[0, 0])


slope, error = slopes(people["age"].to_numpy())
df = people.height - 2
reach = stats.t.ppf(0.975, df) * error
p = 2 * stats.t.sf(np.abs(slope / error), df)
changes = pl.DataFrame(
    {
        "word": names[usable],
        "change": slope,
        "low": slope - reach,
        "high": slope + reach,
        "p": p,
        "q": stats.false_discovery_control(p),
        "share": shares.mean(axis=0),
    }
).sort(pl.col("p").round_sig_figs(9), "word")

# %% [markdown]
# How many words would look clear if age did not matter? Ages are dealt anew to the donors, among those of one sex where
# that leaves ways enough, and words with p below one in a thousand are counted each time.

# %%
dealt = permute.deal(
    people["age"], strata=people.select("Sex"), draws=n_permutations, seed=seed
)
limit = stats.t.isf(0.0005, df)
ratios = [np.abs(np.divide(*slopes(ages))) for ages in dealt.values]
strong, *by_chance = [int((ratio > limit).sum()) for ratio in ratios]
by_chance = np.array(by_chance)
as_many = (1 + (by_chance >= strong).sum()) / (1 + len(by_chance))

# %% mystnb={"figure": {"caption": "Words whose share of a donor's cells changes most clearly with age: change per decade with 95 % interval over donors.", "name": "fig-05-age"}, "image": {"alt": "Forest plot, one row a word: change of its share per decade with its interval, beside a dotted line at zero."}}
top = changes.head(16)
figure, ax = plt.subplots(figsize=(5.6, 3))
ax.hlines(top["word"], top["low"], top["high"], color="0.5")
ax.plot(top["change"], top["word"], "o", color="black")
ax.axvline(0, linestyle=":", color="0.5")
ax.invert_yaxis()
ax.set(xlabel="change of the share of cells per decade")
ax.set_title(f"{cell_type}, {assay}");

# %% tags=["remove-input", "finding"]
note.record("words_called", changes.filter(pl.col("q") < 0.1).height, "words")
note.say(
    "In {age_group_of_cells} ({age_donors}) {words_tested} were tested: **{words_called:word is|words are}** called at a "
    "false-discovery rate of one in ten, and {words_strong:word has|words have} p below one in a thousand, against "
    "{words_strong_permuted} on average when ages are dealt anew; a share of {words_strong_p:.3f} of the deals gives as "
    "many or more. " + dealt.sentence(),
    age_group_of_cells=f"{cell_type}, {assay}",
    age_donors=(people.height, "donors"),
    words_tested=(changes.height, "words"),
    words_strong=(strong, "words"),
    words_strong_permuted=(float(by_chance.mean()), "words"),
    words_strong_p=float(as_many),
)
note.save("words_by_age", changes)

# %% [markdown]
# ## The plainest reader
#
# Before a language model, a bag of words and a linear model. Whole donors are held out, so that the reader meets
# strangers. Beside it stands the split that is used too often: cells dealt at random, every donor on both sides. A
# donor's age is the mean prediction over the donor's cells. The null uses the same model and folds on ages dealt anew: all
# deals are columns of one target, so that one fit serves them all.

# %%
drawn = pl.int_range(pl.len()).shuffle(seed=seed).over("DonorID") < 150
balanced = known.filter(drawn)
words = first_words(ranked.take(balanced["row"].to_numpy()), 300)
texts = np.array([" ".join(names[row[row >= 0]]) for row in words], object)
donor_of = balanced["DonorID"].to_numpy()
donors = balanced.group_by("DonorID").agg(pl.first("age", "Sex"))
donors = donors.sort("DonorID")
place = np.searchsorted(donors["DonorID"].to_numpy(), donor_of)
folds = min(5, donors.height)
random_cells = KFold(folds, shuffle=True, random_state=seed)
by_donor = GroupKFold(folds).split(texts, groups=donor_of)
splits = {
    "whole donors held out": list(by_donor),
    "cells split at random": list(random_cells.split(texts)),
}

# %%
bag = TfidfVectorizer(
    lowercase=False, token_pattern=r"\S+", min_df=10, sublinear_tf=True
)
reader = TransformedTargetRegressor(
    make_pipeline(bag, KernelRidge(alpha=1.0)),
    transformer=StandardScaler(with_std=False),
)
ages = permute.deal(
    donors["age"], strata=donors.select("Sex"), draws=99, seed=seed
)
targets = ages.values.T
predicted = {}
for split, folding in splits.items():
    own = targets if split.startswith("whole") else targets[:, :1]
    of_cells = cross_val_predict(reader, texts, own[place], cv=folding)
    table = pl.DataFrame(of_cells.reshape(len(texts), -1))
    table = table.group_by(pl.Series("DonorID", donor_of)).mean()
    predicted[split] = table.sort("DonorID").drop("DonorID").to_numpy()

# %%
truth = donors["age"].to_numpy()
honest, leaky = (np.abs(predicted[split][:, 0] - truth) for split in splits)
null = np.abs(predicted["whole donors held out"] - targets).mean(axis=0)[1:]
guess = np.abs(truth - (truth.sum() - truth) / (len(truth) - 1)).mean()
age_p = (1 + (null <= honest.mean()).sum()) / (1 + len(null))
drawn_again = stats.bootstrap((honest,), np.mean, method="percentile", rng=rng)
interval = drawn_again.confidence_interval

typist = make_pipeline(bag, RidgeClassifier(solver="sparse_cg", tol=1e-2))
labels = balanced["annotation_level0"].to_numpy().astype(str)
right = {}
for split, folding in splits.items():
    told = cross_val_predict(typist, texts, labels, cv=folding)
    right[split] = accuracy_score(labels, told)

# %% mystnb={"figure": {"caption": "Age of donors as read from sentences against their true age: whole donors held out (filled) and cells split at random, so that the reader knew the donor (open). The dotted line is the truth.", "name": "fig-05-reader"}, "image": {"alt": "Scatter plot, two marks a donor: open marks lie near the dotted diagonal, filled ones spread along a nearly flat band."}}
figure, ax = plt.subplots(figsize=(5.6, 3))
for split, face in zip(splits, ["black", "white"], strict=True):
    told = predicted[split][:, 0]
    ax.plot(truth, told, "o", mfc=face, mec="black", label=split)
ax.axline((50, 50), slope=1, linestyle=":", color="0.5")
ax.set(xlabel="age (years)", ylabel="age read from sentences (years)")
ax.legend(loc="upper left");

# %% tags=["remove-input", "finding"]
note.record("age_error", float(honest.mean()), "years", (float(interval.low), float(interval.high)))
note.record("age_error_leaking", float(leaky.mean()), "years")
note.record("age_error_guessing", float(guess), "years")
note.record("age_p", float(age_p))
note.say(
    "Age of donors never read before: off by **{age_error:.1f}**; guessing the mean is off by {age_error_guessing:.1f}, and "
    "of ages dealt anew a share of {age_p:.2f} is read as well or better. The leaking split claims "
    "{age_error_leaking:.1f}: it knows the donors. "
    + ages.sentence()
    + " Cell types: {type_right:.1%} right, and {type_right_leaking:.1%} with the leak.",
    type_right=float(right["whole donors held out"]),
    type_right_leaking=float(right["cells split at random"]),
)
note.save("reader", donors.with_columns(honest=pl.Series(honest), leaky=pl.Series(leaky)))

# %% [markdown] tags=["exercise"]
# ### Exercise: A split without a leak (10 minutes)
#
# Write `sides(donors, test)`: `donors` lists the donor of each cell, `test` the donors to hold out. Return the rows of
# train and the rows of test, so that no donor is on both sides whatever the chunk a cell is read in.
#
# <details><summary>Hint</summary>The side belongs to the donor, not to the cell: look it up.</details>

# %% tags=["solution", "hide-cell"]
def sides(donors, test):
    held = [row for row, donor in enumerate(donors) if donor in set(test)]
    return [row for row in range(len(donors)) if row not in set(held)], held


print(sides(["A", "B", "A", "C"], ["B"]))
check("05.split", sides)

# %% [markdown]
# ## The files
#
# What a trainer needs: whole donors on one side or the other, decided before anything is written; a manifest of hashes,
# counts and parameters; writing that can be killed and resumed. Where no donors are named, nothing can be held out, and
# the files say so. [`write`](../book/api) makes the files; reading them is lazy. [`prompts.write`](../book/api) turns them
# into prompts for fine-tuning, which state how many genes a sentence really has.

# %%
several = cells["DonorID"].drop_nulls().n_unique() > 1
options = write.Options(
    rule=rule, split="donors" if several else "none",
    test_fraction=test_fraction, seed=seed,
)
[data_set] = write.write(
    {"cells": adata}, note.folder / "sentences", options=options, workers=2,
    replace=True,
)
written = data_set.folder / "**/*.parquet"
side = pl.col("file").str.extract(r"(train|test)[^/]*/[^/]*$")
scanned = (
    pl.scan_parquet(written, include_file_paths="file")
    .group_by(side=side)
    .agg(
        cells=pl.len(),
        words=pl.col("cell_sentence").str.split(" ").list.len().mean(),
        age=pl.col("age").cast(pl.Float64, strict=False).mean(),
    )
    .sort("side")
    .collect()
)

# %%
asked = prompts.write(
    data_set.folder, note.folder / "prompts.jsonl", task="cell_type",
    n_genes=100, tissue="skeletal muscle", seed=seed,
)

# %% tags=["remove-input", "finding"]
manifest = data_set.manifest
files = pl.DataFrame(manifest["files"]).select("file", "side", "cells", "bytes")
note.save("sentence_files", files)
note.table(
    scanned,
    "A scan of the files: cells, mean words of a sentence, mean age in years, by side.",
    name="scan",
    columns={"side": "side", "cells": "cells", "mean words": "words", "mean age": "age"},
)
note.say(
    "Written: {cells_written} in {megabytes_written}; on the test side {test_share:.1%} of the cells; donors on both "
    "sides: {donors_on_both_sides}. Left out because they have no symbol: {symbols_dropped:gene|genes}. Prompts that ask "
    "for the cell type: {prompts_written.number}; left out, because the answer or every word is missing: "
    "{prompts_left_out:cell|cells}.",
    cells_written=(manifest["cells"], "cells"),
    megabytes_written=(float(files["bytes"].sum() / 1e6), "MB"),
    test_share=manifest["split"].get("test_share_of_cells"),
    donors_on_both_sides=manifest["donors_on_both_sides"],
    symbols_dropped=(manifest["symbols"]["dropped_without_symbol"], "genes"),
    prompts_written=(asked.lines, "prompts"),
    prompts_left_out=(asked.left_out, "cells"),
)

# %% [markdown] tags=["exercise"]
# ### Exercise: Years from a stage (10 minutes)
#
# Files of others state ages as stages. Write `bounds(stage)` for labels such as "sixth decade stage" and "62-year-old
# stage": return the lower and the upper bound in years, the upper one exclusive.
#
# <details><summary>Hint</summary>The first decade of a life begins at birth: the sixth begins at fifty.</details>

# %% tags=["solution", "hide-cell"]
def bounds(stage):
    ordinals = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"]
    first = stage.split()[0]
    if first in ordinals:
        return 10 * ordinals.index(first), 10 * ordinals.index(first) + 10
    years = int(first.split("-")[0])
    return years, years + 1


print(bounds("sixth decade stage"))
check("05.decade", bounds)

# %% [markdown]
# ## Scored against the plant
#
# A simulated atlas knows which genes change with age. A word may enter a sentence for that reason, or because its
# neighbors in the ranking left.

# %% tags=["remove-input", "finding"]
if muscle.has("truth"):
    planted = (
        muscle.truth("age_expression")
        .filter(pl.col("annotation_level2").is_null(), annotation_level0=cell_type, assay=assay)
        .group_by(word="gene")
        .agg(planted=pl.sum("log2_change_per_decade"))
    )
    met = changes.join(planted, on="word")
    note.record("words_planted", met.height, "words")
    met = met.filter(pl.col("q") < 0.1)
    note.record("called_planted", met.height, "words")
    note.record("called_right_way", int((met["change"].sign() == met["planted"].sign()).sum()), "words")
    note.say(
        "Of the tested words {words_planted.number} have a planted change"
        + (
            ". Of {words_called:called word|called words} {called_planted.number} have one, in the planted direction "
            "{called_right_way.number}; a called word without one is a false call."
            if (changes["q"] < 0.1).any()
            else ", and no word was called."
        )
    )
else:
    note.say("Nothing was planted in these data.")

# %% [markdown]
# ## What the study found
#
# The study did not write sentences. The directions that it published for genes stand beside those of this book in
# [chapter 3](03_age_de).

# %% [markdown]
# ## Limits
#
# - A word in or out of a sentence mixes expression with depth: a deeper cell has more words. Donors differ in depth.
# - The alphabet decides most places late in a sentence. A model that learns places there learns the alphabet.
# - Ages are exact for few public data sets; decades are kept as bounds, and one number for a model is a convention.
# - The plain reader sees the first words only. A language model may do better; it has to be shown with donors held out.

# %% [markdown]
# ## On your own file
#
# Sentences of any `.h5ad`, and the age that a plain reader tells of strangers: it needs a column of donors and one of
# years. It runs as it stands, on a file written from this page's atlas.

# %%
path, donor, years = f"{note.folder}/own.h5ad", "donor", "years"
own = adata[few[:300]].copy()
about = cells[few[:300]].rename({"DonorID": donor, "age": years}).to_pandas()
own.obs = about.set_index(own.obs_names)
own.write_h5ad(path)

yours = ad.read_h5ad(path)
yours = yours[yours.obs[years].notna() & yours.obs[donor].notna()].copy()
lines = encode(yours, rule=Rule(top_n=300)).sentences
words_as_they_are = TfidfVectorizer(lowercase=False, token_pattern=r"\S+")
model = make_pipeline(words_as_they_are, KernelRidge(alpha=1.0))
people, mean = yours.obs[donor], yours.obs[years].mean()
if people.nunique() > 1:
    folding = GroupKFold(min(5, people.nunique()))
    centered = yours.obs[years] - mean
    read = cross_val_predict(model, lines, centered, groups=people, cv=folding)
    told = yours.obs.assign(read=read + mean)
    print(told.groupby(donor, observed=True)[[years, "read"]].mean().round(1))

# %% [markdown]
# ## In short

# %% tags=["remove-input", "finding"]
note.say(
    "A sentence keeps the order of expression (Spearman {decode_spearman}), though a rule rather than the cell orders "
    "{tied_words:.0%} of its words. Error of a new donor's age: {age_error_guessing:.1f} by guessing, "
    "{age_error:.1f} by reading, and {age_error_leaking:.1f} is what the leaking split claims."
)

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Choose by opening an answer.
#
# **Two programs write different sentences for one cell, from the same values. Is one wrong?**
#
# <details><summary>Yes</summary>Not necessarily: most genes share their value with others, and each program breaks ties in its own way.</details>
# <details><summary>No, if they break ties differently</summary>Right: so the rule has to be stated and be the same everywhere.</details>
#
# **A reader tells ages well on a random split of cells. What was shown?**
#
# <details><summary>That sentences hold age</summary>Not yet: cells of every donor were in training.</details>
# <details><summary>That the reader knows the donors</summary>Right: leave whole donors out, then look again.</details>

# %% tags=["remove-input"]
note.provenance(muscle.describe())
