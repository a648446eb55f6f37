"""A motion as a file has it: joints at rest, and where they are and how they are turned in every frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ani3d_formats.errors import Ani3DError


@dataclass(frozen=True)
class Motion:
    """T frames of J joints, in the axes and unit of the file.

    Attributes:
        path: the file.
        names: of the joints, "" for mere ends; parents: (J,), -1 for a root, before their children.
        rest: (J,3) joints when nothing is turned.
        points: (T,J,3) joints; turns: (T,J,3,3) rotations from rest, in the file's world.
        frame_time: seconds.
    """

    path: Path
    names: tuple[str, ...]
    parents: np.ndarray
    rest: np.ndarray
    points: np.ndarray
    turns: np.ndarray
    frame_time: float

    @classmethod
    def of_local(
        cls,
        path: Path,
        names: tuple[str, ...],
        parents: np.ndarray,
        offsets: np.ndarray,
        positions: np.ndarray,
        rotations: np.ndarray,
        frame_time: float,
    ) -> Motion:
        """From what each joint says against its parent.

        Args:
            offsets: (J,3) from the parent at rest; positions: (T,J,3) in frames, in the parent's turned axes.
            rotations: (T,J,3,3) against the parent.
        """
        rest, points, turns = np.zeros_like(offsets), positions.copy(), rotations.copy()
        for j, parent in enumerate(parents):
            if parent >= 0:
                rest[j] = rest[parent] + offsets[j]
                points[:, j] = points[:, parent] + np.einsum("tij,tj->ti", turns[:, parent], positions[:, j])
                turns[:, j] = turns[:, parent] @ rotations[:, j]
        return cls(Path(path), names, parents, rest, points, turns, frame_time)

    @property
    def frames(self) -> int:
        return len(self.points)

    def ancestors(self, joint: int) -> list[int]:
        """The joint and those above it, the root last."""
        chain = [joint]
        while self.parents[chain[-1]] >= 0:
            chain.append(int(self.parents[chain[-1]]))
        return chain


def motion_error(path: Path, what: str, hint: str) -> Ani3DError:
    """The error ``motion.file`` about a file that cannot be used."""
    return Ani3DError("motion.file", f"{path}: {what}.", hint)
