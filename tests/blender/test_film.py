"""Render Shot: film frames by the engine, cut where the scene is nearer, laid over Blender's own picture."""

from __future__ import annotations

import json
from pathlib import Path

import bpy
import numpy as np
import pytest
import rigs

PYTHON = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "python"
ENGINE = f"{PYTHON} -m engine"
FRAMES = (3, 5)
SIDE = 48


@pytest.fixture
def shown(addon, part, tmp_path):
    """A sheet of white Gaussians in the plane y = 0, which a still camera 4 m before it sees, as a result in a file."""
    scene = bpy.context.scene
    x, z = np.meshgrid(np.linspace(-1, 1, 30), np.linspace(-1, 1, 30))
    position = np.stack([x.ravel(), 0 * x.ravel(), z.ravel()], 1)
    arrays = {
        "position": np.stack([position, position, position + np.array([0, 0.001, 0])]),
        "rotation": np.tile((1.0, 0, 0, 0), (3, 900, 1)),
        "scale": np.full((900, 3), 0.06),
        "radiance:base": np.tile((1.7, 1.7, 1.7, 0.99), (900, 1)),
    }
    folder = rigs.write_cache(tmp_path / "result" / "Rig.ani3d", arrays, FRAMES)
    camera = rigs.camera((0, -4, 0))
    camera.rotation_euler = (np.pi / 2, 0, 0)
    scene.frame_start, scene.frame_end = FRAMES
    scene.render.resolution_x = scene.render.resolution_y = SIDE
    scene.render.resolution_percentage = 100
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    bpy.ops.ani3d.import_result(directory=str(folder))
    part("preferences").get(bpy.context).engine_command = ENGINE
    return tmp_path / "film_ani3d" / "film" / "Rig"


def box(name, x, y, size=1.0):
    """A cube at (x, y, 0)."""
    mesh = bpy.data.meshes.new(name)
    corners = [(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    mesh.from_pydata([[size / 2 * value for value in corner] for corner in corners], [], faces)
    item = bpy.data.objects.new(name, mesh)
    item.location = (x, y, 0)
    bpy.context.scene.collection.objects.link(item)
    bpy.context.view_layer.update()
    return item


def picture(path):
    """(H,W,4) of an EXR file, the top row first, as Blender reads it."""
    image = bpy.data.images.load(str(path))
    values = np.empty(SIDE * SIDE * 4, np.float32)
    image.pixels.foreach_get(values)
    bpy.data.images.remove(image)
    return values.reshape(SIDE, SIDE, 4)[::-1]


def test_frames_are_cut_by_what_is_nearer_and_laid_over_blenders_picture(shown, part, tmp_path):
    scene = bpy.context.scene
    box("Front", 0.5, -2.0)  # its face at y = -2.5, 1.5 m away, hides what lies right of x = 0
    box("Behind", -0.5, 2.0)
    scene.world = bpy.data.worlds.new("World")
    part("compat").node_tree(scene.world).nodes["Background"].inputs[0].default_value = (0, 0, 1, 1)
    bpy.ops.ani3d.render_shot(samples=1)
    assert sorted(file.name for file in shown.iterdir()) == ["Rig_0003.exr", "Rig_0004.exr", "Rig_0005.exr"]
    alpha = picture(shown / "Rig_0004.exr")[..., 3]
    assert alpha[20:28, 12 : SIDE // 2].min() > 0.95 and not alpha[20:28, SIDE // 2 :].any()
    assert [each.name for each in bpy.data.scenes] == ["Scene"] and len(bpy.data.cameras) == 1
    assert not bpy.data.objects["Front"].hide_render

    part("cycles").use_cycles(scene, 1)
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.filepath = str(tmp_path / "merged.exr")
    scene.frame_set(4)
    bpy.ops.render.render(write_still=True)
    merged = picture(tmp_path / "merged.exr")
    assert merged[24, 20, :3].min() > 0.8  # the white sheet
    assert merged[24, 30, 0] < 0.7 and merged[24, 30, 2] < 0.9  # the box in the world's light
    np.testing.assert_allclose(merged[1, 1, :3], (0, 0, 1), atol=0.01)  # the world

    over = [node for tree in part("compat").compositor_trees() for node in tree.nodes if "Over" in node.bl_idname]
    assert [node["ani3d_film"] for node in over] == ["Rig"] and not over[0].mute
    bpy.ops.ani3d.show_result(name="Rig", what="GAUSSIANS")
    assert over[0].mute


def test_what_the_compositor_did_before_stays(shown, part, tmp_path):
    made = bpy.data.images.new("made", 4, 4, float_buffer=True)
    made.file_format, made.filepath_raw = "OPEN_EXR", str(tmp_path / "made_0003.exr")
    made.save()
    tree, output = part("compat").compositor_output(bpy.context.scene)
    blur = tree.nodes.new("CompositorNodeBlur")
    tree.links.new(blur.outputs[0], output)
    for _ in range(2):
        part("film_nodes").set_up(bpy.context.scene, "Rig", [tmp_path / "made_0003.exr"], range(3, 4))
    over = output.links[0].from_node
    assert part("compat").over_sockets(over)[0].links[0].from_node == blur
    assert len([node for node in tree.nodes if node.get("ani3d_film")]) == 2
    bpy.ops.ani3d.remove_result(name="Rig")
    assert output.links[0].from_node == blur and not [node for node in tree.nodes if node.get("ani3d_film")]


def test_shutter_and_lens_are_those_of_blender(shown, part):
    scene = bpy.context.scene
    scene.render.use_motion_blur, scene.render.motion_blur_shutter = True, 0.25
    scene.render.motion_blur_position = "START"
    aim = box("Aim", 0, 1.0)
    lens = scene.camera.data
    lens.dof.use_dof, lens.dof.focus_object, lens.dof.aperture_fstop = True, aim, 2.0
    steps = part("film.camera").film_steps(bpy.context, range(3, 6), 8)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        film = end.value
    assert (film.meta.shutter, film.meta.shutter_position, film.meta.samples) == (0.25, "start", 8)
    np.testing.assert_allclose(film.lenses, [(0.050 / 4, 5.0)] * 3, rtol=1e-5)
    film.save(shown.parent / "camera.npz")
    assert type(film).load(shown.parent / "camera.npz").meta == film.meta


def test_what_cannot_be_drawn_is_one_sentence(shown, part, tmp_path):
    part("preferences").get(bpy.context).engine_command = str(tmp_path / "nothing")
    with pytest.raises(RuntimeError, match="could not be run"):
        bpy.ops.ani3d.render_shot(samples=1)
    part("preferences").get(bpy.context).engine_command = ENGINE
    bpy.context.scene.frame_start = bpy.context.scene.frame_end = 40
    with pytest.raises(RuntimeError, match="has the frames 40"):
        bpy.ops.ani3d.render_shot(samples=1)
    bpy.ops.ani3d.remove_result(name="Rig")
    with pytest.raises(RuntimeError, match="no result in this file"):
        bpy.ops.ani3d.render_shot(samples=1)
    assert json.dumps([item.name for item in bpy.data.scenes]) == '["Scene"]'


def test_f12_draws_by_the_engine_itself(shown, part, tmp_path):
    scene = bpy.context.scene
    scene.render.engine = "ANI3D_GAUSSIANS"
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.filepath = str(tmp_path / "f12.exr")
    scene.frame_set(4)
    bpy.ops.render.render(write_still=True)
    drawn = picture(tmp_path / "f12.exr")
    assert drawn[20:28, 12:36].min() > 0.8 and not drawn[0, 0].any()
