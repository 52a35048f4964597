"""A batch keeps each content once, in little memory, and whatever goes wrong leaves a store that is whole."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from jupyter_mlops.errors import BadInput, Conflict, Damaged, StoreFailed
from jupyter_mlops.objects import Batch, Blob, Entry, Objects
from jupyter_mlops.objects import durable as durable_module
from jupyter_mlops.objects.blob import digest_of, raw_digest
from jupyter_mlops.objects.packs.pack import CHUNK, PackWriter, head_of, pack_path, record


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "objects")


def packs(objects: Objects) -> list[Path]:
    return sorted((objects.folder / "packs").rglob("*.pack"))


def rows(count: int, seed: int = 0) -> bytes:
    numbers = random.Random(seed)
    return b"".join(b"%d,%d,%.6f\n" % (i, numbers.randrange(10**9), numbers.random()) for i in range(count))


def run(script: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        check=check,
        text=True,
        capture_output=True,
        timeout=120,
    )


# -- what is kept


def test_rows_inserted_in_the_middle_cost_little_more_than_themselves(objects: Objects) -> None:
    table = rows(100_000)
    objects.put_bytes(table)
    before = objects.stored()
    middle = table.index(b"\n", len(table) // 2) + 1
    changed = table[:middle] + rows(1000, seed=1) + table[middle:]
    digest = objects.put_bytes(changed)
    assert objects.read(digest) == changed
    assert objects.stored().raw - before.raw < 0.15 * len(table)


def test_what_does_not_compress_is_kept_raw_and_what_does_is_small(objects: Objects) -> None:
    objects.put_bytes(os.urandom(1_000_000))
    assert objects.stored().stored < 1_005_000
    before = objects.stored().stored
    objects.put_bytes(rows(30_000))
    assert objects.stored().stored - before < 0.6 * len(rows(30_000))


def test_many_files_at_once_are_the_same_as_one_by_one(objects: Objects, tmp_path: Path) -> None:
    contents = [b"", b"x", b"same", os.urandom(4096), b"same", bytes(4096), rows(20_000), os.urandom(65_536)]
    contents += [b"%d" % number * (number % 50) for number in range(1500)]
    paths = []
    for number, content in enumerate(contents):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(content)
        paths.append(path)
    done: list[int] = []
    with objects.batch() as batch:
        blobs = batch.put_files(paths, done.append)
    assert blobs == [Blob(digest_of(content), len(content)) for content in contents]
    assert sum(done) == sum(map(len, contents))
    assert [objects.read(blob.digest) for blob in blobs] == contents
    assert dict(objects.read_small({blob.digest for blob in blobs})) == {
        digest_of(content): content for content in contents if len(content) <= 65_536
    }
    other = Objects(tmp_path / "other")
    assert [other.put_file(path) for path in paths[:8]] == blobs[:8]


def test_among_many_files_what_is_no_file_is_refused_by_name(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name, kind in (("pipe", "a pipe"), ("link", "a symbolic link")):
        with pytest.raises(BadInput, match=f"{name} is {kind}"), objects.batch() as batch:
            batch.put_files([tmp_path / "file", tmp_path / name])
    assert packs(objects) == []


def test_records_are_copied_as_they_are(objects: Objects, tmp_path: Path) -> None:
    table = rows(20_000)
    digest = objects.put_bytes(table)
    other = Objects(tmp_path / "other")
    needed = {each for each, _ in objects.chunks(digest)} | {digest}
    with other.batch() as batch:
        for each in sorted(needed):
            assert batch.put_record(objects.record(each)) == (each,)
    assert other.read(digest) == table
    assert other.stored().raw == objects.stored().raw


def test_a_record_that_lies_is_not_stored(objects: Objects) -> None:
    lie = record(CHUNK, 0, 4, b"data", [(raw_digest(digest_of(b"else")), 4)])
    with pytest.raises(Damaged, match="something else"), objects.batch() as batch:
        batch.put_record(lie)
    cut = record(CHUNK, 0, 4, b"data", [(raw_digest(digest_of(b"data")), 4)])[:-1]
    with pytest.raises(Damaged, match="cut off"), objects.batch() as batch:
        batch.put_record(cut)
    assert packs(objects) == []


def test_a_recipe_makes_a_file_of_chunks(objects: Objects) -> None:
    with objects.batch() as batch:
        parts = [(batch.put_chunk(part), len(part)) for part in (b"a" * 200_000, b"b" * 100_000)]
        digest = batch.put_recipe(digest_of(b"a" * 200_000 + b"b" * 100_000), 300_000, parts)
        with pytest.raises(BadInput, match="do not make"):
            batch.put_recipe(digest, 300_001, parts)
    assert objects.read(digest) == b"a" * 200_000 + b"b" * 100_000
    assert objects.chunks(digest) == tuple(parts)
    assert objects.size(digest) == 300_000


def test_a_recipe_that_makes_something_else_is_noticed_at_the_end(objects: Objects) -> None:
    with objects.batch() as batch:
        parts = [(batch.put_chunk(part), len(part)) for part in (b"a" * 200, b"b" * 100)]
        digest = batch.put_recipe(digest_of(b"promised"), 300, parts)
    with pytest.raises(Damaged):
        objects.read(digest)
    with pytest.raises(Damaged), objects.open(digest) as file:
        file.read()
    with pytest.raises(Damaged), objects.lent(digest):
        pass


def test_a_tree_may_name_what_is_put_in_the_same_batch_only(objects: Objects) -> None:
    with objects.batch() as batch:
        digest = batch.put_bytes(b"new")
        assert batch.has(digest)
        assert not objects.has(digest)
        tree = batch.put_tree([Entry("new", 0o644, 3, digest)])
    assert [entry.digest for entry in objects.tree(tree)] == [digest]


def test_replacing_stores_again_and_reads_from_the_new_place(objects: Objects) -> None:
    digest = objects.put_bytes(b"data")
    old = objects.index.find(raw_digest(digest))
    with objects.batch(replace=True) as batch:
        batch.put_bytes(b"data")
        batch.put_bytes(b"more")
    new = objects.index.find(raw_digest(digest))
    assert old is not None
    assert new is not None
    assert new.pack != old.pack
    assert [pack.name for pack in batch.packs] == [new.pack]


def test_packs_stay_below_their_limit(objects: Objects) -> None:
    with objects.batch() as batch:
        for _ in range(70):
            batch.put_bytes(os.urandom(1 << 20))
    sizes = sorted(path.stat().st_size for path in packs(objects))
    assert len(sizes) == 3
    assert sizes[-1] <= 64 << 20
    assert sizes[1] >= 32 << 20


# -- in little memory

MEASURE = """
import resource, sys
from pathlib import Path
from jupyter_mlops.objects import Objects
objects = Objects(sys.argv[1])
objects.put_bytes(b"everything is imported")
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
blob = objects.put_file(sys.argv[2])
stored = peak() - before
objects.write_to(blob.digest, Path(sys.argv[3]), 0o644)
print(stored, peak() - before)
"""


def test_memory_does_not_grow_with_the_file(objects: Objects, tmp_path: Path) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        for _ in range(24):
            file.write(os.urandom(10 << 20))
    stored, read = map(int, run(MEASURE, objects.folder, source, tmp_path / "out").stdout.split())
    assert (stored < 150, read < 80) == (True, True), (stored, read)
    assert (tmp_path / "out").stat().st_size == source.stat().st_size


# -- several at once


def test_two_processes_store_the_same_content_at_once(objects: Objects, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(rows(60_000))
    script = textwrap.dedent("""
        import sys
        from jupyter_mlops.objects import Objects
        sys.stdin.readline()
        objects = Objects(sys.argv[1])
        for _ in range(3):
            print(objects.put_file(sys.argv[2]).digest)
    """)
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(objects.folder), str(source)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for each in both:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    said = [each.communicate(timeout=120) for each in both]
    assert [each.returncode for each in both] == [0, 0, 0], said
    (digest,) = {line for out, _ in said for line in out.split()}
    assert objects.read(digest) == source.read_bytes()
    assert objects.index.spoiled() == ()


def test_garbage_is_not_collected_while_somebody_commits(objects: Objects) -> None:
    with objects.holding(), objects.batch() as batch:
        batch.put_bytes(b"data")
        with pytest.raises(Conflict, match="a commit is running"), objects.excluding(wait=0):
            pass
    with objects.excluding(wait=0):
        pass


def test_a_commit_waits_for_a_collection_to_end(objects: Objects) -> None:
    objects.put_bytes(b"first")
    done = threading.Event()

    def commit() -> None:
        objects.put_bytes(b"second")
        done.set()

    thread = threading.Thread(target=commit)
    with objects.excluding(wait=0):
        thread.start()
        assert not done.wait(0.2)
    thread.join(30)
    assert done.is_set()


def test_old_packs_that_are_used_again_are_young_again(objects: Objects) -> None:
    objects.put_bytes(b"data" * 1000)
    (pack,) = packs(objects)
    os.utime(pack, (1, 1))
    objects.put_bytes(b"data" * 1000)
    assert packs(objects) == [pack]
    assert pack.stat().st_mtime > 1


# -- when something goes wrong


def test_a_failed_fsync_is_never_tried_again(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    objects.put_bytes(b"before")
    asked: list[int] = []

    def failing(descriptor: int) -> None:
        asked.append(descriptor)
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(durable_module.os, "fsync", failing)
        with pytest.raises(StoreFailed, match="Input/output error"):
            objects.put_bytes(b"during")
    assert len(asked) == 1
    assert not objects.has(digest_of(b"during"))
    assert len(packs(objects)) == 1
    assert list((objects.folder / "tmp").iterdir()) == []
    assert objects.read(objects.put_bytes(b"during")) == b"during"


FULL = """
import resource, signal, sys
from jupyter_mlops.errors import StoreFailed
from jupyter_mlops.objects import Objects
objects = Objects(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    objects.put_file(sys.argv[2])
except StoreFailed as error:
    print(error)
"""


@pytest.mark.parametrize("room", [0, 10, 5_000, 3_000_000])
def test_where_nothing_more_can_be_written_nothing_is_changed(
    objects: Objects, tmp_path: Path, room: int
) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(6 << 20))
    kept = objects.put_bytes(rows(5000))
    before = objects.stored()
    said = run(FULL, objects.folder, source, room).stdout
    assert "nothing was changed" in said or "cannot be used" in said, said
    assert len(said.strip().splitlines()) == 1
    assert objects.stored() == before
    assert objects.read(kept) == rows(5000)
    assert objects.read(objects.put_file(source).digest) == source.read_bytes()
    assert list((objects.folder / "tmp").iterdir()) == []


def _interrupted(batch: Batch, source: Path) -> None:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if done > 76 << 20:
            raise KeyboardInterrupt

    batch.put_file(source, advance)


def test_an_interrupted_commit_is_clean_and_the_next_one_uses_what_it_stored(
    objects: Objects, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(80 << 20))
    with pytest.raises(KeyboardInterrupt), objects.batch() as batch:
        _interrupted(batch, source)
    first = packs(objects)
    assert first
    assert list((objects.folder / "tmp").iterdir()) == []
    for path in objects.folder.glob("index.sqlite*"):
        path.unlink()  # as if it had been killed before they were made known
    stored = sum(path.stat().st_size for path in first)
    blob = objects.put_file(source)
    added = sum(path.stat().st_size for path in set(packs(objects)) - set(first))
    assert set(first) < set(packs(objects))
    assert stored + added < 1.02 * (80 << 20)
    assert digest_of(objects.read(blob.digest)) == blob.digest


KILLED = """
import os, sys
from jupyter_mlops.objects import Objects
fuse = int(sys.argv[2])
def fused(name):
    call = getattr(os, name)
    def burning(*arguments, **named):
        global fuse
        fuse -= 1
        if fuse == 0:
            os._exit(137)
        return call(*arguments, **named)
    setattr(os, name, burning)
for name in ("fsync", "replace", "link", "mkdir", "open", "unlink", "rmdir", "utime", "fstat", "close"):
    fused(name)
objects = Objects(sys.argv[1])
for number in range(3):
    with objects.batch() as batch:
        digests = [batch.put_bytes(b"%d" % number * 50_000), batch.put_bytes(os.urandom(100_000))]
    print(*digests, flush=True)
"""


@pytest.mark.parametrize("step", range(3))
def test_whatever_was_acknowledged_survives_a_kill(tmp_path: Path, step: int) -> None:
    killed = 0
    for number in range(1 + step, 160, 12):
        objects = Objects(tmp_path / str(number))
        died = run(KILLED, objects.folder, number, check=False)
        killed += died.returncode == 137
        for digest in died.stdout.split():
            assert digest_of(objects.read(digest)) == digest
        again = objects.put_bytes(b"1" * 50_000)
        assert objects.read(again) == b"1" * 50_000
        assert list((objects.folder / "tmp").iterdir()) == []
    assert killed > 3


def test_what_a_pack_loses_while_it_is_relied_upon_is_stored_again(objects: Objects) -> None:
    data = os.urandom(300_000)
    digest = objects.put_bytes(data)
    (pack,) = packs(objects)
    pack.write_bytes(pack.read_bytes()[:150_000])
    assert objects.put_bytes(data) == digest
    assert objects.read(digest) == data


def test_a_pack_that_looks_whole_is_believed_until_it_is_read(objects: Objects) -> None:
    digest = objects.put_bytes(b"data" * 5000)
    place = objects.index.find(raw_digest(digest))
    assert place is not None
    path = pack_path(objects.folder, place.pack)
    whole = bytearray(path.read_bytes())
    head = head_of(whole, place.offset)
    whole[place.offset + head.length + 3] ^= 1
    path.write_bytes(whole)
    assert objects.has(digest)
    with pytest.raises(Damaged, match=f"{digest[:15]}.*pack {place.pack[:12]}…, byte {place.offset}"):
        objects.read(digest)
    assert not objects.has(digest)
    with pytest.raises(Damaged, match="are damaged"):
        objects.read(digest)
    assert objects.read(objects.put_bytes(b"data" * 5000)) == b"data" * 5000


def _put_in_spite_of_an_error(objects: Objects, data: bytes, patch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise OSError(28, "No space left on device")

    whole = record(CHUNK, 0, len(data), data, [(raw_digest(digest_of(data)), len(data))])
    with objects.batch() as batch:
        patch.setattr(PackWriter, "add", failing)
        with pytest.raises(StoreFailed, match="No space left"):
            batch.put_record(whole)
        patch.undo()
        batch.put_record(whole)


def test_a_batch_that_lost_something_never_ends_as_if_it_had_not(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreFailed, match="repeat the whole command"):
        _put_in_spite_of_an_error(objects, b"data", monkeypatch)
    assert not objects.has(digest_of(b"data"))


def test_a_refused_record_can_be_put_again_from_elsewhere(objects: Objects) -> None:
    good = record(CHUNK, 0, 4, b"data", [(raw_digest(digest_of(b"data")), 4)])
    lie = record(CHUNK, 0, 4, b"else", [(raw_digest(digest_of(b"data")), 4)])
    with objects.batch() as batch:
        with pytest.raises(Damaged):
            batch.put_record(lie)
        batch.put_record(good)
    assert objects.read(digest_of(b"data")) == b"data"


def test_files_of_every_size_are_worked_on_together(objects: Objects, tmp_path: Path) -> None:
    sizes = [65_536, 65_537, 100_000, 300_000, 1_000_000, 0, 5_000_000, 2_000_000, 70_000, 4 << 20, 10]
    contents = [os.urandom(size // 2) + bytes(size - size // 2) for size in sizes * 3]
    paths = []
    for number, content in enumerate(contents):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(content)
        paths.append(path)
    done: list[int] = []
    with objects.batch() as batch:
        blobs = batch.put_files(paths, done.append)
    assert sum(done) == sum(map(len, contents))
    assert [objects.read(blob.digest) for blob in blobs] == contents
    assert [blob.size for blob in blobs] == list(map(len, contents))
    assert [objects.put_file(path) for path in paths] == blobs
