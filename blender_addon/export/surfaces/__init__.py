# SPDX-License-Identifier: GPL-3.0-or-later
"""The colours of a character's surfaces, as Blender draws them: pictures, flat colours, transparency."""

from .faces import MeshFaces, Surfaces
from .read import read_surfaces

__all__ = ["MeshFaces", "Surfaces", "read_surfaces"]
