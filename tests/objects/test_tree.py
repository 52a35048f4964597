"""A tree is one node a folder: equal folders are kept once, a change costs a node a level, names are kept."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mlops.errors import BadInput, Damaged
from jupyter_mlops.objects import Entry, Objects
from jupyter_mlops.objects.blob import digest_of
from jupyter_mlops.objects.tree import FOLDER, flattened, nodes, rows_of, store_tree

CONTENT = "b3:" + "1" * 64
OTHER = "b3:" + "2" * 64


class Memory(dict[str, bytes]):
    """Blobs in memory."""

    def put(self, data: bytes) -> str:
        self[digest_of(data)] = data
        return digest_of(data)

    def stored(self, files: dict[str, str], mode: int = 0o644) -> str:
        return store_tree(self.put, [Entry(path, mode, 10, digest) for path, digest in files.items()])


def test_a_changed_file_rewrites_one_node_a_level() -> None:
    files = {
        f"{year}/{month:02}/{day:02}.csv": CONTENT
        for year in (2023, 2024)
        for month in range(12)
        for day in range(30)
    }
    memory = Memory()
    first = memory.stored(files)
    before = set(memory)
    second = memory.stored(files | {"2024/03/07.csv": OTHER})
    assert first != second
    # the month, the year and the top; the months that are alike are one node for all of them
    assert len(set(memory) - before) == 3
    assert len(before) == 3
    changed = {path for path, at, _ in nodes(memory.__getitem__, second) if at not in before}
    assert changed == {"", "2024", "2024/03"}


def test_a_folder_row_tells_the_size_and_the_address_of_what_it_holds() -> None:
    memory = Memory()
    top = memory.stored({"a/b/c": CONTENT, "a/d": CONTENT, "e": CONTENT})
    (folder, file) = rows_of(memory[top], top)
    assert folder[:3] == ("a", FOLDER, 20)
    assert file == ("e", 0o644, 10, CONTENT)
    assert [row[0] for row in rows_of(memory[folder[3]], folder[3])] == ["b", "d"]


def test_equal_trees_have_one_address_whatever_the_order_and_the_umask() -> None:
    files = {"b/x": CONTENT, "a": OTHER, "b/ü": CONTENT}
    memory = Memory()
    first = memory.stored(files)
    assert memory.stored(dict(reversed(files.items())), 0o600) == first
    assert memory.stored(files, 0o755) != first
    assert [entry.path for entry in flattened(memory.__getitem__, first)] == ["a", "b/x", "b/ü"]


NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: name not in (b".", b"..") and b"/" not in name and b"\0" not in name
)


@given(paths=st.sets(st.lists(NAMES, min_size=1, max_size=4).map(b"/".join), min_size=1, max_size=8))
def test_every_name_that_a_file_system_takes_comes_back(paths: set[bytes]) -> None:
    files = {path for path in paths if not any(other.startswith(path + b"/") for other in paths)}
    memory = Memory()
    top = memory.stored({os.fsdecode(path): CONTENT for path in files})
    assert {os.fsencode(entry.path) for entry in flattened(memory.__getitem__, top)} == files


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a//b", "a/./b", "", "a/..", "a\x00b", "a/", "\ud800"])
def test_a_tree_names_only_paths_inside_itself(path: str) -> None:
    with pytest.raises(BadInput):
        Memory().stored({path: CONTENT})


def test_one_path_is_one_file() -> None:
    entry = Entry("a", 0o644, 1, CONTENT)
    with pytest.raises(BadInput, match="twice"):
        store_tree(Memory().put, [entry, entry])
    with pytest.raises(BadInput, match="twice"):
        Memory().stored({"a": CONTENT, "a/b": CONTENT})


@pytest.mark.parametrize(
    "rows",
    [
        [["../../x", 420, 1, CONTENT]],
        [["a/b", 420, 1, CONTENT]],
        [["..", FOLDER, 1, CONTENT]],
        [["a", 420, 1, CONTENT], ["a", 420, 1, OTHER]],
        [["a", 420, 1]],
        [["a", "x", 1, CONTENT]],
        {"a": 1},
        7,
    ],
)
def test_a_forged_node_is_refused_before_anybody_writes(tmp_path: Path, rows: object) -> None:
    objects = Objects(tmp_path / "objects")
    forged = objects.put_bytes(json.dumps(rows).encode())
    with pytest.raises(Damaged):
        objects.tree(forged)


def test_an_empty_tree_has_no_files() -> None:
    memory = Memory()
    assert flattened(memory.__getitem__, memory.stored({})) == ()
