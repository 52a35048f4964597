"""The storage: where a remote keeps its files, a folder or an object store. Used by ``RemoteObjects``.

A file is there whole or not at all. Names come checked from ``remote.py``; nothing else is ever opened.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import os
import re
import secrets
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from ...errors import BadInput, Failed, MLOpsError, Unreachable, close_matches
from ..durable import make_durable

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+)://")
_NAME = re.compile(r"[A-Za-z0-9_.%\-]+(/[A-Za-z0-9_.%\-]+)*")
# these refuse a second file of one name themselves; for others, fsspec looks first and writes then
_EXCLUSIVE = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "memory")
_EXTRAS = {
    "s3": "jupyter-mlops[s3]",
    "s3a": "jupyter-mlops[s3]",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "az": "adlfs",
}
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_NOTHING_THERE = ("InvalidRange", "416")
_STALE_SECONDS = 86_400
_RACERS = 4
_PATIENCE, _SLOWEST = 60.0, 128 << 10  # seconds, and bytes a second
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@dataclass(frozen=True, slots=True)
class Kept:
    """One file of a storage: its name, its size, and a tag that changes with its content."""

    name: str
    size: int
    tag: str


class Storage(Protocol):
    """What a remote needs of the place where it is. All of it may be called from several threads."""

    url: str
    exclusive: bool

    def files(self, folder: str) -> list[Kept]:
        """Return every file below ``folder``."""

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return a file or a part of it; raises ``FileNotFoundError``."""

    def write(self, name: str, data: bytes) -> None:
        """Make ``data`` the content of ``name``."""

    def create(self, name: str, data: bytes) -> bool:
        """Make ``data`` the content of ``name`` unless there is such a file; return whether it was made."""

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""

    def begin(self) -> None:
        """Make the storage's folder where there is none yet."""

    def abort(self) -> None:
        """End what other threads have under way."""


def storage_at(url: str) -> Storage:
    """Return the storage at a URL or path; raises ``BadInput`` for what can be none."""
    check_url(url)
    scheme = _SCHEME.match(url)
    if scheme is None:
        return Folder(Path(url).expanduser())
    if scheme.group(1).lower() in ("file", "local"):
        return Folder(Path(unquote(urlsplit(url).path)))
    return Bucket(url, scheme.group(1).lower())


def check_url(url: str) -> None:
    """Raise ``BadInput`` for a URL with a password, or one that no storage can have."""
    if not url.strip() or any(ord(letter) < 32 or ord(letter) == 127 for letter in url):
        raise BadInput("a remote needs a URL or a path", "such as s3://bucket/prefix or /mnt/share/data")
    if _SCHEME.match(url) is None:
        if "::" in url:
            raise BadInput(f"{url!r} is no address of a remote", "name one place, such as s3://bucket/prefix")
        return
    parts = urlsplit(url)
    # whatever stands there is not repeated, it may be a secret
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise BadInput(
            "a remote's URL must not hold a user, a password or a query",
            "credentials come from the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    if "::" in url:
        raise BadInput(f"{url!r} is no address of a remote", "name one place, such as s3://bucket/prefix")
    if parts.scheme.lower() in ("file", "local"):
        if parts.netloc not in ("", "localhost") or not parts.path.strip("/"):
            # file://../remote is the folder /remote of a machine called ..
            raise BadInput(f"{url!r} names no folder of this machine", "give a plain path, such as ../remote")
    elif not parts.netloc:
        raise BadInput(f"{url!r} names no bucket", "such as s3://bucket/prefix")


def is_exclusive(storage: Storage) -> bool:
    """Return whether of several who create one file at once exactly one succeeds, found out by trying."""
    if not storage.exclusive:
        return False
    name = f"probe/{secrets.token_hex(8)}"
    try:
        with ThreadPoolExecutor(_RACERS) as pool:
            made = list(pool.map(lambda at: storage.create(name, b"%d" % at), range(_RACERS)))
        late = storage.create(name, b"late")
        return made.count(True) == 1 and not late and storage.read(name) == b"%d" % made.index(True)
    finally:
        storage.remove(name)


class Folder:
    """A storage in a folder of this machine, or of one that is mounted."""

    exclusive = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder if folder.is_absolute() else Path.cwd() / folder
        self.url = str(self.folder)

    def begin(self) -> None:
        """Make the folder, in one that is there."""
        with self._said("cannot be made"):
            if not self.folder.parent.is_dir():
                raise Unreachable(f"there is no folder {self.folder.parent}", "is its disk or share mounted?")
            self.folder.mkdir(exist_ok=True)
            make_durable(self.folder.parent)

    def files(self, folder: str) -> list[Kept]:
        """Return every regular file below ``folder``."""
        with self._said("cannot be read"):
            return list(self._walked(self._path(folder), folder))

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return a file or a part of it."""
        with self._said("cannot be read"):
            # a pipe put in its place must not keep us waiting, and a link must not lead us elsewhere
            flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
            descriptor = os.open(self._path(name), flags | getattr(os, "O_BINARY", 0))
            with open(descriptor, "rb", buffering=0) as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise FileNotFoundError(errno.ENOENT, "no regular file", name)
                file.seek(start)
                return _all(file, None if end is None else end - start)

    def write(self, name: str, data: bytes) -> None:
        """Make ``data`` the content of ``name``, durably."""
        with self._said("cannot be written"), self._temporary(name, data) as (temporary, path):
            temporary.replace(path)
            make_durable(path.parent)

    def create(self, name: str, data: bytes) -> bool:
        """Make ``data`` the content of ``name`` unless there is such a file."""
        with self._said("cannot be written"), self._temporary(name, data) as (temporary, path):
            try:
                os.link(temporary, path)  # unlike a rename, it never replaces what is there
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                if not _written_new(path, data):
                    return False
            make_durable(path.parent)
            return True

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        with self._said("cannot be written"), suppress(FileNotFoundError):
            self._path(name).unlink()

    def abort(self) -> None:
        """Nothing here takes long."""

    def _path(self, name: str) -> Path:
        return self.folder / checked(name)

    def _walked(self, folder: Path, name: str) -> Iterator[Kept]:
        try:
            with os.scandir(folder) as entries:
                found = list(entries)
        except FileNotFoundError:
            return
        for entry in found:
            there = f"{name}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from self._walked(folder / entry.name, there)
            elif entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    yield Kept(there, status.st_size, f"{status.st_size}-{status.st_mtime_ns}")

    @contextmanager
    def _temporary(self, name: str, data: bytes) -> Iterator[tuple[Path, Path]]:
        """Lend ``data`` as a durable file beside the target's folder, and the target's path."""
        path = self._path(name)
        if not path.parent.is_dir():
            if not self.folder.is_dir():
                raise Unreachable(f"there is no folder {self.folder}", "is its disk or share mounted?")
            path.parent.mkdir(parents=True, exist_ok=True)
            for made in path.relative_to(self.folder).parents:
                make_durable(self.folder / made)
        parent = self.folder / "tmp"
        parent.mkdir(exist_ok=True)
        temporary = parent / secrets.token_hex(8)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _sweep(parent, temporary)
            yield temporary, path
        finally:
            with suppress(OSError):
                temporary.unlink()

    @contextmanager
    def _said(self, what: str) -> Iterator[None]:
        try:
            yield
        except (MLOpsError, FileNotFoundError):
            raise
        except OSError as error:
            raise Failed(
                f"the remote {self.url} {what}: {error.strerror or error}",
                "check its free space and who may write there, and repeat; what was moved counts",
            ) from error


class Bucket:
    """A storage that fsspec reaches: S3 and what speaks its language, Google, Azure and others."""

    def __init__(self, url: str, scheme: str) -> None:
        self.url = url.rstrip("/")
        self.exclusive = scheme in _EXCLUSIVE
        self._running: set[concurrent.futures.Future[Any]] = set()
        self._guard = threading.Lock()
        with self._said():
            self._system, root = _system(self.url, scheme)
        self._root = root.rstrip("/")

    def begin(self) -> None:
        """A prefix needs no making."""

    def files(self, folder: str) -> list[Kept]:
        """Return every file below ``folder``."""
        with self._said():
            self._system.invalidate_cache()
            try:
                found = self._call("find", f"{self._root}/{checked(folder)}", detail=True)
            except FileNotFoundError:
                return []
        kept = []
        for path, told in found.items():
            _, under, rest = f"/{str(path).lstrip('/')}".partition(f"/{self._root.lstrip('/')}/{folder}/")
            if under and told.get("type") == "file":
                size = int(told.get("size") or 0)
                tag = next((str(told[key]) for key in _TAGS if told.get(key)), "")
                kept.append(Kept(f"{folder}/{rest}", size, f"{size}-{tag}"))
        return kept

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return a file or a part of it."""
        with self._said():
            if start == 0 and end is None:
                return bytes(self._call("cat_file", self._path(name)))
            try:
                return bytes(self._call("cat_file", self._path(name), start=start, end=end))
            except OSError as error:
                if _says(error, _NOTHING_THERE):
                    return b""
                raise

    def write(self, name: str, data: bytes) -> None:
        """Make ``data`` the content of ``name``."""
        with self._said(), self._in_place():
            self._call("pipe_file", self._path(name), data)

    def create(self, name: str, data: bytes) -> bool:
        """Make ``data`` the content of ``name`` unless there is such a file."""
        with self._said(), self._in_place():
            try:
                self._call("pipe_file", self._path(name), data, mode="create")
            except Exception as error:
                if isinstance(error, FileExistsError) or _says(error, _TAKEN):
                    return False
                raise
            return True

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        with self._said(), suppress(FileNotFoundError):
            self._call("rm_file", self._path(name))

    def abort(self) -> None:
        """End the requests that other threads wait for."""
        with self._guard:
            running = list(self._running)
        for future in running:
            future.cancel()

    def _path(self, name: str) -> str:
        return f"{self._root}/{checked(name)}"

    def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the file system; what is asynchronous inside can be ended by ``abort``.

        A connection that stands still is given up, because a network that went away may never say so.
        """
        system = self._system
        if not getattr(system, "async_impl", False):
            return getattr(system, method)(*arguments, **options)
        future = asyncio.run_coroutine_threadsafe(
            getattr(system, f"_{method}")(*arguments, **options), system.loop
        )
        with self._guard:
            self._running.add(future)
        size = max((len(each) for each in arguments if isinstance(each, bytes)), default=0)
        size = max(size, (options.get("end") or 0) - (options.get("start") or 0))
        try:
            return future.result(timeout=_PATIENCE + size / _SLOWEST)
        except BaseException:
            future.cancel()
            raise
        finally:
            with self._guard:
                self._running.discard(future)

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise Failed(f"there is no place {self.url}: {_first(error)}", "make the bucket first") from error

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Say in one line what a client said in its own way."""
        try:
            yield
        except (MLOpsError, FileNotFoundError):
            raise
        except TimeoutError:
            raise Unreachable(
                f"the remote {self.url} does not answer any more",
                "check the network, and repeat; what was moved counts",
            ) from None
        except concurrent.futures.CancelledError:
            raise Unreachable(
                f"the transfer to {self.url} was ended", "repeat it; what was moved counts"
            ) from None
        except PermissionError as error:
            raise Failed(
                f"the remote {self.url} refuses: {_first(error)}",
                "check the credentials in the environment, and what they may do there",
            ) from error
        except Exception as error:
            if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
                raise Failed(
                    f"there are no credentials for {self.url}",
                    "set them in the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                ) from error
            raise Unreachable(
                f"the remote {self.url} does not answer: {_first(error)}",
                "check the network and the address, and repeat; what was moved counts",
            ) from error


_TAGS = (
    "ETag",
    "etag",
    "md5Hash",
    "content_md5",
    "mtime",
    "LastModified",
    "last_modified",
    "created",
    "updated",
)


def checked(name: str) -> str:
    """Return ``name``, which stays inside the storage; nobody but us makes such names."""
    if not _NAME.fullmatch(name) or any(part in (".", "..") for part in name.split("/")):
        raise BadInput(f"{name!r} is no file of a remote")
    return name


def _system(url: str, scheme: str) -> tuple[Any, str]:
    import fsspec
    from fsspec.registry import known_implementations

    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if scheme in ("s3", "s3a"):
        options["config_kwargs"] = {
            "connect_timeout": 5,
            "read_timeout": 20,
            "retries": {"mode": "standard", "total_max_attempts": 2},
            "max_pool_connections": 16,
        }
    try:
        system, root = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        package = _EXTRAS.get(scheme)
        hint = f"pip install '{package}'" if package else str(error)
        raise Failed(f"{scheme}:// needs a package that is not installed", hint) from error
    except ValueError as error:
        if scheme in known_implementations:
            raise BadInput(f"{url} is no address of a remote: {_first(error)}") from error
        known = ("s3", "gs", "abfs", "file", *known_implementations)
        raise BadInput(
            f"nothing here knows {scheme}://",
            close_matches(scheme, known, "use s3://…, gs://…, abfs://… or a path"),
        ) from error
    if hasattr(system, "retries"):
        system.retries = 2  # of s3fs; the client below it tries again by itself
    return system, str(root)


def _says(error: BaseException, codes: tuple[str, ...]) -> bool:
    """Whether a server answered with one of ``codes``; what was raised has its answer as a cause."""
    told: BaseException | None = error
    while told is not None:
        answer = getattr(told, "response", None)
        if isinstance(answer, dict) and str(answer.get("Error", {}).get("Code")) in codes:
            return True
        told = told.__cause__ or told.__context__
    return False


def _first(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def _all(file: Any, size: int | None) -> bytes:
    if size is None:
        return bytes(file.read())
    parts, left = [], size
    while left > 0 and (piece := file.read(left)):
        parts.append(piece)
        left -= len(piece)
    return b"".join(parts)


def _written_new(path: Path, data: bytes) -> bool:
    """Write a file that must not be there yet, where there are no hard links; a torn one fails its check."""
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return False
    return True


def _sweep(folder: Path, mine: Path) -> None:
    """Remove what killed processes left a day ago, by the clock of whoever keeps the folder."""
    now = mine.stat().st_mtime
    for other in folder.iterdir():
        with suppress(OSError):
            if now - other.stat().st_mtime > _STALE_SECONDS:
                other.unlink()
