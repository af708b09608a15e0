"""What holds for every test."""

import os

# Many tests are small, and some run several processes: threads would mostly wait for each other.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
