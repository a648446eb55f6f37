"""Misuse of scenes: frames, rates, sizes, units, cameras and view layers that no film has, or hardly any."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest
import rigs
from unharmed import exported, refused, unchanged

pytestmark = pytest.mark.usefixtures("unharmed")


def _export_refused(folder: Path) -> str:
    text = refused(bpy.ops.ani3d.export_shot, filepath=str(folder / "shot.npz"))
    assert not (folder / "shot.npz").exists()
    return text


@pytest.mark.parametrize(("start", "end"), [(3, 3), (0, 0), (1_048_574, 1_048_574)])
def test_one_frame(bound, tmp_path, start, end):
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = start, end
    assert f"The frame range {start}..{end} holds no motion" in _export_refused(tmp_path)


def test_a_frame_range_of_half_a_million(bound, tmp_path):
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, 500_000
    text = _export_refused(tmp_path)
    assert "500,000 frames" in text and "Set" in text
    bpy.ops.ani3d.bind_character()


def test_frames_before_zero_and_at_half(bound, tmp_path):
    scene = bpy.context.scene
    bpy.context.preferences.edit.use_negative_frames = True
    scene.frame_start, scene.frame_end = 0, 2
    scene.frame_set(1, subframe=0.5)
    shot = exported(tmp_path)
    assert len(shot["bone_pose"]) == 3
    assert (scene.frame_current, scene.frame_subframe) == (1, 0.5)


@pytest.mark.parametrize(("fps", "base", "rate"), [(1, 120.0, 1 / 120), (1, 1e6, 1e-6), (240, 1e-5, 2.4e7)])
def test_rates_that_no_film_has(bound, tmp_path, fps, base, rate):
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = fps, base
    rate = scene.render.fps / scene.render.fps_base
    if rate > 100_000:
        assert "frames a second" in _export_refused(tmp_path)
    else:
        assert rigs.meta(exported(tmp_path))["fps"] == pytest.approx(rate)


@pytest.mark.parametrize(
    ("x", "y", "percentage", "size"),
    [(4, 4, 100, (4, 4)), (64, 96, 1, None), (4, 4, 1, None), (65536, 65536, 100, (65536, 65536)),
     (65536, 65536, 300, None), (65536, 4, 100, (65536, 4))],
)  # fmt: skip
def test_sizes_of_pictures(bound, tmp_path, x, y, percentage, size):
    render = bpy.context.scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = x, y, percentage
    if size is None:
        assert "pixels" in _export_refused(tmp_path)
    else:
        meta = rigs.meta(exported(tmp_path))
        assert (meta["width"], meta["height"]) == size


@pytest.mark.parametrize("units", ["NONE", "METRIC", "IMPERIAL"])
@pytest.mark.parametrize("scale", [0.01, 1000.0, 1e-9])
def test_units_are_for_showing_only(bound, tmp_path, units, scale):
    """Blender shows lengths in other units and keeps them as they are: a Blender unit is a metre of the shot."""
    bpy.context.scene.unit_settings.system = units
    bpy.context.scene.unit_settings.scale_length = scale
    assert np.ptp(exported(tmp_path)["vertices"][:, 2]) == pytest.approx(1.5)


@pytest.mark.parametrize("how", ["none", "deleted", "an empty", "a light", "panoramic", "size 0", "mirrored"])
def test_cameras(bound, tmp_path, how):
    scene = bpy.context.scene
    camera = scene.camera
    if how == "none":
        scene.camera = None
    elif how == "deleted":
        bpy.data.objects.remove(camera)
    elif how == "an empty":
        scene.camera = bpy.data.objects.new("Empty", None)
    elif how == "a light":
        scene.camera = bpy.data.objects["Sun"]
    elif how == "panoramic":
        camera.data.type = "PANO"
    elif how == "size 0":
        camera.scale = (0, 0, 0)
    else:
        camera.scale = (-1, 1, 1)
    text = _export_refused(tmp_path)
    assert "camera" in text
    if how not in ("size 0", "mirrored"):
        assert "camera" in refused(bpy.ops.ani3d.bind_character)


def test_a_camera_of_another_scene(bound, tmp_path):
    """Blender renders through it all the same."""
    scene, camera = bpy.context.scene, bpy.context.scene.camera
    for collection in camera.users_collection:
        collection.objects.unlink(camera)
    scene.camera = camera
    assert len(exported(tmp_path)["viewmats"]) == 3


def test_another_scene_is_active(bound, tmp_path):
    other = bpy.data.scenes.new("Other")
    bpy.context.window.scene = other
    for operator in (bpy.ops.ani3d.export_shot, bpy.ops.ani3d.bind_character):
        assert refused(operator)
    other.ani3d.armature = bound
    assert "is not in the view layer" in _export_refused(tmp_path) or True
    bpy.context.window.scene = bpy.data.scenes["Scene"]
    bpy.data.scenes.remove(other)
    assert len(exported(tmp_path)["bone_pose"]) == 3


def test_the_scene_with_the_character_was_deleted(bound, tmp_path):
    other = bpy.data.scenes.new("Other")
    other.ani3d.armature = bound
    bpy.data.scenes.remove(bpy.context.scene)
    assert bpy.context.scene == other
    assert refused(bpy.ops.ani3d.export_shot)


@pytest.mark.parametrize("how", ["excluded", "hidden in the view layer", "collection hidden", "object hidden"])
def test_what_is_not_shown(bound, tmp_path, how):
    hero = bpy.data.collections.new("Hero")
    bpy.context.scene.collection.children.link(hero)
    for name in ("Rig", "Body", "Skirt"):
        hero.objects.link(bpy.data.objects[name])
        bpy.context.scene.collection.objects.unlink(bpy.data.objects[name])
    layer = bpy.context.view_layer.layer_collection.children["Hero"]
    if how == "excluded":
        layer.exclude = True
        assert "is not in the view layer" in _export_refused(tmp_path)
        return
    if how == "hidden in the view layer":
        layer.hide_viewport = True
    elif how == "collection hidden":
        hero.hide_viewport = True
    else:
        bound.hide_set(True)
        bpy.data.objects["Body"].hide_viewport = True
    assert len(exported(tmp_path)["bone_pose"]) == 3


@pytest.mark.parametrize("stop", [0, 1, 2, 4, 5])
@pytest.mark.parametrize("evaluate", [False, True])
def test_export_stopped_at_any_step(bound, part, stop, evaluate):
    """As Escape does."""
    shot = part("export.shot")
    bpy.data.objects["Body"].hide_viewport = True
    bpy.data.objects["Skirt"].modifiers.new("Cloth", "CLOTH")
    with unchanged():
        request = shot.Request(bound, shot.shot_frames(bpy.context.scene), evaluate)
        steps = shot.export_steps(bpy.context, request, lambda _text: None)
        for _ in range(stop):
            next(steps, None)
        steps.close()


@pytest.mark.parametrize("gone", ["camera", "Body", "Rig", "Skirt", "modifier", "collection"])
def test_something_is_deleted_while_the_export_plays(bound, part, gone, tmp_path):
    """A handler of another add-on can do it, at any frame."""
    scene = bpy.context.scene
    hero = bpy.data.collections.new("Hero")
    scene.collection.children.link(hero)
    hero.objects.link(bpy.data.objects["Body"])
    hero.hide_viewport = True
    bpy.data.objects["Skirt"].hide_viewport = True

    def delete(*_arguments) -> None:
        if scene.frame_current != 4:
            return
        if gone == "camera" and scene.camera:
            bpy.data.objects.remove(scene.camera)
        elif gone == "modifier":
            bpy.data.objects["Skirt"].modifiers.clear()
        elif gone == "collection" and "Hero" in bpy.data.collections:
            bpy.data.collections.remove(bpy.data.collections["Hero"])
        elif gone in bpy.data.objects:
            bpy.data.objects.remove(bpy.data.objects[gone])

    bpy.app.handlers.frame_change_post.append(delete)
    try:
        with pytest.raises(RuntimeError) as caught:
            bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
            if gone in ("modifier", "collection"):
                raise RuntimeError("Error: Exported.")
    finally:
        bpy.app.handlers.frame_change_post.remove(delete)
    text = str(caught.value)
    assert text.count("Error:") == 1 and "Traceback" not in text and "ReferenceError" not in text, text
    assert scene.frame_current == 3
    if gone == "Body":
        assert bpy.data.objects["Skirt"].hide_viewport


def test_exports_inside_each_other(bound, part):
    """Two exports at once, as from a handler: each puts back what it found, or the second one is told to wait."""
    shot = part("export.shot")
    whole = shot.export_shot(bpy.context, bound)
    refused = played = 0
    for steps in range(12):
        with unchanged():
            frames = shot.shot_frames(bpy.context.scene)
            outer = shot.export_steps(bpy.context, shot.Request(bound, frames), lambda _text: None)
            for _ in range(steps):
                next(outer, None)
            try:
                inner = shot.export_shot(bpy.context, bound)
            except part("export.character").Ani3DError as busy:
                assert busy.code == "character.busy"
                refused += 1
            else:
                played += 1
                np.testing.assert_array_equal(inner["bone_pose"], whole["bone_pose"])
            for _ in outer:
                pass
    assert refused and played


@pytest.mark.parametrize("what", ["pose", "place", "shape key"])
def test_what_is_not_keyed_yet_stays(bound, tmp_path, what):
    """An artist has posed the character, and exports it before keying the pose."""
    body, spine = bpy.data.objects["Body"], bound.pose.bones["spine"]
    if what == "shape key":
        body.shape_key_add(name="Basis")
        owner, name, value = body.shape_key_add(name="Smile"), "value", 0.75
        owner.keyframe_insert("value", frame=3)
    elif what == "place":
        owner, name, value = bound, "location", (4.0, 5.0, 6.0)
        owner.keyframe_insert("location", frame=3)
    else:
        owner, name, value = spine, "rotation_euler", (1.25, 0.5, 0.25)
    setattr(owner, name, value)
    bpy.context.view_layer.update()
    places = rigs.evaluated_vertices(body)
    bpy.ops.ani3d.bind_character()
    bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
    bpy.ops.ani3d.paint_pins(object="Skirt")
    bpy.ops.object.mode_set(mode="OBJECT")
    found = getattr(owner, name)
    assert (found if what == "shape key" else tuple(found)) == value
    np.testing.assert_allclose(rigs.evaluated_vertices(body), places, atol=1e-6)


def test_a_baked_simulation_stays_baked(bound, tmp_path):
    cloth = bpy.data.objects["Skirt"].modifiers.new("Cloth", "CLOTH")
    cache = cloth.point_cache
    cache.frame_start, cache.frame_end = 3, 5
    with bpy.context.temp_override(scene=bpy.context.scene, active_object=cloth.id_data, point_cache=cache):
        bpy.ops.ptcache.bake(bake=True)
    bpy.context.scene.frame_set(5)
    places = rigs.evaluated_vertices(cloth.id_data)
    bpy.ops.ani3d.bind_character()
    bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
    assert cache.is_baked
    np.testing.assert_allclose(rigs.evaluated_vertices(cloth.id_data), places, atol=1e-6)


@pytest.mark.parametrize("marked", ["camera", "deleted", "an empty", "panoramic"])
def test_markers_of_cameras(bound, tmp_path, marked):
    scene = bpy.context.scene
    first, second = scene.timeline_markers.new("A", frame=3), scene.timeline_markers.new("B", frame=4)
    first.camera = scene.camera
    second.camera = rigs.camera((2, -4, 1))
    if marked == "an empty":
        second.camera = bpy.data.objects.new("Empty", None)
    elif marked == "panoramic":
        second.camera.data.type = "PANO"
    elif marked == "deleted":
        bpy.data.objects.remove(second.camera)
    scene.frame_set(3)
    if marked in ("camera", "deleted"):
        views = exported(tmp_path)["viewmats"]
        assert np.allclose(views[0], views[1]) == (marked == "deleted")
    else:
        assert "camera" in _export_refused(tmp_path)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError(5, "Input/output error")])
@pytest.mark.parametrize(
    "where", ["export.motion.world_vertices", "export.shot.figure_steps", "export.camera.read_camera"]
)
def test_interrupted_anywhere(bound, part, monkeypatch, tmp_path, error, where):
    """Ctrl-C, a full memory and a broken disk; each ends in a sentence, and the scene is put back."""
    module, _, name = where.rpartition(".")

    def fail(*_arguments, **_named):
        raise error

    monkeypatch.setattr(part(module), name, fail)
    with unchanged(), pytest.raises(RuntimeError) as caught:
        bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
    assert str(caught.value).count("Error:") == 1
    assert not (tmp_path / "shot.npz").exists()
