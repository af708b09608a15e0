"""Networks of torch, transformers, diffusers and timm, each taken through the whole library.

``python -m tests.networks`` prints what happened to each; ``--help`` tells the options. The
packages come with ``pip install 'raiw[networks]'``; a network whose package is missing is named as
skipped. Weights are random, nothing is downloaded. ``pytest tests/integration/test_timm.py`` takes
one of timm through the service.
"""
