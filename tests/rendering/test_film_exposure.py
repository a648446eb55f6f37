"""Shutter and lens: where samples fall, how evenly, and which settings are refused."""

from itertools import pairwise

import numpy as np
import pytest
from film_scenes import camera

from ani3d_formats.errors import Ani3DError
from ani3dhuman.rendering.exposure import Exposure, concentric_disk


@pytest.mark.parametrize(("position", "opens"), [("start", 7.0), ("center", 6.75), ("end", 6.5)])
def test_times_fill_the_open_shutter_one_per_stratum(position, opens):
    exposure = Exposure(samples=16, shutter=0.5, shutter_position=position)
    assert exposure.interval(7) == (opens, opens + 0.5)
    times, _ = exposure.sample(7)
    strata = (times - opens) / 0.5 * 16
    np.testing.assert_array_equal(np.floor(strata), np.arange(16))
    assert np.std(strata % 1) > 0.1, "jittered within each"


def test_samples_depend_on_seed_and_frame_alone():
    def flat(seed, frame):
        return np.concatenate([a.ravel() for a in Exposure(samples=8, seed=seed).sample(frame)])

    assert flat(3, 5).tobytes() == flat(3, 5).tobytes()
    for other in (flat(4, 5), flat(3, 6), flat(3, -5)):
        assert np.abs(other % 1 - flat(3, 5) % 1).max() > 1e-3


def test_lens_points_fill_the_disk_evenly_and_do_not_follow_time():
    exposure = Exposure(samples=256, aperture_radius=0.01, focus_distance=1.0)
    for frame in range(5):
        times, points = exposure.sample(frame)
        radius = np.hypot(*points.T)
        assert radius.max() <= 1
        np.testing.assert_allclose(points.mean(0), 0, atol=0.02)
        # equal areas: the squared radius is uniform, so rings of equal area hold equal counts
        rings = np.histogram(radius**2, 4, (0, 1))[0]
        sectors = np.histogram(np.arctan2(*points.T), 8, (-np.pi, np.pi))[0]
        assert np.abs(rings - 64).max() <= 8 and np.abs(sectors - 32).max() <= 6
        for half in (points[:128], points[128:]):  # each half of the shutter sees the whole lens
            np.testing.assert_allclose(half.mean(0), 0, atol=0.04)
        assert np.abs(np.corrcoef(times, points.T)[0, 1:]).max() < 0.05


def test_the_disk_map_keeps_area_and_borders():
    edge = np.linspace(0, 1, 9)
    border = np.concatenate([np.stack([edge, 0 * edge], -1), np.stack([edge, 0 * edge + 1], -1)])
    np.testing.assert_allclose(np.hypot(*concentric_disk(border).T), 1, atol=1e-12)
    np.testing.assert_allclose(concentric_disk(np.array([[0.5, 0.5]])), 0, atol=1e-12)
    x, y = np.meshgrid((np.arange(400) + 0.5) / 400, (np.arange(400) + 0.5) / 400)
    radius = np.hypot(*concentric_disk(np.stack([x.ravel(), y.ravel()], -1)).T)
    for inner, outer in pairwise(np.linspace(0, 1, 5)):
        share = ((radius >= inner) & (radius < outer)).mean()
        assert share == pytest.approx(outer**2 - inner**2, abs=2e-3)


def test_nothing_to_spread_needs_one_pass():
    assert Exposure(samples=64, shutter=0).passes == 1
    assert Exposure(samples=64, shutter=0.1).passes == 64
    assert Exposure(samples=64, shutter=0, fstop=2.8, focus_distance=3).passes == 64
    assert Exposure(samples=64, shutter=0).sample(3)[0].tolist() == [3.0]


def test_the_lens_radius_follows_f_stop_and_view():
    # 200 px over 64 px of a 36 mm sensor: 112.5 mm
    assert Exposure(fstop=2.0, focus_distance=1).lens_radius(camera()) == pytest.approx(0.1125 / 4)
    upright = camera(width=64, height=128)  # the sensor lies along the longer side
    assert Exposure(fstop=2.0, focus_distance=1).lens_radius(upright) == pytest.approx(0.05625 / 4)
    assert Exposure(fstop=2.0, focal_length=50, focus_distance=1).lens_radius(camera()) == pytest.approx(0.0125)
    assert Exposure(aperture_radius=0.3, focus_distance=1).lens_radius(camera()) == 0.3
    assert Exposure().lens_radius(camera()) == 0
    zoom = camera()
    zoom.Ks[1, 0, 0] *= 2
    assert Exposure(fstop=2.0, focus_distance=1).lens_radius(zoom, 1) == pytest.approx(0.225 / 4)


@pytest.mark.parametrize(
    ("values", "code", "said"),
    [
        ({"samples": 0}, "film.value", "samples"),
        ({"samples": 5000}, "film.value", "samples"),
        ({"shutter": -0.1}, "film.value", "shutter"),
        ({"shutter": float("nan")}, "film.value", "shutter"),
        ({"shutter_position": "middle"}, "film.value", "shutter_position"),
        ({"fstop": 0.0, "focus_distance": 1.0}, "film.value", "fstop"),
        ({"fstop": 2.0, "focus_distance": -1.0}, "film.value", "focus_distance"),
        ({"fstop": 2.0, "focus_distance": float("nan")}, "film.value", "focus_distance"),
        ({"fstop": 2.0, "focal_length": float("inf"), "focus_distance": 1.0}, "film.value", "focal_length"),
        ({"aperture_radius": 0.0, "focus_distance": 1.0}, "film.value", "aperture_radius"),
        ({"seed": -1}, "film.value", "seed"),
        ({"fstop": 2.0}, "film.lens", "focus"),
        ({"focus_distance": 2.0}, "film.lens", "focus"),
        ({"fstop": 2.0, "aperture_radius": 0.1, "focus_distance": 1.0}, "film.lens", "both"),
        ({"focal_length": 50.0}, "film.lens", "f-stop"),
        ({"aperture_radius": 0.1, "focal_length": 50.0, "focus_distance": 1.0}, "film.lens", "f-stop"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, code, said):
    with pytest.raises(Ani3DError) as caught:
        Exposure(**values)
    assert caught.value.code == code and said in caught.value.message and caught.value.hint
