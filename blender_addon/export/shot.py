# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the parts of a shot together: what holds still first, then one pass over the frames."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.regions import REGIONS
from ani3d_formats.shot import stored
from ani3d_formats.shot_meta import SCHEMA, VERSION, ShotMeta

from . import camera, character, evaluated, lights, mesh, skeleton
from .surfaces import Surfaces, read_surfaces

Progress = Callable[[int, int, float], None]
"""Called as (frames done, frames in all, seconds left)."""


@dataclass(frozen=True)
class _Character:
    """What holds still during the shot."""

    armature: bpy.types.Object
    objects: list[bpy.types.Object]
    rig: skeleton.Rig
    rest: skeleton.RestPose
    figure: mesh.Figure
    surfaces: Surfaces


@dataclass(frozen=True)
class _Motion:
    """What moves, one entry a frame."""

    poses: np.ndarray  # (T,B,4,4)
    cameras: list[camera.Camera]
    deformed: np.ndarray | None  # (T,V,3), the meshes as Blender shows them


def export_shot(
    context: bpy.types.Context,
    armature: bpy.types.Object,
    frame_start: int | None = None,
    frame_end: int | None = None,
    on_progress: Progress | None = None,
    on_warning: Callable[[str], None] | None = None,
    evaluate: bool = False,
) -> dict[str, np.ndarray]:
    """Export the character of `armature` with its motion, cameras and lights.

    Args:
        context: its scene gives cameras, lights, picture size and, where not given, the frame range.
        armature: the armature object; the character is every mesh with an Armature modifier to it.
        frame_start, frame_end: scene frames, both included.
        on_progress: called after every frame.
        on_warning: called with one sentence for each thing that is left out of the shot.
        evaluate: also write `evaluated_vertices` (T,V,3), the meshes as Blender shows them: after shape keys, lattices,
            cloth and all other modifiers.

    Returns:
        The arrays of the shot file by name (docs/conventions), float32 and int32, world space, metres.

    Raises:
        Ani3DError: codes ``character.*``, ``shot.*``, ``camera.*``; nothing in the scene is changed.
    """
    scene = context.scene
    warn = on_warning or _ignore
    warn_skinning = _ignore if evaluate else warn  # what skinning leaves out is in the evaluated meshes
    frames = _frames(scene, frame_start, frame_end)
    character.check_armature(armature)
    objects = character.meshes_of(armature, context.view_layer)
    character.check_modifiers(objects, warn_skinning)
    rig = skeleton.read_rig(armature, warn_skinning)
    left_out = evaluated.left_out(objects, warn) if evaluate else []
    with (
        frame_restored(scene),
        character.shown([armature, *objects], context.view_layer),
        character.switched_off(left_out),
    ):
        scene.frame_set(frames.start)
        depsgraph = context.evaluated_depsgraph_get()
        rest = skeleton.rest_pose(rig, armature.evaluated_get(depsgraph))
        figure = mesh.read_meshes(objects, armature, rig.names, depsgraph, warn_skinning)
        surfaces = read_surfaces(figure.parts, warn)
        still = _Character(armature, objects, rig, rest, figure, surfaces)
        motion = _play(context, still, frames, evaluate, on_progress)
        lighting = lights.read_lights(scene, context.evaluated_depsgraph_get(), warn)
    meta = _meta(scene, still, motion, frames)
    ShotMeta.read(meta)
    shot = {"meta": np.array(json.dumps(meta))}
    shot.update({name: stored(name, array) for name, array in _arrays(still, motion, lighting).items()})
    shot.update({f"texture_{i}": picture for i, picture in enumerate(surfaces.textures)})
    return shot


def _frames(scene: bpy.types.Scene, frame_start: int | None, frame_end: int | None) -> range:
    start = scene.frame_start if frame_start is None else frame_start
    end = scene.frame_end if frame_end is None else frame_end
    if end <= start:
        raise Ani3DError(
            "shot.no_frames",
            f"The frame range {start}..{end} holds no motion.",
            "Set the end frame after the start.",
        )
    return range(start, end + 1)


def _play(
    context: bpy.types.Context, still: _Character, frames: range, evaluate: bool, on_progress: Progress | None
) -> _Motion:
    """Play the shot, from where simulations begin, and read what moves at each of `frames`."""
    scene, figure, start = context.scene, still.figure, frames.start
    poses = np.empty((len(frames), len(still.rig.names), 4, 4))
    deformed = np.empty((len(frames), len(figure.vertices), 3), np.float32) if evaluate else None
    cameras: list[camera.Camera] = []
    first = evaluated.first_simulated_frame(context.view_layer, start) if evaluate else start
    played = range(first, frames.stop)
    started = time.monotonic()
    for done, frame in enumerate(played, start=1):
        scene.frame_set(frame)
        if frame >= start:
            depsgraph = context.evaluated_depsgraph_get()
            posed = still.armature.evaluated_get(depsgraph)
            mesh.check_following(figure, still.objects, posed, depsgraph, frame)
            poses[frame - start] = skeleton.pose(still.rig, posed, frame)
            cameras.append(camera.read_camera(scene, depsgraph))
            if deformed is not None:
                deformed[frame - start] = evaluated.evaluated_vertices(still.objects, depsgraph)
                evaluated.check_finite(still.objects, deformed[frame - start], frame)
        if on_progress:
            on_progress(done, len(played), (time.monotonic() - started) / done * (len(played) - done))
    return _Motion(poses, cameras, deformed)


def _meta(scene: bpy.types.Scene, still: _Character, motion: _Motion, frames: range) -> dict[str, Any]:
    """The shot's metadata. Raises `Ani3DError` ``camera.changes_type``."""
    kinds = {c.kind for c in motion.cameras}
    if len(kinds) > 1:
        raise Ani3DError(
            "camera.changes_type",
            "The shot switches between a perspective and an orthographic camera.",
            "Export each part as a shot of its own.",
        )
    width, height = camera.picture_size(scene)
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "name": bpy.path.clean_name(still.armature.name) or "character",
        "fps": scene.render.fps / scene.render.fps_base,
        "frame_start": frames.start,
        "frame_end": frames.stop - 1,
        "width": width,
        "height": height,
        "objects": still.figure.objects,
        "bones": list(still.rig.names),
        "regions": list(REGIONS),
        "materials": still.surfaces.entries,
        "camera_type": kinds.pop(),
        "source": {
            "application": "Blender",
            "version": bpy.app.version_string,
            "file": bpy.path.basename(bpy.data.filepath),
        },
    }


def _arrays(still: _Character, motion: _Motion, lighting: lights.Lighting) -> dict[str, np.ndarray]:
    figure = still.figure
    arrays = {
        "vertices": figure.vertices,
        "faces": figure.faces,
        "face_uvs": still.surfaces.face_uvs,
        "face_materials": still.surfaces.face_materials,
        "vertex_tints": still.surfaces.vertex_tints,
        "weight_indices": figure.weight_indices,
        "weight_values": figure.weight_values,
        "region_ids": figure.region_ids,
        "bone_parents": np.array(still.rig.parents),
        "bone_rest": still.rest.matrices,
        "bone_lengths": still.rest.lengths,
        "bone_pose": motion.poses,
        "viewmats": np.stack([c.viewmat for c in motion.cameras]),
        "Ks": np.stack([c.K for c in motion.cameras]),
        "sun_directions": lighting.sun_directions,
        "sun_colors": lighting.sun_colors,
        "ambient": lighting.ambient,
        "background": lighting.background,
    }
    if figure.pin_weights is not None:
        arrays["pin_weights"] = figure.pin_weights
    if motion.deformed is not None:
        arrays["evaluated_vertices"] = motion.deformed
    return arrays


def _ignore(_message: str) -> None:
    pass


@contextmanager
def frame_restored(scene: bpy.types.Scene) -> Iterator[None]:
    """Put the scene's frame back afterwards."""
    frame, subframe = scene.frame_current, scene.frame_subframe
    try:
        yield
    finally:
        scene.frame_set(frame, subframe=subframe)
