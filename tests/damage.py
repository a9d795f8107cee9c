"""Damaged copies of a release: what goes wrong with files, made on purpose for tests and for teaching."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers import names

import edits  # isort: skip  the folder tests is put on the path by conftest


@dataclass(frozen=True)
class Damage:
    """One way to damage a release: the file to blame, what is done to it, and the doing."""

    file: str
    story: str
    inflict: Callable[[Path], None]

    def __call__(self, folder: Path) -> None:
        """Damage the release in `folder`, for good."""
        self.inflict(Path(folder))


def copy(release: Path, folder: Path, *, damage: str) -> Path:
    """Copy a release and damage the copy; the release itself is left alone.

    Parameters
    ----------
    release
        Folder of a whole release.
    folder
        New folder for the copy.
    damage
        One of `DAMAGES`.

    Returns
    -------
    pathlib.Path
        `folder`.
    """
    shutil.copytree(release, folder)
    DAMAGES[damage](folder)
    return Path(folder)


_E, _S, _F = names.EXPRESSION_FILE, names.SAMPLE_FILE, names.FEATURE_FILE
_P = names.PROJECTION_FILES

DAMAGES: dict[str, Damage] = {
    **{
        f"missing {file}": Damage(file, "the file is not there", edits.remove(file))
        for file in names.RELEASE_FILES
    },
    "truncated expression": Damage(_E, "the transfer stopped half-way", edits.cut(_E, 0.5)),
    "truncated metadata": Damage(_S, "the transfer stopped half-way", edits.cut(_S, 0.5)),
    "truncated projection": Damage(
        _P[names.PCA], "the last byte is missing", edits.cut(_P[names.PCA], 0.999)
    ),
    "truncated JSON": Damage(
        names.UNSTRUCTURED_FILE, "the transfer stopped half-way", edits.cut(names.UNSTRUCTURED_FILE, 0.5)
    ),
    "spoiled expression": Damage(
        _E, "bytes inside the file are overwritten, its footer is whole", edits.overwrite(_E)
    ),
    "empty expression": Damage(_E, "no bytes", edits.cut(_E, 0)),
    "empty features": Damage(_F, "no bytes", edits.cut(_F, 0)),
    "empty license": Damage(names.LICENSE_FILE, "no bytes", edits.cut(names.LICENSE_FILE, 0)),
    "no rows": Damage(
        _P[names.UMAP], "columns, but no row", edits.change(_P[names.UMAP], lambda t: t.slice(0, 0))
    ),
    "swapped metadata": Damage(
        _S, "sample and feature metadata under each other's name", edits.exchange(_S, _F)
    ),
    "swapped projections": Damage(
        _P[names.UMAP],
        "UMAP and t-SNE under each other's name",
        edits.exchange(_P[names.UMAP], _P[names.TSNE]),
    ),
    "swapped expression": Damage(
        _E, "expression and scVI under each other's name", edits.exchange(_E, _P[names.SCVI])
    ),
    "swapped reports": Damage(
        names.STRUCTURE_FILE,
        "a report replaced by the license",
        edits.exchange(names.STRUCTURE_FILE, names.LICENSE_FILE),
    ),
    "reordered expression": Damage(
        _E, "rows in another order", edits.change(_E, edits.reorder(keep=(names.INDEX_COLUMN,)))
    ),
    "exchanged cells": Damage(_E, "two rows exchanged", edits.change(_E, edits.exchange_rows)),
    "reordered metadata": Damage(
        _S, "rows in another order, barcodes with them", edits.change(_S, edits.reorder())
    ),
    "reordered metadata under its barcodes": Damage(
        _S,
        "rows in another order, barcodes left",
        edits.change(_S, edits.reorder(keep=(names.INDEX_COLUMN,))),
    ),
    "reordered projection": Damage(
        _P[names.UMAP],
        "rows in another order, barcodes with them",
        edits.change(_P[names.UMAP], edits.reorder()),
    ),
    "reordered projection without barcodes": Damage(
        _P[names.SCVI], "rows in another order, no barcodes", edits.change(_P[names.SCVI], edits.drop_index)
    ),
    "reordered genes": Damage(_E, "the first gene moved to the end", edits.change(_E, edits.reorder_genes)),
    "exchanged genes": Damage(
        _E, "the values of two genes exchanged under their names", edits.change(_E, edits.exchange_two_genes)
    ),
    "reordered features": Damage(_F, "genes in another order", edits.change(_F, edits.reorder())),
    "shuffled ages": Damage(
        _S, "ages in another order than donors", edits.change(_S, edits.shuffle(names.AGE_GROUP))
    ),
    "shuffled counts": Damage(
        _S, "n_counts in another order", edits.change(_S, edits.shuffle(names.N_COUNTS))
    ),
    "missing cells": Damage(
        _P[names.TSNE],
        "the last tenth of the rows is gone",
        edits.change(_P[names.TSNE], lambda t: t.slice(0, t.num_rows * 9 // 10)),
    ),
    "missing rows": Damage(
        _E, "the last row is gone", edits.change(_E, lambda t: t.slice(0, t.num_rows - 1))
    ),
    "missing gene": Damage(
        _E, "one gene is gone", edits.change(_E, lambda t: t.drop_columns(edits.genes(t)[3:4]))
    ),
    "missing dimension": Damage(
        _P[names.SCVI],
        "one dimension is gone",
        edits.change(_P[names.SCVI], lambda t: t.drop_columns(["SCVI7"])),
    ),
    "missing column": Damage(
        _S, "the donors are gone", edits.change(_S, lambda t: t.drop_columns([names.DONOR]))
    ),
    "NaN in expression": Damage(_E, "one NaN", edits.change(_E, edits.replace(None, edits.put(np.nan)))),
    "infinite expression": Damage(
        _E, "one infinite value", edits.change(_E, edits.replace(None, edits.put(np.inf)))
    ),
    "negative expression": Damage(
        _E, "one negative value", edits.change(_E, edits.replace(None, edits.put(-1.0)))
    ),
    "scaled expression": Damage(
        _E, "every gene with mean 0 and standard deviation 1", edits.change(_E, edits.all_genes(edits.scale))
    ),
    "raw expression": Damage(
        _E,
        "whole numbers in place of log values",
        edits.change(_E, edits.all_genes(lambda v: np.rint(np.expm1(v)).astype(np.float32))),
    ),
    "other logarithm": Damage(
        _E,
        "log2 in place of the natural logarithm",
        edits.change(_E, edits.all_genes(lambda v: (v / np.log(2)).astype(np.float32))),
    ),
    "text expression": Damage(
        _E, "one gene as text", edits.change(_E, edits.replace(None, lambda v: v.astype(str).astype(object)))
    ),
    "NaN in projection": Damage(
        _P[names.PCA], "one NaN", edits.change(_P[names.PCA], edits.replace("PCA3", edits.put(np.nan)))
    ),
    "text in projection": Damage(
        _P[names.PCA],
        "numbers as text",
        edits.change(_P[names.PCA], edits.replace("PCA3", lambda v: v.astype(str).astype(object))),
    ),
    "text counts": Damage(
        _S,
        "n_counts as text",
        edits.change(_S, edits.replace(names.N_COUNTS, lambda v: v.astype(str).astype(object))),
    ),
    "numeric labels": Damage(
        _S,
        "cell types as numbers",
        edits.change(
            _S, edits.replace(names.LEVEL0, lambda v: np.unique(v.astype(str), return_inverse=True)[1])
        ),
    ),
    "NaN in metadata": Damage(
        _S,
        "one n_genes missing",
        edits.change(_S, edits.replace(names.N_GENES, lambda v: edits.put(np.nan)(v.astype(float)))),
    ),
    "wrong midpoints": Damage(
        _S, "ages ten years off", edits.change(_S, edits.replace(names.AGE_MIDPOINT, lambda v: v + 10))
    ),
    "unknown assay": Damage(
        _S,
        "'cells' written as 'cell'",
        edits.change(
            _S, edits.replace(names.ASSAY, lambda v: np.where(v == "cells", "cell", v).astype(object))
        ),
    ),
    "wrong cell type": Damage(
        _S,
        "half of the cell types exchanged",
        edits.change(
            _S, edits.replace(names.LEVEL0, lambda v: np.concatenate([v[len(v) // 2 :], v[: len(v) // 2]]))
        ),
    ),
}
