"""Importance files: how much a network needs each edge, layer by layer.

``fit`` tells from a safetensors header alone whether a file fits a spec and imports no numpy;
``importance`` gives the scores of one layer at a time.
"""
