"""Render Coarse Pictures: what Blender shows of a result's meshes along the camera, for the prior to restore."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs
from unharmed import fingerprint

from ani3d_formats.coarse_pictures import CoarsePictures
from ani3d_formats.shot import Shot

FRAMES = 3


@pytest.fixture
def cloth(addon, part, tmp_path):
    """A character whose shot is on disk, and a result in which its skirt hangs half a metre lower; (folder, places)."""
    rig = rigs.character(FRAMES)
    bpy.context.scene.ani3d.armature = rig
    material = bpy.data.materials.new("Green")
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (0.02, 0.6, 0.05, 1)
    bpy.data.objects["Skirt"].data.materials.append(material)
    bpy.context.scene.ani3d.shot_path = str(tmp_path / "shot.npz")
    assert bpy.ops.ani3d.export_shot() == {"FINISHED"}
    shot = Shot.load(tmp_path / "shot.npz")
    arrays = shot.to_arrays()
    places = np.stack([rigs.skinned(arrays, row) for row in range(FRAMES)]) + np.array(shot.meta.origin)
    skirt = next(item for item in shot.meta.objects if item.name == "Skirt")
    places[:, skirt.rows, 2] -= 0.5
    meshes = {item.name: places[:, item.rows] for item in shot.meta.objects}
    folder, _ = rigs.random_cache(tmp_path / "Rig.ani3d", (3, 2 + FRAMES), meshes=meshes)
    bpy.ops.ani3d.import_result(directory=str(folder))
    return tmp_path, shot, places


def test_pictures_show_the_meshes_of_the_result_and_leave_the_scene_as_it_was(cloth):
    folder, shot, places = cloth
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 3, 0), rotation=(np.pi / 2, 0, 0))  # a wall behind
    bpy.context.scene.view_settings.exposure = 2.0
    before = fingerprint()
    assert bpy.ops.ani3d.render_pictures(side=96, samples=4) == {"FINISHED"}
    assert fingerprint() == before
    assert bpy.context.scene.view_settings.exposure == 2.0
    found = CoarsePictures.load(folder / f"{shot.name}.pictures.npz")
    found.check_fits(shot.meta, len(shot["vertices"]))
    assert found.colors.shape == (FRAMES, 96, 64, 4)
    np.testing.assert_allclose(found.places + np.array(shot.meta.origin), places[:, found.shown], atol=1e-4)
    cameras = shot.cameras
    skirt = next(item for item in shot.meta.objects if item.name == "Skirt")
    for t in range(FRAMES):
        solid = found.colors[t, ..., 3] > 128
        assert 0.02 < solid.mean() < 0.6, "nothing but the character is seen"
        middle = cameras.project(places[t, skirt.rows].mean(0, keepdims=True) - np.array(shot.meta.origin), t)[0][0]
        column, row = (middle * (64 / shot.meta.width)).astype(int)
        pixel = found.colors[t, row, column].astype(int)
        assert pixel[3] == 255 and pixel[1] > 2 * pixel[0] and pixel[1] > 2 * pixel[2], "the skirt where the cloth is"


def test_without_a_result_it_says_what_to_do(addon, part, tmp_path):
    bpy.context.scene.ani3d.armature = rigs.character(FRAMES)
    bpy.context.scene.ani3d.shot_path = str(tmp_path / "shot.npz")
    bpy.ops.ani3d.export_shot()
    with pytest.raises(RuntimeError, match="There is no result here"):
        bpy.ops.ani3d.render_pictures()


def test_they_go_with_the_shot_where_the_job_wants_them(cloth, part):
    folder, shot, _ = cloth
    read, meta = part("operators.job").read_pictures, shot.to_arrays()["meta"]
    assert read(folder, meta, {"preset": "draft"}) == {}
    with pytest.raises(Exception, match="none came with the shot"):
        read(folder, meta, {"pictures": "blender"})
    bpy.ops.ani3d.render_pictures(side=48, samples=1)
    sent = read(folder, meta, {"pictures": "blender"})
    assert sorted(sent) == ["pictures_colors", "pictures_meta", "pictures_places", "pictures_shown"]


def test_the_panel_chooses_who_draws_them(addon, part):
    settings, chosen = bpy.context.scene.ani3d, part("operators.job").chosen_settings
    assert chosen(settings)["pictures"] == "gaussians"
    settings.pictures = "blender"
    assert chosen(settings)["pictures"] == "blender"
    settings.preset = "cloth"
    assert "pictures" not in chosen(settings)
