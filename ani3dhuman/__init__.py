"""Ani3DHuman: rigged characters as Gaussian avatars with layered motion.

The library knows nothing of Blender or of the engine; it runs a shot file through the
stages rigid -> physics -> coarse render -> restoration -> residual field -> cache.
"""

__version__ = "0.1.0"
