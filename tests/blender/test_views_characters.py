"""Views of characters that are not plain meshes: of other files, hidden, with hair, changed by modifiers."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs
from posed import on_bone
from test_linked_characters import linked_hero
from test_strands import hair_curves, lines_down
from viewed import agreement, captured, few_small_views, shot_of


@pytest.mark.parametrize("how", ["linked", "instanced"])
def test_characters_of_other_files(addon, part, tmp_path, how):
    collection = linked_hero(tmp_path)
    if how == "linked":
        bpy.context.scene.collection.children.link(collection)
        rigs.select(next(o for o in collection.all_objects if o.type == "ARMATURE"))
    else:
        empty = bpy.data.objects.new("Hero", None)
        empty.instance_type, empty.instance_collection = "COLLECTION", collection
        empty.location, empty.rotation_euler = (3, 2, 1), (0, 0, 1)
        bpy.context.scene.collection.objects.link(empty)
        rigs.select(empty)
    bpy.ops.ani3d.bind_character()
    few_small_views()
    views, shot = captured(tmp_path), shot_of(part)
    np.testing.assert_allclose(views.vertices_at[0], shot["vertices"], atol=1e-5)
    assert min(agreement(views, shot["faces"])) > 0.93


@pytest.mark.parametrize(("size", "place"), [(0.01, 20.0), (200.0, 0.0)])
def test_characters_of_any_size_wherever_they_stand(addon, part, tmp_path, size, place):
    rig = rigs.character()
    rig.scale, rig.location = (size, size, size), (place, place, 0)
    bpy.ops.ani3d.bind_character()
    few_small_views()
    views, shot = captured(tmp_path), shot_of(part)
    assert 1.4 * size < np.ptp(views.vertices_at[0], axis=0).max() < 1.6 * size
    assert min(agreement(views, shot["faces"])) > 0.9


def test_what_is_hidden_with_its_collection_is_shown_to_the_cameras(addon, part, tmp_path):
    rigs.character()
    bpy.ops.ani3d.bind_character()
    hidden = bpy.data.collections.new("Hidden")
    bpy.context.scene.collection.children.link(hidden)
    for name in ("Rig", "Body", "Skirt"):
        hidden.objects.link(bpy.data.objects[name])
        bpy.context.scene.collection.objects.unlink(bpy.data.objects[name])
    hidden.hide_render = hidden.hide_viewport = True
    few_small_views()
    views, shot = captured(tmp_path), shot_of(part)
    assert min(agreement(views, shot["faces"])) > 0.93
    assert hidden.hide_render and hidden.hide_viewport


def test_hair_is_seen_where_its_strands_are(addon, part, tmp_path):
    rig = rigs.character()
    hair = hair_curves(lines_down(40))
    hair.location = (0.5, 0, 1.5)
    on_bone(hair, rig, "head")
    bpy.ops.ani3d.bind_character(armature="Rig")
    few_small_views(side=320)
    views, shot = captured(tmp_path), shot_of(part)
    item = next(o for o in rigs.meta(shot)["objects"] if o["name"] == "Hair")
    assert views.vertices_at.shape[1] == len(shot["vertices"])
    rows = slice(item["vertex_start"], item["vertex_start"] + item["vertex_count"])
    inside = []
    for row in range(views.count):
        places = views.vertices_at[views.pose_of[row], rows]
        pixels = (places @ views.viewmats[row, :3, :3].T + views.viewmats[row, :3, 3]) @ views.Ks[row].T
        x, y = np.floor(pixels[:, :2] / pixels[:, 2:]).astype(int).T
        seen = (x >= 0) & (y >= 0) & (x < views.meta.width) & (y < views.meta.height)
        inside += (views.radiance[row, y[seen], x[seen], 3] > 0).tolist()
    assert len(inside) > 1000
    assert np.mean(inside) > 0.9


def test_modifiers_that_make_other_vertices_in_other_poses(addon, part, tmp_path):
    rigs.character()
    body = bpy.data.objects["Body"]
    body.shape_key_add(name="Basis")
    key = body.shape_key_add(name="Wide")
    for point in key.data:
        point.co.x *= 2
    for frame, value in ((3, 0), (10, 1)):
        key.value = value
        key.keyframe_insert("value", frame=frame)
    body.modifiers.new("Mirror", "MIRROR")
    bpy.data.objects["Skirt"].modifiers.new("Fewer", "DECIMATE").ratio = 0.5
    bpy.data.objects["Skirt"].modifiers.new("Cloth", "CLOTH")
    bpy.ops.ani3d.bind_character()
    few_small_views()
    views, shot = captured(tmp_path), shot_of(part)
    assert views.vertices_at.shape[1] == len(shot["vertices"])
    assert views.meta.character == rigs.meta(shot)["character"]
    assert min(agreement(views, shot["faces"])) > 0.9
