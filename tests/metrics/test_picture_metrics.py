"""PSNR, SSIM, detail and silhouettes against values computed by hand or by an independent formula."""

import numpy as np
import pytest
from patterns import noisy, texture
from scipy.ndimage import correlate, gaussian_filter

from ani3dhuman.metrics.pictures import (
    PSNR_CEILING,
    box_of,
    detail_ratio,
    mean_change,
    psnr,
    silhouette_iou,
    ssim_maps,
)

TRUTH = np.stack([texture(48, 64, 2 * t) for t in range(3)])
EMPTY = np.zeros(TRUTH.shape[:3], bool)
LEFT = EMPTY.copy()
LEFT[:, :, :32] = True


def test_psnr_of_a_constant_offset():
    assert psnr(TRUTH + 0.1, TRUTH) == pytest.approx(20, abs=1e-4)
    assert psnr(TRUTH, TRUTH) == PSNR_CEILING


def test_psnr_sees_its_region_alone():
    spoiled = TRUTH.copy()
    spoiled[:, :, 32:] += 0.3
    spoiled[:, :, :32] += 0.01
    assert psnr(spoiled, TRUTH, LEFT) == pytest.approx(40, abs=1e-3)
    assert psnr(spoiled, TRUTH) == pytest.approx(-10 * np.log10((0.09 + 0.0001) / 2), abs=1e-3)


def test_an_empty_region_is_undefined():
    for figure in (psnr, detail_ratio):
        assert np.isnan(figure(TRUTH, TRUTH, EMPTY))
    assert np.isnan(silhouette_iou(EMPTY, EMPTY))


def test_ssim_against_a_float64_reference():
    """Wang et al. 2004, equation 13, by direct correlation with an 11 x 11 window."""
    other = noisy(TRUTH, 0.1)
    steps = np.arange(-5, 6)
    window = np.exp(-(steps[:, None] ** 2 + steps**2) / (2 * 1.5**2))
    window /= window.sum()

    def local(x):
        return correlate(x, window, mode="reflect")

    expected = []
    for a, b in zip(other.astype(np.float64), TRUTH.astype(np.float64), strict=True):
        for c in range(3):
            x, y = a[..., c], b[..., c]
            mx, my = local(x), local(y)
            vx, vy, cov = local(x * x) - mx**2, local(y * y) - my**2, local(x * y) - mx * my
            expected.append(
                (2 * mx * my + 0.01**2) * (2 * cov + 0.03**2) / ((mx**2 + my**2 + 0.01**2) * (vx + vy + 0.03**2))
            )
    maps = np.array(expected).reshape(3, 3, 48, 64).mean(1)
    assert np.abs(ssim_maps(other, TRUTH) - maps).max() < 2e-4
    assert ssim_maps(TRUTH, TRUTH) == pytest.approx(1, abs=1e-6)


def test_detail_grows_with_the_square_of_contrast_and_falls_with_blur():
    assert detail_ratio(TRUTH, TRUTH) == 1
    assert detail_ratio(0.5 * TRUTH, TRUTH) == pytest.approx(0.25, rel=1e-5)
    soft = np.stack([gaussian_filter(p, (1, 1, 0)) for p in TRUTH])
    softer = np.stack([gaussian_filter(p, (2, 2, 0)) for p in TRUTH])
    assert 1 > detail_ratio(soft, TRUTH) > detail_ratio(softer, TRUTH)
    assert detail_ratio(noisy(TRUTH, 0.1), TRUTH) > 1
    assert np.isnan(detail_ratio(TRUTH, np.full_like(TRUTH, 0.5)))


def test_iou_of_a_shifted_square():
    truth = np.zeros((2, 40, 40), bool)
    truth[:, 10:20, 10:20] = True
    moved = np.roll(truth, 5, axis=2)
    assert silhouette_iou(moved, truth) == pytest.approx(50 / 150)
    assert silhouette_iou(truth, truth) == 1
    moved[1] = truth[1]
    assert silhouette_iou(moved, truth) == pytest.approx((1 / 3 + 1) / 2)


def test_change_is_in_steps_of_eight_bits():
    touched = TRUTH.copy()
    touched[:, :, :32] += 2 / 255
    assert mean_change(touched, TRUTH, LEFT) == pytest.approx(2, rel=1e-4)
    assert mean_change(touched, TRUTH) == pytest.approx(1, rel=1e-4)
    assert mean_change(touched, TRUTH, ~LEFT) == 0


def test_boxes_are_widened_and_stay_in_the_picture():
    mask = np.zeros((40, 60), bool)
    mask[10:14, 56:60] = True
    rows, columns = box_of(mask, margin=2, least=20)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (20, 20)
    assert rows.start <= 8 and rows.stop >= 16 and columns.stop == 60
    assert box_of(mask, 3, 1) == (slice(7, 17), slice(53, 60))
    assert box_of(mask, 0, 500) == (slice(0, 40), slice(0, 60))
    assert box_of(~mask & mask, 2, 20) is None
