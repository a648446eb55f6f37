"""Fast motion, fabrics, and input that is not as it should be: the solver holds or says clearly what is wrong."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from synthetic import tube

from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.progress import Progress
from ani3dhuman.cloth import kernels as cloth_kernels
from ani3dhuman.cloth import pulls as cloth_pulls
from ani3dhuman.cloth.character import simulate_character
from ani3dhuman.cloth.constraints import hinges_of
from ani3dhuman.cloth.fabrics import FABRICS, ClothSettings
from ani3dhuman.cloth.preroll import rigid_fit
from ani3dhuman.cloth.simulate import simulate
from ani3dhuman.cloth.solver import substeps_of
from ani3dhuman.cloth.surroundings import Surroundings
from ani3dhuman.mesh import kernels as mesh_kernels
from ani3dhuman.mesh.kernels import closest_on_triangle
from ani3dhuman.mesh.surface import Obstacle
from ani3dhuman.mesh.topology import edges_of

FPS = 24.0


@pytest.fixture(scope="module")
def skirt():
    vertices, faces = tube(np.linspace(0.17, 0.42, 16), np.linspace(1.1, 0.5, 16))
    pins = np.zeros(len(vertices), np.float32)
    pins[:40] = 1
    return vertices, faces, pins


def two_legs():
    """Two thin capsules under the skirt's waist: rest positions and faces."""
    leg, faces = tube(np.array([0.01, 0.06, 0.07, 0.06, 0.06, 0.05, 0.05, 0.01]), np.linspace(1.12, 0.2, 8))
    left, right = leg + np.float32([0.08, 0, 0]), leg - np.float32([0.08, 0, 0])
    return np.concatenate([left, right]), np.concatenate([faces, faces + len(leg)])


def edge_ratios(moved, vertices, faces):
    pairs = edges_of(faces)
    return np.linalg.norm(moved[:, pairs[:, 0]] - moved[:, pairs[:, 1]], axis=2) / np.linalg.norm(
        vertices[pairs[:, 0]] - vertices[pairs[:, 1]], axis=1
    )


def kicking(frames=20):
    """The right leg swings forward by 95 degrees in five frames (foot at about 8 m/s) and back."""
    legs, faces = two_legs()
    angle = np.radians(95) * np.clip(1 - np.abs(np.arange(frames) - 10) / 5, 0, 1)
    moved = np.repeat(legs[None], frames, 0)
    right, hip = len(legs) // 2, np.array([-0.08, 0, 1.05])
    for t in range(frames):
        turn = Rotation.from_euler("x", -angle[t])
        moved[t, right:] = turn.apply(legs[right:] - hip) + hip
    return Surroundings(Obstacle(moved.astype(np.float32), faces, legs))


def test_a_kick_stays_finite_short_and_outside(skirt):
    vertices, faces, pins = skirt
    body = kicking()
    moved = simulate(np.repeat(vertices[None], 20, 0), faces, vertices, pins, body, FPS)
    assert np.isfinite(moved).all()
    ratios = edge_ratios(moved, vertices, faces)
    assert np.percentile(ratios, 99) < 1.1
    assert ratios.max() < 1.25, "not even where the leg pushes one end of an edge"
    depth = np.stack([-body.obstacle.at(t).heights(moved[t])[0] for t in range(20)])
    assert np.percentile(np.maximum(depth, 0), 99) < 0.003
    front = vertices[:, 1] < -0.2
    assert moved[10, front, 2].max() > vertices[front, 2].max() + 0.05, "the leg lifts the cloth before it"


def test_a_jump_stays_finite_and_short(skirt):
    vertices, faces, pins = skirt
    time = np.arange(24) / FPS
    path = np.zeros((24, 3))
    path[:, 2] = 0.6 * np.clip(1 - ((time - 0.5) / 0.35) ** 2, 0, 1)  # 3.4 m/s at take-off and landing
    path[:, 0] = 0.8 * np.clip((time - 0.15) / 0.7, 0, 1)
    legs, leg_faces = two_legs()
    skinned = (vertices[None] + path[:, None]).astype(np.float32)
    body = Surroundings(Obstacle((legs[None] + path[:, None]).astype(np.float32), leg_faces, legs))
    moved = simulate(skinned, faces, vertices, pins, body, FPS)
    assert np.isfinite(moved).all()
    assert np.percentile(edge_ratios(moved, vertices, faces), 99) < 1.3
    hem = moved[:, -20:] - path[:, None]
    assert np.ptp(hem, axis=0).max() > 0.02, "the hem does not just go along"


def test_a_shot_may_begin_in_a_wild_pose(skirt):
    """Turned upside down and half collapsed by the skeleton in frame 0: the way in from rest leaves sound cloth."""
    vertices, faces, pins = skirt
    turn = Rotation.from_euler("xz", [0.9, 2.5])
    posed = turn.apply(vertices)
    posed[60:, :2] *= 0.05  # what bad skin weights make of the free part
    skinned = np.repeat(posed[None], 6, 0).astype(np.float32)
    moved = simulate(skinned, faces, vertices, pins, None, FPS)
    np.testing.assert_allclose(moved[:, :40], skinned[:, :40], atol=1e-5)
    ratios = edge_ratios(moved, vertices, faces)
    assert np.percentile(ratios[0], 99) < 1.2
    step = np.linalg.norm(np.diff(moved, axis=0), axis=2)
    assert step.max() < 0.15, "metres a frame; nothing explodes when the shot begins"


def test_what_hangs_free_is_shown_no_longer_than_cloth_is(skirt):
    vertices, faces, pins = skirt
    skinned = np.stack([vertices + np.float32([0.1 * np.sin(t), 0, 0.1 * np.cos(t)]) for t in range(12)])
    heavy = replace(FABRICS["generic"], density=0.4)
    longest = []
    for fabric in (heavy, replace(heavy, stretch=2)):  # and rubber as long as it is
        ratios = edge_ratios(simulate(skinned, faces, vertices, pins, None, FPS, fabric), vertices, faces)
        longest.append(np.percentile(ratios, 99))
    assert longest[0] < 1.05 < longest[1]


def test_fast_frames_get_more_substeps_and_slow_ones_fewer():
    settings = ClothSettings()
    standing, walking, kick = (substeps_of(settings, FPS, speed) for speed in (0.0, 2.4, 9.0))
    assert standing < walking == settings.substeps < kick
    assert substeps_of(settings, 48.0, 2.4) == settings.substeps / 2, "a substep lasts as long at any frame rate"
    assert kick < substeps_of(settings, FPS, 1e6) == 4 * settings.substeps, "bounded"


def test_the_frame_rate_hardly_changes_how_cloth_swings(skirt):
    vertices, faces, pins = skirt

    def hem(fps):
        time = np.arange(int(1.5 * fps)) / fps
        x = np.minimum(1.2 * time, 0.6)
        skinned = vertices[None] + np.stack([x, 0 * x, 0 * x], 1)[:, None]
        fabric = replace(FABRICS["generic"], preroll=round(fps))  # a second, either way
        moved = simulate(skinned.astype(np.float32), faces, vertices, pins, None, fps, fabric)
        return (moved[:, -20:, 0].mean(1) - x)[:: round(fps / 24)]

    slow, fast = hem(24.0), hem(48.0)
    assert np.abs(slow - fast).max() < 0.25 * np.ptp(slow)


def test_the_stiffer_a_fabric_the_less_it_folds(skirt):
    vertices, faces, pins = skirt
    skinned = np.stack([vertices + np.float32([0.12 * np.sin(t), 0, 0]) for t in range(24)])
    hinges, weights = hinges_of(faces, vertices)

    def bend(stiffness):
        moved = simulate(skinned, faces, vertices, pins, None, FPS, replace(FABRICS["cotton"], bend=stiffness))
        return np.linalg.norm(np.einsum("hk,thkd->thd", weights, moved[:, hinges]), axis=-1).mean()

    assert bend(3e-6) > 1.2 * bend(1e-3)


def test_degenerate_faces_islands_and_loose_points_are_handled(skirt):
    vertices, faces, pins = skirt
    button, _ = tube(np.array([0.01, 0.012]), np.array([0.8, 0.79]))
    button += np.float32([0.5, 0, 0])
    n = len(vertices)
    points = np.concatenate([vertices, vertices[-1:], button[:12], [[1.0, 1, 1]]]).astype(np.float32)
    more = np.array([[0, 0, 1], [n - 1, n, n - 2], [n + 1, n + 2, n + 3], [5, 5, 5]])  # twice a vertex, no area
    all_faces = np.concatenate([faces, more])
    weights = np.concatenate([pins, np.zeros(14, np.float32)])
    path = np.array([[0.03 * t, 0, 0] for t in range(8)], np.float32)
    legs, leg_faces = two_legs()
    flat = np.concatenate([leg_faces, [[0, 0, 1], [3, 3, 3], [0, 1, 0]]])
    body = Surroundings(Obstacle((legs[None] + path[:, None]).astype(np.float32), flat, legs))
    skinned = (points[None] + path[:, None]).astype(np.float32)
    moved = simulate(skinned, all_faces, points, weights, body, FPS)
    assert np.isfinite(moved).all()
    np.testing.assert_allclose(moved[:, n + 1 :], skinned[:, n + 1 :], atol=1e-5)  # loose: with the skin
    assert np.percentile(edge_ratios(moved, points, faces), 99) < 1.3


def test_a_garment_of_nothing_and_a_clip_of_one_frame(skirt):
    vertices, faces, pins = skirt
    one = simulate(vertices[None], faces, vertices, pins, None, FPS)
    assert one.shape == (1, len(vertices), 3) and np.isfinite(one).all()
    loose = simulate(vertices[None], np.zeros((0, 3), int), vertices, pins, None, FPS)
    np.testing.assert_allclose(loose[0], vertices, atol=1e-5)


def broken(array, index, value=np.nan):
    array = np.array(array, np.float32)
    array[index] = value
    return array


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("cloth.not_finite", lambda a: a | {"skinned": broken(a["skinned"], (2, 5, 1))}),
        ("cloth.not_finite", lambda a: a | {"bind_vertices": broken(a["bind_vertices"], (5, 1), np.inf)}),
        ("cloth.not_finite", lambda a: a | {"pin_weights": broken(a["pin_weights"], 7)}),
        (
            "cloth.not_finite",
            lambda a: a | {"surroundings": Surroundings(Obstacle(broken(a["skinned"], (0, 3, 0)), a["faces"]))},
        ),
        ("cloth.shape", lambda a: a | {"skinned": a["skinned"][:, :-1]}),
        ("cloth.shape", lambda a: a | {"skinned": a["skinned"][:0]}),
        ("cloth.shape", lambda a: a | {"surroundings": Surroundings(Obstacle(a["skinned"][:2], a["faces"]))}),
        ("cloth.faces", lambda a: a | {"faces": a["faces"] + 1}),
        ("cloth.fps", lambda a: a | {"fps": 0.0}),
    ],
)
def test_bad_input_gets_one_clear_error(skirt, code, change):
    vertices, faces, pins = skirt
    good = {
        "skinned": np.repeat(vertices[None], 3, 0),
        "faces": faces,
        "bind_vertices": vertices,
        "pin_weights": pins,
        "surroundings": None,
        "fps": FPS,
    }
    with pytest.raises(Ani3DError) as error:
        simulate(**change(good))
    assert error.value.code == code and error.value.hint


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_jump_out_of_the_world_names_its_frame(skirt):
    vertices, faces, pins = skirt
    skinned = np.repeat(vertices[None], 5, 0)
    skinned[3:] += np.float32(1e30)
    with pytest.raises(Ani3DError) as error:
        simulate(skinned, faces, vertices, pins, None, FPS)
    assert error.value.code == "cloth.unstable" and "frame 3" in error.value.message


@pytest.mark.parametrize("frame", [0, 2])
def test_cancelling_takes_effect_within_a_frame(skirt, frame):
    vertices, faces, pins = skirt
    progress = Progress("cloth", 6)
    progress.should_cancel = lambda: progress.step >= frame
    with pytest.raises(Cancelled):
        simulate(np.repeat(vertices[None], 6, 0), faces, vertices, pins, None, FPS, progress=progress)
    assert progress.step == frame


def test_progress_is_complete_when_nothing_is_free(skirt):
    vertices, faces, pins = skirt
    progress = Progress("cloth", 6)
    regions = np.full(len(vertices), 3)
    skinned = np.repeat(vertices[None], 3, 0)
    moved = simulate_character(skinned, faces, vertices, regions, np.ones_like(pins), FPS, progress=progress)
    np.testing.assert_array_equal(moved, skinned)
    assert progress.step == progress.total


def test_the_nearest_point_of_a_triangle_against_a_search():
    rng = np.random.default_rng(0)
    grid = np.array([(i, j, 60 - i - j) for i in range(61) for j in range(61 - i)]) / 60
    for k in range(60):
        a, b, c, p = rng.normal(size=(4, 3))
        if k % 4 == 0:
            c = a + rng.uniform(-1, 2) * (b - a)  # no area
        distance, *weights = closest_on_triangle(*p, np.stack([a, b, c]), 0, 1, 2)
        assert min(weights) >= 0 and abs(sum(weights) - 1) < 1e-9
        np.testing.assert_allclose(np.linalg.norm(weights @ np.stack([a, b, c]) - p) ** 2, distance, rtol=1e-6)
        searched = np.linalg.norm(grid @ np.stack([a, b, c]) - p, axis=1).min()
        assert np.sqrt(distance) <= searched + 1e-9 and np.sqrt(distance) > searched - 0.06


def test_cloth_beside_the_rim_of_an_open_surface_is_left_alone():
    """A collar, and hair that passes over its rim: behind the surface's plane, but not under the surface."""
    collar, faces = tube(np.full(6, 0.2), np.linspace(1.0, 0.5, 6))
    hair = np.array([[0.18, 0, 1.03], [0.18, 0.01, 1.035], [0.17, 0.005, 1.04]], np.float32)
    quiet = ClothSettings(gravity=0, preroll=0)
    still = [np.repeat(v[None], 4, 0) for v in (hair, collar)]
    around = Surroundings(Obstacle(still[1], faces))
    moved = simulate(still[0], np.array([[0, 1, 2]]), hair, np.zeros(3), around, FPS, quiet)
    np.testing.assert_allclose(moved[-1], hair, atol=1e-4)
    under = hair - np.float32([0, 0, 0.1])
    moved = simulate(np.repeat(under[None], 4, 0), np.array([[0, 1, 2]]), under, np.zeros(3), around, FPS, quiet)
    assert (np.hypot(moved[-1, :, 0], moved[-1, :, 1]) > 0.2).all(), "what is under it comes out"


def test_arithmetic_stays_as_written_so_that_every_compilation_gives_the_same_bits():
    modules = cloth_kernels, cloth_pulls, mesh_kernels
    kernels = {k for m in modules for k in vars(m).values() if hasattr(k, "targetoptions")}
    assert len(kernels) >= 10
    assert not any(k.targetoptions.get("fastmath") for k in kernels)


def test_heights_over_a_cylinder():
    leg, faces = tube(np.array([0.001, *np.full(20, 0.1), 0.001]), np.array([1.0, *np.linspace(1, 0, 20), 0.0]))
    body = Obstacle(leg[None], faces)
    rng = np.random.default_rng(1)
    radius, angle, z = rng.uniform(0.06, 0.2, 500), rng.uniform(0, 2 * np.pi, 500), rng.uniform(0.2, 0.8, 500)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], 1)
    np.testing.assert_allclose(
        body.at(0).heights(points)[0], radius - 0.1, atol=0.002
    )  # 20 sides: 1.2 mm inside the circle


def test_the_rest_pose_is_laid_on_the_first_frame_exactly():
    rng = np.random.default_rng(2)
    points = rng.normal(size=(30, 3))
    turn = Rotation.random(random_state=3)
    R, offset = rigid_fit(points, turn.apply(points) + np.array([1, 2, 3]))
    np.testing.assert_allclose(R, turn.as_matrix(), atol=1e-9)
    np.testing.assert_allclose(offset, [1, 2, 3], atol=1e-9)
