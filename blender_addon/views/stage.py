# SPDX-License-Identifier: GPL-3.0-or-later
"""A scene of its own in which Cycles renders the character alone, under the light and among the shadows of its scene.

Objects are linked into it as they are: nothing of them changes. What else is in the scene is seen by light only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from ani3d_formats.errors import Ani3DError

from .. import compat
from ..cycles import use_cycles
from ..export.lights import rendered_objects
from ..export.members import Members
from ..export.surfaces.graph import trees_of
from ..export.world import without_results
from ..properties import object_group
from ..sentence import said
from .exr import read_channels

NAME = "Ani3D views"
SENSOR = 36.0  # millimetres
DIELECTRIC = 0.04  # what a plain surface reflects straight on
HAIR = ("BSDF_HAIR", "BSDF_HAIR_PRINCIPLED")
NO_COLOR = 2e-3  # below it nothing is scattered
LIGHT_PATHS = (
    "max_bounces", "diffuse_bounces", "glossy_bounces", "transmission_bounces", "transparent_max_bounces",
    "sample_clamp_direct", "sample_clamp_indirect", "blur_glossy", "caustics_reflective", "caustics_refractive",
)  # fmt: skip
_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])  # Blender's camera looks along -z with y up


@dataclass(frozen=True)
class Shape:
    """Of all views: `width`, `height` in pixels, `samples` a pixel."""

    width: int
    height: int
    samples: int


@dataclass(frozen=True)
class Stage:
    """The scene with its camera. Places are relative to `origin`; `hair`: a shader made for hair is among the shown."""

    scene: bpy.types.Scene
    camera: bpy.types.Object
    shape: Shape
    origin: np.ndarray
    hair: bool = False

    def shoot(
        self, viewmat: np.ndarray, K: np.ndarray, distance: float, frame: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Render one view of the scene's frame `frame`, by an OpenCV camera, of something at a distance in metres.

        Returns:
            Radiance and albedo, (H,W,4) float16, linear, premultiplied.

        Raises:
            Ani3DError: ``views.render``, ``cancelled``.
        """
        scene: Any = self.scene
        pose = np.linalg.inv(_FLIP @ viewmat)
        pose[:3, 3] += self.origin
        self.camera.matrix_world = Matrix(pose.tolist())
        data: Any = self.camera.data
        data.lens = K[0, 0] * SENSOR / self.shape.width
        data.clip_start, data.clip_end = 0.01 * distance, 1000 * distance
        scene.cycles.seed = seed
        scene.frame_set(frame)
        path = Path(bpy.app.tempdir) / "ani3d_view.exr"
        scene.render.filepath = str(path)
        try:
            if "CANCELLED" in self._render():
                raise Ani3DError("cancelled", "Rendering was cancelled.", "")
            channels = read_channels(path)
            return _pictures(channels, viewmat, K, self.hair)
        except (ValueError, OSError, KeyError) as error:
            raise _render_error(error) from error
        finally:
            path.unlink(missing_ok=True)

    def _render(self) -> set[Any]:
        cycles: Any = self.scene.cycles
        try:
            return bpy.ops.render.render(write_still=True, scene=self.scene.name)
        except RuntimeError as error:
            if cycles.device == "CPU":
                raise _render_error(error) from error
            cycles.device = "CPU"  # a GPU may be out of memory, or lack a driver
            return self._render()


@contextmanager
def stage(context: bpy.types.Context, found: Members, shape: Shape) -> Iterator[Stage]:
    """The scene in which the objects of `found` are shown; removed afterwards.

    Raises:
        Ani3DError: ``views.no_cycles``.
    """
    own = context.scene
    scene: Any = bpy.data.scenes.new(NAME)
    with ExitStack() as stack:
        stack.enter_context(without_results())
        stack.callback(bpy.data.scenes.remove, scene)
        scene.world = _clear_world(own.world, stack)
        _settle(own, scene, shape)
        data: Any = bpy.data.cameras.new(NAME)
        stack.callback(bpy.data.cameras.remove, data)
        camera = bpy.data.objects.new(NAME, data)
        stack.callback(bpy.data.objects.remove, camera)
        data.sensor_fit, data.sensor_width = "HORIZONTAL", SENSOR
        scene.collection.objects.link(camera)
        scene.camera = camera
        shown = {member.instancers[0] if member.instancers else member.item for member in found.shapes}
        rendered = dict.fromkeys(rendered_objects(context.view_layer.layer_collection))
        others = [item for item in rendered if item not in shown and object_group(item).kind == "NONE"]
        for name, items in (("character", sorted(shown, key=lambda o: o.name)), ("others", others)):
            _collect(stack, scene, f"{NAME} {name}", items)
        layer = scene.view_layers[0]
        layer.update()
        layer.layer_collection.children[-1].indirect_only = True
        yield Stage(scene, camera, shape, np.array(found.armature.origin), _has_hair(found))


def _clear_world(world: bpy.types.World | None, stack: ExitStack) -> bpy.types.World | None:
    """The world without mist, which would fill the pictures; a copy where it has some."""
    outputs: list[Any] = [n for n in compat.nodes_in_use(world) if n.type == "OUTPUT_WORLD"] if world else []
    if world is None or not any(output.inputs["Volume"].is_linked for output in outputs):
        return world
    copy = world.copy()
    stack.callback(bpy.data.worlds.remove, copy)
    tree: Any = copy.node_tree
    for link in [
        link for link in tree.links if link.to_node.type == "OUTPUT_WORLD" and link.to_socket.name == "Volume"
    ]:
        tree.links.remove(link)
    return copy


def _collect(stack: ExitStack, scene: Any, name: str, items: Sequence[bpy.types.Object]) -> None:
    collection = bpy.data.collections.new(name)
    stack.callback(bpy.data.collections.remove, collection)
    for item in items:
        collection.objects.link(item)
    scene.collection.children.link(collection)


def _settle(own: Any, scene: Any, shape: Shape) -> None:
    render, layer = scene.render, scene.view_layers[0]
    layer.name = "views"  # begins the names of channels
    try:
        use_cycles(scene, shape.samples)
    except RuntimeError as error:
        raise Ani3DError(
            "views.no_cycles",
            "Cycles, which renders the views, is switched off.",
            "Enable the add-on Cycles Render Engine in the preferences.",
        ) from error
    cycles = scene.cycles
    for name in LIGHT_PATHS:
        if hasattr(cycles, name):
            setattr(cycles, name, getattr(own.cycles, name))
    cycles.device = "GPU" if has_gpu() else "CPU"
    render.film_transparent, render.use_simplify = True, False
    render.hair_type = own.render.hair_type
    render.use_compositing = render.use_sequencer = render.use_border = render.use_motion_blur = False
    render.resolution_x, render.resolution_y, render.resolution_percentage = shape.width, shape.height, 100
    render.use_file_extension = False
    compat.write_layers(render.image_settings)
    for name in ("diffuse_color", "glossy_color", "transmission_color", "emit", "normal"):
        setattr(layer, f"use_pass_{name}", True)


def _has_hair(found: Members) -> bool:
    """Whether a material of the character has a shader made for hair."""
    slots = [slot for item in found.objects for slot in item.material_slots]
    trees = [slot.material.node_tree for slot in slots if slot.material and slot.material.node_tree]
    return any(node.type in HAIR for tree in trees for inner, _ in trees_of(tree) for node in inner.nodes)


def has_gpu() -> bool:
    """Whether Cycles is set up to use a GPU in the preferences."""
    addons: Any = bpy.context.preferences.addons
    preferences = addons["cycles"].preferences if "cycles" in addons else None
    try:
        return bool(preferences and preferences.has_active_device())
    except Exception:  # asks the drivers
        return False


def _pictures(
    channels: dict[str, np.ndarray], viewmat: np.ndarray, K: np.ndarray, hair: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Radiance and albedo out of Blender's passes.

    A surface's colour is what it scatters, lets through and emits, and what it mirrors beyond what any plain surface
    does: of metals that is their base colour. With `hair` shaders, whose normals mean something else, it is all that is
    mirrored where there is nothing else.
    """
    radiance = _pass(channels, ("Combined",), "RGBA")
    alpha = radiance[..., 3:]
    normals = _pass(channels, ("Normal",), "XYZ")
    height, width = alpha.shape[:2]
    rays = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)
    rays = (
        np.concatenate([(rays - K[:2, 2]) / K[[0, 1], [0, 1]], np.ones((height, width, 1))], axis=-1) @ viewmat[:3, :3]
    )
    lengths = np.linalg.norm(normals, axis=-1) * np.linalg.norm(rays, axis=-1)
    facing = np.abs((normals * rays).sum(-1)) / np.maximum(lengths, 1e-6)
    plain = DIELECTRIC + (1 - DIELECTRIC) * (1 - np.clip(facing, 0, 1)[..., None]) ** 5
    scattered = _pass(channels, ("Diffuse Color", "DiffCol"), "RGB")
    scattered += _pass(channels, ("Transmission Color", "TransCol"), "RGB")
    mirrored = _pass(channels, ("Glossy Color", "GlossCol"), "RGB")
    color = scattered + _pass(channels, ("Emission", "Emit"), "RGB")
    strongest = mirrored.max(-1, keepdims=True)
    beyond = np.maximum(strongest - plain * alpha, 0) / np.maximum(strongest * (1 - plain), 1e-3)
    if hair:
        beyond = np.where(color.max(-1, keepdims=True) < NO_COLOR, 1, beyond)
    color += mirrored * beyond
    albedo = np.concatenate([np.clip(color, 0, alpha), alpha], axis=-1)
    return _half(radiance), _half(albedo)


def _half(picture: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(picture, posinf=6e4), 0, 6e4).astype(np.float16)


def _pass(channels: dict[str, np.ndarray], names: Sequence[str], letters: str) -> np.ndarray:
    """(H,W,k) float32 of the pass that has one of `names`, which differ between versions."""
    for name in names:
        own = {
            key[-1]: value for key, value in channels.items() if key.endswith(tuple(f".{name}.{c}" for c in letters))
        }
        if len(own) == len(letters):
            return np.stack([own[letter] for letter in letters], axis=-1).astype(np.float32)
    raise KeyError(names[0])


def _render_error(error: Exception) -> Ani3DError:
    what = " ".join(str(error).removeprefix("Error: ").split())
    return Ani3DError(
        "views.render",
        said("Blender could not render a view: {what}.", what=what),
        "Try rendering the scene with Cycles.",
    )
