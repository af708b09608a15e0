"""What runs in a process of its own; :mod:`worker.child` starts it."""
