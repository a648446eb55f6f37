"""Flicker and flow consistency of clips made to a formula."""

import numpy as np
import pytest
from patterns import texture

from ani3dhuman.metrics.temporal import backward_flow, flicker_ratio, warp_error

FRAMES, HEIGHT, WIDTH = 6, 60, 80


def alternating(high: float) -> np.ndarray:
    clip = np.full((FRAMES, HEIGHT, WIDTH, 3), 0.5, np.float32)
    clip[1::2] = high
    return clip


def translating(step: float) -> np.ndarray:
    return np.stack([texture(HEIGHT, WIDTH, step * t) for t in range(FRAMES)])


def flow_of(step: float) -> np.ndarray:
    flow = np.zeros((FRAMES - 1, HEIGHT, WIDTH, 2), np.float32)
    flow[..., 0] = -step  # what is seen here was further left before
    return flow


def test_flicker_of_an_alternating_clip():
    assert flicker_ratio(alternating(0.8), alternating(0.6)) == pytest.approx(3, rel=1e-5)
    assert flicker_ratio(alternating(0.6), alternating(0.6)) == 1
    assert flicker_ratio(alternating(0.5), alternating(0.6)) == 0
    assert np.isnan(flicker_ratio(alternating(0.6), alternating(0.5)))


def test_flicker_looks_at_the_region_of_the_later_frame():
    clip = alternating(0.6)
    clip[:, :, 40:] = 0.2
    region = np.zeros(clip.shape[:3], bool)
    region[0] = True  # the first frame follows none
    region[1:, :, :40] = True
    assert flicker_ratio(clip, alternating(0.6), region) == pytest.approx(1, rel=1e-5)
    assert flicker_ratio(clip, alternating(0.6)) == pytest.approx(0.5, rel=1e-5)


def test_a_translating_texture_is_consistent_with_its_exact_flow():
    error, coverage = warp_error(translating(3), flow=flow_of(3))
    assert error < 1e-3
    assert coverage == pytest.approx((WIDTH - 3) / WIDTH)
    assert warp_error(translating(3), flow=flow_of(0))[0] > 20


def test_brightness_that_flickers_over_the_motion_is_measured_exactly():
    clip = translating(2)
    clip[1::2] += 5 / 255
    assert warp_error(clip, flow=flow_of(2))[0] == pytest.approx(5, abs=1e-2)


def test_hidden_points_are_left_out():
    clip, flow = translating(2), flow_of(2)
    clip[1:, :20] = 0
    clip[0, :20] = 1
    flow[:, :20] = np.nan
    region = np.ones(clip.shape[:3], bool)
    error, coverage = warp_error(clip, region, flow)
    assert error < 1e-3
    assert coverage == pytest.approx((40 / 60) * (78 / 80))
    region[1:, 20:] = False
    error, coverage = warp_error(clip, region, flow)
    assert np.isnan(error) and coverage == 0


def test_flow_is_estimated_where_none_is_given():
    flow = backward_flow(translating(2))[:, 10:-10, 10:-10]
    assert np.isfinite(flow).mean() > 0.9
    assert np.nanmedian(flow[..., 0]) == pytest.approx(-2, abs=0.2)
    assert abs(np.nanmedian(flow[..., 1])) < 0.2
    still, _ = warp_error(translating(2))
    clip = translating(2)
    clip[1::2] *= 0.9
    assert still < 3 < warp_error(clip)[0]
