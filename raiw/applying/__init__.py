"""Masks on models: pruned weights are zero, and stay zero while the network is trained.

:func:`raiw.apply` serves PyTorch; :mod:`raiw.applying.jax` and :mod:`raiw.applying.keras` are its
twins. What each survives is listed in ``docs/apply.md``.
"""
