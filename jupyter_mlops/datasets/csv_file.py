"""CSV files: types inferred from every row, recorded, and used again at every load. A reader.

A column is the first of bool, int64, float64, date, datetime that fits all its values, else string,
on every machine alike. Numbers that begin with zeros, or are too long for int64, are names and stay string.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import BadInput
from .scanned import Scanned, check_not_forked, in_small_pieces
from .types import check_names, declared
from .version import Column, Form

if TYPE_CHECKING:
    import polars as pl

# mark a missing value wherever a column is not text; in text, NA may be Namibia
_MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None", "-nan")
_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
_MOMENTS = ("datetime[us]", "datetime[us, UTC]", "datetime[ns]", "datetime[ns, UTC]")
_INFERRED = ("missing", "bool", "int64", "float64", "date", *_MOMENTS)
_EXACT = 2**53  # a float64 holds whole numbers up to here; one beyond is a name, or it would change
_EXACT_DIGITS = 16
_FRACTIONS = {"ms": 3, "us": 6, "ns": 9}
_NOTHING = "float64"  # a column without any value; pandas calls it so, too
_DIRECT = ("int64", "float64")
_SEPARATORS = (",", ";", "\t", "|")
_TOLD = re.compile(r'"?sep=([!-~\t])"?\r?\n', re.IGNORECASE)
_HEAD = 1_000
_MANY = 500
_HEADER_BYTES = 1 << 24
_WIDE_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_WIDE_MOST = 256 << 20  # is turned into UTF-8 in memory
_NESTED = r"^\s*(\{.*\}|\[.*\])\s*$"


Check = Callable[["pl.Expr", str], "pl.Expr"]


class CSVFile(Scanned):
    """Reads ``.csv`` and ``.tsv``: a header line, separated by comma, semicolon, tab or bar.

    UTF-8, with a byte-order mark or without; UTF-16 with one. A line such as ``sep=;`` before the header,
    by which spreadsheets are told the separator, is obeyed.
    """

    suffixes = (".csv", ".tsv")

    def names(self, path: Path) -> list[str]:
        """Return the names of the columns, from the header line."""
        return _header(path, _encoding(path)).names

    @in_small_pieces()
    def form(self, file: Path | BinaryIO, schema: Any) -> Form:
        """Return columns, types and separator, from all rows of the file."""
        path = Path(str(file))
        encoding = _encoding(path)
        header = _header(path, encoding)
        names = header.names
        check_names(names)
        given = declared(schema, names)
        options: dict[str, Any] = {"separator": header.separator}
        if header.skipped:
            options["skipped"] = header.skipped
        if encoding != "utf-8":
            options["encoding"] = encoding
        try:
            text = _text(path, options, len(names))
            head = text.head(_HEAD).collect()
            types, padded, rows, gaps = _types(text, head, names, given)
        except _polars_errors() as error:
            raise _unreadable(path, error, options) from error
        columns = tuple(Column(name, word) for name, word in zip(names, types, strict=True))
        options["padded"] = padded
        notes = _notes(head, columns, given)
        if gaps:
            if (row := _uneven(path, options)) is not None:
                notes.append(
                    f"{row.where} has {row.found} of {row.wanted} fields: the others count as missing"
                )
            if len(names) > 1 and (empty := _empty_rows(text)):
                notes.append(f"{empty:,} rows are empty: every field of theirs counts as missing")
        return Form(columns, rows, options, tuple(notes))

    def scan(self, path: Path, form: Form) -> pl.LazyFrame:
        """Return the file as a query with the recorded types."""
        import polars as pl

        text = _text(path, form.options, len(form.columns))
        padded = form.options.get("padded", range(len(form.columns)))
        return text.select(
            [
                (
                    _parsed(pl.col(str(at)), column.type, strict=True)
                    if at in padded or column.type not in _DIRECT
                    else _direct(pl.col(str(at)), column.type)
                ).alias(column.name)
                for at, column in enumerate(form.columns)
            ]
        )


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        mark = file.read(2)
    encoding = _WIDE_MARKS.get(mark, "utf-8")
    if encoding != "utf-8" and (size := path.stat().st_size) > _WIDE_MOST:
        raise BadInput(
            f"{path} is UTF-16 text of {size >> 20} MiB",
            f"convert it first: iconv -f UTF-16 -t UTF-8 {path.name} > utf8.csv",
        )
    return encoding


@dataclass(frozen=True, slots=True)
class _Header:
    """The names in the header line, what separates them, and how many lines stand before it."""

    names: list[str]
    separator: str
    skipped: int = 0


def _header(path: Path, encoding: str) -> _Header:
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES if encoding == "utf-8" else _WIDE_MOST + 2)
    text = start.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace")
    told = _TOLD.match(text)
    if told:
        text = text[told.end() :]
    text = text.lstrip("\r\n")
    if not text.strip():
        raise _empty(path)
    if told:
        separator = told.group(1)
    else:
        line = text.partition("\n")[0]
        outside = "".join(line.split('"')[::2])
        separator = "\t" if path.suffix.lower() == ".tsv" else max(_SEPARATORS, key=outside.count)
    limit = csv.field_size_limit(_HEADER_BYTES)
    try:
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise BadInput(f"{path} cannot be read as CSV: {error}", "mend its first line") from error
    finally:
        csv.field_size_limit(limit)
    if encoding == "utf-8" and any("\ufffd" in name for name in names):
        raise _not_utf8(path)
    return _Header(names, separator, 1 if told else 0)


def _text(path: Path, options: Any, width: int) -> pl.LazyFrame:
    """Return the file as a query of texts; its columns are called by their positions, ``"0"`` first."""
    import polars as pl

    check_not_forked()
    source: Path | bytes = path
    if (encoding := options.get("encoding", "utf-8")) != "utf-8":
        try:
            source = path.read_bytes().decode(encoding).encode()
        except UnicodeDecodeError as error:
            raise BadInput(
                f"{path} is no sound {encoding.upper()} text: {error.reason}", "export it again"
            ) from error
    return pl.scan_csv(
        source,
        infer_schema=False,
        separator=options["separator"],
        new_columns=[str(place) for place in range(width)],
        skip_lines=options.get("skipped", 0),
        glob=False,
    )


def _types(
    text: pl.LazyFrame, head: pl.DataFrame, names: Sequence[str], given: dict[str, str]
) -> tuple[list[str], list[int], int, bool]:
    """Return the type of each column, the columns of numbers that hold more than plain ones, the number of
    rows, and whether the last column has gaps.

    The first rows rule most types out; what is left is tried on all rows, one type a column and pass.
    """
    left = {at: list(_INFERRED) for at, name in enumerate(names) if name not in given}
    trying = list(left)
    while trying := [at for at in trying if left[at]]:
        unfit, *_ = _failing(_unfit, head.lazy(), [(at, left[at][0]) for at in trying])
        trying = [at for at, _ in unfit]
        for at in trying:
            del left[at][0]
    left |= {at: [given[name]] for at, name in enumerate(names) if name in given}
    trying = list(left)
    padded: set[int] = set()
    rows, gaps, width = 0, False, len(names)
    while width or trying:
        tried = [(at, left[at][0]) for at in trying if left[at]]
        doubtful, counted, open_end = _failing(_doubtful, text, tried, width)
        if width:
            rows, gaps, width = counted, open_end, 0
        numbers = [(at, word) for at, word in doubtful if word in _DIRECT]
        padded |= {at for at, _ in numbers}
        unfit = [each for each in doubtful if each not in numbers]
        if numbers:
            unfit += _failing(_unfit, text, numbers)[0]
        for at, word in unfit:
            if names[at] in given:
                raise _misdeclared(text, at, names[at], word)
            left[at].remove(word)
            padded.discard(at)
        trying = [at for at, _ in unfit if left[at]]
    types = [(left[at] or ["string"])[0] for at in range(len(names))]
    return [_NOTHING if word == "missing" else word for word in types], sorted(padded), rows, gaps


def _misdeclared(text: pl.LazyFrame, at: int, name: str, word: str) -> BadInput:
    import polars as pl

    bad = text.filter(_unfit(pl.col(str(at)), word)).select(pl.col(str(at))).head(1).collect().item()
    return BadInput(f"column {name!r} holds {bad!r}, which is no {word}", "change schema= or the file")


def _failing(
    check: Check, text: pl.LazyFrame, tried: Sequence[tuple[int, str]], width: int = 0
) -> tuple[list[tuple[int, str]], int, bool]:
    """Return which of the types tried on columns fail the check for some value, the number of rows, and
    whether the last of ``width`` columns has gaps."""
    import polars as pl

    if len(tried) > _MANY:
        return _failing_of_many(check, text, tried, width)
    checks = [
        check(pl.col(str(at)), word).any().alias(str(number)) for number, (at, word) in enumerate(tried)
    ]
    last = pl.col(str(width - 1)).is_null().any() if width else pl.lit(False)
    asked = text.select(pl.len().alias("rows"), last.alias("gaps"), *checks)
    rows, gaps, *wrong = asked.collect(engine="streaming").row(0)
    return [each for each, is_wrong in zip(tried, wrong, strict=True) if is_wrong], int(rows), bool(gaps)


def _failing_of_many(
    check: Check, text: pl.LazyFrame, tried: Sequence[tuple[int, str]], width: int
) -> tuple[list[tuple[int, str]], int, bool]:
    """Do the same with the values of all columns below each other: planning each column takes too long."""
    import polars as pl

    columns: dict[str, list[str]] = {}
    for at, word in tried:
        columns.setdefault(word, []).append(str(at))
    failing: set[tuple[int, str]] = set()
    rows, gaps = 0, False
    for frame in text.collect_batches(engine="streaming"):
        rows += frame.height
        gaps = gaps or (width > 0 and frame.get_column(str(width - 1)).null_count() > 0)
        for word, names in columns.items():
            values = frame.select(names).unpivot()
            wrong = values.filter(check(pl.col("value"), word)).get_column("variable").unique()
            failing.update((int(name), word) for name in wrong)
    return [each for each in tried if each in failing], rows, gaps


def _doubtful(column: pl.Expr, word: str) -> pl.Expr:
    """Return whether a value needs a closer look: a quick test of numbers, the whole one of other types."""
    if word not in _DIRECT:
        return _unfit(column, word)
    doubt = column.cast(_number(word), strict=False).is_null() & column.is_not_null()
    long = column.str.len_bytes()
    for zero in ("0", "-0", "+0"):
        doubt |= column.str.starts_with(zero) & ~column.str.starts_with(f"{zero}.") & (long > len(zero))
    if word == "float64":
        doubt |= (long >= _EXACT_DIGITS) & ~column.str.contains(".", literal=True)
    return doubt


def _unfit(column: pl.Expr, word: str) -> pl.Expr:
    """Return whether a value of a column of texts is there and is no ``word``."""
    import polars as pl

    if word in ("string", "category"):
        return pl.lit(False)
    value = _value(column)
    if word == "missing":
        return value.is_not_null()
    unfit = value.is_not_null() & _parsed(column, word, strict=False).is_null()
    if word in ("int64", "float64"):
        unfit |= value.str.contains(r"^[+-]?0[0-9]")
    if word == "float64":
        long = pl.when(value.str.len_bytes() >= _EXACT_DIGITS).then(value)  # cheaper than the pattern alone
        whole = long.cast(pl.Int64, strict=False)
        unfit |= long.str.contains(r"^[+-]?[0-9]+$") & ~whole.is_between(-_EXACT, _EXACT).fill_null(False)
    return unfit


def _direct(column: pl.Expr, word: str) -> pl.Expr:
    """Return a column whose texts are numbers without blanks, or say that a value is missing."""
    number = column.cast(_number(word), strict=False)
    return number.fill_nan(None) if word.startswith("float") else number


def _value(column: pl.Expr) -> pl.Expr:
    """Return the trimmed texts of a column that is not text, null where they say so."""
    import polars as pl

    value = column.str.strip_chars()
    return pl.when(value.is_in(_MISSING)).then(None).otherwise(value)


def _parsed(column: pl.Expr, word: str, *, strict: bool) -> pl.Expr:
    """Return a column of texts as what ``word`` says."""
    import polars as pl

    if word == "string":
        return column
    if word == "category":
        return column.cast(pl.Categorical)
    value = _value(column)
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
    # no leap seconds, which would become the second after, and no digits that the unit would drop
    clock = rf"[0-9]{{2}}:[0-9]{{2}}:[0-5][0-9](\.[0-9]{{1,{_FRACTIONS[unit]}}})?"
    shape = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{clock}{ending}"
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


@dataclass(frozen=True, slots=True)
class _Row:
    where: str
    found: int
    wanted: int


def _uneven(path: Path, options: Any) -> _Row | None:
    """Return the first row that has another number of fields than the header, if there is one."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    met: list[_Row] = []
    header = _header(path, options.get("encoding", "utf-8"))
    names = header.names

    def meet(row: Any) -> str:
        met.append(
            _Row(
                f"row {row.number} (the header is row {1 + header.skipped})" if row.number else "a row",
                row.actual_columns,
                row.expected_columns,
            )
        )
        return "error" if met else "skip"

    first = f"{len(names)} 0"
    try:
        with arrow_csv.open_csv(
            path,
            arrow_csv.ReadOptions(
                use_threads=False,
                column_names=[first, *map(str, range(1, len(names)))],
                skip_rows=header.skipped,
            ),
            arrow_csv.ParseOptions(
                delimiter=header.separator, newlines_in_values=True, invalid_row_handler=meet
            ),
            arrow_csv.ConvertOptions(
                include_columns=[first], column_types={first: pa.binary()}, check_utf8=False
            ),
        ) as reader:
            for _ in reader:
                pass
    except (pa.ArrowException, OSError):
        pass
    return met[0] if met else None


def _empty_rows(text: pl.LazyFrame) -> int:
    import polars as pl

    empty = pl.all_horizontal(pl.all().is_null()).sum()
    return int(text.select(empty).collect(engine="streaming").item())


def _notes(head: pl.DataFrame, columns: Sequence[Column], given: dict[str, str]) -> list[str]:
    """Return what of these columns CSV cannot carry, in sentences."""
    nested = []
    for at, column in enumerate(columns):
        if column.type == "string" and column.name not in given:
            values = head.to_series(at).drop_nulls()
            if len(values) and values.str.contains(_NESTED).all():
                nested.append(column.name)
    zoned = [
        column.name
        for column in columns
        if column.type in ("datetime[us, UTC]", "datetime[ns, UTC]") and column.name not in given
    ]
    notes = []
    if nested:
        notes.append(
            f"CSV carries no nesting: {_listed(nested)} stays text; JSON lines and Parquet would keep it"
        )
    if zoned:
        notes.append(f"CSV carries no time zones: {_listed(zoned)} is read as UTC")
    return notes


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _empty(path: Path) -> BadInput:
    return BadInput(f"{path} holds no lines", "commit a file with a header line")


def _not_utf8(path: Path) -> BadInput:
    """Return the error that says where a file stops being UTF-8, and how to make it so."""
    where = ""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                where = f": line {number} holds the byte 0x{line[error.start]:02x}"
                break
    return BadInput(
        f"{path} is not UTF-8 text{where}",
        f"if it is Latin-1 (Windows): iconv -f WINDOWS-1252 -t UTF-8 {path.name} > utf8.csv; "
        "or load it yourself and commit the table",
    )


def _unreadable(path: Path, error: Exception, options: Any) -> BadInput:
    import polars as pl

    if isinstance(error, pl.exceptions.NoDataError):
        return _empty(path)
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "utf-8" in text.lower() or "utf8" in text.lower():
        return _not_utf8(path)
    if "more fields" in text:
        row = _uneven(path, options)
        where = f"{row.where} has" if row else "a line has"
        text = f"{where} more fields than the header" + (
            f": {row.found} instead of {row.wanted}" if row else ""
        )
    elif "not properly escaped" in str(error):
        text = "a quote is not closed or not doubled"
    return BadInput(
        f"{path} cannot be read as CSV: {text}", "mend the file, or load it yourself and commit the table"
    )
