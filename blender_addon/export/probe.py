# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at some frames of a shot before it is played: what skinning does not move as Blender does, and hair that
Blender leaves behind its surface."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from functools import partial

import bpy
import numpy as np

from ..background import beside
from ..sentence import said
from . import motion
from .figure import Figure
from .members import Member, is_used


def probe(
    context: bpy.types.Context, figure: Figure, frames: range, numbers: Sequence[int]
) -> Generator[None, None, tuple[Figure, frozenset[int]]]:
    """Look at the objects `numbers` of a figure, a frame in some steps.

    Returns:
        The figure, in which hair that Blender leaves behind is carried by its surface; which of the objects skinning
        does not move as Blender does.
    """
    figure = yield from _carried(context, figure, frames, [n for n in numbers if figure.members[n].roots is not None])
    comparison = motion.Comparison(figure, numbers, most=len(figure.vertices))
    for frame in motion.probed(frames) if numbers else ():
        context.scene.frame_set(frame)
        yield
        depsgraph = context.evaluated_depsgraph_get()
        places, pose = comparison.read(depsgraph, frame), figure.rig.pose(depsgraph)
        yield from beside(partial(comparison.compare, places, pose))
    return figure, comparison.recorded()


def _carried(
    context: bpy.types.Context, figure: Figure, frames: range, numbers: Sequence[int]
) -> Generator[None, None, Figure]:
    """The figure, where those of its heads of hair `numbers` are carried whose roots leave the surface in Blender."""
    members, counts = list(figure.members), np.diff(figure.starts).tolist()
    for frame in motion.probed(frames) if numbers else ():
        context.scene.frame_set(frame)
        depsgraph = context.evaluated_depsgraph_get()
        for number in numbers:
            away = motion.root_distances(figure.members[number], depsgraph, counts[number], frame)
            if np.median(away) > motion.HAIR_EXACT * figure.height:
                members[number] = replace(members[number], carried=True)
        yield
    return replace(figure, members=tuple(members))


def warn_of_left_behind(figure: Figure, warn: Callable[[str], None]) -> None:
    """One sentence for each head of hair that follows its surface in the shot alone."""
    for member in figure.members:
        if member.carried and member.roots:
            warn(
                said(
                    "Blender leaves the hair of '{name}' behind; in the shot it follows '{surface}', on which it "
                    "grows.",
                    name=member.item.name,
                    surface=member.roots.surface.name,
                )
            )


def warn_of_no_weights(figure: Figure, warn: Callable[[str], None]) -> None:
    """One sentence for each mesh that an Armature modifier moves by weights which it does not have."""
    for number, member in enumerate(figure.members):
        modifiers = [m for m in member.item.modifiers if isinstance(m, bpy.types.ArmatureModifier) and m.object]
        if member.hair >= 0 or len(modifiers) != 1:
            continue
        modifier = modifiers[0]
        if not modifier.use_vertex_groups or modifier.use_bone_envelopes or not is_used(modifier):
            continue
        if (figure.weight_indices[figure.rows(number), 0] >= len(figure.rig.bones)).all():
            warn(
                said(
                    "'{name}' has no weights for bones of '{armature}' and does not bend with them, as in Blender. "
                    "Parent it With Automatic Weights, or paint them.",
                    name=member.name,
                    armature=modifier.object.name,
                )
            )


def moved_by(member: Member) -> set[bpy.types.Object]:
    """The objects whose modifiers move a member."""
    return {member.item, member.roots.surface.item} if member.roots else {member.item}
