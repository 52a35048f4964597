"""Text keeps to its width, obeys nothing from outside, and is coloured only for terminals that want it."""

from __future__ import annotations

import io
import os
import re
import tty
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import pytest
from rich.cells import cell_len

from jupyter_mlops.views import print_view, to_text, view
from jupyter_mlops.views.view import Action, Cell, Text, View, facts, table

from .samples import HOSTILE, values

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_line_is_wider_than_asked_and_nothing_in_it_is_obeyed(text: str) -> None:
    for name, value in values(text).items():
        seen = view(value)
        for width in (40, 80, 132):
            lines = to_text(seen, width).split("\n")
            assert max(map(cell_len, lines)) <= width, (name, width)
        told = to_text(seen).replace("\n", "")
        assert [c for c in told if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")] == [], name
        assert [c for c in told if unicodedata.category(c) == "Cf" and c not in "\u200c\u200d"] == [], name


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_colour_adds_colour_and_nothing_else(text: str) -> None:
    for name, value in values(text).items():
        coloured = to_text(view(value), colour=True)
        rest = COLOUR.sub("", coloured)
        assert "\x1b" not in rest, name
        assert [line.rstrip() for line in rest.split("\n")] == to_text(view(value)).split("\n"), name
    assert "\x1b[" in to_text(view(values()["failed run"]), colour=True)


def test_numbers_are_never_cut() -> None:
    rows = [("a long name that may be cut " * 3, "1,234,567", "another long text " * 5, "7,654,321")]
    block = table(("name", "rows", "remark", "bytes"), rows, numeric=("rows", "bytes"))
    told = to_text(View("table", blocks=(block,)), 72)
    assert "1,234,567" in told
    assert "7,654,321" in told
    assert "…" in told


def test_columns_that_find_no_room_are_named() -> None:
    names = [f"metric{number}" for number in range(20)]
    block = table(("run", *names), [("7k3f9q2m", *("0.123456" for _ in names))], numeric=names)
    told = to_text(View("wide", blocks=(block,)))
    assert "7k3f9q2m" in told
    assert "more columns: metric" in told
    assert "metric19" in to_text(View("wide", blocks=(block,)), 400)


def test_a_long_value_goes_on_under_itself() -> None:
    told = to_text(View("title", blocks=(facts(("reason", "word " * 30), ("id", "a8c2")),)))
    reason, second, *_, last = told.split("\n")[2:]
    assert reason.startswith("reason  word")
    assert second.startswith("        word")
    assert last == "id      a8c2"


def test_code_keeps_its_lines() -> None:
    told = to_text(View("title", blocks=(Text("if x:\n    y = 1\n\nz", "code"),)))
    assert "if x:\n    y = 1\n\nz" in told


def test_one_reads_what_to_type() -> None:
    actions = (
        Action("approve", "Approve", {"id": "a8c2"}),
        Action("reject", "Reject", {"id": "a8c2"}, asks="reason"),
    )
    told = to_text(View("request", blocks=actions))
    assert told.endswith("Approve  mlops approve a8c2\nReject   mlops reject a8c2 --reason …")


def test_an_empty_table_says_so() -> None:
    assert "nothing yet" in to_text(View("title", blocks=(table(("a",), ()),)))


def test_rows_left_out_are_counted() -> None:
    block = table(("a",), [("1",)], more=1_200)
    assert "… and 1,200 more" in to_text(View("title", blocks=(block,)))


def test_a_shape_is_drawn_in_blocks() -> None:
    assert "█" in to_text(view(values()["description"]))
    shape = facts(("shape", Cell("▁█", bars=(1.0, 9.0))))
    assert to_text(View("t", blocks=(shape,))).endswith("shape  ▁█")


@pytest.mark.parametrize(("said", "width"), [("", 80), ("120", 120), ("60", 60), ("wide", 80), ("0", 80)])
def test_a_pipe_gets_plain_text_as_wide_as_is_said(
    monkeypatch: pytest.MonkeyPatch, said: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", said)
    stream = io.StringIO()
    print_view(view(values("word " * 40)["run"]), stream)
    assert "\x1b" not in stream.getvalue()
    assert width - 10 < max(map(cell_len, stream.getvalue().split("\n"))) <= width


@contextmanager
def terminal() -> Iterator[tuple[TextIO, Any]]:
    """A pseudo terminal: what a program writes to it, and what a screen would receive."""
    screen, line = os.openpty()
    tty.setraw(line)
    with open(line, "w", encoding="utf-8") as stream, open(screen, "rb", buffering=0) as received:
        yield stream, received


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with terminal() as (stream, received):
        print_view(View("title", "title · failed", "bad"), stream)
        stream.flush()
        assert b"\x1b[" in received.read(4096)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_no_colour_gets_none(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    with terminal() as (stream, received):
        print_view(View("title", "title · failed", "bad"), stream)
        stream.flush()
        assert received.read(4096).strip() == "title · failed".encode()


def test_a_terminal_without_unicode_still_gets_its_text() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_view(View("title · 你好"), stream)
    stream.flush()
    assert stream.buffer.getvalue() == b"title ? ??\n"  # type: ignore[attr-defined]
