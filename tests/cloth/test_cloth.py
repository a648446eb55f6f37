"""The cloth pass: it hangs, it swings, it keeps its size, it stays out of the body, pins hold."""

import numpy as np
import pytest
from synthetic import make_shot, tube

from ani3d_formats.errors import Cancelled
from ani3d_formats.progress import Progress
from ani3d_formats.skinning import skin
from ani3dhuman.cloth.character import simulate_character
from ani3dhuman.cloth.constraints import hinges_of, tethers
from ani3dhuman.cloth.fabrics import ClothSettings
from ani3dhuman.cloth.pins import pin_weights
from ani3dhuman.cloth.simulate import simulate
from ani3dhuman.cloth.surroundings import Surroundings
from ani3dhuman.mesh.surface import Obstacle
from ani3dhuman.mesh.topology import edges_of


@pytest.fixture(scope="module")
def skirt():
    vertices, faces = tube(np.linspace(0.16, 0.4, 12), np.linspace(1.1, 0.5, 12))
    pins = np.zeros(len(vertices))
    pins[:40] = 1
    return vertices, faces, pins


def moving(vertices, path):
    return (vertices[None] + np.asarray(path, np.float32)[:, None]).astype(np.float32)


def test_pinned_vertices_follow_the_skin_exactly(skirt):
    vertices, faces, pins = skirt
    skinned = moving(vertices, [[0.05 * t, 0, 0] for t in range(12)])
    moved = simulate(skinned, faces, vertices, pins, None, 24.0)
    np.testing.assert_allclose(moved[:, pins > 0.99], skinned[:, pins > 0.99], atol=1e-5)
    assert np.isfinite(moved).all()


def test_a_sudden_stop_makes_the_hem_swing_on(skirt):
    vertices, faces, pins = skirt
    path = [[0.06 * min(t, 10), 0, 0] for t in range(24)]
    moved = simulate(moving(vertices, path), faces, vertices, pins, None, 24.0)
    hem = moved[:, -20:, 0].mean(1) - np.array(path)[:, 0]
    waist = moved[:, :20, 0].mean(1) - np.array(path)[:, 0]
    assert hem[11:15].max() > hem[9] + 0.02, "the hem goes on when the waist has stopped"
    assert abs(waist).max() < 1e-4


def test_edges_keep_their_length(skirt):
    vertices, faces, pins = skirt
    skinned = moving(vertices, [[0.1 * np.sin(t / 3), 0.05 * t, 0] for t in range(24)])
    moved = simulate(skinned, faces, vertices, pins, None, 24.0)
    pairs = edges_of(faces)

    def length(v):
        return np.linalg.norm(v[..., pairs[:, 0], :] - v[..., pairs[:, 1], :], axis=-1)

    ratio = length(moved) / length(vertices)
    assert np.percentile(ratio, 99) < 1.15


def test_cloth_stays_outside_a_leg_that_kicks(skirt):
    vertices, faces, pins = skirt
    leg, leg_faces = tube(np.full(24, 0.1), np.linspace(1.1, 0.3, 24))
    swing = np.linspace(0, 0.25, 12)
    depth = np.clip((1.1 - leg[:, 2]) / 0.8, 0, 1)[:, None]
    legs = np.stack([leg + depth * [s, 0, 0] for s in swing]).astype(np.float32)
    moved = simulate(
        moving(vertices, np.zeros((12, 3))), faces, vertices, pins, Surroundings(Obstacle(legs, leg_faces)), 24.0
    )
    axis_x = depth_at(moved[-1], swing[-1])
    free = (pins < 0.5) & (vertices[:, 2] > 0.55)
    distance = np.hypot(moved[-1][:, 0] - axis_x, moved[-1][:, 1])
    assert distance[free].min() > 0.09


def depth_at(points, swing):
    return np.clip((1.1 - points[:, 2]) / 0.8, 0, 1) * swing


def test_the_same_input_gives_the_same_result(skirt):
    vertices, faces, pins = skirt
    skinned = moving(vertices, [[0.05 * t, 0, 0] for t in range(6)])
    first, second = (simulate(skinned, faces, vertices, pins, None, 24.0) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_hinge_weights_see_bending_and_nothing_else():
    flat = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    hinges, weights = hinges_of(np.array([[0, 1, 2], [0, 2, 3]]), flat)
    assert hinges[0, :2].tolist() == [0, 2] and set(hinges[0, 2:]) == {1, 3}
    np.testing.assert_allclose(weights.sum(1), 0, atol=1e-6)
    stretched = flat * [1.3, 0.8, 1]
    np.testing.assert_allclose(weights[0] @ stretched[hinges[0]], 0, atol=1e-6)
    folded = flat.copy()
    folded[1, 2] = 0.5
    assert np.linalg.norm(weights[0] @ folded[hinges[0]]) > 0.3


def test_tethers_measure_along_the_mesh(skirt):
    vertices, faces, pins = skirt
    anchor, reach = tethers(vertices, edges_of(faces), pins > 0.99)
    assert (reach[pins > 0.99] == 0).all()
    straight = np.linalg.norm(vertices - vertices[anchor], axis=1)
    assert (reach >= straight - 1e-5).all()
    loose, _ = tethers(vertices, edges_of(faces), np.zeros(len(vertices), bool))
    assert (loose == -1).all()


def test_body_and_face_are_untouched_and_hair_moves():
    shot = make_shot(10)
    rigid = skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], shot.skinning_transforms())
    pins = pin_weights(shot)
    progress = Progress("cloth", 20)
    moved = simulate_character(
        rigid, shot["faces"], shot["vertices"], shot["region_ids"], pins, 24.0, progress=progress
    )
    fixed = shot["region_ids"] < 2
    np.testing.assert_array_equal(moved[:, fixed], rigid[:, fixed])
    for region in (2, 3):
        assert np.abs(moved - rigid)[:, shot["region_ids"] == region].max() > 0.01
    assert progress.step == progress.total


def test_a_cancelled_simulation_stops(skirt):
    vertices, faces, pins = skirt
    skinned = moving(vertices, np.zeros((12, 3)))
    calls = []
    progress = Progress("cloth", 12, should_cancel=lambda: len(calls) >= 3, listener=calls.append)
    with pytest.raises(Cancelled):
        simulate(skinned, faces, vertices, pins, None, 24.0, ClothSettings(), progress)
    assert len(calls) == 3


def test_pins_follow_the_gap_to_the_skin_unless_painted():
    shot = make_shot()
    pins = pin_weights(shot)
    skirt = shot["region_ids"] == 3
    order = np.argsort(shot["vertices"][skirt][:, 2])
    assert pins[skirt][order][-20:].mean() > pins[skirt][order][:20].mean()
    assert (pins[shot["region_ids"] < 2] == 1).all()
    painted = np.full(len(pins), -1, np.float32)
    painted[skirt] = 0.25
    shot.arrays["pin_weights"] = painted
    again = pin_weights(shot)
    assert (again[skirt] == 0.25).all()
    np.testing.assert_array_equal(again[~skirt], pins[~skirt])
