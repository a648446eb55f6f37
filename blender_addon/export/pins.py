# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist's Cloth modifier says of a mesh, switched off or not: its pin group and its fabric."""

from __future__ import annotations

import bpy
import numpy as np

from .rest import RestMesh
from .weights import group_weights

# mass a vertex, tension and bending stiffness; silk, cotton and denim are Blender's own presets
FABRICS = {
    "silk": (0.15, 5.0, 0.05),
    "cotton": (0.3, 15.0, 0.5),
    "wool": (0.4, 15.0, 2.0),
    "denim": (1.0, 40.0, 10.0),
}
UNTOUCHED = (0.3, 15.0, 0.5)  # of a new modifier: nobody chose it


def own_cloth(item: bpy.types.Object) -> bpy.types.ClothModifier | None:
    """The file's Cloth modifier of `item`, switched off or not."""
    return next((m for m in item.modifiers if isinstance(m, bpy.types.ClothModifier)), None)


def cloth_pins(rest: RestMesh) -> np.ndarray | None:
    """Pin weights (V,) 0..1 by the pin group of the mesh's Cloth modifier; None where it has none."""
    modifier = own_cloth(rest.item)
    name = modifier.settings.vertex_group_mass if modifier else ""
    weights = group_weights(rest, (name,)).get(name) if name else None
    return weights if weights is not None and weights.any() else None


def fabric_of(item: bpy.types.Object) -> str:
    """The fabric nearest to the settings of the Cloth modifier of `item`, a name of `FABRICS`; "" where none is set."""
    modifier = own_cloth(item)
    if modifier is None:
        return ""
    settings = modifier.settings
    own = np.array([settings.mass, settings.tension_stiffness, settings.bending_stiffness])
    if np.allclose(own, UNTOUCHED, rtol=1e-3):
        return ""
    logs = {name: np.log(np.maximum(own, 1e-3) / values) for name, values in FABRICS.items()}
    return min(logs, key=lambda name: float(np.linalg.norm(logs[name])))
