"""The settings of a chunk store: how it cuts, hashes and compresses. Written once, read ever after.

Equal content has equal chunks only while nobody changes them, so they belong to the store, not to the version
of this package.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import StoreFailed
from .durable import make_durable, make_folder, storing

FORMAT = 1
NAME = "config.json"
_OLD = re.compile(r"[0-9a-f]{2}")
_KNOWN = {"format", "chunker", "small", "hash", "codec"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Sizes of chunks, the size up to which a file is one chunk, and how hard chunks are compressed."""

    minimum: int = 16_384
    average: int = 65_536
    maximum: int = 262_144
    normalization: int = 1
    seed: int = 0
    small: int = 65_536
    level: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as they are written."""
        return {
            "format": FORMAT,
            "chunker": {
                "name": "fastcdc2020",
                "min": self.minimum,
                "average": self.average,
                "max": self.maximum,
                "normalization": self.normalization,
                "seed": self.seed,
            },
            "small": self.small,
            "hash": "blake3",
            "codec": {"name": "zstd", "level": self.level},
        }


def settings_of(folder: Path, *, write: bool = False) -> Settings:
    """Return the settings of the store in ``folder``, those of a new one where there is none.

    With ``write``, a new store gets them for good. Raises ``StoreFailed`` for a store that this version of
    the package does not understand.
    """
    path = folder / NAME
    try:
        return parsed_settings(path.read_bytes(), str(path))
    except FileNotFoundError:
        _refuse_old(folder)
    except OSError as error:
        raise StoreFailed(
            f"{path} cannot be read: {error.strerror or error}", "check who may read it"
        ) from error
    settings = Settings()
    if write:
        with storing():
            make_folder(folder)
            _written_once(path, encoded_settings(settings))
        return settings_of(folder)  # somebody else may have been first
    return settings


def encoded_settings(settings: Settings) -> bytes:
    """Return ``settings`` as they stand in the file."""
    return (json.dumps(settings.to_dict(), indent=1) + "\n").encode()


def parsed_settings(data: bytes, where: str) -> Settings:
    """Return the settings written in ``data``, found at ``where``."""
    try:
        document = json.loads(data)
        chunker, codec = document["chunker"], document["codec"]
        known = (
            document["format"] == FORMAT
            and set(document) <= _KNOWN
            and chunker["name"] == "fastcdc2020"
            and document["hash"] == "blake3"
            and codec["name"] == "zstd"
        )
        settings = Settings(
            int(chunker["min"]),
            int(chunker["average"]),
            int(chunker["max"]),
            int(chunker["normalization"]),
            int(chunker["seed"]),
            int(document["small"]),
            int(codec["level"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise StoreFailed(
            f"{where} is damaged", "restore it from a remote or a colleague's project"
        ) from error
    if not known:
        raise StoreFailed(
            f"{where} was written by a newer version of jupyter-mlops",
            "upgrade with `pip install -U jupyter-mlops`",
        )
    return settings


def _written_once(path: Path, data: bytes) -> None:
    import os

    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        temporary.write_bytes(data)
        make_durable(temporary)
        try:
            os.link(temporary, path)  # unlike a rename, it leaves alone what another process wrote meanwhile
        except FileExistsError:
            return
        except OSError:
            temporary.replace(path)  # no hard links on this file system
        make_durable(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _refuse_old(folder: Path) -> None:
    try:
        old = any(_OLD.fullmatch(each.name) for each in folder.iterdir())
    except FileNotFoundError:
        return
    if old:
        raise StoreFailed(
            f"{folder} was written by a version of jupyter-mlops from before the chunk store",
            "check the data out with that version and commit it to a new project",
        )
