"""How fast and how well garments are simulated: `python -m benchmarks.physics`; docs/benchmarks/physics.md."""
