"""The trained distance is that of the package it comes from."""

import numpy as np
import pytest

from ani3dhuman.metrics.perceptual import perceptual_map


# spatial means given by stlpips-pytorch 0.0.2's own LPIPS(net="alex", variant="shift_tolerant")
@pytest.mark.parametrize("size, expected", [((64, 96), 0.0732548), ((77, 101), 0.0696024)])
def test_the_net_agrees_with_the_package_that_trained_it(size, expected):
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    waves = (0.4 * np.sin(0.31 * x + 0.17 * y), 0.3 * np.cos(0.23 * y - 0.05 * x), 0.2 * np.sin(0.11 * x * y / 50))
    a = 0.5 + np.stack(waves, -1)
    assert perceptual_map(np.roll(a, 3, 1) * 0.8 + 0.1, a).mean() == pytest.approx(expected, abs=1e-6)
