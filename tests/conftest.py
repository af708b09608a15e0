"""What holds for every test."""

import os

from hypothesis import HealthCheck, settings

# Many tests are small, and some run several processes: threads would mostly wait for each other.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

# A deadline an example would be a test of how busy the machine is.
settings.register_profile("raiw")
settings.load_profile("raiw")
