"""Bytes, addressed by their content and verified whenever read. Used by datasets, runs and models."""

from .batch import Batch
from .blob import Blob
from .objects import Objects, Stored
from .tree import Entry

__all__ = ["Batch", "Blob", "Entry", "Objects", "Stored"]
