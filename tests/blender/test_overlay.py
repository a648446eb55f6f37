"""The colours over the character: of each vertex's region, or of how firmly it is pinned."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs


@pytest.fixture
def overlay(addon, part):
    rigs.character()
    bpy.ops.ani3d.bind_character()
    yield part("overlay")
    part("overlay").overlay.hide()


def test_regions_have_the_colours_of_the_list(overlay, part):
    bpy.ops.ani3d.show_overlay(what="REGIONS")
    colors = overlay.overlay.colors(bpy.context)
    swatches = bpy.context.preferences.themes[0].collection_color
    items = bpy.context.scene.ani3d.parts[0].bl_rna.properties["region"].enum_items
    shown = {each.identifier: swatches[int(each.icon[-2:]) - 1].color[:] for each in items}
    np.testing.assert_allclose(colors["Skirt"][:, :3], [shown["garment"]] * 108, atol=1e-6)
    bpy.context.scene.ani3d.parts[1].region = "hair"
    np.testing.assert_allclose(overlay.overlay.colors(bpy.context)["Skirt"][:, :3], [shown["hair"]] * 108, atol=1e-6)
    bpy.ops.ani3d.show_overlay(what="REGIONS")
    assert not overlay.overlay.shown and not overlay.overlay.colors(bpy.context)


def test_pins_show_what_the_engine_will_hold(overlay):
    skirt = bpy.data.objects["Skirt"]
    skirt.vertex_groups.new(name="ani3d_pin").add([0, 1], 1.0, "REPLACE")
    bpy.ops.ani3d.show_overlay(what="PINS")
    colors = overlay.overlay.colors(bpy.context)
    np.testing.assert_allclose(colors["Skirt"][:2, :3], [overlay.FIXED] * 2, atol=1e-6)
    np.testing.assert_allclose(colors["Skirt"][2:, :3], [overlay.FREE] * 106, atol=1e-6)
    assert (colors["Body"][:, 3] < 0.3).all()


def test_removed_objects_are_no_error(overlay):
    bpy.ops.ani3d.show_overlay(what="REGIONS")
    bpy.data.objects.remove(bpy.data.objects["Body"])
    bpy.context.scene.ani3d.parts[1].region = "hair"
    overlay.overlay._refresh(bpy.context)
    bpy.ops.ani3d.show_overlay(what="PINS")
    assert set(overlay.overlay.colors(bpy.context)) == {"Skirt"}


def test_nothing_changes_and_another_file_has_no_colours(overlay):
    scene = bpy.context.scene
    scene.frame_set(6)
    before = rigs.evaluated_vertices(bpy.data.objects["Skirt"])
    bpy.ops.ani3d.show_overlay(what="PINS")
    assert scene.frame_current == 6
    np.testing.assert_array_equal(rigs.evaluated_vertices(bpy.data.objects["Skirt"]), before)
    bpy.ops.wm.read_homefile(use_empty=True)
    assert not overlay.overlay.shown
    with pytest.raises(RuntimeError, match="No armature is selected"):
        bpy.ops.ani3d.show_overlay(what="PINS")
