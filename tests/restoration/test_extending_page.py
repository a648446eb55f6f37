"""The worked example of docs/extending.md runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_clip import small_clip

from ani3dhuman.progress import Progress
from ani3dhuman.restoration import RestoreConfig, VideoPrior, restore

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


@pytest.fixture(scope="module")
def blur() -> VideoPrior:
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.S | re.M)
    names: dict[str, Any] = {}
    exec(compile(block, str(PAGE), "exec"), names)
    return names["BlurPrior"]()


def sharpness(frames: np.ndarray) -> float:
    return float(np.abs(np.diff(frames, axis=2)).max())


def test_the_example_restores_a_clip(blur: VideoPrior) -> None:
    clip = small_clip(frames=20, gaussians=800)
    steps: list[tuple[int, int]] = []
    progress = Progress("restore", 1, listener=lambda report: steps.append((report.step, report.total)))
    restored = restore(blur, clip, RestoreConfig(guidance_scale=0.0), progress)
    coarse, _ = clip.render(clip.pose(clip.vertices))
    assert restored.frames.shape == coarse.shape
    assert steps[-1] == (7 * 2 + 20, 7 * 2 + 20)
    assert np.abs(restored.frames - coarse).mean() < 0.05  # the same clip ..
    assert sharpness(restored.frames) < 0.6 * sharpness(coarse)  # .. but blurred
