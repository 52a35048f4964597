"""Finding: runs by id, filter and words. For ``Tracker``."""
