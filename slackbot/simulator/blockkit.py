"""Block Kit as Slack takes it: message blocks, a modal or a Home view, held to ``slackbot.limits``.

Called by each method that takes blocks or a view. A key, type or length that Slack does not document is
refused; so are the few documented block types that this simulator cannot show, and it says that it is the one
that refuses.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from .. import limits
from .blocks import BLOCKS, VIEWS, characters, words_of
from .refusal import JSON, Refusal
from .shapes import Problem, Problems, by_type, items

FileExists = Callable[[str], bool]
"""Tells whether a ``slack_file`` id names an image that the app may show."""


def elements_of(blocks: list[JSON]) -> Iterator[tuple[JSON, JSON]]:
    """Yield every interactive element with the block it is in, containers' children too."""
    for block in blocks:
        kind = block["type"]
        if kind == "actions":
            yield from ((block, element) for element in block["elements"])
        elif kind == "section" and block.get("accessory", {}).get("type", "image") != "image":
            yield block, block["accessory"]
        elif kind == "input":
            yield block, block["element"]
        elif kind == "container":
            yield from elements_of(block["child_blocks"])


def _flat(blocks: list[JSON]) -> Iterator[JSON]:
    for block in blocks:
        yield block
        yield from block.get("child_blocks", ())


def _unique_ids(blocks: list[JSON], at: str, problems: Problems) -> None:
    block_ids = Counter(block["block_id"] for block in _flat(blocks) if "block_id" in block)
    problems.extend(
        Problem(f"block_id `{name}` already exists", at) for name, count in block_ids.items() if count > 1
    )
    seen: set[tuple[int, str]] = set()
    for block, element in elements_of(blocks):
        name = element.get("action_id")
        if name is None:
            continue
        if (id(block), name) in seen:
            problems.append(Problem(f"action_id `{name}` already exists", at))
        seen.add((id(block), name))


def _files_exist(value: Any, at: str, file_exists: FileExists, problems: Problems) -> None:
    if isinstance(value, list):
        for index, item in enumerate(value):
            _files_exist(item, f"{at}/{index}", file_exists, problems)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "slack_file":
                # Slack also takes the file's private URL; its last part but one names the file
                name = item.get("id") or item["url"].rstrip("/").rsplit("/", 2)[-2].rsplit("-", 1)[-1]
                if not file_exists(name):
                    problems.append(Problem("invalid slack file", f"{at}/{key}"))
            else:
                _files_exist(item, f"{at}/{key}", file_exists, problems)


def _only_once(blocks: list[JSON], kinds: tuple[str, ...], most: int, at: str, problems: Problems) -> None:
    if sum(block["type"] in kinds for block in _flat(blocks)) > most:
        problems.append(Problem(f"no more than {most} {kinds[0]} blocks allowed", at))


def check_blocks(
    blocks: Any, surface: limits.Surface, file_exists: FileExists, at: str = "/blocks"
) -> Problems:
    """Return what Slack would refuse in a list of blocks on one surface."""
    problems: Problems = []
    most = limits.MESSAGE_BLOCKS if surface == "message" else limits.VIEW_BLOCKS
    allowed = limits.BLOCK_TYPES[surface]

    def check_block(block: Any, where: str, found: Problems) -> None:
        kind = block.get("type") if isinstance(block, dict) else None
        if isinstance(kind, str) and kind in allowed and kind not in BLOCKS:
            found.append(Problem(f"this simulator cannot show the block type: {kind}", f"{where}/type"))
        else:
            by_type({kind: BLOCKS[kind] for kind in BLOCKS if kind in allowed})(block, where, found)

    items(check_block, most)(blocks, at, problems)
    if problems:
        return problems
    _unique_ids(blocks, at, problems)
    _files_exist(blocks, at, file_exists, problems)
    if surface == "message":
        _only_once(blocks, ("table",), limits.TABLES_PER_MESSAGE, at, problems)
        _only_once(blocks, ("data_visualization",), limits.CHARTS_PER_MESSAGE, at, problems)
        if sum(len(block["text"]) for block in blocks if block["type"] == "markdown") > limits.MARKDOWN_TEXT:
            problems.append(
                Problem(f"must be less than {limits.MARKDOWN_TEXT + 1} characters of markdown", at)
            )
        tables = [block for block in _flat(blocks) if block["type"] == "data_table"]
        characters(limits.DATA_TABLE_CHARACTERS, "tables")({"tables": tables}, at, problems)
    return problems


def too_long(blocks: list[JSON]) -> bool:
    """Tell whether a message's blocks hold more text than Slack takes; tables have their own limit."""
    counted = [block for block in _flat(blocks) if block["type"] not in ("table", "data_table", "container")]
    return sum(len(word) for word in words_of(counted)) > limits.MESSAGE_BLOCKS_CHARACTERS


def check_view(view: Any, file_exists: FileExists, at: str = "/view") -> Problems:
    """Return what Slack would refuse in a modal or a Home view."""
    problems: Problems = []
    by_type(VIEWS)(view, at, problems)
    if problems:
        return problems
    surface: limits.Surface = "home" if view["type"] == "home" else "modal"
    problems += check_blocks(view["blocks"], surface, file_exists, f"{at}/blocks")
    if problems:
        return problems
    kinds = [block["type"] for block in view["blocks"]]
    if surface == "modal" and "input" in kinds and "submit" not in view:
        problems.append(
            Problem("missing required field: submit", at, {"type": "required", "expected": ["submit"]})
        )
    if sum(bool(element.get("focus_on_load")) for _, element in elements_of(view["blocks"])) > 1:
        problems.append(Problem("only one element may have focus_on_load", f"{at}/blocks"))
    return problems


def accept_blocks(blocks: Any, file_exists: FileExists) -> list[JSON]:
    """Return a message's blocks with the ids that Slack gives them, or refuse them."""
    if not isinstance(blocks, list):
        raise Refusal("invalid_blocks_format")
    problems = check_blocks(blocks, "message", file_exists)
    if problems:
        raise Refusal("invalid_blocks", *map(str, problems))
    return with_ids(blocks)


def accept_view(view: Any, file_exists: FileExists) -> JSON:
    """Return a modal with the ids that Slack gives its blocks, or refuse it."""
    if len(json.dumps(view, ensure_ascii=False).encode()) > limits.VIEW_BYTES:
        raise Refusal("view_too_large")
    problems = check_view(view, file_exists)
    if not problems and view["type"] != "modal":
        problems = [Problem("must be a modal", "/view/type")]
    if problems:
        raise Refusal("invalid_arguments", *map(str, problems))
    return {**view, "blocks": with_ids(view["blocks"])}


def with_ids(blocks: list[JSON]) -> list[JSON]:
    """Return blocks in which every block and every interactive element has an id, as Slack stores them."""
    copy: list[JSON] = json.loads(json.dumps(blocks))
    taken = {
        block["block_id"] for block in _flat(copy) if "block_id" in block and block["type"] != "markdown"
    }
    for index, block in enumerate(_flat(copy)):
        if block["type"] == "markdown" or "block_id" not in block:
            block["block_id"] = next(
                name
                for name in (f"b{index}{'x' * more}" for more in range(len(taken) + 1))
                if name not in taken
            )
            taken.add(block["block_id"])
    for index, (_, element) in enumerate(elements_of(copy)):
        element.setdefault("action_id", f"a{index}")
    return copy
