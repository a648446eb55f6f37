# SPDX-License-Identifier: GPL-3.0-or-later
"""Bind Character: check a rig once, remember it, and list its parts with their regions."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import cast

import bpy

from ani3d_formats.errors import Ani3DError

from ..background import at_once
from ..export import camera, shot
from ..export.figure import Figure
from ..export.members import Members, owner_of
from ..export.survey import Survey, survey_of, survey_steps
from ..properties import scene_group
from ..regions.parts import fill_parts
from ..sentence import said
from ..wording import reported
from .stepwise import Steps, WorksInSteps


class BindCharacter(WorksInSteps, bpy.types.Operator):
    """Check the selected armature and its meshes, and make them this scene's character"""

    bl_idname = "ani3d.bind_character"
    bl_label = "Bind Character"
    bl_options = {"UNDO"}
    STAGE, DOING = "bind", "Reading the character, step"

    armature: bpy.props.StringProperty(
        name="Armature", description="Name of the armature object; empty for the selected one"
    )

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if any(each.type == "ARMATURE" for each in bpy.data.objects) else "There is no armature in this file."

    def begin(self, context: bpy.types.Context) -> Steps:
        armature = bpy.data.objects.get(self.armature) if self.armature else chosen_armature(context)
        return bind_steps(context, armature, self.warn)

    def finish(self, context: bpy.types.Context, result: Survey) -> None:
        survey = result
        count = sum(part.vertices for part in survey.parts)
        names = ", ".join(part.name for part in survey.parts)
        bound = scene_group(context.scene).armature
        sentence = "Bound '{name}': {bones} bones, {count} vertices in {names}."
        self.say(reported(sentence, name=bound.name, bones=survey.bones, count=count, names=names))


def bind(context: bpy.types.Context, armature: bpy.types.Object | None, warn: Callable[[str], None]) -> Survey:
    """`bind_steps` all at once."""
    return cast(Survey, at_once(bind_steps(context, armature, warn)))


def bind_steps(context: bpy.types.Context, armature: bpy.types.Object | None, warn: Callable[[str], None]) -> Steps:
    """Make the character of `armature` that of the scene and list its parts.

    Raises `Ani3DError` as `survey_steps` does, before anything is changed; closing the generator puts the scene back.
    """
    survey: Survey = yield from survey_steps(context, armature)
    camera.check_camera(context.scene)
    for name, reason in survey.left_out:
        warn(said("'{name}' is left out: {reason}.", name=name, reason=said(reason)))
    _take(context.scene, armature, survey)
    return survey


def binding(scene: bpy.types.Scene, armature: bpy.types.Object) -> shot.Look:
    """What `export_steps` takes so that it binds the character of `armature` as it reads it, once for both."""

    def look(found: Members, figure: Figure, recorded: frozenset[int]) -> Generator[None, None, Figure]:
        _take(scene, armature, (yield from survey_of(scene, found, figure, recorded)))
        return figure.labelled(scene)

    return look


def _take(scene: bpy.types.Scene, armature: bpy.types.Object | None, survey: Survey) -> None:
    fill_parts(scene, survey.entries)
    scene_group(scene).armature = armature


def chosen_armature(context: bpy.types.Context) -> bpy.types.Object | None:
    """The armature of the active object, the one selected, the one that the panel names, else the scene's only one."""
    active = context.view_layer.objects.active
    if active is not None and active.select_get() and (owner := owner_of(active)):
        return owner
    armatures = [item for item in context.view_layer.objects if item.select_get() and item.type == "ARMATURE"]
    if len(armatures) == 1:
        return armatures[0]
    if scene_group(context.scene).armature:
        return scene_group(context.scene).armature
    owners = {owner for item in context.view_layer.objects if (owner := owner_of(item))}
    if len(owners) > 1:
        names = ", ".join(f"'{owner.name}'" for owner in sorted(owners, key=lambda each: each.name))
        hint = said("Select the character's armature: there are {names}.", names=names)
        raise Ani3DError("character.no_armature", "No armature is selected.", hint)
    return owners.pop() if owners else None
