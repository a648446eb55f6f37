"""Parts of cloth that are solved side by side: nothing is left out, and the number of threads changes no bit."""

import numpy as np
from synthetic import tube
from two_threads import with_two_threads

from ani3dhuman.cloth.constraints import Constraints
from ani3dhuman.cloth.parts import PARTS, in_parts
from ani3dhuman.cloth.simulate import simulate
from ani3dhuman.cloth.surroundings import Surroundings
from ani3dhuman.mesh.kernels import strays
from ani3dhuman.mesh.surface import Obstacle

VERTICES, FACES = tube(np.linspace(0.17, 0.3, 10), np.linspace(1.1, 0.6, 10))
PINS = np.where(VERTICES[:, 2] > 1.09, 1, 0).astype(np.float32)


def test_each_part_holds_what_lies_within_it_and_nothing_is_lost():
    whole = Constraints.of_mesh(FACES, VERTICES, PINS)
    ordered, parts = in_parts(whole, VERTICES)
    of = np.empty(len(VERTICES), int)
    for part in range(PARTS):
        of[parts.members[parts.starts[part] : parts.starts[part + 1]]] = part
    assert np.bincount(of).min() > 0.8 * len(VERTICES) / PARTS
    for rows, begins, before in (
        (ordered.edges, parts.edges, whole.that_move().edges),
        (ordered.hinges, parts.hinges, whole.that_move().hinges),
    ):
        for part in range(PARTS):
            assert (of[rows[begins[part] : begins[part + 1]]] == part).all()
        between = of[rows[begins[PARTS] : begins[PARTS + 1]]]
        assert (between != between[:, :1]).any(1).all()
        assert sorted(map(tuple, rows)) == sorted(map(tuple, before))


def test_what_is_solved_next_seldom_needs_what_was_solved_last():
    vertices, faces = tube(np.linspace(0.17, 0.3, 24), np.linspace(1.1, 0.6, 24))
    edges = in_parts(Constraints.of_mesh(faces, vertices, 0 * vertices[:, 0]), vertices)[0].edges
    shared = (edges[1:, :, None] == edges[:-1, None, :]).any((1, 2))
    assert shared.mean() < 0.05


def test_a_strand_is_never_divided():
    count, strands = 12, 8
    places = np.random.default_rng(0).uniform(size=(count * strands, 3)).astype(np.float32)
    rows = np.arange(count * strands).reshape(strands, count)
    edges = np.stack([rows[:, :-1], rows[:, 1:]], -1).reshape(-1, 2)
    joints = np.stack([rows[:, :-2], rows[:, 1:-1], rows[:, 2:]], -1).reshape(-1, 3)
    pins = (np.arange(count * strands) % count < 2).astype(np.float32)
    ordered, parts = in_parts(Constraints.of_strands(edges, joints, places, pins), places)
    assert parts.joints[PARTS] == len(joints)
    assert (np.diff(ordered.edges.reshape(strands, -1, 2), axis=1) == 1).all()  # from its root to its tip
    assert (
        ordered.joints.reshape(strands, -1, 3) // count == ordered.joints.reshape(strands, -1, 3)[:, :1, :1] // count
    ).all()


def cloth_on_a_tube() -> np.ndarray:
    """Two layers that fall onto a body and onto each other, after four frames."""
    body, faces = tube(np.linspace(0.16, 0.2, 8), np.linspace(1.15, 0.5, 8))
    moved = np.repeat(body[None], 4, 0) + 0.03 * np.sin(np.arange(4))[:, None, None] * np.float32([1, 0.5, 0])
    around = Surroundings(Obstacle(moved.astype(np.float32), faces, body))
    both = np.concatenate([VERTICES, VERTICES * np.float32([1.02, 1.02, 1])])
    faces = np.concatenate([FACES, FACES + len(VERTICES)])
    return simulate(np.repeat(both[None], 4, 0), faces, both, np.tile(PINS, 2), around, 24.0)


def test_one_thread_and_two_give_the_same_bits():
    program = """
import numba, numpy
from test_parts import VERTICES, cloth_on_a_tube
found = []
for threads in (1, 2):
    numba.set_num_threads(threads)
    found.append(cloth_on_a_tube())
print(numpy.array_equal(*found), abs(found[0][-1, : len(VERTICES)] - VERTICES).max() > 0.001)
"""
    assert with_two_threads(program) == ["True", "True"]


def test_a_limb_that_turns_strays_and_one_that_is_carried_does_not():
    body, faces = tube(np.linspace(0.1, 0.1, 8), np.linspace(1.0, 0.0, 8))
    faces = faces.astype(np.int64)
    assert strays(np.full_like(body, 0.1), faces, 3).max() == 0
    turned = np.zeros_like(body)
    turned[:, 0] = 0.1 * body[:, 2]
    found = strays(turned, faces, 1)
    rings = np.abs(turned[faces][:, :, 0] - np.roll(turned[faces][:, :, 0], 1, 1)).max()
    np.testing.assert_allclose(found, rings, rtol=1e-5)
