"""Misuse of files: where shots and results cannot be written or are not what they should be."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import bpy
import numpy as np
import pytest
import rigs
from unharmed import refused

pytestmark = pytest.mark.usefixtures("unharmed")
AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def unwritable(tmp_path, monkeypatch) -> Path:
    """A folder in which nothing can be made; root may write everywhere but where the system itself refuses."""
    if AS_ROOT:
        return Path("/proc/sys")
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    return folder


def test_a_shot_in_a_folder_that_is_read_only(bound, unwritable):
    assert "Cannot write" in refused(bpy.ops.ani3d.export_shot, filepath=str(unwritable / "shot.npz"))
    assert "Cannot write" in refused(bpy.ops.ani3d.export_shot, filepath=str(unwritable / "new" / "shot.npz"))
    assert not bpy.context.scene.ani3d.shot_path


def test_beside_a_blend_whose_folder_is_read_only(bound, part, tmp_path, unwritable, monkeypatch):
    monkeypatch.setattr(part("properties"), "output_folder", lambda _context: unwritable / "walk_ani3d")
    assert "Cannot write" in refused(bpy.ops.ani3d.export_shot)


@pytest.mark.parametrize("where", ["a folder", "a folder/", ".", "/"])
def test_a_folder_given_as_the_shot(bound, tmp_path, where):
    (tmp_path / "a folder").mkdir()
    text = refused(bpy.ops.ani3d.export_shot, filepath=where if where == "/" else f"{tmp_path}/{where}")
    assert "is a folder" in text
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_names_of_files(bound, tmp_path):
    names = ["two words.npz", "Größe 人 🎭.npz", "a'b\"c;$(x).npz", "a\nb.npz", "no extension", ".hidden", "x" * 240]
    for name in (*names, "deep/er/and/deeper.npz"):
        bpy.ops.ani3d.export_shot(filepath=str(tmp_path / name))
        with np.load(tmp_path / name) as shot:
            assert len(shot["bone_pose"]) == 3


@pytest.mark.parametrize("name", ["x" * 300 + ".npz", "x/" * 3000 + "shot.npz", "//shot.npz", "//../shot.npz"])
def test_paths_that_cannot_be(bound, tmp_path, name):
    """Too long for the system; or beside a .blend that was never saved."""
    path = name if name.startswith("//") else str(tmp_path / name)
    text = refused(bpy.ops.ani3d.export_shot, filepath=path)
    assert ("never been saved" if name.startswith("//") else "File name too long") in text


def test_a_file_never_saved_has_a_place_for_shots(bound):
    bpy.ops.ani3d.export_shot()
    assert (Path(bpy.app.tempdir) / "ani3d" / "shot.npz").is_file()


@pytest.mark.parametrize("path", ["//result", "//"])
def test_a_result_beside_a_file_never_saved(addon, path):
    assert "never been saved" in refused(bpy.ops.ani3d.import_result, directory=path)


@pytest.mark.parametrize("what", ["missing", "a file", "empty", "only a file", "unreadable", "nul"])
def test_what_is_no_result(addon, tmp_path, what):
    folder = tmp_path / "result"
    if what == "a file":
        folder.write_text("hello")
    elif what != "missing":
        folder.mkdir()
    if what == "only a file":
        (folder / "Rig.ani3d").write_text("hello")
    elif what == "unreadable":
        (folder / "Rig.ani3d").mkdir()
        (folder / "Rig.ani3d" / "manifest.json").mkdir()
    text = refused(bpy.ops.ani3d.import_result, directory=str(folder) + ("\x01" if what == "nul" else ""))
    assert "result" in text


def _edited(folder: Path, how: str) -> None:
    manifest = folder / "manifest.json"
    content = json.loads(manifest.read_text())
    if how == "empty":
        manifest.write_text("")
    elif how == "binary":
        manifest.write_bytes(bytes(range(256)))
    elif how == "a list":
        manifest.write_text("[]")
    elif how == "deep":
        manifest.write_text("[" * 100_000)
    elif how == "not a number":
        manifest.write_text(json.dumps({**content, "fps": float("nan")}))
    elif how == "frames":
        manifest.write_text(json.dumps({**content, "frame_end": 10**9}))
    elif how == "reversed":
        manifest.write_text(json.dumps({**content, "frame_start": 9, "frame_end": 1}))
    elif how == "no attributes":
        manifest.write_text(json.dumps({**content, "attributes": []}))
    elif how == "origin":
        manifest.write_text(json.dumps({**content, "origin": ["a", 0, 0]}))
    elif how == "names":
        manifest.write_text(json.dumps({**content, "meshes": [{"object": 3, "file": 3}]}))
    elif how == "swapped":
        shutil.copy(folder / "scale.npy", folder / "position.npy")
    elif how == "not a file":
        (folder / "position.npy").unlink()
        (folder / "position.npy").mkdir()
    elif how == "pickled":
        (folder / "position.npy").write_bytes(b"\x93NUMPY\x01\x00" + os.urandom(4928 - 8))


@pytest.mark.parametrize(
    "how", ["empty", "binary", "a list", "deep", "not a number", "frames", "reversed", "no attributes", "origin",
            "names", "swapped", "not a file", "pickled"],
)  # fmt: skip
def test_results_that_were_edited(addon, tmp_path, how):
    rigs.character(frames=3)
    folder, _ = rigs.random_cache(tmp_path / "Rig.ani3d", (3, 10))
    _edited(folder, how)
    assert refused(bpy.ops.ani3d.import_result, directory=str(folder))


def test_a_result_in_a_folder_that_is_read_only(addon, part, tmp_path, monkeypatch):
    """The playback file cannot be written there."""
    folder, _ = rigs.random_cache(tmp_path / "Rig.ani3d", (3, 10))

    def refuse(path, mode="r"):
        if "w" in mode:
            raise PermissionError(13, "Permission denied", str(path))
        return open(path, mode)

    monkeypatch.setattr(part("carried.formats.pc2"), "open", refuse, raising=False)  # root may write everywhere
    assert "Cannot write" in refused(bpy.ops.ani3d.import_result, directory=str(folder))
    assert not [path for path in folder.iterdir() if path.suffix == ".pc2"]


@pytest.mark.parametrize("kind", ["folder", "empty", "text", "cut", "array", "other arrays", "object array", "missing"])
def test_what_is_no_shot(bound, session, part, tmp_path, monkeypatch, kind):
    """Refused before anything is sent."""
    file = tmp_path / "shot.npz"
    bpy.ops.ani3d.export_shot(filepath=str(file))
    whole = file.read_bytes()
    file.unlink()
    if kind == "folder":
        file.mkdir()
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "text":
        file.write_text("hello")
    elif kind == "cut":
        file.write_bytes(whole[: len(whole) // 2])
    elif kind == "array":
        with open(file, "wb") as stream:
            np.save(stream, np.zeros(3))
    elif kind == "other arrays":
        np.savez(file, a=np.zeros(2))
    elif kind == "object array":
        np.savez(file, meta=np.array([{}], dtype=object))
    sent = []

    class Client:
        def submit(self, shot, settings):
            sent.append(shot)
            raise part("carried.formats.errors").Ani3DError("shot.missing", "It is no shot.", "")

    on_thread = part("connection").on_thread
    link = type("Link", (), {"transfer": lambda _self, function: on_thread(lambda: function(Client()))})()
    monkeypatch.setattr(session, "current", lambda: link)
    text = refused(bpy.ops.ani3d.submit, shot=str(file))
    assert "shot" in text
    assert bool(sent) == (kind == "other arrays")  # the engine checks what is in it


def test_settings_that_are_none(bound, session, part, tmp_path, monkeypatch):
    bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
    monkeypatch.setattr(session, "current", lambda: None)  # nothing is sent
    for text in ("{", "[]", "3", "null", '"draft"', "{'preset': 'draft'}", "[" * 100_000):
        assert "settings" in refused(bpy.ops.ani3d.submit, settings=text)


def test_a_path_whose_links_go_in_a_circle(bound, tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert refused(bpy.ops.ani3d.export_shot, filepath=str(tmp_path / "a" / "shot.npz"))
    assert refused(bpy.ops.ani3d.import_result, directory=str(tmp_path / "a"))
