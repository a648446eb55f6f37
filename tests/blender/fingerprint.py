"""What of a file reading its character may touch meanwhile, and has to put back. Needs nothing but Blender."""

from __future__ import annotations

from typing import Any

import bpy

DATA = ("objects", "meshes", "armatures", "collections", "materials", "images", "actions", "node_groups", "cameras",
        "lights", "curves", "scenes", "worlds", "texts", "libraries", "pointclouds")  # fmt: skip


def fingerprint() -> dict[str, Any]:
    """All of the file that exporting touches meanwhile: frame, selection, modes, what is shown, numbers of data."""
    scene, layer = bpy.context.scene, bpy.context.view_layer
    state: dict[str, Any] = {
        "counts": {name: len(getattr(bpy.data, name)) for name in DATA if hasattr(bpy.data, name)},
        "scene": (scene.name, layer.name),
        "frame": (scene.frame_current, scene.frame_subframe, scene.frame_start, scene.frame_end),
        "camera": scene.camera,
        "bound": (scene.ani3d.armature, scene.ani3d.shot_path, scene.ani3d.job_id),
        "parts": [(p.name, p.object, p.region, p.chosen) for p in scene.ani3d.parts],
        "active": layer.objects.active,
        "selected": sorted(item.name for item in layer.objects if item.select_get()),
        "shown": {c.name: (c.hide_viewport, c.hide_render) for c in bpy.data.collections},
        "rest": {data.name: data.pose_position for data in bpy.data.armatures},
    }
    for item in bpy.data.objects:
        state[f"object {item.name_full}"] = (
            item.mode,
            item.hide_viewport,
            item.hide_render,
            item.hide_select,
            item.name in layer.objects and item.hide_get(),
            [(m.name, m.type, m.show_viewport, m.show_render, m.show_in_editmode) for m in item.modifiers],
            [group.name for group in item.vertex_groups],
            len(item.data.vertices) if item.type == "MESH" else None,
            item.parent,
            repr(item.matrix_basis),  # which may hold what is no number
        )
    return state
