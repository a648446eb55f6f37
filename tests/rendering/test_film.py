"""A film frame: what motion blur and depth of field come to on paper, and that light is what is averaged."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from film_scenes import FOCAL, SIZE, camera, dots, moments

from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.progress import Progress
from ani3dhuman.media.picture import Picture
from ani3dhuman.rendering.draw import SAMPLES, sampled
from ani3dhuman.rendering.exposure import Exposure
from ani3dhuman.rendering.motion_blur import render_frame

STILL = Exposure(samples=1, shutter=0)
GREY = np.array([0.25, 0.5, 0.75], np.float32)


def plain(gaussians, cameras, background=None, samples=SAMPLES):
    """The rasteriser itself on frame 0, its pixels the mean of samples: channels and alpha (H,W,4)."""
    arrays = gaussians.means[0], gaussians.quats[0], gaussians.scales[0], gaussians.opacities, gaussians.colors[0]
    views = cameras.viewmats[:1], cameras.Ks[:1]
    tensors = [torch.from_numpy(np.ascontiguousarray(a)) for a in (*arrays, *views)]
    behind = None if background is None else torch.from_numpy(background)[None]
    size = {"width": cameras.width, "height": cameras.height}
    rgb, alpha = sampled(tensors[:5], *tensors[5:], **size, samples=samples, backgrounds=behind)
    return torch.cat([rgb, alpha], -1)[0].numpy()


def one_sample(gaussians, cameras):
    """Frame 0 as each of many samples is drawn, linear."""
    return Picture(plain(gaussians, cameras, samples=1), "premultiplied", "srgb").to("premultiplied", "linear").rgba


@pytest.fixture
def cloud():
    """200 coloured Gaussians that drift between two frames."""
    rng = np.random.default_rng(3)
    means = np.stack([rng.uniform((-0.3, -0.3, 1.5), (0.3, 0.3, 3), (200, 3))] * 2)
    means[1] += (0.1, 0.02, 0.0)
    gaussians = dots(means, 0.03)
    return replace(gaussians, colors=rng.random((2, 200, 3)).astype(np.float32))


def test_without_shutter_and_lens_it_is_the_plain_rasterisation_bit_for_bit(cloud):
    for samples in (1, 8):
        picture = render_frame(
            cloud, camera(), 0, Exposure(samples=samples, shutter=0), encoding=("premultiplied", "srgb")
        )
        np.testing.assert_array_equal(picture.rgba, plain(cloud, camera()))
    opaque = render_frame(cloud, camera(), 0, STILL, background=GREY, encoding=("premultiplied", "srgb")).rgba
    np.testing.assert_array_equal(opaque[..., :3], plain(cloud, camera(), GREY)[..., :3])
    assert (opaque[..., 3] == 1).all()


def test_samples_of_a_scene_that_stands_still_agree_with_one(cloud):
    standing = replace(cloud, means=np.stack([cloud.means[0]] * 2), colors=np.stack([cloud.colors[0]] * 2))
    mean = render_frame(standing, camera(), 0, Exposure(samples=5, shutter=0.9)).rgba
    np.testing.assert_allclose(mean, one_sample(standing, camera()), atol=1e-6)


def test_the_declaration_asked_for_is_the_one_given(cloud):
    exposure = Exposure(samples=4)
    premultiplied = render_frame(cloud, camera(), 0, exposure)
    assert (premultiplied.alpha, premultiplied.transfer) == ("premultiplied", "linear")
    straight = render_frame(cloud, camera(), 0, exposure, encoding=("straight", "srgb"))
    assert (straight.alpha, straight.transfer) == ("straight", "srgb")
    np.testing.assert_array_equal(straight.rgba, premultiplied.to("straight", "srgb").rgba)


def test_one_seed_gives_the_same_bits_and_another_does_not(cloud):
    def shot(seed, frame=0):
        lens = Exposure(samples=4, aperture_radius=0.05, focus_distance=2.0, seed=seed)
        return render_frame(cloud, camera(), frame, lens).rgba

    assert shot(1).tobytes() == shot(1).tobytes()
    assert np.abs(shot(1) - shot(2)).max() > 1e-3


@pytest.mark.parametrize("position", ["start", "center", "end"])
def test_a_streak_is_as_long_as_the_way_while_the_shutter_is_open(position):
    step, depth, sigma = 0.2, 2.0, 0.02  # metres a frame: 20 pixels
    means = [[[step * (t - 1), 0, depth]] for t in range(3)]
    gaussians = dots(means, sigma)
    still = render_frame(gaussians, camera(3), 1, STILL).rgba[..., 3]
    streak = render_frame(gaussians, camera(3), 1, Exposure(samples=64, shutter=0.8, shutter_position=position)).rgba
    centre, variance = moments(streak[..., 3])
    length = FOCAL * step * 0.8 / depth
    # a box of that length convolved with the still dot: variances add
    np.testing.assert_allclose(variance - moments(still)[1], [length**2 / 12, 0], atol=0.15)
    ahead = {"start": 0.5, "center": 0.0, "end": -0.5}[position] * length
    np.testing.assert_allclose(centre, [SIZE / 2 + ahead, SIZE / 2], atol=0.1)
    assert streak[..., 3].sum() == pytest.approx(still.sum(), rel=2e-3), "blur moves coverage, it makes none"


def test_a_moving_camera_blurs_a_still_dot():
    gaussians = dots([[[0, 0, 2.0]]] * 3, 0.02)
    cameras = camera(3)
    cameras.viewmats[:, 0, 3] = [0.2, 0, -0.2]  # the camera moves to the right, the dot to the left
    streak = render_frame(gaussians, cameras, 1, Exposure(samples=64, shutter=0.5, shutter_position="start")).rgba
    centre, variance = moments(streak[..., 3])
    length = FOCAL * 0.2 * 0.5 / 2
    still = moments(render_frame(gaussians, cameras, 1, STILL).rgba[..., 3])[1]
    np.testing.assert_allclose(variance - still, [length**2 / 12, 0], atol=0.15)
    assert centre[0] == pytest.approx(SIZE / 2 - length / 2, abs=0.1)


def test_a_shutter_past_the_ends_of_the_clip_sees_it_stand_still():
    gaussians = dots([[[-0.1, 0, 2.0]], [[0.1, 0, 2.0]]], 0.02)
    before = Exposure(samples=8, shutter=0.8, shutter_position="end")
    after = Exposure(samples=8, shutter=0.8, shutter_position="start")
    for frame, exposure in ((0, before), (1, after)):
        blurred = render_frame(gaussians, camera(), frame, exposure).rgba
        still = replace(gaussians, means=gaussians.means[frame : frame + 1])
        np.testing.assert_allclose(blurred, one_sample(still, camera()), atol=1e-6)


def test_an_edge_that_covers_a_pixel_half_the_time_is_half_the_light():
    # three opaque walls behind each other leave nothing to see through; their edge passes the middle in mid-shutter,
    # and the two metres of its way are long against its softness
    x, y = np.meshgrid(np.arange(0, 2.4, 0.01), np.arange(-0.04, 0.05, 0.01))
    wall = np.concatenate([np.stack([x, y, np.full_like(x, z)], -1).reshape(-1, 3) for z in (2.0, 2.01, 2.02)])
    gaussians = dots([wall + np.array([side, 0, 0]) for side in (-1, 1)], 0.01, opacity=1.0)
    exposure = Exposure(samples=100, shutter=1.0, shutter_position="start")
    black = np.zeros(3, np.float32)

    def middle(background, transfer):
        picture = render_frame(
            gaussians, camera(), 0, exposure, background=background, encoding=("premultiplied", transfer)
        )
        return picture.rgba[SIZE // 2, SIZE // 2 - 1 : SIZE // 2 + 1].mean(0)

    np.testing.assert_allclose(middle(black, "linear"), [0.5, 0.5, 0.5, 1], atol=0.03)
    np.testing.assert_allclose(middle(black, "srgb"), [0.735, 0.735, 0.735, 1], atol=0.02)
    np.testing.assert_allclose(middle(None, "linear"), 0.5, atol=0.03)


def test_a_streak_without_background_keeps_its_colour():
    red = (0.8, 0.2, 0.1)
    gaussians = dots([[[-0.1, 0, 2.0]], [[0.1, 0, 2.0]]], 0.03, color=red)
    streak = render_frame(
        gaussians, camera(), 0, Exposure(samples=16, shutter_position="start"), encoding=("straight", "linear")
    )
    seen = streak.rgba[streak.rgba[..., 3] > 0.01][:, :3]
    expected = Picture(np.array([[[*red, 1]]], np.float32), "straight", "srgb").to("straight", "linear").rgba[0, 0, :3]
    np.testing.assert_allclose(seen, np.tile(expected, (len(seen), 1)), atol=1e-5)


def test_what_lies_in_the_plane_of_focus_stays_sharp():
    gaussians = dots([[[-0.2, 0.1, 2.0], [0.15, -0.2, 2.0]]], 0.01)
    lens = Exposure(samples=16, shutter=0, aperture_radius=0.1, focus_distance=2.0)
    sharp, blurred = one_sample(gaussians, camera(1)), render_frame(gaussians, camera(1), 0, lens).rgba
    # the shape of a Gaussian changes a little with the point of view, its place does not
    np.testing.assert_allclose(blurred, sharp, atol=0.01)
    np.testing.assert_allclose(moments(blurred[..., 3])[0], moments(sharp[..., 3])[0], atol=0.01)


@pytest.mark.parametrize("depth", [1.1, 1.35, 5.0])
def test_elsewhere_a_dot_becomes_the_circle_of_confusion(depth):
    radius, focus = 0.1, 2.0
    gaussians = dots([[[0, 0, depth]]], 0.004 * depth)  # a pixel and more, so that their sum is their mass
    lens = Exposure(samples=512, shutter=0, aperture_radius=radius, focus_distance=focus)
    disk = render_frame(gaussians, camera(1), 0, lens).rgba[..., 3]
    still = render_frame(gaussians, camera(1), 0, STILL).rgba[..., 3]
    expected = FOCAL * radius * abs(1 / depth - 1 / focus)
    centre, variance = moments(disk)
    # an even disk has a variance of a quarter of its squared radius along each axis
    np.testing.assert_allclose(2 * np.sqrt(variance - moments(still)[1]), expected, rtol=0.02)
    np.testing.assert_allclose(centre, SIZE / 2, atol=0.1)
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5 - SIZE / 2
    away = np.hypot(x, y)
    assert disk[away > expected + 3].max() < 1e-3
    inside = disk[away < expected - 2]
    assert inside.mean() == pytest.approx(still.sum() / (np.pi * expected**2), rel=0.08), "evenly bright"


def test_f_stop_and_focal_length_make_the_same_disk_as_the_radius():
    gaussians = dots([[[0, 0, 4.0]]], 0.01)
    # 200 pixels of focal length on 64 pixels are 112.5 mm on 36 mm; at f/1.4 the radius is 40.2 mm
    by_radius = Exposure(samples=32, shutter=0, aperture_radius=0.1125 / 2.8, focus_distance=1.0)
    by_stop = Exposure(samples=32, shutter=0, fstop=1.4, focus_distance=1.0)
    by_focal = Exposure(samples=32, shutter=0, fstop=0.7, focal_length=56.25, focus_distance=1.0)
    pictures = [render_frame(gaussians, camera(1), 0, e).rgba for e in (by_radius, by_stop, by_focal)]
    np.testing.assert_allclose(pictures[1], pictures[0], atol=1e-5)
    np.testing.assert_allclose(pictures[2], pictures[0], atol=1e-5)


def test_an_orthographic_camera_has_no_lens_but_a_shutter():
    parallel = camera(camera_type="orthographic")
    gaussians = dots([[[-0.05, 0, 2.0]], [[0.05, 0, 2.0]]], 0.02)
    with pytest.raises(Ani3DError) as caught:
        render_frame(gaussians, parallel, 0, Exposure(fstop=2.0, focus_distance=2.0))
    assert caught.value.code == "film.orthographic"
    streak = render_frame(gaussians, parallel, 0, Exposure(samples=64, shutter=1.0, shutter_position="start")).rgba
    still = render_frame(gaussians, parallel, 0, STILL).rgba
    grown = moments(streak[..., 3])[1] - moments(still[..., 3])[1]
    np.testing.assert_allclose(grown, [(FOCAL * 0.1) ** 2 / 12, 0], atol=0.4)


def test_frames_are_scene_frames_and_others_are_refused(cloud):
    late = render_frame(cloud, camera(), 11, STILL, frame_start=10).rgba
    np.testing.assert_array_equal(late, render_frame(cloud, camera(), 1, STILL).rgba)
    for frame in (9, 12):
        with pytest.raises(Ani3DError) as caught:
            render_frame(cloud, camera(), frame, STILL, frame_start=10)
        assert caught.value.code == "film.frame" and "10..11" in caught.value.message


def test_every_sample_is_counted_and_can_be_the_last(cloud):
    reports = []
    exposure = Exposure(samples=6)
    render_frame(cloud, camera(), 0, exposure, progress=Progress("film", exposure.passes, reports.append))
    assert [r.step for r in reports] == [1, 2, 3, 4, 5, 6] and reports[-1].eta == 0
    reports.clear()
    stopping = Progress("film", exposure.passes, reports.append, lambda: len(reports) == 3)
    with pytest.raises(Cancelled):
        render_frame(cloud, camera(), 0, exposure, progress=stopping)
    assert len(reports) == 3
