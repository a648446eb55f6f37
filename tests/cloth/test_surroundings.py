"""What the scene does to cloth: gravity of any direction, pushes of any kind, colliders beside the body."""

from dataclasses import dataclass

import numpy as np
import pytest
from synthetic import tube

from ani3dhuman.cloth.fabrics import FABRICS
from ani3dhuman.cloth.simulate import simulate
from ani3dhuman.cloth.surroundings import Sheet, Surroundings
from ani3dhuman.mesh.surface import Obstacle

FPS = 24.0


def grid(columns, rows, step=0.05):
    """A sheet in the XY plane: vertices and triangles."""
    x, y = np.meshgrid(np.arange(columns) * step, np.arange(rows) * step)
    vertices = np.stack([x.ravel(), y.ravel(), np.zeros(columns * rows)], 1).astype(np.float32)
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    faces = np.stack([first, first + 1, first + columns, first + 1, first + columns + 1, first + columns], 1)
    return vertices, faces.reshape(-1, 3)


def hanging(surroundings, frames=96):
    """A strip pinned along one edge, with its lower edge below: the mean way from the pins to that edge, at the end."""
    vertices, faces = grid(4, 10)
    vertices = vertices[:, [0, 2, 1]] * np.float32([1, 1, -1])
    pins = np.zeros(len(vertices), np.float32)
    pins[:4] = 1
    moved = simulate(np.repeat(vertices[None], frames, 0), faces, vertices, pins, surroundings, FPS)
    assert np.isfinite(moved).all()
    return (moved[-24:, -4:].mean((0, 1)) - vertices[:4].mean(0)) / 0.45, moved


def test_gravity_given_straight_down_changes_no_bit():
    _, plain = hanging(None, 12)
    _, given = hanging(Surroundings(gravity=np.array([0, 0, -FABRICS["generic"].gravity])), 12)
    np.testing.assert_array_equal(plain, given)


@pytest.mark.parametrize("direction", [(0, 1, 0), (0, 0.6, -0.8), (0, -0.8, -0.6)])
def test_cloth_hangs_along_gravity(direction):
    hangs, _ = hanging(Surroundings(gravity=9.81 * np.array(direction)))
    np.testing.assert_allclose(hangs, direction, atol=0.08)


@dataclass(frozen=True)
class Steady:
    push: tuple[float, float, float]

    def accelerations(self, frame, x, v, sheet):
        assert frame >= 0
        return np.broadcast_to(np.array(self.push), x.shape)


def test_a_push_adds_to_gravity():
    hangs, _ = hanging(Surroundings(forces=Steady((0.0, 9.81, 0.0))))
    np.testing.assert_allclose(hangs, np.array([0, 1, -1]) / np.sqrt(2), atol=0.08)


def test_a_sheet_weighs_its_area_times_its_density():
    vertices, faces = grid(5, 5)
    sheet = Sheet.of(faces, vertices, 0.2)
    assert sheet.masses.sum() == pytest.approx(0.2 * 0.2 * 0.2)
    assert sheet.masses.max() == pytest.approx(0.2 * 0.05**2)
    assert (Sheet.of(faces[:0], vertices, 0.2).masses == 1).all()


def test_colliders_come_after_the_body_and_wait_for_the_character():
    body, body_faces = tube(np.full(3, 0.2), np.linspace(1, 0, 3))
    table, table_faces = grid(3, 3)
    around = Surroundings(Obstacle(np.repeat(table[None], 4, 0), table_faces), colliders=9)
    both = around.over(Obstacle(np.repeat(body[None], 4, 0), body_faces, body))
    assert both.obstacle is not None and both.colliders == 9
    np.testing.assert_array_equal(both.obstacle.vertices[0, -9:], table)
    np.testing.assert_array_equal(both.obstacle.faces[-len(table_faces) :] - len(body), table_faces)
    assert len(both.obstacle.rest) == both.obstacle.vertices.shape[1]
    assert around.over(None).obstacle is around.obstacle and Surroundings().over(None).obstacle is None


def test_cloth_comes_to_rest_on_a_table_that_is_no_body():
    """Held at one corner well above: the rest of it lies on the table, no nearer than its thickness."""
    sheet, faces = grid(9, 9, 0.03)
    sheet[:, 2] = 0.02
    pins = np.zeros(len(sheet), np.float32)
    pins[0] = 1
    table, table_faces = grid(8, 8, 0.1)
    table[:, :2] -= 0.2
    obstacle = Obstacle(np.repeat(table[None], 36, 0), table_faces)
    moved = simulate(
        np.repeat(sheet[None], 36, 0), faces, sheet, pins, Surroundings(obstacle, colliders=len(table)), FPS
    )
    thickness = FABRICS["generic"].thickness
    assert moved[-1, :, 2].min() > 0.8 * thickness
    assert np.median(moved[-1, :, 2]) < thickness + 0.005


def test_a_collider_that_sticks_carries_cloth_along_and_one_that_slides_does_not():
    sheet, faces = grid(5, 5, 0.03)
    sheet[:, 2] = FABRICS["generic"].thickness
    table, table_faces = grid(8, 8, 0.1)
    belt = np.repeat(table[None] - np.float32([0.2, 0.2, 0]), 14, 0)
    belt[:, :, 0] += 0.02 * np.arange(14, dtype=np.float32)[:, None]
    went = {}
    for friction in (0.0, -1.0, 1.0):
        rough = np.full(len(table_faces), friction)
        around = Surroundings(Obstacle(belt, table_faces, friction=rough), colliders=len(table), way_in="none")
        moved = simulate(np.repeat(sheet[None], 14, 0), faces, sheet, np.zeros(len(sheet)), around, FPS)
        went[friction] = float((moved[-1] - sheet)[:, 0].mean())
    assert abs(went[0.0]) < 0.02 and went[1.0] > 0.2
    assert went[0.0] < went[-1.0] < went[1.0]
