"""Measurements: each writes out/bench/NAME.json; pages with tables and plots are in docs/benchmarks."""
