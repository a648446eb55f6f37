# SPDX-License-Identifier: GPL-3.0-or-later
"""Wind and force fields of the scene, sampled frame by frame, in Blender's own numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy
import numpy as np

from ani3d_formats.shot_scene import FORCE_VALUES

from ..sentence import said

KINDS = {kind.upper(): kind for kind in ("wind", "force", "vortex", "turbulence", "drag", "harmonic")}
SHAPES = {"POINT": "point", "PLANE": "plane", "LINE": "line"}
STORM = 200.0  # strength above which a wind is named in the warnings
NOT_SENT = {"GUIDE": "curve guide", "LENNARDJ": "Lennard-Jones", "FLUID_FLOW": "fluid flow"}


def fields_of(view_layer: bpy.types.ViewLayer, warn: Callable[[str], None]) -> list[bpy.types.Object]:
    """The objects with a force field that acts on places and that is sent; `warn` is told of others."""
    found = []
    for item in view_layer.objects:
        settings = item.field
        if settings is None or settings.type == "NONE" or not item.visible_get(view_layer=view_layer):
            continue
        if settings.type not in KINDS or settings.shape not in SHAPES:
            kind = NOT_SENT.get(settings.type, settings.type.lower())
            shape = "" if settings.shape in SHAPES else said(" of the shape '{shape}'", shape=settings.shape.lower())
            warn(
                said(
                    "Force field '{name}' ({kind}{shape}) does not act on cloth here.",
                    name=item.name,
                    kind=said(kind),
                    shape=shape,
                )
            )
        elif settings.apply_to_location:
            found.append(item)
    return found


def entry(item: bpy.types.Object) -> dict[str, Any]:
    """A field as a shot's metadata has it."""
    settings = item.field
    told: dict[str, Any] = {"name": item.name, "kind": KINDS[settings.type], "shape": SHAPES[settings.shape]}
    told["falloff"] = settings.falloff_type.lower()
    told["side"] = settings.z_direction.lower()
    told["gravitation"] = bool(settings.use_gravity_falloff)
    told["in_world"] = bool(settings.use_global_coords)
    told["seed"] = max(int(settings.seed), 0)
    return told


def values_of(settings: bpy.types.FieldSettings) -> list[float]:
    """A row of the shot's `force_values`: the field of an evaluated object at one frame."""
    found = dict.fromkeys(FORCE_VALUES, 0.0)
    dragging, springy = settings.type == "DRAG", settings.type == "HARMONIC"
    found |= {
        "strength": 0.0 if dragging else settings.strength,
        "flow": settings.flow,
        "linear_drag": settings.linear_drag if dragging else settings.harmonic_damping if springy else 0.0,
        "quadratic_drag": settings.quadratic_drag if dragging else 0.0,
        "noise": settings.noise,
        "size": settings.rest_length if springy else settings.size,
        "surface": settings.wind_factor,
        "power": settings.falloff_power,
        "least": settings.distance_min if settings.use_min_distance else -1.0,
        "most": settings.distance_max if settings.use_max_distance else -1.0,
        "side_power": settings.radial_falloff,
        "side_least": settings.radial_min if settings.use_radial_min else -1.0,
        "side_most": settings.radial_max if settings.use_radial_max else -1.0,
        "unit": 1.0,
    }
    return [found[name] for name in FORCE_VALUES]


def warn_of_strong(item: bpy.types.Object, strongest: float, warn: Callable[[str], None]) -> None:
    """Say what a wind is that would tear at any cloth, or that none would feel."""
    if item.field.type == "WIND" and strongest > STORM:
        speed = 1.18 * np.sqrt(strongest)
        warn(
            said(
                "Wind '{name}' has a strength of {strength:,.0f}: on cloth of real weight that is a storm of "
                "{speed:.0f} m/s; 10 to 30 is a strong wind.",
                name=item.name,
                strength=strongest,
                speed=speed,
            )
        )
    elif strongest == 0:
        warn(said("Force field '{name}' has no strength at any frame, so it does nothing.", name=item.name))
