"""Ways out of things of the scene that cloth got into."""

import numpy as np
import pytest

from ani3dhuman.cloth.colliders import Mesh, _narrow
from ani3dhuman.cloth.exits import Exits
from ani3dhuman.cloth.kernels import Pose
from ani3dhuman.mesh.kernels import point_normals
from ani3dhuman.mesh.surface import Contacts, Obstacle

QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
NONE = np.zeros((0, 2), int)


@pytest.fixture(scope="module")
def post():
    """Points (P,3) and faces of a post of 4 cm by 5 cm, .4 m high."""
    corners = np.array([[x, y, z] for x in (0, 0.04) for y in (0, 0.05) for z in (0, 0.4)], np.float32)
    mesh = _narrow(Mesh("post", corners[None], np.concatenate([QUADS[:, [0, 1, 2]], QUADS[:, [0, 2, 3]]])))
    return mesh.vertices[0], mesh.faces


def led(post, edges, *places):
    """What `places` (N,3) in turn leave a post by, at last, and what they follow then."""
    points, faces = post
    normals = point_normals(points, faces)
    count = len(places[0])
    contacts = Contacts(Obstacle(points[None], faces), np.ones(count, bool), len(points))
    exits = Exits(contacts, edges, count)
    for x in np.array(places, np.float32):
        contacts.update(x, x, points, points, normals)
        exits.lead(x, Pose(x, points, normals))
    followed = [normals[contacts.near[i][contacts.clear[i] < 1]] for i in range(count)]
    return exits.ways, followed


def test_a_post_has_no_side_longer_than_it_is_thick(post):
    points, faces = post
    corners = points[faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max()
    assert longest < 0.045 and len(faces) < 1000


def test_what_is_past_the_middle_of_a_post_leaves_it_by_the_side_it_came_in_by(post):
    ways, followed = led(post, NONE, [[0.005, 0.025, 0.2]], [[0.03, 0.025, 0.2]])
    assert ways[0] @ [-1, 0, 0] > 0.9 and (followed[0] @ np.float32([-1, 0, 0]) > 0.8).all()


def test_what_was_out_of_it_leaves_it_by_the_nearest_side(post):
    ways, _ = led(post, NONE, [[0.005, 0.025, 0.2]], [[-0.01, 0.025, 0.2]], [[0.03, 0.025, 0.2]])
    assert ways[0] @ [1, 0, 0] > 0.9


def test_ends_of_an_edge_do_not_leave_a_post_by_opposite_sides(post):
    places = [[0.006, 0.012, 0.2], [0.034, 0.02, 0.2]]
    alone, together = led(post, NONE, places)[0], led(post, np.array([[0, 1]]), places)[0]
    assert alone[0] @ alone[1] < -0.9
    assert together[0] @ [0, -1, 0] > 0.9 and together[1] @ [1, 0, 0] > 0.9
