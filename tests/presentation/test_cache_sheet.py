"""The figures and the picture of a frame cache."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ani3d_formats.frames import write_cache
from ani3d_formats.gaussians import GaussianFrames
from ani3dhuman.presentation.cache_sheet import describe, motion_amplitude, plot


@pytest.fixture
def swinging(tmp_path):
    """A strip of points that travels along x while its lower end swings along y by 0.2 sin."""
    T, N = 24, 500
    time = np.linspace(0, 2 * np.pi, T, endpoint=False)
    z = np.linspace(0, 1, N)
    means = np.zeros((T, N, 3), np.float32)
    means[..., 0] = np.linspace(0, 2, T)[:, None]
    means[..., 1] = 0.2 * np.sin(time)[:, None] * (1 - z)
    means[..., 2] = z
    quats = np.broadcast_to(np.array([1, 0, 0, 0], np.float32), (T, N, 4))
    scales = np.broadcast_to(np.float32(0.01), (T, N, 3))
    colors = np.broadcast_to(np.stack([z, 0.4 + 0 * z, 1 - z], -1).astype(np.float32), (T, N, 3))
    gaussians = GaussianFrames(means, quats, scales, np.ones(N, np.float32), colors)
    mesh = {"Strip": means[:, ::10]}
    return write_cache(tmp_path / "strip.ani3d", gaussians, fps=24, frame_start=1, meshes=mesh)


def test_motion_amplitude_leaves_the_travel_out(swinging):
    from ani3d_formats.frames import FrameCache

    amplitude = motion_amplitude(FrameCache.open(swinging))
    # y_i - centre = 0.2 sin(t) (0.5 - z): RMS over a period is 0.2 |0.5 - z| / sqrt 2
    expected = 0.2 * np.abs(0.5 - np.linspace(0, 1, 500)) / np.sqrt(2)
    assert np.allclose(amplitude, expected, atol=1e-4)


def test_describe_names_counts_and_files(swinging):
    text = describe(swinging)
    for word in (
        "500 Gaussians",
        "24 frames",
        "1..24",
        "position",
        "24 x 500 x 3",
        "once",
        "Strip.pc2",
        "24 fps",
    ):
        assert word in text, word


def test_plot_writes_a_picture(swinging, tmp_path):
    plot(swinging, tmp_path / "cache.png")
    picture = cv2.imread(str(tmp_path / "cache.png"))
    assert picture.shape[0] > 500 and picture.shape[1] > 900
    assert picture.std() > 10
