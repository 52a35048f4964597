"""The skops format: estimators as JSON and arrays, read through the allow-list only. By ``ModelStore``."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Damaged, UnsafeModel

_SCHEMA = "schema.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MOST_MEMBERS = 1_000_000


def dumps(estimator: Any) -> bytes:
    """Return ``estimator`` in skops form; equal estimators give equal bytes.

    Raises ``UnsafeModel`` for what cannot be stored without pickle.
    """
    import skops.io

    try:
        written = skops.io.dumps(estimator)
    except Exception as error:  # any attribute of any estimator may fail in its own way
        raise UnsafeModel(
            f"this {type(estimator).__name__} cannot be stored without pickle: {_line(error)}",
            "replace the part that it names by a class or function of a module",
        ) from error
    return _repeatable(written)


def refuse_what_is_not_allowed(data: bytes, allowed: Iterable[str]) -> None:
    """Raise ``UnsafeModel`` if ``data`` holds types beyond skops' own defaults and ``allowed``.

    The message names them, and the hint is the line of mlops.toml that allows them. What lives in
    ``__main__`` or has no name is refused whatever is allowed: nobody else could load it.
    """
    allowed = tuple(allowed)
    special = _types_beyond_defaults(data)
    nameless = [name for name in special if "<lambda>" in name or "<locals>" in name]
    if nameless:
        raise UnsafeModel(
            f"the model holds {', '.join(nameless)}, which has no name to load it by",
            "move it to a function or class at the top of a module and import it from there",
        )
    at_home = [name for name in special if name.startswith(("__main__.", "__mp_main__."))]
    if at_home:
        names = ", ".join(name.partition(".")[2] for name in at_home)
        raise UnsafeModel(
            f"the model holds {names} from __main__, which exists in this notebook or script only",
            f"move {names} to a module next to mlops.toml and import it from there",
        )
    unknown = [name for name in special if name not in allowed]
    if not unknown:
        return
    line = json.dumps(sorted({*allowed, *unknown}), ensure_ascii=False)
    raise UnsafeModel(
        f"the model holds types that this project does not allow: {', '.join(unknown)}",
        f"if you know them, put   types = {line}   under [trust] in mlops.toml and run `mlops policy apply`",
    )


def loads(data: bytes, allowed: Iterable[str]) -> Any:
    """Return the estimator in ``data``; only skops' own defaults and ``allowed`` types are ever made."""
    import skops.io

    allowed = tuple(allowed)
    refuse_what_is_not_allowed(data, allowed)
    try:
        # the file never decides: of the allowed types, those that it asks for
        trusted = [name for name in _types_beyond_defaults(data) if name in allowed]
        return skops.io.loads(data, trusted=trusted)
    except Exception as error:  # classes that moved or changed fail in their own way
        raise UnsafeModel(
            f"the model cannot be loaded: {_line(error)}",
            "its modules must be importable here, in the versions that it was saved with",
        ) from error


def _types_beyond_defaults(data: bytes) -> list[str]:
    import skops.io

    _refuse_foreign_zip(data)
    try:
        return list(skops.io.get_untrusted_types(data=data))
    except Exception as error:  # the schema is data of the file, and may be anything
        raise Damaged(f"the model file is no skops file: {_line(error)}") from error


def _refuse_foreign_zip(data: bytes) -> None:
    """Raise unless ``data`` is as ``dumps`` writes it: plain names, nothing compressed that could swell."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile as error:
        raise UnsafeModel(
            "this is no skops file: models are never loaded from pickle or joblib",
            "register the estimator itself; it is stored with skops",
        ) from error
    names = [member.filename for member in members]
    whole = len(names) == len(set(names)) and _SCHEMA in names and len(names) <= _MOST_MEMBERS
    plain = all(
        member.compress_type == zipfile.ZIP_STORED and not set(member.filename) & set("/\\:")
        for member in members
    )
    if not whole or not plain:
        raise UnsafeModel("this skops file was not written by this project", "register the estimator itself")


def _repeatable(written: bytes) -> bytes:
    """Return the same model without what differs between processes: addresses in memory, and the time."""
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        numbers: dict[int, int] = {}
        files: dict[str, str] = {}
        known = set(archive.namelist())

        def renumbered(node: Any) -> Any:
            if isinstance(node, list):
                return [renumbered(item) for item in node]
            if not isinstance(node, Mapping):
                return node
            fresh: dict[str, Any] = {}
            for key, value in node.items():
                if key == "__id__" and isinstance(value, int):
                    fresh[key] = numbers.setdefault(value, len(numbers) + 1)
                elif key == "file" and isinstance(value, str) and value in known:
                    suffix = value.rpartition(".")[2]
                    fresh[key] = files.setdefault(value, f"{len(files) + 1}.{suffix}")
                else:
                    fresh[key] = renumbered(value)
            return fresh

        text = json.dumps(renumbered(schema), separators=(",", ":"))
        answer = io.BytesIO()
        with zipfile.ZipFile(answer, "w", zipfile.ZIP_STORED) as fresh:
            for before, now in files.items():
                fresh.writestr(zipfile.ZipInfo(now, _EPOCH), archive.read(before))
            fresh.writestr(zipfile.ZipInfo(_SCHEMA, _EPOCH), text)
    return answer.getvalue()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
