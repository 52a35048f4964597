"""Formats: numbers, times, sizes and outside texts as people read them. Used by every view and face."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

NOTHING = "–"
_JOINERS = "\u200c\u200d"  # emoji and Persian need them; every other invisible sign is shown as its number
_BLOCKS = "▁▂▃▄▅▆▇█"
_SIZES = ("bytes", "kB", "MB", "GB", "TB", "PB")
_PERIODS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))
_AGES = ((31_557_600, "year"), (2_629_800, "month"), (86_400, "day"), (3_600, "hour"), (60, "minute"))


def clean(text: Any, lines: bool = False) -> str:
    """Return outside ``text`` with nothing left that a terminal obeys or that reorders what is around it.

    Control characters become their pictures (␛), invisible and bidirectional ones their numbers, half
    surrogates the replacement sign. Line breaks become spaces unless ``lines``.
    """
    whole = str(text)
    if whole.isprintable():
        return whole
    return "".join(
        sign if sign.isprintable() else _harmless(sign, lines) for sign in whole.replace("\r\n", "\n")
    )


def _harmless(sign: str, lines: bool) -> str:
    if sign in "\n\t\u2028\u2029\x85":
        return " " if not lines else "    " if sign == "\t" else "\n"
    if sign in _JOINERS:
        return sign
    category, code = unicodedata.category(sign), ord(sign)
    if category == "Zs":
        return " "
    if category == "Cc":
        return chr(0x2400 + code) if code < 32 else "␡" if code == 127 else f"\\x{code:02x}"
    if category == "Co":
        return sign
    return f"\\u{code:04x}" if category == "Cf" else "\ufffd"


def shortened(text: str, most: int) -> str:
    """Return ``text`` cut to ``most`` letters, the last of them an ellipsis where something is missing."""
    return text if len(text) <= most else text[: max(most - 1, 0)].rstrip() + "…"


def number(value: float | None) -> str:
    """Return a whole number with separators: 7,043."""
    return NOTHING if value is None else f"{value:,.0f}"


def count(value: int | None, noun: str, plural: str = "") -> str:
    """Return how many of what: 1 row, 7,043 rows."""
    return f"{number(value)} {noun if value == 1 else plural or noun + 's'}"


def size(count_of_bytes: int | None) -> str:
    """Return a size in decimal units, with one decimal below a hundred: 12.3 kB, 0.9 MB."""
    if count_of_bytes is None:
        return NOTHING
    left = float(count_of_bytes)
    for unit in _SIZES:
        # 0.9 MB is read faster than 900 kB
        if left < 899.5 or unit == _SIZES[-1]:
            break
        left /= 1000
    if unit == "bytes":
        return count(int(left), "byte")
    return f"{left:,.1f} {unit}" if left < 99.95 else f"{left:,.0f} {unit}"


def metric(value: Any, digits: int = 3) -> str:
    """Return a measured number with ``digits`` significant digits; more where they would round it to 1."""
    if value is None or isinstance(value, bool | str):
        return plain(value)
    if isinstance(value, int):
        return number(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    while abs(float(text := f"{value:.{digits}g}")) == 1 and abs(value) != 1 and digits < 7:
        digits += 1
    if 1000 <= abs(float(text)) < 1e12:
        return f"{value:,.{max(digits - len(str(int(abs(value)))), 0)}f}"
    return text


def apart(one: Any, other: Any) -> tuple[str, str]:
    """Return two measured numbers with as many digits as tell them apart: 0.7996 and 0.8."""
    numbers = isinstance(one, int | float) and isinstance(other, int | float)
    for digits in range(3, 17 if numbers and one != other else 4):
        texts = metric(one, digits), metric(other, digits)
        if texts[0] != texts[1]:
            break
    return texts


def signed(value: float | None, digits: int = 3) -> str:
    """Return a difference with its sign: +0.031."""
    if value is None or math.isnan(value):
        return NOTHING
    return f"{'−' if value < 0 else '+' if value > 0 else '±'}{metric(abs(value), digits)}"


def share(value: float | None) -> str:
    """Return a part of one as a percentage; only none is 0 % and only all is 100 %."""
    if value is None or math.isnan(value):
        return NOTHING
    percent = value * 100
    if 0 < percent < 0.1:
        return "<0.1 %"
    if 99.9 < percent < 100:
        return ">99.9 %"
    return f"{percent:.1f}".removesuffix(".0") + " %"


def probability(value: float | None) -> str:
    """Return a p-value: two digits, and no more zeros than can be read."""
    if value is None or math.isnan(value):
        return ""
    return "<1e-12" if value < 1e-12 else f"{value:.2g}"


def plain(value: Any) -> str:
    """Return any value as one line: true, 0.01, l1, [1, 2]."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else metric(value)
    if isinstance(value, Mapping | list | tuple):
        return clean(json.dumps(value, ensure_ascii=False, default=str))
    return clean(value)


def parameter(value: Any) -> str:
    """Return what a parameter was set to: what looks like nothing is written out, for it was set."""
    if value is None:
        return "none"
    return f'"{clean(value)}"' if isinstance(value, str) and not value.strip() else plain(value)


def moment(at: str | None) -> str:
    """Return a stored time to the minute: 2026-11-03 14:05 UTC."""
    then = parsed(at)
    if then is None:
        return clean(at) if at else NOTHING
    return then.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def ago(at: str | None, now: datetime | None = None) -> str:
    """Return a stored time as seen from ``now``: 3 minutes ago, in 6 days. For faces read at once."""
    then = parsed(at)
    if then is None:
        return moment(at)
    seconds = ((now or datetime.now(UTC)) - then).total_seconds()
    for length, unit in _AGES:
        if abs(seconds) >= length:
            span = count(int(abs(seconds) // length), unit)
            return f"{span} ago" if seconds > 0 else f"in {span}"
    return "just now" if seconds > 0 else "in a moment"


def duration(seconds: float | None) -> str:
    """Return a length of time in its two largest units: 3 min 20 s."""
    if seconds is None:
        return NOTHING
    seconds = max(seconds, 0.0)
    if seconds < 0.095:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    whole = round(seconds)
    for length, unit, part, smaller in _PERIODS:
        if whole >= length:
            rest = whole % length // part
            return f"{whole // length} {unit}" + (f" {rest} {smaller}" if rest else "")
    return NOTHING


def lasted(start: str | None, end: str | None) -> str:
    """Return how long it took from ``start`` to ``end``, both stored times."""
    first, last = parsed(start), parsed(end)
    return duration((last - first).total_seconds() if first and last else None)


def parsed(at: str | None) -> datetime | None:
    """Return the aware time that stored text means, or None."""
    try:
        then = datetime.fromisoformat(at or "")
    except ValueError:
        return None
    return then if then.tzinfo else then.replace(tzinfo=UTC)


def digest(text: str | None) -> str:
    """Return the first twelve digits of a digest with the name of its function: b3:4f6c2a9d10ef."""
    if not text:
        return NOTHING
    function, colon, digits = clean(text).rpartition(":")
    return f"{function}{colon}{digits[:12]}"


def sparkline(counts: Iterable[float | None], most: int = 16) -> str:
    """Return the shape of a histogram in one line of blocks; neighbours are joined beyond ``most`` bins."""
    heights = joined([float(value or 0) for value in counts], most)
    top = max(heights, default=0)
    if top <= 0:
        return ""
    return "".join(
        _BLOCKS[min(math.ceil(height / top * 8), 8) - 1 if height > 0 else 0] for height in heights
    )


def trend(values: Sequence[float], most: int = 24) -> str:
    """Return the course of a curve in one line of blocks, from its lowest to its highest value."""
    step = max(len(values) - 1, 1) / max(min(most, len(values)) - 1, 1)
    points = [values[round(index * step)] for index in range(min(most, len(values)))]
    low, span = min(points, default=0.0), max(points, default=0.0) - min(points, default=0.0)
    return "".join(_BLOCKS[round((point - low) / span * 7) if span else 3] for point in points)


def joined(counts: Sequence[float], most: int) -> list[float]:
    """Return ``counts`` in at most ``most`` bins, each the sum of its neighbours."""
    step = math.ceil(len(counts) / most) if counts else 1
    return [sum(counts[start : start + step]) for start in range(0, len(counts), step)]
