"""A result stands alone, whatever file its character comes from, also when the file is saved and opened again."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs
from test_linked_characters import linked_hero

HOW = ("linked collection", "linked objects", "nested", "overridden", "instanced")


def placed(collection: bpy.types.Collection, how: str) -> bpy.types.Object:
    """The linked hero in the scene, and what to select of it."""
    scene = bpy.context.scene
    if how == "linked objects":
        for item in collection.objects:
            scene.collection.objects.link(item)
    elif how == "instanced":
        empty = bpy.data.objects.new("Hero", None)
        empty.instance_type, empty.instance_collection = "COLLECTION", collection
        scene.collection.objects.link(empty)
        return empty
    elif how == "nested":
        local = bpy.data.collections.new("Cast")
        scene.collection.children.link(local)
        local.children.link(collection)
    elif how == "overridden":
        scene.collection.children.link(collection)
        over = collection.override_hierarchy_create(scene, bpy.context.view_layer, do_fully_editable=True)
        scene.collection.children.unlink(collection)
        if over.name not in scene.collection.children:
            scene.collection.children.link(over)
        collection = over
    else:
        scene.collection.children.link(collection)
    return next(o for o in collection.all_objects if o.type == "ARMATURE")


def seen(part) -> tuple[set[str], set[str]]:
    """Names of the meshes that the viewport shows, and of those that are rendered."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    meshes = (each.object.name for each in depsgraph.object_instances if each.object.type == "MESH")
    shown = {name for name in meshes if "Gaussians" not in name}
    rendered = set()
    for item in part("export.lights").rendered_objects(bpy.context.view_layer.layer_collection):
        if item.type == "MESH":
            rendered.add(item.name)
        if item.instance_type == "COLLECTION":
            rendered |= {o.name for o in item.instance_collection.all_objects if o.type == "MESH"}
    return shown, rendered


@pytest.fixture
def cache(tmp_path):
    """A result of the hero's two meshes."""
    rng = np.random.default_rng(3)

    def write(counts: dict[str, int]):
        meshes = {name: rng.normal(size=(8, count, 3)).astype(np.float32) for name, count in counts.items()}
        return rigs.random_cache(tmp_path / "result" / "Rig.ani3d", (3, 10), meshes=meshes)[0]

    return write


@pytest.mark.parametrize("how", HOW)
def test_the_character_stays_hidden_when_the_file_is_opened_again(addon, part, tmp_path, cache, how):
    collection = linked_hero(tmp_path)
    hat = bpy.data.objects.new("Chair", bpy.data.objects["Body"].data)  # local, and none of the character
    bpy.context.scene.collection.objects.link(hat)
    rigs.select(placed(collection, how))
    counts = {name: len(bpy.data.objects[name].data.vertices) for name in ("Body", "Skirt")}
    bpy.ops.ani3d.bind_character()
    folder = cache(counts)
    bpy.ops.ani3d.import_result(directory=str(folder))
    alone = ({"Body Ani3D", "Skirt Ani3D", "Chair"},) * 2
    file = str(tmp_path / "shot.blend")
    for _ in range(2):
        assert seen(part) == alone
        bpy.ops.wm.save_as_mainfile(filepath=file)
        bpy.ops.wm.open_mainfile(filepath=file)
    assert seen(part) == alone
    warnings = part("session").session.warnings
    assert not [text for texts in warnings.values() for text in texts if "opened again" in text]

    bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "again.npz"))  # the hidden character is still there to export
    bpy.ops.ani3d.remove_result(name="Rig")
    assert seen(part) == ({"Body", "Skirt", "Chair"},) * 2
    bpy.ops.wm.save_as_mainfile(filepath=file)
    bpy.ops.wm.open_mainfile(filepath=file)
    assert seen(part) == ({"Body", "Skirt", "Chair"},) * 2
    assert not [c for c in bpy.data.collections if c.name.startswith("Ani3D")]


@pytest.mark.parametrize("how", ["linked collection", "nested"])
def test_what_else_a_linked_collection_brings_stays_seen(addon, part, tmp_path, cache, how):
    rigs.character()
    lone = bpy.data.objects.new("Chair", bpy.data.meshes.new("Chair"))
    lone.data.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    collection = linked_hero_with(tmp_path, lone)
    rigs.select(placed(collection, how))
    counts = {name: len(bpy.data.objects[name].data.vertices) for name in ("Body", "Skirt")}
    bpy.ops.ani3d.bind_character()
    bpy.ops.ani3d.import_result(directory=str(cache(counts)))
    file = str(tmp_path / "shot.blend")
    bpy.ops.wm.save_as_mainfile(filepath=file)
    bpy.ops.wm.open_mainfile(filepath=file)
    assert seen(part) == ({"Body Ani3D", "Skirt Ani3D", "Chair"},) * 2
    bpy.ops.ani3d.show_result(name="Rig", what="ORIGINAL")
    assert seen(part) == ({"Body", "Skirt", "Chair"},) * 2
    owners = (bpy.context.scene.collection, *bpy.data.collections)
    links = sum(item.name == "Chair" for owner in owners for item in owner.objects)
    assert links == 1, "it is linked where it was, and nowhere else"


def linked_hero_with(tmp_path, item: bpy.types.Object) -> bpy.types.Collection:
    """As `linked_hero`, of the present character and one thing more."""
    collection = bpy.data.collections.new("Hero")
    bpy.context.scene.collection.children.link(collection)
    for name in ("Rig", "Body", "Skirt"):
        collection.objects.link(bpy.data.objects[name])
        bpy.context.scene.collection.objects.unlink(bpy.data.objects[name])
    collection.objects.link(item)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "hero.blend"))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
    with bpy.data.libraries.load(str(tmp_path / "hero.blend"), link=True) as (_, wanted):
        wanted.collections = ["Hero"]
    bpy.context.scene.frame_start, bpy.context.scene.frame_end = 3, 10
    rigs.camera()
    return bpy.data.collections["Hero"]
