"""An S3 server for tests: moto's, on a loopback port, which counts what it is asked and can fail."""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

Reply = Iterable[bytes]
WRITES = ("PUT", "POST")


class S3Server:
    """Moto's server with an ear: ``asked`` are the requests so far.

    ``ignores_conditions`` makes it one of those that accept ``If-None-Match`` and do as they like. ``meet``
    is called with the method and path of each request before it is served; a ``ConnectionError`` it raises
    cuts the connection in the middle of the body.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.ignores_conditions = False
        self.meet: Callable[[str, str], None] = lambda method, path: None
        self._guard = threading.Lock()
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        inner: Any = self._server._server
        self._app, inner.app = inner.app, self._serve

    def make_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        request = urllib.request.Request(f"{self.url}/{name}", method="PUT")
        with urllib.request.urlopen(request, timeout=30):
            pass

    def count(self, *methods: str, part: str = "") -> int:
        """Return how many requests there were so far with one of the methods, and ``part`` in the path."""
        return sum(method in methods and part in path for method, path in self.asked)

    def begin_again(self) -> None:
        """Forget what was asked and how to fail."""
        with self._guard:
            self.asked.clear()
        self.ignores_conditions = False
        self.meet = lambda method, path: None

    def close(self) -> None:
        """Stop serving."""
        self._server.stop()

    def _serve(self, environ: dict[str, Any], start: Callable[..., Any]) -> Reply:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        with self._guard:
            self.asked.append((method, path))
        if self.ignores_conditions:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        try:
            self.meet(method, path)
        except ConnectionError:
            if method in WRITES:
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0) // 2)
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise
        return self._app(environ, start)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Lend a running server."""
    server = S3Server()
    try:
        yield server
    finally:
        server.close()


def use(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process, and those it starts, take ``server`` for Amazon's."""
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)


def environment(server: S3Server) -> dict[str, str]:
    """Return the variables by which clients find ``server``."""
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }
