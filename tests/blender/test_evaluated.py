"""The evaluated mesh in a shot: what Blender shows of shape keys, lattices and cloth, vertex by vertex."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs
from mathutils import Vector
from mathutils.bvhtree import BVHTree
from test_round_trip import engine  # noqa: F401

FRAMES = 8


def _lattice(item: bpy.types.Object) -> bpy.types.Object:
    """A lattice around `item` whose upper points move apart over the shot."""
    lattice = bpy.data.objects.new("Cage", bpy.data.lattices.new("Cage"))
    bpy.context.scene.collection.objects.link(lattice)
    lattice.scale, lattice.location = (1, 1, 2), (0, 0, 0.75)
    lattice.data.points_u = lattice.data.points_v = lattice.data.points_w = 2
    key = lattice.shape_key_add(name="Basis")
    wide = lattice.shape_key_add(name="Wide")
    for point, rest in zip(wide.data, key.data, strict=True):
        point.co = rest.co * (1.3 if rest.co.z > 0 else 1.0)
    for frame, value in ((3, 0.0), (10, 1.0)):
        wide.value = value
        wide.keyframe_insert("value", frame=frame)
    item.modifiers.new("Cage", "LATTICE").object = lattice
    return lattice


def lively_character() -> bpy.types.Object:
    """The small character; its body has a shape key that a driver moves and a lattice, its skirt Blender's cloth."""
    rig = rigs.character(FRAMES)
    body, skirt = bpy.data.objects["Body"], bpy.data.objects["Skirt"]
    body.shape_key_add(name="Basis")
    bulge = body.shape_key_add(name="Bulge")
    for point in bulge.data:
        point.co.x *= 1.0 + 0.4 * np.exp(-(((point.co.z - 0.9) / 0.2) ** 2))
    driver = bulge.driver_add("value").driver
    driver.type, driver.expression = "SCRIPTED", "(frame - 3) / 7"
    _lattice(body)
    upper = [v.index for v in skirt.data.vertices if v.co.z > 0.55]
    skirt.vertex_groups.new(name="ani3d_pin").add(upper, 1.0, "REPLACE")
    cloth = skirt.modifiers.new("Silk", "CLOTH")
    cloth.settings.vertex_group_mass = "ani3d_pin"
    cloth.point_cache.frame_start, cloth.point_cache.frame_end = 1, 10  # it begins before the shot
    bpy.ops.ani3d.bind_character()
    bpy.context.scene.ani3d.coarse = "evaluated"
    return rig


def shown_by_blender(first: int = 1) -> np.ndarray:
    """(T,V,3) world vertices of body and skirt, played from `first` as a user would."""
    rows = []
    for frame in range(first, 3 + FRAMES):
        bpy.context.scene.frame_set(frame)
        rows.append(np.concatenate([rigs.evaluated_vertices(bpy.data.objects[name]) for name in ("Body", "Skirt")]))
    return np.stack(rows[3 - first :])


def barycentric_places(points: np.ndarray, mesh: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The triangle (N,) nearest to each of `points` (N,3), and the point's barycentrics (N,3) in it."""
    tree = BVHTree.FromPolygons([Vector(v) for v in mesh.astype(float)], faces.tolist())
    triangles = np.array([tree.find_nearest(Vector(p))[2] for p in points.astype(float)])
    corners = mesh[faces[triangles]].astype(np.float64)
    sides = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=2)
    inner = np.linalg.pinv(sides) @ (points - corners[:, 0])[:, :, None]
    return triangles, np.concatenate([1 - inner[:, :1, 0] - inner[:, 1:, 0], inner[:, :, 0]], axis=1)


def test_shape_key_lattice_and_cloth_are_what_blender_shows(addon, part, tmp_path):
    lively_character()
    expected = shown_by_blender()
    bpy.context.scene.frame_set(6, subframe=0.25)
    path = tmp_path / "shot.npz"
    bpy.ops.ani3d.export_shot(filepath=str(path))
    assert (bpy.context.scene.frame_current, bpy.context.scene.frame_subframe) == (6, 0.25)
    shot = dict(np.load(path))
    found = shot["evaluated_vertices"]
    assert found.shape == (FRAMES, 216, 3) and found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-5
    away = np.linalg.norm(found - np.stack([rigs.skinned(shot, t) for t in range(FRAMES)]), axis=2)
    assert away[-1, :108].max() > 0.03, "shape key and lattice must move the body, or this says nothing"
    assert away[-1, 108:][shot["pin_weights"][108:] == 0].mean() > 0.01, "and the cloth must leave the skeleton"


def test_cloth_that_was_never_played_is_simulated_from_its_first_frame(addon, part):
    rig = lively_character()
    seen = []
    shot = part("export").export_shot(
        bpy.context, rig, evaluate=True, on_progress=lambda *moment: seen.append(moment[:2])
    )
    assert seen == [(done, 10) for done in range(1, 11)]  # the cloth begins at frame 1, the shot at 3
    assert np.abs(shot["evaluated_vertices"] - shown_by_blender()).max() < 1e-5


def test_mirrored_and_scaled_objects(addon, part):
    rig = lively_character()
    body = bpy.data.objects["Body"]
    body.scale, body.location = (-1.2, 0.9, 1.0), (0.02, 0.01, 0.0)
    shot = part("export").export_shot(bpy.context, rig, evaluate=True)
    assert np.abs(shot["evaluated_vertices"] - shown_by_blender()).max() < 1e-5


def test_without_the_choice_nothing_is_added(addon, part):
    rig = lively_character()
    warnings = []
    shot = part("export").export_shot(bpy.context, rig, on_warning=warnings.append)
    assert "evaluated_vertices" not in shot
    assert any("'Silk'" in text for text in warnings)


def test_what_is_in_the_evaluated_mesh_is_not_warned_of(addon, part):
    rig = lively_character()
    warnings = []
    part("export").export_shot(bpy.context, rig, on_warning=warnings.append, evaluate=True)
    assert warnings == []


@pytest.mark.parametrize("kind", ["SUBSURF", "DECIMATE", "MASK", "SOLIDIFY"])
@pytest.mark.parametrize("place", [1, 2])
def test_modifiers_that_make_vertices_may_stand_anywhere(addon, part, kind, place):
    """Before the cloth, and after it."""
    rig = lively_character()
    skirt = bpy.data.objects["Skirt"]
    modifier = skirt.modifiers.new("Other", kind)
    if kind == "DECIMATE":
        modifier.decimate_type, modifier.iterations = "UNSUBDIV", 1
    if kind == "MASK":
        modifier.vertex_group = "spine"
    skirt.modifiers.move(2, place)
    shot = part("export").export_shot(bpy.context, rig, evaluate=True)
    assert shot["evaluated_vertices"].shape[1] != 216, "it must change the number of vertices, or this says nothing"
    assert np.abs(shot["evaluated_vertices"] - shown_by_blender()).max() < 1e-5


def test_a_number_of_vertices_that_changes_is_left_out_with_a_warning(addon, part):
    rig = lively_character()
    grow = bpy.data.objects["Skirt"].modifiers.new("Grow", "BUILD")
    grow.frame_start, grow.frame_duration = 1, 9
    warnings = []
    shot = part("export").export_shot(bpy.context, rig, on_warning=warnings.append, evaluate=True)
    assert [text for text in warnings if "of 'Skirt'" in text and text.endswith("'Grow' is not part of the shot.")]
    assert grow.show_viewport
    grow.show_viewport = False
    assert np.abs(shot["evaluated_vertices"] - shown_by_blender()).max() < 1e-5


def test_the_engine_refuses_a_shot_without_and_gaussians_follow_one_with(engine, part, tmp_path):  # noqa: F811
    """Through the real engine: each Gaussian stays on its point of the surface that Blender shows."""
    rig = lively_character()
    settings = '{"preset": "draft", "gaussians": 1500, "prior": "none", "refine_steps": 0, "coarse": "evaluated"}'
    export = part("export")
    without = tmp_path / "without.npz"
    np.savez(without, **export.export_shot(bpy.context, rig))
    bpy.ops.ani3d.submit(shot=str(without), settings=settings)
    with pytest.raises(RuntimeError, match="Set Coarse to Evaluated mesh in Blender and export the shot again"):
        bpy.ops.ani3d.follow()

    bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
    bpy.ops.ani3d.submit(settings=settings)
    bpy.ops.ani3d.follow()
    bpy.ops.ani3d.fetch_result(directory=str(tmp_path / "result"))
    bpy.ops.ani3d.remove_result(name=part("import_result").result_names()[0])
    cache = next((tmp_path / "result").glob("*.ani3d"))
    faces = np.load(tmp_path / "shot.npz")["faces"]
    shown = shown_by_blender()
    positions = np.load(cache / "position.npy").astype(np.float64)
    triangles, barycentrics = barycentric_places(positions[0], shown[0], faces)
    assert barycentrics.min() > -1e-3
    expected = np.einsum("nk,tnkd->tnd", barycentrics, shown[:, faces[triangles]])
    assert np.linalg.norm(positions - expected, axis=2).max() < 1e-4
    for name, part_of in (("Body", slice(0, 108)), ("Skirt", slice(108, 216))):
        points = np.memmap(cache / f"{name}.pc2", "<f4", "r", 32).reshape(FRAMES, -1, 3)
        assert np.abs(points - shown[:, part_of]).max() < 1e-5
