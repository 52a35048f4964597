"""Markdown shows outside text as it is: no markup, HTML, mention or link comes of it."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from jupyter_mlops.views import formats, to_markdown, view
from jupyter_mlops.views.view import Action, Cell, Text, View, facts, table

from .samples import HOSTILE, page_link, values

GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def tokens(markdown: str) -> list[Token]:
    """Return what a renderer would make of it, inline parts included."""
    return [part for token in GITHUB.parse(markdown) for part in (token, *(token.children or ()))]


def read(markdown: str) -> str:
    """Return what a person would read."""
    return "".join(
        t.content for t in tokens(markdown) if t.type in ("text", "code_inline", "fence", "text_special")
    )


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_outside_text_becomes_markup(text: str) -> None:
    for name, value in values(text).items():
        made = tokens(to_markdown(view(value)))
        kinds = {token.type for token in made}
        assert not kinds & {"link_open", "image", "html_block", "s_open", "em_open", "code_block", "hr"}, name
        assert {token.content for token in made if token.type == "html_inline"} <= {"<!-- -->"}, name


@pytest.mark.parametrize("text", [text for text in HOSTILE.values() if text.strip()])
def test_what_people_wrote_is_read_as_they_wrote_it(text: str) -> None:
    blocks = (facts(("remark", text)), Text(text), table(("a", "b"), [(text, Cell(text, "code"))]))
    clean = " ".join(formats.clean(text).split())
    made = " ".join(read(to_markdown(View("title", blocks=blocks))).split())
    assert made.count(clean) >= 4


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_table_keeps_its_columns(text: str) -> None:
    markdown = to_markdown(View("t", blocks=(table((text, "b"), [(text, Cell(text, "code")), ("x", "y")]),)))
    made = [token.type for token in tokens(markdown)]
    assert (made.count("th_open"), made.count("td_open")) == (2, 4)


def test_nobody_is_called_and_no_address_becomes_a_link() -> None:
    markdown = to_markdown(
        View("t", blocks=(Text("ask @bo, ann@example.com or http://evil.example www.evil.example"),))
    )
    assert not re.search(r"(?<!\w)@\w", markdown)
    assert "http://" not in markdown
    assert "www." not in markdown
    assert "ann@example.com" in markdown


def test_ordinary_words_stay_readable_in_the_source() -> None:
    markdown = to_markdown(
        View("gates of churn-model@v2", blocks=(facts(("roc_auc", "0.81"), ("done", "2026-11-03")),))
    )
    assert "# gates of churn-model@v2\n" in markdown
    assert "* roc_auc: 0.81" in markdown
    assert "2026-11-03" in markdown


def test_a_gate_report_can_be_posted_to_a_pull_request() -> None:
    markdown = to_markdown(view(values("fraud")["gate report"]))
    assert "| roc_auc at least 0.8 | **failed** | 0.7996 | 0.8 |" in markdown
    assert markdown.endswith("\n")


def test_links_lead_into_the_page_when_it_is_known() -> None:
    made = tokens(to_markdown(view(values("a b](x)")["model version"]), link=page_link))
    addresses = [token.attrs["href"] for token in made if token.type == "link_open"]
    assert addresses
    assert all(str(address).startswith("/base/mlops/") for address in addresses)


def test_code_is_fenced_beyond_what_it_holds() -> None:
    made = tokens(
        to_markdown(View("t", blocks=(Text("```\n<b>\n```", "code"), Action("x", "Do", {"a": "`b`"}))))
    )
    assert [token.content for token in made if token.type == "fence"] == ["```\n<b>\n```\n"]
    assert [token.content for token in made if token.type == "code_inline"] == ["mlops x '`b`'"]


def test_a_figure_is_described_and_its_bars_are_a_table() -> None:
    markdown = to_markdown(view(values("fraud")["bar figure"]))
    assert "\nBar chart of" in markdown
    assert "| fraud | 1 |" in markdown
