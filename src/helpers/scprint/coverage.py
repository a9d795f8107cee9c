"""What exists in the atlas and what is missing: combinations of labels, the empty ones by name.

Every function takes a table of label columns and ``cells``, as `results.Survey.count` and `labels.count` return.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from helpers.errors import PartError

SUMMARY_SCHEMA = {
    "classes": pl.String,
    "cells": pl.Int64,
    "possible": pl.Int64,
    "present": pl.Int64,
    "share_present": pl.Float64,
    "thin": pl.Int64,
    "effective": pl.Float64,
}


def classes_of(counts: pl.DataFrame) -> list[str]:
    """Return the label columns of a table of counts.

    Raises
    ------
    PartError
        If there is no column ``cells`` or no label column.
    """
    names = [name for name in counts.columns if name != "cells"]
    if "cells" not in counts.columns or not names:
        msg = f"expected label columns and cells, found {counts.columns}."
        raise PartError(msg)
    return names


def summarize(tables: Sequence[pl.DataFrame], *, thin_below: int = 100) -> pl.DataFrame:
    """Summarize how much of each combination of classes is filled.

    Parameters
    ----------
    tables
        Counts of combinations of two or three classes.
    thin_below
        A combination of fewer cells is counted as thin.

    Returns
    -------
    polars.DataFrame
        One row a table: combinations possible from the labels that occur, present ones, thin ones, and the
        effective number (exponential of the entropy): how many equally full combinations would hold as much.
    """
    rows = []
    for counts in tables:
        names = classes_of(counts)
        present = counts.filter(pl.col("cells") > 0)
        possible = int(np.prod([present[name].n_unique() for name in names]))
        cells = present["cells"].to_numpy().astype(float)
        share = cells / cells.sum() if cells.sum() else cells
        effective = float(np.exp(-(share * np.log(share)).sum())) if len(share) else 0.0
        thin = int((cells < thin_below).sum())
        rows.append(
            (
                " x ".join(names),
                int(cells.sum()),
                possible,
                len(cells),
                len(cells) / max(1, possible),
                thin,
                effective,
            )
        )
    return pl.DataFrame(rows, schema=SUMMARY_SCHEMA, orient="row")


def missing(counts: pl.DataFrame, *, min_cells: int = 1000, top: int | None = None) -> pl.DataFrame:
    """Name the empty combinations of labels that are common on their own, most surprising first.

    Parameters
    ----------
    counts
        Counts of combinations of two or three classes.
    min_cells
        Cells that each label must have on its own.
    top
        Rows returned; all if none.

    Returns
    -------
    polars.DataFrame
        The labels, and the cells expected if the labels were independent (`expected_cells`). A combination may
        be empty because nobody looked or because it cannot exist: the table does not know which.
    """
    names = classes_of(counts)
    total = counts["cells"].sum()
    common = {}
    for name in names:
        margin = counts.group_by(name).agg(pl.col("cells").sum()).filter(pl.col("cells") >= min_cells)
        common[name] = margin.sort("cells", name, descending=[True, False])
    every = common[names[0]].rename({"cells": f"_{names[0]}"})
    for name in names[1:]:
        every = every.join(common[name].rename({"cells": f"_{name}"}), how="cross")
    empty = every.join(counts.filter(pl.col("cells") > 0), on=names, how="anti", nulls_equal=True)
    expected = pl.lit(float(total))
    for name in names:
        expected = expected * pl.col(f"_{name}") / max(1, total)
    empty = empty.with_columns(expected.alias("expected_cells")).select(*names, "expected_cells")
    empty = empty.sort("expected_cells", *names, descending=[True, *[False] * len(names)])
    return empty if top is None else empty.head(top)


def grid(
    counts: pl.DataFrame, *, rows: int = 20, columns: int = 20
) -> tuple[np.ndarray, list[str], list[str]]:
    """Return the counts of the most common labels of two classes as a matrix, with their names.

    Parameters
    ----------
    counts
        Counts of combinations of two classes.
    rows
        Labels of the first class.
    columns
        Labels of the second class.

    Raises
    ------
    PartError
        If there are not two classes.
    """
    names = classes_of(counts)
    if len(names) != 2:
        msg = f"a grid has two classes, the table has {len(names)}: {', '.join(names)}."
        raise PartError(msg)
    listed = []
    for name, limit in zip(names, (rows, columns), strict=True):
        margin = (
            counts.group_by(name).agg(pl.col("cells").sum()).sort("cells", name, descending=[True, False])
        )
        listed.append(margin[name].head(limit).to_list())
    place = [{label: i for i, label in enumerate(labels)} for labels in listed]
    matrix = np.zeros((len(listed[0]), len(listed[1])), np.int64)
    for one, two, cells in counts.select(*names, "cells").iter_rows():
        if one in place[0] and two in place[1]:
            matrix[place[0][one], place[1][two]] += cells
    return matrix, [str(label) for label in listed[0]], [str(label) for label in listed[1]]
