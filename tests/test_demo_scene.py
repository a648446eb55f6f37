"""The demo's scene, built once by Blender's own Python: complete, clothed, standing on the floor."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="runs inside .venv-blender: make test calls it there")
mathutils = pytest.importorskip("mathutils")
pytest.importorskip("mathutils.bvhtree")

DEMO = Path(__file__).parents[1] / "examples" / "demo"
PARTS = ("Body", "Dress", "Hair")
REGIONS = {"ani3d_body", "ani3d_face", "ani3d_hair", "ani3d_garment"}

pytestmark = pytest.mark.blender


@pytest.fixture(scope="module")
def scene():
    sys.path.insert(0, str(DEMO))
    try:
        from build_scene import build_scene

        build_scene()
    finally:
        sys.path.remove(str(DEMO))
    return bpy.context.scene


def weights(thing: bpy.types.Object, chosen: set[str]) -> np.ndarray:
    """(V,) summed weight of each vertex in the groups named by `chosen`."""
    names = {group.index: group.name for group in thing.vertex_groups}
    return np.array(
        [sum(g.weight for g in vertex.groups if names[g.group] in chosen) for vertex in thing.data.vertices]
    )


def evaluated(name: str) -> np.ndarray:
    """(V,3) world vertices of an object in the current frame, modifiers applied."""
    thing = bpy.data.objects[name].evaluated_get(bpy.context.evaluated_depsgraph_get())
    points = np.empty(len(thing.data.vertices) * 3, np.float32)
    thing.data.vertices.foreach_get("co", points)
    matrix = np.array(thing.matrix_world)
    return points.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]


def rest(name: str) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    mesh = bpy.data.objects[name].data
    return np.array([vertex.co for vertex in mesh.vertices]), [tuple(face.vertices) for face in mesh.polygons]


def test_shot_is_two_seconds_of_portrait_video(scene) -> None:
    assert (scene.frame_start, scene.frame_end, scene.render.fps) == (1, 48, 24)
    assert (scene.render.resolution_x, scene.render.resolution_y) == (480, 832)
    assert scene.camera.name == "Camera"
    assert {"Key", "Fill"} <= {lamp.name for lamp in scene.objects if lamp.type == "LIGHT"}


@pytest.mark.parametrize("name", PARTS)
def test_every_vertex_follows_the_rig_and_has_one_region(scene, name: str) -> None:
    thing = scene.objects[name]
    modifier = next(m for m in thing.modifiers if m.type == "ARMATURE")
    assert modifier.object is scene.objects["Rig"] and not modifier.use_deform_preserve_volume
    bones = {bone.name for bone in scene.objects["Rig"].data.bones}
    np.testing.assert_allclose(weights(thing, bones), 1, atol=2e-3)
    np.testing.assert_allclose(weights(thing, REGIONS), 1, atol=1e-6)


def test_every_region_is_there(scene) -> None:
    for region in REGIONS:
        assert max(weights(scene.objects[name], {region}).sum() for name in PARTS) > 500, region


def strands(attribute: str, size: int = 1) -> np.ndarray:
    """(S,P) or (S,P,3) values of the points of all strands, root first."""
    data = bpy.data.objects["Strands"].data
    values = np.empty(len(data.points) * size, np.float32)
    data.attributes[attribute].data.foreach_get("vector" if size == 3 else "value", values)
    return values.reshape(len(data.curves), -1, *([3] if size == 3 else []))


def test_the_cap_stays_on_the_head_and_so_do_combed_strands(scene) -> None:
    assert weights(scene.objects["Hair"], {"ani3d_pin"}).min() == 1
    pins, points = strands("ani3d_pin"), strands("position", 3)
    held = pins.min(1) == 1
    assert 100 < held.sum() < 300
    head = points[held].reshape(-1, 3)
    tree = mathutils.bvhtree.BVHTree.FromPolygons(*(list(map(tuple, part)) for part in rest("Hair")))
    away = np.array([tree.find_nearest(tuple(point))[3] for point in head])
    assert np.quantile(away, 0.95) < 0.006, "they lie on it"
    assert (pins[~held][:, -4:] == 0).all(), "all others are free to swing"


def test_strands_hang_on_the_head_outside_her_skin(scene) -> None:
    item = scene.objects["Strands"]
    assert (item.parent, item.parent_type, item.parent_bone) == (scene.objects["Rig"], "BONE", "head")
    tree = mathutils.bvhtree.BVHTree.FromPolygons(*(list(map(tuple, part)) for part in rest("Body")))
    for point in strands("position", 3)[:, 2:].reshape(-1, 3)[::7]:
        location, normal, _, distance = tree.find_nearest(tuple(point))
        inside = np.dot(point - np.array(location), normal) < 0
        assert not (inside and distance > 0.002), f"{point} is {distance * 1000:.1f} mm inside the body"


def test_what_blender_renders_is_thin_hairs_within_the_strands(scene) -> None:
    item = scene.objects["Strands"]
    modifier = next(m for m in item.modifiers if m.type == "NODES")
    assert modifier.show_render and not modifier.show_viewport
    modifier.show_viewport = True
    try:
        data = item.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
        points, radii = np.empty(len(data.points) * 3, np.float32), np.empty(len(data.points), np.float32)
        data.points.foreach_get("position", points)
        data.attributes["radius"].data.foreach_get("value", radii)
        found, thin = len(data.curves), radii.reshape(len(data.curves), -1)
        hairs = points.reshape(found, -1, 3)
    finally:
        modifier.show_viewport = False
    middles, wide = strands("position", 3), strands("radius")
    each = found // len(middles)
    assert each > 10 and found == each * len(middles)
    apart = np.linalg.norm(hairs.reshape(len(middles), each, -1, 3) - middles[:, None], axis=3)
    assert (apart + thin.reshape(len(middles), each, -1) < 1.01 * wide[:, None] + 1e-5).all()
    assert apart.mean() > 0.3 * wide.mean()


def test_cloth_is_pinned_above_and_free_below(scene) -> None:
    pin = weights(scene.objects["Dress"], {"ani3d_pin"})
    height = rest("Dress")[0][:, 2]
    assert pin[height > np.quantile(height, 0.97)].min() == 1
    assert pin[height < np.quantile(height, 0.1)].max() == 0
    assert 0.2 < (pin == 0).mean() < 0.9


def test_pictures_are_packed_and_feed_base_colour(scene) -> None:
    textured = 0
    for name in PARTS:
        for material in scene.objects[name].data.materials:
            base = material.node_tree.nodes["Principled BSDF"].inputs["Base Color"]
            if base.is_linked:
                assert base.links[0].from_node.image.packed_file is not None, material.name
                textured += 1
    assert textured == 5


@pytest.mark.parametrize("name", PARTS)
def test_no_occlusion_is_painted_on_what_the_engine_lights(scene, name: str) -> None:
    assert "ani3d_tint" not in scene.objects[name].data.color_attributes


def test_dress_lies_outside_the_skin_in_bind_pose(scene) -> None:
    tree = mathutils.bvhtree.BVHTree.FromPolygons(*(list(map(tuple, part)) for part in rest("Body")))
    for point in rest("Dress")[0]:
        location, normal, _, distance = tree.find_nearest(tuple(point))
        inside = np.dot(point - np.array(location), normal) < 0
        assert not (inside and distance > 0.002), f"{point} is {distance * 1000:.1f} mm inside the body"


@pytest.mark.parametrize("name", ["Dress", "Hair"])
def test_cloth_has_even_edges_and_no_edge_of_three_faces(scene, name: str) -> None:
    points, faces = rest(name)
    edges: dict[tuple[int, int], int] = {}
    for face in faces:
        assert len(set(face)) == 4
        for a, b in zip(face, (*face[1:], face[0]), strict=True):
            edges[min(a, b), max(a, b)] = edges.get((min(a, b), max(a, b)), 0) + 1
    assert max(edges.values()) == 2
    pairs = np.array(list(edges))
    length = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    assert length.min() > 0.0005 and length.max() < 0.05


def test_she_travels_turns_and_keeps_her_feet_on_the_floor(scene) -> None:
    hips = scene.objects["Rig"].pose.bones["hips"]
    lowest, places, standing = [], [], []
    shoes = weights(scene.objects["Body"], {"foot.L", "toes.L", "foot.R", "toes.R"}) > 0.5
    for frame in range(scene.frame_start, scene.frame_end + 1):
        scene.frame_set(frame)
        soles = evaluated("Body")[shoes]
        lowest.append(soles[:, 2].min())
        standing.append((soles[:, 2] < 0.03).sum())
        places.append(hips.matrix.translation.copy())
    assert min(lowest) > -0.03 and max(lowest) < 0.02
    assert min(standing) > 30
    way = sum((b - a).length for a, b in pairwise(places))
    assert 1.0 < way < 2.5
    scene.frame_set(scene.frame_start)
    first = hips.matrix.to_euler().z
    scene.frame_set(scene.frame_end)
    assert 80 < np.degrees(abs(hips.matrix.to_euler().z - first)) < 140


def test_a_standing_foot_does_not_slide(scene) -> None:
    rig = scene.objects["Rig"]
    worst = 0.0
    for side in "LR":
        previous = None
        for frame in range(scene.frame_start, scene.frame_end + 1):
            scene.frame_set(frame)
            ball = rig.pose.bones[f"toes.{side}"].head
            low = ball.z < rig.data.bones[f"toes.{side}"].head_local.z + 0.008
            if low and previous is not None:
                worst = max(worst, (ball.xy - previous).length)
            previous = ball.xy.copy() if low else None
    assert worst < 0.02


def test_camera_keeps_her_in_the_picture(scene) -> None:
    from bpy_extras.object_utils import world_to_camera_view

    for frame in (1, 12, 24, 36, 48):
        scene.frame_set(frame)
        for point in evaluated("Body")[::40]:
            x, y, depth = world_to_camera_view(scene, scene.camera, mathutils.Vector(point))
            assert 0.02 < x < 0.98 and 0.02 < y < 0.98 and depth > 1
