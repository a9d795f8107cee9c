"""Embedding an atlas with scPRINT-2 itself: its input and the script (`embedded` reads its output).

The model needs its own environment (``environments/scprint.yml``), a GPU to be quick, and its ontologies from the
network. The call itself is therefore not tested here; what goes in and what comes out is. Raw counts, Ensembl
identifiers and slices of at most 20,000 cells are needed because the model's data set makes its slice dense over
about 70,000 genes.
"""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from helpers import files, names
from helpers.errors import CountsError, PartError

MAX_CELLS = 20_000
MIN_CELLS, MIN_GENES = 100, 10_000
HUMAN = "NCBITaxon:9606"
ORGANISM_COLUMN, ROW = "organism_ontology_term_id", "row_id"
MANIFEST, SCRIPT = "manifest.json", "embed.sh"


@dataclass(frozen=True)
class Prepared:
    """Slices ready for the model.

    Attributes
    ----------
    folder
        Folder of the slices, the manifest and the script.
    slices
        Names of the slices.
    cells
        Cells in all.
    genes
        Genes with an Ensembl identifier.
    """

    folder: Path
    slices: tuple[str, ...]
    cells: int
    genes: int


def prepare(
    pieces: ad.AnnData | Iterable[ad.AnnData],
    out: Path | str,
    *,
    slice_cells: int = MAX_CELLS,
    organism: str = HUMAN,
    checkpoint: str = "v2-medium.ckpt",
) -> Prepared:
    """Write slices of raw counts that the model reads, and the script that embeds them.

    Parameters
    ----------
    pieces
        Cells x genes with a layer of counts, whole or in pieces: memory holds one piece at a time.
    out
        Folder to write.
    slice_cells
        Cells of a slice, at most 20,000.
    organism
        Taxonomy identifier of the cells.
    checkpoint
        Path of the model's weights, as the script will name it.

    Raises
    ------
    PartError
        If slices are too large, genes have no Ensembl identifiers, or too few genes have one.
    CountsError
        If the counts are missing or not whole numbers.
    """
    if not MIN_CELLS <= slice_cells <= MAX_CELLS:
        msg = f"slices of {slice_cells:,} cells: choose {MIN_CELLS} to {MAX_CELLS:,}; larger ones are made dense."
        raise PartError(msg)
    out = Path(out)
    written: dict[str, int] = {}
    genes = first = 0
    for piece in [pieces] if isinstance(pieces, ad.AnnData) else pieces:
        counts, var = _counts(piece), _genes(piece)
        keep = var.pop("keep")
        genes = len(var)
        for start, stop in pairwise(_bounds(piece.n_obs, slice_cells)):
            name = f"slice_{len(written):04d}.h5ad"
            obs = pd.DataFrame(
                {ROW: np.arange(first + start, first + stop), ORGANISM_COLUMN: organism},
                index=piece.obs_names[start:stop],
            )
            made = ad.AnnData(counts[start:stop][:, keep].astype(np.float32), obs=obs, var=var)
            with files.writing(out / name) as part:
                made.write_h5ad(part)
            written[name] = stop - start
        first += piece.n_obs
    about = {
        "organism": organism,
        "cells": first,
        "genes": genes,
        "slices": written,
        "checkpoint": checkpoint,
    }
    files.write_json(out / MANIFEST, about)
    _write_script(out / SCRIPT, list(written), organism, checkpoint)
    return Prepared(out, tuple(written), first, genes)


def _counts(piece: ad.AnnData) -> sp.csr_matrix:
    if names.COUNTS not in piece.layers:
        msg = f"no layer {names.COUNTS!r}: the model reads raw counts, X of the release is log-normalized."
        raise CountsError(msg)
    counts = sp.csr_matrix(piece.layers[names.COUNTS])
    values = counts.data
    bad = np.flatnonzero((values < 0) | (values != np.round(values)))
    if len(bad):
        cell = int(np.searchsorted(counts.indptr, bad[0], side="right") - 1)
        msg = (
            f"layer {names.COUNTS!r} is not molecules: {len(bad):,} of {len(values):,} stored values are not whole "
            f"numbers >= 0, first {values[bad[0]]:.3g} in cell {piece.obs_names[cell]!r}."
        )
        raise CountsError(msg)
    return counts


def _genes(piece: ad.AnnData) -> pd.DataFrame:
    if names.ENSEMBL in piece.var:
        ids = piece.var[names.ENSEMBL].astype(str)
    else:
        ids = pd.Series(piece.var_names.astype(str), index=piece.var_names)
    ids = ids.str.split(".").str[0]
    good = (ids.str.startswith("ENS") & ~ids.duplicated()).to_numpy()
    if good.sum() < MIN_GENES:
        msg = f"{int(good.sum()):,} genes have an Ensembl identifier of their own; the model needs {MIN_GENES:,}."
        raise PartError(msg)
    var = pd.DataFrame(
        {"symbol": piece.var_names.astype(str)[good]}, index=pd.Index(ids[good], name="ensembl")
    )
    var.attrs = {}
    frame = var.copy()
    frame["keep"] = np.flatnonzero(good)
    return frame


def _bounds(cells: int, slice_cells: int) -> list[int]:
    # a last slice of fewer than 100 cells would be refused by the model: the slices are made even
    count = -(-cells // slice_cells)
    return [cells * number // count for number in range(count + 1)] if count else []


def output_name(name: str) -> str:
    """Return the name of the embedded slice of a prepared one."""
    return f"{Path(name).stem}_embedded.h5ad"


def _write_script(path: Path, slices: list[str], organism: str, checkpoint: str) -> None:
    lines = [
        "#!/usr/bin/env bash",
        "# Embeds the slices of this folder with scPRINT-2. Run it in the environment of environments/scprint.yml,",
        "# on a machine with a GPU and the network. Slices that are done are skipped.",
        "set -euo pipefail",
        'cd "$(dirname "$0")"',
        f"checkpoint=${{1:-{shlex.quote(checkpoint)}}}",
        f"for slice in {' '.join(shlex.quote(Path(name).stem) for name in slices)}; do",
        '  if [ ! -f "${slice}_embedded.h5ad" ]; then',
        '    scprint2 embed --adata "$slice.h5ad" --ckpt_path "$checkpoint" \\',
        f'      --species {shlex.quote(organism)} --output_filename "${{slice}}_part.h5ad"',
        '    mv "${slice}_part.h5ad" "${slice}_embedded.h5ad"',
        "  fi",
        "done",
    ]
    with files.writing(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o755)
