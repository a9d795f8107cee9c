"""Checks on the projections, the feature metadata and the JSON reports."""

import numpy as np
import polars as pl

from helpers import names
from helpers.atlas.opened import Opened
from helpers.atlas.report import Report, listing
from helpers.facts import study


def check(opened: Opened, report: Report) -> None:
    """Check the small files beside the sample metadata."""
    for key, file in names.PROJECTION_FILES.items():
        table = opened.projection(key)
        if table is not None:
            _check_projection(opened, table.select(names.PROJECTION_COLUMNS[key]), file, report)
    if opened.features is not None:
        _check_features(opened.features, report)
    _check_structure(opened, report)
    _check_unstructured(opened, report)


def _check_projection(opened: Opened, table: pl.DataFrame, file: str, report: Report) -> None:
    texts = [name for name, kind in table.schema.items() if not kind.is_numeric()]
    if texts:
        found = f"{len(texts)} column(s) of the wrong type: {listing([f'{c} is {table.schema[c]}' for c in texts])}"
        report.damage("types", file, found, expected="numbers")
        return
    values = table.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        found = (
            f"{int(bad.sum()):,} values missing or infinite, first in row {row:,}, {table.columns[column]}"
        )
        report.damage("values", file, found, expected="finite numbers")
        return
    if not len(values):
        return
    report.ok("values", file, f"finite, {values.min():.3g} to {values.max():.3g}", expected="finite numbers")
    sample = opened.sample
    if sample is not None and len(sample) == len(table) and sample.schema[names.LEVEL0] == pl.String:
        _check_aligned(values, sample[names.LEVEL0], file, report)


def _check_aligned(values: np.ndarray, labels: pl.Series, file: str, report: Report) -> None:
    """Cells of one label lie together on a map; where they do not, its rows are not those of the metadata."""
    codes = labels.fill_null("").rank("dense").to_numpy() - 1
    n_labels, n_cells = int(codes.max()) + 1, len(codes)
    expected = "cells of one label lie together: more variance between labels than by chance"
    if n_cells < 10 * n_labels or n_labels < 2:
        report.ok("aligned", file, "too few cells to tell", expected=expected)
        return
    centered = values - values.mean(axis=0)
    sizes = np.bincount(codes, minlength=n_labels)
    sums = np.stack([np.bincount(codes, weights=column, minlength=n_labels) for column in centered.T], axis=1)
    between = float((sums**2 / np.maximum(sizes, 1)[:, None]).sum() / max((centered**2).sum(), 1e-300))
    by_chance = (n_labels - 1) / (n_cells - 1)
    found = (
        f"{between:.1%} of the variance lies between labels; rows in random order would give {by_chance:.1%}"
    )
    if between < 3 * by_chance and between < 0.05 + by_chance:
        report.damage(
            "aligned",
            file,
            found,
            expected=expected,
            remedy=f"The rows of {file} are in another order. Fetch or write it again.",
        )
    else:
        report.ok("aligned", file, found, expected=expected)


def _check_features(features: pl.DataFrame, report: Report) -> None:
    file = names.FEATURE_FILE
    texts = [names.ENSEMBL, names.SYMBOL, names.GENE_IDS]
    wrong = [f"{c} is {features.schema[c]}" for c in texts if features.schema[c] != pl.String]
    if not features.schema[names.N_CELLS].is_numeric():
        wrong.append(f"{names.N_CELLS} is {features.schema[names.N_CELLS]}")
    if wrong:
        report.damage(
            "types",
            file,
            f"{len(wrong)} column(s) of the wrong type: {listing(wrong)}",
            expected="text names, numeric n_cells",
        )
        return
    report.ok("types", file, "text names, numeric n_cells")
    empty = {c: n for c in names.FEATURE_COLUMNS if (n := features[c].null_count())}
    if empty:
        found = f"values missing in {listing([f'{c} ({n:,})' for c, n in empty.items()])}"
        report.damage("complete", file, found, expected="no missing value")
    twice = (
        features[names.ENSEMBL]
        .drop_nulls()
        .value_counts()
        .filter(pl.col("count") > 1)[names.ENSEMBL]
        .to_list()
    )
    if twice:
        report.damage(
            "genes",
            file,
            f"{len(twice):,} {names.ENSEMBL} more than once: {listing(twice)}",
            expected="each gene once",
        )
    else:
        found = f"{len(features):,} genes, {features[names.SYMBOL].n_unique():,} symbols"
        report.ok("genes", file, found, expected=f"each gene once; published: {study.N_GENES:,}")


def _check_structure(opened: Opened, report: Report) -> None:
    """Compare the producer's own count of the object with the files."""
    file = names.STRUCTURE_FILE
    stated = opened.texts.get(file)
    if stated is None:
        return
    remedy = "The report was made from another object than these files; trust the files."
    expected = "shape and label counts of these files"
    shape = [opened.rows.get(names.EXPRESSION_FILE), opened.rows.get(names.FEATURE_FILE)]
    if "shape" in stated and None not in shape and stated["shape"] != shape:
        report.warn(
            "reports", file, f"shape {stated['shape']}, files {shape}", expected=expected, remedy=remedy
        )
        return
    counts = stated.get("annotation_mapping")
    counts = counts if isinstance(counts, dict) else {}
    sample = opened.sample
    for level in names.LEVELS:
        if sample is None or sample.schema[level] != pl.String or not isinstance(counts.get(level), dict):
            continue
        have = dict(sample[level].value_counts().iter_rows())
        differ = sorted(
            label for label in {*have, *counts[level]} if have.get(label) != counts[level].get(label)
        )
        if differ:
            found = f"{level}: {len(differ)} labels counted otherwise: {listing(differ)}"
            report.warn("reports", file, found, expected=expected, remedy=remedy)
            return
    report.ok("reports", file, "agrees with the files", expected=expected)


def _check_unstructured(opened: Opened, report: Report) -> None:
    file = names.UNSTRUCTURED_FILE
    stated = opened.texts.get(file)
    if stated is None:
        return
    missing = [key for key in ("pca", "neighbors", "tsne") if key not in stated]
    if missing:
        report.warn(
            "reports",
            file,
            f"no parameters of {listing(missing)}",
            expected="pca, neighbors, tsne",
            remedy="How these were made is unknown.",
        )
    else:
        report.ok("reports", file, "parameters of pca, neighbors, tsne", expected="pca, neighbors, tsne")
