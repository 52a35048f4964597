"""Tracking: runs that code records: their points, artifacts, sources and environment. For ``Tracker``."""
