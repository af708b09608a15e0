"""Data sets: read from files in their own formats, by name, below one local root.

:func:`raiw.training.data.registry.open_dataset` opens them,
:func:`raiw.training.data.batches.batches` hands them out. Nothing is ever downloaded or unpickled.
"""
