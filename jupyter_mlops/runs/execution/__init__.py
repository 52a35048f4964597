"""Execution: notebooks executed in processes of this machine, cold or forked. Called by sweeps."""
