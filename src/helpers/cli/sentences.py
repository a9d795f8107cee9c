"""Commands on cell sentences: make them, turn them into prompts."""

import time
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from helpers import files
from helpers.cli import screen
from helpers.errors import SentenceError


def sentences(
    inputs: Annotated[
        list[str], Argument(metavar="INPUT...", help="Files .h5ad, release folders, or 'demo'.")
    ],
    out: Annotated[Path, Argument(help="Folder for the sentences.")],
    *,
    top_n: Annotated[int, Option(min=0, help="Words of a sentence at most; 0: all expressed.")] = 2_000,
    ties: Annotated[str, Option(help="Order among equal values: symbol, file, seeded.")] = "symbol",
    layer: Annotated[str, Option(help="X, raw, or the name of a layer.")] = "X",
    case: Annotated[str, Option(help="Case of the symbols: given, upper.")] = "given",
    duplicates: Annotated[str, Option(help="Columns of one symbol: sum, first.")] = "sum",
    symbol_column: Annotated[str | None, Option(help="Column of the symbols; found if not named.")] = None,
    gene_list: Annotated[
        list[Path] | None, Option(help="File of genes that get a sentence of their own. Repeatable.")
    ] = None,
    split: Annotated[str, Option(help="donors, cells (leaks donors), none.")] = "donors",
    test_fraction: Annotated[float, Option(help="Target share of the test side.")] = 0.05,
    seed: Annotated[int, Option(help="Of the split and of seeded ties.")] = 0,
    chunk_cells: Annotated[int, Option(min=1, help="Cells of one file.")] = 10_000,
    missing_age: Annotated[str, Option(help="Cells of unknown age: keep, drop.")] = "keep",
    copies: Annotated[str, Option(help="Cells with is_primary_data False: drop, keep.")] = "drop",
    donor_column: Annotated[str | None, Option(help="Column of the donor; found if not named.")] = None,
    age_column: Annotated[str | None, Option(help="Column of the age; found if not named.")] = None,
    organism: Annotated[str | None, Option(help="Organism, where the data do not state it.")] = None,
    collections: Annotated[Path | None, Option(help="Your table of publications by dataset_id.")] = None,
    hgnc: Annotated[Path | None, Option(help="Your HGNC table, for outdated symbols.")] = None,
    workers: Annotated[int, Option(min=1, help="Threads of this machine.")] = 2,
    cluster: Annotated[str | None, Option(help="Address of a Dask scheduler.")] = None,
) -> None:
    """Write cells as sentences: Parquet files, whole donors held out, resumed where interrupted.

    Example:  musclebook sentences release cells.h5ad sentences --top-n 2000 --workers 2
    On machines:  dask scheduler  (prints its address), on each: dask worker tcp://HOST:8786, then --cluster tcp://HOST:8786
    """
    from helpers.sentences import encode, write

    chosen = write.Options(
        rule=encode.Rule(
            top_n=top_n, ties=ties, seed=seed, layer=layer, case=case, duplicates=duplicates,
            symbol_column=symbol_column, gene_lists=_read_lists(gene_list or []),
        ),
        split=split, test_fraction=test_fraction, seed=seed, chunk_cells=chunk_cells, missing_age=missing_age,
        copies=copies, donor_column=donor_column, age_column=age_column, organism=organism,
    )  # fmt: skip
    started, done = time.monotonic(), 0
    with screen.progress("Cells written") as bar:

        def progress(_: str, n_cells: int) -> None:
            nonlocal done
            done += n_cells
            bar(done, done)

        written = write.write(
            _open(inputs), out, options=chosen, collections=collections, hgnc=hgnc, workers=workers, cluster=cluster,
            progress=progress,
        )  # fmt: skip
    for one in written:
        sides = ", ".join(f"{side} {n:,}" for side, n in one.manifest["cells_by_side"].items())
        screen.say(f"{one.folder}: {one.manifest['cells']:,} cells ({sides}).")
        if left := one.manifest["cells_left_out_as_copies"]:
            screen.say(f"  {left:,} cells left out: they are copies, they say (is_primary_data is False).")
        for name, found in one.manifest["gene_lists"].items():
            screen.say(
                f"  {name}: {found['found']:,} of {found['genes']:,} genes of the list are in the data."
            )
    seconds = time.monotonic() - started
    screen.say(f"{done:,} cells in {seconds:.1f} s. What was done is in each manifest.json.")


def prompts(
    inputs: Annotated[list[Path], Argument(metavar="INPUT...", help="Sentences: files or folders.")],
    out: Annotated[Path, Argument(help="File of JSON lines.")],
    *,
    task: Annotated[str, Option(help="What is asked: age, cell_type, tissue.")] = "age",
    n_genes: Annotated[int, Option(min=1, help="Words of a sentence at most.")] = 200,
    side: Annotated[str | None, Option(help="train or test; both if not named.")] = None,
    seed: Annotated[int, Option(help="Of the choice of templates.")] = 0,
    organism: Annotated[str | None, Option(help="Told where the data do not state it.")] = None,
    tissue: Annotated[str | None, Option(help="Told where the data do not state it.")] = None,
    templates: Annotated[Path | None, Option(help="YAML file of your own templates.")] = None,
    force: screen.Replace = False,
) -> None:
    """Turn sentences into prompts and responses for fine-tuning.

    Example:  musclebook prompts sentences/atlas train.jsonl --task cell_type --side train
    """
    from helpers.sentences import prompts as prompting

    files.require_utf8(out)
    files.claim_file(out, force=force, inputs=[*inputs, *([templates] if templates else [])])
    made = prompting.write(
        list(inputs), out, task=task, n_genes=n_genes, seed=seed, side=side, organism=organism, tissue=tissue,
        templates=templates,
    )  # fmt: skip
    screen.say(f"{made.lines:,} prompts in {out}; {made.left_out:,} cells left out for want of an answer.")
    if made.trimmed:
        screen.say(
            f"Padding was cut off in {made.trimmed:,} of them: words of genes that the cell does not express."
        )
    if made.untold:
        screen.say(
            f"Whether {made.untold:,} of them are padded with unexpressed genes cannot be told: all their sentences have "
            "the same number of words, and no column counts the genes of a cell. They were not trimmed."
        )


def _read_lists(paths: list[Path]) -> dict[str, list[str]]:
    from helpers.sentences import symbols

    found: dict[str, list[str]] = {}
    for path in paths:
        if path.stem in found:
            msg = f"two gene lists are called {path.stem!r}; rename one, since each names a column."
            raise SentenceError(msg)
        found[path.stem] = symbols.read_list(path.expanduser())
    return found


def _open(inputs: list[str]) -> dict[str, object]:
    from helpers import sources
    from helpers.sentences import cells

    named: dict[str, object] = {}
    for text in inputs:
        path = Path(text).expanduser()
        is_file = path.suffix in (".h5ad", ".gz") or path.is_file()
        name = cells.dataset_name(path)
        if name in named:
            msg = f"two inputs are called {name!r}; rename one, since each gets a folder of its name."
            raise SentenceError(msg)
        # a release is columns of genes; its converted copy gives rows of cells
        named[name] = path if is_file else sources.open_atlas(text).to_anndata(counts=False)
    return named


COMMANDS = (sentences, prompts)
