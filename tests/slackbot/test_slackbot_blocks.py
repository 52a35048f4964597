"""Whatever a view holds, Slack takes the message, and nothing from outside comes alive in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_mlops.charts import line
from jupyter_mlops.views.view import (
    Action,
    Cell,
    Changes,
    Facts,
    Heading,
    Image,
    Picture,
    Table,
    Text,
    View,
)
from slackbot import limits
from slackbot.blocks import pictures, reason_modal, render
from slackbot.blocks.words import escaped, length
from slackbot.simulator.blockkit import check_blocks, check_view, too_long

HOSTILE = (
    "<!channel> & <@U123> <https://evil.example|click> @here `code` *bold*",
    "x" * 6_000,
    "é👩‍👩‍👧‍👦\u202egnp.exe\x00\x1b[31m\r\n\t",
    "&" * 3_100,
    "\ud800 half a sign",
    "",
    " ",
)
text = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=60))
cells = st.builds(Cell, text, st.sampled_from(["plain", "code", "bad"]), text)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    width = draw(st.integers(1, 25))
    rows = draw(st.integers(0, 40))
    cell = draw(cells)
    columns = tuple(draw(st.lists(text, min_size=width, max_size=width)))
    return Table(
        columns, tuple((cell,) * width for _ in range(rows)), frozenset({0}), draw(st.integers(0, 9))
    )


blocks = st.one_of(
    st.builds(Heading, text),
    st.builds(Facts, st.lists(st.tuples(text, cells), max_size=30).map(tuple)),
    tables(),
    st.builds(lambda title: Picture(line(title, {"a": ([1, 2], [1, 2])})), text),
    st.builds(Image, text, st.sampled_from(["image/png", "image/svg+xml"]), st.just(b"a picture")),
    st.builds(Changes, st.lists(st.tuples(st.sampled_from("+- …"), text), max_size=40).map(tuple)),
    st.builds(Text, text, st.sampled_from(["plain", "muted", "code"])),
    st.builds(
        lambda verb, label, id_, confirm: Action(verb, label, {"id": id_}, confirm=confirm),
        st.sampled_from(["approve", "reject", "alerts acknowledge", "promote"]),
        text,
        text,
        text,
    ),
)
views = st.builds(
    View,
    text,
    text,
    st.sampled_from(["plain", "good", "bad"]),
    st.lists(blocks, max_size=60).map(tuple),
    text,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(views, st.booleans())
def test_slack_takes_every_view(view: View, linked: bool) -> None:
    files = ["F1"] * len(pictures(view))
    message = render(
        view,
        link_to=lambda path: f"https://mlops.example/{path}" if linked else "",
        files=files,
        stamp="s" * 16,
    )
    assert check_blocks(message.blocks, "message", lambda file: True) == []
    assert not too_long(message.blocks)
    assert 0 < len(message.text) <= limits.FALLBACK_TEXT
    json.dumps(message.blocks, ensure_ascii=False).encode()
    assert all("<!" not in words and "<@" not in words for words in mrkdwn(message.blocks))


def mrkdwn(value: Any) -> list[str]:
    """Return every text that Slack would read as its markup."""
    if isinstance(value, dict):
        own = [value["text"]] if value.get("type") == "mrkdwn" else []
        return own + [found for item in value.values() for found in mrkdwn(item)]
    return [found for item in value for found in mrkdwn(item)] if isinstance(value, list) else []


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_from_outside_comes_alive(hostile: str) -> None:
    said = escaped(hostile, 500)
    assert length(said) <= 500
    assert "<" not in said
    assert ">" not in said
    assert "@here" not in said
    assert not said.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "").count("&")


def test_a_cut_is_shown_and_never_halves_an_escape() -> None:
    assert escaped("&" * 10, 22) == "&amp;&amp;&amp;&amp;…"
    assert escaped("short", 22) == "short"


def test_a_long_table_says_how_much_is_left_out() -> None:
    table = Table(("n",), tuple((Cell(str(number)),) for number in range(70)), more=5)
    message = render(View("Numbers", blocks=(table,)))
    assert "… and 55 more" in json.dumps(message.blocks, ensure_ascii=False)


def test_a_second_table_becomes_text() -> None:
    table = Table(("name", "value"), ((Cell("auc"), Cell("0.81")),), frozenset({1}))
    kinds = [block["type"] for block in render(View("Two", blocks=(table, table))).blocks]
    assert kinds.count("table") == 1
    assert kinds.count("section") == 1


def test_a_picture_is_shown_or_told_in_words() -> None:
    curve = Picture(line("auc", {"auc": ([1, 2], [0.5, 0.8])}))
    photo = Image("a confusion matrix", "image/png", b"\x89PNG")
    view = View("Run", blocks=(Image("a drawing", "image/svg+xml", b"<svg/>"), photo, curve))
    assert pictures(view) == [photo]
    drawing, image, told = render(view, files=["F1"]).blocks[1:]
    assert "a drawing" in drawing["elements"][0]["text"]
    assert (image["type"], image["slack_file"], image["alt_text"]) == (
        "image",
        {"id": "F1"},
        "a confusion matrix",
    )
    assert "auc" in told["elements"][0]["text"]
    without = json.dumps(render(view).blocks)
    assert "a drawing" in without
    assert "a confusion matrix" in without


def test_changed_lines_keep_their_marks_and_are_counted_beyond_the_first() -> None:
    lines = (("-", "rate = 0.1"), ("+", "rate = 0.2 `"), *((" ", f"line {number}") for number in range(30)))
    (block,) = render(View("Changed", blocks=(Changes(lines),))).blocks[1:]
    said = block["text"]["text"]
    assert said.startswith("```- rate = 0.1\n+ rate = 0.2")
    assert said.endswith("… and 12 more lines```")


def test_cells_of_a_table_lead_to_the_page() -> None:
    table = Table(("run", "page"), ((Cell("7k3f", link="runs/7k3f"), Cell("x", link="javascript:alert(1)")),))
    view = View("Runs", blocks=(table,))
    (row,) = render(view, link_to=lambda path: f"https://mlops.example/{path}").blocks[1]["rows"][1:]
    assert row[0]["elements"][0]["elements"] == [
        {"type": "link", "url": "https://mlops.example/runs/7k3f", "text": "7k3f"}
    ]
    (row,) = render(view).blocks[1]["rows"][1:]
    assert [cell["type"] for cell in row] == ["raw_text", "raw_text"]


def test_buttons_survive_a_message_that_is_too_long() -> None:
    paragraphs = tuple(Text("word " * 500) for _ in range(20))
    view = View("Long", blocks=(*paragraphs, Action("approve", "Approve", {"id": "a8c2"}, confirm="Sure?")))
    message = render(view, stamp="s")
    assert message.blocks[-1]["type"] == "actions"
    assert "too long" in json.dumps(message.blocks[-2])


def test_an_address_that_is_none_is_no_link() -> None:
    facts = Facts(
        (
            ("run", Cell("7k3f", link="javascript:alert(1)")),
            ("page", Cell("here", link="https://a.example/x|y>")),
        )
    )
    said = json.dumps(render(View("Links", blocks=(facts,))).blocks)
    assert "javascript" not in said
    assert "a.example" not in said


@pytest.mark.parametrize("hostile", HOSTILE)
def test_slack_takes_the_modal(hostile: str) -> None:
    modal = reason_modal(
        "Reject", hostile, {"value": "v" * 500, "response_url": "https://hooks.example/" + "x" * 200}
    )
    assert check_view(modal, lambda file: True) == []
