"""HTML lets no outside text act, needs nothing from elsewhere, and survives JupyterLab's sanitiser."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from jupyter_mlops.charts import bar
from jupyter_mlops.errors import Failed
from jupyter_mlops.views import formats, to_html, view
from jupyter_mlops.views import html as renderer
from jupyter_mlops.views.view import Action, Cell, Heading, Picture, Text, View, facts

from .samples import HOSTILE, page_link, values

# what JupyterLab's sanitiser lets through, as far as views use it
TAGS = {
    "div", "span", "p", "pre", "code", "a", "img", "table", "thead", "tbody", "tr", "th", "td",
    "h1", "h2", "h3", "h4", "h5", "h6",
}  # fmt: skip
ATTRIBUTES = {"style", "title", "href", "src", "alt", "width", "height"}
STYLES = {
    "line-height", "max-width", "max-height", "min-width", "height", "overflow", "overflow-x", "font-weight",
    "font-size", "font-family", "margin", "padding", "border", "border-left", "border-bottom",
    "border-radius",
    "border-collapse", "table-layout", "text-align", "vertical-align", "white-space", "background",
    "color", "opacity",
}  # fmt: skip
PICTURE = "data:image/svg+xml;base64,"
VOID = {"img"}


class Page(HTMLParser):
    """Reads HTML as a browser would and keeps what it finds."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def of(self, attribute: str) -> list[str]:
        return [value for _, name, value in self.attributes if name == attribute]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_outside_text_becomes_markup(text: str) -> None:
    for name, value in values(text).items():
        page = Page(to_html(view(value), link=page_link, heading=2))
        assert set(page.tags) <= TAGS, name
        assert {attribute for _, attribute, _ in page.attributes} <= ATTRIBUTES, name
        for style in page.of("style"):
            assert {part.split(":")[0].strip() for part in style.split(";") if part.strip()} <= STYLES, name
            assert "url" not in style, name
        assert all(address.startswith("/base/mlops/") for address in page.of("href")), name
        assert all(source.startswith(PICTURE) for source in page.of("src")), name


@pytest.mark.parametrize("text", [text for text in HOSTILE.values() if text.strip()])
def test_what_people_wrote_is_shown_as_they_wrote_it(text: str) -> None:
    cell = facts(("remark", text))
    shown = "".join(Page(to_html(View("title", blocks=(cell, Heading(text))))).text)
    assert shown.count(formats.clean(text)) == 2


def test_every_picture_is_whole_inside_the_page_and_says_what_it_shows() -> None:
    page = Page(to_html(view(values("<b>")["drift report"])))
    pictures = page.of("src")
    assert len(pictures) > 3
    for picture in pictures:
        drawn = ElementTree.fromstring(base64.b64decode(picture.removeprefix(PICTURE)))
        assert drawn.tag.endswith("svg")
        outside = [value for element in drawn.iter() for value in element.attrib.values() if "://" in value]
        assert outside == []
    assert all(alt.strip() for alt in page.of("alt"))
    assert len(page.of("alt")) == len(pictures)


def test_in_a_notebook_there_are_no_headings_and_no_links_into_a_page_that_may_not_be_there() -> None:
    for name, value in values().items():
        page = Page(to_html(view(value)))
        assert not [tag for tag in page.tags if re.fullmatch("h[1-6]", tag)], name
        assert page.of("href") == [], name


def test_on_the_page_things_are_linked_and_headings_are_headings() -> None:
    page = Page(to_html(view(values("fraud")["model version"]), link=page_link, heading=1))
    assert "/base/mlops/runs/7k3f9q2m" in page.of("href")
    assert page.tags.count("h1") == 1
    assert "h2" in page.tags


def test_only_web_addresses_are_links_by_themselves() -> None:
    cells = facts(
        ("a", Cell("a", link="https://example.com/x?a=1&b=2")), ("b", Cell("b", link="javascript:alert(1)"))
    )
    page = Page(to_html(View("links", blocks=(cells,))))
    assert page.of("href") == ["https://example.com/x?a=1&b=2"]


def test_what_one_may_type_is_shown_unless_there_are_buttons() -> None:
    seen = View("request", blocks=(Action("approve", "Approve", {"id": "a8c2; rm -rf"}),))
    assert "%mlops approve 'a8c2; rm -rf'" in "".join(Page(to_html(seen)).text)
    assert "approve" not in to_html(seen, actions=False)


def test_commands_in_sentences_look_like_commands() -> None:
    page = Page(to_html(View("note", blocks=(Text("run `mlops policy apply` <b>`now`"),))))
    assert page.tags.count("code") == 2
    assert "b" not in page.tags


def test_a_figure_that_cannot_be_drawn_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(figure: object) -> str:
        raise Failed("the engine is gone")

    monkeypatch.setattr(renderer, "svg", broken)
    figure = bar("Never drawn before", ["a"], [1.0])
    page = Page(to_html(View("figure", blocks=(Picture(figure),))))
    assert figure.alt in "".join(page.text)
    assert "img" not in page.tags
