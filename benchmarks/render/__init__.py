"""The rasteriser's benchmark: `make bench-render`, about 15 minutes; docs/benchmarks/render.md explains the figures."""
