# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist says of a mesh's cloth, in the panel or by a Cloth modifier, switched off or not: pins and fabric."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import bpy
import numpy as np

from ..properties import object_group
from .colliders import UNTOUCHED_THICKNESS
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


def cloth_pins(rest: RestMesh) -> Generator[None, None, np.ndarray | None]:
    """Pin weights (V,) 0..1 by the pin group of the mesh's Cloth modifier; None where it has none."""
    modifier = own_cloth(rest.item)
    name = modifier.settings.vertex_group_mass if modifier else ""
    weights = (yield from group_weights(rest, (name,))).get(name) if name else None
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


UNTOUCHED_DISTANCE, UNTOUCHED_FRICTION = 0.015, 5.0  # of a new Cloth modifier's collisions
FRICTION = 0.1 / UNTOUCHED_FRICTION  # our share of sliding that is lost, for Blender's friction of 1


def outer_thickness(item: bpy.types.Object) -> float:
    """Metres that an artist wants cloth to keep from `item`, by its Collision modifier; 0 where nobody chose any."""
    if item.type != "MESH" or not any(m.type == "COLLISION" for m in item.modifiers) or not item.collision.use:
        return 0.0
    outer = float(item.collision.thickness_outer)
    return outer if abs(outer - UNTOUCHED_THICKNESS) > 1e-6 else 0.0


def wishes_of(item: bpy.types.Object, around: float = 0.0) -> dict[str, Any]:
    """What a shot's metadata says of an object's cloth: the panel's choices, else those of its Cloth modifier.

    `around`: metres to be kept from the body (`outer_thickness`); a modifier that asks for more gets more.
    """
    own, modifier, found = object_group(item), own_cloth(item), {}
    changes = {name: getattr(own, name) for name in ("density", "bend", "stretch") if getattr(own, name) > 0}
    if fabric := own.fabric.strip() or fabric_of(item):
        found["fabric"] = fabric
    thickness = own.thickness
    if modifier is not None:
        settings = modifier.collision_settings
        if not thickness and abs(settings.distance_min - UNTOUCHED_DISTANCE) > 1e-6:
            thickness = settings.distance_min
        if abs(settings.friction - UNTOUCHED_FRICTION) > 1e-6:
            changes["friction"] = min(settings.friction * FRICTION, 1.0)
    if not own.thickness:
        thickness = max(thickness, around)
    if changes:
        found["fabric_changes"] = changes
    if thickness:
        found["thickness"] = thickness
    if own.layer:
        found["layer"] = own.layer
    return found
