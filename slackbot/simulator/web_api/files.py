"""The methods ``files.*`` and the address that takes the bytes: announce, upload, complete."""

from __future__ import annotations

import mimetypes
from typing import Any

from aiohttp import web

from ... import limits
from .. import blockkit
from ..arguments import Arguments
from ..refusal import JSON, Refusal
from ..slack import Slack
from ..workspace import File

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


def get_upload_url(slack: Slack, arguments: Arguments) -> JSON:
    """Announce an upload and say where to send it."""
    if "snippet_type" in arguments:
        raise Refusal("unknown_snippet_type")
    length = arguments.number("length", 0, 1, 10**12)
    if length > limits.UPLOAD_BYTES:
        raise Refusal("file_upload_size_restricted")
    alt_text = arguments.text("alt_txt")
    if len(alt_text) > limits.IMAGE_ALT_TEXT:
        raise Refusal("alt_txt_too_large")
    name = arguments.text("filename").replace("\\", "/").rsplit("/", 1)[-1]
    mimetype = mimetypes.guess_type(name)[0] or "application/octet-stream"
    file = slack.workspace.announce_file(slack.workspace.bot.id, name, length, mimetype, alt_text)
    return {"upload_url": f"{slack.base_url}/upload/v1/{file.id}", "file_id": file.id}


async def take_upload(slack: Slack, request: web.Request) -> web.Response:
    """Take the bytes of one announced file, plain or as a form."""
    file = slack.workspace.file(request.match_info["file"])
    if file is None or file.content is not None:
        return web.Response(status=404, text="no such upload")
    if request.content_type == "multipart/form-data":
        parts = [part for part in (await request.post()).values() if isinstance(part, web.FileField)]
        content = parts[0].file.read() if parts else b""
    else:
        content = await request.read()
    if len(content) != file.length:
        return web.Response(status=400, text=f"expected {file.length} bytes, got {len(content)}")
    slack.workspace.fill_file(file.id, content, _true_mimetype(file, content))
    return web.Response(text=f"OK - {len(content)}")


def _true_mimetype(file: File, content: bytes) -> str:
    for signature, mimetype in _SIGNATURES.items():
        if content.startswith(signature):
            return mimetype
    # bytes that are no image do not become one by their name
    return "application/octet-stream" if file.mimetype.startswith("image/") else file.mimetype


def complete_upload(slack: Slack, arguments: Arguments) -> JSON:
    """Let uploaded files be used, and share them in a channel if one is named."""
    workspace = slack.workspace
    entries = arguments.json("files", "invalid_arguments")
    files = [_uploaded(slack, entry) for entry in _entries(entries)]
    names = [name for name in (arguments.text("channels") or arguments.text("channel_id")).split(",") if name]
    channels = [slack.channel_for_app(name.strip(), by_id_only=True) for name in names]
    thread_ts = arguments.ts("thread_ts", "invalid_arguments")
    if thread_ts is not None and len(channels) != 1:
        raise Refusal(
            "invalid_arguments", "[ERROR] thread_ts needs exactly one channel [json-pointer:/thread_ts]"
        )
    content: JSON = {"text": arguments.text("initial_comment"), "files": [file.id for file, _ in files]}
    blocks = arguments.json("blocks", "invalid_blocks")
    if blocks is not None and not content["text"]:
        if not isinstance(blocks, list):
            raise Refusal("invalid_blocks")
        content["blocks"] = blockkit.accept_blocks(blocks, workspace.has_image)
    for file, title in files:
        workspace.finish_file(file.id, title)
    for channel in channels:
        slack.post(channel.id, workspace.bot.id, content, thread_ts=thread_ts)
    finished = [workspace.file(file.id) for file, _ in files]
    return {"files": [slack.file_json(file) for file in finished if file is not None]}


def _entries(entries: Any) -> list[JSON]:
    if not isinstance(entries, list) or not 0 < len(entries) <= limits.FILES_PER_SHARE:
        raise Refusal("invalid_arguments", "[ERROR] must provide an array of files [json-pointer:/files]")
    for index, entry in enumerate(entries):
        known = isinstance(entry, dict) and isinstance(entry.get("id"), str)
        if not known or set(entry) - {"id", "title", "highlight_type"}:
            raise Refusal(
                "invalid_arguments", f"[ERROR] must provide an id and a title [json-pointer:/files/{index}]"
            )
    return entries


def _uploaded(slack: Slack, entry: JSON) -> tuple[File, str]:
    file = slack.workspace.file(entry["id"])
    if file is None or file.content is None or file.shared:
        raise Refusal("file_not_found")
    return file, str(entry.get("title") or file.name)


async def read_file(slack: Slack, request: web.Request) -> web.Response:
    """Return a file's bytes to the app that owns it."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    file = slack.workspace.file(request.match_info["file"].rsplit("-", 1)[-1])
    if token != slack.workspace.identity.bot_token or file is None or file.content is None:
        return web.Response(status=404)
    return web.Response(body=file.content, content_type=file.mimetype)
