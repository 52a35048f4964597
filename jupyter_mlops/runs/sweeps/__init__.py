"""Sweeps: what is to be executed, queued, tried, pruned and tried again. For ``Tracker``."""
