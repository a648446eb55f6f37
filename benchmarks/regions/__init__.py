"""How well regions are told from names: `python -m benchmarks.regions`."""
