"""Embedding an atlas with scPRINT-2 itself: its input, the script that runs it elsewhere, and the way back.

The model needs its own environment (``environments/scprint.yml``), a GPU to be quick, and its ontologies from the
network: the call itself is not tested here. It takes raw counts, Ensembl identifiers and slices of at most 20,000
cells, since its data set makes a slice dense over about 70,000 genes.
"""

import json
import shlex
from collections.abc import Iterable
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

from helpers import files, names
from helpers.errors import CountsError, PartError
from helpers.facts import study
from helpers.scprint import layout

MAX_CELLS, MIN_CELLS, MIN_GENES = 20_000, 100, 10_000
ORGANISM, ROW, EMBEDDED = "organism_ontology_term_id", "row_id", "scprint_emb"
MANIFEST, SCRIPT = "manifest.json", "embed.sh"
KIND = "scprint slices"  # what our mark says of a folder


def write(
    pieces: Iterable[ad.AnnData],
    out: Path | str,
    *,
    slice_cells: int = MAX_CELLS,
    organism: str = "",
    checkpoint: str = "v2-medium.ckpt",
    force: bool = False,
) -> dict[str, int]:
    """Write slices of raw counts that the model reads, and the script that embeds them; return cells by slice.

    `pieces` are cells x genes with a layer of counts: memory holds one at a time. A slice has at most 20,000 cells.
    `organism` is a taxonomy identifier, read off the gene identifiers if empty; `checkpoint` the path of the model's
    weights, as the script will name it. A folder with files of others, or embedded slices, is replaced with `force`.
    """
    if not MIN_CELLS <= slice_cells <= MAX_CELLS:
        msg = f"slices of {slice_cells:,} cells: choose {MIN_CELLS} to {MAX_CELLS:,}; larger ones are made dense."
        raise PartError(msg)
    written: dict[str, int] = {}
    genes = first = 0
    with files.writing(Path(out), kind=KIND, force=force) as folder:
        folder.mkdir()
        for piece in pieces:
            counts, var, organism = _counts(piece), *_genes(piece, organism)
            genes = len(var)
            # a last slice of fewer than 100 cells would be refused by the model: the slices are made even
            for rows in np.array_split(np.arange(piece.n_obs), max(1, -(-piece.n_obs // slice_cells))):
                obs = pd.DataFrame({ROW: first + rows, ORGANISM: organism}, index=piece.obs_names[rows])
                name = f"slice_{len(written):04d}"
                kept = counts[rows][:, var["column"].to_numpy()].astype(np.float32)
                _write_h5ad(folder / f"{name}.h5ad", ad.AnnData(kept, obs=obs, var=var[["symbol"]].copy()))
                written[name] = len(rows)
            first += piece.n_obs
        about = {"organism": organism, "cells": first, "genes": genes, "slices": written}
        files.write_json(folder / MANIFEST, about)
        script = folder / SCRIPT
        script.write_text(_script(list(written), organism, checkpoint), encoding="utf-8")
        script.chmod(0o755)
    return written


def read(folder: Path | str) -> ad.AnnData:
    """Read what the script made of the slices that `write` wrote, in the order of the cells that were sent.

    ``X`` is the embedding of the cells that came back; ``obs``: row as sent and predicted labels; ``obsm``: the blocks;
    ``uns["dropped"]``: how many did not come back (the model drops cells with few genes).
    """
    folder = Path(folder)
    try:
        about = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        slices, sent = list(about["slices"]), int(about["cells"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        msg = f"{folder} holds no readable {MANIFEST}: prepare the slices first ({error})."
        raise PartError(msg) from None
    outputs = [folder / f"{name}_embedded.h5ad" for name in slices]
    if lacking := [path.name for path in outputs if not path.is_file()]:
        msg = (
            f"{len(lacking)} of {len(outputs)} slices are not embedded yet, first {lacking[0]}. Run {SCRIPT}."
        )
        raise PartError(msg)
    whole = ad.concat([_read_slice(path, sent) for path in outputs], join="inner")
    whole = whole[np.argsort(whole.obs[ROW], kind="stable")].copy()
    if twice := int(whole.obs[ROW].duplicated().sum()):
        msg = f"{twice:,} rows came back twice: a slice was embedded under two names."
        raise PartError(msg)
    whole.uns["dropped"] = sent - whole.n_obs
    return whole


def _counts(piece: ad.AnnData) -> sp.csr_matrix:
    if names.COUNTS not in piece.layers:
        msg = f"no layer {names.COUNTS!r}: the model reads raw counts, X of the release is log-normalized."
        raise CountsError(msg)
    counts = sp.csr_matrix(piece.layers[names.COUNTS])
    bad = np.flatnonzero((counts.data < 0) | (counts.data != np.round(counts.data)))
    if len(bad):
        cell = piece.obs_names[np.searchsorted(counts.indptr, bad[0], side="right") - 1]
        share = f"{len(bad):,} of {counts.nnz:,} stored values are not whole numbers >= 0"
        msg = (
            f"layer {names.COUNTS!r} is not molecules: {share}, first {counts.data[bad[0]]:.3g} in {cell!r}."
        )
        raise CountsError(msg)
    return counts


def _genes(piece: ad.AnnData, organism: str) -> tuple[pd.DataFrame, str]:
    """Return the genes that the model can take (identifier, symbol, column) and the organism they are of."""
    ids = piece.var[names.ENSEMBL] if names.ENSEMBL in piece.var else piece.var_names.to_series()
    ids = ids.astype(str).str.replace(r"^(ENS.*)\.\d+$", r"\1", regex=True).reset_index(drop=True)
    known = study.read("embedding_organisms.csv")
    found = {row["id"]: ids.str.contains(row["gene_ids"]) for row in known.iter_rows(named=True)}
    seen = max(found, key=lambda term: int(found[term].sum()))
    named = known.filter(id=seen)["name"].item()
    fits = (found[seen] & ~ids.duplicated()).to_numpy()
    if fits.sum() < MIN_GENES:
        needs = f"the model needs {MIN_GENES:,} of one, in a column {names.ENSEMBL} or as names of the genes"
        msg = f"{fits.sum():,} genes have an Ensembl identifier of {named}, the organism seen most; {needs}."
        raise PartError(msg)
    stated = {organism} - {""}
    if ORGANISM in piece.obs:
        stated |= set(piece.obs[ORGANISM].dropna().astype(str).unique())
    if stated - {seen}:
        msg = f"the genes are those of {named} ({seen}), the organism stated is {', '.join(sorted(stated))}."
        raise PartError(msg)
    columns = {"symbol": piece.var_names.astype(str)[fits], "column": np.flatnonzero(fits)}
    return pd.DataFrame(columns, index=pd.Index(ids[fits], name="ensembl")), seen


def _write_h5ad(path: Path, adata: ad.AnnData) -> None:
    # written in memory first: HDF5 dies in compiled code where a disk fills up under it
    with h5py.File(path, "w", driver="core", backing_store=False) as stream:
        ad.io.write_elem(stream, "/", adata)
        stream.flush()
        path.write_bytes(stream.id.get_file_image())


def _script(slices: list[str], organism: str, checkpoint: str) -> str:
    return f"""#!/usr/bin/env bash
# Embeds the slices of this folder with scPRINT-2. Run it in the environment of environments/scprint.yml,
# on a machine with a GPU and the network. Slices that are done are skipped.
set -euo pipefail
cd "$(dirname "$0")"
checkpoint=${{1:-{shlex.quote(checkpoint)}}}
for slice in {" ".join(slices)}; do
  if [ ! -f "${{slice}}_embedded.h5ad" ]; then
    scprint2 embed --adata "$slice.h5ad" --ckpt_path "$checkpoint" \\
      --species {shlex.quote(organism)} --output_filename "${{slice}}_part.h5ad"
    mv "${{slice}}_part.h5ad" "${{slice}}_embedded.h5ad"
  fi
done
"""


def _read_slice(path: Path, sent: int) -> ad.AnnData:
    made = ad.read_h5ad(path)
    if EMBEDDED not in made.obsm or ROW not in made.obs:
        msg = f"{path.name} has no {EMBEDDED} or no {ROW}: it is not an output of the model on a prepared slice."
        raise PartError(msg)
    rows = made.obs[ROW].to_numpy().astype(np.int64)
    if len(rows) and (rows.min() < 0 or rows.max() >= sent):
        msg = f"{path.name} has rows outside 0 to {sent - 1:,}: it belongs to another preparation."
        raise PartError(msg)
    blocks = {str(key): np.asarray(value, np.float32) for key, value in made.obsm.items()}
    if not np.isfinite(blocks[EMBEDDED]).all():
        msg = f"{path.name} holds NaN or infinite embeddings."
        raise PartError(msg)
    obs = pd.DataFrame({ROW: rows}, index=made.obs_names.astype(str))
    for column in made.obs.columns:
        if column.startswith("pred_") and (name := layout.class_name(column)):
            obs[name] = made.obs[column].astype(str).to_numpy()
    return ad.AnnData(blocks.pop(EMBEDDED), obs=obs, obsm=blocks)
