"""Bad input gets one clear error that names the place and says what to do, and the scene stays as it was."""

from __future__ import annotations

import json

import bpy
import numpy as np
import pytest
import rigs


def _error(operator, **arguments) -> str:
    """The one error that calling `operator` reports."""
    with pytest.raises(RuntimeError) as caught:
        operator(**arguments)
    text = str(caught.value)
    assert text.count("Error:") == 1, text
    assert "Traceback" not in text, text
    return text


def test_no_armature_selected(addon):
    rigs.character()
    rigs.character()
    rigs.select(None)
    assert "No armature is selected. Select the character's armature" in _error(bpy.ops.ani3d.bind_character)
    rigs.select(bpy.context.scene.camera)
    assert "No armature is selected" in _error(bpy.ops.ani3d.bind_character)
    assert "'Camera' is not an armature" in _error(bpy.ops.ani3d.bind_character, armature="Camera")


def test_without_a_selection_the_panels_armature_is_bound(addon):
    rig = rigs.character()
    rigs.select(None)
    bpy.context.scene.ani3d.armature = rig  # as picked in the panel
    bpy.ops.ani3d.bind_character()
    assert [part.name for part in bpy.context.scene.ani3d.parts] == ["Body", "Skirt"]


def test_no_camera(addon):
    rigs.character()
    bpy.context.scene.camera = None
    assert "has no camera. Add a camera" in _error(bpy.ops.ani3d.bind_character)


def test_armature_without_meshes(addon):
    rigs.select(rigs.armature())
    assert "No mesh follows the armature 'Rig'" in _error(bpy.ops.ani3d.bind_character)


def test_zero_length_frame_range(addon, tmp_path):
    rigs.character()
    bpy.ops.ani3d.bind_character()
    bpy.context.scene.frame_end = bpy.context.scene.frame_start
    text = _error(bpy.ops.ani3d.export_shot, filepath=str(tmp_path / "shot.npz"))
    assert "The frame range 3..3 holds no motion. Set the end frame after the start." in text


def test_export_before_binding(addon):
    rigs.character()
    assert "No character is bound" in _error(bpy.ops.ani3d.export_shot)


def test_a_folder_that_cannot_be_made(addon, tmp_path):
    rigs.character()
    bpy.ops.ani3d.bind_character()
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "shot.npz"
    assert f"Cannot write '{path}'" in _error(bpy.ops.ani3d.export_shot, filepath=str(path))


def test_a_disk_that_fills_up_while_the_shot_is_written(addon, tmp_path, monkeypatch):
    rigs.character()
    bpy.ops.ani3d.bind_character()
    file = tmp_path / "shot.npz"
    file.write_bytes(b"the former shot")

    def full(stream, **_arrays):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert "The disk is full" in _error(bpy.ops.ani3d.export_shot, filepath=str(file))
    assert file.read_bytes() == b"the former shot"
    assert [p.name for p in tmp_path.iterdir()] == ["shot.npz"]


def _broken(folder, how):
    manifest = folder / "manifest.json"
    content = json.loads(manifest.read_text())
    if how == "folder":
        for file in folder.iterdir():
            file.unlink()
    elif how == "file":
        (folder / "rotation.npy").unlink()
    elif how == "cut":
        data = (folder / "position.npy").read_bytes()
        (folder / "position.npy").write_bytes(data[:-100])
    elif how == "cut to nothing":
        (folder / "position.npy").write_bytes(b"")
    elif how == "mesh cut":
        data = (folder / "Skirt.pc2").read_bytes()
        (folder / "Skirt.pc2").write_bytes(data[:-4])
    elif how == "mesh missing":
        (folder / "Skirt.pc2").unlink()
    elif how == "version":
        manifest.write_text(json.dumps({**content, "version": 2}))
    elif how == "json":
        manifest.write_text(manifest.read_text()[:50])
    elif how == "outside":
        content["attributes"][0]["file"] = "../position.npy"
        manifest.write_text(json.dumps(content))
    elif how == "shape":
        content["count"] = 49
        manifest.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("folder", "There is no frame cache at"),
        ("file", "rotation.npy' is missing. Fetch, copy or make the result"),
        ("cut", "position.npy' is cut: 4,828 bytes instead of 4,928. Fetch, copy or make the result"),
        ("cut to nothing", "position.npy' is cut: 0 bytes"),
        ("mesh cut", "Skirt.pc2' is cut"),
        ("mesh missing", "Skirt.pc2' is missing"),
        (
            "version",
            "has version 2, this program reads version 1. Use the add-on and the engine of the same release",
        ),
        ("json", "manifest.json cannot be read"),
        ("outside", "manifest.attributes[0].file is '../position.npy'"),
        ("shape", "'position' has shape (8, 50, 3), expected (8, 49, 'k')"),
    ],
)
def test_broken_cache(addon, tmp_path, how, message):
    rigs.character()
    vertices = len(bpy.data.objects["Skirt"].data.vertices)
    folder, _ = rigs.random_cache(
        tmp_path / "Rig.ani3d", (3, 10), meshes={"Skirt": np.zeros((8, vertices, 3), np.float32)}
    )
    _broken(folder, how)
    before = set(bpy.data.objects)
    assert message in _error(bpy.ops.ani3d.import_result, directory=str(folder))
    assert set(bpy.data.objects) == before
    assert not bpy.data.objects["Skirt"].hide_viewport
