"""Training networks from scratch with masks held: :func:`raiw.train`."""
