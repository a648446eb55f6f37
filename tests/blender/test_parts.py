"""The list of parts is the scene's own: kept through saving, linking and overrides, with what was chosen by hand."""

from __future__ import annotations

import bpy
import pytest
import rigs

BODY, HAIR, GARMENT = 0, 2, 3


@pytest.fixture
def parts(addon, part):
    return part("regions.parts")


def rows() -> list[tuple[str, str, str, bool]]:
    """(object, material, region, chosen) of the rows in sight."""
    return [(p.object.name, p.slot, p.region, p.chosen) for p in bpy.context.scene.ani3d.parts if p.current]


def fill(parts, *entries):
    parts.fill_parts(bpy.context.scene, [parts.PartEntry(*entry) for entry in entries])


def test_rows_say_what_the_guess_said(parts):
    rig = rigs.armature()
    skirt = rigs.tube("Skirt", rig, 0.2, 0.1, 0.8)
    entry = parts.PartEntry(skirt, "Cotton", GARMENT, 0.4, "named 'Skirt'", "recorded", 108, "")
    parts.fill_parts(bpy.context.scene, [entry])
    (row,) = bpy.context.scene.ani3d.parts
    assert (row.object, row.slot, row.region, row.chosen) == (skirt, "Cotton", "garment", False)
    assert (round(row.confidence, 3), row.reason, row.motion, row.vertices) == (0.4, "named 'Skirt'", "recorded", 108)


def test_what_was_chosen_by_hand_stays(parts):
    rig = rigs.armature()
    body, skirt = rigs.tube("Body", rig, 0.15, 0, 1.5), rigs.tube("Skirt", rig, 0.2, 0.1, 0.8)
    fill(parts, (body, "", BODY), (skirt, "", GARMENT))
    bpy.context.scene.ani3d.parts[1].region = "hair"
    fill(parts, (skirt, "", GARMENT), (body, "", GARMENT))
    assert rows() == [("Skirt", "", "hair", True), ("Body", "", "garment", False)]
    assert parts.regions_of(bpy.context.scene, skirt) == {"": HAIR}
    fill(parts, (body, "", BODY))  # another character is bound, and then the first again
    assert rows() == [("Body", "", "body", False)]
    fill(parts, (skirt, "", GARMENT))
    assert rows() == [("Skirt", "", "hair", True)]


def test_hair_that_grows_on_an_object_is_a_part_of_its_own(parts):
    body = rigs.tube("Body", rigs.armature(), 0.15, 0, 1.5)
    both = [parts.PartEntry(body, "Skin", BODY), parts.PartEntry(body, "Skin", HAIR, strands=True)]
    parts.fill_parts(bpy.context.scene, both)
    assert parts.regions_of(bpy.context.scene, body) == {"Skin": BODY}
    assert parts.regions_of(bpy.context.scene, body, strands=True) == {"Skin": HAIR}
    bpy.context.scene.ani3d.parts[1].region = "garment"
    parts.fill_parts(bpy.context.scene, both)
    assert parts.regions_of(bpy.context.scene, body) == {"Skin": BODY}
    assert parts.regions_of(bpy.context.scene, body, strands=True) == {"Skin": GARMENT}


def test_parts_survive_saving_and_renaming(parts, tmp_path):
    skirt = rigs.tube("Skirt", rigs.armature(), 0.2, 0.1, 0.8)
    fill(parts, (skirt, "", GARMENT))
    bpy.context.scene.ani3d.parts[0].region = "body"
    skirt.name = "Rock"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert rows() == [("Rock", "", "body", True)]


@pytest.mark.parametrize("overridden", [False, True])
def test_linked_objects_keep_their_labels(parts, tmp_path, overridden):
    rig = rigs.armature()
    rigs.tube("Skirt", rig, 0.2, 0.1, 0.8)
    library = str(tmp_path / "library.blend")
    bpy.ops.wm.save_as_mainfile(filepath=library)
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(library, link=True) as (_, wanted):
        wanted.objects = ["Rig", "Skirt"]
    for item in wanted.objects:
        bpy.context.scene.collection.objects.link(item)
    skirt = bpy.data.objects["Skirt"]
    fill(parts, (skirt, "", GARMENT))
    bpy.context.scene.ani3d.parts[0].region = "hair"
    if overridden:
        skirt = skirt.override_create(remap_local_usages=False)
        bpy.context.scene.collection.objects.link(skirt)
        fill(parts, (skirt, "", GARMENT))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    (row,) = (p for p in bpy.context.scene.ani3d.parts if p.current)
    assert (row.object.name, row.region, row.chosen) == ("Skirt", "hair", True)
    assert (row.object.library is None) == overridden


def test_a_lost_object_is_known_by_its_name(parts):
    rig = rigs.armature()
    fill(parts, (rigs.tube("Skirt", rig, 0.2, 0.1, 0.8), "", GARMENT))
    bpy.context.scene.ani3d.parts[0].region = "hair"
    bpy.data.objects.remove(bpy.data.objects["Skirt"])
    skirt = rigs.tube("Skirt", rig, 0.2, 0.1, 0.8)
    assert parts.regions_of(bpy.context.scene, skirt) == {"": HAIR}
    fill(parts, (skirt, "", GARMENT))
    assert rows() == [("Skirt", "", "hair", True)]


def regions(shot, name: str) -> set[str]:
    """The regions that vertices of the object `name` have in a shot."""
    meta = rigs.meta(shot)
    entry = next(each for each in meta["objects"] if each["name"] == name)
    start = entry["vertex_start"]
    return {meta["regions"][i] for i in shot["region_ids"][start : start + entry["vertex_count"]]}


def test_bind_lists_the_parts_and_writes_no_groups(addon, part):
    rig = rigs.character()
    empty = bpy.data.objects.new("Cloud", bpy.data.pointclouds.new("Cloud"))
    bpy.context.scene.collection.objects.link(empty)
    empty.parent = rig
    bpy.ops.ani3d.bind_character()
    listed = bpy.context.scene.ani3d.parts
    assert [(p.name, p.region, p.vertices, p.motion) for p in listed if not p.left_out] == [
        ("Body", "body", 108, "skinned"),
        ("Skirt", "garment", 108, "skinned"),
    ]
    assert [(p.name, bool(p.left_out)) for p in listed if p.left_out] == [("Cloud", True)]
    assert all(set(bpy.data.objects[name].vertex_groups.keys()) == set(rigs.BONES) for name in ("Body", "Skirt"))


def test_the_list_has_the_say_in_the_shot_and_paint_over_it(addon, part):
    rig = rigs.character()
    export = part("export").export_shot
    assert regions(export(bpy.context, rig), "Skirt") == {"garment"}  # as picked in the field, without Bind
    bpy.ops.ani3d.bind_character()
    bpy.context.scene.ani3d.parts[1].region = "hair"
    assert regions(export(bpy.context, rig), "Skirt") == {"hair"}
    bpy.ops.ani3d.bind_character()
    assert regions(export(bpy.context, rig), "Skirt") == {"hair"}
    skirt = bpy.data.objects["Skirt"]
    skirt.vertex_groups.new(name="ani3d_body").add([0, 1], 0.3, "REPLACE")
    shot = export(bpy.context, rig)
    assert [i for i in range(108) if shot["region_ids"][108 + i] != HAIR] == [0, 1]
    skirt.modifiers.new("Subdivision", "SUBSURF")
    assert regions(export(bpy.context, rig), "Skirt") == {"hair", "body"}


def test_labels_that_an_earlier_bind_wrote_still_count(addon, part):
    rig = rigs.character()
    for name, region in (("Body", "garment"), ("Skirt", "body")):
        bpy.data.objects[name].vertex_groups.new(name=f"ani3d_{region}").add(range(108), 1.0, "REPLACE")
    bpy.ops.ani3d.bind_character()
    shot = part("export").export_shot(bpy.context, rig)
    assert (regions(shot, "Body"), regions(shot, "Skirt")) == ({"garment"}, {"body"})
