"""Sizes, frame rates and frame counts: there and back."""

from __future__ import annotations

import numpy as np
import pytest

from ani3d_formats.errors import Ani3DError
from ani3dhuman.restoration.wan.layout import WAN_PIXELS, wan_layout


@pytest.mark.parametrize("frames", [1, 2, 5, 81, 82, 200])
@pytest.mark.parametrize("fps", [8.0, 16.0, 23.976, 24.0, 60.0])
@pytest.mark.parametrize("width, height", [(37, 53), (333, 517), (480, 832), (1920, 1080), (7, 900)])
def test_any_scene_has_a_video_and_comes_back(frames: int, fps: float, width: int, height: int) -> None:
    layout = wan_layout(frames, fps, width, height)
    assert layout.video_frames % 4 == 1
    assert layout.video_width % 16 == layout.video_height % 16 == 0
    assert layout.video_width * layout.video_height <= WAN_PIXELS
    assert layout.inner_width <= min(width, layout.video_width)
    assert abs(layout.inner_width / layout.inner_height * height / width - 1) < 0.51 * (
        1 / layout.inner_width + 1 / layout.inner_height
    )  # aspect kept to half a pixel
    assert layout.moments[0] == 0 and (frames - 1) / layout.step <= layout.video_frames - 1 + 1e-6
    assert layout.video_frames <= 5 + (frames - 1) * 16 / fps
    video = np.zeros((layout.video_frames, layout.video_height, layout.video_width, 3), np.float32)
    first = layout.scene_frame(video, 0)
    assert first.shape == (height, width, 3)


def test_sizes_that_wan_knows_are_left_alone() -> None:
    layout = wan_layout(81, 16.0, 480, 832)
    assert (layout.video_width, layout.video_height, layout.video_frames) == (480, 832, 81)
    large = wan_layout(81, 16.0, 1920, 1080)
    assert (large.video_width, large.video_height) == (832, 480)


def test_at_wans_rate_the_frames_come_back_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (7, 53, 37, 3), np.uint8)
    for rate in (16.0, None):
        layout = wan_layout(7, 16.0 if rate else 50.0, 37, 53, frame_rate=rate)
        video = layout.pictures(frames)
        assert video.shape == (9, 64, 48, 3)
        back = np.stack([layout.scene_frame(video, t) for t in range(layout.frames)])
        assert np.array_equal(back, frames.astype(np.float32) / np.float32(255))
        assert np.array_equal(video[7], video[6]) and np.array_equal(video[8], video[6])  # the last frame repeated
        assert np.array_equal(video[:, :53, 37], video[:, :53, 36])  # the rim repeated
        assert np.array_equal(video[:, 63], video[:, 52])


@pytest.mark.parametrize("fps", [12.0, 23.976, 30.0])
def test_slow_motion_survives_other_rates(fps: float) -> None:
    """A picture that brightens evenly is linear in time, so both ways together change nothing."""
    levels = np.linspace(0, 250, 50)
    frames = np.broadcast_to(np.round(levels)[:, None, None, None], (50, 16, 16, 3)).astype(np.uint8)
    layout = wan_layout(50, fps, 16, 16)
    back = np.stack([layout.scene_frame(layout.pictures(frames), t) for t in range(layout.frames)])
    assert len(back) == 50
    np.testing.assert_allclose(back[:, 0, 0, 0] * 255, levels, atol=1.2 + 250 / 50 * (fps / 16 - 1 > 0))


def test_drawings_and_masks_are_not_blended() -> None:
    frames = np.zeros((24, 32, 32, 3), np.uint8)
    frames[::2] = 255
    layout = wan_layout(24, 24.0, 32, 32)
    assert set(np.unique(layout.drawings(frames))) == {0.0, 1.0}
    assert set(np.unique(layout.mask(frames[..., 0] / 255.0))) == {0.0, 1.0}
    assert len(np.unique(layout.pictures(frames))) > 2
    shrunk = wan_layout(24, 24.0, 100, 100, max_pixels=32 * 32).mask((np.arange(100) > 40) * np.ones((24, 100, 1)))
    assert set(np.unique(shrunk)) == {0.0, 1.0}


@pytest.mark.parametrize(
    "changes",
    [{"frames": 0}, {"fps": 0.0}, {"fps": float("nan")}, {"width": 0}, {"max_pixels": 100}, {"frame_rate": -1.0}],
)
def test_what_cannot_be_laid_out_is_refused(changes: dict) -> None:
    with pytest.raises(Ani3DError) as caught:
        wan_layout(**{"frames": 5, "fps": 24.0, "width": 64, "height": 64, **changes})
    assert caught.value.code == "restoration.layout"
