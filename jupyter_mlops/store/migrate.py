"""Migrations: numbered portable SQL, applied once and in order. Used when a store is opened."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StoreFailed
from .portable import statements

if TYPE_CHECKING:
    from .store import Store

_APPLIED = """CREATE TABLE IF NOT EXISTS migrations (
  component TEXT NOT NULL, number BIGINT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (component, number))"""
_SAME_MOMENT = 7_245_318  # any constant: two processes that open a fresh database wait for each other


def migrate(store: Store, component: str, package: str) -> None:
    """Bring ``component``'s tables up to date from the numbered ``*.sql`` files of ``package``.

    A line ``-- append-only: TABLE`` makes that table refuse UPDATE and DELETE, a line ``-- full text: TABLE``
    makes the table of full text. All of it is one transaction.
    """
    spec = find_spec(package)
    folders = (spec and spec.submodule_search_locations) or ()
    scripts = sorted(
        (int(path.name.split("_")[0]), path) for folder in folders for path in Path(folder).glob("*.sql")
    )
    latest = scripts[-1][0]
    if _current(store, component) == latest:
        return
    with store.schema_change(_SAME_MOMENT) as execute:
        execute(_APPLIED)
        current = _current(store, component)
        if current > latest:
            raise StoreFailed(
                f"the store was written by a newer version of {component} ({current}, known: {latest})",
                "pip install --upgrade jupyter-mlops",
            )
        for number, path in scripts:
            if number <= current:
                continue
            script = path.read_text("utf-8")
            for statement in statements(script):
                execute(statement)
            for line in script.splitlines():
                if line.startswith("-- append-only: "):
                    for statement in store.engine.protect(line.removeprefix("-- append-only: ").strip()):
                        execute(statement)
                if line.startswith("-- full text: "):
                    for statement in store.dialect.full_text(line.removeprefix("-- full text: ").strip()):
                        execute(statement)
            execute(
                "INSERT INTO migrations (component, number, at) VALUES (:component, :number, :at)",
                component=component,
                number=number,
                at=store.now(),
            )


def _current(store: Store, component: str) -> int:
    if not store.has_table("migrations"):
        return 0
    row = store.one(
        "SELECT MAX(number) AS number FROM migrations WHERE component = :component", component=component
    )
    return int(row["number"] or 0) if row else 0
