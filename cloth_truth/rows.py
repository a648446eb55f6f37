"""The versions of a sequence that stand on the benchmark's table, and their figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ani3dhuman.clip import CoarseClip
from ani3dhuman.metrics import ClipSetting, ClipVersion, judge
from ani3dhuman.restoration import CompactPrior, EncodedClip, RestoreConfig
from ani3dhuman.restoration.compact.network import DisplacementNet
from ani3dhuman.restoration.restore import sample_latents
from ani3dhuman.windows import Windows

from .sequences import LayerMaps, Sequence, draw_layer

ROWS = ("rigid", "physics", "prior on rigid", "prior on physics", "regression", "truth")
SGSS = RestoreConfig(strength=0.7)
REGRESSION = RestoreConfig(strength=1.0, schedule_steps=1)
RIM = 24  # pixels around the figure that are judged too


@dataclass(frozen=True)
class Judged:
    """A sequence with its coarse clips, ready to judge versions of it.

    Attributes:
        clip: coarse layer rigid; physics: the same with the simulated layer, (T,V,3) vertices.
        truth: the true version; setting: what all versions share.
        box: rows and columns of the picture that hold the figure in every frame of the truth and of both layers; what
            lies outside is the same in every version, or a fault that the silhouette tells of as well.
    """

    clip: CoarseClip
    physics: CoarseClip
    truth: ClipVersion
    setting: ClipSetting
    box: tuple[slice, slice]

    @classmethod
    def of(cls, sequence: Sequence) -> Judged:
        """Draw the truth and simulate the physics layer."""
        clip = sequence.clip()
        physics = sequence.physics
        rigid_pictures, rigid_maps = draw_layer(clip, clip.pose(clip.rigid_vertices))
        pictures, maps = draw_layer(clip, clip.pose(sequence.truth))
        body = [m.regions[..., :2].sum(-1, dtype=np.uint16) > 127 for m in (rigid_maps, maps)]
        box = figure_box(clip, (sequence.truth, clip.rigid_vertices, physics))
        within = (slice(None), *box)
        setting = ClipSetting.of(
            clip,
            rigid_pictures=rigid_pictures[within].astype(np.float32) / 255,
            preserve=(body[0] & body[1])[within],
            face=maps.regions[within][..., 1] > 127,
            visible=visible_vertices(clip, sequence.truth, maps.depth),
        )
        truth = _version(pictures, maps, sequence.truth, box)
        return cls(clip, replace(clip, vertices=physics), truth, setting, box)

    def version(self, vertices: np.ndarray) -> ClipVersion:
        """Vertices (T,V,3) drawn, with the masks that the metrics ask for."""
        return _version(*draw_layer(self.clip, self.clip.pose(vertices)), vertices, self.box)

    def figures(self, version: ClipVersion) -> dict[str, float]:
        return judge(self.truth, version, self.setting)


def _version(pictures: np.ndarray, maps: LayerMaps, vertices: np.ndarray, box: tuple[slice, slice]) -> ClipVersion:
    within = (slice(None), *box)
    coverage = maps.regions[within].sum(-1, dtype=np.uint16) / np.float32(255)
    return ClipVersion(pictures[within].astype(np.float32) / 255, coverage, maps.cloth[within] > 0.3, vertices)


def figure_box(clip: CoarseClip, layers: tuple[np.ndarray, ...]) -> tuple[slice, slice]:
    """Rows and columns of the picture that hold the vertices (T,V,3) of all layers, with `RIM` pixels around."""
    pixels = np.concatenate([clip.cameras.project(v, t)[0] for layer in layers for t, v in enumerate(layer)])
    low, high = pixels.min(0).astype(int) - RIM, pixels.max(0).astype(int) + RIM
    width, height = clip.cameras.width, clip.cameras.height
    return slice(max(low[1], 0), min(high[1], height)), slice(max(low[0], 0), min(high[0], width))


def visible_vertices(clip: CoarseClip, vertices: np.ndarray, depth: np.ndarray, slack: float = 0.02) -> np.ndarray:
    """(T,V) bool: vertices (T,V,3) that lie no more than `slack` metres behind what the camera sees, depth (T,H,W)."""
    height, width = depth.shape[1:]
    seen = np.zeros(vertices.shape[:2], bool)
    for t, points in enumerate(vertices):
        pixels, z = clip.cameras.project(points, t)
        x, y = np.floor(pixels).astype(int).T
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (z > 0)
        front = depth[t, np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)].astype(np.float32)
        seen[t] = inside & (front > 0) & (z < front + slack)
    return seen


def versions(
    judged: Judged, net: DisplacementNet, seeds: int, amount: float | None = None
) -> Iterator[tuple[str, np.ndarray, float]]:
    """Name, vertices (T,V,3) and seconds of every row; what is sampled once a seed.

    `amount` is that of the prior on physics, None its default.
    """

    def timed(name: str, make: Callable[[], np.ndarray]) -> tuple[str, np.ndarray, float]:
        began = time.perf_counter()
        return name, make(), time.perf_counter() - began

    yield timed("rigid", lambda: judged.clip.rigid_vertices)
    yield timed("physics", lambda: judged.physics.vertices)
    yield timed("truth", lambda: np.asarray(judged.truth.vertices))
    priors = {"prior on rigid": None, "prior on physics": amount, "regression": 1.0}
    for name, share in priors.items():
        clip = judged.physics if name == "prior on physics" else judged.clip
        config = REGRESSION if name == "regression" else SGSS
        prior = CompactPrior(net, share)
        encoded = prior.encode(clip)
        for seed in range(seeds):
            yield timed(name, partial(restored_vertices, prior, clip, encoded, replace(config, seed=seed)))


def restored_vertices(prior: CompactPrior, clip: CoarseClip, encoded: EncodedClip, config: RestoreConfig) -> np.ndarray:
    """(T,V,3) vertices of the restored clip."""
    return restored(prior, clip, encoded, config)[0]


def restored(
    prior: CompactPrior, clip: CoarseClip, encoded: EncodedClip, config: RestoreConfig
) -> tuple[np.ndarray, np.ndarray]:
    """(T,V,3) vertices of the restored clip, as `restore` gives them, and the sampled latents (T,3,h,w)."""
    windows = Windows(len(encoded.latents), prior.window, config.overlap, 0)
    latents = sample_latents(prior, encoded, windows, config)
    return prior.moved_vertices(clip, encoded, latents), latents.numpy()
