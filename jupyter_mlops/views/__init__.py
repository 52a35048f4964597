"""Views: every value as text, HTML and Markdown. Called by faces, and by values when notebooks show them."""

from __future__ import annotations

from . import formats
from .bundle import bundle
from .dispatch import view
from .html import escape, to_html
from .markdown import to_markdown
from .text import print_view, to_text
from .view import typed

__all__ = ["bundle", "escape", "formats", "print_view", "to_html", "to_markdown", "to_text", "typed", "view"]
