"""CSV files as people export them: what is odd is read right, or refused with the place where it is wrong."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import polars as pl
import pytest

from jupyter_mlops.datasets.csv_file import CSVFile
from jupyter_mlops.errors import BadInput
from jupyter_mlops.project import Project


def read(path: Path) -> pl.DataFrame:
    reader = CSVFile()
    return reader.polars(path, reader.form(path, None))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_that_say_what_they_are_are_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")
    path.write_bytes(mark + 'straße,größe\nÄhre,1\n"a\nb",2\n'.encode(encoding))
    assert read(path).to_dict(as_series=False) == {"straße": ["Ähre", "a\nb"], "größe": [1, 2]}
    wide = CSVFile().form(path, None).options.get("encoding")
    assert wide == ("utf-16" if "16" in encoding else None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "a,b\n1,é\n".encode("latin-1"),
            r"not UTF-8 text: line 2 holds the byte 0xe9 .*iconv -f WINDOWS-1252",
        ),
        (b"a,b\n1,2\n3,caf\xe9\n4,\xc3\xa9\n", "line 3 holds the byte 0xe9"),
        ("é,b\n1,2\n".encode("latin-1"), "line 1 holds the byte 0xe9"),
        (
            b"a,b\n1,2\n1,2,3\n",
            r"row 3 \(the header is row 1\) has more fields than the header: 3 instead of 2",
        ),
        (b'a,b\n1,"x\ny"\n1,2,3\n', "has more fields than the header: 3 instead of 2"),
        (b'a,b\n1,"x\n', "a quote is not closed"),
        (b"\xff\xfea\x00,\x00b\x00\n\x00\x00\xd8\x31\x00\n\x00", "no sound UTF-16"),
        (b"\n \n", "holds no lines"),
        (b"a,b,a\n", "two columns are named 'a'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=said):
        read(path)


@pytest.mark.parametrize(
    ("first", "separator", "encoding"),
    [
        ("sep=;\r\n", ";", "utf-8"),
        ("sep=;\r\n", ";", "utf-8-sig"),
        ('"SEP=|"\n', "|", "utf-8"),
        ("sep=\t\n", "\t", "utf-16"),
        ("sep=^\n", "^", "utf-8"),
    ],
)
def test_a_first_line_that_tells_a_spreadsheet_the_separator_is_obeyed(
    project: Project, tmp_path: Path, first: str, separator: str, encoding: str
) -> None:
    path = tmp_path / "a.csv"
    rows = "\n".join(separator.join(row) for row in (("id", "what, and why"), ("1", "x"), ("2", "y")))
    path.write_bytes((first + rows + "\n").encode(encoding))
    version = project.datasets.commit("a", path)
    assert version.rows == 2
    assert version.load("polars").to_dict(as_series=False) == {"id": [1, 2], "what, and why": ["x", "y"]}
    assert [column.name for column in version.profile] == ["id", "what, and why"]
    path.write_text("sep=;\na;b\n1;2\n3\n")
    assert read(path).to_dict(as_series=False) == {"a": [1, 3], "b": [2, None]}
    assert CSVFile().form(path, None).notes == (
        "row 4 (the header is row 2) has 1 of 2 fields: the others count as missing",
    )


def test_the_settings_of_polars_are_as_before(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n")
    project.datasets.commit("a", path)
    assert "POLARS_CSV_CHUNK_SIZE" not in os.environ
    monkeypatch.setenv("POLARS_CSV_CHUNK_SIZE", "70000")
    path.write_text("a,b\n1,3\n")
    assert project.datasets.commit("a", path).profile[1].max == 3
    assert os.environ["POLARS_CSV_CHUNK_SIZE"] == "70000"


def test_short_rows_are_told(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text("a,b,c\n1,2,3\n4,5\n6,7,8\n")
    v = project.datasets.commit("short", path)
    (note,) = v.findings.notes if v.findings else ()
    assert note == "row 3 (the header is row 1) has 2 of 3 fields: the others count as missing"
    assert project.datasets.get("short").findings == v.findings or v.load()["c"].isna().sum() == 1
    path.write_text("a,b,c\n1,2,\n")
    assert project.datasets.commit("whole", path).findings.notes == ()  # type: ignore[union-attr]  # just described


def test_what_csv_cannot_carry_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rich.csv"
    path.write_text('tags,at\n"[1, 2]",2024-01-01T00:00:00+02:00\n"{""a"": 1}",2024-01-02T00:00:00Z\n')
    form = CSVFile().form(path, None)
    assert [column.type for column in form.columns] == ["string", "datetime[us, UTC]"]
    assert [note.partition(":")[0] for note in form.notes] == [
        "CSV carries no nesting",
        "CSV carries no time zones",
    ]
    assert CSVFile().form(path, {"tags": "string", "at": "string"}).notes == ()


def test_ten_thousand_columns_are_read_and_profiled(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    names = [f"c{n}" for n in range(10_000)]
    rows = [",".join("x" if n % 3 == 2 else str(n + row) for n in range(10_000)) for row in range(3)]
    path.write_text("\n".join([",".join(names), *rows]) + "\n")
    v = project.datasets.commit("wide", path)
    assert [column.type for column in v.columns[:3]] == ["int64", "int64", "string"]
    assert (len(v.profile), v.profile[9_999].max) == (10_000, 10_001)
    assert v.load("polars", columns=["c9999"])["c9999"].to_list() == [9_999, 10_000, 10_001]


def test_numbers_with_blanks_and_marks_of_nothing_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("a,b,c,d,e\n1, 2,0.5,01,0\n3,4 ,NaN,02,10\nNA,5,-0.25,03,0\n")
    form = CSVFile().form(path, None)
    assert [column.type for column in form.columns] == ["int64", "int64", "float64", "string", "int64"]
    assert form.options["padded"] == [0, 1]
    assert read(path).rows() == [(1, 2, 0.5, "01", 0), (3, 4, None, "02", 10), (None, 5, -0.25, "03", 0)]
