"""The page on own files is made from the tables that the reader uses: MUSCLEBOOK_WRITE=1 writes it anew."""

import os
from pathlib import Path

from helpers import files
from helpers.atlas import columns, h5ad

PAGE = Path(__file__).parents[1] / "book" / "own_files.md"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def code(words):
    return ", ".join(f"`{word}`" for word in words)


def parts():
    units = {1.0: "years", 1 / 12: "months", 7 / 365.25: "weeks", 1 / 365.25: "days"}
    stages = [[f"`{name}`", "stage, or its identifier"] for name in columns.STAGES]
    ages = [[f"`{name}`", units[unit]] for name, unit in columns.AGE_UNITS.items()]
    cache = "folder of simulated releases, converted copies and remembered hashes; else the user's cache "
    own = [[f"`{files.CACHE_VARIABLE}`", cache + "folder, else a temporary one"]]
    homeless = "set to a temporary folder where there is no home to write in"
    taken = [[f"`{one.name}`", code(one.aliases) or "-", one.meaning] for one in columns.COLUMNS]
    return {
        "columns": table(["column", "else taken from", "what stands in it"], taken),
        "ages": table(["column", "a number is in"], [*stages, *ages]),
        "genes": f"{code(columns.SYMBOL_COLUMNS)}; identifiers: {code(columns.ENSEMBL_COLUMNS)}.",
        "organism": f"{code(columns.ORGANISM_COLUMNS)}.",
        "layers": f"{code(h5ad.COUNT_LAYERS)}.",
        "environment": table(
            ["variable", "what it does"], [*own, *([f"`{name}`", homeless] for name in files.HOMELESS)]
        ),
    }


def test_the_page_lists_what_the_reader_understands():
    text = wanted = PAGE.read_text(encoding="utf-8")
    for name, part in parts().items():
        start, end = f"<!-- {name} -->\n", "<!-- end -->"
        before, rest = wanted.split(start)
        wanted = f"{before}{start}{part}\n{end}{rest.partition(end)[2]}"
    if os.environ.get("MUSCLEBOOK_WRITE"):
        PAGE.write_text(wanted, encoding="utf-8")
    else:
        assert text == wanted
