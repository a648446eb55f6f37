"""What of the scene acts on cloth reaches the shot: colliders, gravity, force fields, wishes; and nothing is broken."""

from __future__ import annotations

import math

import bpy
import numpy as np
import pytest
import rigs

from ani3d_formats.frames import CacheWriter
from ani3d_formats.shot import Shot
from ani3d_formats.shot_scene import FORCE_VALUES, PULLS


def box(name: str = "Box", place=(0.0, 0.0, 0.2)) -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add(size=0.4, location=place)
    item = bpy.context.object
    item.name = name
    return item


def colliding(name: str = "Box", **settings) -> bpy.types.Object:
    item = box(name)
    item.modifiers.new("Collision", "COLLISION")
    for key, value in settings.items():
        setattr(item.collision, key, value)
    return item


def wind(kind: str = "WIND", **settings) -> bpy.types.Object:
    item = bpy.data.objects.new("Wind", None)
    bpy.context.scene.collection.objects.link(item)
    rigs.select(item)
    bpy.ops.object.forcefield_toggle()
    item.field.type = kind
    for key, value in settings.items():
        setattr(item.field, key, value)
    return item


@pytest.fixture
def rig(addon):
    return rigs.character()


def exported(part, rig):
    """The shot, checked as the engine checks it, and what was warned of."""
    said: list[str] = []
    arrays = part("export").export_shot(bpy.context, rig, on_warning=said.append)
    return Shot.from_arrays(arrays), said


def places(shot: Shot, frame: int) -> np.ndarray:
    """World places of the first collider's vertices."""
    poses = shot["collider_poses"].reshape(-1, *shot["collider_poses"].shape[-3:])
    pose = poses[min(frame, len(poses) - 1), 0]
    return shot["collider_vertices"] @ pose[:3, :3].T + pose[:3, 3] + shot.meta.origin


def test_a_scene_without_any_of_it_adds_nothing(part, rig):
    box()
    shot, _ = exported(part, rig)
    assert shot.meta.colliders == () and "gravity" not in shot.arrays and "cloth_pulls" not in shot.arrays


@pytest.mark.parametrize("marked", ["modifier", "panel"])
def test_a_marked_object_collides_as_it_moves(part, rig, marked):
    item = colliding() if marked == "modifier" else box()
    item.ani3d.collides = marked == "panel"
    item.scale = 2, 1, 1
    item.keyframe_insert("location", frame=3)
    item.location.x = 1
    item.keyframe_insert("location", frame=10)
    shot, said = exported(part, rig)
    assert [c.name for c in shot.meta.colliders] == ["Box"] and said == []
    assert shot["collider_poses"].shape == (8, 1, 4, 4) and len(shot["collider_faces"]) == 12
    bpy.context.scene.frame_set(10)
    expected = np.array([item.matrix_world @ v.co for v in item.data.vertices])
    np.testing.assert_allclose(places(shot, 7), expected, atol=1e-5)


def test_settings_of_the_collision_modifier_count_once_somebody_has_changed_them(part, rig):
    item = colliding()
    first, _ = exported(part, rig)
    assert (first.meta.colliders[0].thickness, first.meta.colliders[0].friction) == (0, -1)
    item.collision.thickness_outer, item.collision.cloth_friction = 0.05, 8.0
    second, _ = exported(part, rig)
    assert second.meta.colliders[0].thickness == pytest.approx(0.05)
    assert second.meta.colliders[0].friction == pytest.approx(0.8)
    item.collision.use = False
    assert exported(part, rig)[0].meta.colliders == ()


def test_a_shape_that_changes_is_recorded(part, rig):
    item = colliding()
    item.shape_key_add(name="Basis")
    key = item.shape_key_add(name="High")
    key.data[0].co.z += 1
    key.value = 0
    key.keyframe_insert("value", frame=5)
    key.value = 1
    key.keyframe_insert("value", frame=9)
    shot, _ = exported(part, rig)
    assert shot.meta.colliders[0].recorded
    rise = shot["collider_recorded"][:, 0, 2] - shot["collider_recorded"][0, 0, 2]
    np.testing.assert_allclose(rise[[0, 2, 6, 7]], [0, 0, 1, 1], atol=1e-5)


def test_the_character_itself_is_no_collider_and_a_hidden_object_is_none(part, rig):
    bpy.data.objects["Body"].modifiers.new("Collision", "COLLISION")
    colliding().hide_set(True)
    assert exported(part, rig)[0].meta.colliders == ()


@pytest.mark.parametrize("wrong", ["no faces", "not finite", "other vertices"])
def test_a_collider_that_is_broken_is_told_of(part, rig, wrong):
    item = colliding()
    if wrong == "no faces":
        item.data.clear_geometry()
        item.data.from_pydata([(0, 0, 0)], [], [])
    elif wrong == "not finite":
        item.data.vertices[0].co.x = math.nan
    else:
        array = item.modifiers.new("Array", "ARRAY")
        array.count = 1
        array.keyframe_insert("count", frame=4)
        array.count = 3
        array.keyframe_insert("count", frame=5)
    shot, said = exported(part, rig)
    assert len(said) == 1 and "'Box'" in said[0]
    assert len(shot.meta.colliders) == (1 if wrong == "other vertices" else 0)


def test_a_collider_that_is_deleted_meanwhile_is_told_of(part, rig):
    item = colliding()
    export = part("export.shot")
    said: list[str] = []
    steps = export.export_steps(bpy.context, export.Request(rig, range(3, 11)), said.append)
    shot = None
    for _ in range(100):
        try:
            done, _, _ = next(steps)
        except StopIteration as end:
            shot = Shot.from_arrays(end.value)
            break
        if done == 3 and item is not None:
            bpy.data.objects.remove(item)
            item = None
    assert shot is not None and shot.meta.colliders == ()
    assert said == ["Collider 'Box' was deleted while the scene was read, so cloth does not notice it."]


def test_gravity_is_the_scenes(part, rig):
    scene = bpy.context.scene
    scene.gravity = 0, 3, -5
    np.testing.assert_allclose(exported(part, rig)[0]["gravity"], [0, 3, -5])
    scene.use_gravity = False
    np.testing.assert_allclose(exported(part, rig)[0]["gravity"], 0)


def test_a_field_is_sampled_frame_by_frame(part, rig):
    item = wind(strength=3, falloff_power=1.5, use_max_distance=True, distance_max=4, wind_factor=0.5, flow=0.7)
    item.field.keyframe_insert("strength", frame=3)
    item.field.strength = 10
    item.field.keyframe_insert("strength", frame=10)
    item.rotation_euler.x = math.pi / 2
    shot, said = exported(part, rig)
    assert said == [] and shot.meta.forces[0].kind == "wind"
    values = shot["force_values"][:, 0]
    column = {name: values[:, number] for number, name in enumerate(FORCE_VALUES)}
    assert (column["strength"][0], column["strength"][7]) == (3, 10) and (np.diff(column["strength"]) > 0).all()
    assert (column["power"] == 1.5).all() and (column["most"] == 4).all() and (column["least"] == -1).all()
    assert np.allclose(column["surface"], 0.5) and np.allclose(column["flow"], 0.7)
    np.testing.assert_allclose(shot["force_poses"][0, :3, 2], [0, -1, 0], atol=1e-6)


def test_drag_has_its_own_numbers(part, rig):
    wind("DRAG", linear_drag=0.4, quadratic_drag=0.3)
    values = dict(zip(FORCE_VALUES, exported(part, rig)[0]["force_values"][0].tolist(), strict=True))
    assert values["linear_drag"] == pytest.approx(0.4) and values["quadratic_drag"] == pytest.approx(0.3)
    assert values["strength"] == 0


@pytest.mark.parametrize(
    ("kind", "settings", "word"),
    [
        ("MAGNET", {}, "does not act"),
        ("WIND", {"strength": 0.0}, "no strength"),
        ("WIND", {"strength": 900.0}, "storm"),
    ],
)
def test_a_field_that_will_surprise_is_told_of(part, rig, kind, settings, word):
    wind(kind, **settings)
    said = exported(part, rig)[1]
    assert len(said) == 1 and word in said[0] and "'Wind'" in said[0]


def test_wishes_for_an_object(part, rig):
    skirt = bpy.data.objects["Skirt"]
    own = skirt.ani3d
    own.fabric, own.layer, own.thickness, own.density = "wool", 2, 0.004, 0.3
    own.strength = 0
    own.keyframe_insert("strength", frame=4)
    own.strength = 1
    own.keyframe_insert("strength", frame=8)
    skirt.vertex_groups.new(name="ani3d_stay").add([0, 1], 0.5, "REPLACE")
    shot, _ = exported(part, rig)
    item = next(item for item in shot.meta.objects if item.name == "Skirt")
    assert (item.fabric, item.layer) == ("wool", 2) and item.thickness == pytest.approx(0.004)
    assert item.fabric_changes == {"density": pytest.approx(0.3)}
    number = shot.meta.objects.index(item)
    strength = shot["cloth_strength"][:, number]
    assert (strength[:2] == 0).all() and (strength[5:] == 1).all() and 0 < strength[3] < 1
    stay = shot["stay_weights"]
    np.testing.assert_allclose(stay[item.rows][:3], [0.5, 0.5, 0])
    assert stay[: item.rows.start].max(initial=0) == 0


def test_a_cloth_modifiers_collisions_and_weights_are_read(part, rig):
    skirt = bpy.data.objects["Skirt"]
    modifier = skirt.modifiers.new("Cloth", "CLOTH")
    modifier.collision_settings.distance_min, modifier.collision_settings.friction = 0.003, 20
    modifier.settings.effector_weights.gravity = 0.25
    modifier.settings.effector_weights.wind = 0
    shot, _ = exported(part, rig)
    item = next(item for item in shot.meta.objects if item.name == "Skirt")
    assert item.thickness == pytest.approx(0.003) and item.fabric_changes["friction"] == pytest.approx(0.4)
    pulls = dict(zip(PULLS, shot["cloth_pulls"][shot.meta.objects.index(item)].tolist(), strict=True))
    assert pulls["gravity"] == 0.25 and pulls["wind"] == 0 and 0 < pulls["force"] < 1 and pulls["all"] == 1


def test_blenders_cloth_feels_a_field_as_the_engine_says(addon):
    """Beside gravity, strength 1 presses with 20 pascals over the frame rate; free cloth, fine steps, no damping."""
    scene = bpy.context.scene
    scene.render.fps = 24
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=10, y_subdivisions=10, size=1)
    item = bpy.context.object
    modifier = item.modifiers.new("Cloth", "CLOTH")
    modifier.settings.air_damping, modifier.settings.quality = 0, 20
    mass = modifier.settings.mass * len(item.data.vertices)
    field = wind(strength=0.0, wind_factor=1.0).field

    def fallen() -> float:
        for frame in range(1, 11):
            scene.frame_set(frame)
        return float(rigs.evaluated_vertices(item)[:, 2].mean())

    by_gravity = fallen()
    scene.use_gravity, field.strength = False, 50.0
    modifier.point_cache.frame_start = 1
    by_wind = fallen()
    assert by_gravity < 0 < by_wind
    pressure = by_wind / -by_gravity * 9.81 * mass / 50
    assert pressure == pytest.approx(20 / 24, rel=0.05)


def test_the_panel_lists_what_acts_on_cloth_and_its_choices_reach_the_job(part, rig):
    bpy.ops.ani3d.bind_character()
    colliding("Chair")
    wind()
    bpy.context.scene.use_gravity = False
    told = [text for text, _ in part("cloth_panel").met_by(bpy.context)]
    assert told == ["Collides with Chair", "Moved by Wind", "The scene has no gravity, so cloth floats"]
    settings = bpy.context.scene.ani3d
    settings.preset, settings.floor, settings.way_in, settings.loop = "cloth", False, "settled", True
    chosen = part("operators.job").chosen_settings(settings)
    assert {name: chosen[name] for name in ("preset", "floor", "way_in", "loop")} == {
        "preset": "cloth", "floor": False, "way_in": "settled", "loop": True,
    }  # fmt: skip


def test_a_result_of_meshes_alone_plays_without_gaussians(part, rig, tmp_path):
    rigs.select(rig)
    bpy.ops.ani3d.bind_character()
    skirt = bpy.data.objects["Skirt"]
    count = len(skirt.data.vertices)
    frames = np.random.default_rng(1).normal(size=(8, count, 3)).astype(np.float32)
    folder = tmp_path / "Rig.ani3d"
    with CacheWriter(folder, count=0, frame_start=3, frame_end=10, fps=24.0) as writer:
        for frame in frames:
            writer.frame({}, {"Skirt": frame})
    part("import_result").import_result(bpy.context, folder)
    kinds = [item.ani3d.kind for item in bpy.data.objects if item.ani3d.kind != "NONE"]
    assert kinds == ["MESH"] and skirt.hide_viewport
    copy = next(item for item in bpy.data.objects if item.ani3d.kind == "MESH")
    for frame in (3, 7, 10):
        bpy.context.scene.frame_set(frame)
        np.testing.assert_allclose(rigs.evaluated_vertices(copy), frames[frame - 3], atol=1e-5)


def test_a_result_of_meshes_that_this_file_does_not_have_is_refused(part, rig, tmp_path):
    folder = tmp_path / "Other.ani3d"
    with CacheWriter(folder, count=0, frame_start=1, frame_end=2, fps=24.0) as writer:
        for _ in range(2):
            writer.frame({}, {"Cape": np.zeros((4, 3), np.float32)})
    with pytest.raises(Exception, match=r"None of the meshes in 'Other\.ani3d'"):
        part("import_result").import_result(bpy.context, folder)
    assert not [item for item in bpy.data.objects if item.ani3d.kind != "NONE"]
