"""Gates: how a test decides when a notebook that waits may go on."""

from __future__ import annotations

from pathlib import Path


class Gates:
    """The files for which waiting notebooks wait."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def open(self, *numbers: int) -> None:
        for number in numbers:
            (self.folder / str(number)).touch()
