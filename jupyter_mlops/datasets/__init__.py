"""Datasets: immutable versions of files, folders and tables. Used by the rings above and by commands."""

from .datasets import Datasets
from .version import Column, ColumnProfile, Dataset, DatasetVersion, Description

__all__ = ["Column", "ColumnProfile", "Dataset", "DatasetVersion", "Datasets", "Description"]
