# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours over the character in the 3D view: its regions, or how firmly garment and hair are pinned.

The colours belong to the character's meshes at rest and are drawn on the meshes as Blender shows them now, linked ones
too. Nothing of the scene is changed.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import bpy
import gpu
import numpy as np
from bpy.app.handlers import persistent
from gpu_extras.batch import batch_for_shader
from mathutils import Matrix

from ani3d_formats.errors import Ani3DError
from ani3d_formats.regions import REGIONS, is_loose

from .export.figure import Figure
from .export.members import Member
from .export.pin_weights import pins_of
from .export.survey import rest_figure
from .export.triangles import coordinates, triangles_of
from .properties import SWATCHES, region_listeners, scene_group
from .session import redraw

REGIONS_SHOWN, PINS_SHOWN = "REGIONS", "PINS"
PAINTING = "WEIGHT_PAINT"
ALPHA = 0.75
NEARER = 2e-5  # of the depth range: what is drawn lies on the mesh
FREE, FIXED, SKIN = (0.15, 0.5, 0.95), (0.95, 0.25, 0.1), (0.5, 0.5, 0.5)
LIGHT = np.array([0.35, -0.6, 0.72])


@dataclass
class _Layer:
    """One object: its place, linear colours (V,4), and what was drawn last."""

    member: Member
    colors: np.ndarray
    batch: Any = None


class Overlay:
    """What is shown now; there is one."""

    def __init__(self) -> None:
        self.shown = ""
        self._layers: list[_Layer] = []
        self._figure: Figure | None = None
        self._handle: Any = None
        self._moved = True
        self._stale = False
        self._mode = ""

    def show(self, context: bpy.types.Context, what: str) -> None:
        """Show REGIONS_SHOWN or PINS_SHOWN of the bound character, or nothing for "".

        Raises:
            Ani3DError: ``character.*`` where there is no character to show.
        """
        self.hide()
        if not what:
            return
        figure = rest_figure(context, scene_group(context.scene).armature)
        self._figure, self.shown = figure, what
        self._color(context)
        if not bpy.app.background:
            self._handle = bpy.types.SpaceView3D.draw_handler_add(self._draw, (), "WINDOW", "POST_VIEW")
        redraw("WINDOW")

    def hide(self) -> None:
        if self._handle is not None:
            bpy.types.SpaceView3D.draw_handler_remove(self._handle, "WINDOW")
        self.shown, self._layers, self._figure, self._handle = "", [], None, None
        redraw("WINDOW")

    def regions_changed(self) -> None:
        """A region was chosen in the list: the colours are made anew when they are drawn next."""
        self._stale = True

    def moved(self, mode: str) -> None:
        """The scene was evaluated again, in `mode` of its active object; when painting ends the colours are others."""
        self._moved = True
        if self._mode == PAINTING != mode:
            self.renew()
        self._mode = mode

    def renew(self) -> None:
        """Show the same of the character as it is now, as soon as Blender has finished what it does."""
        if self.shown and not bpy.app.background:
            what = self.shown
            self.hide()
            bpy.app.timers.register(partial(self._show_again, what), first_interval=0.0)

    def _show_again(self, what: str) -> None:
        with suppress(Ani3DError):  # it may be there no longer
            self.show(bpy.context, what)

    def colors(self, context: bpy.types.Context) -> dict[str, np.ndarray]:
        """(V,4) RGBA of each object shown, by name."""
        self._refresh(context)
        return {layer.member.name: layer.colors for layer in self._layers}

    def _refresh(self, context: bpy.types.Context) -> None:
        if not self._stale or self._figure is None:
            return
        try:
            self._figure = self._figure.labelled(context.scene)
        except ReferenceError:  # an object was removed
            self.renew()
            return
        self._color(context)

    def _color(self, context: bpy.types.Context) -> None:
        figure = self._figure
        if figure is None:
            return
        if self.shown == REGIONS_SHOWN:
            colors = region_colors(context)[figure.region_ids]
        else:
            colors = pin_colors(figure.region_ids, pins_of(figure))
        self._layers = [_Layer(member, colors[figure.rows(n)]) for n, member in enumerate(figure.members)]
        self._moved, self._stale = True, False

    def _draw(self) -> None:
        self._refresh(bpy.context)
        depsgraph = bpy.context.evaluated_depsgraph_get()
        shader = gpu.shader.from_builtin("SMOOTH_COLOR")
        if self._moved:
            for layer in self._layers:
                layer.batch = _batch(shader, layer, depsgraph)
            self._moved = False
        gpu.state.blend_set("ALPHA")
        gpu.state.depth_test_set("LESS_EQUAL")
        with cast(Any, gpu.matrix).push_pop_projection():
            gpu.matrix.load_projection_matrix(_nearer(gpu.matrix.get_projection_matrix()))
            for layer in self._layers:
                if layer.batch is not None:
                    layer.batch.draw(shader)
        gpu.state.depth_test_set("NONE")
        gpu.state.blend_set("NONE")


def region_colors(context: bpy.types.Context) -> np.ndarray:
    """(4,4) RGBA of each region, as the swatches of the list show them in this theme."""
    theme: Any = context.preferences.themes[0].collection_color
    return np.array([[*theme[SWATCHES[name] - 1].color, ALPHA] for name in REGIONS])


def pin_colors(regions: np.ndarray, pins: np.ndarray) -> np.ndarray:
    """(V,4) RGBA: from blue, free, to red, fixed; body and face grey and almost clear."""
    mixed = pins[:, None] * np.array(FIXED) + (1 - pins[:, None]) * np.array(FREE)
    loose = is_loose(regions)
    return np.c_[np.where(loose[:, None], mixed, SKIN), np.where(loose, ALPHA, 0.2)]


def _batch(shader: Any, layer: _Layer, depsgraph: bpy.types.Depsgraph) -> Any:
    """The object's triangles as evaluated now, or None where it is hidden or has other vertices than at rest."""
    try:
        item = layer.member.item
        if layer.member.hair >= 0:  # strands have no mesh in the scene
            return None
        if not layer.member.instancers and not item.visible_get():
            return None
        evaluated = item.evaluated_get(depsgraph)
    except ReferenceError:  # deleted meanwhile
        return None
    mesh = evaluated.to_mesh()
    try:
        if mesh is None or len(mesh.vertices) != len(layer.colors):
            return None
        points, normals = coordinates(mesh), np.empty(len(mesh.vertices) * 3, np.float32)
        mesh.vertex_normals.foreach_get("vector", normals)
        triangles, _ = triangles_of(mesh)
    finally:
        evaluated.to_mesh_clear()
    world = layer.member.world(depsgraph)
    world[:3, 3] += layer.member.origin
    placed = points @ world[:3, :3].T + world[:3, 3]
    facing = normals.reshape(-1, 3) @ world[:3, :3].T
    facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-12)
    colors = layer.colors.copy()
    colors[:, :3] *= 0.6 + 0.4 * np.abs(facing @ LIGHT)[:, None]
    fields = {"pos": placed.astype(np.float32), "color": colors.astype(np.float32)}
    return batch_for_shader(shader, "TRIS", fields, indices=triangles)


def _nearer(projection: Matrix) -> Matrix:
    """The projection with depths a little nearer to the eye."""
    result = projection.copy()
    result[2] = result[2] - NEARER * result[3]
    return result


overlay = Overlay()


@persistent
def _on_update(*_arguments: object) -> None:
    if overlay.shown:
        active = bpy.context.view_layer.objects.active
        overlay.moved(active.mode if active else "")


@persistent
def _on_undo(*_arguments: object) -> None:
    overlay.renew()  # all objects are others now


@persistent
def _on_load(*_arguments: object) -> None:
    overlay.hide()


HANDLERS = (
    (bpy.app.handlers.depsgraph_update_post, _on_update),
    (bpy.app.handlers.frame_change_post, _on_update),
    (bpy.app.handlers.undo_post, _on_undo),
    (bpy.app.handlers.redo_post, _on_undo),
    (bpy.app.handlers.load_pre, _on_load),
)


def register() -> None:
    region_listeners.append(overlay.regions_changed)
    for handlers, function in HANDLERS:
        handlers.append(function)


def unregister() -> None:
    overlay.hide()
    region_listeners.remove(overlay.regions_changed)
    for handlers, function in HANDLERS:
        handlers.remove(function)
