"""Portable SQL: one text for SQLite and PostgreSQL, with ``:name`` parameters. Used by the two engines."""

from __future__ import annotations

import re
from functools import lru_cache

_TOKEN = re.compile(r"'(?:[^']|'')*'|::|:([A-Za-z_][A-Za-z0-9_]*)|%")


@lru_cache(maxsize=512)
def pyformat(sql: str) -> str:
    """Return ``sql`` with its ``:name`` parameters in psycopg's form, literals left alone."""

    def replace(match: re.Match[str]) -> str:
        if match.group(1):
            return f"%({match.group(1)})s"
        return match.group(0).replace("%", "%%")

    return _TOKEN.sub(replace, sql)


def statements(script: str) -> list[str]:
    """Return the statements of a migration script: separated by a semicolon at a line's end."""
    lines = [line for line in script.splitlines() if not line.lstrip().startswith("--")]
    return [part.strip() for part in re.split(r";\s*(?:\n|$)", "\n".join(lines)) if part.strip()]
