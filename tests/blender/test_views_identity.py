"""Which shots a views file belongs to: all those of the same character, until its mesh, weights or materials change."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest
import rigs
from paints import saved_picture

from ani3d_formats.views import Views, ViewsMeta


@pytest.fixture
def character(addon) -> bpy.types.Object:
    rig = rigs.character()
    material = bpy.data.materials.new("Paint")
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    bpy.data.objects["Body"].data.materials.append(material)
    bpy.ops.ani3d.bind_character()
    return rig


def _identity(part) -> str:
    return rigs.meta(part("export").export_shot(bpy.context, bpy.data.objects["Rig"]))["character"]


def _write_views(folder: Path, character: str, vertices: int) -> Path:
    meta = ViewsMeta("Rig", 4, 6, character)
    eye, pictures = np.eye(4, dtype=np.float32), np.zeros((1, 6, 4, 4), np.float16)
    Views(
        meta,
        np.zeros((1, vertices, 3), np.float32),
        np.zeros(1, np.int32),
        eye[None],
        eye[None, :3, :3],
        pictures,
        pictures,
    ).save(folder / "Rig.views.npz")
    return folder / "Rig.views.npz"


def test_motion_place_and_labels_do_not_change_the_character(character, part):
    known = _identity(part)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 5, 9
    character.location, character.rotation_euler = (3, 2, 1), (0, 0, 1)
    character.pose.bones["hips"].keyframe_insert("location", frame=9)
    scene.ani3d.parts[0].region = "garment"
    bpy.data.objects["Body"].vertex_groups.new(name="ani3d_pin").add([0, 1], 1.0, "REPLACE")
    scene.frame_set(7)
    assert _identity(part) == known


@pytest.mark.parametrize("change", ["color", "gloss", "mesh", "weights", "uv", "slot"])
def test_what_is_seen_changes_the_character(character, part, change):
    known = _identity(part)
    body = bpy.data.objects["Body"]
    node = bpy.data.materials["Paint"].node_tree.nodes["Principled BSDF"]
    if change == "color":
        node.inputs["Base Color"].default_value = (1, 0, 0, 1)
    elif change == "gloss":
        node.inputs["Roughness"].default_value = 0.1
    elif change == "mesh":
        body.data.vertices[3].co.x += 0.01
    elif change == "weights":
        body.vertex_groups["spine"].add([50], 0.9, "REPLACE")
    elif change == "uv":
        body.data.uv_layers[0].data[0].uv = (0.3, 0.3)
    else:
        body.data.materials[0] = None
    assert _identity(part) != known


def test_pictures_are_told_by_what_is_in_them_wherever_they_lie(character, part, tmp_path):
    known = set()
    for folder, color in (("here", (1.0, 0.2, 0.1)), ("moved", (1.0, 0.2, 0.1)), ("changed", (0.1, 0.2, 1.0))):
        (tmp_path / folder).mkdir()
        saved_picture(tmp_path / folder, "paint.png", color)
        os.utime(tmp_path / folder / "paint.png", (1e9, 1e9 + len(known)))
        tree = bpy.data.materials["Paint"].node_tree
        for node in [n for n in tree.nodes if n.type == "TEX_IMAGE"]:
            tree.nodes.remove(node)
        node = tree.nodes.new("ShaderNodeTexImage")
        node.image = bpy.data.images.load(str(tmp_path / folder / "paint.png"))
        tree.links.new(node.outputs[0], tree.nodes["Principled BSDF"].inputs["Base Color"])
        known.add(_identity(part))
        assert len(known) == (2 if folder == "changed" else 1)


def test_a_job_gets_the_views_of_its_own_character_only(character, part, tmp_path):
    job, warnings = part("operators.job"), list[str]()
    shot = tmp_path / "shot.npz"
    bpy.ops.ani3d.export_shot(filepath=str(shot))
    assert job.views_for(shot, warnings.append) is None
    assert warnings == []
    known = _identity(part)
    path = _write_views(tmp_path, known, 216)
    assert job.views_for(shot, warnings.append) == path
    sent = job.read_views(path)
    assert {"views_meta", "views_radiance", "views_albedo", "views_vertices_at"} <= set(sent)
    assert warnings == []
    _write_views(tmp_path, "another", 216)
    assert job.views_for(shot, warnings.append) is None
    path.write_bytes(path.read_bytes()[:100])
    assert job.views_for(shot, warnings.append) is None
    assert "before its mesh, weights or materials changed" in warnings[0]
    assert "no readable views file" in warnings[1]


def test_captured_views_belong_to_the_shot_that_is_exported_next(character, part, tmp_path):
    settings = bpy.context.scene.ani3d
    settings.views, settings.views_size, settings.views_samples = 8, 96, 1
    settings.shot_path = str(tmp_path / "shot.npz")
    bpy.ops.ani3d.capture_views()
    bpy.context.scene.frame_end -= 2
    bpy.ops.ani3d.export_shot()
    path = part("operators.job").views_for(tmp_path / "shot.npz", pytest.fail)
    assert path == tmp_path / "Rig.views.npz"
    assert replace(Views.load(path).meta, character="") == ViewsMeta(
        "Rig", 64, 96, "", application=f"Blender {bpy.app.version_string}, Cycles", samples=1
    )
