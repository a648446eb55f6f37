# SPDX-License-Identifier: GPL-3.0-or-later
"""Suns and the world's colour: what the engine shades the character with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import bpy
import numpy as np

from .. import compat


@dataclass(frozen=True)
class Lighting:
    """Linear light: `sun_directions` (L,3) the way light travels, `sun_colors` (L,3) colour times strength,
    `ambient` (3,) and `background` (3,)."""

    sun_directions: np.ndarray
    sun_colors: np.ndarray
    ambient: np.ndarray
    background: np.ndarray


def read_lights(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, warn: Callable[[str], None]) -> Lighting:
    """The scene's lights as evaluated now. Without any sun the character is lit evenly with white."""
    lamps = [o for o in depsgraph.view_layer.objects if o.type == "LIGHT" and not o.hide_render]
    suns = [o.evaluated_get(depsgraph) for o in lamps if o.data.type == "SUN"]
    others = [o.name for o in lamps if o.data.type != "SUN"]
    if others:
        warn(f"Only Sun lights are exported; left out: {', '.join(others)}.")
    directions = np.array([[-v for v in o.matrix_world.col[2][:3]] for o in suns], np.float64).reshape(-1, 3)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    colors = np.array([[c * o.data.energy for c in o.data.color] for o in suns], np.float64).reshape(-1, 3)
    world = _world_color(scene, warn)
    if not suns:
        warn("The scene has no Sun light: the character is lit evenly.")
    return Lighting(directions, colors, world if suns else np.ones(3), world)


def _world_color(scene: bpy.types.Scene, warn: Callable[[str], None]) -> np.ndarray:
    world = scene.world
    if world is None:
        return np.zeros(3)
    node = next((n for n in compat.nodes_in_use(world) if n.type == "BACKGROUND"), None)
    if node is None:
        return np.array(world.color[:], np.float64)
    color = cast(bpy.types.NodeSocketColor, node.inputs["Color"])
    strength = cast(bpy.types.NodeSocketFloat, node.inputs["Strength"])
    if color.is_linked:
        warn(f"The picture behind the world '{world.name}' is exported as its flat colour.")
    return np.array(color.default_value[:3], np.float64) * strength.default_value
