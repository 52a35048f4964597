"""Block Kit: views as Slack shows them, within Slack's limits. Used by delivery and the listeners."""

from .message import Message
from .modal import REASON, reason_modal
from .render import Pressed, pictures, read_value, render

__all__ = ["REASON", "Message", "Pressed", "pictures", "read_value", "reason_modal", "render"]
