"""What sentences share: between tie orders, with padding, between cells of a type or a donor."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy import sparse

from helpers import names
from helpers.sentences import ages
from helpers.sentences.ranking import Ranked

LENGTHS = (10, 25, 50, 100, 200, 500, 1_000, 2_000)
OVERLAP_SCHEMA = {"words": pl.Int64, "pairs": pl.String, "shared": pl.Float64, "n_pairs": pl.Int64}
SAME_DONOR, OTHER_DONOR, OTHER_TYPE = "same type, same donor", "same type, other donor", "other type"


def about_cells(obs: pl.DataFrame) -> pl.DataFrame:
    """Return what this chapter needs to know of each cell: donor, age (years), label, assay; null where unknown.

    Parameters
    ----------
    obs
        Cells of an atlas, or of an .h5ad file with the columns of the CELLxGENE schema.
    """
    none = pl.lit(None, pl.String)
    text = {
        name: pl.col(column).cast(pl.String) if column in obs.columns else none
        for name, column in (("donor", names.DONOR), ("label", names.LEVEL0), ("assay", names.ASSAY))
    }
    found = obs.select(**text) if obs.width else pl.DataFrame(schema=dict.fromkeys(text, pl.String))
    source = next((column for column in ages.AGE_SOURCES if column in obs.columns), None)
    if source == names.AGE_GROUP:
        stated = ages.of_atlas(obs[source].cast(pl.String), found["donor"])
    else:
        stated = ages.parse_all(obs[source].cast(pl.String) if source else [None] * obs.height)
    return found.with_columns(stated[ages.AGE])


def draw_cells(n_cells: int, *, most: int, seed: int = 0) -> np.ndarray:
    """Return the rows of cells drawn without replacement, in order; all of them where there are no more than `most`."""
    if n_cells <= most:
        return np.arange(n_cells)
    return np.sort(np.random.default_rng(seed).choice(n_cells, most, replace=False))


def presence(ranked: Ranked, *, top: int) -> sparse.csr_matrix:
    """Return which words are among the first `top` of each cell: cells x words, one where they are."""
    lengths = np.minimum(np.diff(ranked.starts), top)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    at = np.arange(ends[-1]) + np.repeat(ranked.starts[:-1] - ends[:-1], lengths)
    shape = (len(lengths), len(ranked.vocabulary.words))
    return sparse.csr_matrix((np.ones(len(at), np.float32), ranked.words[at], ends), shape=shape)


def compare_orders(one: Ranked, other: Ranked, *, lengths: Sequence[int] = LENGTHS) -> pl.DataFrame:
    """Return how many of the first words two tie orders share in the same cells.

    Parameters
    ----------
    one, other
        The same cells, ranked under two rules.
    lengths
        Numbers of first words to compare.

    Returns
    -------
    polars.DataFrame
        ``words``, ``shared`` (mean over cells of the share of words in both), ``same_place`` (share of words that
        stand at the same rank in both).
    """
    rows = []
    for length in lengths:
        left, right = presence(one, top=length), presence(other, top=length)
        sizes = np.diff(left.indptr)
        both = np.asarray(left.multiply(right).sum(axis=1)).ravel()
        kept = sizes > 0
        shared = float((both[kept] / sizes[kept]).mean()) if kept.any() else None
        rows.append((length, shared, _same_place(one, other, length)))
    schema = {"words": pl.Int64, "shared": pl.Float64, "same_place": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def pad(ranked: Ranked, *, length: int) -> Ranked:
    """Return the sentences that a builder makes which fills up with unexpressed genes, in the order of the genes.

    Parameters
    ----------
    ranked
        Sentences of expressed genes.
    length
        Words that every sentence then has, as far as there are genes.
    """
    size = len(ranked.vocabulary.words)
    rows = []
    for start, stop in zip(ranked.starts[:-1], ranked.starts[1:], strict=True):
        words = ranked.words[start:stop][:length]
        absent = np.ones(size, bool)
        absent[words] = False
        rows.append(np.concatenate([words, np.flatnonzero(absent)[: length - len(words)]]))
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    words = np.concatenate(rows or [np.zeros(0)]).astype(np.int32)
    return Ranked(ranked.vocabulary, words, starts, ranked.statistics)


def overlap(
    ranked: Ranked,
    cells: pl.DataFrame,
    *,
    lengths: Sequence[int] = LENGTHS,
    n_pairs: int = 1_000,
    seed: int = 0,
) -> pl.DataFrame:
    """Return the share of first words that two cells have in common, by what the two cells have in common.

    Parameters
    ----------
    ranked
        Sentences.
    cells
        From `about_cells`, in the same order.
    lengths
        Numbers of first words to compare.
    n_pairs
        Pairs of cells drawn for each kind of pair.
    seed
        Of the draw.
    """
    pairs = _draw_pairs(cells, n_pairs=n_pairs, rng=np.random.default_rng(seed))
    rows = []
    for length in lengths:
        found = presence(ranked, top=length)
        sizes = np.diff(found.indptr)
        for kind, (left, right) in pairs.items():
            both = np.asarray(found[left].multiply(found[right]).sum(axis=1)).ravel()
            size = np.minimum(sizes[left], sizes[right])
            use = size > 0
            if use.any():
                rows.append((length, kind, float((both[use] / size[use]).mean()), int(use.sum())))
    return pl.DataFrame(rows, schema=OVERLAP_SCHEMA, orient="row")


def _same_place(one: Ranked, other: Ranked, length: int) -> float | None:
    lengths = np.minimum(np.diff(one.starts), length)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    within = np.arange(ends[-1]) - np.repeat(ends[:-1], lengths)
    if not len(within):
        return None
    left = one.words[within + np.repeat(one.starts[:-1], lengths)]
    right = other.words[within + np.repeat(other.starts[:-1], lengths)]
    return float((left == right).mean())


def _draw_pairs(
    cells: pl.DataFrame, *, n_pairs: int, rng: np.random.Generator
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    usable = cells.with_row_index("row").drop_nulls("label")
    if usable.height < 2:
        return {}
    rows = usable["row"].to_numpy()
    label = usable["label"].rank("dense").to_numpy()
    donor = usable["donor"].fill_null("").rank("dense").to_numpy()
    left = rng.integers(0, len(rows), 200 * n_pairs)
    right = rng.integers(0, len(rows), 200 * n_pairs)
    kinds = {
        SAME_DONOR: (label[left] == label[right]) & (donor[left] == donor[right]) & (left != right),
        OTHER_DONOR: (label[left] == label[right]) & (donor[left] != donor[right]),
        OTHER_TYPE: label[left] != label[right],
    }
    if usable["donor"].null_count():
        del kinds[OTHER_DONOR]
    found = {kind: np.flatnonzero(match)[:n_pairs] for kind, match in kinds.items()}
    return {kind: (rows[left[at]], rows[right[at]]) for kind, at in found.items() if len(at)}
