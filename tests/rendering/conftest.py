"""Says at the end of a run which of the rasteriser's backends the contract was held against."""

from __future__ import annotations

from typing import Any

import torch


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, ())]
    ran = {
        b for b in ("cpu", "cuda", "reference") for r in reports if "test_contract.py::" in r.nodeid and b in r.nodeid
    }
    if ran:
        missing = "" if torch.cuda.is_available() else "; not cuda, for want of a CUDA device"
        terminalreporter.write_line(f"Rasteriser contract checked on: {', '.join(sorted(ran))}{missing}.")
