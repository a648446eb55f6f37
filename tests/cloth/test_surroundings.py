"""What the scene does to cloth: gravity of any direction, pushes of any kind, colliders beside the body."""

from dataclasses import dataclass

import numpy as np
import pytest
from synthetic import tube

from ani3dhuman.cloth.arrivals import aside
from ani3dhuman.cloth.constraints import Constraints
from ani3dhuman.cloth.contact.touch import Layers, cover_of, empty_lists
from ani3dhuman.cloth.exits import Exits
from ani3dhuman.cloth.fabrics import FABRICS
from ani3dhuman.cloth.kernels import Pose
from ani3dhuman.cloth.passages import Passages
from ani3dhuman.cloth.simulate import simulate
from ani3dhuman.cloth.sunk import brought_out
from ani3dhuman.cloth.surroundings import Sheet, Surroundings
from ani3dhuman.mesh.kernels import point_normals
from ani3dhuman.mesh.surface import Contacts, Obstacle

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


def pressed(heights, table=False):
    """Heights (T,P) of a sheet that lies on the body, or on a table, while a body comes down to `heights` (T,)."""
    sheet, faces = grid(5, 5, 0.03)
    sheet += np.float32([0.05, 0.05, FABRICS["generic"].thickness])
    above, above_faces = grid(13, 13, 0.02)
    above = np.repeat(above[None], len(heights), 0)
    above[:, :, 2] = np.asarray(heights)[:, None]
    over = Obstacle(above, above_faces[:, ::-1])
    low, low_faces = grid(3, 3, 0.12) if table else grid(13, 13, 0.02)
    low = Obstacle(np.repeat(low[None], len(heights), 0), low_faces)
    both = Surroundings(low).over(over).obstacle
    around = Surroundings(both, colliders=9 if table else 0, way_in="none")
    return simulate(np.repeat(sheet[None], len(heights), 0), faces, sheet, np.zeros(len(sheet)), around, FPS)[..., 2]


def test_between_a_body_and_a_table_whose_points_are_far_between_cloth_notices_both():
    away = np.concatenate([np.linspace(0.04, 0.004, 10), np.full(4, 0.004)])
    lowest = pressed(away, table=True)
    assert lowest.min() > 0 and (lowest[-1] < 0.004).all()


def test_where_the_body_passes_through_itself_cloth_stays_between_and_is_between_again_when_it_parts():
    into = np.concatenate([np.linspace(0.05, -0.04, 14), np.full(4, -0.04), np.linspace(-0.04, 0.05, 14)])
    found = pressed(into)
    assert found.min() > into.min() - 0.02 and found.max() < 0.05
    assert found[-1].min() > 0 and found[-1].max() < 0.05


def test_what_is_in_the_body_at_the_end_of_a_frame_comes_out_and_what_lies_where_the_body_overlaps_does_not():
    limb, limb_faces = tube(np.array([0.01, *np.full(9, 0.05), 0.01]), np.linspace(0.5, -0.5, 11))
    other = limb + np.float32([0.06, 0, 0.5])
    points = np.concatenate([limb, other]).astype(np.float32)
    faces = np.concatenate([limb_faces, limb_faces + len(limb)])
    sheet, sheet_faces = grid(7, 9, 0.02)
    x = sheet[:, [0, 2, 1]] + np.float32([-0.06, -0.06, -0.28])  # in front of the limb
    deep, overlapped = 31, len(x)
    x[deep] = [0.0, -0.02, -0.2]
    x = np.concatenate([x, [[0.03, 0, 0.35]]]).astype(np.float32)
    contacts = Contacts(Obstacle(points[None], faces), np.ones(len(x), bool))
    normals = point_normals(points, faces)
    contacts.update(x, x, points, points, normals)
    layers = Layers(sheet_faces, np.full(len(x), 0.001), np.zeros(len(x)), np.zeros(len(x), np.float32))
    cover, threads = cover_of(layers, x, np.ones(len(x), np.float32)), Constraints.of_mesh(sheet_faces, x, 0 * x[:, 0])
    ways = Exits(contacts, threads.edges, len(x)), Passages(contacts, x, threads, False, 24)
    done, failed, _ = brought_out(x, Pose(x, points, normals), ways, threads, cover, empty_lists(cover), True)
    assert not failed and done[deep, 1] < -0.04 and (done[overlapped] == x[overlapped]).all()
    assert np.abs(np.delete(done, deep, 0) - np.delete(x, deep, 0)).max() < 0.02


def test_a_thing_that_stands_in_the_cloth_comes_in_from_aside_and_the_ground_stays():
    skirt, _ = tube(np.linspace(0.2, 0.4, 9), np.linspace(1, 0.1, 9))
    seat, seat_faces = tube(np.array([0.01, 0.25, 0.25, 0.01]), np.array([0.46, 0.46, 0.41, 0.41]))
    seat = seat + np.float32([0, 0.4, 0])
    lamp, ground = seat + np.float32([2, 0, 0]), grid(9, 9, 0.5)
    points = np.concatenate([seat, lamp, ground[0] - np.float32([2, 2, -0.3])]).astype(np.float32)
    faces = np.concatenate([seat_faces, seat_faces + len(seat), ground[1] + 2 * len(seat)])
    part = np.repeat([0, 1, 2], [len(seat), len(lamp), len(ground[0])])
    obstacle = Obstacle(points[None], faces, part=part)
    offsets = aside(skirt, obstacle, len(points))
    assert (offsets[len(seat) :] == 0).all() and (offsets[: len(seat), [0, 2]] == 0).all()
    assert 0.2 < offsets[0, 1] < 0.35 and np.ptp(offsets[: len(seat), 1]) == 0


def test_what_flies_onto_a_limb_that_nothing_followed_may_touch_it():
    limb, limb_faces = tube(np.full(12, 0.05), np.linspace(0.5, -0.5, 12))
    points = np.concatenate([limb, limb + np.float32([0.4, 0, 0])]).astype(np.float32)
    faces = np.concatenate([limb_faces, limb_faces + len(limb)])
    x = np.float32([[0.12, 0, 0], [0.12, 0, 0.1]])
    contacts = Contacts(Obstacle(points[None], faces), np.ones(2, bool))
    contacts.update(x, x, points, points, point_normals(points, faces))
    contacts.clear[:] = 0.03
    there = x + np.float32([[0.24, 0, 0], [0, 0, 0]])  # in the other limb
    assert contacts.touching(x, points, 0.01).tolist() == [False, False]
    assert contacts.touching(there, points, 0.01).tolist() == [True, False]
    along = np.float32([1, 0, 0])
    assert contacts.touching(there + along, points + along, 0.01).tolist() == [True, False]
