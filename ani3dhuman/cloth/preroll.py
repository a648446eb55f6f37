"""How a shot begins: by default cloth and body come from the rest pose into the first frame, at that frame's speed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

JUMP = (
    0.5  # metres a frame that the skin's step may differ from the one before; more is a cut, and the cloth goes along
)
FROM_REST, SETTLED, AT_ONCE = WAYS_IN = ("rest", "settled", "none")
ARRIVAL = 0.7  # share of the way in after which the first pose is reached; in the rest of it the cloth settles


@dataclass(frozen=True)
class Preroll:
    """The way in.

    Attributes:
        count: frames before the first one.
        velocity: (3,) metres a frame, the mean of the first step of the clip.
        R, offset: (3,3), (3,): the rest pose laid on the first frame, R x + offset.
        still: the first frame's pose holds all the way.
    """

    count: int
    velocity: np.ndarray
    R: np.ndarray
    offset: np.ndarray
    still: bool = False

    @classmethod
    def into(
        cls, clip: np.ndarray, rest: np.ndarray, steady: np.ndarray, count: int, way_in: str = FROM_REST
    ) -> Preroll:
        """The way of a garment into a clip (T,P,3) from `rest` (P,3); `steady` (P,) bool are vertices on the skin.

        `way_in`: of `WAYS_IN`; of `count` frames from the rest pose, and of twice as many in the first frame's pose.
        """
        velocity = (clip[1] - clip[0]).astype(np.float64).mean(0) if len(clip) > 1 else np.zeros(3)
        if np.linalg.norm(velocity) > JUMP:  # the shot begins with a cut
            velocity = np.zeros(3)
        chosen = steady if steady.sum() >= 3 else np.ones(len(rest), bool)
        count = {FROM_REST: count, SETTLED: 2 * count, AT_ONCE: 0}[way_in]
        still = way_in == SETTLED
        return cls(count, 0 * velocity if still else velocity, *rigid_fit(rest[chosen], clip[0][chosen]), still)

    def at(self, clip: np.ndarray, rest: np.ndarray | None, step: int) -> np.ndarray:
        """Positions (P,3) float32 at a step; step `count` is the clip's first frame. Without `rest` its pose holds."""
        if step >= self.count:
            return clip[step - self.count].astype(np.float32)
        pose = clip[0].astype(np.float64)
        if rest is not None and not self.still:
            share = min(1.0, step / (ARRIVAL * self.count))
            share = share * share * (3 - 2 * share)
            pose = (1 - share) * (rest @ self.R.T + self.offset) + share * pose
        return (pose - (self.count - step) * self.velocity).astype(np.float32)


def rigid_fit(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3,3) and offset (3,) that bring points (N,3) nearest to others in least squares (Kabsch 1976)."""
    middle_s, middle_t = source.mean(0, dtype=np.float64), target.mean(0, dtype=np.float64)
    U, _, Vt = np.linalg.svd((target - middle_t).T @ (source - middle_s))
    R = U @ np.diag([1, 1, np.sign(np.linalg.det(U @ Vt))]) @ Vt
    return R, middle_t - R @ middle_s
