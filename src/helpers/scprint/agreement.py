"""How far the first, second and third label agree, asked in ways that can have an answer.

Within a cell the three labels of a class differ by construction, and scores are raw outputs of one-against-rest
classifiers: comparing labels for equality always gives nothing. What can be asked: how far ahead the best is, how
often the runner-up is as good by the model's own rule, what the two labels are to each other in the ontology, how
the confusions are distributed, and whether neighboring cells carry the same labels.
"""

import numpy as np
import polars as pl

from helpers.scprint import counting, labels, layout, neighbors
from helpers.scprint.labels import Decoder
from helpers.scprint.ontology import Ontology
from helpers.scprint.results import Survey
from helpers.scprint.sampling import Sample

SUMMARY_SCHEMA = {
    "class": pl.String,
    "cells": pl.Int64,
    "mean_sigmoid": pl.Float64,
    "median_margin": pl.Float64,
    "share_near": pl.Float64,
    "share_second_positive": pl.Float64,
    "share_tied": pl.Float64,
    "unordered": pl.Int64,
    "repeated": pl.Int64,
    "entropy_bits": pl.Float64,
    "second_given_first_bits": pl.Float64,
    "asymmetry": pl.Float64,
}


def summarize(survey: Survey) -> pl.DataFrame:
    """Summarize the agreement of best and second label, one row a class with three labels.

    Returns
    -------
    polars.DataFrame
        Mean sigmoid of the best score; median of best minus second score; share of cells whose runner-up is
        within 0.15 of the best, has a positive score, or ties; triples that are not best first or repeat a
        label (faults of the file); entropy of the second label, and what is left of it once the first is known;
        asymmetry of the confusions: 0 if A-then-B is as common as B-then-A for every pair, 1 if never both.
    """
    rows = []
    for tally in survey.tallies().iter_rows(named=True):
        name = tally["class"]
        if name not in layout.RANKED:
            continue
        pairs = survey.count(name, f"{name}_2", decoder=Decoder())
        cells = max(1, tally["cells"])
        rows.append(
            (
                name, tally["cells"], tally["mean_sigmoid"], _median(survey.histogram(name, of="margins")),
                tally["near"] / cells, tally["second_positive"] / cells, tally["tied"] / cells,
                tally["unordered"], tally["repeated"], *_entropies(pairs), _asymmetry(pairs),
            )
        )  # fmt: skip
    return pl.DataFrame(rows, schema=SUMMARY_SCHEMA, orient="row")


def relate(pairs: pl.DataFrame, ontology: Ontology, *, decoder: Decoder | None = None) -> pl.DataFrame:
    """Say what first and second label are to each other.

    Parameters
    ----------
    pairs
        Counts of a class and its second label, as `Survey.count` gives them.
    ontology
        Names and parents of the labels.
    decoder
        Gives identifiers for names; names are looked up in the ontology otherwise.

    Returns
    -------
    polars.DataFrame
        The pairs with ``relation`` (same, ancestor, descendant, sibling, unrelated, unknown) and
        ``common_ancestor``, most cells first.
    """
    first, second = (name for name in pairs.columns if name != "cells")
    ids = (decoder or labels.built_in()).ids_by_name(first)
    relations, shared = [], []
    for one, two in pairs.select(first, second).iter_rows():
        one_id, two_id = ids.get(one, one), ids.get(two, two)
        relations.append(ontology.relation(one_id, two_id))
        common = ontology.common(one_id, two_id)
        shared.append(None if common is None else ontology.names.get(common, common))
    return pairs.with_columns(
        pl.Series("relation", relations, pl.String), pl.Series("common_ancestor", shared, pl.String)
    )


def relation_shares(related: pl.DataFrame) -> pl.DataFrame:
    """Share of cells by the relation of first and second label, beside what independence would give.

    ``expected`` pairs every first label with every second label by their own frequencies, known relations only.
    """
    first, second = related.columns[:2]
    total = max(1, related["cells"].sum())
    observed = related.group_by("relation").agg(pl.col("cells").sum())
    return observed.with_columns((pl.col("cells") / total).alias("share")).sort(
        "cells", "relation", descending=[True, False]
    ).with_columns(pl.lit(f"{first} and {second}").alias("labels"))  # fmt: skip


def expected_relation(pairs: pl.DataFrame, ontology: Ontology, relation: str, *, decoder: Decoder) -> float:
    """Share of cells that would have a relation if the second label did not depend on the first.

    Parameters
    ----------
    pairs
        Counts of a class and its second label.
    ontology
        Names and parents of the labels.
    relation
        One of `ontology.RELATIONS`.
    decoder
        Gives identifiers for names.
    """
    first, second = (name for name in pairs.columns if name != "cells")
    ids = decoder.ids_by_name(first)
    one = pairs.group_by(first).agg(pl.col("cells").sum())
    two = pairs.group_by(second).agg(pl.col("cells").sum())
    hit = total = 0.0
    for label, n in one.iter_rows():
        for other, m in two.iter_rows():
            # the two never are the same label, so chance is taken among the others
            if label != other:
                total += n * m
                if ontology.relation(ids.get(label, label), ids.get(other, other)) == relation:
                    hit += n * m
    return hit / total if total else 0.0


def among_neighbors(sample: Sample, *, k: int = 15) -> pl.DataFrame:
    """Compare the labels of cells with those of their nearest neighbors in the class's own block.

    Parameters
    ----------
    sample
        Sampled cells.
    k
        Neighbors a cell.

    Returns
    -------
    polars.DataFrame
        One row a class: share of neighbors whose best label is among the cell's three, mean Jaccard index of the
        two sets of labels, and both for random cells in place of neighbors.
    """
    rows = []
    for name, columns in layout.LABELS.items():
        if columns.stop > sample.labels.shape[1] or len(sample.labels) <= k:
            continue
        found = neighbors.nearest(sample.block(name), k=k)
        chance = np.random.default_rng(len(found)).integers(0, len(found), found.shape)
        held = sample.labels[:, columns].astype(np.int64)
        rows.append((name, len(found), *_consistency(held, found), *_consistency(held, chance)))
    columns_ = ["class", "cells", "share_in_top", "jaccard", "random_share_in_top", "random_jaccard"]
    return pl.DataFrame(rows, schema=columns_, orient="row")


def _consistency(held: np.ndarray, neighbor: np.ndarray) -> tuple[float, float]:
    best = held[neighbor, 0]
    share = (best[:, :, None] == held[:, None, :]).any(axis=2).mean()
    both = (held[neighbor][:, :, :, None] == held[:, None, None, :]).any(axis=3).sum(axis=2)
    return float(share), float((both / (2 * held.shape[1] - both)).mean())


def _median(histogram: pl.DataFrame) -> float | None:
    cells = histogram["cells"].to_numpy()
    if not cells.sum():
        return None
    place = int(np.searchsorted(np.cumsum(cells), cells.sum() / 2))
    middle = (histogram["low"][place] + histogram["high"][place]) / 2
    return float(np.clip(middle, counting.MARGIN_LOW, counting.MARGIN_HIGH))


def _entropies(pairs: pl.DataFrame) -> tuple[float, float]:
    first, second = (name for name in pairs.columns if name != "cells")

    def bits(cells: pl.Series) -> float:
        share = cells.to_numpy() / max(1, cells.sum())
        return float(-(share * np.log2(share)).sum())

    both = bits(pairs["cells"])
    one = bits(pairs.group_by(first).agg(pl.col("cells").sum()).sort(first)["cells"])
    two = bits(pairs.group_by(second).agg(pl.col("cells").sum()).sort(second)["cells"])
    return two, max(0.0, both - one)


def _asymmetry(pairs: pl.DataFrame) -> float:
    first, second = (name for name in pairs.columns if name != "cells")
    back = pairs.rename({first: second, second: first, "cells": "back"})
    joined = pairs.join(back, on=[first, second], how="full", coalesce=True).fill_null(0)
    apart = (joined["cells"] - joined["back"]).abs().sum()
    total = (joined["cells"] + joined["back"]).sum()
    return float(apart / total) if total else 0.0
