"""The server engine: PostgreSQL through psycopg. Used by ``Store`` when its URL says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import BadConfig, MLOpsError, StoreFailed, Unreachable
from .dialect import PostgreSQLDialect
from .portable import pyformat


class PostgreSQLEngine:
    """Opens connections to one PostgreSQL database and frames its write transactions."""

    dialect = PostgreSQLDialect()
    row_lock = " FOR UPDATE"

    def __init__(self, url: str) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise BadConfig(
                "the store is PostgreSQL, and psycopg is not installed",
                "pip install 'jupyter-mlops[postgres]'",
            ) from error
        self._psycopg = psycopg
        self.url = url

    def connect(self) -> Any:
        from psycopg.rows import dict_row

        try:
            return self._psycopg.connect(self.url, autocommit=True, row_factory=dict_row, connect_timeout=10)
        except self._psycopg.Error as error:
            raise self.translated(error) from error

    def close(self, connection: Any) -> None:
        connection.close()

    def execute(self, connection: Any, sql: str, parameters: Mapping[str, Any]) -> Any:
        try:
            return connection.execute(pyformat(sql), dict(parameters))
        except self._psycopg.Error as error:
            raise self.translated(error) from error

    def dicts(self, connection: Any, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        return list(self.execute(connection, sql, parameters).fetchall())

    def tuples(self, connection: Any, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        from psycopg.rows import tuple_row

        try:
            with connection.cursor(row_factory=tuple_row) as cursor:
                found: list[tuple[Any, ...]] = cursor.execute(pyformat(sql), dict(parameters)).fetchall()
                return found
        except self._psycopg.Error as error:
            raise self.translated(error) from error

    def execute_many(self, connection: Any, sql: str, rows: Sequence[Mapping[str, Any]]) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.executemany(pyformat(sql), [dict(row) for row in rows])
        except self._psycopg.Error as error:
            raise self.translated(error) from error

    @contextmanager
    def transaction(self, connection: Any, *, chained: bool) -> Iterator[None]:
        """Frame a write; a chained one holds the chain's head row, so writers of facts take turns."""
        try:
            with connection.transaction():
                if chained:
                    connection.execute("SELECT seq FROM chain WHERE id = 1 FOR UPDATE")
                yield
        except self._psycopg.Error as error:
            raise self.translated(error) from error

    def protect(self, table: str) -> list[str]:
        """Return the statements that make ``table`` append-only."""
        return [
            f"CREATE FUNCTION {table}_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$",
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {table}_is_append_only()",
        ]

    def translated(self, error: Exception) -> MLOpsError:
        text = " ".join(str(error).split())
        if isinstance(error, self._psycopg.OperationalError):
            return Unreachable(
                f"the PostgreSQL store does not answer: {text}", "check MLOPS_STORE and the server"
            )
        return StoreFailed(f"the PostgreSQL store refused a statement: {text}")
