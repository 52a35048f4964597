"""A comparison is something to look at: pictures before and after, old and new values, in few lines."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from xml.etree import ElementTree

from rich.cells import cell_len

from jupyter_mlops.datasets.diff import DatasetDiff, FileChanges, RowChange, TableDiff
from jupyter_mlops.views import to_html, to_text, view

from .samples import values

TABLE = TableDiff(path="", rows=(3, 3), key=("id",), matched="key given", changed=1, unchanged=2)


def shown(table: TableDiff) -> DatasetDiff:
    return DatasetDiff("dogs@v1", "dogs@v2", FileChanges(), (table,))


def changes(before: object, after: object) -> str:
    row = RowChange((7,), {"value": (before, after)})
    return to_text(view(shown(replace(TABLE, changed_rows=(row,))))).splitlines()[-1]


def test_the_first_line_says_it_all() -> None:
    assert to_text(view(shown(TABLE))).splitlines()[0] == "dogs@v1 → dogs@v2 · 1 row changed"
    assert to_text(view(values("dogs")["no difference"])) == "dogs@v1 → dogs@v1 · no difference"


def test_a_column_is_drawn_before_and_after_on_one_scale() -> None:
    html = to_html(view(values("city")["dataset diff"]))
    pictures = [base64.b64decode(data) for data in re.findall(r'base64,([^"]+)"', html)]
    drawing = ElementTree.fromstring(pictures[0])
    bars = [(bar.get("fill"), float(bar.get("height", 0))) for bar in drawing]
    assert len({colour for colour, _ in bars}) == 2
    heights = [height for _, height in bars]
    # shares of 0.7 and 0.3 before, 0.4 and 0.6 after
    assert heights[0] > heights[3] > heights[2] > heights[1]
    assert "█▄ → ▆█" in to_text(view(values("city")["column diff"]))


def test_old_and_new_values_are_told_apart() -> None:
    assert changes(0.30000000000000004, 0.3).split() == ["7", "value", "0.30000000000000004", "0.3"]
    assert changes(None, float("nan")).split() == ["7", "value", "missing", "NaN"]
    assert changes("", " x").split() == ["7", "value", '""', '"', 'x"']
    assert changes(True, False).split() == ["7", "value", "true", "false"]
    start = "the same words at the beginning of both texts, "
    line = changes(start + "then this", start + "then that")
    assert "…" in line
    assert "then this" in line
    assert "then that" in line


def test_colours_say_what_was_and_what_is() -> None:
    row = RowChange((7,), {"value": ("old", "new")})
    html = to_html(view(shown(replace(TABLE, changed_rows=(row,)))))
    assert re.search(r'color:#d94848"[^>]*>old<', html)
    assert re.search(r'color:#248a50"[^>]*>new<', html)


def test_many_columns_and_rows_stay_a_page() -> None:
    sample = values("x")["table diff"]
    column = sample.columns["age"]
    many = {f"column {place}": replace(column, name=f"column {place}") for place in range(500)}
    row = {f"column {place}": place for place in range(500)}
    table = replace(sample, columns=many, added_rows=(row,) * 10, key=())
    text = to_text(view(shown(table)))
    assert len(text.splitlines()) < 120
    assert max(map(cell_len, text.splitlines())) <= 80
    assert "… and 470 more" in text


def test_files_are_listed_with_their_sizes() -> None:
    files = FileChanges(
        ("new.bin",), ("old.bin",), ("a.csv",), 4, {"a.csv": (1_000, 2_000), "new.bin": (None, 5)}
    )
    text = to_text(view(DatasetDiff("f@v1", "f@v2", files)))
    assert text.splitlines()[0] == "f@v1 → f@v2 · 1 file changed, 1 added, 1 removed"
    assert "1.0 kB → 2.0 kB" in text
    assert "+ added" in text
    assert "− removed" in text
