"""The command line: parses, calls the verb, shows its value, turns errors into one line."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
import traceback
from typing import Any

_SIGNALLED = 128  # what shells add to the number of the signal that ended a command
_INTERRUPTED = "mlops: interrupted\n"

try:
    import click

    from .commands import Session, tree_for
    from .errors import MLOpsError, told
except KeyboardInterrupt:  # before there is anything to stop
    sys.stderr.write(_INTERRUPTED)
    sys.exit(_SIGNALLED + signal.SIGINT)

_HINTS = {
    errno.ENOENT: "check the path",
    errno.EACCES: "check who may read and write there",
    errno.EPERM: "check who may read and write there",
    errno.EROFS: "it cannot be written there; name another folder",
    errno.ENOSPC: "free some space and repeat",
}


class _Ended(KeyboardInterrupt):
    """A signal that asks the process to end, which then ends as with Ctrl-C: runs are recorded as stopped."""

    number: int = signal.SIGINT


def main(arguments: list[str] | None = None) -> None:
    """Run ``mlops`` with ``arguments`` (else the process's) and exit with the outcome's status."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores one
            signal.signal(number, _end)
    if sys.stdout is None:  # closed by whoever started us
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 stays open as long as we live
    try:
        status = run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:  # a second one, while the first was being heeded
        sys.stderr.write(_INTERRUPTED)
        status = _SIGNALLED + signal.SIGINT
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    session = Session()
    try:
        tree = tree_for(arguments)
        value = tree.main(arguments, prog_name="mlops", standalone_mode=False, obj=session)
        if not isinstance(value, int) and value is not None:
            _show(value, session)
        sys.stdout.flush()
        return session.status
    except click.exceptions.Exit as wanted:
        return wanted.exit_code
    except click.UsageError as error:
        return _fail(error.format_message(), _usage_hint(error), 2, session)
    except (click.Abort, KeyboardInterrupt) as stopped:
        chain = (stopped, stopped.__cause__)
        number = next((e.number for e in chain if isinstance(e, _Ended)), signal.SIGINT)
        # what was interrupted knows best how it goes on
        notes = [note for e in chain for note in getattr(e, "__notes__", ())]
        return _fail("interrupted", "; ".join(notes) or session.interrupted, _SIGNALLED + number, session)
    except MLOpsError as error:
        return _fail(error.message, error.hint, error.exit_status, session, error)
    except BrokenPipeError:
        # whoever read our output has enough; keep Python from complaining while it shuts down
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return session.status
    except OSError as error:
        said = f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
        return _fail(said, _HINTS.get(error.errno or 0, ""), 3, session)
    finally:
        session.close()


def _show(value: Any, session: Session) -> None:
    if session.as_json:
        click.echo(json.dumps(value.to_dict(), ensure_ascii=False, indent=2, default=str))
        return
    from .views import print_view, view

    print_view(view(value))


def _end(number: int, _: Any) -> None:
    signal.signal(number, signal.SIG_DFL)  # a second one ends at once
    ended = _Ended()
    ended.number = number
    raise ended


def _fail(message: str, hint: str, status: int, session: Session, error: MLOpsError | None = None) -> int:
    if session.debug:
        traceback.print_exc()
    with contextlib.suppress(OSError):  # where nobody listens, the status still tells
        if session.as_json and error is not None:
            click.echo(json.dumps({"error": error.to_dict()}, ensure_ascii=False), err=True)
        else:
            click.echo(f"mlops: {told(message, hint)}", err=True)
    return status


def _usage_hint(error: click.UsageError) -> str:
    return f"see `{error.ctx.command_path} --help`" if error.ctx is not None else "see `mlops --help`"
