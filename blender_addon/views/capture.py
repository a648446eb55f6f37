# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders views of a character, one a step: at rest and at frames of the shot, with the vertices of the shot."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import bpy
import numpy as np
from mathutils.bvhtree import BVHTree

from ani3d_formats.errors import Ani3DError
from ani3d_formats.names import safe_name
from ani3d_formats.skinning import skin
from ani3d_formats.views import Views, ViewsMeta

from ..background import at_once
from ..export import character
from ..export.figure import Figure, read_figure
from ..export.identity import character_hash
from ..export.limits import MOST_BYTES, check_limits
from ..export.members import Members
from ..export.motion import check_finite, world_vertices
from ..export.probe import probe
from ..export.rest import at_rest, rest_meshes
from ..export.shot import Request, prepared
from ..export.steadied import steadied
from ..sentence import said
from ..timeline import frame_restored
from .cameras import FIELD, Shooting, clear_sight, plan, viewmat_of
from .stage import Shape, Stage, stage

BLACK, SEEN = 1e-3, 1e-3  # mean radiance of the character, and share of the pictures that it takes, at least
_PIXEL = 8  # bytes of a pixel's radiance
Steps = Generator[tuple[int, int, float], None, Views]


@dataclass(frozen=True)
class Wanted:
    """Views to capture: of the character of `armature`, at rest and at some of the scene's `frames`.

    `side`: pixels of the longer side of a picture, the shorter one has two thirds of it.
    """

    armature: bpy.types.Object
    frames: range
    count: int = 32
    side: int = 480
    samples: int = 12


@dataclass(frozen=True)
class _Pose:
    """What a pose looks like: `frame` of the scene (pose 0: held at rest there), `vertices` (V,3) and the skeleton's
    turns since rest, (B,3,3)."""

    frame: int
    vertices: np.ndarray
    turns: np.ndarray


def capture_steps(context: bpy.types.Context, wanted: Wanted, warn: Callable[[str], None]) -> Steps:
    """Yields (views done, views in all, seconds left) and returns the views. Closing it puts the scene back.

    Raises:
        Ani3DError: ``character.*``; ``views.no_cycles``, ``views.render``, ``views.too_large``, ``views.unseen``,
            ``cancelled``; ``shot.*``.
    """
    character.check_armature(wanted.armature)
    check_limits(context.scene, wanted.frames)
    if (size := wanted.count * wanted.side**2 * 2 // 3 * _PIXEL) > MOST_BYTES:
        raise Ani3DError(
            "views.too_large",
            said(
                "{count} views of {side} pixels need {size:.1f} GiB; at most {most} are taken.",
                count=wanted.count,
                side=wanted.side,
                size=size / 2**30,
                most=MOST_BYTES >> 30,
            ),
            "Capture fewer or smaller views.",
        )
    with frame_restored(context.scene):
        context.scene.frame_set(wanted.frames.start)
        return (yield from steadied(partial(_capture, context, wanted, warn), warn))


def _capture(
    context: bpy.types.Context, wanted: Wanted, warn: Callable[[str], None], by_weights: Set[bpy.types.Object]
) -> Steps:
    scene = context.scene
    with ExitStack() as stack:
        found = prepared(context, Request(wanted.armature, wanted.frames), stack)
        held = scene.frame_current
        with at_rest(found, context.view_layer), rest_meshes(found, context.evaluated_depsgraph_get()) as reading:
            meshes = at_once(reading)
            figure = read_figure(scene, found, meshes, context.evaluated_depsgraph_get())
            identity = character_hash(figure, meshes)
            facing = _facing(found.armature.world(context.evaluated_depsgraph_get()))
        compared = [number for number, member in enumerate(figure.members) if member.item not in by_weights]
        for _ in probe(context, figure, wanted.frames, compared):  # finds modifiers that make other vertices,
            yield 0, wanted.count, 0.0  # as the export does
        frames, shootings = plan(figure, wanted.count, wanted.frames)
        rest = _Pose(held, figure.vertices, np.tile(np.eye(3), (len(figure.rig.names), 1, 1)))
        poses = [rest, *(_read_pose(context, figure, frame, compared) for frame in frames)]
        shape = _shape(wanted, poses)
        set_up = stack.enter_context(stage(context, found, shape))
        views = _Album(poses, shootings, figure.faces, shape, facing)
        started = time.monotonic()
        for number, pose in enumerate(poses):
            scene.frame_set(pose.frame)
            with ExitStack() as posed:
                if number == 0:
                    posed.enter_context(at_rest(found, context.view_layer))
                posed.enter_context(_rendered_as_shown(found))
                for row in [row for row, shooting in enumerate(shootings) if shooting.pose == number]:
                    views.take(row, set_up)
                    spent = time.monotonic() - started
                    yield row + 1, len(shootings), spent / (row + 1) * (len(shootings) - row - 1)
    return views.finished(_meta(wanted, found, shape, identity), warn)


def _facing(world: np.ndarray) -> np.ndarray:
    """(3,3) the turn about Z that brings +X to where the armature's own +X points on the ground."""
    angle = np.arctan2(world[1, 0], world[0, 0])
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def _read_pose(context: bpy.types.Context, figure: Figure, frame: int, compared: list[int]) -> _Pose:
    """The character at a frame; what is not `compared` with Blender is moved by its weights."""
    context.scene.frame_set(frame)
    depsgraph = context.evaluated_depsgraph_get()
    transforms = figure.rig.pose(depsgraph) @ np.linalg.inv(figure.rig.rest)
    vertices = figure.vertices.copy()
    for number, member in enumerate(figure.members):
        rows = figure.rows(number)
        if number in compared:
            vertices[rows] = world_vertices(member, depsgraph, rows.stop - rows.start, frame)
            check_finite(member, vertices[rows], frame)
        else:
            own = figure.weight_indices[rows], figure.weight_values[rows]
            vertices[rows] = skin(figure.vertices[rows], *own, transforms[None])[0]
    left, _, right = np.linalg.svd(np.nan_to_num(transforms[:, :3, :3]))
    left[..., -1] *= np.sign(np.linalg.det(left @ right))[:, None]
    return _Pose(frame, vertices, left @ right)


def _shape(wanted: Wanted, poses: list[_Pose]) -> Shape:
    """Pictures as high or as wide as the character is."""
    extents = np.mean([np.ptp(pose.vertices, axis=0) for pose in poses], axis=0)
    short = wanted.side * 2 // 3
    wide = max(extents[:2]) > 1.2 * extents[2]
    return Shape(wanted.side, short, wanted.samples) if wide else Shape(short, wanted.side, wanted.samples)


@contextmanager
def _rendered_as_shown(found: Members) -> Iterator[None]:
    """Have renders show the character as the viewport does meanwhile: the same modifiers and subdivisions."""
    before: list[tuple[Any, str, Any]] = []

    def put(owner: Any, name: str, value: Any) -> None:
        if getattr(owner, name) != value:
            before.append((owner, name, getattr(owner, name)))
            setattr(owner, name, value)

    try:
        for member in found.shapes:
            for item in (member.item, *member.instancers):
                put(item, "hide_render", False)
            for modifier in member.item.modifiers:
                put(modifier, "show_render", modifier.show_viewport)
                if isinstance(modifier, bpy.types.SubsurfModifier | bpy.types.MultiresModifier):
                    put(modifier, "render_levels", modifier.levels)
        yield
    finally:
        for owner, name, value in reversed(before):
            setattr(owner, name, value)


class _Album:
    """The views taken so far."""

    def __init__(
        self, poses: list[_Pose], shootings: list[Shooting], faces: np.ndarray, shape: Shape, facing: np.ndarray
    ) -> None:
        size, count = (shape.width, shape.height), len(shootings)
        focal = max(size) / 2 / np.tan(FIELD / 2)
        K = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1]])
        self.poses, self.shootings, self.Ks = poses, shootings, np.tile(K, (count, 1, 1))
        self.viewmats, self.distances = np.empty((count, 4, 4)), np.empty(count)
        trees: dict[int, BVHTree] = {}
        for row, shooting in enumerate(shootings):
            pose, part = poses[shooting.pose], shooting.part
            points = pose.vertices[part.vertices]
            turn = pose.turns[part.bone] @ facing if part.bone >= 0 else facing
            if part.bone >= 0:
                if shooting.pose not in trees:
                    trees[shooting.pose] = BVHTree.FromPolygons(pose.vertices.tolist(), faces.tolist())
                shooting = clear_sight(shooting, points, turn, trees[shooting.pose])
            self.viewmats[row] = viewmat_of(shooting, points, turn, K, size)
            self.distances[row] = self.viewmats[row, 2, :3] @ points.mean(0) + self.viewmats[row, 2, 3]
        self.radiance, self.albedo = np.zeros((2, count, shape.height, shape.width, 4), np.float16)

    def take(self, row: int, set_up: Stage) -> None:
        frame = self.poses[self.shootings[row].pose].frame
        camera = self.viewmats[row], self.Ks[row], float(self.distances[row])
        self.radiance[row], self.albedo[row] = set_up.shoot(*camera, frame, seed=row)

    def finished(self, meta: ViewsMeta, warn: Callable[[str], None]) -> Views:
        """The views. Raises `Ani3DError` ``views.unseen``."""
        alpha = self.radiance[..., 3].astype(np.float32)
        if alpha.mean() < SEEN:
            raise Ani3DError(
                "views.unseen",
                "The character is not seen in Blender's renders: its materials let everything through, or its rays are "
                "switched off.",
                "Look at a render with Cycles, and at the visibility of its objects.",
            )
        if self.radiance[..., :3].astype(np.float32).mean() < BLACK * alpha.mean():
            warn("The views are black: nothing lights the character in Cycles.")
        vertices = np.stack([pose.vertices for pose in self.poses]).astype(np.float32)
        pose_of = np.array([shooting.pose for shooting in self.shootings], np.int32)
        viewmats, Ks = self.viewmats.astype(np.float32), self.Ks.astype(np.float32)
        return Views(meta, vertices, pose_of, viewmats, Ks, self.radiance, self.albedo)


def _meta(wanted: Wanted, found: Members, shape: Shape, identity: str) -> ViewsMeta:
    return ViewsMeta(
        name=safe_name(wanted.armature.name),
        width=shape.width,
        height=shape.height,
        character=identity,
        origin=found.armature.origin,
        application=f"Blender {bpy.app.version_string}, Cycles",
        samples=wanted.samples,
    )
