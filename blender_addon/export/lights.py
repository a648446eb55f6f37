# SPDX-License-Identifier: GPL-3.0-or-later
"""Suns and the world's colour: what the engine shades the character with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import bpy
import numpy as np

from .. import compat

BRIGHTEST = 1e9  # times white
ARRAYS = ("sun_directions", "sun_colors", "ambient", "background")
Note = Callable[[str], None]


@dataclass(frozen=True)
class Lighting:
    """Linear light: `sun_directions` (L,3) the way light travels, `sun_colors` (L,3) colour times strength,
    `ambient` (3,) and `background` (3,); `notes`: a sentence for each thing that is left out."""

    sun_directions: np.ndarray
    sun_colors: np.ndarray
    ambient: np.ndarray
    background: np.ndarray
    notes: tuple[str, ...] = ()

    def same(self, other: Lighting) -> bool:
        """Whether both light the character alike."""
        pairs = [(getattr(self, name), getattr(other, name)) for name in ARRAYS]
        return all(a.shape == b.shape and np.allclose(a, b, atol=1e-4) for a, b in pairs)


def read_lights(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> Lighting:
    """The scene's lights as evaluated now. Without any sun the character is lit evenly with white."""
    found, others = [], set()
    notes: list[str] = []
    for lamp, matrix in _lamps(depsgraph):
        light = cast(bpy.types.Light, lamp.evaluated_get(depsgraph).data)
        if light.type != "SUN":
            others.add(lamp.name)
            continue
        if lamp.light_linking.receiver_collection:
            notes.append(f"The light linking of '{lamp.name}' is not exported: it lights the whole character.")
        if (sun := _sun(lamp.name, light, matrix, notes.append)) is not None:
            found.append(sun)
    if others:
        notes.append(f"Only Sun lights are exported; left out: {', '.join(sorted(others))}.")
    world = _world_color(scene, notes.append)
    if not found:
        notes.append("The scene has no Sun light: the character is lit evenly.")
    directions, colors = np.array(found, np.float64).reshape(-1, 2, 3).swapaxes(0, 1)
    return Lighting(directions, colors, world if found else np.ones(3), world, tuple(notes))


def warn_of_lights(lightings: Sequence[Lighting], warn: Callable[[str], None]) -> None:
    """Say what the lights of a shot's first frame leave out, and where those of other frames differ from them."""
    first = lightings[0]
    for note in first.notes:
        warn(note)
    if not all(first.same(other) for other in lightings):
        warn("Lights move or change during the shot; they are exported as they are at its first frame.")


def _lamps(depsgraph: bpy.types.Depsgraph) -> Iterator[tuple[bpy.types.Object, np.ndarray]]:
    """The light objects that are rendered, with their world matrices (4,4); those of instanced collections too."""
    rendered = set(rendered_objects(depsgraph.view_layer.layer_collection))
    for item in depsgraph.view_layer.objects:
        if item.type == "LIGHT" and item in rendered:
            yield item, np.array(item.evaluated_get(depsgraph).matrix_world, np.float64)
    for instance in depsgraph.object_instances:
        if instance.is_instance and instance.object.type == "LIGHT" and not instance.object.hide_render:
            yield cast(bpy.types.Object, instance.object.original), np.array(instance.matrix_world, np.float64)


def rendered_objects(layer: bpy.types.LayerCollection) -> Iterator[bpy.types.Object]:
    """The objects of a collection and of those in it that renders show."""
    if layer.exclude or layer.collection.hide_render:
        return
    yield from (item for item in layer.collection.objects if not item.hide_render)
    for child in layer.children:
        yield from rendered_objects(child)


def _sun(name: str, light: bpy.types.Light, matrix: np.ndarray, note: Note) -> tuple[np.ndarray, np.ndarray] | None:
    """Direction (3,) and colour (3,) of a sun; none where it gives no light."""
    axis = matrix[:3, 2]
    length = np.linalg.norm(axis)
    color = np.array(light.color, np.float64) * cast(Any, light).energy
    color = color * compat.light_factor(light) * _node_factor(name, light, note)
    if not (np.abs([*color, length]) < BRIGHTEST).all() or length < 1e-12:
        note(f"The sun '{name}' is left out: it is scaled to zero, or its strength is beyond all reason.")
        return None
    return -axis / length, color


def _node_factor(name: str, light: bpy.types.Light, note: Note) -> np.ndarray:
    """(3,) what the shader nodes of a light multiply its colour with."""
    tree = compat.light_nodes(light)
    output: Any = next((n for n in tree.nodes if n.type == "OUTPUT_LIGHT"), None) if tree else None
    if output is None:
        return np.ones(3)
    links = output.inputs["Surface"].links
    emission: Any = links[0].from_node if links else None
    if emission is None:
        return np.zeros(3)
    if emission.type != "EMISSION" or emission.inputs["Color"].is_linked or emission.inputs["Strength"].is_linked:
        note(f"The nodes of the light '{name}' are not exported: its own colour is.")
        return np.ones(3)
    return np.array(emission.inputs["Color"].default_value[:3], np.float64) * emission.inputs["Strength"].default_value


def _world_color(scene: bpy.types.Scene, note: Note) -> np.ndarray:
    world = scene.world
    if world is None:
        return np.zeros(3)
    node = next((n for n in compat.nodes_in_use(world) if n.type == "BACKGROUND"), None)
    light = np.array(world.color[:], np.float64)
    if node is not None:
        color = cast(bpy.types.NodeSocketColor, node.inputs["Color"])
        strength = cast(bpy.types.NodeSocketFloat, node.inputs["Strength"])
        if color.is_linked or strength.is_linked:
            note(f"What is linked to the background of the world '{world.name}' is exported as one flat colour.")
        light = np.array(color.default_value[:3], np.float64) * strength.default_value
    if not (np.abs(light) < BRIGHTEST).all():
        note(f"The world '{world.name}' is left out: its strength is beyond all reason.")
        return np.zeros(3)
    return light
