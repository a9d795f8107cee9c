"""The page on own files is made from the tables that the reader uses: MUSCLEBOOK_WRITE=1 writes it anew."""

import os
import re
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
    own = {
        files.CACHE_VARIABLE: "folder of simulated releases, converted copies and remembered hashes; else the user's cache "
        "folder, else a temporary one",
        **dict.fromkeys(files.HOMELESS, "set to a temporary folder where there is no home to write in"),
    }
    return {
        "columns": table(
            ["column", "else taken from", "what stands in it"],
            [[f"`{one.name}`", code(one.aliases) or "-", one.meaning] for one in columns.COLUMNS],
        ),
        "ages": table(
            ["column", "a number is in"],
            [*stages, *([f"`{name}`", units[unit]] for name, unit in columns.AGE_UNITS.items())],
        ),
        "genes": f"{code(columns.SYMBOL_COLUMNS)}; identifiers: {code(columns.ENSEMBL_COLUMNS)}.",
        "organism": f"{code(columns.ORGANISM_COLUMNS)}.",
        "layers": f"{code(h5ad.COUNT_LAYERS)}.",
        "environment": table(
            ["variable", "what it does"], [[f"`{name}`", words] for name, words in own.items()]
        ),
    }


def test_the_page_lists_what_the_reader_understands():
    text = PAGE.read_text(encoding="utf-8")
    wanted = text
    for name, part in parts().items():
        wanted = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)",
            lambda m, part=part: f"{m[1]}{part}\n{m[2]}",
            wanted,
            flags=re.DOTALL,
        )
    if os.environ.get("MUSCLEBOOK_WRITE"):
        PAGE.write_text(wanted, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == wanted
