"""Misuse of results: what is renamed, deleted, copied, linked or undone between the export and the result's removal."""

from __future__ import annotations

import shutil
from pathlib import Path

import bpy
import numpy as np
import pytest
import rigs
from unharmed import fingerprint, refused, saved_and_reopened, unchanged

pytestmark = pytest.mark.usefixtures("unharmed")


@pytest.fixture
def result(addon, tmp_path) -> Path:
    """A bound character and a result of it on the disk, with Body and Skirt as meshes; the result's folder."""
    rigs.character(frames=3)
    bpy.ops.ani3d.bind_character()
    vertices = len(bpy.data.objects["Skirt"].data.vertices)
    meshes = {name: np.zeros((3, vertices, 3), np.float32) for name in ("Body", "Skirt")}
    folder, _ = rigs.random_cache(tmp_path / "result" / "Rig.ani3d", (3, 5), meshes=meshes)
    return folder.parent


@pytest.fixture
def imported(result) -> Path:
    bpy.ops.ani3d.import_result(directory=str(result))
    return result


def _parts() -> list[str]:
    return sorted(item.name for item in bpy.data.objects if item.ani3d.kind != "NONE")


def _shown() -> list[bool]:
    return [not bpy.data.objects[name].hide_viewport for name in ("Body", "Skirt") if name in bpy.data.objects]


def _nothing_left() -> None:
    assert _parts() == [] and all(_shown())
    for datas in (bpy.data.meshes, bpy.data.pointclouds, bpy.data.collections, bpy.data.node_groups):
        assert not [data.name for data in datas if data.users == 0 or data.name.startswith("Ani3D Rig")], list(datas)


def test_imported_and_removed_the_file_is_as_before(result):
    bpy.ops.ani3d.import_result(directory=str(result))
    bpy.ops.ani3d.remove_result(name="Rig")  # what is shared by all results stays
    with unchanged():
        bpy.ops.ani3d.import_result(directory=str(result))
        assert _parts() == ["Body Ani3D", "Rig Gaussians", "Skirt Ani3D"] and not any(_shown())
        bpy.ops.ani3d.remove_result(name="Rig")


@pytest.mark.parametrize("edit", ["renamed", "vertices added", "deleted", "emptied"])
def test_a_mesh_edited_between_export_and_import(result, edit, capfd):
    skirt = bpy.data.objects["Skirt"]
    if edit == "renamed":
        skirt.name = "Kleid"
    elif edit == "vertices added":
        skirt.data.vertices.add(1)
    elif edit == "emptied":
        skirt.data.clear_geometry()
    else:
        bpy.data.objects.remove(skirt)
    bpy.ops.ani3d.import_result(directory=str(result))
    assert _parts() == ["Body Ani3D", "Rig Gaussians"]
    told = [line for line in capfd.readouterr().out.splitlines() if "Warning:" in line and "'Skirt'" in line]
    assert len(told) == 1


def test_the_armature_and_all_meshes_deleted_before_import(result):
    for name in ("Rig", "Body", "Skirt"):
        bpy.data.objects.remove(bpy.data.objects[name])
    bpy.ops.ani3d.import_result(directory=str(result))
    assert _parts() == ["Rig Gaussians"]


@pytest.mark.parametrize(
    "gone",
    ["Rig Gaussians", "Body Ani3D", "Rig Gaussians Points", "collection", "source", "all", "nodes", "modifiers",
     "cloud"],
)  # fmt: skip
@pytest.mark.parametrize("then", ["remove", "import", "panel"])
def test_parts_deleted_by_hand(imported, part, gone, then):
    if gone == "collection":
        bpy.data.collections.remove(next(c for c in bpy.data.collections if c.name.startswith("Ani3D")))
    elif gone == "source":
        bpy.data.objects.remove(bpy.data.objects["Body"])
    elif gone == "all":
        for name in _parts():
            bpy.data.objects.remove(bpy.data.objects[name])
    elif gone == "nodes":
        for tree in list(bpy.data.node_groups):
            bpy.data.node_groups.remove(tree)
    elif gone == "modifiers":
        for name in _parts():
            bpy.data.objects[name].modifiers.clear()
    elif gone == "cloud":
        bpy.data.pointclouds.remove(bpy.data.pointclouds[0])
    else:
        bpy.data.objects.remove(bpy.data.objects[gone])
    if then == "panel":
        for name in _parts():
            assert isinstance(part("playback").error_of(bpy.data.objects[name]), str)
        return
    if then == "import":
        bpy.ops.ani3d.import_result(directory=str(imported))
        assert len(_parts()) == (2 if gone == "source" else 3)
    bpy.ops.ani3d.remove_result(name="Rig")
    assert _parts() == [] and all(_shown())


@pytest.mark.parametrize("name", ["", "nothing", "Rig ", "R" * 300])
def test_remove_what_is_no_result(imported, name):
    assert "There is no result" in refused(bpy.ops.ani3d.remove_result, name=name)
    assert len(_parts()) == 3


def test_the_result_is_renamed_and_moved_to_another_collection(imported):
    other = bpy.data.collections.new("Mine")
    bpy.context.scene.collection.children.link(other)
    for name in _parts():
        item = bpy.data.objects[name]
        other.objects.link(item)
        item.name = f"my {name}"
    bpy.ops.ani3d.import_result(directory=str(imported))
    assert _parts() == ["Body Ani3D", "Rig Gaussians", "Skirt Ani3D"]
    bpy.ops.ani3d.remove_result(name="Rig")
    assert _parts() == [] and all(_shown()) and "Mine" in bpy.data.collections


@pytest.mark.parametrize("gone", ["folder", "playback", "mesh", "manifest"])
def test_a_file_opened_without_its_cache(imported, part, tmp_path, gone):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "walk.blend"))
    cache = imported / "Rig.ani3d"
    if gone == "folder":
        shutil.rmtree(imported)
    else:
        pattern = {"playback": "playback*", "mesh": "Body.pc2", "manifest": "manifest.json"}[gone]
        for file in list(cache.glob(pattern)):
            file.unlink()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "walk.blend"))
    bpy.context.scene.frame_set(4)
    errors = {name: part("playback").error_of(bpy.data.objects[name]) for name in _parts()}
    wrong = {"folder": set(errors), "playback": {"Rig Gaussians"}, "mesh": {"Body Ani3D"}, "manifest": set()}[gone]
    assert {name for name, text in errors.items() if text} == wrong
    assert all("again" in text and "\n" not in text for text in errors.values() if text)
    if gone in ("folder", "mesh", "manifest"):
        assert refused(bpy.ops.ani3d.import_result, directory=str(imported))
    bpy.ops.ani3d.remove_result(name="Rig")
    assert _parts() == [] and all(_shown())


@pytest.mark.parametrize("kind", ["FULL_COPY", "LINK_COPY"])
def test_a_scene_copied_with_its_result(imported, kind):
    bpy.ops.scene.new(type=kind)
    assert len(bpy.data.scenes) == 2
    bpy.ops.ani3d.import_result(directory=str(imported))
    saved = _parts()
    bpy.ops.ani3d.remove_result(name="Rig")
    assert _parts() == [] and saved
    assert all(not item.hide_viewport for item in bpy.data.objects if item.type == "MESH" and item.users_scene)


def test_a_result_that_is_linked_from_another_file(imported, part, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "result.blend"))
    name = next(c.name for c in bpy.data.collections if c.name.startswith("Ani3D Rig"))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
    with bpy.data.libraries.load(str(tmp_path / "result.blend"), link=True) as (_, wanted):
        wanted.collections = [name]
    bpy.context.scene.collection.children.link(bpy.data.collections[name])
    parts = _parts()
    with unchanged():
        for item in [bpy.data.objects[part_name] for part_name in parts]:
            assert part("playback").error_of(item) == ""
    text = refused(bpy.ops.ani3d.remove_result, name="Rig")
    assert "linked" in text and _parts() == parts
    bpy.ops.ani3d.import_result(directory=str(imported))  # beside the linked one
    assert [item.name for item in bpy.data.objects if item.ani3d.kind == "GAUSSIANS" and not item.library]


@pytest.mark.parametrize("operator", ["bind", "export", "import", "remove", "paint", "guess", "mixed"])
def test_undo_and_redo(result, tmp_path, operator):
    """Scripts push the steps that Blender pushes after an operator run from a button."""
    bpy.ops.ani3d.import_result(directory=str(result))
    bpy.ops.ani3d.remove_result(name="Rig")

    def do() -> None:
        if operator in ("bind", "mixed"):
            bpy.ops.ani3d.bind_character(armature="Rig")
        if operator in ("export", "mixed"):
            bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
        if operator in ("import", "remove", "mixed"):
            bpy.ops.ani3d.import_result(directory=str(result))
        if operator in ("remove", "mixed"):
            bpy.ops.ani3d.remove_result(name="Rig")
        if operator == "paint":
            bpy.ops.ani3d.paint_pins(object="Skirt")
        if operator == "guess":
            bpy.context.scene.ani3d.parts[0].region = "hair"
            bpy.context.scene.ani3d.active_part = 0
            bpy.ops.ani3d.use_guess()

    bpy.ops.ed.undo_push(message="before")
    before = _told()
    do()
    bpy.ops.ed.undo_push(message="after")
    after = _told()
    bpy.ops.ed.undo()
    assert _told() == before
    bpy.ops.ed.redo()
    assert _told() == after
    bpy.ops.ed.undo()
    do()  # once more, on data that was read anew
    assert _told() == after
    bpy.context.scene.frame_set(4)


def _told() -> str:
    return repr(sorted((key, str(value)) for key, value in fingerprint().items() if not key.startswith("counts")))


def test_the_extension_disabled_and_enabled_with_a_result(imported, addon):
    name = addon.__name__
    before = _parts()
    bpy.ops.preferences.addon_disable(module=name)
    bpy.context.scene.frame_set(4)
    bpy.ops.preferences.addon_enable(module=name)
    assert _parts() == before
    assert bpy.context.scene.ani3d.armature.name == "Rig"
    bpy.ops.ani3d.remove_result(name="Rig")
    assert all(_shown())


def test_bound_and_exported_while_a_result_hides_the_character(imported, tmp_path):
    with unchanged():
        settings = bpy.context.scene.ani3d.shot_path
        bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
        bpy.context.scene.ani3d.shot_path = settings
    bpy.ops.ani3d.bind_character()
    assert not any(_shown())


def test_imported_twice_and_from_two_places(imported, tmp_path):
    shutil.copytree(imported, tmp_path / "second")
    bpy.ops.ani3d.import_result(directory=str(imported))
    bpy.ops.ani3d.import_result(directory=str(tmp_path / "second"))
    assert len(_parts()) == 6
    bpy.ops.ani3d.remove_result(name="Rig 2")
    assert len(_parts()) == 3
    bpy.ops.ani3d.remove_result(name="Rig")
    assert _parts() == [] and all(_shown())
    saved_and_reopened(tmp_path)
