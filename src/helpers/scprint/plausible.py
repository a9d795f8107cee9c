"""Predicted labels that cannot all be right: counted, listed, never guessed.

Every rule takes two labels of one cell and asks whether both can hold. Only what the labels say is used: taxon notes
in the names of cell types such as ``(Mmus)``, plant organs, names of organs that one sex has. The rules are a table of
patterns, ``facts/tables/impossible_labels.csv``: ``given_like`` of the label that selects the cells, ``other_like`` of
the label that is impossible in them; where ``..._unless`` says yes, what does *not* fit the pattern is meant.
"""

from collections.abc import Iterator

import polars as pl

from helpers.facts import study
from helpers.scprint import labels

Frame = pl.DataFrame | pl.LazyFrame
SCHEMA = dict.fromkeys(("cells", "implausible", "share", "not_judged"), pl.Int64) | {"share": pl.Float64}
SCHEMA = {"rule": pl.String} | SCHEMA


def judge(cells: Frame, decoder: pl.DataFrame | None = None) -> pl.DataFrame:
    """Count the cells that break each rule: one row a rule, cells it applies to, cells that break it, their share.

    ``not_judged`` counts cells of which a label is no name. The cells have label columns as names or as codes, which
    the decoder names (see `labels.beside`); rules whose columns are missing are left out.
    """
    rows = []
    for rule, pairs in _pairs(cells, decoder):
        judged = pairs.filter("applies", ~pl.col("open"))["cells"].sum()
        implausible = pairs.filter("broken")["cells"].sum()
        share = implausible / judged if judged else None
        rows.append((rule, judged, implausible, share, pairs.filter("open")["cells"].sum()))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def examples(cells: Frame, decoder: pl.DataFrame | None = None, *, top: int = 1) -> pl.DataFrame:
    """List the most common pairs of labels that break each rule, `top` of each; the rest is as for `judge`."""
    schema = {"rule": pl.String, "given": pl.String, "label": pl.String, "cells": pl.Int64}
    found = [pl.DataFrame(schema=schema)]
    for rule, pairs in _pairs(cells, decoder):
        broken = pairs.filter("broken").sort("cells", "given", "label", descending=[True, False, False])
        found.append(
            broken.head(top).select(pl.lit(rule).alias("rule"), "given", "label", "cells").cast(schema)
        )
    return pl.concat(found)


def _pairs(cells: Frame, decoder: pl.DataFrame | None) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield each rule and its pairs of labels: cells, whether it applies, is broken, is open."""
    cells = cells.lazy()
    columns = set(cells.collect_schema().names())
    for rule in study.read("impossible_labels.csv").iter_rows(named=True):
        pair = [rule["given"], rule["other"]]
        if not set(pair) <= columns:
            continue
        counted = cells.group_by(pair).len("cells")
        counted = labels.decode(counted, labels.built_in() if decoder is None else decoder)
        given, label = (pl.col(name).cast(pl.String) for name in pair)
        fits = _says(given, rule["given_like"]) ^ (rule["given_unless"] == "yes")
        clash = _says(label, rule["other_like"])
        if rule["other_except"]:
            clash &= ~_says(label, rule["other_except"])
        clash ^= rule["other_unless"] == "yes"
        named = ~_bare(given)
        judged = counted.select(
            given=given,
            label=label,
            cells="cells",
            applies=named & fits,
            open=~named | (fits & _bare(label)),
            broken=named & fits & ~_bare(label) & clash,
        )
        yield rule["rule"], judged.collect(engine="streaming")


def _says(label: pl.Expr, pattern: str) -> pl.Expr:
    return label.fill_null("").str.contains(f"(?i){pattern}")


def _bare(label: pl.Expr) -> pl.Expr:
    # an identifier without its name says nothing about organ or taxon
    return label.is_null() | label.str.contains(r"^(\d+|[A-Za-z]+:\d+)$")
