"""The modal that asks why: opened by a button whose action needs a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .. import limits, texts
from .words import Block, escaped, mrkdwn, plain

REASON = "reason"
"""The callback id of the modal, and the ids of its one input."""


def reason_modal(title: str, about: str, private: Mapping[str, Any]) -> Block:
    """Return the modal; ``private`` comes back with what was typed."""
    return {
        "type": "modal",
        "callback_id": REASON,
        "title": plain(title, limits.VIEW_TITLE),
        "submit": plain(title, limits.VIEW_SUBMIT),
        "close": plain("Cancel", limits.VIEW_CLOSE),
        "private_metadata": json.dumps(dict(private)),
        "blocks": [
            {"type": "section", "text": mrkdwn(escaped(about))},
            {
                "type": "input",
                "block_id": REASON,
                "label": plain(texts.WHY, limits.INPUT_LABEL),
                "element": {
                    "type": "plain_text_input",
                    "action_id": REASON,
                    "multiline": True,
                    "min_length": 1,
                    "max_length": 1_000,
                },
            },
        ],
    }
