"""Monitoring: does a window of data still look like its reference? Reports and their alerts."""

from __future__ import annotations

from .report import ColumnDrift, Distribution, DriftReport, Finding

__all__ = ["ColumnDrift", "Distribution", "DriftReport", "Finding"]
