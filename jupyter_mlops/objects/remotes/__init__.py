"""Remotes: stored bytes that travel to a folder or object store, and back. Used by ``datasets``."""
