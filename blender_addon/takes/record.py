# SPDX-License-Identifier: GPL-3.0-or-later
"""Records takes: one after another, each finished one kept; whatever happens, the file is as before afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import bpy
import numpy as np

from ani3d_formats.atomic import cannot_write, write_bytes
from ani3d_formats.errors import Ani3DError
from ani3d_formats.pc2 import write_pc2
from ani3d_formats.pins import nearest_of_all, pin_weights
from ani3d_formats.regions import is_loose
from ani3d_formats.shot import save_arrays
from ani3d_formats.shot_meta import ShotMeta

from ..export import export_shot
from ..export.character import shown
from ..export.cloth_settings import own_cloth
from ..export.members import Member
from ..export.motion import OtherVertices, world_vertices
from ..sentence import said
from ..timeline import frame_restored
from . import cloth
from .checks import why_dropped
from .motion import moving
from .view import some_camera

PRE_ROLL = 1.5  # seconds from rest pose into the motion, and for cloth to calm down
HOLDS = 0.9  # pin weight of what does not fall
SHOT, TRUTH, DROPPED = "shot.npz", "truth.pc2", "dropped.txt"


@dataclass(frozen=True)
class Step:
    """`done` of `total` frames, and seconds left."""

    done: int
    total: int
    left: float


@dataclass
class Takes:
    """What is to be recorded, and what became of it.

    Attributes:
        folder: takes go to `folder`/take_0000 and on; those that are there are kept.
        count, frames, seed: how many, how long, and of which motion.
        recorded, kept, dropped: numbers of takes made now, found finished, and given up as unusable.
    """

    folder: Path
    count: int
    frames: int
    seed: int
    recorded: int = 0
    kept: int = 0
    dropped: int = 0
    reasons: list[str] = field(default_factory=list)

    def path(self, number: int) -> Path:
        return self.folder / f"take_{number:04d}"

    def is_finished(self, number: int) -> bool:
        path = self.path(number)
        return (path / DROPPED).exists() or ((path / TRUTH).exists() and (path / SHOT).exists())


def record(
    context: bpy.types.Context, armature: bpy.types.Object, takes: Takes, warn: Callable[[str], None]
) -> Generator[Step]:
    """Record the takes that are missing, a frame a step. Closing the generator stops it and restores the file.

    Raises:
        Ani3DError: ``takes.no_cloth``, ``takes.linked``, ``character.vertices``; what `export_shot` raises.
    """
    todo = [number for number in range(takes.count) if not takes.is_finished(number)]
    takes.dropped = sum((takes.path(number) / DROPPED).exists() for number in range(takes.count))
    takes.kept = takes.count - len(todo) - takes.dropped
    objects = cloth.meshes_of(armature, context.view_layer)
    _check_local(armature, objects)
    pre_roll = round(PRE_ROLL * context.scene.render.fps / context.scene.render.fps_base)
    total, started = len(todo) * (pre_roll + takes.frames), time.monotonic()
    warned: set[str] = set()

    def warn_once(message: str) -> None:
        if message not in warned:
            warned.add(message)
            warn(message)

    for place, number in enumerate(todo):
        rng = np.random.default_rng([takes.seed, number])
        with ExitStack() as stack:
            stack.enter_context(frame_restored(context.scene))
            stack.enter_context(shown([armature, *objects], context.view_layer))
            stack.enter_context(cloth.stilled(objects, armature))
            stack.enter_context(some_camera(context, armature))
            stack.enter_context(moving(context, armature, rng, takes.frames, pre_roll))
            first, last = pre_roll + 1, pre_roll + takes.frames
            shot = export_shot(context, armature, first, last, on_warning=warn_once, only=objects)
            pins, regions = pin_weights(shot, nearest_of_all), shot["region_ids"]
            meta = ShotMeta.parse(shot["meta"])
            _check_loose(armature, regions)
            _check_vertices(objects, meta)
            ends = [part.rows.stop for part in meta.objects][:-1]
            parts = list(zip(objects, np.split(regions, ends), np.split(pins, ends), strict=True))
            for item, own, held in parts:
                if is_loose(own).any() and own_cloth(item) is None and not (held[is_loose(own)] > HOLDS).any():
                    warn_once(
                        said("Nothing holds the cloth of '{name}': paint the vertex group ani3d_pin.", name=item.name)
                    )
            truth = np.empty((takes.frames, len(regions), 3), np.float32)
            with cloth.clothed(context, armature, parts, last) as clad:
                for frame in range(1, last + 1):
                    context.scene.frame_set(frame)
                    if frame >= first:
                        for item, part in zip(clad, meta.objects, strict=True):
                            truth[frame - first, part.rows] = _vertices(context, item, part.vertex_count, meta, frame)
                    done = place * last + frame
                    spent = time.monotonic() - started
                    yield Step(done, total, spent / done * (total - done))
        hanging = [(item, is_loose(own)) for item, own, _ in parts]
        loose = np.concatenate([own & cloth.is_simulated(item, own) for item, own in hanging])
        fps = context.scene.render.fps / context.scene.render.fps_base
        _keep(takes, number, shot, truth, first, why_dropped(shot, truth, loose, fps))


def _vertices(context: bpy.types.Context, item: bpy.types.Object, count: int, meta: ShotMeta, frame: int) -> np.ndarray:
    """World vertices (V,3) of `item` as evaluated now, relative to the shot's origin."""
    try:
        return world_vertices(Member(item, origin=meta.origin), context.evaluated_depsgraph_get(), count, frame)
    except OtherVertices as problem:
        raise problem.error() from None


def _check_local(armature: bpy.types.Object, objects: list[bpy.types.Object]) -> None:
    linked = next((item for item in (armature, *objects) if item.library or (item.data and item.data.library)), None)
    if linked is not None:
        raise Ani3DError(
            "takes.linked",
            said("'{name}' is linked from another file, so it cannot be moved here.", name=linked.name),
            "Open that file, or make the character local.",
        )


def _check_vertices(objects: list[bpy.types.Object], meta: ShotMeta) -> None:
    for item, part in zip(objects, meta.objects, strict=True):
        if len(item.data.vertices) != part.vertex_count:
            raise Ani3DError(
                "character.vertices",
                said(
                    "The modifiers of '{name}' make {count} vertices of its {own}.",
                    name=item.name,
                    count=part.vertex_count,
                    own=len(item.data.vertices),
                ),
                "Apply those before the Armature modifier to record takes.",
            )


def _check_loose(armature: bpy.types.Object, regions: np.ndarray) -> None:
    if not is_loose(regions).any():
        raise Ani3DError(
            "takes.no_cloth",
            said("'{name}' has neither garment nor hair to simulate.", name=armature.name),
            "Paint the vertex group ani3d_garment or ani3d_hair on what shall move.",
        )


def _keep(takes: Takes, number: int, shot: dict[str, np.ndarray], truth: np.ndarray, start: int, problem: str) -> None:
    """Write a take, or why there is none."""
    path = takes.path(number)
    try:
        if problem:
            write_bytes(path / DROPPED, f"{problem}\n".encode())
            takes.dropped += 1
            takes.reasons.append(problem)
            return
        write_pc2(path / TRUTH, truth, start)
    except OSError as error:
        raise cannot_write(path, error) from error
    save_arrays(path / SHOT, shot)
    takes.recorded += 1
