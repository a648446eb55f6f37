"""Rounds for priors that return a mesh: what their samples agree on is the layer, and no pixel is drawn or fitted.

Each round after the first has the layer so far restored from the user's cameras and from some further sides, like
`rounds`; the layer then is the consensus of all samples so far, which come from one base.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.progress import Progress

from .consensus import Consensus
from .round_state import Round
from .rounds import RESTORE_STEPS, RoundsConfig, in_time, part_of, seed_of
from .side_views import side_cameras


@dataclass(frozen=True)
class MeshSample:
    """What a prior made of a layer: vertices (T,V,3) world metres, visibility (T,V) 0..1 or None as of a view."""

    vertices: np.ndarray
    visibility: np.ndarray | None = None


class RestoreMesh(Protocol):
    """As `rounds.Restore`, of a mesh instead of pictures."""

    def __call__(
        self, cameras: CameraPath, vertices: np.ndarray, strength: float, seed: int, progress: Progress
    ) -> MeshSample: ...


def settle_in_rounds(
    base: np.ndarray,
    cameras: CameraPath,
    own: MeshSample,
    restore: RestoreMesh,
    config: RoundsConfig,
    progress: Progress,
    restoring: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[np.ndarray, tuple[Round, ...]]:
    """The layer that samples agree on.

    Args:
        base: (T,V,3) world metres, the layer that samples are offsets from.
        cameras: the user's.
        own: the sample seen through them, which is the first round.
        restore: makes those of further rounds; the same arguments must give the same sample.
        config: how many rounds; of the fit only the seed counts.
        progress: with `mesh_steps(config)` as its total.
        restoring: seconds that `own` took.
        clock: seconds.

    Returns:
        Vertices (T,V,3) float32 world metres, and what every round did.
    """
    vertices = np.asarray(own.vertices, np.float32)
    done = [_round(config, 0, vertices - base, 0.0)]
    consensus = None  # of one round nothing is summed up
    progress.advance(1)
    while len(done) < config.rounds and in_time(config, tuple(done), restoring):
        started, number = clock(), len(done)
        paths = [cameras, *(side_cameras(base, cameras, azimuth) for azimuth in config.sides(number))]
        samples = []
        for place, path in enumerate(paths):
            with part_of(progress, RESTORE_STEPS, 1) as part:
                strength, seed = config.strengths[number - 1], seed_of(config, number, place)
                samples.append(restore(path, vertices, strength, seed, part))
        consensus = (consensus or Consensus.none(base).joined([own])).joined(samples)
        before, vertices = vertices, consensus.vertices
        done.append(_round(config, number, vertices - before, clock() - started))
    if progress.step < progress.total:
        progress.advance(progress.total - progress.step, message="out of time")
    return vertices, tuple(done)


def mesh_steps(config: RoundsConfig) -> int:
    """Steps of progress of all rounds."""
    return 1 + sum(1 + len(config.sides(number)) for number in range(1, config.rounds)) * RESTORE_STEPS


def _round(config: RoundsConfig, number: int, moved: np.ndarray, seconds: float) -> Round:
    moving = moved.any((0, 2))
    return Round(
        number=number,
        sides=config.sides(number),
        strength=config.strengths[number - 1] if number else None,
        start_validation=0.0,
        best_validation=0.0,
        best_step=0,
        moved=float(np.linalg.norm(moved[:, moving], axis=-1).mean()) if moving.any() else 0.0,
        seconds=seconds,
        history={},
        message="The prior's own mesh was taken: it needs no pixels to be followed.",
    )
