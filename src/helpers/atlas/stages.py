"""Ages in labels of developmental stages, as CELLxGENE files write them."""

import re

from helpers import names

DECADES = (
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
)
OLDEST = 120.0  # years; the open end of "80 year-old and over"
# Identifiers of the human stage ontology that count years in steps of one: first id, first year, last year.
YEARS_BY_ID = ((96, 2, 79), (206, 80, 99), (228, 100, 106), (246, 1, 1), (248, 107, 114))
YOUNG_FROM, YOUNG_BELOW, OLD_FROM = 15, 40, 50  # years; the study has nobody between young and old

_YEAR = r"(?:-| )?years?(?:-| )?old"
_PATTERNS = (
    (re.compile(rf"\b(\d+)\s*-\s*(\d+){_YEAR}"), "range"),
    (re.compile(rf"\b(\d+){_YEAR} and over"), "over"),
    (re.compile(rf"\bunder(?:-| )(\d+){_YEAR}"), "under"),
    (re.compile(rf"\b(\d+){_YEAR}"), "year"),
    (re.compile(r"\b(\d+)(?:-| )months?(?:-| )old"), "month"),
    (re.compile(r"\((\d+)\s*-\s*(\d+) (?:yo|years?)\)"), "range"),
    (re.compile(r"\((\d+)\s*-\s*(\d+) months?\)"), "months"),
    (re.compile(rf"\b({'|'.join(DECADES)}) decade\b"), "decade"),
)
_ID = re.compile(r"HsapDv:(\d{7})")


def parse_years(label: str | None) -> tuple[float, float] | None:
    """Return the ages that a stage covers, from its first birthday to just before the next, in years.

    Parameters
    ----------
    label
        A stage such as ``"29-year-old stage"``, ``"third decade stage"``, ``"60-79 year-old stage"`` or
        ``"6-month-old stage"``, or the identifier of a stage of whole years.

    Returns
    -------
    tuple or None
        Start and end, the end not included; none where the label names no age after birth.

    Examples
    --------
    >>> parse_years("29-year-old stage"), parse_years("third decade stage")
    ((29.0, 30.0), (20.0, 30.0))
    >>> parse_years("unknown")
    """
    if not label:
        return None
    text = label.strip().casefold()
    for pattern, kind in _PATTERNS:
        match = pattern.search(text)
        if match is not None:
            return _span(kind, *match.groups())
    match = _ID.fullmatch(label.strip())
    return _years_of_id(int(match[1])) if match else None


def _span(kind: str, first: str, last: str = "") -> tuple[float, float]:
    if kind == "decade":
        start = 10.0 * DECADES.index(first)
        return start, start + 10
    value = float(first)
    spans = {
        "range": lambda: (value, float(last) + 1),
        "over": lambda: (value, OLDEST),
        "under": lambda: (0.0, value),
        "year": lambda: (value, value + 1),
        "month": lambda: (value / 12, (value + 1) / 12),
        "months": lambda: (value / 12, (float(last) + 1) / 12),
    }
    return spans[kind]()


def _years_of_id(number: int) -> tuple[float, float] | None:
    for first_id, first_year, last_year in YEARS_BY_ID:
        year = first_year + number - first_id
        if first_id <= number and year <= last_year:
            return float(year), float(year + 1)
    return None


def describe(label: str | None) -> dict[str, float | str | None]:
    """Return the age columns of the atlas for a stage: group, bin, midpoint, and the exact age where it is known.

    Parameters
    ----------
    label
        A stage, see `parse_years`.

    Examples
    --------
    >>> describe("29-year-old stage")["Age_group"], describe("60-79 year-old stage")["Age_bin"]
    ('25-30', 'old')
    """
    span = parse_years(label)
    if span is None:
        return dict.fromkeys((names.AGE_GROUP, names.AGE_BIN, names.AGE_MIDPOINT, names.EXACT_AGE))
    start, end = span
    single = end - start <= 1
    five = 5 * int(start // 5)
    low, high = (five, five + 5) if single else (start, end)
    return {
        names.AGE_GROUP: f"{low:g}-{high:g}" if high < OLDEST else f"{low:g}+",
        names.AGE_BIN: _bin(start, end),
        names.AGE_MIDPOINT: (low + min(high, 100.0)) / 2,
        names.EXACT_AGE: start if single else None,
    }


def _bin(start: float, end: float) -> str | None:
    if start >= YOUNG_FROM and end <= YOUNG_BELOW:
        return names.YOUNG
    return names.OLD if start >= OLD_FROM else None
