"""Every figure can be drawn, and no text from outside becomes part of the drawing's program."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from jupyter_mlops.charts import (
    Figure,
    Rule,
    bar,
    grouped_bar,
    histogram,
    line,
    parallel,
    png,
    scatter,
    svg,
    vega_lite,
)
from jupyter_mlops.errors import BadInput

HOSTILE = [
    "<script>alert(1)</script>",
    "a.b[0]['c']\"",
    'datum.x"] + alert(1) + ["',
    "</svg><image href=x onerror=alert(1)>",
    "__proto__",
    "{{7*7}} ${7*7}",
    "\\",
    "'",
    "",
    " ",
    "🛫 départ 出発",
    "x" * 300,
]

AWKWARD: dict[str, Figure] = {
    "nothing": line("nothing", {}),
    "only gaps": line("gaps", {"a": ([1, 2], [None, None])}),
    "one point": line("one", {"a": ([3], [0.5])}),
    "a constant": line("constant", {"a": (range(5), [7] * 5)}),
    "gaps between": line("gaps", {"a": (range(6), [1, None, 2, None, 3, 4])}),
    "huge and tiny": line("range", {"a": ([1e-300, 1e300], [-1e300, 1e300])}),
    "days": line("days", {"a": ([dt.date(2013, 1, 1), dt.datetime(2013, 2, 1, tzinfo=dt.UTC)], [1, 2])}),
    "year one": line("days", {"a": ([dt.date(1, 1, 1), dt.date(9999, 12, 31)], [1, 2])}),
    "forty lines": line("many", {str(i): (range(9), range(i, i + 9)) for i in range(40)}, highlight=["3"]),
    "not above zero on a log axis": line("log", {"a": ([0, 1, 10], [1, -1, 5])}, x_log=True, y_log=True),
    "nothing left on a log axis": scatter("log", {"a": ([0], [0])}, x_log=True, y_log=True),
    "texts on x": scatter("texts", {"a": (HOSTILE, range(len(HOSTILE)))}),
    "one category": bar("one", ["only"], [3]),
    "no category": bar("none", [], []),
    "below zero": bar("below", ["a", "b"], [-2, None], rules=[Rule("floor", -3)]),
    "one group": grouped_bar("one", ["a"], {"current": [1]}),
    "three groups": grouped_bar("three", ["a", "b"], {"r": [1, 2], "c": [2, None], "n": [0, 1]}),
    "a bin without width": histogram("constant", [5, 5], {"reference": [1]}),
    "an empty histogram": histogram("empty", [], {"reference": []}),
    "a histogram without groups": histogram("none", [0, 1], {}),
    "no axes": parallel("none", [], {"r": ()}),
    "one axis": parallel("one", ["auc"], {"r": (0.5,), "s": (None,)}),
    "one run": parallel("one", ["C", "auc"], {"r": (1, 0.5)}),
    "without any value": parallel("none", ["C", "auc"], {"r": (None, None)}),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_every_figure_can_be_drawn(name):
    drawn = svg(AWKWARD[name])

    assert ElementTree.fromstring(drawn).tag == "{http://www.w3.org/2000/svg}svg"
    assert "NaN" not in drawn


def hostile_figures() -> list[Figure]:
    count = len(HOSTILE)
    words: dict[str, Any] = {
        "x_label": HOSTILE[0],
        "y_label": HOSTILE[1],
        "units": HOSTILE[2],
        "subtitle": HOSTILE[3],
    }
    rule = [Rule(HOSTILE[0], 1)]
    figures = [
        line(t, {n: ([0, 1], [1, 2]) for n in HOSTILE}, rules=rule, highlight=[HOSTILE[0]], **words)
        for t in HOSTILE
    ]
    return [
        *figures,
        scatter(HOSTILE[0], {n: (["a", n], [1, 2]) for n in HOSTILE}, rules=rule, **words),
        bar(HOSTILE[0], HOSTILE, range(count), rules=rule, highlight=HOSTILE[:3], **words),
        grouped_bar(HOSTILE[0], HOSTILE, {n: range(count) for n in HOSTILE}, rules=rule, **words),
        histogram(HOSTILE[0], [0, 1, 2], {n: [1, 2] for n in HOSTILE}, rules=rule, **words),
        parallel(HOSTILE[0], HOSTILE, {n: HOSTILE for n in HOSTILE}, highlight=[HOSTILE[0]], **words),
    ]


def test_names_from_outside_are_drawn_as_text_and_do_nothing():
    for figure in hostile_figures():
        drawn = svg(figure)
        tree = ElementTree.fromstring(drawn)
        tags = {element.tag.rpartition("}")[2] for element in tree.iter()}
        assert tags <= {
            "svg",
            "rect",
            "g",
            "path",
            "text",
            "tspan",
            "line",
            "defs",
            "clipPath",
            "linearGradient",
            "stop",
        }
        assert not [
            key for element in tree.iter() for key in element.attrib if key.startswith("on") or "href" in key
        ]


def strings(value: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        return [found for key, part in value.items() for found in strings(part, (*path, key))]
    if isinstance(value, list):
        return [found for part in value for found in strings(part, path)]
    return [(path, value)] if isinstance(value, str) else []


def test_names_from_outside_are_never_fields_or_expressions():
    programs = {
        "field",
        "test",
        "filter",
        "expr",
        "signal",
        "calculate",
        "format",
        "href",
        "url",
        "labelExpr",
    }
    for figure in hostile_figures():
        for path, value in strings(vega_lite(figure)):
            if programs & set(path):
                assert re.fullmatch(r"[a-z0-9]+|datum\.top", value), (path, value)


def test_a_name_that_is_too_long_is_cut_in_its_middle_and_stays_different_from_its_neighbour():
    names = [f"customer_{'x' * 60}_a", f"customer_{'x' * 60}_b", f"customer_{'y' * 60}_a"]
    shown = vega_lite(bar("names", names, [1, 2, 3]))["layer"][0]["data"]["values"]

    assert [row["name"] for row in shown] == names
    labels = [row["x"] for row in shown]
    assert len(set(labels)) == 3
    assert all(len(label) < 30 and label.startswith("customer_") for label in labels)


def test_a_long_curve_is_thinned_and_keeps_its_peak():
    ys = [0.0] * 100_000
    ys[77_777] = 9.0
    spec = vega_lite(line("long", {"a": (range(100_000), ys)}))
    rows = spec["layer"][0]["data"]["values"]

    assert len(rows) < 4_000
    assert {"x": 77_777, "y": 9.0}.items() <= next(row for row in rows if row["y"]).items()
    assert (rows[0]["x"], rows[-1]["x"]) == (0, 99_999)


def test_what_is_left_out_is_said_in_the_picture():
    said = [
        vega_lite(figure)["title"]["subtitle"]
        for figure in (
            bar("a", map(str, range(200)), range(200)),
            scatter("a", {"b": (range(10_000), range(10_000))}),
            line("a", {"b": ([0, 1], [1, 2])}, x_log=True),
            parallel("a", ["x"], {str(i): (i,) for i in range(500)}),
        )
    ]
    assert said == [
        "first 30 of 200",
        "1 point in 3 of 10,000",
        "1 value has no place on the log axis",
        "300 of 500 lines",
    ]


def test_a_picture_for_chat_is_opaque_and_as_large_as_asked():
    figure = grouped_bar("carrier", ["UA", "AA"], {"reference": [0.6, 0.4], "current": [0.5, 0.5]})
    small, large = (Image.open(io.BytesIO(png(figure, scale=scale))) for scale in (1, 2))

    assert large.width == pytest.approx(2 * small.width, abs=2)
    assert small.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)
    assert len(small.convert("RGB").getcolors(10**6)) > 10


@pytest.mark.parametrize("theme", ["auto", "light", "dark"])
def test_the_ink_stands_out_from_the_ground(theme):
    spec = vega_lite(line("a", {"b": ([0, 1], [1, 2])}), theme)
    ground = spec["config"]["background"]
    grounds = ["#ffffff", "#111111"] if ground == "transparent" else [ground]
    for ink in (spec["config"]["title"]["color"], spec["config"]["axis"]["labelColor"]):
        assert all(contrast(ink, behind) >= 4.2 for behind in grounds)


def contrast(one: str, other: str) -> float:
    def luminance(color: str) -> float:
        parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_a_theme_that_does_not_exist_is_refused():
    with pytest.raises(BadInput, match="no theme 'sepia'"):
        vega_lite(line("a", {}), theme="sepia")


def test_a_specification_is_json_and_loads_nothing():
    for figure in [*AWKWARD.values(), *hostile_figures()]:
        spec = vega_lite(figure)
        assert json.loads(json.dumps(spec, allow_nan=False)) == spec
        assert "url" not in {key for path, _ in strings(spec) for key in path}
        assert spec["description"]
