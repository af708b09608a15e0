"""Importance scores: which edges a network would miss most.

``fit`` tells from a safetensors header alone whether a file fits a spec and imports no numpy;
``reading`` gives the scores of one layer at a time.
"""
