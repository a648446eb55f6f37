"""Ani3DHuman: rigged characters as Gaussian avatars with layered motion.

The library knows nothing of Blender or of the engine; it runs a shot file through the
stages rigid -> physics -> coarse render -> restoration -> residual field -> cache.
"""

import os

# Idle threads that spin take whole cores from their neighbours (other jobs, Blender itself), and torch and
# numba bring a pool each. A thread that turns 80 to 200 us before it sleeps is there for the loop that follows.
# OpenMP reads this once, when the first of them loads.
if os.environ.setdefault("OMP_WAIT_POLICY", "passive").lower() == "passive":
    os.environ.setdefault("GOMP_SPINCOUNT", "4000")

__version__ = "0.1.0"
