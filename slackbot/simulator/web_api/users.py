"""The methods ``users.*``: who is in the workspace."""

from __future__ import annotations

from ... import limits
from ..arguments import Arguments
from ..refusal import JSON, Refusal
from ..slack import Slack
from .paging import page


def info(slack: Slack, arguments: Arguments) -> JSON:
    """Describe one user."""
    user = slack.workspace.user(arguments.text("user"))
    if user is None:
        raise Refusal("user_not_found")
    return {"user": slack.user_json(user)}


def lookup_by_email(slack: Slack, arguments: Arguments) -> JSON:
    """Find the user who has an email address."""
    user = slack.workspace.user_by_email(arguments.text("email"))
    if user is None:
        raise Refusal("users_not_found")
    return {"user": slack.user_json(user)}


def list_users(slack: Slack, arguments: Arguments) -> JSON:
    """List everybody, bots too."""
    users = slack.workspace.users()
    keys = [user.id for user in users]
    found, more = page(users, keys, arguments, limits.LIST_MOST, limits.LIST_MOST, "invalid_arguments")
    return {"members": [slack.user_json(user) for user in found], **more}
