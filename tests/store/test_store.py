"""The store keeps every acknowledged write, and its history cannot be altered unseen."""

from __future__ import annotations

import errno
import multiprocessing
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from jupyter_mlops.errors import BadInput, Failed, MLOpsError, StoreFailed, Unreachable
from jupyter_mlops.store import Store, migrations
from jupyter_mlops.store.portable import pyformat, statements
from jupyter_mlops.store.sqlite import SQLiteEngine, refuse_network_file_system

PROCESSES, TRANSACTIONS = 8, 200


@pytest.fixture
def url(store_url: str, tmp_path: Path) -> str:
    return store_url or str(tmp_path / "store.sqlite")


@pytest.fixture
def store(url: str):
    store = Store(url)
    yield store
    store.close()


def _count_up(url: str, times: int) -> None:
    store = Store(url)
    for _ in range(times):
        with store.write("worker", "local") as tx:
            row = tx.one("SELECT seq FROM cursors WHERE name = 'counter'")
            tx.execute("UPDATE cursors SET seq = :seq WHERE name = 'counter'", seq=row["seq"] + 1)
            tx.event("counted", "counter", value=row["seq"] + 1)
    store.close()


def test_eight_processes_lose_no_update(store: Store, url: str) -> None:
    with store.bookkeeping() as tx:
        tx.insert("cursors", name="counter", seq=0)
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_count_up, args=(url, TRANSACTIONS)) for _ in range(PROCESSES)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * PROCESSES
    assert store.cursor("counter") == PROCESSES * TRANSACTIONS
    report = store.verify()
    assert report.ok
    assert report.entries == PROCESSES * TRANSACTIONS


def test_a_change_without_its_event_is_refused_and_undone(store: Store) -> None:
    with pytest.raises(Failed, match="must append its event"), store.write("ann", "local") as tx:
        tx.insert("cursors", name="x", seq=1)
    assert store.cursor("x") == 0


def test_an_exception_undoes_everything(store: Store) -> None:
    def changes_his_mind() -> None:
        with store.write("ann", "local") as tx:
            tx.insert("cursors", name="x", seq=1)
            tx.event("tried", "x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        changes_his_mind()
    assert store.cursor("x") == 0
    assert list(store.events()) == []


def test_a_write_inside_a_write_is_refused(store: Store) -> None:
    with store.write("ann", "local") as tx:
        tx.event("outer", "x")
        with pytest.raises(Failed, match="inside another write"), store.write("ann", "local"):
            pass


def test_events_are_read_in_order_and_by_subject(store: Store) -> None:
    for number in range(5):
        with store.write("ann", "slack") as tx:
            tx.event("done", "even" if number % 2 == 0 else "odd", number=number, text="naïve ☃ <b>%s :x")
    assert [event.data["number"] for event in store.events(about="even")] == [0, 2, 4]
    assert [event.seq for event in store.events(since=3)] == [4, 5]
    event = next(store.events())
    assert (event.actor, event.proof, event.verb) == ("ann", "slack", "done")
    assert event.data["text"] == "naïve ☃ <b>%s :x"


def test_nobody_acts_without_a_name(store: Store) -> None:
    with pytest.raises(MLOpsError), store.write("", "local") as tx:
        tx.event("done", "x")


def test_a_follower_s_cursor_only_moves_forward(store: Store) -> None:
    for seq in (3, 7, 5):
        with store.bookkeeping() as tx:
            store.advance(tx, "bot", seq)
    assert store.cursor("bot") == 7
    assert store.cursor("somebody else") == 0


def test_events_and_votes_refuse_to_be_changed(store: Store) -> None:
    with store.write("ann", "local") as tx:
        tx.event("done", "x")
    for statement in ("UPDATE events SET actor = 'eve'", "DELETE FROM events"):
        with pytest.raises(StoreFailed, match="append-only"), store.bookkeeping() as tx:
            tx.execute(statement)


@pytest.mark.parametrize(
    ("tampering", "fault"),
    [
        ("UPDATE events SET actor = 'eve' WHERE seq = 2", "entry 2 was altered"),
        ("UPDATE events SET data = '{\"n\":9}' WHERE seq = 3", "entry 3 was altered"),
        ("DELETE FROM events WHERE seq = 2", "entry 2 is missing"),
        ("DELETE FROM events WHERE seq = 4", "should end at entry 4"),
        ("UPDATE events SET seq = -2 WHERE seq = 2", "entry 2 is missing"),
    ],
)
def test_tampering_behind_the_store_s_back_is_found(tmp_path: Path, tampering: str, fault: str) -> None:
    store = Store(tmp_path / "store.sqlite")
    for number in range(4):
        with store.write("ann", "local") as tx:
            tx.event("done", "x", n=number)
    assert store.verify().ok
    store.close()
    with sqlite3.connect(tmp_path / "store.sqlite") as raw:
        for trigger in ("events_no_update", "events_no_delete"):
            raw.execute(f"DROP TRIGGER {trigger}")
        raw.execute(tampering)
    raw.close()
    store = Store(tmp_path / "store.sqlite")
    report = store.verify()
    store.close()
    assert not report.ok
    assert fault in report.fault


def test_two_processes_may_open_a_fresh_store_at_once(url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_open_and_close, args=(url,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]


def _open_and_close(url: str) -> None:
    Store(url).close()


def test_a_store_of_a_newer_version_is_refused(store: Store, url: str) -> None:
    with store.bookkeeping() as tx:
        tx.insert("migrations", component="jupyter_mlops", number=9_999, at=store.now())
    with pytest.raises(StoreFailed, match="newer version"):
        Store(url)


def test_an_unreachable_server_is_one_clear_line() -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        Store("postgresql://nobody@127.0.0.1:1/nothing")


def test_a_folder_that_does_not_exist_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match="check that"):
        Store(tmp_path / "missing" / "store.sqlite")


def test_network_file_systems_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"36 35 98:0 / {tmp_path} rw,noatime - nfs4 server:/home rw\n"
    monkeypatch.setattr(Path, "read_text", lambda self, *a, **k: line)
    with pytest.raises(BadInput, match="network file system"):
        refuse_network_file_system(tmp_path / "inside")


def test_portable_sql_keeps_literals() -> None:
    translated = "SELECT 'a:b 100%%' WHERE x = %(x)s AND y LIKE %(y)s"
    assert pyformat("SELECT 'a:b 100%' WHERE x = :x AND y LIKE :y") == translated
    assert statements("-- note\nA (\n x);\nB;\n") == ["A (\n x)", "B"]


def test_what_keeps_the_file_from_being_used_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SQLiteEngine(tmp_path / "store.sqlite")
    engine.serialised = True
    monkeypatch.setattr("fcntl.flock", _raising(OSError(errno.EROFS, "Read-only file system")))
    with pytest.raises(StoreFailed, match="Read-only file system") as refused:
        engine.connect()
    assert "may write there" in refused.value.hint
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    assert "free some space" in engine.translated(sqlite3.OperationalError("disk I/O error")).hint


def _raising(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_what_versions_kept_of_their_tables_becomes_descriptions(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    folder = Path(migrations.__file__).parent
    old = sqlite3.connect(path)
    for statement in statements((folder / "0001_first.sql").read_text("utf-8")):
        old.execute(statement)
    old.execute("CREATE TABLE migrations (component TEXT, number BIGINT, at TEXT)")
    old.execute("INSERT INTO migrations VALUES ('jupyter_mlops', 1, 'then')")
    old.execute("INSERT INTO datasets VALUES ('d', '[]', 'then', 'ann')")
    types = '[["a","int64"]]'
    for number, digest, columns in ((1, "b3:x", types), (2, "b3:y", "[]"), (3, "b3:x", types)):
        rows = 5 if columns == types else None
        old.execute(
            "INSERT INTO versions VALUES ('d', ?, ?, 'file', 1, 9, ?, ?, '[]', '{}', '[]', '', 'then', 'a')",
            (number, digest, rows, columns),
        )
    old.commit()
    old.close()
    store = Store(path)
    kept = store.all("SELECT content, reading, row_count FROM descriptions")
    assert [tuple(row.values()) for row in kept] == [("b3:x", types, 5)]
    readings = store.all("SELECT reading FROM versions ORDER BY number")
    assert [row["reading"] for row in readings] == [types, "", types]
    store.close()
