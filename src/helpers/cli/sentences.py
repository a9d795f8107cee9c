"""Commands on cell sentences: make them, turn them into prompts."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from helpers import files
from helpers.cli import screen
from helpers.errors import SentenceError


def sentences(
    inputs: Annotated[list[str], Argument(metavar="INPUT...", help="Files .h5ad, releases, or 'demo'.")],
    out: Annotated[Path, Argument(help="Folder for the sentences.")],
    *,
    top_n: Annotated[int, Option(min=0, help="Words of a sentence at most; 0: all expressed.")] = 2_000,
    ties: Annotated[str, Option(help="Order among equal values: symbol, file, seeded.")] = "symbol",
    layer: Annotated[str, Option(help="X, raw, or the name of a layer.")] = "X",
    case: Annotated[str, Option(help="Case of the symbols: given, upper.")] = "given",
    duplicates: Annotated[str, Option(help="Columns of one symbol: sum, first.")] = "sum",
    symbol_column: Annotated[str | None, Option(help="Column of the symbols; found if not named.")] = None,
    gene_list: Annotated[list[Path] | None, Option(help="Genes with an own sentence; repeatable.")] = None,
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
    from helpers.sentences import cells, encode, symbols, write

    lists = _named(gene_list or [], lambda path: path.stem, "gene list")
    named = _named(inputs, cells.dataset_name, "input")
    chosen = write.Options(
        rule=encode.Rule(
            top_n=top_n, ties=ties, seed=seed, layer=layer, case=case, duplicates=duplicates,
            symbol_column=symbol_column, gene_lists={name: symbols.read_list(path) for name, path in lists.items()},
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
            {name: _open(path) for name, path in named.items()}, out, options=chosen, collections=collections,
            hgnc=hgnc, workers=workers, cluster=cluster, progress=progress,
        )  # fmt: skip
    for one in written:
        sides = ", ".join(f"{side} {n:,}" for side, n in one.manifest["cells_by_side"].items())
        screen.say(f"{one.folder}: {one.manifest['cells']:,} cells ({sides}).")
        if left := one.manifest["cells_left_out_as_copies"]:
            screen.say(f"  {left:,} cells left out: they are copies, they say (is_primary_data is False).")
        for name, found in one.manifest["gene_lists"].items():
            there = f"{found['found']:,} of {found['genes']:,}"
            screen.say(f"  {name}: {there} genes of the list are in the data.")
    took = f"{time.monotonic() - started:.1f} s"
    screen.say(f"{done:,} cells in {took}. What was done is in each manifest.json.")


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
        words = "words of genes that the cell does not express."
        screen.say(f"Padding was cut off in {made.trimmed:,} of them: {words}")
    if made.untold:
        why = "all their sentences have the same number of words, and no column counts the genes of a cell."
        whether = f"Whether {made.untold:,} of them are padded with unexpressed genes cannot be told"
        screen.say(f"{whether}: {why} They were not trimmed.")


def _named(given: Iterable[str | Path], name: Callable[[Path], str], what: str) -> dict[str, Path]:
    """Return paths by name, each its own."""
    named: dict[str, Path] = {}
    for path in [Path(one).expanduser() for one in given]:
        if named.setdefault(name(path), path) is not path:
            msg = f"two {what}s are called {name(path)!r}; rename one, since each gives its name to what is written."
            raise SentenceError(msg)
    return named


def _open(source: Path) -> object:
    from helpers import sources

    if source.suffix in (".h5ad", ".gz") or source.is_file():
        return source
    # a release is columns of genes; its converted copy gives rows of cells
    return sources.open_atlas(str(source)).to_anndata(counts=False)


COMMANDS = (sentences, prompts)
