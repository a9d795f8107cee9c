# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["header"]
# # Signatures of aging
#
# **Question.** Do the named processes of aging, from stem-cell exhaustion to senescence, show in these donors, or do
# they show only to those who expect them?
#
# **You will** score gene sets in donors' profiles, in cells and by ranks; test each score across age on donors, beside
# random sets and beside ages dealt at random; leave out one gene and one donor; look for hospital days and handling
# behind it; and check what the public card promises of CDKN2A and TP53.
#
# **Before you start.** [Genes that change with age](03_age_de), for profiles of donors and their tests.
#
# **Time** 40 minutes to read, 30 for the exercises.
# **Memory** under 2 GiB on the default atlas, under 6 GiB at full size.
#
# **What can go wrong.** A score is an average with a name. Sets of stress genes answer to how tissue was handled, any
# large set can drift with the depth of sequencing, and a name such as *senescence* makes a drift look like a finding.

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import scanpy as sc
import seaborn as sns
import statsmodels.formula.api as smf
from adjustText import adjust_text
from patsy import dmatrix
from scipy import stats

from helpers import findings, sources, style
from helpers.book.workshop import check
from helpers.facts import study
from helpers.stats import expression, permute

with warnings.catch_warnings():  # its progress bar asks for widgets
    warnings.filterwarnings("ignore", message="IProgress not found")
    import decoupler as dc

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny", "n_random": 200}}
atlas: str = "demo"  # data: demo, tiny, a release folder, or an .h5ad file
cell_type: str = ""  # type looked at; empty: MuSC, else the most common
assay: str = "cells"  # assay looked at closely {cells, nuclei}
signature: str = ""  # set drawn by donor; empty: the long list of ribosomes
gene_sets: str = ""  # CSV with columns set and gene; empty: the book's own
min_cells: int = 10  # cells a donor needs for a profile [1, 1000]
n_random: int = 2000  # random sets, and deals of age [100, 100000]
fdr: float = 0.1  # false-discovery rate of a call [0.001, 0.5]
budget: str = "6 GiB"  # memory that loading may take
seed: int = 1  # of random sets, arrangements and control genes [0, 1000000]
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("07_signatures", globals())

# %% [markdown]
# ## The sets
#
# Each set comes with the direction that is claimed for it and its source. Ribosome biogenesis and dissociation stress are
# lists of the study's authors. The others were put together for this book from genes that the field names for each
# process; there is no agreed list of any of them, which is the first thing to know about signatures. Ribosome biogenesis
# comes twice: the *short list* holds the genes of the authors' figure, picked because they fall, the *long list* every
# gene of the process in their notebooks, fallen or not. They need not agree.
#
# Sets of your own come in through `gene_sets`: a CSV with a column `set` (or `signature`), the name, and a column
# `gene`, the symbol, one row a gene. [`read_sets`](../book/api) reads and checks it.

# %%
sets = study.read_sets(gene_sets)
signature = study.choose_set(sets, signature)
muscle = sources.open_atlas(atlas)
adata = muscle.to_anndata(budget=budget)
cell_type = expression.choose_type(
    adata.obs, muscle.donors, cell_type, assay=assay, min_cells=min_cells
)

# %% tags=["remove-input", "finding"]
note.say(
    "This page shows **{data_kind}** data and looks closely at {type_shown}. The most common labels of this assay are "
    "{types_there}. Missing from this source: {missing}.",
    data_kind="simulated" if muscle.simulated else "real",
    type_shown=f"{cell_type} in {assay}",
    types_there=", ".join(
        adata.obs.loc[adata.obs["batch"] == assay, "annotation_level0"].value_counts().index[:6].astype(str)
    ),
    missing=", ".join(muscle.missing) or "nothing",
)
about = study.signatures().group_by("signature").agg(pl.col("expected", "source").first())
described = pl.DataFrame({"signature": list(sets), "genes": list(map(len, sets.values()))}).join(
    about, on="signature", how="left", maintain_order="left"
)
note.table(
    described,
    "Signatures, the direction claimed with age, and their source.",
    name="signatures",
    columns={"signature": "signature", "genes": "genes", "claimed": "expected", "source": "source"},
)

# %% [markdown] tags=["exercise"]
# ### Exercise: Which lists overlap? (10 minutes)
#
# Two signatures that share genes cannot disagree. From the table `study.signatures()`, give the set of genes that
# are in both *senescence* and *inflammaging*.
#
# <details><summary>Hint</summary>Filter the table twice and intersect the two sets of genes.</details>

# %% tags=["solution", "hide-cell"]
table = study.signatures()
senescence = table.filter(pl.col("signature") == "senescence")["gene"]
inflammaging = table.filter(pl.col("signature") == "inflammaging")["gene"]
print(sorted(set(senescence) & set(inflammaging)))
check("07.overlap", set(senescence) & set(inflammaging))

# %% [markdown]
# ## One score a donor
#
# Molecules are summed over the cells of each donor, as in [chapter 3](03_age_de): [`sum_profiles`](../book/api) is
# `sc.get.aggregate` with the donors' table beside it. They are divided by the effective library sizes that the test of
# genes uses: by plain totals the genes of a type seem to drift with age all together, because a few abundant ones take
# up room. A score is the mean log expression of the set's genes, each gene centered over the donors, in log2 units: a
# slope of a tenth per decade means seven percent more of the set every ten years.

# %%
mine = adata.obs["annotation_level0"] == cell_type
cells = adata[mine & (adata.obs["batch"] == assay)].copy()
profiles = expression.sum_profiles(cells, muscle.donors, min_cells=min_cells)
donors = expression.choose_donors(profiles.obs)
every_gene = profiles.to_df("sum").T[donors["DonorID"]]


def score_sets(table):
    """Logs of a table of genes x donors, genes by set, scores by set."""
    sizes = expression.find_sizes(expression.find_expressed(table))
    logs = expression.to_log2_cpm(table[table.mean(axis=1) >= 5], sizes)
    centered = logs.sub(logs.mean(axis=1), axis=0)
    present = {name: logs.index.intersection(sets[name]) for name in sets}
    present = {name: own for name, own in present.items() if len(own) >= 3}
    scores = {name: centered.loc[own].mean() for name, own in present.items()}
    return logs, present, pd.DataFrame(scores)


logs, present, scores = score_sets(every_gene)
if not present:
    msg = "no set has three genes of five molecules: try another cell_type"
    raise ValueError(msg)

# %% [markdown]
# Then a straight line on age is fitted over donors, with sex and chemistry in the formula where the donors allow it.
# `statsmodels` writes the interval.

# %%
def fit_scores(scores, donors):
    """Fit each score (donors x sets) on age, one row a set."""
    formula = f"score ~ {expression.write_formula(donors)}"
    rows = []
    for name in scores:
        data = donors.assign(score=scores[name].to_numpy(float))
        line = smf.ols(formula, data).fit()
        low, high = line.conf_int().loc["coded_age"]
        change, p = line.params["coded_age"], line.pvalues["coded_age"]
        rows.append((name, change, low, high, p))
    numbers = dict.fromkeys(["change", "low", "high", "p"], pl.Float64)
    return pl.DataFrame(rows, {"set": pl.String} | numbers, orient="row")


slopes = fit_scores(scores, donors)

# %% [markdown]
# ### Beside random sets, and beside ages dealt at random
#
# An interval that leaves zero is not yet a finding. Two nulls stand beside each slope.
#
# *Random sets.* For each gene another of the same tenth of expression is drawn, many times. The slope of a score is the
# mean of its genes' slopes, so that a random set takes no new fit. This null knows nothing of how the genes of a set move
# together, which makes it too narrow.

# %%
formula = expression.write_formula(donors)
design = dmatrix(formula, donors, return_type="dataframe")


def find_slopes(values, design=design):
    """Slope on age of each column of a table of donors, least squares."""
    weights = np.linalg.pinv(design.to_numpy())
    return weights[design.columns.get_loc("coded_age")] @ values.to_numpy()


gene_slopes = pd.Series(find_slopes(logs.T), logs.index)
tenth = logs.mean(axis=1).rank(method="first").sub(1) * 10 // len(logs)
alike = {one: gene_slopes[tenth == one].to_numpy() for one in range(10)}
null = []
for genes in present.values():
    rng = np.random.default_rng(seed)
    drawn = [rng.choice(alike[tenth[gene]], n_random) for gene in genes]
    null.append(np.mean(drawn, axis=0))
null = np.column_stack(null)

# %% [markdown]
# *Dealt ages.* The set stays as it is, and the ages are handed to other donors, among donors alike in sex and, where that
# leaves enough ways, in chemistry. This null keeps all that genes do together, and is the wider one for a set whose genes
# follow the same few causes.

# %%
dealt = permute.deal(
    donors["coded_age"], strata=donors[["Sex", "chemistry"]], draws=n_random,
    seed=seed,
)
designs = [design.assign(coded_age=ages) for ages in dealt.values]
dealt_slopes = np.array([find_slopes(scores, one) for one in designs])
found, middle = dealt_slopes[0], np.median(null, axis=0)
as_far = np.abs(dealt_slopes) >= np.abs(found) - 1e-9
farther = np.abs(null - middle) >= np.abs(found - middle) - 1e-12
random_low, random_high = np.quantile(null, [0.025, 0.975], axis=0)
dealt_low, dealt_high = np.quantile(dealt_slopes, [0.025, 0.975], axis=0)
slopes = slopes.with_columns(
    genes=np.array([len(genes) for genes in present.values()]),
    random_low=random_low, random_high=random_high,
    p_random=(1 + farther.sum(axis=0)) / (1 + n_random),
    dealt_low=dealt_low, dealt_high=dealt_high, p_dealt=as_far.mean(axis=0),
).sort("change")

# %% mystnb={"figure": {"caption": "Change of each signature per decade with its 95 % interval over donors (genes in brackets). Gray bars: the middle 95 % of random sets of like size and expression. Brackets: the same of ages dealt at random.", "name": "fig-07-slopes"}, "image": {"alt": "Dot chart, one row a signature: the slope per decade with its interval over donors, zero as a line, gray bars for what random gene sets do, and brackets for what dealt ages do."}}
shown = slopes.to_pandas()
rows = np.arange(len(shown))
figure, axis = plt.subplots(figsize=(5.6, 1 + 0.32 * len(shown)))
axis.barh(
    rows, shown["random_high"] - shown["random_low"], left=shown["random_low"],
    color="0.85", label="random sets",
)
axis.plot(
    [shown["dealt_low"], shown["dealt_high"]], [rows - 0.28] * 2,
    color=style.SKY, marker="|", linewidth=1,
)
axis.hlines(rows, shown["low"], shown["high"], color="black")
axis.scatter(shown["change"], rows, marker="D", color="black", zorder=3)
axis.axvline(0, color="0.5", linestyle=":")
names = [f"{row.set} ({row.genes})" for row in shown.itertuples()]
axis.set_yticks(rows, names)
axis.set_xlabel("change per decade, log2");

# %% [markdown]
# How much does one donor decide? The line is fitted again without each of them.

# %%
chosen = scores[scores.columns.intersection([signature])]
kept = []
for donor in donors["DonorID"]:
    others = donors[donors["DonorID"] != donor]
    if others["coded_age"].nunique() > 1:
        kept += [fit_scores(chosen.loc[others["DonorID"]], others)]
kept = pl.concat(kept)["change"]
totals = every_gene.sum().to_numpy()
plain = expression.to_log2_cpm(every_gene.loc[logs.index], totals)

# %% tags=["remove-input", "finding"]
by_set = {row["set"]: row for row in slopes.iter_rows(named=True)}
one = by_set.get(signature, {})
twin = study.LONG if signature == study.SHORT else study.SHORT
other = {} if gene_sets else by_set.get(twin, {})
within, apart = ((row["low"], row["high"]) if row else None for row in (one, other))
note.record("slope", one.get("change"), "log2 per decade", within)
note.record("other_slope", other.get("change"), "log2 per decade", apart)
note.record("signature_shown", signature)
note.record("slope_p", one.get("p"))
note.record("slope_random_p", one.get("p_random"))
note.record("slope_dealt_p", one.get("p_dealt"))
note.record("slope_lowest", kept.min())
note.record("slope_highest", kept.max())
note.record("other_signature", other.get("set"))
note.record("other_dealt_p", other.get("p_dealt"))
note.say(
    (
        "**{signature_shown}** in {type_shown}: {slope}, p {slope_p}; against random sets p {slope_random_p}, against "
        "dealt ages p {slope_dealt_p}. Leaving out one donor moves the slope between {slope_lowest} and {slope_highest}. "
        if one
        else "Fewer than three genes of {signature_shown} are expressed in {type_shown}: it has no score there. "
    )
    + ("Beside it {other_signature}: {other_slope}, against dealt ages p {other_dealt_p}. " if other else "")
    + dealt.sentence()
)
note.say(
    "The middle gene of all that are seen changes by {gene_drift.number} per decade; divided by plain totals of molecules it "
    "would be {plain_drift.number}, a drift of everything that each set would inherit.",
    gene_drift=(float(gene_slopes.median()), "log2 per decade"),
    plain_drift=(float(np.median(find_slopes(plain.T))), "log2 per decade"),
)
note.save("random_sets", slopes)

# %% mystnb={"figure": {"caption": "The score of the chosen signature in each donor against age. Triangles are men, diamonds women.", "name": "fig-07-donors"}, "image": {"alt": "Scatter plot of one score a donor against age in years, men as triangles and women as diamonds, each mark named by its donor without overlap."}}
marks = {"M": "^", "F": "D", "not stated": "o"}
if signature in scores:
    figure, axis = plt.subplots(figsize=(5.6, 2.6))
    x, y = donors["age"].to_numpy(), scores[signature].to_numpy()
    sns.scatterplot(
        x=x, y=y, style=donors["Sex"], hue=donors["Sex"], markers=marks, s=60,
        legend=False,
    )
    axis.set(xlabel="years", ylabel="score, log2", title=signature)
    places = zip(x, y, donors["DonorID"], strict=True)
    names = [axis.text(*place) for place in places]
    adjust_text(names, x, y, expand=(1.3, 1.6))

# %% [markdown] tags=["exercise"]
# ### Exercise: A p-value that is never zero (10 minutes)
#
# Write `empirical_p(observed, null)`: the two-sided empirical p of `observed` among the values of `null`, which lie around
# zero. The observed value counts as one of the draws. Try it on a slope and its random sets.
#
# <details><summary>Hint</summary>Count the draws at least as far from zero, add one above and below the line.</details>

# %% tags=["solution", "hide-cell"]
def empirical_p(observed, null):
    extreme = (np.abs(null) >= abs(observed)).sum()
    return (1 + extreme) / (1 + len(null))


print(empirical_p(2.5, np.linspace(-3, 3, 199)))
check("07.empirical", empirical_p)

# %% [markdown]
# ## Three ways to score, one answer?
#
# A cell can be scored by the mean of the set less that of control genes (`sc.tl.score_genes`), or by where the set's
# genes stand in the cell's own ranking ({term}`AUCell` {cite:p}`aibar2017`, in `decoupler`), which no scaling can move.

# %%
def as_net(sets):
    """Sets as a table of pairs, as decoupler wants them."""
    pairs = [(name, gene) for name, genes in sets.items() for gene in genes]
    return pd.DataFrame(pairs, columns=["source", "target"]).assign(weight=1.0)


scored_cells = cells[cells.obs["DonorID"].isin(donors["DonorID"])].copy()
sc.pp.filter_genes(scored_cells, min_cells=3)
sc.pp.filter_cells(scored_cells, min_genes=1)
for name, genes in present.items():
    sc.tl.score_genes(scored_cells, genes, score_name=name, random_state=seed)
dc.mt.aucell(scored_cells, as_net(present), tmin=3, bsize=2000)

# %% [markdown]
# Averaged over the cells of a donor, both give one number a donor, and the same test. Their units differ; compare signs
# and p-values, not slopes. Where three ways disagree, the signature is too weak to speak.

# %%
who = scored_cells.obs["DonorID"].astype(str)
ways = {
    "profile": scores,
    "score_genes": scored_cells.obs[list(present)].groupby(who).mean(),
    "aucell": scored_cells.obsm["score_aucell"].groupby(who).mean(),
}
three_ways = []
for way, table in ways.items():
    fit = fit_scores(table.loc[donors["DonorID"]], donors)
    three_ways.append(fit.with_columns(way=pl.lit(way)))
three_ways = pl.concat(three_ways)
agreement = three_ways.group_by("set").agg(
    ways=pl.len(), one_sign=(pl.col("change") > 0).n_unique() == 1
)
agreement = agreement.filter(pl.col("ways") == len(ways))

# %% tags=["remove-input", "finding"]
note.say(
    "Of {sets_compared:signature|signatures} that were scored in all three ways, {sets_agreeing.number} have one sign in all "
    "three.",
    sets_compared=(agreement.height, "signatures"),
    sets_agreeing=(agreement.filter("one_sign").height, "signatures"),
)
wide = three_ways.pivot("way", index="set", values=["change", "p"]).join(agreement, on="set")
note.save("three_ways", wide.sort("set"))

# %% [markdown] tags=["exercise"]
# ### Exercise: A score by hand (10 minutes)
#
# Write `score(table, genes)`: `table` maps a gene to a list of log values, one a donor. Return one score a donor: the
# mean over `genes` of the values, each gene first centered on its own mean.
#
# <details><summary>Hint</summary><code>pd.DataFrame(table)</code> has a column a gene: choose columns, subtract their
# means, then average over <code>axis=1</code>.</details>

# %% tags=["solution", "hide-cell"]
def score(table, genes):
    values = pd.DataFrame(table)[list(genes)]
    return (values - values.mean()).mean(axis=1).tolist()


tried = score({"A": [1, 2, 3], "B": [0, 4, 2]}, ["A", "B"])
print([round(value, 2) for value in tried])
check("07.score", score)

# %% [markdown]
# ## Every type, every signature
#
# The same for each type and assay with enough donors, one at a time by [`find_testable`](../book/api). The
# false-discovery rate is over all tests of this section.

# %%
everywhere = []
for kind, there, people, table in expression.find_testable(
    adata, muscle.donors, min_cells=min_cells
):
    if people is None:
        continue
    _, own, by_set = score_sets(table)
    found = fit_scores(by_set, people).with_columns(
        genes=pl.Series([list(genes) for genes in own.values()]),
        type=pl.lit(kind), assay=pl.lit(there), donors=pl.lit(len(people)),
    )
    everywhere.append(found)
everywhere = pl.concat(everywhere)
q = stats.false_discovery_control(everywhere["p"].to_numpy())
everywhere = everywhere.with_columns(q=q).sort("p", "set", "type")

# %% mystnb={"figure": {"caption": "Change per decade of each signature in each type and assay (log2). A sign where the interval leaves zero, a star where the false-discovery rate is met.", "name": "fig-07-everywhere"}, "image": {"alt": "Heatmap, rows signatures, columns cell types by assay: purple for falling, orange for rising; plus or minus signs where the interval leaves zero and stars for calls."}}
clear = pl.when(pl.col("low") > 0).then(pl.lit("+"))
clear = clear.when(pl.col("high") < 0).then(pl.lit("–")).otherwise(pl.lit(""))
cell_of = everywhere.with_columns(
    mark=pl.when(pl.col("q") < fdr).then(pl.lit("*")).otherwise(clear),
    row=pl.col("type") + ", " + pl.col("assay"),
).to_pandas()
figure, axis = plt.subplots(figsize=(5.6, 3.9))
sns.heatmap(
    cell_of.pivot(index="set", columns="row", values="change"),
    annot=cell_of.pivot(index="set", columns="row", values="mark"), fmt="",
    cmap=style.DIVERGING, center=0, ax=axis,
    cbar_kws={"label": "change per decade, log2"},
)
axis.set(xlabel="", ylabel="");

# %% tags=["remove-input", "finding"]
mine_here = (pl.col("set") == signature) & (pl.col("type") == cell_type) & (pl.col("assay") == assay)
q_here = everywhere.filter(mine_here)["q"]
note.record("slope_q", q_here[0] if len(q_here) else None)
note.say(
    "Over types, assays and signatures {tests_made:test was|tests were} made, and **{tests_called:test reaches|tests reach}** "
    "the false-discovery rate. The signature drawn above has q {slope_q}.",
    tests_made=(everywhere.height, "tests"),
    tests_called=(everywhere.filter(pl.col("q") < fdr).height, "tests"),
)
note.save("slopes", everywhere.with_columns(genes=pl.col("genes").list.len()))

# %% [markdown]
# ## Does one gene carry it?
#
# The slope of a score is the mean of its genes' slopes, so that leaving a gene out takes no new fit.

# %%
carried = []
for name, genes in present.items():
    if len(genes) < 4:
        continue
    own = gene_slopes[genes]
    without = (own.sum() - own) / (len(genes) - 1)
    changes_sign = bool(without.min() * without.max() < 0)
    gene = without.abs().idxmin()
    row = (name, own.mean(), without.min(), without.max(), gene, changes_sign)
    carried.append(row)
head = ["set", "change", "lowest", "highest", "gene", "changes_sign"]
carried = pl.DataFrame(carried, head, orient="row")

# %% tags=["remove-input", "finding"]
note.say(
    "The sign of the slope hangs on a single gene in {sets_carried:signature|signatures}.",
    sets_carried=(int(carried["changes_sign"].sum() or 0), "signatures"),
)
note.save("without_one_gene", carried)

# %% [markdown]
# ## What else differs between these donors
#
# The study's donors spent between two and ten days in hospital before they gave tissue. A signature that follows the
# days, or the stress of handling, more closely than age is a poor signature of age, whatever its name. With so few donors
# the order of two correlations is itself uncertain: a warning, not a test.

# %%
days = study.donors().to_pandas().set_index("DonorID")["hospital_days"]
beside = donors.set_index("DonorID")[["age"]]
beside = beside.join(days.rename("hospital days").astype(float))
beside["stress score"] = scores.get("dissociation stress", np.nan)
beside = beside.loc[:, beside.notna().sum() >= 5]
follows = pd.DataFrame(
    {one: scores.corrwith(beside[one], method="spearman") for one in beside}
)
if "stress score" in follows:
    follows.loc["dissociation stress", "stress score"] = np.nan

# %% mystnb={"figure": {"caption": "Rank correlation of each signature over donors with age, days in hospital, and the dissociation-stress score.", "name": "fig-07-confounders"}, "image": {"alt": "Grid of correlations between minus one and one, rows signatures, columns age, hospital days and dissociation stress, the number written in each square."}}
figure, axis = plt.subplots(figsize=(5.6, 1 + 0.3 * len(follows)))
sns.heatmap(
    follows, annot=True, fmt=".2f", cmap=style.DIVERGING, vmin=-1, vmax=1,
    ax=axis, cbar=False,
)
axis.set(xlabel="", ylabel="");

# %% tags=["remove-input", "finding"]
others = follows.drop(columns="age").abs().max(axis=1)
note.say(
    "By rank correlation {sets_closer_to_other:signature follows|signatures follow} hospital days or handling more closely "
    "than age.",
    sets_closer_to_other=(int((others > follows["age"].abs()).sum()), "signatures"),
)
note.save("confounders", follows.rename_axis("set").reset_index())

# %% [markdown]
# ## The card's promise
#
# The public card expects models to recover aging genes, and names CDKN2A and TP53. How many cells of the chosen type show
# them at all, and how does that share change with age over donors?

# %%
promised = adata.var_names.intersection(["CDKN2A", "TP53"])
shown = sc.get.obs_df(cells, ["DonorID", *promised]).set_index("DonorID")
shares = shown.gt(0).groupby(level=0, observed=True).mean()
shares = shares.loc[donors["DonorID"]]
kept = fit_scores(shares, donors)
kept = kept.with_columns(median_share=shares.median().to_numpy(float))

# %% tags=["remove-input", "finding"]
note.record("promised_rising", kept.filter(pl.col("change") > 0, pl.col("p") < 0.05).height, "genes")
note.say(
    "{promised_tested:promised gene was|promised genes were} tested, and **{promised_rising:gene rises|genes rise}** with age "
    "at p below 0.05. The median donor shows such a gene in {promised_share:.1%} of the cells."
    if kept.height
    else "This source has none of the promised genes.",
    promised_tested=(kept.height, "genes"),
    promised_share=float(np.median(shares)) if shares.size else None,
)
note.save("promised_genes", kept)

# %% [markdown]
# ## Enrichment among tested genes
#
# The other common way asks whether a set's genes crowd one end of the list of tested genes; `decoupler` has it as a
# univariate linear model {cite:p}`badia2022`. Its p-values take genes for independent, which they are not: read the order.

# %%
expressed = expression.find_expressed(every_gene)
tested = expression.run_test(expressed, design)
signed = tested["log2_change"].sign() * tested["F"].sqrt()
ranking = pd.DataFrame(
    [signed.to_numpy()], index=["age"], columns=tested["gene"].to_list()
)
pairs = as_net(sets)
inside = pairs["target"].isin(ranking.columns)
enriched, _ = dc.mt.ulm(ranking, pairs[inside], tmin=3)
enriched = enriched.loc["age"].sort_values(key=abs, ascending=False)

# %% tags=["remove-input", "finding"]
note.say(
    "Farthest from the middle of the list is {top_enriched}, with t = {top_enriched_score.number}; a value below zero falls "
    "with age.",
    top_enriched=enriched.index[0],
    top_enriched_score=float(enriched.iloc[0]),
)
note.save("enrichment", enriched.rename("score").rename_axis("set").reset_index())

# %% [markdown]
# ## Scored against the plant
#
# On a simulated atlas each slope can be set beside what was planted in its genes. In stem cells the short list of
# ribosome biogenesis was planted to fall and CCL2 to rise; most genes of the long list and of the other sets have no
# plant. On real data this part stays empty.

# %%
truth = muscle.truth("age_expression")
if truth is not None:
    planted = truth.filter(pl.col("annotation_level2").is_null()).select(
        "assay", type="annotation_level0", genes="gene",
        planted="log2_change_per_decade",
    )
    keys = ["set", "type", "assay"]
    by_gene = everywhere.explode("genes").join(
        planted, on=["type", "assay", "genes"], how="left"
    )
    in_sets = by_gene.group_by(keys).agg(pl.col("planted").fill_null(0).mean())
    scored = everywhere.drop("genes").join(in_sets, on=keys)
    held = pl.col("planted").is_between(pl.col("low"), pl.col("high"))
    scored = scored.with_columns(covered=held).sort("planted", *keys)

# %% tags=["remove-input", "finding"]
plant_here = scored.filter(mine_here)["planted"] if truth is not None else []
note.say(
    "Nothing is planted in these data."
    if truth is None
    else "Planted in {signature_shown}, {type_shown}: {planted_slope}. Of all intervals {coverage:.1%} hold the planted slope.",
    planted_slope=(plant_here[0] if len(plant_here) else None, "log2 per decade"),
    coverage=None if truth is None else scored["covered"].mean(),
)
if truth is not None:
    note.save("scored", scored)

# %% [markdown]
# ## What the study reported
#
# The authors report a lower ribosome-biogenesis score in stem cells of older donors, by a rank-sum test over donors, and
# more CCL2 in stem cells and several other types. They strip the dissociation genes before they test pathways. No source
# of the study that we could read shows CDKN2A or TP53 rising.

# %% [markdown]
# ## Limits
#
# - A set's score says that its genes moved together on average, not that the process it is named after did.
# - Senescent cells are rare and their marker is hardly ever caught; an absent signal is weak evidence of absence.
# - Nuclei and cells catch different molecules. A score is compared over donors of one assay, never between assays.
# - With so few donors, only large and consistent shifts can be seen; the intervals say how large.

# %% [markdown]
# ## On your own file
#
# Score any AnnData of log-normalized values with `sc.tl.score_genes`, average over donors, fit over donors. Put
# `sc.read_h5ad` of your file in the first line, one cell type at a time.

# %%
own = cells  # sc.read_h5ad("mine.h5ad"), log-normalized, one cell type
own = own[own.obs["age_numeric"].notna()].copy()
my_genes = own.var_names.intersection(sets[signature])
sc.tl.score_genes(own, my_genes, score_name="score", random_state=0)
by_donor = own.obs.groupby("DonorID", observed=True).agg(
    score=("score", "mean"), cells=("score", "size"),
    decades=("age_numeric", lambda years: years.iloc[0] / 10),
    sex=("Sex", "first"),
)
by_donor = by_donor[by_donor["cells"] >= 10]
both_sexes = " + sex" if by_donor["sex"].nunique() > 1 else ""
answer = smf.ols(f"score ~ decades{both_sexes}", by_donor).fit()
pd.DataFrame({"change": answer.params, "p": answer.pvalues})

# %% [markdown]
# ## In short

# %% tags=["remove-input", "finding"]
note.say(
    "In {type_shown} {signature_shown} changes by {slope}"
    + (", and {other_signature} by {other_slope}: the name is the same, the genes are not." if one and other else ".")
    + " Of {tests_made:test|tests} of a signature in a type {tests_called.number} reached the false-discovery rate. The card's "
    "promise of rising genes is met by {promised_rising:gene|genes}."
)

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Choose by opening an answer.
#
# **A score of senescence rises with age. Which question comes first?**
#
# <details><summary>How small is p?</summary>Not yet.</details>
# <details><summary>Does it rise without its strongest gene, and with another way to score?</summary>Right: a signature that hangs on one gene is that gene.</details>

# %% tags=["remove-input"]
note.provenance(muscle.describe())
