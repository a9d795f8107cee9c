"""The rows of a check on a release: what was found, what was expected, what to do."""

from dataclasses import dataclass, field

import polars as pl

OK, WARNING, DAMAGED = "ok", "warning", "damaged"
SCHEMA = dict.fromkeys(("check", "file", "status", "found", "expected", "remedy"), pl.String)


@dataclass
class Report:
    """Collects the rows of one validation, in the order they were made."""

    rows: list[dict[str, str]] = field(default_factory=list)

    def ok(self, check: str, file: str, found: str, *, expected: str = "") -> None:
        """Add a check that passed."""
        self._add(check, file, OK, found, expected, "")

    def warn(self, check: str, file: str, found: str, *, expected: str, remedy: str) -> None:
        """Add a peculiarity that leaves results right."""
        self._add(check, file, WARNING, found, expected, remedy)

    def damage(self, check: str, file: str, found: str, *, expected: str, remedy: str = "") -> None:
        """Add damage; without a remedy of its own, the file is to be fetched or written again."""
        self._add(check, file, DAMAGED, found, expected, remedy or f"Fetch or write {file} again.")

    def skip(self, check: str, file: str, reason: str) -> None:
        """Add a check that could not be made because of other damage."""
        self._add(
            check,
            file,
            WARNING,
            f"not checked: {reason}",
            "",
            "Mend the damage named above, then validate again.",
        )

    def _add(self, check: str, file: str, status: str, found: str, expected: str, remedy: str) -> None:
        self.rows.append(
            {
                "check": check,
                "file": file,
                "status": status,
                "found": found,
                "expected": expected,
                "remedy": remedy,
            }
        )

    def frame(self) -> pl.DataFrame:
        """Return the rows as a table of text columns."""
        return pl.DataFrame(self.rows, schema=SCHEMA)


def is_damaged(report: pl.DataFrame) -> bool:
    """Tell whether any check of a validation found damage."""
    return report["status"].eq(DAMAGED).any()


def listing(values: list[str], *, most: int = 4) -> str:
    """Write the first few values, and how many more there are.

    Examples
    --------
    >>> listing(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    shown = ", ".join(repr(value) for value in values[:most])
    return shown if len(values) <= most else f"{shown} and {len(values) - most:,} more"
