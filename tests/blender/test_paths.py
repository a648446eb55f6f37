"""Files follow the .blend, folders are found as artists choose them, and what nobody foresaw is one sentence."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import bpy
import numpy as np
import pytest
import rigs


@pytest.fixture
def project(addon, tmp_path) -> Path:
    """A saved .blend in `first`, bound and exported where shots go by themselves."""
    (tmp_path / "first").mkdir()
    rigs.character(frames=3)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "first" / "walk.blend"))
    bpy.ops.ani3d.bind_character()
    bpy.ops.ani3d.export_shot()
    bpy.ops.wm.save_mainfile()
    return tmp_path / "first"


def _export_again(blend: Path) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    bpy.ops.ani3d.export_shot()


def test_a_copied_project_writes_its_own_shot(project, tmp_path):
    first = project / "walk_ani3d" / "shot.npz"
    before = first.stat().st_mtime_ns
    shutil.copytree(project, tmp_path / "second")
    shutil.rmtree(tmp_path / "second" / "walk_ani3d")
    _export_again(tmp_path / "second" / "walk.blend")
    assert (tmp_path / "second" / "walk_ani3d" / "shot.npz").is_file()
    assert first.stat().st_mtime_ns == before


@pytest.mark.parametrize("folder", ["first", "third"])
def test_a_file_saved_under_another_name_writes_its_own_shot(project, tmp_path, folder):
    first = project / "walk_ani3d" / "shot.npz"
    before = first.stat().st_mtime_ns
    (tmp_path / folder).mkdir(exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / folder / "run.blend"))
    bpy.ops.ani3d.export_shot()
    assert (tmp_path / folder / "run_ani3d" / "shot.npz").is_file()
    assert first.stat().st_mtime_ns == before


def test_a_chosen_file_below_the_blend_moves_with_it(project, part, tmp_path):
    bpy.ops.ani3d.export_shot(filepath=str(project / "shots" / "one.npz"))
    assert bpy.context.scene.ani3d.shot_path == "//shots/one.npz"
    bpy.ops.wm.save_mainfile()
    shutil.move(project, tmp_path / "moved")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "moved" / "walk.blend"))
    assert part("properties").shot_file(bpy.context) == tmp_path / "moved" / "shots" / "one.npz"


def test_a_highlighted_folder_is_imported(addon, tmp_path):
    rigs.random_cache(tmp_path / "jobs" / "7" / "Rig.ani3d", (1, 2))
    rigs.random_cache(tmp_path / "jobs" / "8" / "Rig.ani3d", (1, 2))
    with pytest.raises(RuntimeError, match="Choose one of the folders in it that have one: 7, 8"):
        bpy.ops.ani3d.import_result(directory=str(tmp_path / "jobs"))
    bpy.ops.ani3d.import_result(directory=str(tmp_path / "jobs"), dirs=[{"name": "8"}])
    item = next(o for o in bpy.data.objects if o.ani3d.kind == "GAUSSIANS")
    file = bpy.data.objects[f"{item.name} Points"].modifiers["Ani3D"].filepath
    assert Path(file).parent == tmp_path / "jobs" / "8" / "Rig.ani3d"


def test_what_nobody_foresaw_is_one_sentence_and_a_log(addon, part, tmp_path, monkeypatch):
    folder, _ = rigs.random_cache(tmp_path / "Rig.ani3d", (1, 2))

    def fails(*_arguments):
        raise ZeroDivisionError("no such thing")

    monkeypatch.setattr(part("import_result"), "import_result", fails)
    with pytest.raises(RuntimeError) as caught:
        bpy.ops.ani3d.import_result(directory=str(folder))
    text = str(caught.value)
    assert "Import Result failed: ZeroDivisionError: no such thing." in text
    assert "Traceback" not in text
    log = Path(re.search(r"Details are in '(.+)'", text).group(1))
    assert "Traceback" in log.read_text() and "in fails" in log.read_text()


def test_operators_that_go_on_in_the_background_are_not_repeated_by_blender(addon, part):
    """Blender crashes when it repeats one that returns RUNNING_MODAL: Adjust Last Operation, Repeat Last."""
    modal = [cls.bl_idname.split(".")[1] for cls in part("operators").CLASSES if hasattr(cls, "modal")]
    assert "fetch_result" in modal
    assert not [name for name in modal if "REGISTER" in getattr(bpy.ops.ani3d, name).bl_options]


@pytest.mark.parametrize("name", ["R" * 255, "人" * 80, "A/B", "CON", "..", "a\nb", " Ada "])
def test_any_name_of_an_armature_becomes_one_of_a_file(addon, tmp_path, name):
    rig = rigs.character(frames=3)
    rig.name = name
    bpy.ops.ani3d.bind_character()
    bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
    with np.load(tmp_path / "shot.npz") as shot:
        told = json.loads(str(shot["meta"]))["name"]
    (tmp_path / told).mkdir()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [told]
    assert told.strip(". ") == told and told.lower() not in ("con", "..") and "\n" not in told
