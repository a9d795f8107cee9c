"""The claims of the public dataset card, each computed from the files."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from helpers.atlas import (
    check_cells,
    check_maps,
    claims_cells,
    claims_files,
    claims_genes,
    claims_values,
    evidence,
)
from helpers.atlas import opened as opening
from helpers.atlas.evidence import AbsentError, Claim, Evidence, Verdict
from helpers.atlas.report import DAMAGED, Report
from helpers.errors import ReleaseError

CLAIMS: tuple[Claim, ...] = (
    *claims_cells.CLAIMS,
    *claims_genes.CLAIMS,
    *claims_files.CLAIMS,
    *claims_values.CLAIMS,
)
SCHEMA = dict.fromkeys(("claim", "card", "found", "verdict", "explanation"), pl.String)


def audit(folder: str | Path, *, progress: Callable[[int, int], None] | None = None) -> pl.DataFrame:
    """Weigh each claim of the public card against the files of a release.

    A claim about size is not comparable on a part of the atlas, and the table says what part it is. What the
    files cannot show is said to be so.

    Parameters
    ----------
    folder
        Folder with the twelve files.
    progress
        Called with the genes read so far and all genes.

    Returns
    -------
    polars.DataFrame
        A row for each claim: ``claim``, ``card`` (in other words), ``found``, ``verdict`` (holds, does not hold,
        cannot be checked, not comparable), ``explanation``.

    Raises
    ------
    ReleaseError
        If there is no such folder, or a table in it is damaged so that its numbers mean nothing.
    """
    release = evidence.read(Path(folder), progress=progress)
    _refuse_damage(release)
    rows = []
    for claim in CLAIMS:
        weighed = _weigh(claim, release)
        rows.append({"claim": claim.name, "card": claim.card, **vars(weighed)})
    return pl.DataFrame(rows, schema=SCHEMA)


def _refuse_damage(release: Evidence) -> None:
    """Refuse tables whose rows, columns or types are wrong; a file that is only absent leaves its claims open."""
    report = Report()
    for check in (opening.check_columns, opening.check_rows, check_cells.check, check_maps.check):
        check(release.opened, report)
    faults = [f"{row['file']}: {row['found']}" for row in report.rows if row["status"] == DAMAGED]
    if faults:
        msg = (
            f"{len(faults)} fault(s) make the numbers of this release mean nothing: {'; '.join(faults[:3])}. "
            "`musclebook validate` names all and what to do."
        )
        raise ReleaseError(msg)


def _weigh(claim: Claim, release: Evidence) -> Verdict:
    try:
        return claim.weigh(release)
    except AbsentError as error:
        return evidence.open_claim(str(error))
