"""A fetched result plays in Blender by Blender's own parts: to the last Gaussian and vertex, also after reopening."""

from __future__ import annotations

import shutil

import bpy
import numpy as np
import pytest
import rigs

FRAMES = (3, 10)


def _mesh_copy() -> bpy.types.Object:
    return next(item for item in bpy.data.objects if item.ani3d.kind == "MESH")


def _places() -> np.ndarray:
    """Where the dependency graph shows Gaussians in the viewport: points, or points of splats."""
    graph = bpy.context.evaluated_depsgraph_get()
    places = []
    for shown in graph.object_instances:
        item = shown.object
        if item.type == "POINTCLOUD" and item.data:
            places += [tuple(shown.matrix_world @ point.co) for point in item.data.points]
    return np.array(sorted(places))


@pytest.mark.parametrize("changing", [False, True])
def test_every_frame_shows_its_gaussians(addon, part, tmp_path, changing):
    folder, arrays = rigs.random_cache(tmp_path / "result" / "Rig.ani3d", FRAMES, count=50, changing=changing)
    bpy.ops.ani3d.import_result(directory=str(folder.parent))
    for frame, row in ((3, 0), (7, 4), (10, 7), (4, 1), (1, 0), (99, 7)):  # outside the range the nearest frame holds
        bpy.context.scene.frame_set(frame)
        rigs.assert_shows(part, rigs.gaussians(), arrays, row)
    if part("compat").draws_splats():
        shown = rigs.gaussians().evaluated_get(bpy.context.evaluated_depsgraph_get()).data
        assert shown.type == "GAUSSIAN_SPLAT"


def test_what_stands_still_is_not_made_anew_at_each_frame(result):
    folder, *_ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    changed = set()

    def look(_scene, graph):
        changed.update(update.id.name for update in graph.updates if update.is_updated_geometry)

    bpy.app.handlers.frame_change_post.append(look)
    bpy.context.scene.frame_set(4)
    bpy.app.handlers.frame_change_post.remove(look)
    assert "Rig Gaussians" in changed
    assert not [name for name in changed if "Still" in name]


def test_between_frames_gaussians_move_and_turn_smoothly(addon, part, tmp_path):
    angles = np.radians([170.0, 190.0])  # w changes its sign between these two
    turns = np.stack([np.cos(angles / 2), 0 * angles, 0 * angles, np.sin(angles / 2)], axis=1)
    turns[1] *= -1  # the same turn, written the other way
    arrays = {
        "position": np.array([[[0, 0, 0]], [[1, 2, 3]]]),
        "rotation": turns[:, None],
        "scale": np.full((1, 3), 0.1),
        "radiance:base": np.full((1, 4), 0.5),
    }
    folder = rigs.write_cache(tmp_path / "Rig.ani3d", arrays, (1, 2))
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.context.scene.frame_set(1, subframe=0.5)
    shown = rigs.shown_gaussians(part, rigs.gaussians())
    np.testing.assert_allclose(shown["position"], [[0.5, 1, 1.5]], atol=1e-6)
    np.testing.assert_allclose(np.abs(shown["rotation"]), [[0, 0, 0, 1]], atol=1e-6)  # 180 degrees about z


@pytest.mark.parametrize("remap", [(100, 200), (200, 100), (100, 150)])
def test_time_remapping_leaves_frames_of_the_shot_in_place(result, part, remap):
    folder, arrays, skirt = result
    scene = bpy.context.scene
    scene.render.frame_map_old, scene.render.frame_map_new = remap
    bpy.ops.ani3d.import_result(directory=str(folder))
    for frame in (3, 6, 10):
        scene.frame_set(frame)
        for name in ("position", "rotation"):
            found, expected = rigs.shown_gaussians(part, rigs.gaussians())[name], arrays[name][frame - 3]
            np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)
        np.testing.assert_allclose(rigs.evaluated_vertices(_mesh_copy()), skirt[frame - 3], atol=1e-4)


def test_negative_frames_and_odd_rates_play(addon, part, tmp_path):
    folder, arrays = rigs.random_cache(tmp_path / "Rig.ani3d", (-5, 2))
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base, scene.frame_step = 30, 1.001, 3
    bpy.ops.ani3d.import_result(directory=str(folder))
    for frame in (-5, -1, 0, 2):
        scene.frame_set(frame)
        rigs.assert_shows(part, rigs.gaussians(), arrays, frame + 5)


def test_two_scenes_show_two_frames(result, part):
    folder, arrays, _ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    first, second = bpy.context.scene, bpy.data.scenes.new("Second")
    second.collection.children.link(bpy.data.collections["Ani3D Rig"])
    for scene, frame in ((first, 4), (second, 9)):
        scene.frame_set(frame)
    for modifier in rigs.gaussians().modifiers:
        modifier.show_viewport = "Playback" in modifier.name
    for scene, row in ((first, 1), (second, 6)):
        graph = scene.view_layers[0].depsgraph
        graph.update()
        cloud = rigs.gaussians().evaluated_get(graph).data
        shown = rigs.read_attribute(part, cloud.attributes["position"], 3)
        np.testing.assert_allclose(shown, arrays["position"][row], atol=1e-6)


def test_an_instance_plays_where_it_stands(result):
    folder, arrays, _ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    collection = bpy.data.collections["Ani3D Rig"]
    bpy.context.scene.collection.children.unlink(collection)
    empty = bpy.data.objects.new("Instance", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", collection
    empty.location = (5, 0, 0)
    bpy.context.scene.collection.objects.link(empty)
    for frame in (4, 9):
        bpy.context.scene.frame_set(frame)
        expected = sorted(map(tuple, arrays["position"][frame - 3] + [5, 0, 0]))
        np.testing.assert_allclose(_places(), expected, atol=1e-5)


@pytest.mark.parametrize("how", ["collection", "instance", "override"])
def test_a_linked_result_plays_without_the_extension(result, addon, how, tmp_path):
    folder, arrays, _ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    library = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(library))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.preferences.addon_disable(module=addon.__name__)
    assert not hasattr(bpy.types.Object, "ani3d")
    with bpy.data.libraries.load(str(library), link=True) as (_, wanted):
        wanted.collections = ["Ani3D Rig"]
    linked, scene = wanted.collections[0], bpy.context.scene
    if how == "instance":
        empty = bpy.data.objects.new("Instance", None)
        empty.instance_type, empty.instance_collection = "COLLECTION", linked
        scene.collection.objects.link(empty)
    else:
        scene.collection.children.link(linked)
        if how == "override":
            linked.override_hierarchy_create(scene, bpy.context.view_layer)
            scene.collection.children.unlink(linked)
    for frame in (4, 9):
        scene.frame_set(frame)
        expected = sorted(map(tuple, arrays["position"][frame - 3]))
        np.testing.assert_allclose(_places(), expected, atol=1e-5)


def test_colours_are_shown_in_linear_light(addon, part, tmp_path):
    srgb = np.array([[0.0, 0.5, 1.0], [0.02, 0.2, 2.0]])
    radiance = np.c_[(srgb - 0.5) / 0.28209479177387814, [0.25, 1.0]]
    expected = [[0, 0.214041, 1, 0.25], [0.00154799, 0.0331048, 1, 1]]  # the curve of IEC 61966-2-1
    cloud = part("compat").new_point_cloud_object("Colours", 2, bpy.context.scene.collection)
    attribute = cloud.data.attributes.new("radiance:base", "FLOAT_COLOR", "POINT")
    attribute.data.foreach_set("color", radiance.astype(np.float32).ravel())
    nodes = cloud.modifiers.new("Display", "NODES")
    nodes.node_group = part("display").ellipsoids()
    tree = nodes.node_group
    colored = next(node for node in tree.nodes if node.bl_idname == "GeometryNodeStoreNamedAttribute")
    output = next(node for node in tree.nodes if node.bl_idname == "NodeGroupOutput")
    tree.links.new(colored.outputs[0], output.inputs[0])  # the points, before ellipsoids stand on them
    shown = cloud.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    found = rigs.read_attribute(part, shown.attributes["ani3d_color"], 4)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_file_holds_none_of_the_gaussians(addon, tmp_path):
    """However many there are: saving is quick, and Blender's undo has little to remember."""
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "before.blend"))
    folder, _ = rigs.random_cache(tmp_path / "Rig.ani3d", (1, 2), count=50_000, changing=True)
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "after.blend"))
    grown = (tmp_path / "after.blend").stat().st_size - (tmp_path / "before.blend").stat().st_size
    assert 0 < grown < 1_000_000  # nodes alone, .7 MB before 5.0, which compresses; one frame of Gaussians has 2.2


def test_mesh_copy_plays_the_point_cache(result):
    folder, _, skirt = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    copy = _mesh_copy()
    assert [m.type for m in copy.modifiers] == ["MESH_CACHE"]
    assert copy.parent is None
    assert bpy.data.objects["Skirt"].hide_viewport
    for frame in (3, 6, 10):
        bpy.context.scene.frame_set(frame)
        np.testing.assert_allclose(rigs.evaluated_vertices(copy), skirt[frame - 3], atol=1e-6)


def test_importing_again_replaces_and_removing_restores(result):
    folder, *_ = result
    kinds = ("objects", "meshes", "node_groups", "pointclouds", "collections")
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.ops.ani3d.remove_result(name="Rig")  # the display's nodes stay, to be shared
    before = {kind: set(getattr(bpy.data, kind).keys()) for kind in kinds}
    bpy.ops.ani3d.import_result(directory=str(folder))
    once = len(bpy.data.objects)
    bpy.ops.ani3d.import_result(directory=str(folder))
    assert len(bpy.data.objects) == once
    bpy.ops.ani3d.remove_result(name="Rig")
    assert {kind: set(getattr(bpy.data, kind).keys()) for kind in kinds} == before
    assert not bpy.data.objects["Skirt"].hide_viewport
    assert folder.is_dir()


def test_results_of_two_jobs_stand_side_by_side(result, part, tmp_path):
    folder, arrays, skirt = result
    other, others = rigs.random_cache(tmp_path / "other" / "Rig.ani3d", FRAMES, count=20, meshes={"Skirt": skirt})
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.ops.ani3d.import_result(directory=str(other))
    bpy.context.scene.frame_set(5)
    assert rigs.gaussians("Rig").hide_viewport  # of two results of one character the newer is seen
    rigs.gaussians("Rig").hide_viewport = False
    rigs.assert_shows(part, rigs.gaussians("Rig"), arrays, 2)
    rigs.assert_shows(part, rigs.gaussians("Rig 2"), others, 2)
    bpy.ops.ani3d.remove_result(name="Rig 2")
    assert {o.ani3d.result for o in bpy.data.objects if o.ani3d.kind == "GAUSSIANS"} == {"Rig"}
    rigs.assert_shows(part, rigs.gaussians("Rig"), arrays, 2)


def test_undo_brings_a_removed_result_back_playing(result, part):
    folder, arrays, _ = result
    bpy.ops.ed.undo_push(message="Before")
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.ops.ed.undo_push(message="Import")
    bpy.ops.ani3d.remove_result(name="Rig")
    bpy.ops.ed.undo_push(message="Remove")
    bpy.ops.ed.undo()
    bpy.context.scene.frame_set(8)
    rigs.assert_shows(part, rigs.gaussians(), arrays, 5)
    bpy.ops.ed.undo()
    assert not any(o.ani3d.kind == "GAUSSIANS" for o in bpy.data.objects)
    bpy.ops.ed.redo()
    bpy.context.scene.frame_set(4)
    rigs.assert_shows(part, rigs.gaussians(), arrays, 1)


def test_saved_file_plays_after_reopening_and_moving(result, part, tmp_path):
    folder, arrays, skirt = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("result", "shot.blend"):
        shutil.move(tmp_path / name, moved / name)
    bpy.ops.wm.open_mainfile(filepath=str(moved / "shot.blend"))
    for frame in (8, 5):
        bpy.context.scene.frame_set(frame)
        rigs.assert_shows(part, rigs.gaussians(), arrays, frame - 3)
        np.testing.assert_allclose(rigs.evaluated_vertices(_mesh_copy()), skirt[frame - 3], atol=1e-6)
    bpy.ops.ani3d.import_result(directory=str(moved / "result"))  # the same folder, so the same result
    assert part("import_result").result_names() == ["Rig"]
    other = tmp_path / "elsewhere" / "again.blend"
    other.parent.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(other))
    bpy.ops.wm.open_mainfile(filepath=str(other))
    bpy.context.scene.frame_set(4)
    rigs.assert_shows(part, rigs.gaussians(), arrays, 1)
    np.testing.assert_allclose(rigs.evaluated_vertices(_mesh_copy()), skirt[1], atol=1e-6)


def test_a_cache_that_vanished_is_said_in_the_panel_and_loses_nothing(result, part):
    folder, *_ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    error_of = part("playback").error_of
    assert error_of(rigs.gaussians()) == error_of(_mesh_copy()) == ""
    for file in folder.glob("playback-*.pc2"):
        if "still" not in file.name:
            file.rename(folder / f"gone-{file.name}")
    whole = (folder / "Skirt.pc2").read_bytes()
    (folder / "Skirt.pc2").write_bytes(whole[:-4])
    bpy.context.scene.frame_set(6)
    assert "There is no mesh cache" in error_of(rigs.gaussians())
    assert "expected" in error_of(_mesh_copy())
    assert not rigs.shown_gaussians(part, rigs.gaussians())["position"].any()  # all in one place, and of no size
    (folder / "Skirt.pc2").write_bytes(whole)
    bpy.ops.ani3d.import_result(directory=str(folder))  # writes the playback file again
    assert error_of(rigs.gaussians()) == ""


def test_a_folder_that_cannot_be_written_to_is_refused(result):
    folder, *_ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.ops.ani3d.remove_result(name="Rig")
    file = next(file for file in folder.glob("playback-*.pc2") if "still" not in file.name)
    file.unlink()
    (folder / f".{file.stem}.partial.pc2").mkdir()  # where the file is written before it is whole
    with pytest.raises(RuntimeError, match="Cannot write"):
        bpy.ops.ani3d.import_result(directory=str(folder))
    assert not any(o.ani3d.kind != "NONE" for o in bpy.data.objects)


def test_cycles_looks_through_enough_gaussians_and_the_change_is_said(result, part):
    folder, *_ = result
    scene, warnings = bpy.context.scene, []
    scene.cycles.transparent_max_bounces = 8
    part("import_result").import_result(bpy.context, folder, on_warning=warnings.append)
    assert scene.cycles.transparent_max_bounces == 64
    assert [warning for warning in warnings if "raised from 8 to 64" in warning]
    scene.cycles.transparent_max_bounces = 128  # what is enough is the artist's
    part("import_result").import_result(bpy.context, folder)
    assert scene.cycles.transparent_max_bounces == 128


def test_a_linked_result_stays_when_the_same_is_imported_or_removed(result, addon, part, tmp_path):
    folder, arrays, _ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.preferences.addon_enable(module=addon.__name__)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (_, wanted):
        wanted.collections = ["Ani3D Rig"]
    bpy.context.scene.collection.children.link(wanted.collections[0])
    with pytest.raises(RuntimeError, match="is linked from another file"):
        bpy.ops.ani3d.remove_result(name="Rig")
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.ops.ani3d.remove_result(name="Rig")
    assert [o.library is not None for o in bpy.data.objects if o.ani3d.kind == "GAUSSIANS"] == [True]
    bpy.context.scene.frame_set(8)
    places = np.sort(_places(), axis=0)
    np.testing.assert_allclose(places, np.sort(arrays["position"][5], axis=0), atol=1e-5)
