"""The pen: appends the metric points of one run from one process to a file. Used by ``ActiveRun``.

A file has one writer, and it is made of records of 32 bytes, so none crosses a page: what a killed process or
a full disk leaves of a write ends between two records. The reader is ``Journal``; the one byte it writes, in
the first record, says that the run has ended. The pen reads it after each write: what was acknowledged was
written before the file was read for the last time. Once in a second, and at the end, it makes sure that the
file is still where its reader looks for it.
"""

from __future__ import annotations

import errno
import os
import secrets
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...errors import MLOpsError, StoreFailed
from ..plain import checked_name, measured, whole

RECORD = 32
CLOSED_AT = 4
HEADER = b"mlpj" + bytes(RECORD - CLOSED_AT)
_OPEN = HEADER[: CLOSED_AT + 1]
_LOOK_SECONDS = 1.0
# what it is, whether a step was given, which name, step, value, seconds since 1970
POINT = struct.Struct("<HHIqdd")
# what it is, bytes of the name, which number it gets; the name follows, filled up to whole records
NAME = struct.Struct("<HHI")
IS_POINT, IS_NAME = 0x7074, 0x6D6E
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Pen:
    """Writes points of one run. Its owner lets one thread at a time use it and tells it of a fork."""

    __slots__ = (
        "_check",
        "_clock",
        "_closed",
        "_descriptor",
        "_folder",
        "_looked",
        "_names",
        "_on_open",
        "_path",
        "_run",
    )

    def __init__(
        self,
        folder: Path,
        run: str,
        clock: Callable[[], float],
        check: Callable[[Callable[[], object] | None], None],
        on_open: Callable[[], None],
    ) -> None:
        """Write points of ``run`` to a new file in ``folder``.

        ``check(then)`` raises if the run has ended; else it calls ``then``, if any, at a moment when nobody
        can end it.
        """
        self._folder = folder
        self._run = run
        self._clock = clock
        self._check = check
        self._on_open = on_open
        self.forked()

    def forked(self) -> None:
        """Begin anew with a file of one's own: the one so far belongs to the parent process."""
        self._descriptor = -1
        self._path = ""
        self._closed = True  # whoever has no file looks closer
        self._looked = 0.0
        self._names: dict[str, int] = {}

    def one(self, key: str, value: Any, step: int | None) -> float:
        """Append one point and return its value; when it returns, the point survives the process."""
        if self._closed:
            self._reopen()
        number = self._names.get(key) if type(key) is str else None
        if type(value) is not float:
            value = measured(value, checked_name(key, "a metric"))
        if number is None:
            return self.several({key: value}, step)[key]
        at, given = (0, 0) if step is None else (whole(step), 1)
        seconds = self._clock()
        self._write(POINT.pack(IS_POINT, given, number, at, value, seconds), seconds)
        return value  # type: ignore[no-any-return]  # measured above

    def several(self, values: Mapping[str, Any], step: int | None) -> dict[str, float]:
        """Append one point of each metric, all at ``step``, and return the values."""
        read = {checked_name(key, "a metric"): measured(value, key) for key, value in values.items()}
        at, given = (0, 0) if step is None else (whole(step), 1)
        if read:
            if self._closed:
                self._reopen()
            fresh: dict[str, int] = {}
            for key in read:
                if key not in self._names:
                    fresh[key] = len(self._names) + len(fresh)
            numbers = {**self._names, **fresh} if fresh else self._names
            seconds = self._clock()
            records = [_name(key, number) for key, number in fresh.items()]
            records += [
                POINT.pack(IS_POINT, given, numbers[key], at, value, seconds) for key, value in read.items()
            ]
            self._write(b"".join(records), seconds)
            self._names = numbers
        return read

    def close(self) -> None:
        """Write no more."""
        if self._descriptor >= 0:
            with suppress(OSError, MLOpsError):  # a run that has ended needs none of it
                if os.pread(self._descriptor, len(_OPEN), 0) == _OPEN:
                    self._put_back()
            os.close(self._descriptor)
        self.forked()  # another point would have to open a file, and that looks at the run first

    def _write(self, records: bytes, seconds: float) -> None:
        try:
            written = os.write(self._descriptor, records)
            said = os.pread(self._descriptor, len(_OPEN), 0)
        except OSError as error:
            raise _translated(error, self._folder) from error
        if written != len(records):
            # the disk took the beginning; names in it are not known here, so it must not stay
            end = os.lseek(self._descriptor, -written, os.SEEK_CUR)
            os.ftruncate(self._descriptor, end)
            raise _translated(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), self._folder)
        if said == _OPEN and abs(seconds - self._looked) < _LOOK_SECONDS:
            return
        self._looked = seconds
        try:
            if said[CLOSED_AT:] == b"\1":
                self._closed = True
                self._reopen()
            elif said != _OPEN:
                self._begin_anew(records)
            self._put_back()
        except OSError as error:
            raise _translated(error, self._folder) from error

    def _put_back(self) -> None:
        """Write what was written anew, where somebody deleted the file."""
        if os.fstat(self._descriptor).st_nlink:
            return
        self._check(None)
        deleted = self._descriptor
        made = _created(self._path)  # of the same name: how far it is taken is known by that
        try:
            at = 0
            while data := os.pread(deleted, 1 << 20, at):
                at += os.write(made, data)
        except BaseException:
            os.close(made)
            os.unlink(self._path)
            raise
        self._descriptor = made
        os.close(deleted)

    def _begin_anew(self, records: bytes) -> None:
        """Go on in another file, where somebody emptied this one: its reader says that something is lost."""
        emptied, names = self._descriptor, self._names
        os.ftruncate(emptied, 0)
        self._open()
        os.close(emptied)
        self._names = names
        anew = b"".join(_name(key, number) for key, number in names.items()) + records
        if os.write(self._descriptor, anew) != len(anew):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _reopen(self) -> None:
        """Make sure that the run still runs, and open the file if it is not open yet."""
        if self._descriptor < 0:
            self._open()
        else:  # if nothing raises, who wanted to end it did not come to that
            self._check(lambda: os.pwrite(self._descriptor, b"\0", CLOSED_AT))
            self._closed = False

    def _open(self) -> None:
        path = f"{self._folder}/{file_name(self._run)}"
        descriptor = -1
        try:
            descriptor = _created(path)
            if os.write(descriptor, HEADER) != RECORD:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            # whoever ends the run looks for files before and after: one of us sees the other
            self._check(None)
        except BaseException as error:
            if descriptor >= 0:
                os.close(descriptor)
                os.unlink(path)
            if isinstance(error, OSError):
                raise _translated(error, self._folder) from error
            raise
        self._closed = False
        self._descriptor = descriptor
        self._path = path
        self._on_open()


def file_name(run: str) -> str:
    """Return the name of a file of one process; no folder for each run: to make one takes milliseconds."""
    return f"{run}.{os.getpid()}-{secrets.token_hex(4)}"


def run_of(name: str) -> str:
    """Return the run that a file of this name belongs to."""
    return name.partition(".")[0]


def make_folder(folder: Path) -> None:
    """Make the folder of journals; what stands in its place is set aside."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        folder.rename(folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.damaged"))
        folder.mkdir(exist_ok=True)


def _created(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except (FileNotFoundError, NotADirectoryError):
        make_folder(Path(path).parent)
        return os.open(path, flags, 0o600)


def _name(key: str, number: int) -> bytes:
    text = key.encode()
    record = NAME.pack(IS_NAME, len(text), number) + text
    return record + bytes(-len(record) % RECORD)


def _translated(error: OSError, folder: Path) -> StoreFailed:
    if error.errno in _FULL:
        return StoreFailed(
            "the metric could not be kept: the disk is full",
            "free some space and go on; what was logged before is kept",
        )
    return StoreFailed(
        f"the metric could not be kept: {error.strerror or error}", f"check that you may write in {folder}"
    )
