"""Tests of warm kernels."""
