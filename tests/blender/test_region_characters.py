"""Characters that others made get sensible regions by default; skipped where their files are not there."""

from __future__ import annotations

from pathlib import Path

import bpy
import pytest
import rigs

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "characters"
FOLDERS = (FOLDER, FOLDER.parents[2] / "shared" / "characters")

CLOTH = {
    "kaykit_Mage.glb": {"Mage_Cape"},
    "kaykit_Rogue_Hooded.glb": {"Rogue_Cape"},
    "RobotExpressive.blend": set(),
    "kenney.fbx": set(),
    "Fox.glb": set(),
}


def opened(name: str) -> bpy.types.Object:
    """The armature of a character file, in the open scene."""
    file = next((str(folder / name) for folder in FOLDERS if (folder / name).is_file()), None)
    if file is None:
        pytest.skip(f"shared/characters/{name} is not there")
    if name.endswith(".glb"):
        bpy.ops.import_scene.gltf(filepath=file)
    elif name.endswith(".fbx"):
        bpy.ops.import_scene.fbx(filepath=file)
    else:
        with bpy.data.libraries.load(file) as (there, wanted):
            wanted.objects = there.objects
        for item in wanted.objects:
            bpy.context.scene.collection.objects.link(item)
    return max((o for o in bpy.data.objects if o.type == "ARMATURE"), key=lambda o: len(o.data.bones))


@pytest.mark.parametrize("name", CLOTH)
def test_only_cloth_is_cloth(addon, name):
    rig = opened(name)
    rigs.camera()
    bpy.ops.ani3d.bind_character(armature=rig.name)
    parts = [part for part in bpy.context.scene.ani3d.parts if not part.left_out]
    assert parts
    assert {part.name for part in parts if part.region in ("garment", "hair")} == CLOTH[name]
    for part in parts:
        if part.region == "garment":
            assert part.confidence > 0.5
        if "head" in part.name.lower():
            assert part.region in ("face", "body")


@pytest.mark.parametrize("name", ["kaykit_Mage.glb", "kaykit_Rogue_Hooded.glb"])
def test_a_cape_is_told_without_its_name(addon, name):
    rig = opened(name)
    rigs.camera()
    for number, item in enumerate(list(bpy.data.objects)):
        if item.type == "MESH":
            item["was"], item.name = item.name, f"Object_{number}"
    bpy.ops.ani3d.bind_character(armature=rig.name)
    parts = [part for part in bpy.context.scene.ani3d.parts if not part.left_out]
    assert {part.object["was"] for part in parts if part.region in ("garment", "hair")} == CLOTH[name]
    assert all(part.confidence < 0.6 for part in parts)
