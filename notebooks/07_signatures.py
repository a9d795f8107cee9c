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
# **You will** score gene sets in cells, by ranks and in donors' profiles; test each score across age on donors; set it
# beside random sets of like expression; leave out one gene and one donor; look for hospital days and handling behind
# it; and check what the public card promises of CDKN2A and TP53.
#
# **Before you start.** [Genes that change with age](03_age_de), for profiles of donors and their tests.
#
# **Time** 40 minutes to read, 30 for the exercises.
# **Memory** under 2 GiB on the default atlas, under 5 GiB at full size.
#
# **What can go wrong.** A score is an average with a name. Sets of stress genes answer to how tissue was handled, any
# large set can drift with the depth of sequencing, and a name such as *senescence* makes a drift look like a finding.

# %%
import polars as pl

from helpers import findings, sources
from helpers.analysis import age_types, enrichment, signature_genes, signature_tests, signatures
from helpers.analysis import signature_cards as cards
from helpers.atlas import recovery
from helpers.facts import signatures as known
from helpers.figures import signatures as draw
from helpers.figures import style

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny", "n_random": 200}}
atlas: str = "demo"  # data: demo, tiny, a release folder, or an .h5ad file
cell_type: str = "MuSC"  # coarse type looked at closely
assay: str = "cells"  # assay looked at closely {cells, nuclei}
signature: str = "ribosome biogenesis"  # signature drawn donor by donor
gene_sets: str = ""  # CSV with columns set and gene, one row a gene; empty: the sets of this book
min_cells: int = 10  # cells a donor needs for a profile [1, 1000]
n_random: int = 2000  # random gene sets behind each null [100, 100000]
fdr: float = 0.1  # false-discovery rate of a call [0.001, 0.5]
budget: str = "6 GiB"  # memory that loading may take
seed: int = 1  # of random sets and control genes [0, 1000000]
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("07_signatures", globals())

# %%
muscle = sources.open_atlas(atlas)
recovered = recovery.with_counts(muscle, budget=budget)
profiles = age_types.profiles(recovered.adata, counted=recovered.found, min_cells=min_cells)

# %% tags=["hide-input", "finding"]
note.record("data_kind", "simulated" if muscle.simulated else "real")
note.record("missing", ", ".join(muscle.missing) or "nothing")
note.say("This page shows **{data_kind}** data. Missing from this source: {missing}.")

# %% [markdown]
# ## The sets
#
# Each set comes with the direction that is claimed for it and the place it was taken from. Of the book's own sets,
# ribosome biogenesis and dissociation stress are lists of the study's authors. The others were put together for this book
# from genes that the field names for each process; there is no agreed list of any of them, which is the first thing to
# know about signatures.
#
# Sets of your own come in through `gene_sets`: a CSV with a column `set`, the name, and a column `gene`, the symbol, one
# row a gene. `signature` is taken for `set`. The [chapter on genes that change with age](03_age_de) reads the same file.

# %%
sets = signatures.read(gene_sets, built_in=known.signatures())

# %% tags=["hide-input"]
note.table(cards.describe(sets, known.signatures()), "Signatures, the direction claimed with age, and their source.", name="signatures")

# %% [markdown]
# ## One score a donor
#
# In each profile, a score is the mean log expression of the set's genes, each gene centered over the donors of the type.
# It is in log2 units: a slope of a tenth per decade means seven percent more of the set every ten years. Then a straight
# line on exact age is fitted over donors, with sex and chemistry in the model where the donors allow it.

# %%
scores = signatures.score_profiles(profiles, sets)
slopes = signature_tests.slopes(scores)
here = cards.select(slopes, cell_type=cell_type, assay=assay)

# %% [markdown]
# The gray band behind each estimate is the slope, by the same model, of random sets of as many genes and like
# expression. An interval that leaves zero while the estimate stays in the band is a drift that genes of that kind show.
# The band knows nothing of how genes of a set move together, which makes it too narrow; an estimate outside it that has
# an interval around zero is no finding either.

# %%
null = signature_genes.random_null(profiles, sets, cell_type=cell_type, assay=assay, n_random=n_random, seed=seed)

# %% mystnb={"figure": {"caption": "Change of each signature per decade with its 95 % interval over donors (genes in brackets). Gray: the central 95 % of random sets of like size and expression.", "name": "fig-07-slopes"}, "image": {"alt": "Dot chart, one row a signature: the slope per decade with its interval over donors, zero as a line, and gray bars for what random gene sets do."}} tags=["hide-input"]
draw.draw_slopes(here, null)

# %% tags=["hide-input", "finding"]
found = signature_tests.headline(slopes, signature, cell_type=cell_type, assay=assay, method="profile")
random_p = cards.lookup(null, signature, "empirical_p")
note.record("signature_shown", signature)
note.record("type_shown", f"{cell_type}, {assay}")
note.record("slope", found["slope_per_decade"], "log2 per decade", interval=found["interval"])
note.record("slope_p", found["p"])
note.record("slope_q", found["q"])
note.record("slope_lowest", found["lowest_without_one"])
note.record("slope_highest", found["highest_without_one"])
note.record("slope_random_p", random_p)
note.say(
    "Signature {signature_shown} in {type_shown}: **{slope}**, p = {slope_p}, q over all types and sets = {slope_q}; against random "
    "sets p = {slope_random_p}. Leaving out one donor moves the slope between {slope_lowest} and {slope_highest}."
)

# %% mystnb={"figure": {"caption": "The score of the chosen signature in each donor against age. Triangles are men, diamonds women.", "name": "fig-07-donors"}, "image": {"alt": "Scatter plot of one score a donor against age, each mark labeled with the donor."}} tags=["hide-input"]
draw.draw_donors(cards.select(scores, cell_type=cell_type, assay=assay), signature)

# %% tags=["hide-input"]
note.table(null, "Slopes beside random sets of like size and expression.", name="random_sets")

# %% [markdown]
# ## Three ways to score, one answer?
#
# A cell can be scored by the mean of the set less the mean of control genes, or by where the set's genes stand in the
# cell's own ranking, which no scaling can move. Averaged over the cells of a donor, both give one number a donor, and
# the same test. Their units differ; compare signs and p-values, not slopes. Where three ways disagree, the signature
# is too weak to speak.

# %%
by_cell = signatures.score_cells(recovered.adata, sets, cell_type=cell_type, assay=assay, seed=seed)
three_ways = pl.concat([here, signature_tests.slopes(by_cell)])
agreement = cards.compare_methods(three_ways)

# %% tags=["hide-input", "finding"]
note.record("sets_compared", agreement.height, "signatures")
note.record("sets_agreeing", agreement.filter("same_sign").height, "signatures")
note.say("Signatures scored in all three ways: {sets_compared.number}; with one sign in all three: {sets_agreeing.number}.")

# %% tags=["hide-input"]
note.table(agreement, "Sign and p of each signature by three ways of scoring.", name="three_ways")

# %% [markdown]
# ## Every type, every signature

# %% mystnb={"figure": {"caption": "Direction (up or down triangle) and size of each signature's slope in each type and assay. A ring marks a false-discovery rate below the chosen one.", "name": "fig-07-everywhere"}, "image": {"alt": "Grid of triangles, rows cell types by assay, columns signatures; triangles point up for a rise with age and down for a fall, larger for steeper slopes; a ring marks a call."}} tags=["hide-input"]
draw.draw_everywhere(slopes, fdr=fdr)

# %% tags=["hide-input", "finding"]
note.record("tests_made", slopes.height, "tests")
note.record("tests_called", slopes.filter(pl.col("q") < fdr).height, "tests")
note.say("Tests over types, assays and signatures: {tests_made.number}; with a false-discovery rate below the chosen one: **{tests_called.number}**.")

# %% tags=["hide-input"]
note.table(slopes, "Every signature in every type and assay, smallest p first.", name="slopes")

# %% [markdown]
# ## Does one gene carry it?

# %%
without = signature_genes.without_one_gene(profiles, sets, cell_type=cell_type, assay=assay)
carried = cards.carriers(without)

# %% tags=["hide-input", "finding"]
note.record("sets_carried", carried.filter("changes_sign").height, "signatures")
note.say("Signatures whose sign hangs on a single gene: {sets_carried.number}.")

# %% tags=["hide-input"]
note.table(carried, "Range of the slope when any one gene is left out.", name="without_one_gene")

# %% [markdown]
# ## What else differs between these donors
#
# The study's donors spent between two and ten days in hospital before they gave tissue. A signature that follows the
# days, or the stress of handling, more closely than it follows age is a poor signature of age, whatever its name. With so
# few donors the order of two correlations is itself uncertain: read this as a warning, not as a test.

# %%
confounded = signature_tests.confounders(scores, cell_type=cell_type, assay=assay)

# %% mystnb={"figure": {"caption": "Rank correlation of each signature over donors with age, days in hospital, and the dissociation-stress score.", "name": "fig-07-confounders"}, "image": {"alt": "Grid of correlations between minus one and one, rows signatures, columns age, hospital days and dissociation stress, the number written in each square."}} tags=["hide-input"]
draw.draw_confounders(confounded)

# %% tags=["hide-input", "finding"]
closer = cards.closer_than_age(confounded)
note.record("sets_closer_to_other", closer.height, "signatures")
note.say("Signatures that follow hospital days or handling more closely than age, by rank correlation: {sets_closer_to_other.number}.")

# %% tags=["hide-input"]
note.table(confounded, "Rank correlations over donors.", name="confounders")

# %% [markdown]
# ## The card's promise
#
# The public card expects models to recover aging genes, and names CDKN2A and TP53. Here they are, gene by gene, in the
# chosen type: how many cells show them at all, and how that share changes with age over donors.

# %%
promised = cards.present(known.CARD_GENES, muscle.var)
shares = signatures.detection(muscle.obs, muscle.genes(promised), cell_type=cell_type, assay=assay)
kept = cards.fit_shares(shares, people=profiles.obs)

# %% tags=["hide-input", "finding"]
note.record("promised_tested", kept.height, "genes")
note.record("promised_rising", kept.filter((pl.col("slope_per_decade") > 0) & (pl.col("p") < 0.05)).height, "genes")
note.record("promised_share", float(shares["share"].median()) if shares.height else None)
note.say(
    "Promised genes tested: {promised_tested.number}; rising with age at p below 0.05: **{promised_rising.number}**. The "
    "median donor shows such a gene in {promised_share:.1%} of the cells."
)

# %% tags=["hide-input"]
note.table(kept, "Share of cells with each promised gene: change per decade over donors.", name="promised_genes")

# %% [markdown]
# ## Enrichment among tested genes
#
# The other common way asks whether a set's genes crowd one end of the list of tested genes. Its p-values take genes for
# independent; they are not, so read the order, not the numbers.

# %%
enriched = enrichment.by_age(profiles, sets, cell_type=cell_type, assay=assay)

# %% tags=["hide-input", "finding"]
note.record("top_enriched", enriched["signature"][0] if enriched.height else None)
note.record("top_enriched_score", float(enriched["score"][0]) if enriched.height else None)
note.say("Farthest from the middle of the list: {top_enriched}, with t = {top_enriched_score}.")

# %% tags=["hide-input"]
note.table(enriched, "Gene-set enrichment of the age test.", name="enrichment")

# %% [markdown]
# ## Scored against the plant
#
# On a simulated atlas each slope can be set beside what was planted in its genes. In stem cells a short list of genes of
# ribosome biogenesis was planted to fall and CCL2 to rise; in the book's long list most genes have no plant, so that the
# planted slope of the set is small. Most other sets hold genes with planted effects only by chance.

# %%
scored = signature_tests.compare_with_truth(
    slopes, signatures.scored_genes(profiles, sets), muscle.truth("age_expression")
)

# %% tags=["hide-input", "finding"]
note.record("planted_slope", cards.planted(scored, signature, cell_type=cell_type, assay=assay), "log2 per decade")
note.record("coverage", float(scored["covered"].mean()) if scored.height else None)
note.say("Planted in {signature_shown}, {type_shown}: {planted_slope}. Intervals that hold the planted slope: {coverage:.1%}. (Not available on real data.)")

# %% tags=["hide-input"]
note.table(scored.select("signature", "type", "assay", "slope_per_decade", "low", "high", "planted_slope", "covered"), "Found and planted.", name="scored")

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

# %% [markdown] tags=["exercise"]
# ```{exercise} A score by hand
# :label: ex-07-score
# Write `score(table, genes)`: `table` maps a gene to a list of log values, one a donor. Return one score a donor: the
# mean over `genes` of the values, each gene first centered on its own mean.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# Center gene by gene, then average over genes donor by donor; `zip(*rows)` turns rows into columns.
# :::

# %% tags=["solution", "hide-cell"]
from helpers.book.workshop import check


def score(table, genes):
    centered = [[value - sum(table[gene]) / len(table[gene]) for value in table[gene]] for gene in genes]
    return [sum(column) / len(column) for column in zip(*centered, strict=True)]


check("07.score", score)

# %% [markdown] tags=["exercise"]
# ```{exercise} A p-value that is never zero
# :label: ex-07-empirical
# Write `empirical_p(observed, null)`: the two-sided empirical p of `observed` among the values of `null`, which lie around
# zero. The observed value counts as one of the draws.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# Count the draws at least as far from zero, add one above and below the line.
# :::

# %% tags=["solution", "hide-cell"]
def empirical_p(observed, null):
    extreme = sum(abs(value) >= abs(observed) for value in null)
    return (1 + extreme) / (1 + len(null))


check("07.empirical", empirical_p)

# %% [markdown] tags=["exercise"]
# ```{exercise} Which lists overlap?
# :label: ex-07-overlap
# Two signatures that share genes cannot disagree. From `known.signatures()`, give the set of genes that are in both
# *senescence* and *inflammaging*.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# Filter the table twice and intersect the two sets of genes.
# :::

# %% tags=["solution", "hide-cell"]
table = known.signatures()
senescence = set(table.filter(pl.col("signature") == "senescence")["gene"])
inflammaging = set(table.filter(pl.col("signature") == "inflammaging")["gene"])
check("07.overlap", senescence & inflammaging)

# %% [markdown]
# ## In one sentence

# %% tags=["hide-input", "finding"]
note.say("Signature {signature_shown} in {type_shown} changes by {slope}; of {tests_made}, those called: {tests_called.number}; promised genes that rise: {promised_rising.number}.")

# %% tags=["hide-input"]
note.provenance(muscle.describe())
