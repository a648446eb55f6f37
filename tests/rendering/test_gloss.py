"""Glossy surfaces mirror what is around them, and no more light than there is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from ani3dhuman.rendering.gloss import Shine, matte_share, mirrored_sky
from ani3dhuman.rendering.light_sources import Lighting
from ani3dhuman.rendering.surface_lighting import Illumination, Surface, illuminate

NONE = np.zeros((0, 3))
SPECK = np.array([[0, 0, -0.01], [0.01, 0, -0.01], [0, 0.01, -0.01]]), np.array([[0, 1, 2]])


def around(count: int) -> np.ndarray:
    """(count,3) unit vectors spread over the upper half of a sphere, each with as much of it."""
    numbers = np.arange(count) + 0.5
    z, turn = 1 - numbers / count, numbers * math.pi * (3 - math.sqrt(5))
    return np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], axis=1)


def seen(
    lighting: Lighting, eyes: np.ndarray, rough: float, metal: float, level: float, base: float = 1.0
) -> Illumination:
    """A point of a level floor, looked at from each of `eyes` (N,3)."""
    count = len(eyes)
    shine = Shine.of(np.tile([rough, metal, level], (count, 1)), np.full((count, 3), base), eyes)
    surface = Surface(SPECK[0], SPECK[1], np.zeros((3, 3)))
    points = np.tile([0.0, 0.0, 0.5], (count, 1))
    return illuminate(lighting, surface, points, np.tile([0.0, 0.0, 1.0], (count, 1)), shine)


@pytest.mark.parametrize("rough", [0.2, 0.5, 0.8])
def test_white_metal_under_an_even_sky_sends_on_all_of_it(rough: float) -> None:
    eyes = around(200)[:150]
    light = seen(Lighting(NONE, NONE, np.ones(3)), eyes, rough, 1.0, 0.0)
    np.testing.assert_allclose(light.gloss, 1, atol=0.06)


@pytest.mark.parametrize("rough", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("slope", [0.2, 1.0])
def test_a_highlight_holds_as_much_light_as_is_mirrored(rough: float, slope: float) -> None:
    way = np.array([[slope, 0, -1]]) / math.hypot(slope, 1)
    sun = Lighting(way, np.ones((1, 3)), np.zeros(3), np.array([[0.0, 0.0]]))
    eyes = around(20_000)
    given = seen(sun, eyes, rough, 0.0, 0.5)
    sent = (given.shone[:, 0] * eyes[:, 2]).mean() * 2 * math.pi
    toward_sun = Shine.of(np.array([[rough, 0.0, 0.5]]), np.ones((1, 3)), -way)
    expected = toward_sun.mirrored(np.array([[0.0, 0, 1]]))[0, 0] * -way[0, 2]
    assert sent == pytest.approx(expected, rel=0.08)


def test_a_highlight_stands_where_a_mirror_would_show_the_sun() -> None:
    way = np.array([[0.6, 0.0, -0.8]])
    sun = Lighting(way, np.ones((1, 3)), np.zeros(3), np.array([[0.01, 0.0]]))
    eyes = around(4000)
    brightest = eyes[np.argmax(seen(sun, eyes, 0.2, 0.0, 0.5).shone[:, 0])]
    assert brightest @ [0.6, 0.0, 0.8] > math.cos(math.radians(5))


def test_what_casts_a_shadow_hides_the_highlight() -> None:
    way = np.array([[0.0, 0.0, -1.0]])
    sun = Lighting(way, np.ones((1, 3)), np.zeros(3), np.array([[0.0, 1.0]]))
    roof = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1.0]]), np.array([[0, 1, 2], [0, 2, 3]])
    up = np.array([[0.0, 0, 1]])
    shine = Shine.of(np.array([[0.5, 0, 0.5]]), np.ones((1, 3)), up)
    for lighting, lit in ((sun, False), (replace(sun, sun_shapes=np.array([[0.0, 0.0]])), True)):
        light = illuminate(lighting, Surface(*roof, np.zeros((4, 3))), np.zeros((1, 3)), up, shine)
        assert (light.shone > 0).all() == lit


def test_metal_shows_the_sky_where_it_is() -> None:
    """A bright patch at +X, a third of the way up, in smooth metal that is looked at from -X."""
    height, width = 32, 64
    picture = np.full((height, width, 3), 0.1)
    picture[18:24, 28:36] = (4.0, 2.0, 1.0)
    lighting = Lighting(NONE, NONE, np.full(3, 0.2), sky_picture=picture)
    up = math.radians(27)
    at_patch = np.array([[-math.cos(up), 0.0, math.sin(up)]])
    aside = np.array([[0.0, -math.cos(up), math.sin(up)]])
    # a floor of smooth metal
    np.testing.assert_allclose(seen(lighting, at_patch, 0.0, 1.0, 0.0).gloss[0], [4, 2, 1], rtol=0.25)
    np.testing.assert_allclose(seen(lighting, aside, 0.0, 1.0, 0.0).gloss[0], 0.1, rtol=0.2)
    rough = seen(lighting, at_patch, 0.7, 1.0, 0.0).gloss[0]
    assert 0.15 < rough[0] < 2.5


def test_an_even_sky_stays_even_however_blurred() -> None:
    sky = np.full((16, 32, 3), 0.7)
    ways = np.concatenate([around(50), -around(50)])
    np.testing.assert_allclose(mirrored_sky(sky, ways, np.linspace(0, 1, 100)), 0.7, rtol=1e-4)


def test_metals_scatter_nothing_and_what_is_mirrored_is_not_scattered() -> None:
    up = np.array([[0.0, 0, 1]])
    for gloss, share in (((0.5, 1.0, 0.0), 0.0), ((0.5, 0.0, 0.0), 1.0)):
        row = np.array([gloss])
        np.testing.assert_allclose(
            matte_share(row, Shine.of(row, np.full((1, 3), 0.5), up).mirrored(up)), share, atol=1e-6
        )
    row = np.array([[0.5, 0.0, 0.5]])
    grazing = np.array([[0.995, 0, 0.1]])
    facing, edge = (matte_share(row, Shine.of(row, np.ones((1, 3)), eye).mirrored(up))[0, 0] for eye in (up, grazing))
    assert 0.94 < facing < 0.97 and edge < 0.9 * facing
