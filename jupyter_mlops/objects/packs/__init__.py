"""Packs: chunks in files that describe themselves, and the index of where each one is."""
