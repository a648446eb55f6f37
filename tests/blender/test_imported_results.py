"""Results are imported, taken apart and removed in every state that a file may be in."""

from __future__ import annotations

import bpy
import pytest
import rigs

FRAMES = (3, 10)


@pytest.mark.parametrize("mode", ["EDIT", "POSE", "SCULPT", "WEIGHT_PAINT"])
def test_importing_works_in_every_mode(result, part, mode):
    folder, arrays, _ = result
    rigs.select(bpy.data.objects["Rig" if mode == "POSE" else "Body"])
    bpy.ops.object.mode_set(mode=mode)
    bpy.ops.ani3d.import_result(directory=str(folder))
    assert bpy.context.object.mode == mode
    bpy.context.scene.frame_set(8)
    rigs.assert_shows(part, rigs.gaussians(), arrays, 5)
    bpy.ops.ani3d.remove_result(name="Rig")


def test_a_result_taken_apart_by_hand_can_be_removed_and_imported_again(result, part):
    folder, arrays, _ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.data.objects.remove(rigs.gaussians())
    bpy.data.collections["Ani3D Rig"].name = "Mine"
    bpy.ops.ani3d.import_result(directory=str(folder))
    assert part("import_result").result_names() == ["Rig"]
    for item in [o for o in bpy.data.objects if o.ani3d.kind != "NONE"]:
        bpy.data.objects.remove(item)
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.context.scene.frame_set(8)
    rigs.assert_shows(part, rigs.gaussians(), arrays, 5)
    assert len(bpy.data.collections) == 1
    bpy.ops.ani3d.remove_result(name="Rig")
    assert not bpy.data.collections


def test_names_of_any_length_play(addon, part, tmp_path):
    name = "人" * 40
    folder, arrays = rigs.random_cache(tmp_path / f"{name}.ani3d", FRAMES)
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.ops.ani3d.import_result(directory=str(folder))
    assert len(bpy.data.collections) == 1
    bpy.context.scene.frame_set(8)
    rigs.assert_shows(part, rigs.gaussians(name), arrays, 5)
    bpy.ops.ani3d.remove_result(name=name)
    assert not bpy.data.collections and not bpy.data.objects


def test_writing_the_playback_file_is_told_and_can_be_stopped(result, part):
    folder, *_ = result
    steps: list[tuple[int, int]] = []
    open_cache = part("import_result").open_cache
    with pytest.raises(Exception, match="Cancelled"):
        open_cache(folder, lambda report: steps.append((report.step, report.total)), lambda: len(steps) == 3)
    assert steps == [(1, 8), (2, 8), (3, 8)]
    assert not list(folder.glob("*playback*"))
    open_cache(folder, lambda report: steps.append((report.step, report.total)))
    assert steps[-1] == (8, 8) and len(list(folder.glob("playback-*.pc2"))) == 4


def test_an_appended_result_plays(result, part, tmp_path):
    folder, arrays, _ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    (tmp_path / "files").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "files" / "other.blend"))
    with bpy.data.libraries.load(str(tmp_path / "shot.blend"), link=False) as (_, wanted):
        wanted.collections = ["Ani3D Rig"]
    bpy.context.scene.collection.children.link(wanted.collections[0])
    bpy.context.scene.frame_set(8)
    rigs.assert_shows(part, rigs.gaussians(), arrays, 5)
    assert part("playback").error_of(rigs.gaussians()) == ""
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "files" / "other.blend"))
    bpy.context.scene.frame_set(5)
    rigs.assert_shows(part, rigs.gaussians(), arrays, 2)


def test_a_copied_scene_plays_and_the_result_is_taken_out_of_both(result, part):
    folder, arrays, _ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.ops.scene.new(type="FULL_COPY")
    assert len([o for o in bpy.data.objects if o.ani3d.kind == "GAUSSIANS"]) == 2
    bpy.context.scene.frame_set(9)
    item = next(o for o in bpy.context.scene.objects if o.ani3d.kind == "GAUSSIANS")
    rigs.assert_shows(part, item, arrays, 6)
    bpy.ops.ani3d.remove_result(name="Rig")
    assert not [o for o in bpy.data.objects if o.ani3d.kind != "NONE" or o.name.endswith("Points")]
    assert not [tree for tree in bpy.data.node_groups if "Playback" in tree.name]
