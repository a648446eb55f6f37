# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at a character before it is exported: its objects, how each one moves, and what is left out and why."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import count
from typing import cast

import bpy

from ..background import at_once
from ..regions.parts import PartEntry
from ..timeline import frame_restored
from . import character, shot
from .figure import Figure, figure_steps, read_figure
from .holds import holds_of
from .members import Members
from .motion import OtherVertices
from .probe import probe
from .rest import at_rest, rest_meshes

STEPS = 12  # of a survey of a character of a few objects


@dataclass(frozen=True)
class Part:
    """One object: how it moves ("skinned", "follows head", "recorded"), and how many vertices it has at rest."""

    item: bpy.types.Object
    name: str
    motion: str
    vertices: int


@dataclass(frozen=True)
class Survey:
    """A character's parts, their rows for the panel's list, how many bones move them, and (name, reason) of what is
    left out."""

    parts: tuple[Part, ...]
    entries: list[PartEntry]
    bones: int
    left_out: tuple[tuple[str, str], ...]


def survey_steps(
    context: bpy.types.Context, armature: bpy.types.Object | None
) -> Generator[tuple[int, int, float], None, Survey]:
    """Look at the character of `armature`, at a few frames of the scene.

    Yields steps done, steps in all as far as they are known, and infinity. Closing the generator puts the scene back.

    Raises:
        Ani3DError: ``character.*`` where there is nothing to export; nothing in the scene is changed.
    """
    with closing(_survey(context, armature)) as steps:
        for done in count(1):
            try:
                next(steps)
            except StopIteration as end:
                return cast(Survey, end.value)
            yield done, max(done + 1, STEPS), math.inf
    raise AssertionError


def _survey(context: bpy.types.Context, armature: bpy.types.Object | None) -> Generator[None, None, Survey]:
    character.check_armature(armature)
    scene, view_layer = context.scene, context.view_layer
    frames = range(scene.frame_start, max(scene.frame_end, scene.frame_start) + 1)
    with frame_restored(scene), ExitStack() as stack:
        scene.frame_set(frames.start)
        found = shot.prepared(context, shot.Request(armature, frames), stack)
        yield
        with at_rest(found, view_layer), rest_meshes(found, context.evaluated_depsgraph_get()) as reading:
            meshes = yield from reading
            figure = yield from figure_steps(scene, found, meshes, context.evaluated_depsgraph_get())
        yield
        try:
            figure, recorded = yield from probe(context, figure, frames, range(len(figure.members)))
        except OtherVertices:  # exporting finds out which modifier it is
            recorded = frozenset(range(len(figure.members)))
    return (yield from survey_of(scene, found, figure, recorded))


def survey_of(
    scene: bpy.types.Scene, found: Members, figure: Figure, recorded: frozenset[int]
) -> Generator[None, None, Survey]:
    """The survey of a character that was read; its objects `recorded` are not moved by skinning as Blender does."""
    parts = [
        Part(
            member.item,
            member.name,
            _motion(figure, number, recorded),
            int(figure.starts[number + 1] - figure.starts[number]),
        )
        for number, member in enumerate(figure.members)
    ]
    holds = yield from holds_of(figure.labelled(scene))
    yield
    entries = figure.labelling.entries([part.motion for part in parts], holds)
    for name, reason in found.left_out:
        item: bpy.types.Object | None = bpy.data.objects.get(name)
        if item is not None:
            entries.append(PartEntry(item, left_out=reason))
    return Survey(tuple(parts), entries, len(figure.rig.bones), tuple(found.left_out))


def rest_figure(context: bpy.types.Context, armature: bpy.types.Object | None) -> Figure:
    """The character of `armature` at rest. Raises `Ani3DError` ``character.*``; nothing in the scene is changed."""
    character.check_armature(armature)
    scene, view_layer = context.scene, context.view_layer
    frames = range(scene.frame_current, scene.frame_current + 1)
    with frame_restored(scene), ExitStack() as stack:
        found = shot.prepared(context, shot.Request(armature, frames), stack)
        with at_rest(found, view_layer), rest_meshes(found, context.evaluated_depsgraph_get()) as reading:
            return read_figure(scene, found, at_once(reading), context.evaluated_depsgraph_get())


def _motion(figure: Figure, number: int, recorded: frozenset[int]) -> str:
    member = figure.members[number]
    if number in recorded:
        return "recorded"
    if member not in figure.rig.objects:
        return "skinned"
    rows = figure.weight_indices[figure.rows(number)]
    if (rows[:, 0] != figure.rig.object_row(member)).any():
        return "skinned"  # but for vertices without weights
    return f"follows {member.bone or (member.item.parent.name if member.item.parent else 'its constraint')}"
