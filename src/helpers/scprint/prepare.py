"""Embedding an atlas with scPRINT-2 itself: its input, and the script that runs it elsewhere.

The model needs its own environment (``environments/scprint.yml``), a GPU to be quick, and its ontologies from the
network: the call itself is not tested here, what goes in is. Raw counts, Ensembl identifiers and slices of at most
20,000 cells are needed because the model's data set makes its slice dense over about 70,000 genes. What comes back has
the cells that the model kept, in its order, and the ``row_id`` that was sent with each.
"""

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

MAX_CELLS, MIN_GENES = 20_000, 10_000
ORGANISM, ROW = "organism_ontology_term_id", "row_id"
MANIFEST, SCRIPT = "manifest.json", "embed.sh"
KIND = "scprint slices"  # what our mark says of a folder


def write(
    pieces: Iterable[ad.AnnData],
    out: Path | str,
    *,
    organism: str = "",
    checkpoint: str = "v2-medium.ckpt",
    force: bool = False,
) -> dict[str, int]:
    """Write slices of raw counts that the model reads, and the script that embeds them; return cells by slice.

    Parameters
    ----------
    pieces
        Cells x genes with a layer of counts, one a slice, of at most 20,000 cells: memory holds one at a time.
    out
        Folder to write; one that holds files of others, or embedded slices, is not replaced without `force`.
    organism
        Taxonomy identifier of the cells; read off the gene identifiers if empty.
    checkpoint
        Path of the model's weights, as the script will name it.
    """
    written: dict[str, int] = {}
    genes = first = 0
    with files.writing(Path(out), kind=KIND, force=force) as folder:
        folder.mkdir()
        for piece in pieces:
            if piece.n_obs > MAX_CELLS:
                msg = (
                    f"a slice of {piece.n_obs:,} cells: the model makes it dense; give at most {MAX_CELLS:,}."
                )
                raise PartError(msg)
            if names.COUNTS not in piece.layers:
                msg = f"no layer {names.COUNTS!r}: the model reads raw counts, X of the release is log-normalized."
                raise CountsError(msg)
            var, organism = _genes(piece, organism)
            genes = len(var)
            rows = np.arange(first, first + piece.n_obs)
            obs = pd.DataFrame({ROW: rows, ORGANISM: organism}, index=piece.obs_names)
            counts = sp.csr_matrix(piece.layers[names.COUNTS])[:, var["column"].to_numpy()].astype(np.float32)
            name = f"slice_{len(written):04d}"
            _write_h5ad(folder / f"{name}.h5ad", ad.AnnData(counts, obs=obs, var=var[["symbol"]].copy()))
            written[name] = piece.n_obs
            first += piece.n_obs
        about = {"organism": organism, "cells": first, "genes": genes, "slices": written}
        files.write_json(folder / MANIFEST, about)
        script = folder / SCRIPT
        script.write_text(_script(list(written), organism, checkpoint), encoding="utf-8")
        script.chmod(0o755)
    return written


def _genes(piece: ad.AnnData, organism: str) -> tuple[pd.DataFrame, str]:
    """Return the genes that the model can take (identifier, symbol, column) and the organism they are of."""
    ids = piece.var[names.ENSEMBL] if names.ENSEMBL in piece.var else piece.var_names.to_series()
    ids = ids.astype(str).str.replace(r"^(ENS.*)\.\d+$", r"\1", regex=True).reset_index(drop=True)
    known = study.read("embedding_organisms.csv")
    found = {row["id"]: ids.str.contains(row["gene_ids"]) for row in known.iter_rows(named=True)}
    names_of = dict(known.select("id", "name").iter_rows())
    seen = max(found, key=lambda term: int(found[term].sum()))
    fits = (found[seen] & ~ids.duplicated()).to_numpy()
    if fits.sum() < MIN_GENES:
        msg = (
            f"{int(fits.sum()):,} genes have an Ensembl identifier of {names_of[seen]}, the organism seen most; the "
            f"model needs {MIN_GENES:,} of one organism, in a column {names.ENSEMBL} or as names of the genes."
        )
        raise PartError(msg)
    stated = {organism} - {""}
    if ORGANISM in piece.obs:
        stated |= set(piece.obs[ORGANISM].dropna().astype(str).unique())
    if stated - {seen}:
        msg = f"the genes are those of {names_of[seen]} ({seen}), the organism stated is {', '.join(sorted(stated))}."
        raise PartError(msg)
    index = pd.Index(ids[fits], name="ensembl")
    columns = {"symbol": piece.var_names.astype(str)[fits], "column": np.flatnonzero(fits)}
    return pd.DataFrame(columns, index=index), seen


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
