"""What holds for every test."""

import os

from hypothesis import HealthCheck, settings

# Many tests are small, and some run several processes: threads would mostly wait for each other.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

# A limit of time for an example, or for drawing it, would test how busy the machine is.
settings.register_profile("raiw", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("raiw")
