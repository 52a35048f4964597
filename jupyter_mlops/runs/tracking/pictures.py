"""Pictures: what figures of other libraries look like, told by what they can do. Used by ``Artifact``.

None of these libraries is imported: a figure that is given has imported its own.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import BadInput, MLOpsError

PNG, SVG, PDF = "image/png", "image/svg+xml", "application/pdf"
_SAVED = {".png": PNG, ".svg": SVG, ".pdf": PDF}
_SUFFIXES = {PNG: ".png", SVG: ".svg", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp"}
_SHOWN = (*_SUFFIXES.values(), ".jpeg")
_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": PNG,
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"<svg": SVG,
}
_HEAD = 1_024


@dataclass(frozen=True, slots=True)
class Picture:
    """The bytes of an image that browsers show."""

    media: str
    data: bytes

    def to_dict(self) -> dict[str, Any]:
        """Return what is said of it where its bytes are kept."""
        told: dict[str, Any] = {"media": self.media, "bytes": len(self.data)}
        if self.media == PNG and len(self.data) >= 24:
            told["width"] = int.from_bytes(self.data[16:20], "big")
            told["height"] = int.from_bytes(self.data[20:24], "big")
        return told


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure of another library as bytes, and a picture of it where those are none themselves."""

    kind: str
    name: str
    data: bytes
    detail: Mapping[str, Any] = field(default_factory=dict)
    picture: Picture | None = None


def drawn(source: Any, name: str | None) -> Drawn | None:
    """Return what ``source`` looks like, or ``None`` if it is no figure; raises ``BadInput`` if it fails."""
    ways = (_saved, _painted, _plotly, _altair, _displayed)
    try:
        for way in ways:
            if (found := way(source, name)) is not None:
                return found
    except MLOpsError:
        raise
    except Exception as error:  # whatever a library of others raises while it draws
        what = type(source).__name__
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(f"the {what} could not be drawn: {text}", "save it to a file and log that") from error
    return None


def media_of(data: bytes) -> str | None:
    """Return the kind of image that ``data`` begins like, or ``None`` if browsers do not show it."""
    for beginning, media in _BEGINNINGS.items():
        if data.startswith(beginning):
            return media
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data.lstrip().startswith(b"<?xml") and b"<svg" in data[:_HEAD]:
        return SVG
    return None


def shown_file(path: Path) -> str | None:
    """Return the kind of image in the file ``path``, or ``None`` if it is none."""
    if path.suffix.lower() not in _SHOWN or not path.is_file():
        return None
    with path.open("rb") as opened:
        return media_of(opened.read(_HEAD))


def _saved(source: Any, name: str | None) -> Drawn | None:
    """matplotlib and what is built on it: figures, axes, the displays of scikit-learn, grids of seaborn."""
    figure = next(
        (
            each
            for each in (source, *(getattr(source, part, None) for part in ("figure_", "figure")))
            if callable(getattr(each, "savefig", None))
        ),
        None,
    )
    if figure is None:
        return None
    name = name or "figure.png"
    suffix = Path(name).suffix.lower()
    if suffix not in _SAVED:
        name, suffix = f"{name}.png", ".png"

    def saved(format: str) -> bytes:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=format, bbox_inches="tight")
        return buffer.getvalue()

    data = saved(suffix[1:])
    beside = Picture(PNG, saved("png")) if suffix == ".pdf" else None
    return Drawn("picture", name, data, {"media": _SAVED[suffix]}, beside)


def _painted(source: Any, name: str | None) -> Drawn | None:
    """Images of PIL."""
    if not (callable(getattr(source, "save", None)) and hasattr(source, "mode") and hasattr(source, "size")):
        return None
    buffer = io.BytesIO()
    image = (
        source if source.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16") else source.convert("RGB")
    )
    image.save(buffer, format="PNG")
    return _image(Picture(PNG, buffer.getvalue()), name, "image")


def _plotly(source: Any, name: str | None) -> Drawn | None:
    if not (callable(getattr(source, "to_plotly_json", None)) and callable(getattr(source, "to_json", None))):
        return None
    from importlib.util import find_spec

    picture = Picture(PNG, source.to_image(format="png")) if find_spec("kaleido") else None
    return Drawn("chart", name or "figure", source.to_json().encode(), {"format": "plotly"}, picture)


def _altair(source: Any, name: str | None) -> Drawn | None:
    if not (callable(getattr(source, "to_dict", None)) and callable(getattr(source, "configure_view", None))):
        return None
    return _vega_lite(source.to_dict(), name)


def _displayed(source: Any, name: str | None) -> Drawn | None:
    """Whatever shows itself in a notebook as an image, a chart or a page."""
    shown: dict[str, Any] = {}
    if callable(bundle := getattr(source, "_repr_mimebundle_", None)) and not isinstance(source, type):
        answer = bundle()
        shown |= (answer[0] if isinstance(answer, tuple) else answer) or {}
    for part, media in (("png", PNG), ("svg", SVG), ("jpeg", "image/jpeg")):
        if media not in shown and callable(one := getattr(source, f"_repr_{part}_", None)):
            answer = one()
            shown[media] = answer[0] if isinstance(answer, tuple) else answer
    for media in shown:
        if media.startswith("application/vnd.vegalite."):
            return _vega_lite(shown[media], name)
    for media in (SVG, PNG, "image/jpeg", "image/gif"):
        if shown.get(media):
            return _image(Picture(media, _bytes(shown[media], media)), name, "figure")
    return None


def _vega_lite(spec: Mapping[str, Any], name: str | None) -> Drawn:
    import vl_convert

    text = vl_convert.vegalite_to_svg(dict(spec), allowed_base_urls=[])
    data = json.dumps(spec, ensure_ascii=False).encode()
    return Drawn("chart", name or "chart", data, {"format": "vega-lite"}, Picture(SVG, text.encode()))


def _image(picture: Picture, name: str | None, otherwise: str) -> Drawn:
    suffix = _SUFFIXES[picture.media]
    name = name or otherwise
    if Path(name).suffix.lower() not in _SHOWN:
        name += suffix
    return Drawn("picture", name, picture.data, {"media": picture.media})


def _bytes(content: Any, media: str) -> bytes:
    if isinstance(content, str):
        if media == SVG:
            return content.encode()
        import base64

        return base64.b64decode(content)
    return bytes(content)
