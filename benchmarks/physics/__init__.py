"""How fast and how well garments are simulated: `python -m benchmarks.physics`, described in docs/physics.md."""
