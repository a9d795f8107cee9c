"""The numbers a page states: recorded once, shown in sentences and tables, written to files."""

import html
import json
import math
import platform
import re
import time
import warnings
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import polars as pl
from great_tables import GT

from helpers import parameters
from helpers.budget import peak_bytes, to_text
from helpers.errors import FindingError
from helpers.files import digest_text, write_json, writing

Plain = str | int | float | bool | None

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|$~!])")
_GLUE_MIME = "application/papermill.record/text/plain"
_WORDS = {"None": "–", "True": "yes", "False": "no"}
_SHOWN_PACKAGES = ("musclebook", "anndata", "scanpy", "polars", "numpy", "scikit-learn", "edgepython")


@dataclass(frozen=True)
class Finding:
    """One recorded value, with its unit and, if it was estimated, its 95 % interval."""

    name: str
    value: Plain
    unit: str | None = None
    interval: tuple[float, float] | None = None

    @property
    def number(self) -> str:
        """The value alone, as a reader writes it: a count of zero is none."""
        return "none" if type(self.value) is int and self.value == 0 else escape(self.text("number"))

    def __format__(self, spec: str) -> str:
        """Write the finding for Markdown: `spec` formats its numbers, or is a noun, ``gene|genes``, that it counts."""
        one, several, *_ = [*spec.split("|"), ""]
        if not several:
            return escape(self.text(spec=spec))
        if self.value is None:
            return escape(f"an unknown number of {several}")
        if self.value == 0:
            return escape(f"no {several}")
        return escape(f"{write(self.value)} {one if self.value == 1 else several}")

    def text(self, part: str = "", spec: str = "") -> str:
        """Write all of the finding as plain text, or its part ``number``; what is missing has no unit and no interval."""
        value = write(self.value, spec)
        if self.value is None or part:
            return value
        unit = f" {self.unit}" if self.unit else ""
        bounds = " to ".join(write(bound, spec) for bound in self.interval or ())
        interval = f" (95 % interval {bounds})" if bounds else ""
        return f"{value}{unit}{interval}"


class Note:
    """What one run of one notebook found. Made by `begin`."""

    def __init__(self, notebook: str, *, folder: Path, parameters: dict[str, Plain]) -> None:
        self.notebook = notebook
        self.folder = folder
        self.parameters = parameters
        self.started = time.monotonic()
        self.findings: dict[str, Finding] = {}
        self.tables: dict[str, list[str]] = {}
        self._source: dict[str, Plain] = {}

    def record(
        self, name: str, value: Any, unit: str | None = None, interval: tuple[float, float] | None = None
    ) -> Self:
        """Record a value under a name, once: glued for the book, written to ``results.json``.

        It is a number, a text or a truth value (NumPy and polars scalars become plain Python), with its unit in words
        and the bounds of its 95 % interval in that unit.
        """
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            msg = f"{name!r} cannot name a finding: use lower-case letters, digits and underscores."
            raise FindingError(msg)
        if name in self.findings:
            msg = f"finding {name!r} is recorded already, as {self.findings[name].value!r}. Choose another name."
            raise FindingError(msg)
        bounds = None if interval is None else (_plain(interval[0], name), _plain(interval[1], name))
        finding = Finding(name, _plain(value, name), unit, bounds)
        self.findings[name] = finding
        # myst-nb reads this output as a glued value; its own glue() writes the repr, which for a text carries quotes
        glued = {"name": f"{self.notebook}:{name}", "mime_prefix": "application/papermill.record/"}
        _show(_GLUE_MIME, finding.text(), scrapbook=glued)
        self._write()
        return self

    def say(self, sentence: str, **values: Any) -> None:
        """Record values and show a sentence with them in it, as Markdown.

        ``{name}`` is value, unit and interval; ``{name.number}`` the value alone; ``{name:.1%}`` formats it;
        ``{name:gene|genes}`` counts: no genes, 1 gene, 16 genes. Values are escaped, so a label that holds markup
        shows as text. What is recorded is a value, or a tuple of value and unit, or of value, unit and interval.
        """
        for name, value in values.items():
            self.record(name, *(value if isinstance(value, tuple) else (value,)))
        try:
            text = sentence.format_map(self.findings)
        except KeyError as missing:
            msg = f"finding {missing} is shown before it is recorded. Recorded: {', '.join(self.findings) or 'none'}."
            raise FindingError(msg) from None
        _show("text/markdown", text)

    def save(self, name: str, table: pl.DataFrame | pd.DataFrame) -> None:
        """Write a result table as Parquet and CSV into the run's folder, without showing it."""
        frame = table if isinstance(table, pl.DataFrame) else pl.from_pandas(table)
        with writing(self.folder / f"{name}.csv") as part:
            frame.write_csv(part)
        with writing(self.folder / f"{name}.parquet") as part:
            frame.write_parquet(part)
        self.tables[name] = [f"{name}.csv", f"{name}.parquet"]
        self._write()

    def table(
        self,
        table: pl.DataFrame | pd.DataFrame,
        caption: str,
        *,
        name: str | None = None,
        rows: int = 12,
        columns: Mapping[str, str | tuple[str, str, str]] | None = None,
        groups: str | None = None,
        percent: Sequence[str] = (),
    ) -> None:
        """Show the columns of a table that answer the question; with a name, save the whole and link the files.

        The table is polars or pandas; where it has no rows nothing is shown. `name` is the stem of the files, `columns`
        maps a header in words to a column, or to (estimate, low, high), which share one; none for all. Values of the
        column `groups` head groups of rows, and `percent` names columns of shares.
        """
        frame = table if isinstance(table, pl.DataFrame) else pl.from_pandas(table)
        saved = ""
        if name is not None:
            self.save(name, frame)
            saved = links([self.folder / file for file in self.tables[name]])
        if frame.is_empty():
            return
        shown, columns = frame.head(rows), columns or {column: column for column in frame.columns}
        cells = {header: _cells(shown, column, percent) for header, column in columns.items()}
        heads = {} if groups is None else {"group heading": [_cell(value) for value in shown[groups]]}
        plain = pl.DataFrame({**cells, **heads}, schema=dict.fromkeys([*cells, *heads], pl.String))
        texts = {column for column, kind in shown.schema.items() if not kind.is_numeric()}
        numeric = [header for header, column in columns.items() if column not in texts]
        made = GT(plain, groupname_col=next(iter(heads), None)).cols_align("right", columns=numeric)
        # the style of the page, and in a notebook that of tables there, in place of eight kilobytes with every table
        body = made.as_raw_html().partition("</style>")[2].rpartition("</div>")[0].strip()
        body = re.sub(r" (id|headers)=\"[^\"]*\"| data-quarto-[a-z-]+=\"[^\"]*\"", "", body)
        label = in_html(caption)
        head = f"<table class='gt_table dataframe' aria-label='{label}'"
        body = body.replace('<table class="gt_table"', head)
        more = f"First {rows:,} of {frame.height:,} rows. " if frame.height > rows else ""
        foot = f"<p class='table-foot'>{more}{saved}</p>" if more or saved else ""
        # above the box that scrolls: a caption inside it would be as wide as the table, and cut off
        above = f"<p class='table-caption'>{label}</p>"
        _show("text/html", f"{above}<div class='table-scroll' tabindex='0'>{body}</div>{foot}")

    def provenance(self, source: Mapping[str, Plain]) -> None:
        """Show, in a fold, what `reader.Atlas.describe` says, parameters, versions, time and memory; end the note."""
        self._source = {key: _plain(value, key) for key, value in source.items()}
        self._write()
        about = {"data": self._source, "parameter": self.parameters, "version": _versions()}
        rows = {
            **{f"{kind}: {key}": value for kind, facts in about.items() for key, value in facts.items()},
            "wall time": f"{time.monotonic() - self.started:.0f} s",
            "peak memory": to_text(peak_bytes()),
            "run at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        }
        _show("text/html", fold(rows))

    def _write(self) -> None:
        found = {name: asdict(one) for name, one in self.findings.items()}
        for one in found.values():
            del one["name"]
        results = {
            "notebook": self.notebook,
            "parameters": self.parameters,
            "source": self._source,
            "findings": found,
            "tables": self.tables,
            "versions": _versions(),
            "seconds": round(time.monotonic() - self.started, 2),
            "peak_bytes": peak_bytes(),
        }
        write_json(self.folder / "results.json", results)


def begin(notebook: str, namespace: MutableMapping[str, Any]) -> Note:
    """Begin the note of a notebook, after checking its parameters as ``musclebook run`` does.

    `namespace` are the notebook's variables (``globals()``) right after the parameters cell: those of plain types are
    the run's parameters, brought to their declared types in place. ``out_dir`` names the folder of result files; empty
    means ``results/NOTEBOOK/KEY`` under the working directory, one folder for each set of parameters.
    """
    declared, given = parameters.from_history(namespace.get("In", ()))
    values = {key: namespace.get(key) for key in given}
    values |= {key: namespace[key] for key in declared if key in namespace}
    namespace.update(parameters.check(declared, values, name=notebook))
    plain = {
        key: value
        for key, value in namespace.items()
        if isinstance(value, str | int | float) and not key.startswith("_") and key != "out_dir"
    }
    key = digest_text(json.dumps(plain, sort_keys=True, default=str))[:8]
    out_dir = namespace.get("out_dir")
    folder = Path(out_dir) if out_dir else Path("results") / notebook / key
    warnings.filterwarnings("ignore", message="IProgress not found")  # a page needs no bar of progress
    # a result file may be published
    return Note(notebook, folder=folder, parameters={name: shown(value) for name, value in plain.items()})


def shown(value: Any) -> Any:
    """Return a value as a page shows it: of a path the last part, not the folders of the machine it was made on."""
    is_path = isinstance(value, str) and Path(value).is_absolute()
    return Path(value).name if is_path else value


def _plain(value: Any, name: str) -> Plain:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        msg = f"finding {name!r} is {value}, which no reader can use. Record None and say what is missing."
        raise FindingError(msg)
    if value is None or isinstance(value, str | int | float):
        return value
    msg = f"finding {name!r} is a {type(value).__name__}; record one number, text or truth value at a time."
    raise FindingError(msg)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _SHOWN_PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def _show(kind: str, content: str, **metadata: Any) -> None:
    """Show a text of one kind below the cell; nowhere outside of a notebook."""
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is not None:
        display({kind: content}, raw=True, metadata=metadata)


def write(value: Plain, spec: str = "") -> str:
    """Return a value as a reader writes it: three significant digits, or as `spec` says; what is none is not available."""
    if value is None:
        return "not available"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if spec:
        return format(value, spec)
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        text = f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
        return f"{float(text):g}" if "e" in text else text
    return f"{value:.2g}"


def escape(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return _MARKUP.sub(r"\\\1", html.escape(text, quote=False).replace("\n", " "))


def in_html(value: Any) -> str:
    """Return a value as text that HTML shows as it is."""
    return html.escape(str(value))


def links(paths: list[Path]) -> str:
    """Return HTML links to files, by their names."""
    # forward slashes: the same link serves in a notebook beside the folder and on the page
    places = [(in_html(path.as_posix()), in_html(path.name)) for path in paths]
    return " · ".join(f"<a href='{place}' download>{name}</a>" for place, name in places)


def fold(rows: Mapping[str, Any], below: str = "") -> str:
    """Return the fold that says how a page was made, as HTML: a row a fact, and what is `below` them."""
    texts = {name: _WORDS.get(repr(value), value) for name, value in rows.items()}
    cells = [f"<th scope='row'>{in_html(name)}</th><td>{in_html(text)}</td>" for name, text in texts.items()]
    body = "".join(f"<tr>{one}</tr>" for one in cells)
    title = "How this page was made"
    box = scrolling(f"<table><tbody>{body}</tbody></table>", title)
    return f"<details class='provenance'><summary>{title}</summary>{box}{below}</details>"


def scrolling(table: str, label: str) -> str:
    """Return a table in a box that scrolls where it is too wide, and that the keyboard can reach."""
    return f"<div class='table-scroll' tabindex='0' role='region' aria-label='{in_html(label)}'>{table}</div>"


def write_p(value: float) -> str:
    """Return a p or q as a reader writes it."""
    text = f"{value:.3f}" if value < 0.0995 else f"{value:.2f}"
    return "< 0.001" if value < 0.001 else text


def write_interval(estimate: float | None, low: float | None, high: float | None) -> str:
    """Return an estimate with its interval, to as many digits as the interval carries."""
    if estimate is None or math.isnan(estimate):
        return "–"
    bounds = [bound for bound in (low, high) if bound is not None and math.isfinite(bound)]
    if len(bounds) < 2:
        return write(estimate)
    width = (bounds[1] - bounds[0]) / 2
    digits = 3 if width == 0 else min(6, -math.floor(math.log10(width / 3))) if width < 1 else int(width < 10)
    return "{:z,.{n}f} ({:z,.{n}f} to {:z,.{n}f})".format(estimate, *bounds, n=digits)


def _cells(frame: pl.DataFrame, column: str | tuple[str, str, str], percent: Sequence[str]) -> list[str]:
    if not isinstance(column, str):
        return [write_interval(*row) for row in frame.select(column).iter_rows()]
    values = frame[column].to_list()
    if column in percent:
        return ["–" if value is None else f"{value:.1%}" for value in values]
    if re.fullmatch(r"(p|q)(_\w+)?", column) and frame.schema[column].is_float():
        return ["–" if value is None or math.isnan(value) else write_p(value) for value in values]
    return [_cell(value) for value in values]


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(_cell(item) for item in value)
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, int | float):
        return write(value)
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
