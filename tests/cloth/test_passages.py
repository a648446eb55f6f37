"""An arm that a thigh is raised through, and the cloth that hangs between them."""

import numpy as np
import pytest

from ani3dhuman.cloth.kernels import Pose
from ani3dhuman.cloth.limbs import Skin
from ani3dhuman.cloth.simulate import simulate
from ani3dhuman.cloth.surroundings import Surroundings
from ani3dhuman.mesh.kernels import point_normals
from ani3dhuman.mesh.signed_distance import signed_distances
from ani3dhuman.mesh.surface import Contacts, Obstacle

FPS, AROUND, COLUMNS = 24, 16, 17
HIP = np.array([0, 0, 0.9])
PATH = np.array(  # knee, hip, chest, shoulder, elbow: place and radius
    [
        [0, 0, 0.42, 0.065],
        [0, 0, 0.9, 0.075],
        [0, 0.06, 1.25, 0.08],
        [0.06, -0.06, 1.4, 0.05],
        [0.06, -0.15, 1.25, 0.032],
    ]
)
TIP = np.array([0.06, -0.16, 0.78, 0.03])


def person():
    """Points (P,3), faces (F,3), and how far along the thigh each point is from hip to knee, 0 elsewhere."""
    rings = []
    for start, end in zip(PATH, np.vstack([PATH[1:], TIP]), strict=True):
        count = max(2, round(np.linalg.norm(end[:3] - start[:3]) / 0.03))
        rings += list(start + (end - start) * np.arange(count)[:, None] / count)
    line = np.array([*rings, TIP])
    along = np.gradient(line[:, :3], axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    side = np.cross(along, [0, 0.6, 0.8]) + 1e-6
    for k in range(1, len(side)):  # no twist from ring to ring
        side[k] = side[k - 1] - (side[k - 1] @ along[k]) * along[k]
        side[k] /= np.linalg.norm(side[k])
    side[0] /= np.linalg.norm(side[0])
    angle = 2 * np.pi * np.arange(AROUND) / AROUND
    across = np.cross(along, side)
    turned = np.cos(angle)[:, None] * side[:, None] + np.sin(angle)[:, None] * across[:, None]
    points = (line[:, None, :3] + line[:, None, 3:] * turned).reshape(-1, 3)
    first = np.arange(len(line) - 1)[:, None] * AROUND + np.arange(AROUND)
    other = np.arange(len(line) - 1)[:, None] * AROUND + (np.arange(AROUND) + 1) % AROUND
    a, b, c, d = (q.ravel() for q in (first, other, first + AROUND, other + AROUND))
    faces = [np.stack([a, b, c], 1), np.stack([b, d, c], 1)]
    for ring, flip in ((0, True), (len(line) - 1, False)):
        own, tip = ring * AROUND + np.arange(AROUND), len(points)
        points = np.vstack([points, line[ring, :3] - (0.02 if flip else -0.02) * along[ring]])
        cap = np.stack([own, np.roll(own, -1), np.full(AROUND, tip)], 1)
        faces.append(cap[:, ::-1] if flip else cap)
    thigh = np.clip((HIP[2] - points[:, 2]) / 0.1, 0, 1) * (points[:, 1] > -0.1)
    return points, np.concatenate(faces), thigh


def raised(points, thigh, degrees):
    """The points with the thigh turned forwards about the hip."""
    turn = np.radians(degrees) * thigh
    off = points - HIP
    y = off[:, 1] * np.cos(turn) + off[:, 2] * np.sin(turn)
    z = off[:, 2] * np.cos(turn) - off[:, 1] * np.sin(turn)
    return np.stack([off[:, 0], y, z], 1) + HIP


@pytest.fixture(scope="module")
def rest():
    return person()


def skin_of(rest, places=((0, -0.09, 0.6),)):
    points, faces, _ = rest
    contacts = Contacts(Obstacle(points[None].astype(np.float32), faces, points), np.ones(1, bool))
    return Skin(contacts, np.array(places, float))


def test_the_mesh_is_wound_outwards(rest):
    points, faces, _ = rest
    inside = signed_distances(np.array([[HIP]]), points[None], faces)[0, 0]
    assert -0.09 < inside < -0.05


def test_the_thinner_of_two_limbs_that_pass_through_each_other_gives_way(rest):
    points, faces, thigh = rest
    skin = skin_of(rest)
    assert not skin.passages(points.astype(np.float32))
    pose = raised(points, thigh, 60).astype(np.float32)
    (one,) = skin.passages(pose)
    at = points[one.limb]
    assert (at[:, 1] < -0.05).all() and at[:, 2].min() < 0.8, "the arm, as far as its end"
    one.turn(Pose(pose, pose, point_normals(pose, faces)), skin.radii)
    assert one.end @ [0, 0, -1] > 0.95
    assert abs(one.way @ one.end) < 1e-6 and one.way[0] < 0, "to the thigh, which is to the arm's right"


def test_a_skirt_that_an_arm_came_through_hangs_behind_it_when_the_thigh_is_down_again(rest):
    points, faces, thigh = rest
    time = np.arange(44) / FPS
    angle = 75 * np.interp(time, [0, 0.5, 0.9, 1.4], [0, 1, 1, 0])
    body = np.stack([raised(points, thigh, a) for a in angle]).astype(np.float32)
    u, v = np.meshgrid(np.linspace(-0.2, 0.2, COLUMNS), np.linspace(0, 0.46, 19))
    sheet = np.stack([u.ravel(), np.full(u.size, -0.095), 0.98 - v.ravel()], 1).astype(np.float32)
    first = (np.arange(18)[:, None] * COLUMNS + np.arange(COLUMNS - 1)).ravel()
    cloth = np.concatenate([np.stack([first, first + COLUMNS, first + 1], 1)])
    cloth = np.concatenate([cloth, np.stack([first + 1, first + COLUMNS, first + COLUMNS + 1], 1)])
    pins = (v.ravel() == 0).astype(np.float32)
    skinned = np.repeat(sheet[None], len(time), 0)
    moved = simulate(skinned, cloth, sheet, pins, Surroundings(Obstacle(body, faces, points)), FPS)
    after = slice(36, None)
    inside = -signed_distances(moved[after], body[after], faces)
    assert inside.max() < 0.002
    tip, elbow = TIP[:3] - [0, 0, 0.02], PATH[4, :3]
    for x in moved[after]:
        a, b, c = (x[cloth[:, k]].astype(float) for k in range(3))
        normal = np.cross(b - a, c - a)
        over = [((p - a) * normal).sum(1) for p in (elbow, tip)]
        through = np.flatnonzero(over[0] * over[1] < 0)
        place = elbow + (over[0] / (over[0] - over[1]))[through, None] * (tip - elbow)
        within = np.ones(len(through), bool)
        for p, q in ((a, b), (b, c), (c, a)):
            within &= (np.cross((q - p)[through], place - p[through]) * normal[through]).sum(1) >= 0
        assert not within.any(), "the arm passes through no part of it"
