"""Warm kernels: clean processes forked from templates that have imported what runs need.

A template (``template.py``) never starts anything; a keeper (there too) forks from it for each request, forks
the process that works, and ends all that is left of it. ``fork.py`` is the other end of a keeper's line.
``doubt.py`` says which notebooks may be warm. ``templates.py`` starts templates and picks one.
"""
