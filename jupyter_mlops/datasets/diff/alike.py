"""Alike: columns whose types differ between two versions, brought to one type without making values equal.

The rule follows from the two types alone, so that a table that is compared in parts gets one answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    Both = tuple[pl.Series, pl.Series]

_EXACT = 2**53
_ZEROS_FIRST = r"^[+-]?0[0-9]"


def alike(before: pl.Series, after: pl.Series) -> Both:
    """Return both columns in one type, in which values are equal only if they were."""
    import polars as pl

    one, other = before.dtype, after.dtype
    if one == other:
        return (before.to_physical(), after.to_physical()) if one == pl.Categorical else (before, after)
    texts = (pl.String, pl.Categorical, pl.Enum)
    if one in texts or other in texts:
        return _text(before, one in texts), _text(after, other in texts)
    if one == pl.Boolean or other == pl.Boolean:
        return alike(*(side.cast(pl.Int8) if side.dtype == pl.Boolean else side for side in (before, after)))
    if one == pl.Null or other == pl.Null:
        return (before.cast(other), after) if one == pl.Null else (before, after.cast(one))
    if one.is_numeric() and other.is_numeric():
        return _numbers(before, after)
    kinds = {one.base_type(), other.base_type()}
    if kinds <= {pl.Date, pl.Datetime}:
        return _moment(before), _moment(after)
    if kinds == {pl.Duration}:
        return before.cast(pl.Duration("ns")), after.cast(pl.Duration("ns"))
    return _written(before), _written(after)


def _numbers(before: pl.Series, after: pl.Series) -> Both:
    import polars as pl

    one, other = before.dtype, after.dtype
    if one.is_integer() and other.is_integer():
        # the only integers that hold both int64 and uint64
        kind = pl.Int128 if pl.UInt64 in (one, other) else pl.Int64
        return before.cast(kind), after.cast(kind)
    if one.is_decimal() and other.is_decimal():
        return _whole_text(before), _whole_text(after)
    small = (pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32, pl.Float32, pl.Float64)
    if one in small and other in small:
        return before.cast(pl.Float64), after.cast(pl.Float64)
    # a float does not hold every long integer: 2**53 + 1 would become 2**53
    return _whole_text(before), _whole_text(after)


def _whole_text(numbers: pl.Series) -> pl.Series:
    """Return numbers as texts, the same for 1, 1.0 and 1.00."""
    import polars as pl

    kind = numbers.dtype
    if kind.is_integer():
        return numbers.cast(pl.String)
    if kind.is_decimal():
        text = numbers.cast(pl.String)
        fraction = text.str.contains(".", literal=True)
        return text.zip_with(~fraction, text.str.strip_chars_end("0").str.strip_chars_end("."))
    whole = numbers.cast(pl.Int64, strict=False)
    is_whole = (whole.cast(pl.Float64) == numbers.cast(pl.Float64)).fill_null(False) & (
        numbers.abs() < 2.0**63
    )
    return whole.cast(pl.String).zip_with(is_whole, numbers.cast(pl.String))


def _moment(moments: pl.Series) -> pl.Series:
    """Return dates and times as instants; without a zone they count as UTC."""
    import polars as pl

    if moments.dtype == pl.Date:
        moments = moments.cast(pl.Datetime("us"))
    elif getattr(moments.dtype, "time_zone", None):
        moments = moments.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    # nanoseconds would not hold the year 1600, microseconds not the last three digits
    return moments.dt.strftime("%Y-%m-%dT%H:%M:%S%.9f")


def _text(values: pl.Series, is_text: bool) -> pl.Series:
    """Return values as the text in which a CSV file would hold them."""
    import polars as pl

    kind = values.dtype
    if not is_text:
        return _whole_text(values) if kind.is_numeric() else _written(values)
    text = values.cast(pl.String)
    plain = text.str.contains(r"^[+-]?[0-9]*\.[0-9]+$") & ~text.str.contains(_ZEROS_FIRST)
    number = text.zip_with(plain, pl.Series([None], dtype=pl.String)).cast(pl.Float64, strict=False)
    return _whole_text(number).zip_with(number.is_not_null(), text)


def _written(values: pl.Series) -> pl.Series:
    import polars as pl

    kind = values.dtype
    if kind == pl.Boolean:
        return values.cast(pl.String)
    if kind.is_temporal() and kind != pl.Duration:
        return values.dt.to_string("iso")
    if kind == pl.Binary or kind.is_nested():
        texts = [None if one is None else repr(_whole(one)) for one in values.to_list()]
        return pl.Series(texts, dtype=pl.String)
    return values.cast(pl.String, strict=False)


def _whole(value: Any) -> Any:
    """Return a value of lists and structs with 1.0 as 1, wherever it is in it."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, dict):
        return {name: _whole(one) for name, one in value.items()}
    return value
