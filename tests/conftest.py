"""Makes the helper modules of the suite importable from every test folder."""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as ani3dhuman does, should a test import torch first
if "PYTEST_XDIST_WORKER" in os.environ:  # files run side by side: one thread each, also in the processes they start
    for variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
sys.path.insert(0, str(Path(__file__).parent))

_kept = tempfile.TemporaryDirectory(prefix="ani3dhuman-test-cache-")
os.environ["ANI3DHUMAN_CACHE"] = _kept.name  # never the user's own
