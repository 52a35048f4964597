"""Bars are for people who look: whole when done, and nothing where nobody does."""

from __future__ import annotations

import io
import sys

import pytest

from jupyter_mlops.datasets import progress as module
from jupyter_mlops.datasets.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_bar_ends_whole_and_a_file_gets_none(
    stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUIET_SECONDS", 0.0)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    shown = stream()
    monkeypatch.setattr(sys, "stderr", shown)
    with progress("copy", 100) as advance:
        advance(30)
        advance(10)
    said = shown.getvalue()
    if stream is Terminal:
        assert "100%" in said
        # and it is wiped away
        assert said.rstrip("\r").endswith(" ")
    else:
        assert said == ""
