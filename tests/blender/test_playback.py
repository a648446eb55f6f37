"""A fetched result plays in Blender: Gaussians bit for bit, meshes to the last vertex, also after reopening."""

from __future__ import annotations

import shutil

import bpy
import numpy as np
import pytest
import rigs

FRAMES = (3, 10)


def _points(part, item: bpy.types.Object) -> dict[str, np.ndarray]:
    read = part("compat").read_attribute
    widths = {"position": 3, "scale": 3, "rotation": 4, "radiance:base": 4}
    return {name: read(item.data.attributes[name], width) for name, width in widths.items()}


def _assert_shows(part, item: bpy.types.Object, arrays: dict[str, np.ndarray], row: int) -> None:
    for name, found in _points(part, item).items():
        expected = arrays[name] if arrays[name].ndim == 2 else arrays[name][row]
        assert found.tobytes() == expected.tobytes(), f"{name} at row {row}"


def _gaussians() -> bpy.types.Object:
    return next(item for item in bpy.data.objects if item.ani3d.kind == "GAUSSIANS")


def _mesh_copy() -> bpy.types.Object:
    return next(item for item in bpy.data.objects if item.ani3d.kind == "MESH")


@pytest.fixture
def result(addon, tmp_path):
    """A character, and a result of it on disk: (cache folder, arrays, mesh positions of 'Skirt')."""
    rigs.character()
    vertices = len(bpy.data.objects["Skirt"].data.vertices)
    skirt = np.random.default_rng(1).normal(size=(8, vertices, 3)).astype(np.float32)
    folder, arrays = rigs.random_cache(tmp_path / "result" / "Rig.ani3d", FRAMES, meshes={"Skirt": skirt})
    return folder, arrays, skirt


def test_frames_are_read_back_bit_for_bit(result, part):
    folder, arrays, _ = result
    bpy.ops.ani3d.import_result(directory=str(folder.parent))
    for frame in (3, 7, 10, 4, 3):
        bpy.context.scene.frame_set(frame)
        _assert_shows(part, _gaussians(), arrays, frame - 3)


def test_scales_and_opacities_that_change_play_too(addon, part, tmp_path):
    folder, arrays = rigs.random_cache(tmp_path / "result" / "Rig.ani3d", FRAMES, changing=True)
    bpy.ops.ani3d.import_result(directory=str(folder.parent))
    for frame in (3, 7, 10, 4):
        bpy.context.scene.frame_set(frame)
        _assert_shows(part, _gaussians(), arrays, frame - 3)


def test_outside_the_range_the_nearest_frame_holds(result, part):
    folder, arrays, _ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    for frame, row in ((1, 0), (99, 7)):
        bpy.context.scene.frame_set(frame)
        _assert_shows(part, _gaussians(), arrays, row)


def test_gaussians_are_drawn_where_they_are_in_that_frame(result, part):
    folder, arrays, _ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.context.scene.frame_set(6)
    graph = bpy.context.evaluated_depsgraph_get()
    if part("compat").draws_splats():
        cloud = _gaussians().evaluated_get(graph).data
        assert cloud.type == "GAUSSIAN_SPLAT"
        places = [tuple(point.co) for point in cloud.points]
    else:
        places = [tuple(i.matrix_world.translation) for i in graph.object_instances if i.is_instance]
    np.testing.assert_allclose(sorted(places), sorted(map(tuple, arrays["position"][3])), atol=1e-5)


def test_display_colours_are_linear(addon, part):
    display_colors = part("display").display_colors
    srgb = np.array([[0.0, 0.5, 1.0], [0.02, 0.2, 2.0]])
    radiance = np.c_[(srgb - 0.5) / 0.28209479177387814, [0.25, 1.0]].astype(np.float32)
    expected = [[0, 0.214041, 1, 0.25], [0.00154799, 0.0331048, 1, 1]]  # the curve of IEC 61966-2-1
    np.testing.assert_allclose(display_colors(radiance), expected, atol=1e-5)


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
    before = set(bpy.data.objects)
    bpy.ops.ani3d.import_result(directory=str(folder))
    once = len(bpy.data.objects)
    bpy.ops.ani3d.import_result(directory=str(folder))
    assert len(bpy.data.objects) == once
    bpy.ops.ani3d.remove_result(name="Rig")
    assert set(bpy.data.objects) == before
    assert not bpy.data.objects["Skirt"].hide_viewport
    assert "Ani3D Rig" not in bpy.data.collections
    assert folder.is_dir()


def test_saved_file_plays_after_reopening_and_moving(result, part, tmp_path):
    folder, arrays, skirt = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert _gaussians().ani3d.cache_path == str(folder)  # absolute again while the file is open
    bpy.ops.wm.read_homefile(use_empty=True)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("result", "shot.blend"):
        shutil.move(tmp_path / name, moved / name)
    bpy.ops.wm.open_mainfile(filepath=str(moved / "shot.blend"))
    for frame in (8, 5):
        bpy.context.scene.frame_set(frame)
        _assert_shows(part, _gaussians(), arrays, frame - 3)
        np.testing.assert_allclose(rigs.evaluated_vertices(_mesh_copy()), skirt[frame - 3], atol=1e-6)
    other = tmp_path / "elsewhere" / "again.blend"
    other.parent.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(other))
    bpy.ops.wm.open_mainfile(filepath=str(other))
    bpy.context.scene.frame_set(4)
    _assert_shows(part, _gaussians(), arrays, 1)
    np.testing.assert_allclose(rigs.evaluated_vertices(_mesh_copy()), skirt[1], atol=1e-6)


def test_a_cache_that_vanished_is_said_once_and_loses_nothing(result, part, capfd):
    folder, arrays, _ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    (folder / "position.npy").rename(folder / "gone.npy")
    playback = part("playback")
    playback.reload_results()
    for frame in (4, 5, 6):
        bpy.context.scene.frame_set(frame)
    assert "position.npy" in playback.error_of(_gaussians())
    assert capfd.readouterr().out.count("does not play") == 1
    _assert_shows(part, _gaussians(), arrays, 0)  # the points of the last good frame are still there
