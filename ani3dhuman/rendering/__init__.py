"""Drawing Gaussians: one `rasterize` for every machine, with gsplat's signature and conventions."""

from ani3dhuman.rendering.rasterize import rasterize

__all__ = ["rasterize"]
