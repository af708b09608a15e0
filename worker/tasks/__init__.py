"""What runs in a process of its own: tasks that need PyTorch. :mod:`worker.child` starts them."""
