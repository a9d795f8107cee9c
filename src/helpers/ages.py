"""Ages in years from developmental stages, from the age groups of the atlas, and from plain labels."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import polars as pl

from helpers import names
from helpers.errors import SentenceError
from helpers.facts import study

EXACT, INTERVAL, OPEN, PRENATAL, UNKNOWN = "exact", "interval", "open", "prenatal", "unknown"
HUMAN, MOUSE = "human", "mouse"
AGE, AGE_LOWER, AGE_UPPER, AGE_KIND = "age", "age_lower", "age_upper", "age_kind"
AGE_SCHEMA = {AGE: pl.Float64, AGE_LOWER: pl.Float64, AGE_UPPER: pl.Float64, AGE_KIND: pl.String}

STAGE_TERM, STAGE = "development_stage_ontology_term_id", "development_stage"
# The first of these columns that a data set has gives its ages.
AGE_SOURCES = (STAGE_TERM, STAGE, names.AGE_GROUP)

# What the study calls young and old, in years; it has nobody between.
YOUNG_FROM, YOUNG_BELOW, OLD_FROM, OLDEST = 15, 40, 50, 130

_DECADES = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth",
)  # fmt: skip
_YEARS = {"y": 1.0, "m": 1 / 12, "w": 7 / 365.25, "d": 1 / 365.25}
_NUMBER = r"(\d+(?:\.\d+)?)"
_UNIT = r"(years?|yrs?|y|yo|y\.o\.|months?|mos?|m|weeks?|wks?|w|days?|d)\b"
_RANGE = re.compile(rf"{_NUMBER}\s*(?:-|–|—|\bto\b)\s*{_NUMBER}[\s-]*(?:{_UNIT})?")
_MORE = r"(?:and|or) (?:over|older|above|more|up)"
_OVER = re.compile(
    rf"(?:{_NUMBER}[\s-]*(?:{_UNIT})?[\s-]*(?:old)?\s*(?:stage)?\s*(?:{_MORE}|\+))"
    rf"|(?:(?:>=|≥|>|\bover|\babove)\s*{_NUMBER}[\s-]*(?:{_UNIT})?)"
)
_UNDER = re.compile(rf"(?:\bunder|\bbelow|<)[\s-]*{_NUMBER}[\s-]*(?:{_UNIT})?")
_SINGLE = re.compile(rf"{_NUMBER}[\s-]*{_UNIT}")
_PLAIN = re.compile(_NUMBER)
_DECADE = re.compile(rf"\b(?:({'|'.join(_DECADES)})|(\d+)(?:st|nd|rd|th))\s+decade\b")
_PRENATAL = re.compile(
    r"carnegie|theiler|prenatal|antenatal|embryo|fetal|fetus|foetal|foetus|gestation|in utero|\blmp\b|conception"
    r"|post-?\s?fertili[sz]ation|post-?\s?ovulat|(?:\b|\d)(?:pcw|pcd|gw|ga|wpc|dpc|dpf|hpf)(?:\b|\d)"
    r"|blastula|gastrula|neurula|morula|cleavage|organogenesis|^e\d+(?:\.\d+)?$"
)


@dataclass(frozen=True)
class Age:
    """An age as far as it is known, in years after birth; `upper` is exclusive, prenatal and unknown have no bounds."""

    lower: float | None
    upper: float | None
    kind: str
    named: bool = False

    @property
    def years(self) -> float | None:
        """The one number for a model: completed years, lower bound ("80 and over", not "adult stage"), or midpoint."""
        if self.kind in (EXACT, OPEN):
            return None if self.named else self.lower
        return None if self.lower is None else (self.lower + self.upper) / 2


NO_AGE = Age(None, None, UNKNOWN)
#: The life stages of human and mouse with their ages in years (HsapDv and MmusDv, CC BY 4.0).
stages = partial(study.read, "development_stages.tsv")


def parse(label: str | float | None, *, species: str = HUMAN) -> Age:
    """Turn a life-stage term, its label, an age group or a plain age into bounds in years.

    Examples
    --------
    >>> parse("sixth decade stage")
    Age(lower=50.0, upper=60.0, kind='interval', named=False)
    >>> parse("80 year-old and over stage").years
    80.0
    """
    if label is None or (isinstance(label, float) and math.isnan(label)):
        return NO_AGE
    if not isinstance(label, str):
        return _exact(float(label), 1) if 0 <= label <= OLDEST else NO_AGE
    known, simple = _known(), _simplify(label)
    return known.get(f"{simple} ({species})") or known.get(simple) or _guess(label.strip().lower())


def parse_all(labels: Iterable[str | float | None], *, species: str = HUMAN) -> pl.DataFrame:
    """Parse labels into one row each: age, age_lower, age_upper (years) and age_kind; each distinct one once."""
    return _read_each(pl.Series("label", labels, strict=False).to_frame(), partial(parse, species=species))


def _read_each(rows: pl.DataFrame, read: Callable[..., Age]) -> pl.DataFrame:
    distinct = rows.unique()
    ages = [read(*row) for row in distinct.iter_rows()]
    ages = [(age.years, age.lower, age.upper, age.kind) for age in ages]
    found = distinct.hstack(pl.DataFrame(ages, schema=AGE_SCHEMA, orient="row"))
    every = rows.join(found, on=rows.columns, how="left", nulls_equal=True, maintain_order="left")
    return every.drop(rows.columns)


def describe(age: Age, *, species: str = HUMAN) -> dict[str, float | str | None]:
    """Return the age columns of the atlas for an age: group, bin, midpoint, and the exact age where it is known.

    The bins are those of people: a mouse is in none.

    Examples
    --------
    >>> describe(parse("29-year-old stage"))["Age_group"], describe(parse("60-79 year-old stage"))["Age_bin"]
    ('25-30', 'old')
    """
    if age.lower is None:
        return dict.fromkeys((names.AGE_GROUP, names.AGE_BIN, names.AGE_MIDPOINT, names.EXACT_AGE))
    low, high = age.lower, age.upper
    if age.kind == EXACT:
        low = 5 * int(age.lower // 5)
        high = low + 5
    young = age.lower >= YOUNG_FROM and age.upper is not None and age.upper <= YOUNG_BELOW
    known = names.YOUNG if young else names.OLD if age.lower >= OLD_FROM else None
    return {
        names.AGE_GROUP: f"{low:g}+" if high is None else f"{low:g}-{high:g}",
        names.AGE_BIN: known if species == HUMAN else None,
        names.AGE_MIDPOINT: (low + high) / 2 if age.kind == EXACT and high is not None else age.years,
        names.EXACT_AGE: age.lower if age.kind == EXACT else None,
    }


def find_source(columns: Sequence[str], *, age_column: str | None = None) -> str | None:
    """Return the column that gives the ages of a data set: the named one, else the first of `AGE_SOURCES`."""
    if age_column is not None and age_column not in columns:
        msg = f"no column {age_column!r} for the age. The cells have: {', '.join(columns)}."
        raise SentenceError(msg)
    return age_column or next((column for column in AGE_SOURCES if column in columns), None)


def of_atlas(groups: Iterable[str | None], donors: Iterable[str | None]) -> pl.DataFrame:
    """Return ages for cells of the muscle atlas: the donor's exact age where published, else the age group."""
    pairs = pl.DataFrame({"group": groups, "donor": donors}, schema={"group": pl.String, "donor": pl.String})
    published = dict(study.donors().select(names.DONOR, "Age").iter_rows())

    def read(group: str | None, donor: str | None) -> Age:
        stated, exact = parse(group), published.get(donor)
        # a donor of that name whose published age contradicts the group is somebody else
        same = exact is not None and (stated.lower or 0) <= exact <= (stated.upper or math.inf)
        return parse(exact) if same else stated

    return _read_each(pairs, read)


@cache
def _known() -> dict[str, Age]:
    found: dict[str, Age] = {}
    # current terms last: a label that an obsolete term shares means the current one
    for row in stages().sort("obsolete", descending=True).iter_rows(named=True):
        named = row["kind"] == OPEN and not any(sign.isdigit() for sign in row["name"])
        age = Age(row["lower_years"], row["upper_years"], row["kind"], named)
        found[row["id"].lower()] = age
        label = _simplify(row["name"])
        species = HUMAN if row["id"].startswith("HsapDv") else MOUSE
        found[f"{label} ({species})"] = age
        if species == HUMAN or f"{label} ({HUMAN})" not in found:
            found[label] = age
    return found


def _simplify(label: str) -> str:
    return " ".join(re.sub(r"\b(human|mouse|stage)\b", " ", label.lower()).split())


def _guess(text: str) -> Age:
    if _PRENATAL.search(text):
        return Age(None, None, PRENATAL)
    if not names.is_given(text):
        return NO_AGE
    if decade := _DECADE.search(text):
        n = _DECADES.index(decade[1]) if decade[1] else int(decade[2]) - 1
        return Age(10.0 * n, 10.0 * (n + 1), INTERVAL)
    if span := _RANGE.search(text):
        # "15-19 year-old" counts the nineteenth year in; a bare "15-20" is a bin whose end belongs to the next
        start, end, unit = float(span[1]), float(span[2]) + bool(span[3]), _unit(span[3])
        return Age(start * unit, end * unit, INTERVAL) if end > start else NO_AGE
    if over := _OVER.search(text):
        return Age(float(over[1] or over[3]) * _unit(over[2] or over[4]), None, OPEN)
    if under := _UNDER.search(text):
        return Age(0.0, float(under[1]) * _unit(under[2]), INTERVAL)
    if single := _SINGLE.search(text):
        return _exact(float(single[1]), _unit(single[2]))
    if (plain := _PLAIN.fullmatch(text)) and float(plain[1]) <= OLDEST:
        return _exact(float(plain[1]), 1)
    return NO_AGE


def _exact(number: float, unit: float) -> Age:
    return Age(number * unit, (number + 1) * unit, EXACT)


def _unit(written: str | None) -> float:
    return _YEARS[written[0]] if written else 1.0
