"""Stored files: in a folder, or in a bucket with a cache; by parts, and never half-written."""
