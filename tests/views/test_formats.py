"""Numbers, times and sizes as people read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from jupyter_mlops.views import formats


@pytest.mark.parametrize(
    ("bytes", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (899, "899 bytes"), (12_300, "12.3 kB"), (900_000, "0.9 MB"),
     (977_501, "1.0 MB"), (123_400_000, "123 MB"), (44_000_000_000, "44.0 GB"), (None, "–")],
)  # fmt: skip
def test_sizes(bytes: int | None, text: str) -> None:
    assert formats.size(bytes) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.81234, "0.812"), (0.8, "0.8"), (1.0, "1"), (0.99964, "0.9996"), (-0.99964, "-0.9996"), (999.6,
     "1,000"),
     (12_345.678, "12,346"), (1_234.5, "1,234"), (0.0000123, "1.23e-05"), (7_043, "7,043"), (True, "true"),
     (None, "–"), (math.nan, "NaN"), (math.inf, "∞"), (-math.inf, "−∞"), ("n/a", "n/a")],
)  # fmt: skip
def test_metrics(value: Any, text: str) -> None:
    assert formats.metric(value) == text


def test_a_value_just_below_its_floor_does_not_look_like_the_floor() -> None:
    assert formats.apart(0.7996, 0.8) == ("0.7996", "0.8")
    assert formats.apart(0.79999999, 0.8) == ("0.79999999", "0.8")
    assert formats.apart(0.8, 0.8) == ("0.8", "0.8")
    assert formats.apart(None, 0.8) == ("–", "0.8")


@given(some.floats(0, 1), some.floats(0, 1))
def test_different_numbers_never_read_the_same(one: float, other: float) -> None:
    shown = formats.apart(one, other)
    if not math.isclose(one, other, rel_tol=1e-14):
        assert shown[0] != shown[1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "40 ms"), (0.4, "0.4 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min"), (200, "3 min 20 s"),
     (3_600, "1 h"), (7_500, "2 h 5 min"), (300_000, "3 d 11 h"), (None, "–"), (-3, "0 ms")],
)  # fmt: skip
def test_durations(seconds: float | None, text: str) -> None:
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0 %"), (0.00001, "<0.1 %"), (0.123, "12.3 %"), (0.5, "50 %"), (0.99999, ">99.9 %"), (1.0,
     "100 %"), (None, "–")],
)  # fmt: skip
def test_shares(value: float | None, text: str) -> None:
    assert formats.share(value) == text


def test_times_are_told_to_the_minute_and_as_distance() -> None:
    now = datetime(2026, 11, 3, 15, 0, tzinfo=UTC)
    assert formats.moment("2026-11-03T14:05:22.123456Z") == "2026-11-03 14:05 UTC"
    assert formats.moment("2026-11-03T14:05:22+02:00") == "2026-11-03 12:05 UTC"
    assert formats.moment(None) == "–"
    assert formats.moment("some day\x1b") == "some day␛"
    assert formats.ago("2026-11-03T14:57:00Z", now) == "3 minutes ago"
    assert formats.ago("2026-11-03T14:59:40Z", now) == "just now"
    assert formats.ago("2026-11-10T14:59:00Z", now) == "in 6 days"
    assert formats.ago("2026-11-03T15:00:10Z", now) == "in a moment"
    assert formats.lasted("2026-11-03T14:00:00Z", "2026-11-03T14:03:20Z") == "3 min 20 s"


def test_counts_speak_of_one_and_of_many() -> None:
    assert formats.count(1, "row") == "1 row"
    assert formats.count(7_043, "row") == "7,043 rows"
    assert formats.count(2, "entry", "entries") == "2 entries"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (True, "true"), (0.1, "0.1"), (1e-7, "1e-07"), (42, "42"), ([1, "a"], '[1, "a"]'),
     ("00123", "00123"),
     ({"a\x1b": None}, '{"a\\u001b": null}'), (math.nan, "NaN")],
)  # fmt: skip
def test_parameters(value: Any, text: str) -> None:
    assert formats.plain(value) == text


def test_small_pictures_of_numbers() -> None:
    assert formats.sparkline([0, 1, 4, 8]) == "▁▁▄█"
    assert formats.sparkline([]) == ""
    assert formats.sparkline([0, 0]) == ""
    assert len(formats.sparkline(range(1, 1001), 12)) <= 12
    assert formats.trend([3.0, 1.0, 2.0]) == "█▁▅"
    assert formats.trend([2.0, 2.0]) == "▄▄"
    assert formats.trend([]) == ""


def test_probabilities_and_differences() -> None:
    assert formats.probability(0.0312) == "0.031"
    assert formats.probability(0.0) == "<1e-12"
    assert formats.probability(None) == ""
    assert formats.signed(0.0312) == "+0.0312"
    assert formats.signed(-0.0312) == "−0.0312"
    assert formats.signed(0.0) == "±0"


def test_digests_are_cut_with_their_function_kept() -> None:
    assert formats.digest("b3:" + "4f6c2a9d10ef" * 5) == "b3:4f6c2a9d10ef"
    assert formats.digest("4f6c2a9d10ef" * 5) == "4f6c2a9d10ef"
    assert formats.digest(None) == "–"


@given(some.text())
def test_cleaned_text_is_one_line_that_no_terminal_obeys(text: str) -> None:
    cleaned = formats.clean(text)
    assert all(
        sign.isprintable() or sign in "\u200c\u200d"
        for sign in cleaned
        if not 0xE000 <= ord(sign) <= 0x10FFFD
    )
    assert formats.clean(cleaned) == cleaned
    cleaned.encode("utf-8")


def test_ordinary_text_stays_as_it_is() -> None:
    for text in ("customers@v1", "Zoë's naïve café", "你好", "مرحبا", "👩‍👩‍👧", "a\u200cb"):
        assert formats.clean(text) == text
    assert formats.clean("a\x1b[31m\nb") == "a␛[31m b"
    assert formats.clean("a\n\tb", lines=True) == "a\n    b"
