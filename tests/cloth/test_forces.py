"""Force fields by their formulas, and what they do to cloth."""

import numpy as np
import pytest
from test_surroundings import FPS, grid, hanging

from ani3d_formats.shot_scene import FORCE_VALUES, ForceField
from ani3dhuman.cloth.forces import PRESSURE, Field, Fields
from ani3dhuman.cloth.noise import turbulence
from ani3dhuman.cloth.surroundings import Sheet, Surroundings

PLACES = np.array([[1.0, 0, 0], [0, 2, 0], [0, 0, 3], [1, 1, -1]])
STILL = np.zeros_like(PLACES)


def values(**given):
    limits = dict.fromkeys(("least", "most", "side_least", "side_most"), -1.0)
    return dict.fromkeys(FORCE_VALUES, 0.0) | limits | {"unit": 1.0} | given


def field(kind, pose=None, shape="point", **given):
    options = {
        name: given.pop(name) for name in ("falloff", "side", "gravitation", "in_world", "seed") if name in given
    }
    return Field(ForceField("F", kind, shape, **options), np.eye(4) if pose is None else pose, values(**given))


def push(*args, v=STILL, **given):
    return field(*args, **given).at(PLACES, v, 1)[0]


def test_wind_blows_along_the_axis_and_falls_off_with_the_distance_from_its_plane():
    np.testing.assert_allclose(push("wind", strength=3), [[0, 0, 3]] * 4)
    fallen = push("wind", shape="plane", strength=3, power=2)
    np.testing.assert_allclose(fallen[:, 2], [3, 3, 3 / 16, 3 / 4])
    one_sided = push("wind", strength=3, side="positive")
    np.testing.assert_allclose(one_sided[:, 2], [3, 3, 3, 0])


def test_force_pushes_away_from_its_point_axis_or_plane():
    np.testing.assert_allclose(push("force", strength=5)[:3], 5 * np.eye(3))
    np.testing.assert_allclose(push("force", strength=-5, gravitation=True)[:3], -5 * np.diag([1, 1 / 4, 1 / 9]))
    np.testing.assert_allclose(push("force", shape="line", strength=5)[3], [5 / 2**0.5, 5 / 2**0.5, 0])
    np.testing.assert_allclose(push("force", shape="plane", strength=5)[3], [0, 0, -5])


def test_limits_of_distance():
    np.testing.assert_allclose(np.linalg.norm(push("force", strength=1, most=1.9), axis=1), [1, 0, 0, 1])
    np.testing.assert_allclose(np.linalg.norm(push("force", strength=1, power=1, least=2), axis=1), [1, 1, 0.5, 1])
    tube = push("wind", strength=1, falloff="tube", side_most=0.5)
    np.testing.assert_allclose(tube[:, 2], [0, 0, 1, 0])
    cone = push("wind", strength=1, falloff="cone", side_most=60)
    np.testing.assert_allclose(cone[:, 2], [0, 0, 1, 0])


def test_vortex_turns_around_the_axis():
    np.testing.assert_allclose(push("vortex", strength=2)[:2], [[0, 2, 0], [-4, 0, 0]])


def test_drag_slows_by_speed_and_its_square():
    moving = np.tile([2.0, 0, 0], (4, 1))
    _, slowed = field("drag", linear_drag=0.5, quadratic_drag=0.25).at(PLACES, moving, 1)
    np.testing.assert_allclose(slowed, 0.5 + 0.25 * 2)
    _, flow = field("wind", strength=1, flow=1.5).at(PLACES, moving, 1)
    np.testing.assert_allclose(flow, 1.5)


def test_turbulence_is_smooth_and_of_its_size():
    line = np.stack([np.linspace(0, 10, 4001), np.full(4001, 0.3), np.full(4001, 0.7)], 1)
    fine, broad = turbulence(line, 0.2, 1), turbulence(line, 2.0, 1)
    assert np.abs(fine).max() < 1 and abs(fine.mean()) < 0.1 and fine.std() > 0.1
    assert np.abs(np.diff(fine)).max() < 0.15 and np.abs(np.diff(fine)).mean() > 5 * np.abs(np.diff(broad)).mean()
    assert not np.allclose(fine, turbulence(line, 0.2, 2))
    aside = np.eye(4)
    aside[:3, 3] = 0.13, 0.27, 0.38  # its numbers are 0 at whole multiples of its size
    pushes = push("turbulence", aside, strength=4, size=0.5)
    assert (np.abs(pushes) <= 4).all() and len(np.unique(pushes.round(6))) > 6


def fields(kind, v=None, frames=1, **given):
    row = values(**given)
    table = np.array([[[row[name] for name in FORCE_VALUES]]] * frames)
    return Fields((ForceField("F", kind),), np.eye(4)[None, None].repeat(frames, 0), table, FPS)


def test_wind_presses_on_what_stands_across_it_and_passes_what_lies_along_it():
    flat, faces = grid(6, 6)
    sheet = Sheet.of(faces, flat, 0.2)
    across = fields("wind", strength=100, surface=1).accelerations(0, flat, np.zeros_like(flat), sheet)
    np.testing.assert_allclose((across * sheet.masses[:, None]).sum(0), [0, 0, PRESSURE * 100 * 0.25**2], rtol=1e-5)
    upright = flat[:, [0, 2, 1]]
    along = fields("wind", strength=100, surface=1).accelerations(0, upright, np.zeros_like(flat), sheet)
    assert np.abs(along).max() < 1e-6
    free = fields("wind", strength=100, surface=0).accelerations(0, upright, np.zeros_like(flat), sheet)
    np.testing.assert_allclose((free * sheet.masses[:, None]).sum(0), [0, 0, PRESSURE * 100 * 0.25**2], rtol=1e-5)


def test_drag_takes_no_more_than_the_whole_speed_in_a_frame():
    flat, faces = grid(4, 4)
    v = np.tile([1.0, -2, 3], (len(flat), 1))
    slowed = fields("drag", linear_drag=2, quadratic_drag=0).accelerations(0, flat, v, Sheet.of(faces, flat, 1e-3))
    np.testing.assert_allclose(slowed / FPS, -v, rtol=1e-3)


def test_strength_follows_its_keys():
    still = fields("wind", frames=3, strength=1.0)
    still.values[:, 0, FORCE_VALUES.index("strength")] = 0, 10, 20
    points, faces = grid(3, 3)
    pushes = [still.accelerations(t, points, 0 * points, Sheet.of(faces, points, 0.2))[4, 2] for t in (-5, 0.5, 1, 9)]
    np.testing.assert_allclose(np.array(pushes) / pushes[2], [0, 0.5, 1, 2], atol=1e-6)


def test_a_wind_beyond_all_reason_is_limited():
    points, faces = grid(3, 3)
    push = fields("wind", strength=1e9).accelerations(0, points, 0 * points, Sheet.of(faces, points, 0.2))
    assert np.isfinite(push).all() and np.linalg.norm(push, axis=1).max() < 2001


@pytest.mark.parametrize("strength", [2.0, -2.0])
def test_a_banner_in_the_wind_stands_out_on_its_side(strength):
    """A wind across a hanging strip that presses about as hard as gravity pulls."""
    turned = np.eye(4)
    turned[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]  # its axis along +Y
    row = values(strength=strength, surface=1, flow=1)
    table = np.array([[[row[name] for name in FORCE_VALUES]]])
    wind = Fields((ForceField("Wind", "wind", "plane"),), turned[None, None], table, FPS)
    way, moved = hanging(Surroundings(forces=wind), 48)
    assert np.isfinite(moved).all() and np.sign(way[1]) == np.sign(strength) and abs(way[1]) > 0.3


def test_a_field_of_no_strength_changes_no_bit():
    _, plain = hanging(None, 8)
    _, calm = hanging(Surroundings(forces=fields("wind", strength=0)), 8)
    np.testing.assert_array_equal(plain, calm)
