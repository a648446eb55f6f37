"""The versions of a sequence that stand on the benchmark's table, and their figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ani3dhuman.metrics import ClipSetting, ClipVersion, judge
from ani3dhuman.motion.cloth import simulate_character
from ani3dhuman.motion.fabrics import FABRICS
from ani3dhuman.restoration import CoarseClip, CompactPrior, RestoreConfig, restore
from ani3dhuman.restoration.network import DisplacementNet

from .sequences import LayerMaps, Sequence, draw_layer

ROWS = ("rigid", "physics", "prior on rigid", "prior on physics", "regression", "truth")
SAMPLED = ("prior on rigid", "prior on physics", "regression")  # these depend on the seed
SGSS = RestoreConfig(strength=0.7)
REGRESSION = RestoreConfig(strength=1.0, schedule_steps=1)


@dataclass(frozen=True)
class Judged:
    """A sequence with its coarse clips, ready to judge versions of it.

    Attributes:
        clip: coarse layer rigid; physics: the same with the simulated layer, (T,V,3) vertices.
        truth: the true version; setting: what all versions share.
    """

    clip: CoarseClip
    physics: CoarseClip
    truth: ClipVersion
    setting: ClipSetting

    @classmethod
    def of(cls, sequence: Sequence) -> Judged:
        """Draw the truth and simulate the physics layer: generic cotton, since an artist's fabric is not known."""
        clip = sequence.clip()
        shot = sequence.shot
        physics = simulate_character(
            clip.rigid_vertices, shot["faces"], shot["vertices"], shot["region_ids"], clip.pin_weights, clip.fps,
            FABRICS["cotton"], FABRICS["hair"],
        )  # fmt: skip
        rigid_pictures, rigid_maps = draw_layer(clip, clip.pose(clip.rigid_vertices))
        pictures, maps = draw_layer(clip, clip.pose(sequence.truth))
        body = [m.regions[..., :2].sum(-1, dtype=np.uint16) > 127 for m in (rigid_maps, maps)]
        setting = ClipSetting.of(
            clip,
            rigid_pictures=rigid_pictures.astype(np.float32) / 255,
            preserve=body[0] & body[1],
            face=maps.regions[..., 1] > 127,
            visible=visible_vertices(clip, sequence.truth, maps.depth),
        )
        truth = _version(pictures, maps, sequence.truth)
        return cls(clip, replace(clip, vertices=physics), truth, setting)

    def version(self, vertices: np.ndarray) -> ClipVersion:
        """Vertices (T,V,3) drawn, with the masks that the metrics ask for."""
        return _version(*draw_layer(self.clip, self.clip.pose(vertices)), vertices)

    def figures(self, version: ClipVersion) -> dict[str, float]:
        return judge(self.truth, version, self.setting)


def _version(pictures: np.ndarray, maps: LayerMaps, vertices: np.ndarray) -> ClipVersion:
    coverage = maps.regions.sum(-1, dtype=np.uint16) / np.float32(255)
    return ClipVersion(pictures.astype(np.float32) / 255, coverage, maps.cloth > 0.3, vertices)


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
    judged: Judged, net: DisplacementNet, seed: int, sampled_only: bool = False
) -> Iterator[tuple[str, np.ndarray, float]]:
    """Name, vertices (T,V,3) and seconds of every row for a seed."""

    def timed(name: str, make: Callable[[], np.ndarray]) -> tuple[str, np.ndarray, float]:
        began = time.perf_counter()
        return name, make(), time.perf_counter() - began

    if not sampled_only:
        yield timed("rigid", lambda: judged.clip.rigid_vertices)
        yield timed("physics", lambda: judged.physics.vertices)
        yield timed("truth", lambda: np.asarray(judged.truth.vertices))
    yield timed("prior on rigid", lambda: restored(net, judged.clip, replace(SGSS, seed=seed)))
    yield timed("prior on physics", lambda: restored(net, judged.physics, replace(SGSS, seed=seed)))
    yield timed("regression", lambda: restored(net, judged.clip, replace(REGRESSION, seed=seed), amount=1.0))


def restored(net: DisplacementNet, clip: CoarseClip, config: RestoreConfig, amount: float | None = None) -> np.ndarray:
    """(T,V,3) vertices of the restored clip."""
    vertices = restore(CompactPrior(net, amount), clip, config).vertices
    assert vertices is not None
    return vertices
