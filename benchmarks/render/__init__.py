"""The rasteriser's benchmark: `make bench-render`, about 4 minutes; docs/benchmarks/render.md explains the figures."""
