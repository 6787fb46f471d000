"""Instances in, rows out: job, runner, workers, store, verification."""
