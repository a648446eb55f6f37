"""A character that takes its time: a body of 100,000 vertices and a skirt over 250 frames. Runs inside Blender."""

from __future__ import annotations

import bpy
import numpy as np
import rigs

AROUND, RINGS, FRAMES = 400, 250, 250


def build() -> None:
    """The character in the present empty file, selected, with camera and sun."""
    rig = rigs.character(frames=8)
    _replace(bpy.data.objects["Body"])
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, FRAMES
    spine = rig.pose.bones["spine"]
    for frame in range(1, FRAMES + 1, 10):
        spine.rotation_euler = (0.4 * np.sin(frame / 10), 0.01 * frame, 0)
        spine.keyframe_insert("rotation_euler", frame=frame)
    scene.frame_set(17)
    rigs.select(rig)


def _replace(body: bpy.types.Object) -> None:
    """Give the body a mesh of many vertices, with the weights of its rings."""
    angles = np.linspace(0, 2 * np.pi, AROUND, endpoint=False)
    heights = np.linspace(0, 1.5, RINGS)
    ring = np.stack([0.15 * np.cos(angles), 0.15 * np.sin(angles)], 1)
    points = np.concatenate([np.tile(ring, (RINGS, 1)), np.repeat(heights, AROUND)[:, None]], 1)
    first = (np.arange(RINGS - 1)[:, None] * AROUND + np.arange(AROUND)).ravel()
    after = (np.arange(RINGS - 1)[:, None] * AROUND + (np.arange(AROUND) + 1) % AROUND).ravel()
    faces = np.stack([first, after, after + AROUND, first + AROUND], 1)
    mesh = bpy.data.meshes.new("Body")
    mesh.from_pydata(points.tolist(), [], faces.tolist())
    body.data = mesh
    for row, height in enumerate(heights.tolist()):
        own = list(range(row * AROUND, (row + 1) * AROUND))
        for bone, centre in zip(rigs.BONES, (0.25, 0.75, 1.25), strict=True):
            if (weight := 1 - abs(height - centre) / 0.6) > 0:
                (body.vertex_groups.get(bone) or body.vertex_groups.new(name=bone)).add(own, 0.6 * weight, "REPLACE")
