"""Texts: what the bot says to people, in one place. Used by the listeners, delivery and the verbs."""

from __future__ import annotations

from typing import Any

WHY = "Why?"
UNKNOWN_USER = "{name} is not in [people] of this project's policy, so the bot does nothing for you."
NO_EMAIL = (
    "Slack shows the bot no confirmed email address of yours, so it cannot tell who you are and does nothing."
)
DEACTIVATED = "This account is deactivated, so the bot does nothing for it."
NO_PERSON = "Only people may use the bot."
OTHER_TEAM = "This comes from another workspace, so the bot does nothing."
CANNOT_ASK_SLACK = "Slack does not tell who you are just now. Nothing was done; please try again."
NOT_OURS = "This button is none of the bot's. Nothing was done."
STALE = "What this button was about has changed since it was shown. Nothing was done; look at it anew."
COPY = "This is not the message that the bot posted about it. Nothing was done."
TOO_SLOW = "Slack gave up waiting for the bot. Nothing was done; please press again."
BROKEN = "The bot met an error of its own. Whether something was done shows in `mlops` and on the page."
NOT_TAKEN = "The project cannot be reached just now. Nothing was done; please try again."
EMPTY_REASON = "A reason is needed."
QUOTE = "A quotation mark in that is not closed."
HELP_TITLE = "What you can type"
HELP = "Everything you do here counts as done by you, and only you see the answer."
HELP_HINT = "`/mlops help VERB` says more about a verb, such as its options."

NOT_SET = "{variable} holds no token that starts with {kind}"
HOW_TO_TRY = "tokens come from the environment only; `mlops slack simulate` shows how to try without Slack"
BAD_API_URL = "SLACK_API_URL is {url}: tokens travel over https only, except to this machine"
REFUSED_TOKENS = "Slack at {url} refuses the tokens: {error}"
CONNECTED = "The bot is connected to Slack at {url}"
SIMULATING = "A local Slack: {url}  Choose who you are at the top."
UNREACHABLE = "Slack does not answer at {url}; messages wait"

WAITING = "{count} for Slack wait"
UNREAD = "the bot has {count} still to read: `mlops slack run`"
GIVEN_UP = "{count} for Slack given up: `mlops slack outbox` says why"

_REFUSALS = {
    "channel_not_found": "there is no channel {channel} that the bot can see: check [slack] in mlops.toml",
    "not_in_channel": "the bot is not in {channel}: invite it there",
    "is_archived": "{channel} is archived: name another one in [slack] of mlops.toml",
    "missing_scope": "the app lacks a permission: install it anew with all its scopes",
}


def refusal(word: str, channel: str, words: str = "") -> str:
    """Return what an operator reads when Slack takes no message: its word for it, and what to do."""
    hint = _REFUSALS.get(word, "").format(channel=channel)
    return ": ".join(part for part in (f"Slack says {word}", words, hint) if part)


def about(approval: Any) -> str:
    """Return the line that says what a request asks for."""
    if approval.kind == "policy":
        return f"{approval.requester} asks to change the policy"
    return f"{approval.requester} asks that {approval.model} becomes {approval.alias}"


def outcome(value: Any) -> str:
    """Return the line that says what came of a vote, or of taking care of an alert."""
    if not hasattr(value, "votes"):
        return f"Noted: {value.title} is yours."
    what = "the policy" if value.kind == "policy" else f"{value.model} as {value.alias}"
    if value.state == "moved":
        return "The policy is in force." if value.kind == "policy" else f"{value.model} is now {value.alias}."
    if value.state == "pending":
        left = value.needed - sum(vote.vote == "approve" and vote.counts for vote in value.votes)
        return f"Your vote for {what} counts; {left} more needed."
    return f"{what[0].upper()}{what[1:]}: {value.state}. {value.outcome}".strip()
