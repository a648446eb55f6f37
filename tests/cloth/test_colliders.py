"""The scene's colliders as artists make them: inverted, open, flat, animated, huge, of many pieces; and the floor."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_shot, translation

from ani3d_formats.progress import Progress
from ani3d_formats.regions import is_loose
from ani3d_formats.shot_scene import Collider
from ani3dhuman.cloth import colliders
from ani3dhuman.cloth.character import simulate_shot
from ani3dhuman.cloth.colliders import obstacle_of, turned
from ani3dhuman.cloth.fabrics import FABRICS
from ani3dhuman.cloth.pins import pin_weights
from ani3dhuman.cloth.scene import surroundings_of
from ani3dhuman.rigid import pose_rigid

CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float64)
SIDES = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
BOX = np.concatenate([SIDES[:, [0, 1, 2]], SIDES[:, [0, 2, 3]]])


def normals(vertices, faces):
    corners = vertices[faces]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), corners.mean(1)


def with_collider(shot, vertices, faces, poses=None, recorded=None, **entry):
    item = Collider("Thing", 0, len(vertices), recorded=recorded is not None, **entry)
    arrays = shot.arrays | {
        "collider_vertices": np.asarray(vertices, np.float32),
        "collider_faces": np.asarray(faces, np.int32).reshape(-1, 3),
        "collider_poses": np.eye(4, dtype=np.float32)[None] if poses is None else np.asarray(poses, np.float32),
    }
    if recorded is not None:
        arrays["collider_recorded"] = np.asarray(recorded, np.float32)
    return replace(shot, meta=replace(shot.meta, colliders=(item,)), arrays=arrays)


@pytest.fixture(scope="module")
def person():
    shot = make_shot(6)
    return shot, pose_rigid(shot, Progress("rigid", 1)), is_loose(shot["region_ids"])


def obstacle(person, shot, floor=False):
    said = []
    return obstacle_of(shot, person[1], person[2], floor, said.append), said


@pytest.mark.parametrize("wrong", [slice(0, 0), slice(None), slice(0, 5)])
def test_a_closed_mesh_looks_outwards_however_it_was_wound(wrong):
    faces = BOX.copy()
    faces[wrong] = faces[wrong][:, ::-1]
    across, middles = normals(CUBE, turned(CUBE, faces, np.array([[3.0, 0, 0], [0, 3, 0]])))
    assert ((across * (middles - 0.5)).sum(1) > 0).all()


def test_a_room_looks_inwards_at_who_stands_in_it():
    across, middles = normals(CUBE, turned(CUBE, BOX, np.array([[0.5, 0.5, 0.5], [0.4, 0.5, 0.6]])))
    assert ((across * (middles - 0.5)).sum(1) < 0).all()


@pytest.mark.parametrize("height", [-1.0, 1.0])
def test_a_plane_looks_to_the_side_of_the_character(height):
    plane = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    across, _ = normals(plane, turned(plane, np.array([[0, 1, 2], [0, 2, 3]]), np.array([[0.5, 0.5, height]])))
    assert (np.sign(across[:, 2]) == np.sign(height)).all()


def test_only_what_is_near_the_cloth_is_kept_and_large_triangles_are_split(person):
    shot, _, _ = person
    wall = np.array([[-50, 0.5, -50], [50, 0.5, -50], [50, 0.5, 50], [-50, 0.5, 50]])
    found, said = obstacle(person, with_collider(shot, wall, [[0, 1, 2], [0, 2, 3]]))
    assert said == [] and 50 < len(found.faces) < 5000
    assert np.abs(found.vertices[..., 1] - 0.5).max() < 1e-6
    corners = found.vertices[0][found.faces]
    assert np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max() <= colliders.FINE
    far, _ = obstacle(person, with_collider(shot, wall + np.array([0, 40, 0]), [[0, 1, 2], [0, 2, 3]]))
    assert far is None


def test_before_the_edge_of_a_board_cloth_is_outside_wherever_its_faces_were_split(person):
    shot, _, _ = person
    board = CUBE * [0.46, 0.49, 0.04] + [-0.23, 0.1, 0.6]
    found, _ = obstacle(person, with_collider(shot, board, BOX))
    sides = np.sort(found.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    assert (np.unique(sides, axis=0, return_counts=True)[1] == 2).all()
    before = np.stack(np.meshgrid(np.linspace(-0.2, 0.2, 23), 0.1 - 0.017, np.linspace(0.602, 0.638, 9)), -1)
    heights, away = found.at(0).heights(before.reshape(-1, 3))
    np.testing.assert_allclose(heights, 0.017, atol=1e-4)
    np.testing.assert_allclose(away, [[0, -1, 0]] * len(away), atol=1e-3)


def test_a_collider_moves_as_its_pose_or_as_recorded(person):
    shot, _, _ = person
    place = CUBE * 0.2 + [0.2, 0.2, 0.6]
    poses = np.stack([[translation(0.05 * t, 0, 0)] for t in range(6)])
    moving, _ = obstacle(person, with_collider(shot, place, BOX, poses))
    path = place[None] + np.array([[[0.05 * t, 0, 0]] for t in range(6)])
    recorded, _ = obstacle(person, with_collider(shot, place, BOX, recorded=path))
    np.testing.assert_allclose(moving.vertices, recorded.vertices, atol=1e-6)
    np.testing.assert_allclose(
        moving.vertices[5] - moving.vertices[0], [[0.25, 0, 0]] * moving.vertices.shape[1], atol=1e-6
    )


def test_thickness_makes_a_collider_larger(person):
    shot, _, _ = person
    found, _ = obstacle(person, with_collider(shot, CUBE * 0.1 + [0.2, 0.2, 0.6], BOX, thickness=0.02))
    low, high = found.vertices[0].min(0), found.vertices[0].max(0)
    assert (low < np.array([0.195, 0.195, 0.595])).all() and (high > np.array([0.305, 0.305, 0.705])).all()


def test_a_collider_without_faces_is_told_of(person):
    shot, _, _ = person
    found, said = obstacle(person, with_collider(shot, CUBE, [[0, 0, 1]]))
    assert found is None and said == ["Collider 'Thing' has no faces, so cloth does not notice it."]


def test_a_huge_collider_is_made_coarser_and_keeps_its_shape(person, monkeypatch):
    monkeypatch.setattr(colliders, "MOST", 500)
    shot, _, _ = person
    side = np.linspace(-0.5, 0.5, 40)
    x, y = np.meshgrid(side, side)
    bowl = np.stack([x.ravel(), y.ravel(), 0.3 + 0.2 * (x**2 + y**2).ravel()], 1)
    first = (np.arange(39)[:, None] * 40 + np.arange(39)).ravel()
    faces = np.concatenate(
        [np.stack([first, first + 1, first + 40], 1), np.stack([first + 1, first + 41, first + 40], 1)]
    )
    found, said = obstacle(person, with_collider(shot, bowl, faces))
    assert len(found.faces) <= 500 and "3,042 triangles" in said[0] and "used instead" in said[0]
    points = found.vertices[0]
    assert np.abs(points[:, 2] - 0.3 - 0.2 * (points[:, :2] ** 2).sum(1)).max() < 0.01


def test_the_floor_lies_at_the_lowest_point_of_the_body_unless_the_scene_has_one(person, monkeypatch):
    monkeypatch.setattr(colliders, "REACH", 0.8)  # as for a skirt that reaches the floor
    shot, rigid, loose = person
    found, _ = obstacle(person, shot, floor=True)
    assert np.allclose(found.vertices[..., 2], rigid[:, ~loose, 2].min(), atol=1e-6)
    across, _ = normals(found.vertices[0], found.faces)
    assert (across[:, 2] > 0).all()
    ground = np.array([[-9, -9, 0.01], [9, -9, 0.01], [9, 9, 0.01], [-9, 9, 0.01]])
    own, _ = obstacle(person, with_collider(shot, ground, [[0, 1, 2], [0, 2, 3]]), floor=True)
    assert np.allclose(own.vertices[..., 2], 0.01)
    assert obstacle(person, shot, floor=False)[0] is None


def test_a_skirt_stays_on_its_side_of_a_wall_that_is_pushed_into_it(person):
    shot, rigid, _ = person
    wall = np.array([[-1, -0.6, 0], [1, -0.6, 0], [1, -0.6, 2], [-1, -0.6, 2]])
    poses = np.stack([[translation(0, 0.06 * t, 0)] for t in range(6)])
    shot = with_collider(shot, wall, [[0, 2, 1], [0, 3, 2]], poses)
    around = surroundings_of(shot, rigid, floor=False)
    moved = simulate_shot(shot, rigid, pin_weights(shot), FABRICS["cotton"], surroundings=around)
    skirt = np.flatnonzero((shot["region_ids"] == 3) & (pin_weights(shot) < 0.5))
    assert rigid[5, skirt, 1].min() < -0.33, "the wall comes to where the skirt would be"
    assert moved[5, skirt, 1].min() > -0.3 - 0.004
