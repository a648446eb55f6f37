"""Film frames that stand in a scene: cut where something is nearer, to the pixel, with a depth of their own."""

from dataclasses import replace

import numpy as np
import pytest
from film_scenes import SIZE, camera, dots

from ani3d_formats.errors import Ani3DError
from ani3dhuman.rendering.exposure import Exposure
from ani3dhuman.rendering.motion_blur import render_frame
from ani3dhuman.rendering.occluded import FAR, SceneDepth, render_in_scene

STILL = Exposure(samples=1, shutter=0)
FILM = Exposure(samples=9, shutter=0.5)


@pytest.fixture
def wall():
    """A dense sheet of Gaussians 2 m away that fills the picture and moves to the right."""
    x, y = np.meshgrid(np.linspace(-0.6, 0.6, 40), np.linspace(-0.6, 0.6, 40))
    means = np.stack([np.stack([x.ravel(), y.ravel(), np.full(1600, 2.0)], 1)] * 2)
    means[1, :, 0] += 0.2
    return dots(means, 0.03, opacity=0.99)


def scene(depths, times=(0.0,)):
    return SceneDepth(np.asarray(depths, np.float32), np.asarray(times, float))


def left_half(fine, near=1.0):
    """Something `near` in front of the picture's left 21.5 pixels, and nothing to the right."""
    depths = np.full((1, fine * SIZE, fine * SIZE), FAR, np.float32)
    depths[:, :, : int(21.5 * fine)] = near
    return depths


def test_with_nothing_in_front_it_is_the_plain_frame(wall):
    picture, depth = render_in_scene(wall, camera(), 0, FILM)
    np.testing.assert_allclose(picture.rgba, render_frame(wall, camera(), 0, FILM).rgba, atol=1e-6)
    assert np.abs(depth[20:40, 20:40] - 2).max() < 0.02
    behind, _ = render_in_scene(wall, camera(), 0, FILM, scene(left_half(1, near=2.5)))
    np.testing.assert_array_equal(behind.rgba, picture.rgba)


def test_edges_of_what_stands_in_front_are_right_to_a_part_of_a_pixel(wall):
    whole = render_in_scene(wall, camera(), 0, STILL)[0].rgba
    cut = render_in_scene(wall, camera(), 0, STILL, scene(left_half(2)))[0].rgba
    assert not cut[:, :21].any()
    np.testing.assert_allclose(cut[:, 21], whole[:, 21] / 2, atol=1e-6)
    np.testing.assert_array_equal(cut[:, 22:], whole[:, 22:])


def test_motion_blur_goes_on_behind_a_sharp_edge(wall):
    cut = render_in_scene(wall, camera(), 0, FILM, scene(left_half(1)))[0].rgba
    whole = render_in_scene(wall, camera(), 0, FILM)[0].rgba
    assert not cut[:, :21].any()
    np.testing.assert_array_equal(cut[:, 22:], whole[:, 22:])


def test_what_moves_in_front_is_taken_at_its_time(wall):
    depths = np.concatenate([np.full((1, SIZE, SIZE), 1.0), np.full((1, SIZE, SIZE), FAR)])
    picture, _ = render_in_scene(wall, camera(), 0, replace(FILM, shutter_position="start"), scene(depths, (0.0, 0.5)))
    assert (
        abs(picture.rgba[30, 30, 3] - 5 / 9) < 0.02
    )  # nine moments from 0 to .5: four or five are nearer to the first


def test_empty_pixels_have_the_depth_of_nothing():
    one = dots(np.array([[[0.0, 0.0, 2.0]]] * 2), 0.02)
    _, depth = render_in_scene(one, camera(), 0, STILL)
    assert depth[0, 0] == np.float32(FAR) and abs(depth[32, 32] - 2) < 1e-3


def test_depths_of_another_size_are_refused(wall):
    for depths, times in ((np.ones((1, SIZE, SIZE + 1)), (0,)), (np.ones((2, SIZE, SIZE)), (0,))):
        with pytest.raises(Ani3DError) as caught:
            render_in_scene(wall, camera(), 0, STILL, scene(depths, times))
        assert caught.value.code == "film.depth"
