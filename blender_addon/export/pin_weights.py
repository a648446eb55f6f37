# SPDX-License-Identifier: GPL-3.0-or-later
"""How firmly garment and hair will be held: the engine's rule, asked inside Blender to show and to paint on."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils.kdtree import KDTree

from ani3d_formats.pins import Pins, find_pins

from .figure import Figure


def pins_of(figure: Figure) -> np.ndarray:
    """(V,) pin weights of a character, 1 stays with the skin, as the engine finds them."""
    return found_pins(figure).weights


def found_pins(figure: Figure) -> Pins:
    """The pins of a character, and its pieces that nothing holds."""
    shot = {
        "vertices": figure.vertices,
        "faces": figure.faces,
        "region_ids": figure.region_ids,
        "weight_indices": figure.weight_indices,
        "weight_values": figure.weight_values,
        "bone_rest": figure.rig.rest,
        "bone_lengths": figure.rig.lengths,
        "bone_parents": np.array(figure.rig.parents),
    }
    if figure.pin_weights is not None:
        shot["pin_weights"] = figure.pin_weights
    return find_pins(shot, _nearest)


def pins_for_painting(figure: Figure, item: bpy.types.Object) -> np.ndarray:
    """(V,) for the vertices of the mesh of `item` itself, before its modifiers; zeros where it is no part."""
    mesh = item.data
    number = next((row for row, member in enumerate(figure.members) if member.item == item and member.hair < 0), None)
    if number is None or not isinstance(mesh, bpy.types.Mesh):
        return np.zeros(len(mesh.vertices), np.float32)
    rows = figure.rows(number)
    own = pins_of(figure)[rows]
    if len(own) == len(mesh.vertices):
        return own
    world = item.matrix_world
    origin = np.array(figure.members[number].origin)
    places = np.array([world @ vertex.co for vertex in mesh.vertices]).reshape(-1, 3) - origin
    return own[_nearest(places, figure.vertices[rows])[1]]


def _nearest(points: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    tree = KDTree(len(targets))
    for row, target in enumerate(targets.tolist()):
        tree.insert(target, row)
    tree.balance()
    found = [tree.find(point) for point in points.tolist()]
    return np.array([far for _, _, far in found]), np.array([row for _, row, _ in found], int)
