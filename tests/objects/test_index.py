"""The index only says again what the packs say: whatever becomes of it, nothing is lost or wrong."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_mlops.errors import Conflict, Damaged
from jupyter_mlops.objects import Objects
from jupyter_mlops.objects.blob import raw_digest
from jupyter_mlops.objects.packs.pack import RECIPE, pack_path

BIG = os.urandom(400_000) + bytes(400_000)


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "objects")


def packs(objects: Objects) -> list[Path]:
    return sorted((objects.folder / "packs").rglob("*.pack"))


def without_index(objects: Objects) -> None:
    for path in objects.folder.glob("index.sqlite*"):
        path.unlink()


def garbled(objects: Objects) -> None:
    without_index(objects)
    (objects.folder / "index.sqlite").write_bytes(b"this is no database, whatever its name says" * 100)


def emptied(objects: Objects) -> None:
    without_index(objects)
    (objects.folder / "index.sqlite").touch()


def outdated(objects: Objects) -> None:
    connection = sqlite3.connect(objects.folder / "index.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def torn(objects: Objects) -> None:
    connection = sqlite3.connect(objects.folder / "index.sqlite")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    path = objects.folder / "index.sqlite"
    whole = path.read_bytes()
    without_index(objects)
    path.write_bytes(whole[: len(whole) // 2])


@pytest.mark.parametrize("harm", [without_index, garbled, emptied, outdated, torn])
@pytest.mark.parametrize("alive", [True, False], ids=["same process", "later"])
def test_a_lost_or_broken_index_is_made_again(
    objects: Objects, harm: Callable[[Objects], None], alive: bool
) -> None:
    small, big = objects.put_bytes(b"small"), objects.put_bytes(BIG)
    before = objects.stored()
    if not alive:
        objects = Objects(objects.folder)
    harm(objects)
    assert objects.read(small) == b"small"
    assert objects.read(big) == BIG
    assert objects.stored() == before
    assert objects.put_bytes(BIG) == big
    assert objects.stored() == before
    assert objects.put_bytes(b"more") != small
    assert objects.stored().packs == before.packs + 1


FULL = """
import resource, signal, sys
from jupyter_mlops.errors import StoreFailed
from jupyter_mlops.objects import Objects
from jupyter_mlops.objects.packs import index_file

class Waits(Exception):
    pass

def sleep(seconds):
    raise Waits

index_file.time.sleep = sleep
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
try:
    Objects(sys.argv[1]).read(sys.argv[2])
except StoreFailed as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="the size of files is limited with setrlimit")
def test_an_index_that_cannot_be_made_says_so_without_waiting(objects: Objects) -> None:
    kept = objects.put_bytes(b"kept")
    without_index(objects)
    told = subprocess.run(
        [sys.executable, "-c", FULL, objects.folder, kept], capture_output=True, text=True, timeout=120
    )
    assert "index of the stored bytes cannot be used" in told.stdout, told.stderr
    assert "free space" in told.stdout
    assert objects.read(kept) == b"kept"


def test_packs_that_no_index_knows_are_taken_in(objects: Objects, tmp_path: Path) -> None:
    other = Objects(tmp_path / "other")
    digest = other.put_bytes(BIG)
    objects.put_bytes(b"mine")
    shutil.copytree(other.folder / "packs", objects.folder / "packs", dirs_exist_ok=True)
    assert objects.has(digest)
    assert objects.read(digest) == BIG
    count = len(packs(objects))
    objects.put_bytes(BIG)
    assert len(packs(objects)) == count


def test_of_a_pack_with_a_torn_end_the_whole_records_are_used(objects: Objects) -> None:
    with objects.batch() as batch:
        first, second = batch.put_bytes(os.urandom(5000)), batch.put_bytes(os.urandom(5000))
    (pack,) = packs(objects)
    pack.write_bytes(pack.read_bytes()[:7000])
    without_index(objects)
    assert len(objects.read(first)) == 5000
    with pytest.raises(Damaged):
        objects.read(second)


def test_a_missing_pack_is_named_and_what_is_left_is_read(objects: Objects) -> None:
    lost, kept = objects.put_bytes(b"lost"), objects.put_bytes(b"kept")
    place = objects.index.find(raw_digest(lost))
    assert place is not None
    pack_path(objects.folder, place.pack).unlink()
    with pytest.raises(Damaged, match=f"missing.*{place.pack[:12]}"):
        objects.read(lost)
    assert objects.missing((lost, kept)) == {lost}
    assert objects.read(kept) == b"kept"
    assert objects.put_bytes(b"lost") == lost
    assert objects.read(lost) == b"lost"


def test_an_index_that_leads_astray_is_made_again(objects: Objects) -> None:
    with objects.batch() as batch:
        one, two = batch.put_bytes(b"one" * 100), batch.put_bytes(b"two" * 100)
    objects.read(one)
    connection = sqlite3.connect(objects.folder / "index.sqlite")
    rows = dict(connection.execute("SELECT digest, offset FROM blob"))
    connection.execute(
        "UPDATE blob SET offset = ? WHERE digest = ?", (rows[raw_digest(two)], raw_digest(one))
    )
    connection.commit()
    connection.close()
    assert objects.read(one) == b"one" * 100
    assert objects.index.spoiled() == ()
    assert objects.read(two) == b"two" * 100


def test_of_bytes_kept_twice_the_sound_ones_are_read(objects: Objects) -> None:
    digest = objects.put_bytes(BIG)
    (old,) = packs(objects)
    with objects.batch(replace=True) as batch:
        batch.put_bytes(b"something else")
        batch.put_bytes(BIG)
    (new,) = set(packs(objects)) - {old}
    assert {place.pack for _, place in objects.index.every()} == {new.stem}
    new.write_bytes(new.read_bytes()[:300_000])
    assert objects.read(digest) == BIG
    old.unlink()
    assert digest in objects.missing((digest,))


def test_forgotten_packs_give_way_to_others_that_hold_the_same(objects: Objects) -> None:
    digest = objects.put_bytes(BIG)
    (old,) = packs(objects)
    with objects.batch(replace=True) as batch:
        batch.put_bytes(BIG[:10])
        batch.put_bytes(BIG)
    (new,) = set(packs(objects)) - {old}
    new.unlink()
    objects.index.forget([new.stem])
    assert objects.read(digest) == BIG
    assert [row.name for row in objects.index.packs()] == [old.stem]


def test_what_a_batch_relies_on_must_still_be_there(objects: Objects) -> None:
    digest = raw_digest(objects.put_bytes(b"data"))
    objects.index.publish((), [digest])
    with pytest.raises(Conflict, match="repeat"):
        objects.index.publish((), [digest, bytes(32)])


def test_the_index_tells_what_is_where(objects: Objects) -> None:
    digest = objects.put_bytes(BIG)
    (pack,) = packs(objects)
    places = dict(objects.index.every())
    chunks = objects.chunks(digest)
    assert sum(size for _, size in chunks) == len(BIG)
    assert places.keys() == {raw_digest(each) for each, _ in chunks} | {raw_digest(digest)}
    assert places == objects.index.places(pack.stem) == objects.index.many(list(places))
    assert objects.index.has([*places, bytes(32)]) == places.keys()
    assert places[raw_digest(digest)].kind == RECIPE
    assert objects.index.find(bytes(32)) is None
    objects.index.verified([pack.stem], 12.5)
    (row,) = objects.index.packs()
    assert (row.name, row.size, row.verified) == (pack.stem, pack.stat().st_size, 12.5)
    objects.index.rebuild()
    (row,) = objects.index.packs()
    assert (row.size, row.verified) == (pack.stat().st_size, 12.5)


def _in_child(objects: Objects, digest: str) -> None:
    if objects.read(digest) != BIG:
        raise SystemExit(1)
    objects.put_bytes(b"from the child")


# a fork among threads is what this is about
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_store_can_be_used_after_a_fork(objects: Objects) -> None:
    digest = objects.put_bytes(BIG)
    child = multiprocessing.get_context("fork").Process(target=_in_child, args=(objects, digest))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert objects.read(objects.put_bytes(b"from the child")) == b"from the child"
    assert len(packs(objects)) == 2


def test_many_threads_share_a_store(objects: Objects) -> None:
    wrong: list[str] = []

    def work(number: int) -> None:
        try:
            for turn in range(5):
                data = f"{number}/{turn}".encode() * 5000
                if objects.read(objects.put_bytes(data)) != data:
                    wrong.append("something else came back")
        except Exception as error:
            wrong.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
