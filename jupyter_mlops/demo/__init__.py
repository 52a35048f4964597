"""The demo: the product's whole story on real flights, each step done once however often it is started."""

from .story import tell
from .told import Told

__all__ = ["Told", "tell"]
