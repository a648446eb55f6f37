# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene's colliders: objects with a Collision modifier, or that are marked in the panel; read frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import bpy
import numpy as np

from ..properties import object_group
from ..sentence import said
from .triangles import coordinates, triangles_of

UNTOUCHED_THICKNESS, UNTOUCHED_FRICTION = 0.02, 5.0  # of a new Collision modifier: nobody chose them
STICKS = 10.0  # friction of a Collision modifier from which on nothing slides
MOST_BYTES = 512 << 20  # of the recorded places of one collider
SAME = 1e-6  # times its size, by which a shape may differ from frame to frame and be the same


def colliders_of(view_layer: bpy.types.ViewLayer, character: Collection[bpy.types.Object]) -> list[bpy.types.Object]:
    """What cloth shall not enter: marked objects that are shown, without the character itself and without results."""
    return [
        item
        for item in view_layer.objects
        if is_marked(item)
        and item not in character
        and object_group(item).kind == "NONE"
        and item.visible_get(view_layer=view_layer)
    ]


def is_marked(item: bpy.types.Object) -> bool:
    """Whether cloth collides with an object, by its Collision modifier or the panel's mark."""
    if item.type != "MESH":
        return False
    return object_group(item).collides or any(m.type == "COLLISION" and item.collision.use for m in item.modifiers)


@dataclass
class Collider:
    """One collider while the shot is played.

    Attributes:
        vertices: (C,3) float32 at the first frame, in its own space; faces: (D,3).
        poses: (T,4,4) by frame; recorded: (T,C,3) world places, None where its shape never changes.
    """

    item: bpy.types.Object
    name: str
    frames: int
    may_deform: bool
    vertices: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    faces: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.int32))
    poses: np.ndarray = field(default_factory=lambda: np.zeros((0, 4, 4)))
    recorded: np.ndarray | None = None
    deforms: bool = False
    left_out: bool = False

    @classmethod
    def of(cls, item: bpy.types.Object, frames: int) -> Collider:
        shapes = item.data.shape_keys is not None or item.data.animation_data is not None
        deforming = any(m.type != "COLLISION" and m.show_viewport for m in item.modifiers)
        return cls(item, item.name, frames, shapes or deforming)

    def read(self, row: int, depsgraph: bpy.types.Depsgraph, warn: Callable[[str], None]) -> None:
        """Read it at a frame of the shot. What cannot be read is told of once, and it goes on as it was."""
        if self.left_out:
            return
        try:
            self._read(row, depsgraph, warn)
        except ReferenceError:
            self.left_out = True
            warn(
                said(
                    "Collider '{name}' was deleted while the scene was read, so cloth does not notice it.",
                    name=self.name,
                )
            )

    def _read(self, row: int, depsgraph: bpy.types.Depsgraph, warn: Callable[[str], None]) -> None:
        evaluated = self.item.evaluated_get(depsgraph)
        pose = np.array(evaluated.matrix_world, np.float64)
        if row == 0:
            self.vertices, self.faces = _shape(evaluated)
            self.poses = np.repeat(pose[None], self.frames, 0)
            self.deforms, self.recorded = False, None
            self._check(pose, warn)
            return
        if not np.isfinite(pose).all():
            self._leave_out(warn)
            return
        self.poses[row:] = pose
        if not self.may_deform:
            return
        now = _vertices(evaluated)
        if len(now) != len(self.vertices):
            self.may_deform = False
            warn(
                said(
                    "Collider '{name}' has {count:,} vertices at first and {later:,} later: cloth meets it in the "
                    "last shape with as many as at first.",
                    name=self.name,
                    count=len(self.vertices),
                    later=len(now),
                )
            )
            return
        if not self.deforms and np.abs(now - self.vertices).max(initial=0) <= SAME * max(np.ptp(self.vertices), 1e-6):
            return
        if self.recorded is None and not self._record(row, warn):
            return
        assert self.recorded is not None
        self.deforms = True
        if np.isfinite(now).all():
            self.recorded[row:] = now @ pose[:3, :3].T + pose[:3, 3]
        else:
            self._leave_out(warn)

    def _record(self, row: int, warn: Callable[[str], None]) -> bool:
        if len(self.vertices) * self.frames * 12 > MOST_BYTES:
            self.may_deform = False
            warn(
                said(
                    "Collider '{name}' changes its shape and has {count:,} vertices, too many for {frames} frames: "
                    "cloth meets it as it is in the first one. Let a simpler mesh collide instead.",
                    name=self.name,
                    count=len(self.vertices),
                    frames=self.frames,
                )
            )
            return False
        local = self.vertices.astype(np.float64)
        self.recorded = np.empty((self.frames, len(local), 3), np.float32)
        for t in range(row):
            self.recorded[t] = local @ self.poses[t, :3, :3].T + self.poses[t, :3, 3]
        return True

    def _check(self, pose: np.ndarray, warn: Callable[[str], None]) -> None:
        if not (np.isfinite(self.vertices).all() and np.isfinite(pose).all()):
            self._leave_out(warn)
        elif len(self.faces) == 0:
            self.left_out = True
            warn(said("Collider '{name}' has no faces, so cloth does not notice it.", name=self.name))

    def _leave_out(self, warn: Callable[[str], None]) -> None:
        self.left_out = True
        warn(said("Collider '{name}' has no finite place at some frame, so cloth does not notice it.", name=self.name))

    def entry(self, start: int) -> dict[str, Any]:
        """The collider as a shot's metadata has it, its vertices from `start` on."""
        entry: dict[str, Any] = {"name": self.name, "vertex_start": start, "vertex_count": len(self.vertices)}
        if self.recorded is not None:
            entry["recorded"] = True
        if any(m.type == "COLLISION" for m in self.item.modifiers):
            settings = self.item.collision
            if abs(settings.thickness_outer - UNTOUCHED_THICKNESS) > 1e-6:
                entry["thickness"] = float(settings.thickness_outer)
            if abs(settings.cloth_friction - UNTOUCHED_FRICTION) > 1e-6:
                entry["friction"] = float(np.clip(settings.cloth_friction / STICKS, 0, 1))
        return entry


def _shape(evaluated: bpy.types.Object) -> tuple[np.ndarray, np.ndarray]:
    mesh = evaluated.to_mesh()
    try:
        return coordinates(mesh), triangles_of(mesh)[0]
    finally:
        evaluated.to_mesh_clear()


def _vertices(evaluated: bpy.types.Object) -> np.ndarray:
    mesh = evaluated.to_mesh()
    try:
        return coordinates(mesh)
    finally:
        evaluated.to_mesh_clear()


def collider_arrays(colliders: list[Collider], origin: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of a shot's colliders, relative to `origin` (3,) world metres."""
    if not colliders:
        return {}
    starts = np.cumsum([0, *(len(each.vertices) for each in colliders)])
    poses = np.stack([each.poses for each in colliders], 1)
    poses[..., :3, 3] -= origin
    arrays = {
        "collider_vertices": np.concatenate([each.vertices for each in colliders]),
        "collider_faces": np.concatenate([each.faces + start for each, start in zip(colliders, starts, strict=False)]),
        "collider_poses": poses if (poses != poses[:1]).any() else poses[0],
    }
    recorded = [each.recorded - origin.astype(np.float32) for each in colliders if each.recorded is not None]
    if recorded:
        arrays["collider_recorded"] = np.concatenate(recorded, 1)
    return arrays
