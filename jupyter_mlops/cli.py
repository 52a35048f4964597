"""The command line: parses, calls the verb, shows its value, turns errors into one line."""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

import click

from .commands import Session, command_tree
from .errors import MLOpsError

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> None:
    """Run ``mlops`` with ``arguments`` (else the process's) and exit with the outcome's status."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    session = Session()
    try:
        tree = command_tree()
        value = tree.main(arguments, prog_name="mlops", standalone_mode=False, obj=session)
        if not isinstance(value, int) and value is not None:
            _show(value, session)
        sys.stdout.flush()
        return session.status
    except click.exceptions.Exit as wanted:
        return wanted.exit_code
    except click.UsageError as error:
        return _fail(error.format_message(), _usage_hint(error), 2, session)
    except (click.Abort, KeyboardInterrupt):
        return _fail(
            "interrupted",
            "what was recorded is kept; the same command goes on from there",
            INTERRUPTED,
            session,
        )
    except MLOpsError as error:
        return _fail(error.message, error.hint, error.exit_status, session, error)
    except BrokenPipeError:
        # whoever read our output has enough; keep Python from complaining while it shuts down
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return session.status
    except OSError as error:
        return _fail(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "), "", 3, session)
    finally:
        session.close()


def _show(value: Any, session: Session) -> None:
    if session.as_json:
        click.echo(json.dumps(value.to_dict(), ensure_ascii=False, indent=2, default=str))
        return
    from .views import print_view, view

    print_view(view(value))


def _fail(message: str, hint: str, status: int, session: Session, error: MLOpsError | None = None) -> int:
    if session.debug:
        traceback.print_exc()
    if session.as_json and error is not None:
        click.echo(json.dumps({"error": error.to_dict()}, ensure_ascii=False), err=True)
    else:
        click.echo(f"mlops: {message}" + (f" — {hint}" if hint else ""), err=True)
    return status


def _usage_hint(error: click.UsageError) -> str:
    return f"see `{error.ctx.command_path} --help`" if error.ctx is not None else "see `mlops --help`"
