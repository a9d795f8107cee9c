"""What a release can testify to: its tables, sums over its matrix, single genes, and verdicts on claims."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import stats

from helpers import names
from helpers.atlas import opened as opening
from helpers.atlas import scan as scanning
from helpers.atlas.opened import Opened
from helpers.atlas.report import Report
from helpers.errors import ReleaseError
from helpers.facts import study

HOLDS, FAILS, UNKNOWN, INCOMPARABLE = "holds", "does not hold", "cannot be checked", "not comparable"


@dataclass(frozen=True)
class Verdict:
    """What was found for a claim, whether the claim holds, and why."""

    found: str
    verdict: str
    explanation: str


@dataclass(frozen=True)
class Claim:
    """A claim of the card, in other words, and the function that weighs it."""

    name: str
    card: str
    weigh: "Callable[[Evidence], Verdict]"


class AbsentError(ReleaseError):
    """A file or column that a claim needs is not there."""


def open_claim(missing: str) -> Verdict:
    """Return the verdict on a claim that cannot be weighed for want of something."""
    return Verdict(
        f"not in the release: {missing}", UNKNOWN, "Run `musclebook validate` to see what is missing."
    )


@dataclass
class Evidence:
    """A release opened for questions; everything is read once, when first asked for."""

    folder: Path
    opened: Opened
    progress: Callable[[int, int], None] | None = None

    @cached_property
    def cells(self) -> pl.DataFrame:
        """The sample metadata."""
        return _needed(self.opened.sample, names.SAMPLE_FILE)

    @cached_property
    def genes(self) -> pl.DataFrame:
        """The feature metadata."""
        return _needed(self.opened.features, names.FEATURE_FILE)

    @cached_property
    def scan(self) -> scanning.Scan:
        """Sums over the whole matrix."""
        if names.EXPRESSION_FILE not in self.opened.schemas:
            raise AbsentError(names.EXPRESSION_FILE)
        try:
            return scanning.read(self.folder / names.EXPRESSION_FILE, progress=self.progress)
        except (OSError, pa.ArrowException) as error:
            msg = f"{names.EXPRESSION_FILE}, which cannot be read to its end"
            raise AbsentError(msg) from error

    @property
    def whole(self) -> bool:
        """Whether the release has as many cells as the published one."""
        return len(self.cells) == study.N_CELLS

    @property
    def simulated(self) -> bool:
        """Whether the release says what was planted in it."""
        return (self.folder / names.TRUTH_FOLDER).is_dir()

    @property
    def part(self) -> str:
        """Words for a release of another size."""
        kind = "simulated part" if self.simulated else "part"
        return f"{kind}: {len(self.cells):,} of {study.N_CELLS:,} cells"

    @cached_property
    def donors(self) -> pl.DataFrame:
        """One row for each donor: age group, sex, middle of the group, and the authors' exact age where known."""
        exact = study.donors().select(
            names.DONOR, pl.col("Age").cast(pl.Float64).alias(names.EXACT_AGE), "Donor_type"
        )
        columns = [names.AGE_GROUP, names.AGE_BIN, names.SEX, names.AGE_MIDPOINT]
        each = self.cells.group_by(names.DONOR, maintain_order=True).agg(pl.col(columns).first())
        return each.join(exact, on=names.DONOR, how="left").with_columns(
            years=pl.coalesce(names.EXACT_AGE, names.AGE_MIDPOINT).cast(pl.Float64)
        )

    @property
    def donors_known(self) -> bool:
        """Whether every donor is in the authors' table."""
        return self.donors[names.EXACT_AGE].null_count() == 0

    def text(self, file: str) -> object:
        """Return a parsed JSON file, or the text of another."""
        if file not in self.opened.texts:
            raise AbsentError(file)
        return self.opened.texts[file]

    def columns(self, symbols: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the values of genes in all cells, by symbol; those the release lacks are left out."""
        wanted = [symbol for symbol in symbols if symbol in set(self.scan.genes)]
        table = pq.read_table(self.folder / names.EXPRESSION_FILE, columns=wanted)
        return {symbol: table.column(symbol).to_numpy().astype(np.float64) for symbol in wanted}

    def judge(self, *, true: bool) -> str:
        """Return the verdict on a number that depends on the size of the release, or on its being real."""
        if true:
            return HOLDS
        return FAILS if self.whole and not self.simulated else INCOMPARABLE

    def sized(self, found: str) -> str:
        """Add to a number, where the size differs, of how many cells it is."""
        return found if self.whole else f"{found} ({self.part})"


def _needed(table: pl.DataFrame | None, file: str) -> pl.DataFrame:
    if table is None:
        raise AbsentError(file)
    return table


def read(folder: Path, *, progress: Callable[[int, int], None] | None = None) -> Evidence:
    """Open a release for questions.

    Parameters
    ----------
    folder
        Folder with the files.
    progress
        Called with the genes read so far and all genes.

    Raises
    ------
    ReleaseError
        If there is no such folder.
    """
    if not folder.is_dir():
        msg = f"{str(folder)!r} is not a folder. Give the folder that holds the twelve files of a release."
        raise ReleaseError(msg)
    return Evidence(folder, opening.read(folder, Report()), progress)


def slope(years: np.ndarray, values: np.ndarray) -> tuple[float, float, int]:
    """Return a straight line's change per decade, its p-value, and the donors it rests on.

    Parameters
    ----------
    years
        Age of each donor.
    values
        One value for each donor; those that are not finite are left out.
    """
    use = np.isfinite(values) & np.isfinite(years)
    if use.sum() < 4 or np.ptp(values[use]) == 0 or np.ptp(years[use]) == 0:
        return float("nan"), float("nan"), int(use.sum())
    line = stats.linregress(years[use], values[use])
    return float(line.slope * 10), float(line.pvalue), int(use.sum())


def share_by_donor(
    evidence: Evidence, *, of: str, among: Sequence[str] | None, assay: str, least: int = 50
) -> tuple[np.ndarray, np.ndarray]:
    """Return ages of donors, and the share of a label among others within one assay.

    Parameters
    ----------
    evidence
        The release.
    of
        Label of level 0.
    among
        Labels that make the whole; every cell if none.
    assay
        Cells or nuclei.
    least
        Cells a donor needs.
    """
    rows = evidence.cells.filter(pl.col(names.ASSAY) == assay)
    if among is not None:
        rows = rows.filter(pl.col(names.LEVEL0).is_in(list(among)))
    each = rows.group_by(names.DONOR).agg((pl.col(names.LEVEL0) == of).mean().alias("share"), pl.len())
    each = each.filter(pl.col("len") >= least).join(evidence.donors, on=names.DONOR).sort(names.DONOR)
    return each["years"].to_numpy(), each["share"].to_numpy()
