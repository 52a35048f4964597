"""Bytes, addressed by their content and verified whenever read. Used by datasets, runs and models."""

from .blob import Blob
from .objects import Batch, Objects
from .tree import Entry

__all__ = ["Batch", "Blob", "Entry", "Objects"]
