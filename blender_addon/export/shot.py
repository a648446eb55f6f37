# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the parts of a shot together: what holds still first, then one pass over the frames."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, cast

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.names import safe_name
from ani3d_formats.regions import REGIONS
from ani3d_formats.shot import stored
from ani3d_formats.shot_meta import SCHEMA, VERSION, ShotMeta
from ani3d_formats.skinning import skin

from ..background import at_once
from ..sentence import said
from ..timeline import frame_restored, warn_of_preview_range
from . import camera, character, lights, motion
from .cloth_scene import ClothScene
from .figure import Figure, figure_steps
from .identity import character_hash
from .limits import check_limits, check_recorded
from .members import Members, is_used
from .modifiers import as_it_was, rendered, switched, switched_off
from .normals import corner_normals
from .probe import moved_by, probe, warn_of_left_behind, warn_of_no_weights
from .rest import SIMULATED, at_rest, has_size, rest_meshes
from .steadied import steadied
from .surfaces import MeshFaces, Surfaces, read_surfaces
from .view_transform import view_table
from .visibility import Visibility

NOT_PLAYED = "The modifier '{modifier}' of '{name}' is not part of the shot: the engine moves cloth and hair itself."
Result = TypeVar("Result")
Progress = Callable[[int, int, float], None]
"""Called as (frames done, frames in all, seconds left)."""


Look = Callable[[Members, Figure, frozenset[int]], Generator[None, None, Figure]]
"""Gets a character as it was read, and which of its objects skinning does not move as Blender does; gives the figure
that is exported."""


@dataclass(frozen=True)
class Request:
    """What to export: the character of `armature`, or `only` some objects of it, at scene frames.

    `evaluate`: also the meshes as Blender shows them.
    """

    armature: bpy.types.Object
    frames: range
    evaluate: bool = False
    only: Sequence[bpy.types.Object] | None = None


@dataclass(frozen=True)
class _Motion:
    """What moves, one entry a frame; places are relative to the character's origin."""

    poses: np.ndarray  # (T,B,4,4)
    cameras: list[camera.Camera]
    lightings: list[lights.Lighting]
    recorded: dict[int, np.ndarray]  # (T,V,3) by number of the object
    evaluated: np.ndarray | None  # (T,V,3), the meshes as Blender shows them


def export_shot(
    context: bpy.types.Context,
    armature: bpy.types.Object,
    frame_start: int | None = None,
    frame_end: int | None = None,
    on_progress: Progress | None = None,
    on_warning: Callable[[str], None] | None = None,
    evaluate: bool = False,
    only: Sequence[bpy.types.Object] | None = None,
) -> dict[str, np.ndarray]:
    """Export the character of `armature` with its motion, cameras and lights.

    Args:
        context: its scene gives cameras, lights, picture size and, where not given, the frame range.
        armature: the armature object; the character is all that visibly moves with it.
        frame_start, frame_end: scene frames, both included.
        on_progress: called after every frame.
        on_warning: called with one sentence for each thing that is left out of the shot.
        evaluate: also write `evaluated_vertices` (T,V,3), the meshes as Blender shows them: after shape keys, lattices,
            cloth and all other modifiers.
        only: these objects of the character alone.

    Returns:
        The arrays of the shot file by name (docs/conventions), float32 and int32, metres, relative to the meta's
        origin.

    Raises:
        Ani3DError: codes ``character.*``, ``shot.*``, ``camera.*``; nothing in the scene is changed.
    """
    request = Request(armature, shot_frames(context.scene, frame_start, frame_end), evaluate, only)

    def told(step: tuple[int, int, float]) -> None:
        if on_progress and step[0]:
            on_progress(*step)

    return at_once(export_steps(context, request, on_warning or _ignore), told)


def export_steps(
    context: bpy.types.Context, request: Request, warn: Callable[[str], None], look: Look | None = None
) -> Generator[tuple[int, int, float], None, dict[str, np.ndarray]]:
    """`export_shot` a material or a frame a step: yields as `Progress` is called. `look` is called before the frames.

    Closing the generator puts the scene back.
    """
    character.check_armature(request.armature)
    camera.check_camera(context.scene)
    check_limits(context.scene, request.frames)
    warn_of_preview_range(context.scene, request.frames, warn)
    with frame_restored(context.scene):
        context.scene.frame_set(request.frames.start)
        return (yield from steadied(partial(_export, context, request, warn, look), warn, request.evaluate))


def _export(
    context: bpy.types.Context,
    request: Request,
    warn: Callable[[str], None],
    look: Look | None,
    by_weights: set[bpy.types.Object],
) -> Generator[tuple[int, int, float], None, dict[str, np.ndarray]]:
    """`by_weights`: objects that are not compared with Blender, whose vertices are others in other poses."""
    scene, view_layer = context.scene, context.view_layer
    with ExitStack() as stack:
        found = prepared(context, request, stack)
        with at_rest(found, view_layer), rest_meshes(found, context.evaluated_depsgraph_get()) as reading:
            meshes = yield from _before_frames(reading, request)
            figure = yield from _before_frames(
                figure_steps(scene, found, meshes, context.evaluated_depsgraph_get()), request
            )
            identity = character_hash(figure, meshes)
            faces = [MeshFaces(r.item, r.mesh, r.triangles, r.corners, r.slots) for r in meshes]
            shown, shading = (yield from _before_frames(read_surfaces(faces, warn), request)), corner_normals(meshes)
        warn_of_left_out(found, request, warn)
        compared = [n for n, m in enumerate(figure.members) if not (request.evaluate or moved_by(m) & by_weights)]
        figure, recorded = yield from _before_frames(probe(context, figure, request.frames, compared), request)
        if look:
            figure = yield from _before_frames(look(found, figure, recorded), request)
        warn_of_left_behind(figure, warn)
        warn_of_no_weights(figure, warn)
        lit = lights.Lights(scene, context.evaluated_depsgraph_get(), warn)
        around = ClothScene(context, figure, found.objects, len(request.frames), warn)
        shows = Visibility(figure.members)
        seen = lit, around, shows
        moving, missed = yield from _play(context, figure, request, recorded, compared, seen)
        if missed:
            moving, _ = yield from _play(context, figure, request, recorded | missed, compared, seen)
        shows.tell(request.frames, warn)
        camera.warn_if_unseen(moving.cameras, _some_places(figure, moving), camera.picture_size(scene), warn)
    meta = {**_meta(scene, figure, moving, request, shown.entries, found), "character": identity, **around.entries()}
    ShotMeta.read(meta)
    shot = {"meta": np.array(json.dumps(meta))}
    arrays = _arrays(scene, figure, moving, shown) | around.arrays(np.array(figure.members[0].origin)) | shading
    shot.update({name: stored(name, array) for name, array in arrays.items()})
    shot.update({f"texture_{i}": picture for i, picture in enumerate(shown.textures)})
    return shot


def _before_frames(
    work: Generator[object, None, Result], request: Request
) -> Generator[tuple[int, int, float], None, Result]:
    """`work` as steps of the export, none of whose frames is done yet."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return cast(Result, end.value)
        yield 0, len(request.frames), math.inf


def prepared(context: bpy.types.Context, request: Request, stack: ExitStack) -> Members:
    """The members of a character, all shown until `stack` closes, and without their simulations unless they are wanted.

    The scene, at the first frame, is left at the first one at which the armature has a size.
    """
    found = character.members_of(request.armature, context.view_layer)
    if request.only is not None:
        found = replace(found, shapes=[m for m in found.shapes if m.item in request.only], left_out=[], with_hair=False)
    involved = [item for member in (*found.rigs, *found.shapes) for item in (member.item, *member.instancers)]
    layer = context.view_layer
    hidden = any(item.name not in layer.objects or not item.visible_get(view_layer=layer) for item in involved)
    stack.enter_context(character.shown(list(dict.fromkeys(involved)), layer))
    if hidden:  # it had no part in the change to this frame
        context.scene.frame_set(context.scene.frame_current)
    stack.enter_context(as_it_was(found.objects))
    modifiers = [modifier for item in found.objects for modifier in item.modifiers]
    if not request.evaluate:
        stack.enter_context(switched_off([m for m in modifiers if m.type in SIMULATED and m.show_viewport]))
    used = [m for m in modifiers if is_used(m)]
    stack.enter_context(switched([m for m in used if not m.show_viewport], True))
    stack.enter_context(rendered([m for m in used if m.type == "ARMATURE"]))  # used still while it is switched off
    return with_size(context, found, request.frames)


def warn_of_left_out(found: Members, request: Request, warn: Callable[[str], None]) -> None:
    """One sentence for each thing of the character that is not in its shot."""
    for name, reason in found.left_out:
        warn(said("'{name}' is left out: {reason}.", name=name, reason=said(reason)))
    for item in found.objects if not request.evaluate else ():
        for modifier in item.modifiers:
            if modifier.type in SIMULATED and modifier.show_render:
                warn(said(NOT_PLAYED, modifier=modifier.name, name=item.name))


def shot_frames(scene: bpy.types.Scene, start: int | None = None, end: int | None = None) -> range:
    """The frames of a shot: the scene's, unless given. Raises `Ani3DError` ``shot.no_frames``."""
    start = scene.frame_start if start is None else start
    end = scene.frame_end if end is None else end
    if end <= start:
        raise Ani3DError(
            "shot.no_frames",
            said("The frame range {start}..{end} holds no motion.", start=start, end=end),
            "Set the end frame after the start.",
        )
    return range(start, end + 1)


def with_size(context: bpy.types.Context, found: Members, frames: range) -> Members:
    """The members that have a size at some frame; the scene is left at the first frame at which the armature has one.

    Raises:
        Ani3DError: ``character.no_size``.
    """
    scene, waiting = context.scene, {*found.rigs, *found.shapes}
    chosen: int | None = None
    for frame in frames:
        if frame != frames.start:
            scene.frame_set(frame)
        depsgraph = context.evaluated_depsgraph_get()
        waiting = {member for member in waiting if not has_size(member.world(depsgraph))}
        if chosen is None and found.armature not in waiting:
            chosen = frame
        if not waiting:
            break
    if chosen is None:
        raise Ani3DError(
            "character.no_size",
            said("The armature '{name}' is scaled to zero in all frames.", name=found.armature.name),
            "Give it a size, or choose other frames.",
        )
    if scene.frame_current != chosen:
        scene.frame_set(chosen)
    gone = [(member.name, "it is scaled to zero in all frames") for member in found.shapes if member in waiting]
    return replace(
        found, shapes=[m for m in found.shapes if m not in waiting], left_out=[*found.left_out, *gone],
        rigs=[m for m in found.rigs if m not in waiting],
    )  # fmt: skip


def _play(
    context: bpy.types.Context,
    figure: Figure,
    request: Request,
    recorded: frozenset[int],
    numbers: Sequence[int],
    seen: tuple[lights.Lights, ClothScene, Visibility],
) -> Generator[tuple[int, int, float], None, tuple[_Motion, frozenset[int]]]:
    """Play the shot, from where simulations begin, and read what moves at each frame; compare the objects `numbers`.

    Returns:
        The motion, and the objects beyond `recorded` that skinning did not move as Blender did.
    """
    (lit, around, shows), scene, frames = seen, context.scene, request.frames
    members = figure.members
    poses = np.empty((len(frames), len(figure.rig.names), 4, 4))
    counts = np.diff(figure.starts)
    check_recorded(len(figure.vertices) if request.evaluate else sum(counts[n] for n in recorded), len(frames))
    arrays = {number: np.empty((len(frames), counts[number], 3), np.float32) for number in recorded}
    evaluated = np.empty((len(frames), len(figure.vertices), 3), np.float32) if request.evaluate else None
    compared = [n for n in numbers if n not in recorded and members[n].item.type == "MESH" and members[n].hair < 0]
    comparison = motion.Comparison(figure, compared, motion.COMPARED)
    views, cameras = camera.Cameras(), list[camera.Camera]()
    lightings: list[lights.Lighting] = []
    first = motion.first_simulated_frame(context.view_layer, frames.start) if request.evaluate else frames.start
    played = range(first, frames.stop)
    started = time.monotonic()
    for done, frame in enumerate(played, start=1):
        scene.frame_set(frame)
        if frame >= frames.start:
            row, depsgraph = frame - frames.start, context.evaluated_depsgraph_get()
            poses[row] = figure.rig.pose(depsgraph)
            cameras.append(views.read(scene, depsgraph))
            lightings.append(lit.read(scene, depsgraph))
            around.read(row, depsgraph)
            shows.look(frame)
            for number in range(len(members)) if evaluated is not None else sorted(recorded):
                rows = figure.rows(number)
                points = motion.world_vertices(members[number], depsgraph, counts[number], frame)
                motion.check_finite(members[number], points, frame)
                if evaluated is not None:
                    evaluated[row, rows] = points
                else:
                    arrays[number][row] = points
            if motion.is_compared(frame, frames):
                comparison.look(depsgraph, poses[row], frame)
        yield done, len(played), (time.monotonic() - started) / done * (len(played) - done)
    return _Motion(poses, cameras, lightings, arrays, evaluated), comparison.recorded()


def _meta(
    scene: bpy.types.Scene,
    figure: Figure,
    moving: _Motion,
    request: Request,
    materials: list[dict[str, Any]],
    found: Members,
) -> dict[str, Any]:
    """The shot's metadata. Raises `Ani3DError` ``camera.changes_type``."""
    kinds = {c.kind for c in moving.cameras}
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
        "name": safe_name(request.armature.name),
        "fps": scene.render.fps / scene.render.fps_base,
        "frame_start": request.frames.start,
        "frame_end": request.frames.stop - 1,
        "width": width,
        "height": height,
        "origin": list(found.armature.origin),
        "objects": figure.entries(frozenset(moving.recorded)),
        "bones": list(figure.rig.names),
        "regions": list(REGIONS),
        "materials": materials,
        "camera_type": kinds.pop(),
        "source": {
            "application": "Blender",
            "version": bpy.app.version_string,
            "file": bpy.path.basename(bpy.data.filepath),
        },
    }


def _arrays(scene: bpy.types.Scene, figure: Figure, moving: _Motion, shown: Surfaces) -> dict[str, np.ndarray]:
    origin = np.array(figure.members[0].origin)
    viewmats = np.stack([c.viewmat for c in moving.cameras])
    viewmats[:, :3, 3] += viewmats[:, :3, :3] @ origin
    arrays = {
        "vertices": figure.vertices,
        "faces": figure.faces,
        "face_uvs": shown.face_uvs,
        "face_materials": shown.face_materials,
        "vertex_tints": shown.vertex_tints,
        "weight_indices": figure.weight_indices,
        "weight_values": figure.weight_values,
        "region_ids": figure.region_ids,
        "bone_parents": np.array(figure.rig.parents),
        "bone_rest": figure.rig.rest,
        "bone_lengths": figure.rig.lengths,
        "bone_pose": moving.poses,
        "viewmats": viewmats,
        "Ks": np.stack([c.K for c in moving.cameras]),
        **lights.light_arrays(moving.lightings, origin),
    }
    if (table := view_table(scene)) is not None:
        arrays["view_table"] = table
    if figure.pin_weights is not None:
        arrays["pin_weights"] = figure.pin_weights
    if moving.recorded:
        arrays["recorded_vertices"] = np.concatenate([moving.recorded[n] for n in sorted(moving.recorded)], axis=1)
    if moving.evaluated is not None:
        arrays["evaluated_vertices"] = moving.evaluated
    return arrays


def _some_places(figure: Figure, moving: _Motion) -> np.ndarray:
    """(T,P,3) places on the character, world metres, spread over it."""
    chosen = np.unique(np.linspace(0, len(figure.vertices) - 1, 300).astype(int))
    transforms = moving.poses @ np.linalg.inv(figure.rig.rest)
    indices, values = figure.weight_indices[chosen], figure.weight_values[chosen]
    return skin(figure.vertices[chosen], indices, values, transforms) + np.array(figure.members[0].origin)


def _ignore(_message: str) -> None:
    pass
