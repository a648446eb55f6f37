"""The worked examples of docs/extending*.md run, and what the pages quote is what the files say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_clip import small_clip
from tiny_ltx_repository import write_ltx
from wan_scene import clip_at

from ani3d_formats.progress import Progress
from ani3dhuman.restoration import RestoreConfig, VideoPrior, restore

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "docs" / "extending.md", ROOT / "docs" / "extending_video.md")
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def blocks(kind: str) -> list[str]:
    """The pages' code blocks that are marked as `kind`."""
    return re.findall(rf"^```{re.escape(kind)}\n(.*?)^```", TEXT, re.S | re.M)


def run(block: str, **names: Any) -> dict[str, Any]:
    exec(compile(block, str(PAGES[0]), "exec"), names)
    return names


@pytest.fixture(scope="module")
def blur() -> VideoPrior:
    return run(blocks("python")[0])["BlurPrior"]()


def sharpness(frames: np.ndarray) -> float:
    return float(np.abs(np.diff(frames, axis=2)).max())


def test_the_example_restores_a_clip(blur: VideoPrior) -> None:
    clip = small_clip(frames=20, gaussians=800)
    steps: list[tuple[int, int]] = []
    progress = Progress("restore", 1, listener=lambda report: steps.append((report.step, report.total)))
    restored = restore(blur, clip, RestoreConfig(guidance_scale=0.0), progress)
    coarse = np.asarray(clip.rendered(clip.vertices)[0])
    assert restored.frames.shape == coarse.shape
    assert steps[-1] == (7 * 2 + 20, 7 * 2 + 20)
    assert np.abs(restored.frames - coarse).mean() < 0.05  # the same clip ..
    assert sharpness(restored.frames) < 0.6 * sharpness(coarse)  # .. but blurred


def test_ltx_video_restores_a_clip_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ltx(tmp_path / "models" / "ltx-video-0.9.5")
    monkeypatch.chdir(tmp_path)
    _, block = blocks("python")
    clip = clip_at(30, 37, 53, 24.0)
    restored = run(block, clip=clip)["restored"]
    assert restored.frames.shape == (30, 53, 37, 3) and np.isfinite(restored.frames).all()
    assert restored.report["prior"] == "ltx-video" and restored.report["windows"] == 2


def test_what_is_quoted_is_in_the_files() -> None:
    source = (ROOT / "ani3dhuman" / "restoration" / "ltx" / "prior.py").read_text()
    registry = (ROOT / "ani3dhuman" / "models" / "registry.toml").read_text()
    quotes, (entry,) = blocks("python ltx/prior.py"), blocks("toml")
    assert len(quotes) == 2 and all(quote in source for quote in quotes)
    assert entry in registry and 'name = "ltx-video-0.9.5"' in entry
