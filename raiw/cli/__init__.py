"""The command ``raiw``.

Modules here import what computes only inside the commands that need it, so that ``raiw --help``
answers at once.
"""

from raiw.cli.app import main

__all__ = ["main"]
