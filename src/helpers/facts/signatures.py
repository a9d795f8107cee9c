"""Gene sets of aging: what each stands for, the direction that is claimed, and where the genes come from."""

from functools import cache
from importlib import resources

import polars as pl

CARD_GENES = ("CDKN2A", "TP53")  # the public card says that these rise with age


@cache
def signatures() -> pl.DataFrame:
    """Return the sets: signature, gene, expected (direction claimed with age: up, down, none), source.

    Ribosome biogenesis and dissociation stress are the lists of the study's notebooks. The others were put together
    for this book from genes that the field commonly names for each process; replace them with your own by a file of
    the same columns.
    """
    with resources.as_file(resources.files("helpers.facts").joinpath("tables", "signatures.csv")) as path:
        return pl.read_csv(path)
