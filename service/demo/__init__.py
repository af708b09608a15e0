"""``raiw demo``: the whole path, from a spec to verified masks, on a service of its own."""

from pathlib import Path

SCORES = Path(__file__).with_name("digits-cnn.scores.safetensors")
"""Importance scores of a trained ``digits-cnn``; ``README.md`` tells how they were made."""
