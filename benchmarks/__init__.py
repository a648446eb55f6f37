"""Measurements: each writes out/bench/NAME.json; pages with tables and plots are in docs/benchmarks."""

import ani3dhuman  # noqa: F401 - before torch, as the program does: it tells OpenMP that idle threads are to sleep
