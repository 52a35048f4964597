"""The bytes of remotes: only what is missing moves, nothing that comes is believed, what was moved counts."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from blake3 import blake3

from jupyter_mlops.errors import BadInput, Damaged, Failed, NotFound, Unreachable
from jupyter_mlops.objects import Entry, Objects
from jupyter_mlops.objects.blob import address
from jupyter_mlops.objects.packs.pack import CHUNK, RECIPE, PackWriter, parsed, recipe_payload, record
from jupyter_mlops.objects.remotes.download import Download
from jupyter_mlops.objects.remotes.remote import RemoteObjects
from jupyter_mlops.objects.remotes.storage import Folder, is_exclusive, storage_at
from jupyter_mlops.objects.remotes.upload import Sent, upload
from jupyter_mlops.objects.tree import store_tree
from tests.buckets import S3Server, s3_server, use

Files = Mapping[str, bytes]


@contextlib.contextmanager
def bar(total: int) -> Iterator[Callable[[int], None]]:
    done = [0]

    def advance(count: int) -> None:
        done[0] += count

    yield advance
    assert done[0] == total  # a bar that ends early or late misleads


class Side:
    """A store with its view of one remote, as a project has it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.objects = Objects(folder / "objects")
        self._folder, self._url = folder / "remotes", url

    @contextlib.contextmanager
    def remote(self) -> Iterator[RemoteObjects]:
        with RemoteObjects(storage_at(self._url), self._folder) as there:
            there.open(begin=True)
            there.refresh()
            there.mend()
            yield there

    def commit(self, files: Files) -> str:
        with self.objects.batch() as batch:
            entries = []
            for path, data in files.items():
                digest = batch.put_bytes(data)
                entries.append(Entry(path, 0o644, len(data), digest))
            return store_tree(batch.put_bytes, entries)

    def push(self, *roots: str) -> Sent:
        with self.remote() as there:
            return upload(there, self.objects, [(root, True) for root in roots], bar)

    def pull(self, *roots: str) -> int:
        with self.remote() as there:
            download = Download(there, self.objects)
            download.fetch([(root, True) for root in roots], bar)
            return download.moved

    def files(self, root: str) -> Files:
        return {entry.path: self.objects.read(entry.digest) for entry in self.objects.tree(root)}


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as started:
        yield started


@pytest.fixture
def bucket(server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    use(server, monkeypatch)
    name = f"bucket-{blake3(str(tmp_path).encode()).hexdigest()[:12]}"
    server.make_bucket(name)
    server.begin_again()
    return f"s3://{name}/team/churn"


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the remote is: a folder, or a bucket for the tests that ask for both."""
    if getattr(request, "param", "folder") == "folder":
        return str(tmp_path / "remote")
    return str(request.getfixturevalue("bucket"))


both = pytest.mark.parametrize("url", ["folder", "s3"], indirect=True)


@pytest.fixture
def ann(tmp_path: Path, url: str) -> Side:
    return Side(tmp_path / "ann", url)


@pytest.fixture
def bo(tmp_path: Path, url: str) -> Side:
    return Side(tmp_path / "bo", url)


def some(size: int, seed: int = 0) -> bytes:
    """Return bytes that do not compress."""
    return random.Random(seed).randbytes(size)


FILES = {
    "a.txt": b"hello",
    "empty.txt": b"",
    "deep/er/b.bin": some(300_000, 1),
    "deep/c.bin": some(70_000, 2),
    **{f"many/{n}.txt": b"%d" % n * 50 for n in range(300)},
}


@both
def test_what_is_pushed_arrives_byte_for_byte(ann: Side, bo: Side) -> None:
    root = ann.commit(FILES)
    assert ann.push(root).bytes > 370_000
    assert bo.pull(root) > 370_000
    assert bo.files(root) == FILES


@both
def test_only_what_is_missing_moves(ann: Side, bo: Side) -> None:
    big = some(3_000_000)
    first = ann.commit({**FILES, "big": big})
    ann.push(first)
    assert ann.push(first) == Sent(0, 0)
    bo.pull(first)
    assert bo.pull(first) == 0
    second = ann.commit({**FILES, "big": big[:1_000_000] + b"inserted" + big[1_000_000:]})
    assert 0 < ann.push(second).bytes < 300_000
    assert 0 < bo.pull(second) < 300_000
    assert bo.files(second)["big"] == big[:1_000_000] + b"inserted" + big[1_000_000:]


def test_what_somebody_else_pushed_need_not_be_pushed_again(ann: Side, bo: Side) -> None:
    root = ann.commit(FILES)
    ann.push(root)
    assert bo.commit(FILES) == root
    assert bo.push(root) == Sent(0, 0)


def test_twenty_thousand_small_files_are_a_handful_of_requests(
    bucket: str, server: S3Server, tmp_path: Path
) -> None:
    ann, bo = Side(tmp_path / "ann", bucket), Side(tmp_path / "bo", bucket)
    root = ann.commit({f"{n % 20}/{n}": some(200, n) for n in range(20_000)})
    ann.push()
    server.begin_again()
    ann.push(root)
    assert server.count("PUT", "POST") <= 8
    assert server.count("GET", "HEAD") <= 8
    server.begin_again()
    bo.pull(root)
    assert len(server.asked) <= 16
    assert len(bo.files(root)) == 20_000


def test_a_remote_that_is_not_there_says_so(tmp_path: Path, bucket: str) -> None:
    for url in (bucket, str(tmp_path / "nowhere")):
        with RemoteObjects(storage_at(url), tmp_path / "known" / url[:2]) as there, pytest.raises(NotFound):
            there.open()
    with pytest.raises(Unreachable, match="mounted"):
        storage_at(str(tmp_path / "not mounted" / "remote")).begin()
    with pytest.raises(Failed, match="bucket"):
        storage_at("s3://no-such-bucket/x").write("a", b"1")


def test_a_remote_that_was_there_and_is_gone_is_not_begun_anew(tmp_path: Path) -> None:
    url = tmp_path / "remote"
    ann = Side(tmp_path / "ann", str(url))
    ann.push(ann.commit({"a": b"1"}))
    url.rename(tmp_path / "unmounted")
    with pytest.raises(Unreachable, match="is not any more"):
        ann.push()
    assert not url.exists()


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:secret@bucket/x",
        "s3://key@bucket/x",
        "https://host/x?token=secret",
        "s3://bucket/x#secret",
        "simplecache::s3://bucket/x",
        "zip://a::s3://bucket",
        "",
        " ",
        "s3://bucket/\n",
        "s4://bucket/x",
    ],
)
def test_an_address_that_can_be_none_is_refused_and_a_secret_in_it_not_repeated(url: str) -> None:
    with pytest.raises(BadInput) as refused:
        storage_at(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "name", ["../x", "packs/../../x", "/etc/passwd", "a//b", "a\\b", "refs/a b", "a/.", ""]
)
def test_no_name_leads_out_of_a_remote(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput):
        Folder(tmp_path).read(name)
    with pytest.raises(BadInput):
        Folder(tmp_path).write(name, b"")


def test_pipes_and_links_in_a_remote_are_not_followed(tmp_path: Path) -> None:
    remote = Folder(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert remote.files("refs") == []
    for name in ("pipe", "link"):
        with pytest.raises((FileNotFoundError, Failed)):
            remote.read(name)


@both
def test_of_several_who_create_one_file_exactly_one_succeeds(url: str) -> None:
    storage = storage_at(url)
    storage.begin()
    assert is_exclusive(storage)
    assert storage.files("probe") == []


def test_a_server_that_ignores_conditions_is_found_out(bucket: str, server: S3Server) -> None:
    server.ignores_conditions = True
    assert not is_exclusive(storage_at(bucket))


def damage(url: str, name: str, change: Callable[[bytes], bytes | None]) -> None:
    """Change a file of a remote behind its back, or remove it."""
    storage = storage_at(url)
    changed = change(storage.read(name))
    storage.remove(name)
    if changed is not None:
        storage.write(name, changed)


def only(url: str, folder: str) -> str:
    (kept,) = storage_at(url).files(folder)
    return kept.name


@pytest.mark.parametrize("at", [20, 70, 2_000, 150_000, 299_990])
def test_a_flipped_byte_in_a_pack_is_named_and_nothing_bad_lands(
    ann: Side, bo: Side, url: str, at: int
) -> None:
    root = ann.commit({"a": some(300_000, 1)})
    ann.push(root)
    pack = only(url, "packs")
    damage(url, pack, lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(Damaged, match=pack):
        bo.pull(root)
    assert not bo.objects.has(root)
    with pytest.raises(Damaged):
        bo.files(root)


@both
@pytest.mark.parametrize("what", ["truncated", "missing"])
def test_a_pack_that_lost_bytes_is_found_and_pushed_again(ann: Side, bo: Side, url: str, what: str) -> None:
    root = ann.commit(FILES)
    ann.push(root)
    change = {"truncated": lambda data: data[:-1000], "empty": lambda data: b"", "missing": lambda data: None}
    damage(url, only(url, "packs"), change[what])
    with pytest.raises(Damaged):
        bo.pull(root)
    assert ann.push(root).packs == 1
    bo.pull(root)
    assert bo.files(root) == FILES


@pytest.mark.parametrize("what", ["flipped", "truncated", "empty", "missing"])
def test_a_lost_index_is_read_from_its_pack_and_written_again(
    ann: Side, bo: Side, url: str, what: str
) -> None:
    root = ann.commit(FILES)
    ann.push(root)
    index = only(url, "index")
    sound = storage_at(url).read(index)
    change = {
        "flipped": lambda data: bytes([data[0] ^ 1]) + data[1:],
        "truncated": lambda data: data[:-1],
        "empty": lambda data: b"",
        "missing": lambda data: None,
    }
    damage(url, index, change[what])
    bo.pull(root)
    assert bo.files(root) == FILES
    assert storage_at(url).read(index) == sound


def planted(side: Side, url: str, records: list[bytes], tmp_path: Path) -> str:
    """Put a well-formed pack of ``records`` into a remote, and return where it is."""
    with side.remote() as there:
        writer = PackWriter(tmp_path / "planted")
        for data in records:
            writer.add(data, (parsed(data)[0],))
        pack = writer.close()
        name = f"packs/{pack.name[:2]}/{pack.name}.pack"
        there.storage.write(name, (tmp_path / "planted").read_bytes())
    return name


def test_a_recipe_that_lies_is_found_out_and_not_kept(ann: Side, bo: Side, url: str, tmp_path: Path) -> None:
    good, evil = some(100_000, 1), some(100_000, 2)
    claimed = blake3(good).digest()
    listed = recipe_payload([(blake3(evil).digest(), len(evil))])
    lie = record(RECIPE, 0, len(listed), listed, [(claimed, len(evil))])
    chunk = record(CHUNK, 0, len(evil), evil, [(blake3(evil).digest(), len(evil))])
    rows = b'[["a",33188,100000,"' + address(claimed).encode() + b'"]]'
    node = record(CHUNK, 0, len(rows), rows, [(blake3(rows).digest(), len(rows))])
    pack = planted(ann, url, [lie, chunk, node], tmp_path)
    with pytest.raises(Damaged, match=pack):
        bo.pull(address(blake3(rows).digest()))
    assert not bo.objects.has(address(claimed))
    bo.commit({"a": good})
    assert bo.objects.read(address(claimed)) == good


def test_a_chunk_that_is_something_else_is_found_out(ann: Side, bo: Side, url: str, tmp_path: Path) -> None:
    wanted, evil = b"wanted", b"evil!!"
    data = record(CHUNK, 0, len(evil), evil, [(blake3(wanted).digest(), len(wanted))])
    pack = planted(ann, url, [data], tmp_path)
    with pytest.raises(Damaged, match=pack):
        bo.pull(address(blake3(wanted).digest()))
    assert not bo.objects.has(address(blake3(wanted).digest()))


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "/etc/passwd", "", "a\\u0000b"])
def test_a_folder_whose_names_lead_elsewhere_is_refused(
    ann: Side, bo: Side, url: str, tmp_path: Path, name: str
) -> None:
    rows = f'[["{name}",33188,1,"{address(blake3(b"1").digest())}"]]'.encode()
    data = record(CHUNK, 0, len(rows), rows, [(blake3(rows).digest(), len(rows))])
    planted(ann, url, [data], tmp_path)
    with pytest.raises(Damaged):
        bo.pull(address(blake3(rows).digest()))


def test_a_damaged_record_comes_from_another_pack_if_one_has_it(
    ann: Side, bo: Side, url: str, tmp_path: Path
) -> None:
    root = ann.commit({"a": some(50_000, 1)})
    ann.push(root)
    first = only(url, "packs")
    digest = ann.objects.tree(root)[0].digest
    planted(ann, url, [ann.objects.record(root), ann.objects.record(digest)], tmp_path)
    damage(url, first, lambda data: data[:5_000] + b"\0" * 1000 + data[6_000:])
    bo.pull(root)
    assert bo.files(root) == {"a": some(50_000, 1)}


def test_a_push_that_was_cut_off_goes_on_where_it_was(bucket: str, server: S3Server, tmp_path: Path) -> None:
    ann, bo = Side(tmp_path / "ann", bucket), Side(tmp_path / "bo", bucket)
    root = ann.commit({f"{n}": some(1_000_000, n) for n in range(24)})
    ann.push()
    puts = []

    def meet(method: str, path: str) -> None:
        if method == "PUT" and "/packs/" in path:
            puts.append(path)
            if len(puts) > 2:
                raise ConnectionError

    server.meet = meet
    with pytest.raises(Unreachable, match="what was moved counts"):
        ann.push(root)
    server.begin_again()
    rest = ann.push(root)
    assert 0 < rest.bytes < 20_000_000
    bo.pull(root)
    assert len(bo.files(root)) == 24


def test_a_push_cut_off_between_pack_and_index_counts(bucket: str, server: S3Server, tmp_path: Path) -> None:
    ann, bo = Side(tmp_path / "ann", bucket), Side(tmp_path / "bo", bucket)
    root = ann.commit(FILES)
    ann.push()

    def meet(method: str, path: str) -> None:
        if method == "PUT" and "/index/" in path:
            raise ConnectionError

    server.meet = meet
    with pytest.raises(Unreachable):
        ann.push(root)
    server.begin_again()
    assert ann.push(root) == Sent(0, 0)
    assert server.count("PUT", part="/index/") == 1
    bo.pull(root)
    assert bo.files(root) == FILES


def test_a_pull_that_was_cut_off_goes_on_where_it_was(bucket: str, server: S3Server, tmp_path: Path) -> None:
    ann, bo = Side(tmp_path / "ann", bucket), Side(tmp_path / "bo", bucket)
    root = ann.commit({f"{n}": some(1_000_000, n) for n in range(60)})
    whole = ann.push(root).bytes
    gets = []

    def meet(method: str, path: str) -> None:
        if method == "GET" and "/packs/" in path:
            gets.append(path)
            if len(gets) > 6:
                raise ConnectionError

    server.meet = meet
    with pytest.raises(Unreachable, match="what was moved counts"):
        bo.pull(root)
    assert not bo.objects.has(root)
    server.begin_again()
    assert 0 < bo.pull(root) < whole - 5_000_000
    assert len(bo.files(root)) == 60


@both
def test_what_is_damaged_here_is_healed_from_there(ann: Side, bo: Side, url: str) -> None:
    root = ann.commit(FILES)
    ann.push(root)
    with bo.remote() as there, bo.objects.batch() as batch:
        wanted = {entry.digest for entry in ann.objects.tree(root)} | {root, address(b"\0" * 32)}
        healed = Download(there, bo.objects).heal(wanted, batch)
    assert healed == wanted - {address(b"\0" * 32)}
    for entry in ann.objects.tree(root):
        assert bo.objects.read(entry.digest) == FILES[entry.path]


def test_what_waits_for_compact_is_compressed_on_its_way(
    ann: Side, bo: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_mlops.objects.packs.intake._HASTY", 1 << 20)
    text = "".join(f"{number},{number * 7 % 1000},row\n" for number in range(400_000)).encode()
    (tmp_path / "big.csv").write_bytes(text)
    with ann.objects.batch() as batch:
        blob = batch.put_file(tmp_path / "big.csv")
        root = store_tree(batch.put_bytes, [Entry("big.csv", 0o644, len(text), blob.digest)])
    assert ann.push(root).bytes < 0.6 * ann.objects.stored().stored
    bo.pull(root)
    assert bo.objects.read(blob.digest) == text
