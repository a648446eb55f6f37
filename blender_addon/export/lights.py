# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene's lights frame by frame: what the engine shades the character with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import bpy
import numpy as np

from .. import compat
from ..sentence import said
from .lamps import SUN, Lamp, is_bright, read_lamp
from .still import lights_stand_still
from .world import Sky, even_color, read_sky

DARK = 0.1  # radiance of a world that alone does not light a character: Blender's own grey is .05
Key = tuple[str, int]


@dataclass(frozen=True)
class Lighting:
    """Light at one frame: lamps by the name of their object and their number under it, and the world."""

    lamps: dict[Key, Lamp]
    sky: Sky
    even: bool = False  # nothing lights the character, which is shown in even white light


class Lights:
    """Reads a scene's lights; what is left out is said once, with `warn`."""

    def __init__(self, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, warn: Callable[[str], None]) -> None:
        """Renders the world where it has more than one colour. `depsgraph` may be invalid afterwards."""
        self._warn, self._said = warn, set[str]()
        self._instanced = any(i.is_instance and i.object.type == "LIGHT" for i in depsgraph.object_instances)
        for text in _what_is_ignored(depsgraph):
            self._note(text)
        self._sky = read_sky(scene, self._note)
        self._still = not self._instanced and lights_stand_still(scene, bpy.context.view_layer)
        self._kept: Lighting | None = None

    def read(self, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> Lighting:
        """The lights as evaluated now. Where there are none, and the world is dark, the character is lit evenly."""
        if not self._still:
            return self._read(scene, depsgraph)
        if self._kept is None:
            self._kept = self._read(scene, depsgraph)
        return self._kept

    def _read(self, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> Lighting:
        lamps: dict[Key, Lamp] = {}
        for source, matrix in _lamps(depsgraph, self._instanced):
            light = cast(bpy.types.Light, source.evaluated_get(depsgraph).data)
            lamp = read_lamp(source.name, light, matrix, self._note)
            if lamp is not None:
                number = sum(name == source.name_full for name, _ in lamps)
                lamps[source.name_full, number] = lamp
        sky, even = self._sky, even_color(_evaluated(scene.world, depsgraph))
        if sky.harmonics is None and even is not None and is_bright(even):
            sky = Sky(even, even)
        if sky.sun is not None:
            lamps["", 0] = sky.sun
        if not lamps and sky.ambient.max() < DARK:
            self._note("The scene has no light: the character is lit evenly.")
            return Lighting({}, replace(sky, ambient=np.ones(3), harmonics=None, picture=None), even=True)
        return Lighting(lamps, sky)

    def _note(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._warn(text)


def light_arrays(lightings: Sequence[Lighting], origin: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of a shot for the lights of its T frames, relative to `origin`; with an axis of frames where they
    change."""
    keys = list(dict.fromkeys(key for lighting in lightings for key in lighting.lamps))
    kinds = {key: next(one.lamps[key].kind for one in lightings if key in one.lamps) for key in keys}
    suns, lamps = ([k for k in keys if (kinds[k] == SUN) == wanted] for wanted in (True, False))
    matrices, colors, shapes = _over_time(lightings, suns, 2)
    arrays = {
        "sun_directions": -matrices[..., :3, 2],
        "sun_colors": colors,
        "ambient": np.stack([one.sky.ambient for one in lightings]),
    }
    if suns:
        arrays["sun_shapes"] = shapes
    if lamps:
        arrays["lamp_matrices"], arrays["lamp_colors"], arrays["lamp_shapes"] = _over_time(lightings, lamps, 5)
        arrays["lamp_matrices"][..., :3, 3] -= origin
    if lightings[0].sky.harmonics is not None:
        arrays["ambient_sh"] = np.stack([cast(np.ndarray, one.sky.harmonics) for one in lightings])
    arrays = {name: _still(array) for name, array in arrays.items()}
    if lamps:
        arrays["lamp_kinds"] = np.array([kinds[key] for key in lamps], np.int32)
    arrays["background"] = lightings[0].sky.background
    if lightings[0].sky.picture is not None:
        arrays["sky_picture"] = lightings[0].sky.picture
    return arrays


def _over_time(lightings: Sequence[Lighting], keys: list[Key], width: int) -> tuple[np.ndarray, ...]:
    """Matrices (T,L,4,4), colours (T,L,3) and shapes (T,L,width) of some lamps; one that is not there is black."""
    frames = len(lightings)
    matrices = np.tile(np.eye(4), (frames, len(keys), 1, 1))
    colors, shapes = np.zeros((frames, len(keys), 3)), np.zeros((frames, len(keys), width))
    for n, key in enumerate(keys):
        known = next(one.lamps[key] for one in lightings if key in one.lamps)
        for t, lighting in enumerate(lightings):
            there = lighting.lamps.get(key)
            known = there or known
            matrices[t, n], shapes[t, n] = known.matrix, known.shape
            colors[t, n] = there.color if there else 0
    return matrices, colors, shapes


def _still(array: np.ndarray) -> np.ndarray:
    """The first frame alone where all T are alike."""
    return array[0] if np.allclose(array, array[:1], rtol=1e-5, atol=1e-6) else array


def _evaluated(world: bpy.types.World | None, depsgraph: bpy.types.Depsgraph) -> bpy.types.World | None:
    return None if world is None else cast(bpy.types.World, world.evaluated_get(depsgraph))


def _lamps(depsgraph: bpy.types.Depsgraph, instanced: bool) -> Iterator[tuple[bpy.types.Object, np.ndarray]]:
    """The light objects that are rendered, with their world matrices (4,4); those of instanced collections too."""
    rendered = set(rendered_objects(depsgraph.view_layer.layer_collection))
    for item in depsgraph.view_layer.objects:
        if item.type == "LIGHT" and item in rendered:
            yield item, np.array(item.evaluated_get(depsgraph).matrix_world, np.float64)
    for instance in depsgraph.object_instances if instanced else ():
        if instance.is_instance and instance.object.type == "LIGHT" and not instance.object.hide_render:
            yield cast(bpy.types.Object, instance.object.original), np.array(instance.matrix_world, np.float64)


def rendered_objects(layer: bpy.types.LayerCollection) -> Iterator[bpy.types.Object]:
    """The objects of a collection and of those in it that renders show."""
    if layer.exclude or layer.collection.hide_render:
        return
    yield from (item for item in layer.collection.objects if not item.hide_render)
    for child in layer.children:
        yield from rendered_objects(child)


def _what_is_ignored(depsgraph: bpy.types.Depsgraph) -> Iterator[str]:
    """A sentence for each kind of light that the shot cannot say."""
    glowing = []
    for item in dict.fromkeys(rendered_objects(depsgraph.view_layer.layer_collection)):
        linking = getattr(item, "light_linking", None)
        collections = (linking.receiver_collection, linking.blocker_collection) if linking else ()
        if item.type == "LIGHT" and any(collections):
            yield said("The light linking of '{name}' is not exported: it lights the whole character.", name=item.name)
        if item.type == "MESH" and any(_glows(slot.material) for slot in item.material_slots):
            glowing.append(item.name)
    if glowing:
        yield said("Meshes that emit light do not light the character: {names}.", names=", ".join(sorted(glowing)))


def _glows(material: bpy.types.Material | None) -> bool:
    """Whether a material sends out light: by the node that is linked to its output."""
    nodes = compat.nodes_in_use(material) if material else ()
    output: Any = next((n for n in nodes if n.type == "OUTPUT_MATERIAL" and cast(Any, n).is_active_output), None)
    links = output.inputs["Surface"].links if output else ()
    node: Any = links[0].from_node if links else None
    if node is None or node.type not in ("EMISSION", "BSDF_PRINCIPLED"):
        return False
    strength = node.inputs["Strength" if node.type == "EMISSION" else "Emission Strength"]
    color = node.inputs["Color" if node.type == "EMISSION" else "Emission Color"]
    black = not color.is_linked and max(color.default_value[:3]) <= 0
    return not black and (strength.is_linked or strength.default_value > 1.0)
