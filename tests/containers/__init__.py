"""The compose file, run for real: ``python -m tests.containers``."""
