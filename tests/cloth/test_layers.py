"""What passes through each other at rest is pulled apart before it moves, in its order."""

import numpy as np
import pytest
from synthetic import tube

from ani3dhuman.cloth.constraints import Constraints
from ani3dhuman.cloth.contact.touch import cover_of, empty_lists, find_crossings
from ani3dhuman.cloth.fabrics import FABRICS
from ani3dhuman.cloth.layers import Stack, let_cards_cross, pulled_apart
from ani3dhuman.cloth.worn import Worn
from ani3dhuman.mesh.surface import Obstacle

BODY = tube(np.full(10, 0.15), np.linspace(1.2, 0.3, 10))


class Dressed:
    """Two skirts about a body: the second one waves through the first."""

    def __init__(self, first=0.2, second=0.2, wave=0.012):
        one, faces = tube(np.full(16, first), np.linspace(1.0, 0.5, 16))
        two = one * np.float32([second / first, second / first, 1])
        swing = 1 + wave / second * np.cos(4 * np.arctan2(two[:, 0], two[:, 1]))
        two[:, :2] *= swing[:, None]
        self.rest = np.concatenate([one, two]).astype(np.float32)
        self.faces = np.concatenate([faces, faces + len(one)])
        self.first = np.arange(len(self.rest)) < len(one)
        pins = (self.rest[:, 2] > 0.99) & self.first
        self.constraints = Constraints.of_mesh(self.faces, self.rest, pins.astype(np.float32))
        self.pinned = pins
        worn = Worn((FABRICS["generic"],), np.zeros(len(pins), int), (~self.first).astype(int), np.zeros(len(pins)))
        self.cover = cover_of(worn.layers(self.faces, self.rest), self.rest, np.where(pins, 0, 1).astype(np.float32))
        self.lists = empty_lists(self.cover)

    def crossings(self, x):
        return find_crossings(x, self.cover, self.lists)

    def apart(self, layer=None, body=BODY):
        around = Obstacle(body[0][None], body[1]) if body else None
        stack = Stack(np.zeros(len(self.rest), int) if layer is None else layer)
        clear = np.full(len(self.rest), 0.006)
        return pulled_apart(self.rest, stack, self.constraints, clear, around, (self.cover, self.lists))


def radius(x):
    return np.linalg.norm(x[:, :2], axis=1)


def test_what_lies_outside_for_the_most_part_becomes_the_outer_one():
    for second, outer in ((0.205, False), (0.195, True)):
        worn = Dressed(second=second)
        assert worn.crossings(worn.rest) > 100
        x = worn.apart()
        assert worn.crossings(x) == 0
        assert (radius(x[worn.first]).mean() > radius(x[~worn.first]).mean()) == outer
        assert np.abs(x - worn.rest).max() < 0.03
        np.testing.assert_array_equal(x[worn.pinned], worn.rest[worn.pinned])


@pytest.mark.parametrize("inner", [1, 2])
def test_the_number_of_the_artist_says_what_is_outside(inner):
    worn = Dressed()
    layer = np.where(worn.first, inner, 3 - inner)
    x = worn.apart(layer)
    assert worn.crossings(x) == 0
    assert (radius(x[worn.first]).mean() < radius(x[~worn.first]).mean()) == (inner == 1)


def test_what_is_in_the_body_comes_out_and_the_rest_stays():
    worn = Dressed(first=0.2, second=0.148, wave=0.0)
    x = worn.apart()
    assert (radius(x[~worn.first]) > 0.15).all()
    np.testing.assert_array_equal(x[worn.first], worn.rest[worn.first])


def test_what_crosses_nothing_is_not_moved():
    worn = Dressed(first=0.2, second=0.23, wave=0.0)
    assert worn.apart() is worn.rest


def test_cards_of_hair_that_lie_in_each_other_by_hundreds_are_let_through():
    rng = np.random.default_rng(3)
    cards, faces = [], []
    for k in range(60):
        at, turn = rng.uniform(-0.03, 0.03, 3), rng.normal(size=(2, 3))
        cards.append(at + np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) @ (0.1 * turn))
        faces.append(np.array([[0, 1, 2], [0, 2, 3]]) + 4 * k)
    rest, triangles = np.concatenate(cards).astype(np.float32), np.concatenate(faces)
    worn = Worn.of(FABRICS["hair"], len(rest), hair=True)
    cover = cover_of(worn.layers(triangles, rest), rest, np.ones(len(rest), np.float32))
    lists = empty_lists(cover)
    assert find_crossings(rest, cover, lists) > 24
    let_cards_cross(cover, lists)
    assert find_crossings(rest, cover, lists) == 0
