"""Characters that come from other files: linked, overridden, as instances of collections."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs
from posed import names, posed


def linked_hero(tmp_path) -> bpy.types.Collection:
    """The character in a collection of another file, linked into a new scene with a camera."""
    rigs.character()
    collection = bpy.data.collections.new("Hero")
    bpy.context.scene.collection.children.link(collection)
    for name in ("Rig", "Body", "Skirt"):
        collection.objects.link(bpy.data.objects[name])
        bpy.context.scene.collection.objects.unlink(bpy.data.objects[name])
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "hero.blend"))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
    with bpy.data.libraries.load(str(tmp_path / "hero.blend"), link=True) as (_, wanted):
        wanted.collections = ["Hero"]
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 3, 10
    rigs.camera()
    return bpy.data.collections["Hero"]


@pytest.mark.parametrize("how", ["linked", "overridden", "instanced", "instanced twice"])
def test_characters_of_other_files(addon, part, tmp_path, how):
    collection = linked_hero(tmp_path)
    scene = bpy.context.scene
    if how == "linked":
        scene.collection.children.link(collection)
    elif how == "overridden":
        scene.collection.children.link(collection)
        over = collection.override_hierarchy_create(scene, bpy.context.view_layer, do_fully_editable=True)
        scene.collection.children.unlink(collection)
        if over.name not in scene.collection.children:
            scene.collection.children.link(over)
        collection = over
    else:
        if how == "instanced twice":
            outer = bpy.data.collections.new("Outer")
            inner = bpy.data.objects.new("Inner", None)
            inner.instance_type, inner.instance_collection = "COLLECTION", collection
            inner.location = (0, 1, 0)
            outer.objects.link(inner)
            collection = outer
            collection.instance_offset = (0, 0, 0.5)
        empty = bpy.data.objects.new("Hero", None)
        empty.instance_type, empty.instance_collection = "COLLECTION", collection
        scene.collection.objects.link(empty)
        for frame in (3, 10):
            empty.location, empty.rotation_euler = (0.1 * frame, 0, 0), (0, 0, 0.05 * frame)
            empty.keyframe_insert("location", frame=frame)
        rigs.select(empty)
    if how in ("linked", "overridden"):
        rigs.select(next(o for o in collection.all_objects if o.type == "ARMATURE"))
    bpy.ops.ani3d.bind_character()
    path = tmp_path / "shot.npz"
    bpy.ops.ani3d.export_shot(filepath=str(path))
    shot = dict(np.load(path))
    assert names(shot) == ["Body", "Skirt"]
    rows = []
    for frame in range(3, 11):
        scene.frame_set(frame)
        shown = {}
        for each in bpy.context.evaluated_depsgraph_get().object_instances:
            if each.object.type == "MESH":
                points = np.array([v.co for v in each.object.data.vertices])
                world = np.array(each.matrix_world)
                shown[each.object.name] = points @ world[:3, :3].T + world[:3, 3]
        rows.append(np.concatenate([shown["Body"], shown["Skirt"]]))
    assert np.abs(posed(shot) - np.stack(rows)).max() < 1e-4
    assert np.ptp(posed(shot), axis=0).max() > 0.1
