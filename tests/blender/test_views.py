"""Views of a character: pictures by Cycles, beside what the shot says of mesh, cameras and colours."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest
import rigs
from viewed import agreement, captured, few_small_views, shot_of

from ani3d_formats.views import Views

GOLD, RED, GLOW = (0.9, 0.6, 0.2), (0.7, 0.1, 0.05), (0.1, 0.5, 0.3)


@pytest.fixture
def character(addon) -> bpy.types.Object:
    rig = rigs.character()
    bpy.ops.ani3d.bind_character()
    few_small_views()
    return rig


def _error(operator, **options) -> str:
    with pytest.raises(RuntimeError) as caught:
        operator(**options)
    return str(caught.value)


def _colors(views: Views) -> np.ndarray:
    """(P,3) straight albedo of all pixels that the character fills."""
    full = views.radiance[..., 3] > 0.99
    return views.albedo[full][:, :3].astype(np.float32)


def _paint(name: str, **inputs) -> None:
    material = bpy.data.materials.new(f"{name} paint")
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    bpy.data.objects[name].data.materials.clear()
    bpy.data.objects[name].data.materials.append(material)
    node = material.node_tree.nodes["Principled BSDF"]
    for key, value in inputs.items():
        node.inputs[key.replace("_", " ")].default_value = value


def _state() -> dict[str, object]:
    """What a capture could leave behind in the file or the scene."""
    scene = bpy.context.scene
    kinds = ("scenes", "collections", "objects", "meshes", "cameras", "worlds", "materials", "images", "curves")
    state: dict[str, object] = {kind: [block.name for block in getattr(bpy.data, kind)] for kind in kinds}
    state["frame"] = scene.frame_current, round(scene.frame_subframe, 4)
    render = scene.render
    state["render"] = render.engine, render.film_transparent, render.filepath, render.resolution_x, scene.camera.name
    state["rest"] = [armature.pose_position for armature in bpy.data.armatures]
    for item in bpy.data.objects:
        flags = item.hide_render, item.hide_viewport, item.visible_camera, tuple(item.users_collection)
        shown = [(m.show_render, m.show_viewport, getattr(m, "render_levels", 0)) for m in item.modifiers]
        state[item.name] = flags, shown, tuple(map(tuple, item.matrix_world))
    return state


def test_vertices_are_those_of_the_shot_and_cameras_see_all_of_them(character, part, tmp_path):
    views, shot = captured(tmp_path), shot_of(part)
    assert views.count == 8
    assert (views.meta.width, views.meta.height) == (64, 96)
    np.testing.assert_allclose(views.vertices_at[0], shot["vertices"], atol=1e-6)
    frames = [rigs.skinned(shot, row) for row in range(8)]
    for posed in views.vertices_at[1:]:
        assert min(np.abs(posed - frame).max() for frame in frames) < 1e-4
    assert len(np.unique(views.vertices_at.round(4), axis=0)) == len(views.vertices_at) > 2
    assert set(views.pose_of) == set(range(len(views.vertices_at)))
    assert min(agreement(views, shot["faces"])) > 0.93
    edges = np.zeros((96, 64), bool)
    edges[[0, -1]] = edges[:, [0, -1]] = True
    assert (views.radiance[:, edges, 3].max(1) == 0).sum() == 6  # two look at the head alone


def test_cameras_stand_all_around(character, tmp_path):
    bpy.context.scene.ani3d.views = 24
    views = captured(tmp_path)
    places = -np.einsum("nji,nj->ni", views.viewmats[:, :3, :3], views.viewmats[:, :3, 3])
    middle = np.stack([views.vertices_at[pose].mean(0) for pose in views.pose_of])
    away = places - middle
    angles = np.sort(np.arctan2(away[:, 1], away[:, 0]))
    assert np.diff([*angles, angles[0] + 2 * np.pi]).max() < 1.0
    assert away[:, 2].min() < 0 < 1 < away[:, 2].max()
    distances = np.linalg.norm(away, axis=1)
    assert distances.min() < 0.6 * np.median(distances)  # some look at the head alone


def test_albedo_is_the_base_colour_of_plain_metal_and_glowing_surfaces(character, tmp_path):
    _paint("Body", Base_Color=(*GOLD, 1), Metallic=1.0, Roughness=0.4)
    _paint("Skirt", Base_Color=(*RED, 1), Roughness=0.3)
    colors = _colors(captured(tmp_path))
    for color in (GOLD, RED):
        near = np.abs(colors - color).max(1) < 0.06
        assert near.mean() > 0.15
    assert ((np.abs(colors - GOLD).max(1) < 0.1) | (np.abs(colors - RED).max(1) < 0.1)).mean() > 0.9
    black = (0, 0, 0, 1)
    for name in ("Body", "Skirt"):
        _paint(name, Base_Color=black, Emission_Color=(*GLOW, 1), Emission_Strength=1.0, Specular_IOR_Level=0.0)
    assert np.abs(np.median(_colors(captured(tmp_path)), axis=0) - GLOW).max() < 0.02


def test_other_objects_cast_shadows_and_are_not_seen(character, part, tmp_path):
    before = captured(tmp_path)
    bpy.ops.mesh.primitive_cube_add(size=1, location=(0, 0, 4))
    roof = bpy.context.object
    roof.scale = (6, 6, 0.1)
    after = captured(tmp_path)
    np.testing.assert_array_equal(before.radiance[..., 3] > 0.5, after.radiance[..., 3] > 0.5)
    light, shade = (each.radiance[..., :3].astype(np.float32).mean() for each in (before, after))
    assert shade < 0.7 * light
    np.testing.assert_allclose(_colors(after).mean(0), _colors(before).mean(0), atol=0.02)


def test_what_renders_alone_show_is_as_in_the_viewport(character, part, tmp_path):
    bloat = bpy.data.objects["Body"].modifiers.new("Bloat", "DISPLACE")
    bloat.strength, bloat.show_viewport = 0.3, False
    smooth = bpy.data.objects["Skirt"].modifiers.new("Smooth", "SUBSURF")
    smooth.levels, smooth.render_levels, smooth.show_render = 1, 3, False
    before = _state()
    views, shot = captured(tmp_path), shot_of(part)
    assert views.vertices_at.shape[1] == len(shot["vertices"]) > 500
    assert min(agreement(views, shot["faces"])) > 0.93
    assert _state() == before


def test_a_character_far_away_keeps_its_shape(character, part, tmp_path):
    character.location = (20000, -3000, 40)
    bpy.context.scene.camera.location.x += 20000
    bpy.context.scene.camera.location.y -= 3000
    views, shot = captured(tmp_path), shot_of(part)
    assert list(views.meta.origin) == rigs.meta(shot)["origin"] != [0, 0, 0]
    np.testing.assert_allclose(views.vertices_at[0], shot["vertices"], atol=1e-3)
    assert min(agreement(views, shot["faces"])) > 0.9


def test_nothing_changes_whether_it_ends_well_is_stopped_or_fails(character, part, tmp_path, monkeypatch):
    rigs.tube("Cape", character, 0.3, 0.5, 1.0)
    bpy.data.objects["Cape"].hide_render = True
    bpy.data.objects["Skirt"].hide_viewport = True
    scene = bpy.context.scene
    scene.frame_set(5, subframe=0.25)
    before = _state()
    captured(tmp_path)
    assert _state() == before
    capture = part("views.capture")
    steps = capture.capture_steps(bpy.context, capture.Wanted(character, range(3, 11), 8, 96, 1), print)
    while len(bpy.data.scenes) < 2:  # ends in StopIteration where none is ever made
        next(steps)
    steps.close()
    assert _state() == before

    def broken(*_arguments):
        raise ValueError("cut")

    monkeypatch.setattr(part("views.stage"), "read_channels", broken)
    assert "could not render a view: cut" in _error(bpy.ops.ani3d.capture_views, filepath=str(tmp_path / "x.npz"))
    assert _state() == before
    assert [file.name for file in tmp_path.iterdir()] == ["Rig.views.npz"]
    assert not list(Path(bpy.app.tempdir).glob("*.exr"))


def test_what_cannot_be_seen_is_refused(character, tmp_path):
    for name in ("Body", "Skirt"):
        _paint(name, Alpha=0.0)
    text = _error(bpy.ops.ani3d.capture_views, filepath=str(tmp_path / "a.views.npz"))
    assert "The character is not seen in Blender's renders" in text
    assert not list(tmp_path.iterdir())


def test_more_than_the_engine_takes_is_refused(character, tmp_path):
    settings = bpy.context.scene.ani3d
    settings.views, settings.views_size = 128, 2048
    text = _error(bpy.ops.ani3d.capture_views, filepath=str(tmp_path / "a.views.npz"))
    assert "128 views of 2048 pixels need 2.7 GiB; at most 2 are taken" in text
    settings.views, settings.views_size = 8, 96
    assert f"'{tmp_path}' is a folder" in _error(bpy.ops.ani3d.capture_views, filepath=str(tmp_path))


def test_a_dark_scene_is_told(character, part, session, tmp_path):
    bpy.data.objects.remove(bpy.data.objects["Sun"])
    bpy.context.scene.world = None
    captured(tmp_path)
    assert session.warnings["Capture Views"] == ["The views are black: nothing lights the character in Cycles."]


def test_without_cycles_it_says_what_to_switch_on(character, tmp_path):
    bpy.ops.preferences.addon_disable(module="cycles")
    try:
        text = _error(bpy.ops.ani3d.capture_views, filepath=str(tmp_path / "a.views.npz"))
    finally:
        bpy.ops.preferences.addon_enable(module="cycles")
    assert "Cycles, which renders the views, is switched off" in text


def test_an_exr_file_that_is_cut_is_refused(character, part, tmp_path):
    compat, read = part("compat"), part("views.exr").read_channels
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    compat.write_layers(scene.render.image_settings)
    scene.render.filepath = str(tmp_path / "a.exr")
    bpy.ops.render.render(write_still=True)
    path = next(tmp_path.iterdir())
    channels = read(path)
    assert {value.shape for value in channels.values()} == {(96, 64)}
    whole = path.read_bytes()
    for cut in (whole[:3], whole[:200], whole[: len(whole) // 2], b"x" + whole[1:]):
        path.write_bytes(cut)
        with pytest.raises(ValueError, match="EXR"):
            read(path)


def test_lamps_and_mist_are_not_in_the_pictures(character, part, tmp_path):
    before = captured(tmp_path)
    for kind, place in (("AREA", (0.6, -0.5, 0.8)), ("POINT", (-0.6, 0.5, 0.8))):
        lamp = bpy.data.objects.new(kind, bpy.data.lights.new(kind, kind))
        bpy.context.scene.collection.objects.link(lamp)
        lamp.location, lamp.data.energy, lamp.visible_camera = place, 100, True
        if kind == "AREA":
            lamp.data.size, lamp.rotation_euler = 1.0, (0.5, 0.5, 0)
        else:
            lamp.data.shadow_soft_size = 0.3
    world = bpy.context.scene.world
    tree = part("compat").node_tree(world)
    mist = tree.nodes.new("ShaderNodeVolumeScatter")
    output = next(node for node in tree.nodes if node.type == "OUTPUT_WORLD")
    tree.links.new(mist.outputs[0], output.inputs["Volume"])
    bpy.context.view_layer.update()
    state = _state()
    after = captured(tmp_path)
    np.testing.assert_allclose(after.radiance[..., 3], before.radiance[..., 3], atol=0.3)
    assert after.radiance[..., :3].astype(float).mean() > 1.2 * before.radiance[..., :3].astype(float).mean()
    assert _state() == state
    assert output.inputs["Volume"].is_linked
