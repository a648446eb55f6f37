"""Mesh copies of a result: any object that was exported, with the faces, UVs and materials that it is shown with."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest
import rigs

FRAMES = (1, 2)


def _evaluated_count(item: bpy.types.Object) -> int:
    mesh = item.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
    return len(mesh.vertices)


def _import(tmp_path: Path, counts: dict[str, int]) -> dict[str, np.ndarray]:
    """Import a result with made-up places for `counts` vertices of each object; the places (T,V,3) by name."""
    rng = np.random.default_rng(0)
    places = {name: rng.normal(size=(2, count, 3)).astype(np.float32) for name, count in counts.items()}
    folder, _ = rigs.random_cache(tmp_path / "Rig.ani3d", FRAMES, meshes=places)
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.context.scene.frame_set(2)
    return places


def _copy_of(name: str) -> bpy.types.Object:
    return next(o for o in bpy.data.objects if o.ani3d.kind == "MESH" and o.ani3d.source.name == name)


def _material(name: str) -> bpy.types.Material:
    return bpy.data.materials.new(name)


@pytest.fixture
def skirt(addon) -> bpy.types.Object:
    """A rigged skirt in an odd pose."""
    rigs.character(frames=3)
    return bpy.data.objects["Skirt"]


def _subdivided(item):
    item.modifiers.new("Subdivision", "SUBSURF").levels = 1


def _subdivided_before_the_armature(item):
    item.modifiers.new("Subdivision", "SUBSURF").levels = 1
    item.modifiers.move(1, 0)


def _mirrored_and_thick(item):
    item.modifiers.new("Mirror", "MIRROR").merge_threshold = 1e-6
    item.modifiers.new("Solidify", "SOLIDIFY").thickness = 0.02


def _plain(_item):
    pass


@pytest.mark.parametrize("change", [_plain, _subdivided, _subdivided_before_the_armature, _mirrored_and_thick])
@pytest.mark.parametrize("hidden", [False, True])
def test_copies_have_the_vertices_that_are_shown(skirt, tmp_path, change, hidden):
    skirt.data.materials.append(_material("Cloth"))
    change(skirt)
    shown = skirt.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
    polygons = [tuple(polygon.vertices) for polygon in shown.polygons]
    places = _import(tmp_path, {"Skirt": len(shown.vertices)})
    if hidden:  # as it is when a second result is imported
        bpy.ops.ani3d.import_result(directory=str(tmp_path / "Rig.ani3d"))
    copy = _copy_of("Skirt")
    np.testing.assert_allclose(rigs.evaluated_vertices(copy), places["Skirt"][1], atol=1e-6)
    assert [tuple(polygon.vertices) for polygon in copy.data.polygons] == polygons
    assert copy.data.uv_layers[0].name == "UVMap"
    assert [slot.material.name for slot in copy.material_slots] == ["Cloth"]
    assert skirt.hide_viewport and skirt.modifiers[0].type in ("ARMATURE", "SUBSURF")
    assert not [o for o in bpy.data.objects if o.name.startswith("Skirt.")]  # nothing is left of how it was read


def test_a_caches_own_vertices_are_taken_where_modifiers_make_others(skirt, tmp_path):
    """As in results of shots whose modifiers were left out."""
    own = len(skirt.data.vertices)
    skirt.shape_key_add(name="Basis")
    skirt.shape_key_add(name="Wide").value = 1.0
    _subdivided(skirt)
    places = _import(tmp_path, {"Skirt": own})
    copy = _copy_of("Skirt")
    assert copy.data.shape_keys is None
    copy.modifiers["Subdivision"].show_viewport = False  # which comes after the cache
    np.testing.assert_allclose(rigs.evaluated_vertices(copy), places["Skirt"][1], atol=1e-6)


def test_materials_of_the_object_win_over_those_of_its_mesh(skirt, tmp_path):
    skirt.data.materials.append(_material("Of the mesh"))
    skirt.material_slots[0].link, skirt.material_slots[0].material = "OBJECT", _material("Of the object")
    _import(tmp_path, {"Skirt": len(skirt.data.vertices)})
    assert _copy_of("Skirt").material_slots[0].material.name == "Of the object"


def test_curves_text_and_metaballs_get_copies_too(skirt, tmp_path):
    scene, counts = bpy.context.scene, {}
    curve = bpy.data.curves.new("Belt", "CURVE")
    curve.dimensions, curve.bevel_depth = "3D", 0.1
    curve.splines.new("POLY").points.add(3)
    for number, point in enumerate(curve.splines[0].points):
        point.co = (number, 0, 0, 1)
    text = bpy.data.curves.new("Badge", "FONT")
    text.body, text.extrude = "Hi", 0.1
    ball = bpy.data.metaballs.new("Ball")
    ball.elements.new()
    for name, data in (("Belt", curve), ("Badge", text), ("Ball", ball)):
        item = bpy.data.objects.new(name, data)
        scene.collection.objects.link(item)
        item.parent = bpy.data.objects["Rig"]
        data.materials.append(_material(name))
        bpy.context.view_layer.update()
        counts[name] = _evaluated_count(item)
    places = _import(tmp_path, counts)
    for name in counts:
        copy = _copy_of(name)
        np.testing.assert_allclose(rigs.evaluated_vertices(copy), places[name][1], atol=1e-6)
        assert copy.material_slots[0].material.name == name
        assert bpy.data.objects[name].hide_render
    bpy.ops.ani3d.remove_result(name="Rig")
    assert not any(bpy.data.objects[name].hide_render for name in counts)


@pytest.mark.parametrize("how", ["linked", "instanced"])
def test_copies_of_linked_characters_are_local(addon, tmp_path, how):
    rigs.character(frames=3)
    collection = bpy.data.collections.new("Person")
    bpy.context.scene.collection.children.link(collection)
    for item in (bpy.data.objects["Rig"], bpy.data.objects["Skirt"], bpy.data.objects["Body"]):
        collection.objects.link(item)
        bpy.context.scene.collection.objects.unlink(item)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "person.blend"))
    count = len(bpy.data.objects["Skirt"].data.vertices)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.preferences.addon_enable(module=addon.__name__)
    with bpy.data.libraries.load(str(tmp_path / "person.blend"), link=True) as (_, wanted):
        wanted.collections = ["Person"]
    empty = None
    if how == "linked":
        bpy.context.scene.collection.children.link(wanted.collections[0])
    else:
        empty = bpy.data.objects.new("Person", None)
        empty.instance_type, empty.instance_collection = "COLLECTION", wanted.collections[0]
        bpy.context.scene.collection.objects.link(empty)
    places = _import(tmp_path, {"Skirt": count})
    copy = _copy_of("Skirt")
    assert copy.library is None and copy.data.library is None
    np.testing.assert_allclose(rigs.evaluated_vertices(copy), places["Skirt"][1], atol=1e-6)
    assert not bpy.data.objects["Skirt"].visible_get() and (empty is None or empty.hide_render)
    bpy.ops.ani3d.remove_result(name="Rig")
    assert bpy.data.objects["Skirt"].visible_get() if empty is None else not empty.hide_render


def test_places_are_relative_to_the_caches_origin(skirt, tmp_path):
    rng = np.random.default_rng(0)
    places = rng.normal(size=(2, len(skirt.data.vertices), 3)).astype(np.float32)
    folder, _ = rigs.random_cache(tmp_path / "Rig.ani3d", FRAMES, meshes={"Skirt": places})
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"fps"', '"origin": [5000.0, -200.0, 7.0], "fps"'))
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.context.scene.frame_set(2)
    np.testing.assert_allclose(rigs.evaluated_vertices(_copy_of("Skirt")), places[1] + [5000.0, -200.0, 7.0], atol=1e-3)
    gaussians = next(o for o in bpy.data.objects if o.ani3d.kind == "GAUSSIANS")
    assert tuple(gaussians.matrix_world.translation) == (5000.0, -200.0, 7.0)


def test_what_has_no_counterpart_is_named(skirt, part, tmp_path):
    warnings: list[str] = []
    meshes = {name: np.zeros((2, count, 3), np.float32) for name, count in (("Skirt", 5), ("Coat", 4))}
    folder, _ = rigs.random_cache(tmp_path / "Rig.ani3d", FRAMES, meshes=meshes)
    part("import_result").import_result(bpy.context, folder, on_warning=warnings.append)
    assert "'Coat' is not in this file" in warnings[0] and "'Skirt' has" in warnings[1]
    assert not skirt.hide_viewport


def test_objects_told_by_their_instancers_are_found_and_hair_is_hidden_without_a_copy(skirt, part, tmp_path):
    hair = bpy.data.objects.new("Hair", bpy.data.hair_curves.new("Hair"))
    bpy.context.scene.collection.objects.link(hair)
    warnings: list[str] = []
    body = bpy.data.objects["Body"]
    bpy.context.view_layer.objects.active = body
    bpy.ops.object.particle_system_add()
    thread = bpy.data.objects.new("Lashes", bpy.data.curves.new("Lashes", "CURVE"))
    bpy.context.scene.collection.objects.link(thread)
    counts = {"Crowd_Skirt": len(skirt.data.vertices), "Hair": 8, "Body hair 2": 40, "Lashes": 8}
    meshes = {name: np.zeros((2, count, 3), np.float32) for name, count in counts.items()}
    folder, _ = rigs.random_cache(tmp_path / "Rig.ani3d", FRAMES, meshes=meshes)
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"object": "Crowd_Skirt"', '"object": "Crowd/Skirt"'))
    part("import_result").import_result(bpy.context, folder, on_warning=warnings.append)
    assert not [warning for warning in warnings if "cache" in warning]
    assert len(_copy_of("Skirt").data.vertices) and not len(_copy_of("Hair").data.vertices)
    assert not len(_copy_of("Body").data.vertices) and not len(_copy_of("Lashes").data.vertices)
    assert hair.hide_render and skirt.hide_render and body.hide_render and thread.hide_render
    bpy.ops.ani3d.remove_result(name="Rig")
    assert not any(item.hide_render for item in (hair, skirt, body, thread))


def test_an_instanced_character_is_exported_alike_when_its_result_hides_it(addon, part):
    rig, scene = rigs.character(frames=3), bpy.context.scene
    collection = bpy.data.collections.new("Person")
    for item in (rig, bpy.data.objects["Skirt"], bpy.data.objects["Body"]):
        collection.objects.link(item)
        scene.collection.objects.unlink(item)
    empty = bpy.data.objects.new("Person", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", collection
    scene.collection.objects.link(empty)
    for frame, x in ((3, 0.0), (5, 2.0)):
        empty.location.x = x
        empty.keyframe_insert("location", frame=frame)
    seen = part("export").export_shot(bpy.context, rig)
    empty.hide_viewport = empty.hide_render = True
    scene.frame_set(3)
    hidden = part("export").export_shot(bpy.context, rig)
    assert np.ptp(seen["bone_pose"][:, 0, 0, 3]) > 1.5
    np.testing.assert_allclose(hidden["bone_pose"], seen["bone_pose"], atol=1e-6)
    assert empty.hide_viewport


def test_particle_hair_goes_on_growing_on_the_copy(skirt, tmp_path):
    skirt.modifiers.new("Fur", "PARTICLE_SYSTEM")
    settings = skirt.particle_systems[0].settings
    settings.type, settings.count, settings.hair_length = "HAIR", 40, 0.1
    places = _import(tmp_path, {"Skirt": len(skirt.data.vertices)})
    bpy.ops.ani3d.show_result(name="Rig", what="MESH")
    copy = _copy_of("Skirt")
    graph = bpy.context.evaluated_depsgraph_get()
    shown = copy.evaluated_get(graph)
    strands = [[tuple(key.co) for key in particle.hair_keys] for particle in shown.particle_systems[0].particles]
    roots = np.array([strand[0] for strand in strands])
    assert len(strands) == 40 and [m.type for m in copy.modifiers] == ["MESH_CACHE", "PARTICLE_SYSTEM"]
    low, high = places["Skirt"][1].min(0), places["Skirt"][1].max(0)  # where the cache has it, not where the rig has it
    assert (roots >= low - 0.01).all() and (roots <= high + 0.01).all()
    assert [system.settings for system in copy.particle_systems] == [settings]
    bpy.ops.ani3d.show_result(name="Rig", what="BOTH")
    assert not copy.modifiers["Fur"].show_render
    bpy.ops.ani3d.remove_result(name="Rig")
    assert skirt.modifiers["Fur"].show_render and not skirt.hide_render


def test_what_makes_vertices_after_the_cache_is_kept(skirt, tmp_path):
    """Of a shot whose modifiers were left out: the copy is as smooth and thick as the original."""
    own = len(skirt.data.vertices)
    _subdivided(skirt)
    skirt.modifiers.new("Thick", "SOLIDIFY").thickness = 0.01
    shown = _evaluated_count(skirt)
    _import(tmp_path, {"Skirt": own})
    copy = _copy_of("Skirt")
    assert [m.type for m in copy.modifiers] == ["MESH_CACHE", "SUBSURF", "SOLIDIFY"] and _evaluated_count(copy) == shown
