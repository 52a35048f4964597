"""Commands: the verb table, every verb once. Command line, magics, Slack and REST call through it."""

from .session import Session
from .table import Verb, verb
from .tree import chat_tree, command_tree, tree_for, verbs

__all__ = ["Session", "Verb", "chat_tree", "command_tree", "tree_for", "verb", "verbs"]
