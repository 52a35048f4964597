"""The refusal: what a failed call of Slack's Web API says. Read by the courier, the app and the channels."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from slack_sdk.errors import SlackApiError

# Slack may have done it although it says this
_UNSURE = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})
_TOO_MUCH = frozenset({"ratelimited", "rate_limited"})


def word_of(error: SlackApiError) -> str:
    """Return Slack's word for what is wrong, "" where it answered with something else."""
    return str(_data(error).get("error") or "")


def words_of(error: SlackApiError) -> str:
    """Return what Slack adds to its word."""
    return "; ".join((_data(error).get("response_metadata") or {}).get("messages") or ())


def status_of(error: SlackApiError) -> int:
    """Return the HTTP status of the answer."""
    response = error.response
    return int(getattr(response, "status_code", 0) or getattr(response, "status", 0))


def is_final(error: SlackApiError) -> bool:
    """Tell whether Slack looked at the call and did nothing, and would say so again."""
    word = word_of(error)
    return bool(word) and status_of(error) == 200 and word not in _UNSURE | _TOO_MUCH


def asks_to_wait(error: Exception) -> bool:
    """Tell whether the call was one too many."""
    if not isinstance(error, SlackApiError):
        return False
    return status_of(error) == 429 or word_of(error) in _TOO_MUCH


def retry_after(error: SlackApiError) -> float:
    """Return how many seconds to wait, never less than Slack asks; a little more, to spread who waits."""
    try:
        seconds = float((getattr(error.response, "headers", None) or {}).get("Retry-After", 1))
    except ValueError:
        seconds = 30.0
    return max(1.0, seconds) * random.uniform(1.0, 1.2)  # noqa: S311 no secret


def _data(error: SlackApiError) -> Mapping[str, Any]:
    data = getattr(error.response, "data", error.response)
    return data if isinstance(data, dict) else {}
