"""A result shown on the character's own objects: the same places as on copies, and nothing left of it afterwards."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs
from fingerprint import fingerprint
from test_bad_input import _error
from test_mesh_copies import _copy_of, _import


@pytest.fixture
def skirt(addon) -> bpy.types.Object:
    """A rigged skirt in an odd pose, on an object that is turned, scaled and moves."""
    rig = rigs.character(frames=3)
    rig.location, rig.rotation_euler, rig.scale = (1, -2, 0.5), (0.2, 0.3, 1.0), (1.5, 1.5, 1.5)
    for frame, place in ((1, 1.0), (3, 4.0)):
        rig.location.x = place
        rig.keyframe_insert("location", frame=frame)
    return bpy.data.objects["Skirt"]


def _show(what: str) -> None:
    bpy.ops.ani3d.show_result(name="Rig", what=what)


def _plain(_item):
    pass


def _subdivided(item):
    item.modifiers.new("Subdivision", "SUBSURF").levels = 1
    item.modifiers["Subdivision"].render_levels = 1


def _subdivided_before_the_armature(item):
    _subdivided(item)
    item.modifiers.move(1, 0)


def _properties(item):
    """Those that a user gave an object; 4.5 has the settings of extensions among them."""
    return {name: value for name, value in item.items() if name != "ani3d"}


def _with_keys(item):
    item.shape_key_add(name="Basis")
    item.shape_key_add(name="Wide").value = 1.0
    for point in item.data.shape_keys.key_blocks["Wide"].points:
        point.co = point.co * 2


@pytest.mark.parametrize("change", [_plain, _subdivided, _subdivided_before_the_armature, _with_keys])
def test_the_original_has_the_places_of_the_result(skirt, tmp_path, part, change):
    change(skirt)
    bpy.context.scene.frame_set(2)
    count = len(skirt.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh().vertices)
    before = fingerprint()["object Skirt"], _properties(skirt)
    places = _import(tmp_path, {"Skirt": count})
    _show("ON_ORIGINAL")
    assert part("results_shown").shown_as("Rig") == "ON_ORIGINAL"
    for frame in (1, 2):
        bpy.context.scene.frame_set(frame)
        np.testing.assert_allclose(rigs.evaluated_vertices(skirt), places["Skirt"][frame - 1], atol=2e-5)
    assert not skirt.hide_viewport and not skirt.hide_render
    copy = _copy_of("Skirt")
    assert copy.hide_viewport and copy.hide_render
    _show("MESH")
    assert skirt.hide_viewport and not copy.hide_viewport and part("results_shown").shown_as("Rig") == "MESH"
    _show("ON_ORIGINAL")
    bpy.ops.ani3d.remove_result(name="Rig")
    bpy.context.scene.frame_set(2)
    assert (fingerprint()["object Skirt"], _properties(skirt)) == before
    assert not [tree.name for tree in bpy.data.node_groups if "Place" in tree.name]


@pytest.mark.parametrize("posed_behind", [False, True])
def test_what_comes_behind_goes_on(skirt, tmp_path, posed_behind):
    """The cache has the mesh's own vertices: what makes more of them comes behind it, and what poses there is off."""
    _subdivided(skirt)
    if posed_behind:
        skirt.modifiers.move(1, 0)
    skirt.modifiers.new("Solidify", "SOLIDIFY").thickness = 0.05
    places = _import(tmp_path, {"Skirt": len(skirt.data.vertices)})
    _show("ON_ORIGINAL")
    kinds = [modifier.type for modifier in skirt.modifiers if modifier.show_viewport]
    assert kinds == [*([] if posed_behind else ["ARMATURE"]), "MESH_CACHE", "NODES", "SUBSURF", "SOLIDIFY"]
    shown = rigs.evaluated_vertices(skirt)
    assert len(shown) > 4 * len(skirt.data.vertices)
    np.testing.assert_allclose(shown.mean(0), places["Skirt"][1].mean(0), atol=0.1)
    bpy.data.objects["Skirt"].modifiers["Solidify"].thickness = 0.1  # stays an edit of the artist's
    _show("ORIGINAL")
    armature_and_more = ["SUBSURF", "ARMATURE"] if posed_behind else ["ARMATURE", "SUBSURF"]
    assert [modifier.type for modifier in skirt.modifiers] == [*armature_and_more, "SOLIDIFY"]
    assert all(modifier.show_viewport and modifier.show_render for modifier in skirt.modifiers)
    assert skirt.modifiers["Solidify"].thickness == pytest.approx(0.1)


def test_it_plays_at_the_time_that_is_set(skirt, tmp_path):
    assert skirt.animation_data is None
    places = _import(tmp_path, {"Skirt": len(skirt.data.vertices)})
    timing = _copy_of("Skirt").ani3d
    timing.offset = 1
    _show("ON_ORIGINAL")
    bpy.context.scene.frame_set(2)
    np.testing.assert_allclose(rigs.evaluated_vertices(skirt), places["Skirt"][0], atol=2e-5)
    timing.offset, timing.loop = 0, True
    bpy.context.scene.frame_set(3)  # the second turn's first
    np.testing.assert_allclose(rigs.evaluated_vertices(skirt), places["Skirt"][0], atol=2e-5)
    _show("ORIGINAL")
    assert skirt.animation_data is None


def test_the_character_is_exported_as_if_it_played_nothing(skirt, tmp_path, part):
    bpy.ops.ani3d.bind_character(armature="Rig")

    def shot():
        return part("export.shot").export_shot(bpy.context, bpy.data.objects["Rig"])

    before = shot()
    _import(tmp_path, {"Skirt": len(skirt.data.vertices)})
    _show("ON_ORIGINAL")
    after = shot()
    for name in ("vertices", "faces", "weight_indices", "bone_pose"):
        np.testing.assert_array_equal(after[name], before[name])
    assert part("results_shown").shown_as("Rig") == "ON_ORIGINAL"


def test_a_second_result_takes_the_first_ones_place(skirt, tmp_path, part):
    _import(tmp_path, {"Skirt": len(skirt.data.vertices)})
    _show("ON_ORIGINAL")
    places = {"Skirt": np.ones((2, len(skirt.data.vertices), 3), np.float32)}
    other, _ = rigs.random_cache(tmp_path / "again" / "Rig.ani3d", (1, 2), meshes=places)
    bpy.ops.ani3d.import_result(directory=str(other))
    assert [modifier.type for modifier in skirt.modifiers] == ["ARMATURE"]
    assert [part("results_shown").shown_as(name) for name in ("Rig", "Rig 2")] == ["ORIGINAL", "BOTH"]


def test_undo_takes_it_off_and_a_saved_file_keeps_it(skirt, tmp_path, part):
    places = _import(tmp_path, {"Skirt": len(skirt.data.vertices)})
    bpy.ops.ed.undo_push(message="Imported")
    _show("ON_ORIGINAL")
    bpy.ops.ed.undo_push(message="Shown")
    bpy.ops.ed.undo()
    assert [modifier.type for modifier in bpy.data.objects["Skirt"].modifiers] == ["ARMATURE"]
    bpy.ops.ed.redo()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "kept.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "kept.blend"))
    bpy.context.scene.frame_set(2)
    again = bpy.data.objects["Skirt"]
    np.testing.assert_allclose(rigs.evaluated_vertices(again), places["Skirt"][1], atol=2e-5)
    _show("ORIGINAL")
    assert [modifier.type for modifier in again.modifiers] == ["ARMATURE"]


def test_where_it_cannot_the_copy_stays_and_that_is_said(skirt, tmp_path, session):
    _subdivided_before_the_armature(skirt)
    skirt.modifiers["Subdivision"].render_levels = 2
    count = len(skirt.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh().vertices)
    _import(tmp_path, {"Skirt": count})
    _show("ON_ORIGINAL")
    assert "'Skirt' is shown by its copy: renders and the viewport differ in the levels of 'Subdivision'." in str(
        session.warnings
    )
    assert not _copy_of("Skirt").hide_viewport and skirt.hide_viewport
    assert "no result" in _error(bpy.ops.ani3d.show_result, name="Nobody", what="ON_ORIGINAL")
