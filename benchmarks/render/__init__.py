"""The rasteriser's benchmark: `make bench-render`, about 4 minutes; figures: docs/notes/rasteriser_figures.md."""
