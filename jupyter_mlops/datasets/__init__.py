"""Datasets: immutable versions of files, folders and tables. Used by the rings above and by commands."""

from .datasets import Datasets
from .lineage import Edge, Lineage, Node
from .version import Column, ColumnProfile, Dataset, DatasetVersion, Description, Findings, Form

__all__ = [
    "Column",
    "ColumnProfile",
    "Dataset",
    "DatasetVersion",
    "Datasets",
    "Description",
    "Edge",
    "Findings",
    "Form",
    "Lineage",
    "Node",
]
