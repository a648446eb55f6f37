"""Cloth for motion that runs in a circle: of two laps the second is taken, and the gap that is left is evened out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .preroll import rigid_fit

LEAST = 4  # frames of a cycle
SAME = 0.25  # of a usual step, that the last pose may be from the first to be the same pose again
NEXT = 3.0  # usual steps, that it may be from it to be the pose before it
EVENED = 0.5  # share of the cycle, its last one, over which the gap is evened out
MOST = 95  # per cent of the vertices that the reported gap holds for


@dataclass(frozen=True)
class Cycle:
    """How a clip of T frames repeats.

    Attributes:
        frames: of a lap; one less than the clip where its last frame is the first pose again.
        R, offset: (3,3), (3,): how the next lap is placed, R x + offset.
    """

    frames: int
    R: np.ndarray
    offset: np.ndarray

    @property
    def order(self) -> np.ndarray:
        """(2*frames+1,) the clip's frames of two laps, and the first again."""
        lap = np.arange(self.frames)
        return np.concatenate([lap, lap, [0]])

    def laps(self, clip: np.ndarray) -> np.ndarray:
        """The clip (T,V,3) over two laps and the beginning of a third."""
        turn, offset = self.R.astype(np.float32), self.offset.astype(np.float32)
        first = clip[: self.frames]
        second = first @ turn.T + offset
        return np.concatenate([first, second, second[:1] @ turn.T + offset])

    def closed(self, laps: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The second of simulated laps as a clip of `count` frames that meets itself.

        Returns:
            (count,V,3), and how far (V,) metres each vertex ended from where it began.
        """
        turn, offset = self.R.astype(np.float32), self.offset.astype(np.float32)
        clip = (laps[self.frames :] - offset) @ turn  # of the first lap's place again
        again = (clip[-1] - offset) @ turn
        gap = again - clip[0]
        share = np.clip((np.arange(self.frames + 1) / self.frames - 1) / EVENED + 1, 0, 1)
        share = share * share * (3 - 2 * share)
        clip = clip - share[:, None, None].astype(np.float32) * (gap @ turn.T)  # as placed where the lap ends
        return clip[:count].astype(np.float32), np.linalg.norm(gap, axis=1)


def cycle_of(clip: np.ndarray) -> Cycle | str:
    """How a clip (T,V,3) of the skeleton's motion repeats, or why it does not."""
    if len(clip) < LEAST:
        return f"it has {len(clip)} frames"
    steps = [_apart(clip[t], clip[t + 1])[0] for t in range(len(clip) - 1)]
    usual = max(float(np.median(steps)), 1e-6)
    apart, R, offset = _apart(clip[0], clip[-1])
    if apart <= SAME * usual:
        return Cycle(len(clip) - 1, R, offset)
    if apart > NEXT * usual:
        return f"its last pose is {100 * apart:.1f} cm from its first, a usual step {100 * usual:.1f} cm"
    _, R, offset = _apart(clip[-2], clip[-1])
    return Cycle(len(clip), *_apart(clip[0], clip[-1] @ R.T + offset)[1:])


def _apart(one: np.ndarray, other: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """How far poses (V,3) are from each other (RMS, metres) once the first is laid on the second; and by what."""
    R, offset = rigid_fit(one, other)
    return float(np.sqrt(((one @ R.T + offset - other) ** 2).sum(1).mean())), R, offset


def simulated_loop(
    clip: np.ndarray,
    simulate: Callable[[np.ndarray, np.ndarray], np.ndarray],
    loose: np.ndarray,
    warn: Callable[[str], None],
) -> np.ndarray:
    """Cloth over a clip (T,V,3) of the skeleton's motion, that ends where it begins.

    Args:
        simulate: makes (T',V,3) of a clip (T',V,3) and the frames (T',) of the shot that it has.
        loose: (V,) bool, vertices of garment and hair.
        warn: called with a sentence on how well the loop closes, or why there is none.
    """
    cycle = cycle_of(clip)
    if isinstance(cycle, str):
        warn(f"The motion does not loop, so cloth does not: {cycle}.")
        return simulate(clip, np.arange(len(clip)))
    moved, gap = cycle.closed(simulate(cycle.laps(clip), cycle.order), len(clip))
    kept = clip[:, ~loose]
    moved[:, ~loose] = kept
    if loose.any():
        far = float(np.percentile(gap[loose], MOST))
        warn(f"Loop: after a lap, cloth is within {1000 * far:.0f} mm of where it began; that is evened out.")
    return moved
