"""Upkeep of stored bytes: compaction, collection of garbage, verification. Called by ``automation``."""
