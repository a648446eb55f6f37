"""Drawing Gaussians: one `rasterize` for every machine, with gsplat's signature and conventions."""

from .rasterize import rasterize

__all__ = ["rasterize"]
