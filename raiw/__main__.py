"""``python -m raiw`` is the command ``raiw``."""

from raiw.cli import main

main()
