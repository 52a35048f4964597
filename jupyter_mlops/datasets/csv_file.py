"""CSV files: types inferred from every row, recorded, and used again at every load. A reader.

A column is the first of bool, int64, float64, date, datetime that fits all its values, else string,
on every machine alike. Numbers that begin with zeros, or are too long for int64, are names and stay string.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from .readers import Form
from .types import check_names, declared
from .version import Column

if TYPE_CHECKING:
    import polars as pl

# mark a missing value wherever a column is not text; in text, NA may be Namibia
_MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None", "-nan")
_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
_INFERRED = ("bool", "int64", "float64", "date", "datetime[us]", "datetime[us, UTC]")
_SEPARATORS = (",", ";", "\t", "|")
_HEAD = 1_000


class CSVFile:
    """Reads ``.csv`` and ``.tsv``: UTF-8, a header line, separated by comma, semicolon, tab or bar."""

    suffixes = (".csv", ".tsv")
    dates_as_objects = False

    def form(self, path: Path, schema: Any) -> Form:
        """Return columns, types and separator, from all rows of the file."""
        separator = _separator(path)
        names = self._header(path, separator)
        text = _text(path, separator)
        given = declared(schema, names)
        try:
            types, rows = _types(text, names, given)
        except _polars_errors() as error:
            raise _unreadable(path, error) from error
        columns = tuple(Column(name, types[name]) for name in names)
        return Form(columns, rows, {"separator": separator})

    def scan(self, path: Path, form: Form) -> pl.LazyFrame:
        """Return the file as a query with the recorded types."""
        text = _text(path, form.options["separator"])
        return text.select([_parsed(column.name, column.type, strict=True) for column in form.columns])

    def polars(self, path: Path, form: Form) -> pl.DataFrame:
        """Return the file as a polars DataFrame."""
        return self.scan(path, form).collect(engine="streaming")

    def arrow(self, path: Path, form: Form) -> Any:
        """Return the file as an Arrow table."""
        import polars as pl

        return self.polars(path, form).to_arrow(compat_level=pl.CompatLevel.oldest())

    def _header(self, path: Path, separator: str) -> list[str]:
        import polars as pl

        try:
            # read as data, because as a header polars would rename the second of two equal names
            first = pl.read_csv(
                path, has_header=False, n_rows=1, infer_schema=False, separator=separator, glob=False
            )
        except pl.exceptions.NoDataError:
            raise BadInput(f"{path} holds no lines", "commit a file with a header line") from None
        except _polars_errors() as error:
            raise _unreadable(path, error) from error
        names = ["" if name is None else str(name) for name in first.row(0)]
        check_names(names)
        return names


def _separator(path: Path) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    with path.open("rb") as file:
        line = file.readline(1 << 16).decode("utf-8", "replace")
    outside = "".join(line.split('"')[::2])
    return max(_SEPARATORS, key=outside.count)


def _text(path: Path, separator: str) -> pl.LazyFrame:
    import polars as pl

    return pl.scan_csv(path, infer_schema=False, separator=separator, glob=False)


def _types(text: pl.LazyFrame, names: Sequence[str], given: dict[str, str]) -> tuple[dict[str, str], int]:
    """Return the type of each column and the number of rows; the first rows rule most types out."""
    import polars as pl

    head = text.head(_HEAD).collect().lazy()
    open_ = [(name, word) for name in names if name not in given for word in _INFERRED]
    candidates = _fitting(head, open_) | {name: [word] for name, word in given.items()}
    tried = [(name, word) for name in names for word in candidates[name]]
    fitting = _fitting(text, tried)
    for name, word in given.items():
        if word not in fitting[name]:
            bad = text.filter(_unfit(name, word)).select(name).head(1).collect().item()
            raise BadInput(f"column {name!r} holds {bad!r}, which is no {word}", "change schema= or the file")
    rows = int(text.select(pl.len()).collect(engine="streaming").item())
    return {name: _first(fitting.get(name, [])) for name in names}, rows


def _first(words: Sequence[str]) -> str:
    if "bool" in words and "int64" in words:
        return "float64"  # nothing is both: all values are missing, which pandas calls float, too
    return words[0] if words else "string"


def _fitting(text: pl.LazyFrame, tried: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Return, of the types tried on each column, those that fit all of its values, in the same order."""
    checks = [_unfit(name, word).any().alias(str(position)) for position, (name, word) in enumerate(tried)]
    found: dict[str, list[str]] = {name: [] for name, _ in tried}
    if checks:
        unfit = text.select(checks).collect(engine="streaming").row(0)
        for (name, word), wrong in zip(tried, unfit, strict=True):
            if not wrong:
                found[name].append(word)
    return found


def _unfit(name: str, word: str) -> pl.Expr:
    """Return whether a value is there and is no ``word``."""
    import polars as pl

    if word in ("string", "category"):
        return pl.lit(False)
    value = _value(name)
    unfit = value.is_not_null() & _parsed(name, word, strict=False).is_null()
    if word in ("int64", "float64"):
        unfit |= value.str.contains(r"^[+-]?0[0-9]")
    if word == "float64":
        unfit |= value.str.contains(r"^[+-]?[0-9]{19,}$") & value.cast(pl.Int64, strict=False).is_null()
    return unfit


def _value(name: str) -> pl.Expr:
    """Return the trimmed text of a column that is not text, null where it says so."""
    import polars as pl

    value = pl.col(name).str.strip_chars()
    return pl.when(value.is_in(_MISSING)).then(None).otherwise(value)


def _parsed(name: str, word: str, *, strict: bool) -> pl.Expr:
    """Return a column of texts as what ``word`` says."""
    import polars as pl

    if word == "string":
        return pl.col(name)
    if word == "category":
        return pl.col(name).cast(pl.Categorical)
    value = _value(name)
    if word == "bool":
        parsed = pl.when(value.is_in(_TRUE)).then(True).when(value.is_in(_FALSE)).then(False)
        return parsed.otherwise(None).alias(name)
    if word == "date":
        # polars would also read 2024-1-1, and leave the rest of a date with time unread
        shaped = pl.when(value.str.contains(r"^\d{4}-\d{2}-\d{2}$")).then(value)
        return shaped.str.to_date("%Y-%m-%d", strict=strict).alias(name)
    if word.startswith("datetime"):
        return _moment(value, word, strict).alias(name)
    return value.cast(_number(word), strict=strict).alias(name)


def _moment(value: pl.Expr, word: str, strict: bool) -> pl.Expr:
    import polars as pl

    unit, _, zone = word[len("datetime[") : -1].partition(", ")
    ending = r"(Z|[+-]\d{2}:?\d{2})$" if zone else "$"
    shape = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?" + ending
    shaped = pl.when(value.str.contains(shape)).then(value.str.replace(" ", "T", literal=True))
    pattern = "%Y-%m-%dT%H:%M:%S%.f" + ("%#z" if zone else "")
    parsed = shaped.str.to_datetime(
        pattern,
        time_unit=unit,  # type: ignore[arg-type]  # a word of ours
        time_zone="UTC" if zone else None,
        strict=strict,
    )
    return parsed.dt.convert_time_zone(zone) if zone else parsed


def _number(word: str) -> Any:
    import polars as pl

    return {
        "int8": pl.Int8,
        "int16": pl.Int16,
        "int32": pl.Int32,
        "int64": pl.Int64,
        "uint8": pl.UInt8,
        "uint16": pl.UInt16,
        "uint32": pl.UInt32,
        "uint64": pl.UInt64,
        "float32": pl.Float32,
        "float64": pl.Float64,
    }[word]


def _polars_errors() -> tuple[type[Exception], ...]:
    import polars as pl

    return (pl.exceptions.PolarsError,)


def _unreadable(path: Path, error: Exception) -> BadInput:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "utf-8" in text.lower() or "utf8" in text.lower():
        return BadInput(
            f"{path} is not UTF-8 text", "save it as UTF-8, or load it yourself and commit the table"
        )
    if "more fields" in text:
        text = "a line has more fields than the header"
    return BadInput(
        f"{path} cannot be read as CSV: {text}", "mend the file, or load it yourself and commit the table"
    )
