"""Kinds of jobs: for each a document, and the function that does what it says.

Documents and their table know no PyTorch; the modules ``run_*`` do the work.
"""
