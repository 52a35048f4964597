"""The methods ``views.*``: modals that the app opens for one person."""

from __future__ import annotations

from .. import blockkit
from ..arguments import Arguments
from ..modals import Modal
from ..passes import Trigger
from ..refusal import JSON, Refusal
from ..slack import Slack


def open_view(slack: Slack, arguments: Arguments) -> JSON:
    """Show a modal in exchange for a trigger."""
    view = _view(slack, arguments)
    trigger = _trigger(slack, arguments)
    modal = slack.modals.open(trigger.user, view, trigger.interaction)
    trigger.used = True
    return _shown(slack, modal)


def push_view(slack: Slack, arguments: Arguments) -> JSON:
    """Put a modal on top of the one in which the trigger was made."""
    view = _view(slack, arguments)
    trigger = _trigger(slack, arguments)
    if trigger.view_id is None or slack.modals.find(trigger.view_id) is None:
        raise Refusal("not_found")
    modal = slack.modals.push(trigger.user, view, trigger.interaction)
    trigger.used = True
    return _shown(slack, modal)


def update_view(slack: Slack, arguments: Arguments) -> JSON:
    """Change an open modal."""
    view = _view(slack, arguments)
    if ("view_id" in arguments) == ("external_id" in arguments):
        raise Refusal("invalid_arguments", "[ERROR] must provide exactly one of view_id, external_id")
    if "view_id" in arguments:
        modal = slack.modals.find(arguments.text("view_id"))
    else:
        modal = slack.modals.find_external(arguments.text("external_id"))
    if modal is None:
        raise Refusal("not_found")
    slack.modals.update(modal, view, arguments.text("hash"))
    return _shown(slack, modal)


def _view(slack: Slack, arguments: Arguments) -> JSON:
    view = arguments.json("view", "invalid_arguments")
    return blockkit.accept_view(view, slack.workspace.has_image)


def _trigger(slack: Slack, arguments: Arguments) -> Trigger:
    if ("trigger_id" in arguments) == ("interactivity_pointer" in arguments):
        raise Refusal("invalid_arguments", "[ERROR] missing required field: trigger_id")
    name = arguments.text("trigger_id") or arguments.text("interactivity_pointer")
    return slack.passes.find_trigger(name)


def _shown(slack: Slack, modal: Modal) -> JSON:
    slack.feed.tell("view", user=modal.user)
    return {"view": slack.view_json(modal)}
