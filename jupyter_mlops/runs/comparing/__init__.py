"""Comparing: runs and notebooks side by side, ranked, explained and repeated.."""
