"""Light falls as in Cycles, and what stands in its way keeps it off."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ani3dhuman.mesh.raster import Cutouts
from ani3dhuman.rendering.light_sources import Lighting
from ani3dhuman.rendering.surface_lighting import Illumination, Surface, illuminate

CYCLES = json.loads((Path(__file__).parent / "cycles_lights.json").read_text())  # tests/blender/lamp_cases.py writes it
UP = np.array([0.0, 0.0, 1.0])
AXES = {"sun_directions": (-1, 3), "sun_colors": (-1, 3)}
BLACK = np.zeros(3)


def disc(radius: float, height: float, sides: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """A level disc around the vertical axis, and far below it a speck that keeps the mesh's bounds wide."""
    turn = np.arange(sides) * 2 * math.pi / sides
    rim = np.stack([radius * np.cos(turn), radius * np.sin(turn), np.full(sides, height)], axis=1)
    vertices = np.concatenate([[[0, 0, height]], rim])
    faces = np.stack([np.zeros(sides), 1 + np.arange(sides), 1 + (np.arange(sides) + 1) % sides], axis=1)
    return vertices, faces.astype(np.int64)


def sun(way: tuple[float, ...], angle: float = 0.0, casts: float = 1.0) -> Lighting:
    direction = np.array([way]) / np.linalg.norm(way)
    return Lighting(direction, np.full((1, 3), np.pi), BLACK, np.array([[angle, casts]]))


def lamp(kind: int, place: tuple[float, ...], shape: tuple[float, ...]) -> Lighting:
    matrix = np.eye(4)
    matrix[:3, 3] = place
    none = np.zeros((0, 3))
    lamps = np.array([kind]), matrix[None], np.full((1, 3), 100.0), np.array([shape])
    return Lighting(none, none, BLACK, None, *lamps)


def lit(
    lighting: Lighting,
    mesh: tuple[np.ndarray, np.ndarray],
    points: np.ndarray,
    normals: np.ndarray,
    albedo: float = 0.0,
) -> Illumination:
    """Light on points of a mesh of one albedo; a black one reflects nothing."""
    surface = Surface(mesh[0], mesh[1], np.full((len(mesh[0]), 3), albedo))
    return illuminate(lighting, surface, points, normals)


def direct(lighting: Lighting, vertices: np.ndarray, faces: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(N,) light on a level floor at `places` (N,2 or 3)."""
    points = np.zeros((len(places), 3))
    points[:, : places.shape[1]] = places
    return lit(lighting, (vertices, faces), points, np.tile(UP, (len(points), 1))).direct[:, 0]


@pytest.mark.parametrize("name", CYCLES["cases"])
def test_an_open_floor_is_lit_as_in_cycles(name: str) -> None:
    case = CYCLES["cases"][name]
    arrays = {key: np.array(value).reshape(AXES.get(key, np.shape(value))) for key, value in case["arrays"].items()}
    arrays.pop("background")
    places, expected = np.array(CYCLES["places"]), np.array(case["radiance"])
    speck = np.array([[0, 0, -0.01], [0.01, 0, -0.01], [0, 0.01, -0.01]]), np.array([[0, 1, 2]])
    light = lit(Lighting(**arrays), speck, places, np.tile(UP, (len(places), 1)))
    np.testing.assert_allclose(light.total, expected, atol=0.01 * expected.max())


@pytest.mark.parametrize("way", [(0, 0, -1), (0.5, 0.2, -1), (-0.3, -0.8, -1)])
def test_a_disc_casts_the_shadow_of_a_disc(way: tuple[float, ...]) -> None:
    vertices, faces = disc(0.5, 1.0)
    middle = np.array(way[:2])
    around = np.array([[np.cos(a), np.sin(a)] for a in np.linspace(0, 6, 13)])
    whole = -way[2] / np.linalg.norm(way)
    np.testing.assert_allclose(direct(sun(way), vertices, faces, middle + 0.48 * around), 0, atol=1e-6)
    np.testing.assert_allclose(direct(sun(way), vertices, faces, middle + 0.52 * around), whole, rtol=1e-5)
    np.testing.assert_allclose(direct(sun(way, casts=0), vertices, faces, middle + 0.1 * around), whole, rtol=1e-5)
    np.testing.assert_allclose(
        direct(lamp(0, (0, 0, 2), (0, 0, 0, 0, 1)), vertices, faces, 0.96 * around), 0, atol=1e-6
    )  # from twice as high a point makes it twice as wide
    assert (direct(lamp(0, (0, 0, 2), (0, 0, 0, 0, 1)), vertices, faces, 1.04 * around) > 0.1).all()


@pytest.mark.parametrize(
    "lighting",
    [sun((0, 0, -1), 0.8), lamp(0, (0, 0, 3), (1.8, 1.8, 0, 0, 1)), lamp(3, (0, 0, 3), (1.8, 1.8, math.pi, 0, 1))],
    ids=["sun", "ball", "disc"],
)
def test_large_lights_cast_soft_shadows(lighting: Lighting) -> None:
    """Light grows from the full shadow to its rim, and half of it comes where half of the light is seen."""
    vertices, faces = disc(0.9, 1.0)
    places = np.stack([np.linspace(0, 2, 41), np.zeros(41)], axis=1)
    unshaded = replace(lighting, **_without_shadows(lighting))
    share = direct(lighting, vertices, faces, places) / direct(unshaded, vertices, faces, places)
    assert (np.diff(share) > -0.08).all()
    assert share[0] < 0.02 and share[-1] > 0.98
    edge = 0.9 if lighting.lamp_kinds is None else 1.35
    assert share[np.argmin(np.abs(places[:, 0] - edge))] == pytest.approx(0.5, abs=0.15)


def _without_shadows(lighting: Lighting) -> dict[str, np.ndarray]:
    name = "sun_shapes" if lighting.lamp_kinds is None else "lamp_shapes"
    shapes = np.array(getattr(lighting, name))
    shapes[:, -1] = 0
    return {name: shapes}


@pytest.mark.parametrize(("radius", "height"), [(0.5, 0.5), (1.0, 0.3), (0.3, 1.0)])
def test_what_hides_the_sky_takes_its_share_of_light(radius: float, height: float) -> None:
    """A disc overhead hides sin^2 of half its opening of a matte floor's sky."""
    even = Lighting(np.zeros((0, 3)), np.zeros((0, 3)), np.ones(3))
    places = np.linspace(-0.05, 0.05, 9)[:, None] * radius * np.array([1, 0, 0])
    light = lit(even, disc(radius, height), places, np.tile(UP, (9, 1)))
    assert light.sky[:, 0].mean() == pytest.approx(height**2 / (radius**2 + height**2), abs=0.08)
    np.testing.assert_allclose(light.reflected, 0)


@pytest.mark.parametrize("turned", [False, True])
def test_what_is_lit_lights_what_faces_it(turned: bool) -> None:
    """A sunlit disc lights what is above it with its share of that one's view, whichever way its faces turn."""
    vertices, faces = disc(1.0, 0.0)
    mesh = vertices, faces[:, ::-1].copy() if turned else faces
    places = np.array([[0, 0, 0.7], [0, 0, -0.7]])
    light = lit(sun((0, 0, -1)), mesh, places, np.array([[0, 0, -1.0], UP]), albedo=0.5)
    assert light.reflected[0] == pytest.approx(0.5 / (1 + 0.7**2), abs=0.05)
    np.testing.assert_allclose(light.reflected[1], 0, atol=0.01)
    np.testing.assert_allclose(light.direct, 0, atol=1e-6)


def test_between_two_surfaces_only_the_nearer_one_gives_light() -> None:
    """A roof that the sun lights from above keeps dark below, and hides another one over it."""
    low, high = disc(1.3, 0.5), disc(1.5, 1.0)
    mesh = np.concatenate([low[0], high[0]]), np.concatenate([low[1], high[1] + len(low[0])])
    light = lit(sun((0, 0, -1)), mesh, np.array([[0, 0, 0.75], [0, 0, 0.25]]), np.tile(UP, (2, 1)), albedo=0.8)
    np.testing.assert_allclose(light.reflected, 0, atol=0.02)


def test_a_surface_does_not_shade_itself() -> None:
    turns, rings = np.meshgrid(np.arange(64) * 2 * np.pi / 64, np.arange(1, 32) * np.pi / 32)
    ball = np.stack([np.sin(rings) * np.cos(turns), np.sin(rings) * np.sin(turns), np.cos(rings)], -1)
    number = np.arange(31 * 64).reshape(31, 64)
    a, b, c, d = number[:-1], np.roll(number, -1, 1)[:-1], np.roll(number, -1, 1)[1:], number[1:]
    faces = np.concatenate([np.stack([a, d, c], -1).reshape(-1, 3), np.stack([a, c, b], -1).reshape(-1, 3)])
    points = ball.reshape(-1, 3)
    lighting = sun((0.3, 0.5, -0.8))
    both = Lighting(lighting.sun_directions, lighting.sun_colors, np.ones(3))
    light = lit(both, (points, faces), points, points, albedo=0.8)
    expected = np.maximum(-points @ lighting.sun_directions[0], 0)
    np.testing.assert_allclose(light.direct[:, 0], expected, atol=0.06)
    assert np.abs(light.direct[:, 0] - expected).mean() < 0.002
    assert light.sky.min() > 0.95 and light.reflected.max() < 0.05


@pytest.mark.parametrize("sides", [6, 8, 12])
def test_a_coarse_limb_that_is_smoothly_shaded_does_not_shade_itself(sides: int) -> None:
    """A prism as thick as an arm, with the normals of the round limb that it stands for."""
    height, radius = 1.8, 0.045
    turns = np.arange(sides) * 2 * math.pi / sides
    ring = radius * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    vertices = np.concatenate([np.insert(ring, 2, z, axis=1) for z in (0, height)])
    first, second = np.arange(sides), (np.arange(sides) + 1) % sides
    faces = np.concatenate(
        [np.stack([first, second, second + sides], 1), np.stack([first, second + sides, first + sides], 1)]
    )
    rng = np.random.default_rng(0)
    own, shares = rng.integers(0, len(faces), 2000), rng.dirichlet([1, 1, 1], 2000)
    corners = vertices[faces[own]]
    points = np.einsum("nc,nck->nk", shares, corners)
    normals = points * [1, 1, 0] / np.linalg.norm(points[:, :2], axis=1, keepdims=True)
    planes = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    planes /= np.linalg.norm(planes, axis=1, keepdims=True)
    way = np.array([-0.6, -0.2, -0.5])
    lighting = sun(tuple(way), angle=0.05)
    both = replace(lighting, ambient=np.ones(3))
    surface = Surface(vertices, faces, np.zeros((len(vertices), 3)))
    light = illuminate(both, surface, points, normals, planes=planes)
    expected = -normals @ lighting.sun_directions[0]
    over = -planes @ lighting.sun_directions[0] > 0  # the sun is over the plane of the face, and not in it
    np.testing.assert_allclose(light.direct[over, 0], np.maximum(expected, 0)[over], atol=0.01)
    assert np.percentile(light.openness, 5) > 0.9


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
@pytest.mark.parametrize("place", [(0, 0, 1.0), (0.1, 0, 1.0), (0, 0, 0.0), (0, 0, 1e5)])
def test_lamps_in_odd_places_give_finite_light(kind: int, place: tuple[float, ...]) -> None:
    vertices, faces = disc(0.5, 1.0)
    points = np.concatenate([vertices, np.zeros((1, 3))])
    odd = lamp(kind, place, (0.1, 0.2, 0.7, 0.1, 1))
    light = lit(odd, (vertices, faces), points, np.tile(UP, (len(points), 1)), albedo=0.5)
    assert np.isfinite(light.total).all() and (light.total >= 0).all()


def test_lights_that_move_are_taken_frame_by_frame() -> None:
    still = sun((0, 0, -1))
    moving = Lighting(np.stack([still.sun_directions, -still.sun_directions]), still.sun_colors, BLACK)
    vertices, faces = disc(0.1, -1.0)
    floor = np.array([[2.0, 2.0]])
    assert direct(moving.at(0), vertices, faces, floor) == pytest.approx(1)
    assert direct(moving.at(1), vertices, faces, floor) == 0
    assert direct(moving.taken(np.array([1, 0])).at(1), vertices, faces, floor) == pytest.approx(1)


@pytest.mark.parametrize("gap", [0.008, 0.02])
def test_what_lies_close_over_a_surface_hides_sun_and_sky(gap: float) -> None:
    """Hair over an ear, on a character two metres tall: nearer than a cell of the maps is wide."""
    (leaf, leaf_faces), (far, far_faces) = disc(0.2, gap), disc(0.01, -2.0)
    floor, floor_faces = disc(0.4, 0.0)
    vertices = np.concatenate([leaf, floor, far])
    faces = np.concatenate([leaf_faces, floor_faces + len(leaf), far_faces + len(leaf) + len(floor)])
    lighting = sun((0.3, 0.1, -1), angle=0.07)
    both = Lighting(lighting.sun_directions, lighting.sun_colors, np.ones(3), lighting.sun_shapes)
    angles = np.linspace(0, 6, 12)
    under = np.stack([0.1 * np.cos(angles), 0.1 * np.sin(angles), 0 * angles], axis=1)
    light = lit(both, (vertices, faces), under, np.tile(UP, (12, 1)))
    assert light.direct.max() < 0.01 and light.openness.max() < 0.1
    beside = lit(both, (vertices, faces), 3.5 * under, np.tile(UP, (12, 1)))
    assert beside.direct.min() > 0.9 and beside.openness.min() > 0.9


def test_light_falls_through_holes() -> None:
    """A roof whose left half is clear shades the right half of the floor, from sun and lamp alike."""
    vertices = np.array([[-1, -1, 0.5], [1, -1, 0.5], [1, 1, 0.5], [-1, 1, 0.5]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    uvs = (vertices[faces][..., :2] / 2 + 0.5).astype(np.float32)
    alpha = np.where(np.arange(64) < 32, 0, 255).astype(np.uint8)[None].repeat(64, 0)
    holes = Cutouts(np.zeros(2, np.int32), uvs, alpha.ravel(), np.array([[0, 64, 64]]))
    points = np.array([[-0.3, 0, 0], [0.3, 0, 0]])
    surface = Surface(vertices, faces, np.zeros((4, 3)), holes)
    for light in (sun((0, 0, -1)), lamp(0, (0, 0, 30.0), (0, 0, 0, 0, 1))):
        left, right = illuminate(light, surface, points, np.tile(UP, (2, 1))).direct[:, 0]
        assert left > 0 and right == 0
    even = Lighting(np.zeros((0, 3)), np.zeros((0, 3)), np.ones(3))
    left, right = illuminate(even, surface, points, np.tile(UP, (2, 1))).openness
    assert left > right + 0.2


@pytest.mark.parametrize(("angle", "expected"), [(0.3, 1.0), (0.9, 0.5), (1.2, 0.0)])
def test_a_toon_surface_scatters_light_from_around_its_normal_alone(angle: float, expected: float) -> None:
    """As Cycles' Toon shader: even up to its angle, none beyond the soft edge, and all of an even sky's light."""
    tones = np.array([[0.8, 0.2]])
    speck = Surface(
        np.array([[0, 0, -0.01], [0.01, 0, -0.01], [0, 0.01, -0.01]]), np.array([[0, 1, 2]]), np.zeros((3, 3))
    )
    light = sun((math.sin(angle), 0, -math.cos(angle)))
    both = Lighting(light.sun_directions, light.sun_colors, np.ones(3), light.sun_shapes)
    found = illuminate(both, speck, np.zeros((1, 3)), UP[None], None, tones)
    assert found.direct[0, 0] == pytest.approx(expected * 0.5 / (1 - math.cos(1.0)), rel=1e-4)
    np.testing.assert_allclose(found.sky, 1, atol=1e-5)
