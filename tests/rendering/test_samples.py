"""Pixels of a picture are the mean of samples, and edges come out as covered as they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from film_scenes import SIZE, camera, dots

from ani3dhuman.rendering.draw import BLUR, draw, sampled
from ani3dhuman.rendering.layers import render_layer


@pytest.fixture
def cloud():
    """300 coloured Gaussians at several depths."""
    rng = np.random.default_rng(5)
    gaussians = dots(rng.uniform((-0.3, -0.3, 1.5), (0.3, 0.3, 3), (1, 300, 3)), 0.02)
    return replace(gaussians, colors=rng.random((1, 300, 3)).astype(np.float32))


def test_a_pixel_is_the_mean_of_a_picture_twice_as_fine(cloud):
    view = camera()
    twice = view.resized(2 * SIZE, 2 * SIZE)
    ours, alpha = draw(cloud, cloud.colors[0], view, 0, with_depth=True, samples=2)
    fine, covered = draw(cloud, cloud.colors[0], twice, 0, with_depth=True, blur=4 * BLUR, samples=1)

    def mean(picture):
        return picture.reshape(SIZE, 2, SIZE, 2, -1).mean((1, 3))

    np.testing.assert_allclose(alpha, mean(covered)[..., 0], atol=1e-6)
    np.testing.assert_allclose(ours[..., :3], mean(fine[..., :3]), atol=1e-6)
    seen = alpha > 0.01
    depth = mean(fine[..., 3:] * covered[..., None])[..., 0][seen] / alpha[seen]
    np.testing.assert_allclose(ours[..., 3][seen], depth, rtol=1e-4)


def test_steps_along_a_slanted_edge_become_half_as_high():
    # an opaque sheet of small dots, whose edge crosses pixels at a slant of 1 in 8
    x, y = np.meshgrid(np.arange(-0.6, 0.6, 0.004), np.arange(0, 0.6, 0.004))
    sheet = np.stack([x, y + x / 8, np.full_like(x, 2.0)], -1).reshape(1, -1, 3)
    gaussians = dots(sheet, 0.003, opacity=0.99)
    view = camera()
    exact = draw(gaussians, gaussians.colors[0], view, 0, samples=8)[1]
    off = [np.abs(draw(gaussians, gaussians.colors[0], view, 0, samples=n)[1] - exact).max() for n in (1, 2)]
    assert off[1] < 0.6 * off[0]


@pytest.mark.parametrize("mode", ["RGB", "RGB+ED"])
@pytest.mark.parametrize("samples", [2, 3])
def test_a_picture_is_the_same_whether_gradients_are_wanted_or_not(cloud, mode, samples):
    arrays = cloud.means[0], cloud.quats[0], cloud.scales[0], cloud.opacities, cloud.colors[0]
    gaussians = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
    view = camera(frames=2)
    options = {"samples": samples, "width": SIZE, "height": SIZE, "render_mode": mode}
    alone = sampled(gaussians, *map(torch.from_numpy, (view.viewmats, view.Ks)), **options)
    gaussians[0].requires_grad_()
    wanted = sampled(gaussians, *map(torch.from_numpy, (view.viewmats, view.Ks)), **options)
    assert wanted[0].requires_grad and alone[0].shape == (2, SIZE, SIZE, 3 + (mode == "RGB+ED"))
    for ours, theirs in zip(alone, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs.detach(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_frames_that_are_lit_ahead_come_in_their_order(frames):
    shades = np.linspace(0.1, 0.9, frames)
    asked = []

    def frame(t):
        asked.append(t)
        gaussians = dots([[[0, 0, 2]]], 1.0, opacity=0.99, color=(shades[t],) * 3)
        arrays = gaussians.means[0], gaussians.quats[0], gaussians.scales[0], gaussians.opacities, gaussians.colors[0]
        return [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]

    shown = render_layer(frame, np.zeros(1, np.int32), camera(frames), np.zeros(3, np.float32))
    middle = np.asarray(shown.rgb)[:, SIZE // 2, SIZE // 2, 0]
    np.testing.assert_allclose(middle, 255 * 0.99 * shades, atol=1.5)
    assert sorted(asked) == list(range(frames))
