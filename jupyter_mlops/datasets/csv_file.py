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
_INFERRED = ("missing", "bool", "int64", "float64", "date", "datetime[us]", "datetime[us, UTC]")
_NOTHING = "float64"  # a column without any value; pandas calls it so, too
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
        columns = tuple(Column(name, word) for name, word in zip(names, types, strict=True))
        return Form(columns, rows, {"separator": separator})

    def scan(self, path: Path, form: Form) -> pl.LazyFrame:
        """Return the file as a query with the recorded types."""
        text = _text(path, form.options["separator"])
        return text.select(
            [
                _parsed(at, column.type, strict=True).alias(column.name)
                for at, column in enumerate(form.columns)
            ]
        )

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


def _types(text: pl.LazyFrame, names: Sequence[str], given: dict[str, str]) -> tuple[list[str], int]:
    """Return the type of each column and the number of rows.

    The first rows rule most types out; what is left is tried on all rows, one type a column and pass.
    """
    import polars as pl

    head = text.head(_HEAD).collect().lazy()
    tried = [(at, word) for at, name in enumerate(names) if name not in given for word in _INFERRED]
    unfit, _ = _unfitting(head, tried)
    left = {at: [given[name]] if name in given else [] for at, name in enumerate(names)}
    for at, word in tried:
        if (at, word) not in unfit:
            left[at].append(word)
    unfit, rows = _unfitting(text, [(at, words[0]) for at, words in left.items() if words])
    while unfit:
        for at, word in unfit:
            if names[at] in given:
                bad = text.filter(_unfit(at, word)).select(pl.nth(at)).head(1).collect().item()
                raise BadInput(
                    f"column {names[at]!r} holds {bad!r}, which is no {word}", "change schema= or the file"
                )
            left[at].remove(word)
        unfit, _ = _unfitting(text, [(at, left[at][0]) for at, _ in unfit if left[at]])
    types = [(words or ["string"])[0] for words in left.values()]
    return [_NOTHING if word == "missing" else word for word in types], rows


def _unfitting(text: pl.LazyFrame, tried: Sequence[tuple[int, str]]) -> tuple[list[tuple[int, str]], int]:
    """Return which of the types tried on columns do not fit all values, and the number of rows."""
    import polars as pl

    checks = [_unfit(at, word).any().alias(str(number)) for number, (at, word) in enumerate(tried)]
    rows, *wrong = text.select(pl.len().alias("rows"), *checks).collect(engine="streaming").row(0)
    return [each for each, is_wrong in zip(tried, wrong, strict=True) if is_wrong], int(rows)


def _unfit(at: int, word: str) -> pl.Expr:
    """Return whether a value of the column at a position is there and is no ``word``."""
    import polars as pl

    if word in ("string", "category"):
        return pl.lit(False)
    value = _value(at)
    if word == "missing":
        return value.is_not_null()
    unfit = value.is_not_null() & _parsed(at, word, strict=False).is_null()
    if word in ("int64", "float64"):
        unfit |= value.str.contains(r"^[+-]?0[0-9]")
    if word == "float64":
        long = pl.when(value.str.len_bytes() >= 19).then(value)  # cheaper than the pattern alone
        unfit |= long.str.contains(r"^[+-]?[0-9]{19,}$") & long.cast(pl.Int64, strict=False).is_null()
    return unfit


def _value(at: int) -> pl.Expr:
    """Return the trimmed texts of a column that is not text, null where they say so."""
    import polars as pl

    value = pl.nth(at).str.strip_chars()  # by name, a column called * would be all of them
    return pl.when(value.is_in(_MISSING)).then(None).otherwise(value)


def _parsed(at: int, word: str, *, strict: bool) -> pl.Expr:
    """Return a column of texts as what ``word`` says."""
    import polars as pl

    if word == "string":
        return pl.nth(at)
    if word == "category":
        return pl.nth(at).cast(pl.Categorical)
    value = _value(at)
    if word == "bool":
        parsed = pl.when(value.is_in(_TRUE)).then(True).when(value.is_in(_FALSE)).then(False)
        return parsed.otherwise(None)
    if word == "date":
        # polars would also read 2024-1-1, and leave the rest of a date with time unread
        shaped = pl.when(value.str.contains(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")).then(value)
        return shaped.str.to_date("%Y-%m-%d", strict=strict)
    if word.startswith("datetime"):
        return _moment(value, word, strict)
    return value.cast(_number(word), strict=strict)


def _moment(value: pl.Expr, word: str, strict: bool) -> pl.Expr:
    import polars as pl

    unit, _, zone = word[len("datetime[") : -1].partition(", ")
    ending = r"(Z|[+-][0-9]{2}:?[0-9]{2})$" if zone else "$"
    shape = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?" + ending
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
    import polars as pl

    if isinstance(error, pl.exceptions.NoDataError):
        return BadInput(f"{path} holds no lines", "commit a file with a header line")
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
