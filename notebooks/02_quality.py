# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["header"]
# # Quality control
#
# **Question.** Which cells, genes and comparisons can the later chapters lean on?
#
# **You will** look at the quality columns by donor, assay, chemistry and type, see whom a threshold would remove
# before you set it, check every donor's sex against the data, recover whole molecule counts from released values,
# find genes that one assay cannot see, and write down which effects these donors can and cannot estimate.
#
# **Before you start.** [Loading the atlas](01_loading).
#
# **Time** 40 minutes to read, 30 for the exercises.
# **Memory** under 2 GiB on the default atlas, under 5 GiB at full size.
#
# **What can go wrong.** One threshold for all cells removes whole cell types: a resting lymphocyte has few genes
# because it is small, a nucleus has few because it is a nucleus. And no threshold repairs a design in which the
# young and the old differ in more than age.

# %%
import polars as pl

from helpers import findings, names, sources
from helpers.analysis import donors, quality, sexes, zeros
from helpers.atlas import recovery
from helpers.figures import quality as draw
from helpers.figures import style

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny"}}
atlas: str = "demo"  # data: demo, tiny, a release folder, or an .h5ad file
min_genes: int = 300  # genes a cell must express [0, 10000]
min_counts: int = 500  # molecules a cell must hold [0, 100000]
max_percent_mito: float = 10.0  # mitochondrial share of the molecules, percent [0, 100]
max_doublet_score: float = 0.4  # scrublet's score [0, 1]
min_expected: float = 10.0  # barcodes that should have seen a gene, were the assays alike, before its absence is told [1, 10000]
min_share: float = 0.03  # share of the other assay's barcodes that must see that gene [0, 1]
budget: str = "4 GiB"  # memory that loading may take
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("02_quality", globals())

# %%
muscle = sources.open_atlas(atlas)
people = donors.by_donor(muscle.obs)

# %% tags=["hide-input", "finding"]
note.record("cells", muscle.obs.height, "cells and nuclei")
note.record("missing", ", ".join(muscle.missing) or "nothing")
note.record("data_kind", "simulated" if muscle.simulated else "real")
note.say("This page shows **{data_kind}** data, {cells}. Missing from this source: {missing}.")

# %% [markdown]
# ## What was measured, and how it differs between donors
#
# The release was filtered before it was published, so expect no debris here. Expect differences between donors: each
# donor is a few libraries, in single cells of one chemistry, handled together. Where donors differ for technical
# reasons, a test that takes cells for replicates finds "age" where there is none.

# %% mystnb={"figure": {"caption": "Quality columns by donor, youngest on top: median (tick), quartiles (thick), fifth to ninety-fifth percentile (thin).", "name": "fig-02-donors"}, "image": {"alt": "Five panels, genes, counts, mitochondrial and ribosomal percent and doublet score, one row a donor ordered by age: a tick at the median, thick and thin lines for the spread."}} tags=["hide-input"]
draw.draw_spread(muscle.obs, by=names.DONOR, order=people[names.DONOR].to_list() or None)

# %% tags=["hide-input"]
note.table(
    quality.summarize(muscle.obs, by=[names.ASSAY, names.CHEMISTRY]),
    "Medians of the quality columns by assay and chemistry.", name="quality_by_assay",
)

# %% [markdown]
# By cell type the same columns tell more of biology: how large a cell is, how much it makes, whether it is a nucleus.

# %%
by_type = quality.summarize(muscle.obs, by=[names.LEVEL0, names.ASSAY])

# %% mystnb={"figure": {"caption": "Quality columns by coarse cell type: median (tick), quartiles (thick), fifth to ninety-fifth percentile (thin).", "name": "fig-02-types"}, "image": {"alt": "Five panels of quality columns, one row a cell type: a tick at the median, thick and thin lines for the spread."}} tags=["hide-input"]
draw.draw_spread(muscle.obs, by=names.LEVEL0)

# %% tags=["hide-input"]
note.table(by_type, "Medians of the quality columns by type and assay.", name="quality_by_type", rows=15)

# %% tags=["hide-input", "finding"]
spread = quality.spread(muscle.obs)
note.record("median_genes", spread["median_genes"], "genes")
note.record("median_counts", spread["median_counts"], "molecules")
note.record("type_range", spread["type_range"], "fold")
note.record("donor_range", spread["donor_range"], "fold")
note.say(
    "A barcode holds at the median {median_genes} and {median_counts}. Between the type with most and the type with "
    "fewest molecules lie {type_range}; between donors of one assay at most {donor_range}."
)

# %% [markdown]
# ## A threshold, and whom it removes
#
# The limits are parameters of this page. Before any of them is used, count what it would cost: how many cells, and
# above all *whose*. A rule that takes a tenth of all cells but nearly all cells of one type or one donor has changed
# the question.

# %%
limits = quality.Thresholds(
    min_genes=min_genes,
    min_counts=min_counts,
    max_percent_mito=max_percent_mito,
    max_doublet_score=max_doublet_score,
)
overall = quality.removed(muscle.obs, limits)
types_hit = quality.removed(muscle.obs, limits, by=names.LEVEL0)
donors_hit = quality.removed(muscle.obs, limits, by=names.DONOR)

# %% tags=["hide-input"]
note.table(overall, "What each rule would remove.", name="removed_overall")

# %% mystnb={"figure": {"caption": "Share of each cell type that the rules together would remove; the number beside a bar is cells.", "name": "fig-02-removed-types"}, "image": {"alt": "Bar chart, one row a cell type, sorted by the share of cells that the thresholds would remove."}} tags=["hide-input"]
draw.draw_removed(types_hit)

# %% mystnb={"figure": {"caption": "Share of each donor's cells that the rules together would remove; the number beside a bar is cells.", "name": "fig-02-removed-donors"}, "image": {"alt": "Bar chart, one row a donor, sorted by the share of cells that the thresholds would remove."}} tags=["hide-input"]
draw.draw_removed(donors_hit)

# %% tags=["hide-input", "finding"]
worst = quality.hardest_hit(overall, types_hit, donors_hit)
note.record("removed_share", worst["overall"])
note.record("worst_type", worst["type"])
note.record("worst_type_share", worst["type_share"])
note.record("worst_donor", worst["donor"])
note.record("worst_donor_share", worst["donor_share"])
note.say(
    "Together the rules would remove {removed_share:.1%} of all barcodes. The type hit hardest is {worst_type} "
    "({worst_type_share:.1%}), the donor hit hardest {worst_donor} ({worst_donor_share:.1%}). **Nothing is removed on "
    "the pages that follow.**"
)

# %% tags=["hide-input"]
note.table(pl.concat([types_hit, donors_hit]), "Each rule by type and by donor.", name="removed_by_group")

# %% [markdown]
# ## Is every donor who the table says?
#
# XIST is made where a second X is silenced, the Y genes where there is a Y. The two together give each donor's sex
# without looking at the label. A donor on the wrong side of the line is a swapped sample until shown otherwise.

# %%
sex_genes = sexes.known_genes(muscle.var)
sex_table = sexes.check(muscle.obs, muscle.genes(sex_genes))

# %% mystnb={"figure": {"caption": "Share of each donor's cells with XIST against the share with any of seven Y genes. Open circles are labeled female, filled squares male; the dotted line is equality.", "name": "fig-02-sex"}, "image": {"alt": "Scatter plot, one mark a donor: share of cells with XIST against share with a Y gene. Donors whose label fits lie on their side of the dotted line."}} tags=["hide-input"]
draw.draw_sex(sex_table)

# %% tags=["hide-input", "finding"]
note.record("sex_checked", sex_table.height, "donors")
note.record("sex_disagree", sex_table.filter(~pl.col("agrees")).height, "donors")
note.say("Donors checked: {sex_checked.number}. Donors whose genes contradict the label: **{sex_disagree.number}**.")

# %% tags=["hide-input"]
note.table(sex_table, "Sex by label and by genes.", name="sex_check", rows=20)

# %% [markdown]
# ## Back to molecules
#
# Statistics of expression want whole counts; the release holds logarithms of counts per ten thousand. The step can be
# undone: the smallest value of a cell is one molecule, every other value a whole multiple of it. "Whole" is checked
# value by value, and a matrix that does not come back whole is refused.

# %%
recovered = recovery.with_counts(muscle, budget=budget)

# %% tags=["hide-input", "finding"]
note.record("counts_recovered", recovered.found)
note.record("largest_residual", recovered.residual)
note.record("recovery_reason", recovered.reason)
note.say(
    "Whole counts recovered: **{counts_recovered}** ({recovery_reason}). Largest distance of any value from a whole "
    "number: {largest_residual}."
)

# %% [markdown]
# ## Zeros that mean "cannot", not "does not"
#
# The two assays count different molecules: whole cells hold spliced messenger, nuclei mostly unspliced. A gene that
# half of the fragments express and not one nucleus does is most likely absent by construction. A score built on such
# genes measures the assay. A gene of a type that only one assay catches is another matter: what an assay should have seen
# is therefore added up over the types that both assays hold. And assays differ by degrees: of thousands of rare genes some
# stay unseen though nothing forbids them. A gene is listed when it should have been seen in many barcodes, the other assay
# sees it often, and the count is zero.

# %%
detected = zeros.detect(recovered.adata)
absent = zeros.find(detected, min_expected=min_expected, min_share=min_share)

# %% tags=["hide-input", "finding"]
note.record("structural_zeros", absent.height, "genes")
note.record("first_structural_zero", absent[names.GENE][0] if absent.height else None)
note.say("Genes that one assay never sees although it should: {structural_zeros.number}; the clearest: {first_structural_zero}.")

# %% tags=["hide-input"]
note.table(absent, "Genes absent from one assay.", name="structural_zeros")

# %% [markdown]
# ## Who is compared with whom
#
# The last check is not about cells. Count the donors in each corner of the design: assay, age, sex. An empty corner
# is an effect that no method, however clever, can estimate from these donors.

# %%
corners = donors.by_group(people)
terms = donors.estimable_terms(people)

# %% mystnb={"figure": {"caption": "Donors by assay, age bin and sex. A corner that reads none holds no donor.", "name": "fig-02-design"}, "image": {"alt": "Two small tables drawn as shaded squares, cells and nuclei: rows women and men, columns young and old, the number of donors in each. Where no donor is found the square reads none in bold."}} tags=["hide-input"]
draw.draw_design(corners)

# %% tags=["hide-input", "finding"]
not_estimable = terms.filter(~pl.col("estimable"))
note.record("terms_looked_at", terms.height, "effects")
note.record("terms_not_estimable", not_estimable.height, "effects")
note.record("why_not", "; ".join(f"{row['term']} in {row['batch']}: {row['reason']}" for row in not_estimable.iter_rows(named=True)) or "none")
note.say(
    "Effects looked at: {terms_looked_at.number}; those that these donors cannot estimate: {terms_not_estimable.number} "
    "({why_not})."
)

# %% tags=["hide-input"]
note.table(corners, "Donors in each corner of the design.", name="design_corners")
note.table(terms, "Which effects can be estimated beside age.", name="design_terms")

# %% [markdown]
# Chemistry deserves a second look. In the study's single cells it is nested in donors, and fragments of fibers are
# caught by the newer chemistry more often: a share of fragments compares kits before it compares ages. And an age bin
# that is one donor cannot be told from that donor's hospital stay, diet or genes.

# %% [markdown]
# ## Scored against the plant
#
# The simulated atlas knows its truth: the structural zeros it planted, and the doublets it made. Finding the first is
# a check of the method above. The second shows what a doublet score is worth here.

# %%
score = zeros.compare_with_truth(
    muscle.obs, absent, detected, min_expected=min_expected, min_share=min_share,
    truth_zeros=muscle.truth("structural_zeros"), truth_cells=muscle.truth("cells"),
)

# %% tags=["hide-input", "finding"]
note.record("zeros_planted", score["zeros_planted"], "genes")
note.record("zeros_testable", score["zeros_testable"], "genes")
note.record("zeros_found", score["zeros_found"], "genes")
note.record("zeros_false", score["zeros_false"], "genes")
note.record("doublet_auc", score["doublet_auc"])
note.say(
    "Structural zeros planted: {zeros_planted.number}; common enough in the other assay to be told: "
    "{zeros_testable.number}; found: {zeros_found.number}; reported without being planted: {zeros_false.number}. Area under the ROC curve of the doublet score: {doublet_auc}. "
    "(On real data there is no plant, and these read *not available*.)"
)

# %% [markdown]
# ## What the study reported
#
# In outputs computed on the published object ALDOA is absent from every nucleus and abundant in fiber fragments, and the
# authors' donor table shows that all young donors with single cells are men. Compare with the tables above. The
# published medians stand beside the found ones in [the first chapter](01_loading).

# %% [markdown]
# ## Limits
#
# - The released object was filtered upstream, and what was removed cannot be seen.
# - Doublet scores were computed per library by others; a threshold carries no meaning across libraries.
# - Ambient RNA was estimated by the authors but not published with the release.
# - A sex check finds swaps between the sexes only.

# %% [markdown] tags=["exercise"]
# ```{exercise} A rule per type
# :label: ex-02-rule
# Write `keep(values, lower_mads)` that returns, for one type's gene numbers, a list of truth values: keep a cell unless
# it lies more than `lower_mads` median absolute deviations below the median.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# Median absolute deviation: the median of the distances from the median. Only the lower side counts.
# :::

# %% tags=["solution", "hide-cell"]
import numpy as np

from helpers.book.workshop import check


def keep(values, lower_mads):
    values = np.asarray(values, dtype=float)
    middle = np.median(values)
    mad = np.median(np.abs(values - middle))
    return list(values >= middle - lower_mads * mad)


check("02.rule", keep)

# %% [markdown] tags=["exercise"]
# ```{exercise} From released value to count
# :label: ex-02-counts
# Write `to_counts(released)` that turns the nonzero released values of one cell back into whole counts, assuming that
# the smallest of them is one molecule.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# Undo the logarithm with `np.expm1`, divide by the smallest, round.
# :::

# %% tags=["solution", "hide-cell"]
def to_counts(released):
    scaled = np.expm1(np.asarray(released, dtype=float))
    return [int(count) for count in np.rint(scaled / scaled.min())]


check("02.counts", to_counts)

# %% [markdown] tags=["exercise"]
# ```{exercise} The empty corner
# :label: ex-02-corner
# From `study.donors()`: which corner of age bin and sex is empty among the donors with single cells (those whose
# `cells_10X_version` is known)? Answer with a tuple such as `("old", "M")`.
# ```

# %% [markdown] tags=["hint"]
# :::{dropdown} Hint
# Filter the donors, then count by `Age_bin` and `Sex`; four corners are possible.
# :::

# %% tags=["solution", "hide-cell"]
from helpers.facts import study

with_cells = study.donors().filter(pl.col("cells_10X_version").is_not_null())
filled = set(with_cells.select("Age_bin", "Sex").unique().rows())
corner = next((age, sex) for age in ("young", "old") for sex in ("F", "M") if (age, sex) not in filled)
check("02.corner", corner)

# %% [markdown]
# ## In one sentence

# %% tags=["hide-input", "finding"]
note.say(
    "Of {cells}, the rules as set would take {removed_share:.1%}, and of {worst_type}, the type hit hardest, "
    "{worst_type_share:.1%}; donors whose sex label is contradicted: {sex_disagree.number}; effects beyond estimation: "
    "{terms_not_estimable.number}."
)

# %% tags=["hide-input"]
note.provenance(muscle.describe())
