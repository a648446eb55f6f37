"""A cache in half precision beside the exact one: its disk, and how far its pictures are from the exact one's."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

from ani3d_formats.frames import CacheWriter, FrameCache
from ani3d_formats.shot import Shot
from ani3dhuman.pipeline.animate import IN_HALF
from ani3dhuman.rendering.draw import sampled

FRAMES = 5  # of the clip, evenly
SEEN = 0.01  # coverage from which on a pixel counts


def half_precision(cache: Path, shot: Path) -> dict[str, float]:
    """Share of the exact cache's bytes; least PSNR (dB, inside the silhouette) and largest difference (of 255)."""
    exact, seen = FrameCache.open(cache), Shot.load(shot)
    with tempfile.TemporaryDirectory() as folder:
        half = _in_half(exact, Path(folder) / "half.ani3d")
        sizes = [sum(entry.bytes for entry in each.manifest.attributes) for each in (half, exact)]
        likeness, most = [], []
        for t in np.linspace(0, exact.manifest.frames - 1, FRAMES).astype(int):
            (ours, alphas), (wanted, _) = _drawn(half, seen, t), _drawn(exact, seen, t)
            off = np.abs(ours - wanted)[alphas > SEEN]
            likeness.append(-10 * np.log10(np.square(off).mean()))
            most.append(255 * off.max())
    return {
        "half_disk_share": round(sizes[0] / sizes[1], 3),
        "half_db": round(float(min(likeness)), 1),
        "half_most_of_255": round(float(max(most)), 2),
    }


def _in_half(exact: FrameCache, path: Path) -> FrameCache:
    head = exact.manifest
    with CacheWriter(
        path,
        count=head.count,
        frame_start=head.frame_start,
        frame_end=head.frame_end,
        fps=head.fps,
        half=IN_HALF,
    ) as writer:
        for frame in range(head.frame_start, head.frame_end + 1):
            writer.frame(exact.frame(frame))
    return FrameCache.open(path)


def _drawn(cache: FrameCache, shot: Shot, t: int) -> tuple[np.ndarray, np.ndarray]:
    """Frame `t` (H,W,3) over the shot's background, and its coverage (H,W)."""
    frame, cameras = cache.manifest.frame_start + t, shot.cameras
    shown = cache.gaussians(frame, frame)
    arrays = shown.means[0], shown.quats[0], shown.scales[0], shown.opacities_at(0), shown.colors[0]
    image, alphas = sampled(
        [torch.from_numpy(np.array(array)) for array in arrays],
        torch.from_numpy(cameras.viewmats[t : t + 1]),
        torch.from_numpy(cameras.Ks[t : t + 1]),
        width=cameras.width,
        height=cameras.height,
        backgrounds=torch.from_numpy(shot.background_srgb)[None],
    )
    return image[0].numpy(), alphas[0, ..., 0].numpy()
