"""The engine under a clock that others set: `python -m benchmarks.engine.clocked ... --clock FILE` (seconds to add)."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from engine.__main__ import main

if __name__ == "__main__":
    at = sys.argv.index("--clock")
    offset, arguments = Path(sys.argv[at + 1]), sys.argv[1:at] + sys.argv[at + 2 :]
    real = time.time
    time.time = lambda: real() + float(offset.read_text() or 0)
    sys.exit(main(arguments))
