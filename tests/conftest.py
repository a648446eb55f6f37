"""Makes the helper modules of the suite importable from every test folder."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as ani3dhuman does, should a test import torch first
if "PYTEST_XDIST_WORKER" in os.environ:  # files run side by side: one thread each, also in the processes they start
    for variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
sys.path.insert(0, str(Path(__file__).parent))

_kept = tempfile.TemporaryDirectory(prefix="ani3dhuman-test-cache-")
os.environ["ANI3DHUMAN_CACHE"] = _kept.name  # never the user's own


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Says at the end of a run which of the rasteriser's backends the contract was held against."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, ())]
    own = [r.nodeid for r in reports if "rendering/test_contract.py::" in r.nodeid]
    ran = [backend for backend in ("cpu", "cuda", "reference") if any(backend in name for name in own)]
    if ran:
        missing = "" if "cuda" in ran else "; not cuda, for want of a CUDA device"
        terminalreporter.write_line(f"Rasteriser contract checked on: {', '.join(ran)}{missing}.")
