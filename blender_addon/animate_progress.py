# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the whole work of Animate is, from reading the scene to the result in it, and how long it still takes."""

from __future__ import annotations

import math

# stage: (what it does, in an artist's words; its share of the time, by runs of the demo)
STAGES = {
    "bind": ("Looking at the character", 2),
    "export": ("Reading the scene", 4),
    "start": ("Starting the engine", 4),
    "send": ("Sending the shot", 1),
    "queued": ("Waiting for its turn", 0),
    "starting": ("Starting the job", 3),
    "kernels": ("Compiling, once on this machine", 0),
    "avatar": ("Covering the character", 20),
    "rigid": ("Posing the character", 1),
    "cloth": ("Simulating cloth and hair", 10),
    "render_rigid": ("Drawing the skeleton's motion", 2),
    "render_coarse": ("Drawing the simulated motion", 1),
    "restore": ("Restoring the video", 10),
    "refine": ("Fitting the motion", 4),
    "render_refined": ("Drawing the fitted motion", 10),
    "cache": ("Saving the result", 1),
    "pictures": ("Making videos", 3),
    "fetch": ("Fetching the result", 3),
}
FIRST = next(iter(STAGES))
OF_PICTURES = {"avatar", "render_rigid", "render_coarse", "restore", "refine", "render_refined", "pictures"}
KERNELS = "kernels"  # the stage of a machine's first job, whose time says nothing of others
CLOTH = "cloth"  # the quality that does without them, and the stage that every new job goes through
KNOWN_FROM = 0.1  # share of the whole that must have passed before its pace is told


class Course:
    """The way through `STAGES` of one job. `job` is its id, "" while it has none; `preset` its quality, `frames` how
    many it has, where known.

    `factor` (0..1) never goes back; `left` is seconds, inf while unknown.
    """

    def __init__(self, now: float, job: str = "", preset: str = "", frames: int = 0) -> None:
        self.job, self.preset, self.frames = job, preset, frames
        self._weights = {
            name: 0 if preset == CLOTH and name in OF_PICTURES else weight for name, (_, weight) in STAGES.items()
        }
        self._seen: set[str] = set()
        self.stage = "queued" if job else FIRST
        self.factor = 0.0
        self.left = math.inf
        self._began: tuple[float, float] | None = None  # seconds and factor when it was first looked at
        self._first = now
        self._is_new = not job
        self._kernels_since: float | None = None
        self._aside = 0.0  # seconds of the stage KERNELS

    @property
    def words(self) -> str:
        """What is being done."""
        return words_of(self.stage)

    def see(self, stage: str, share: float, now: float) -> None:
        """Note that `share` (0..1) of `stage` is done at `now`, seconds on any clock; unknown stages leave the bar."""
        self.stage = stage
        if stage == KERNELS:
            self._see_kernels(min(max(share, 0.0), 1.0), now)
            return
        if stage not in STAGES:
            return
        self._kernels_since = None
        now -= self._aside
        self._seen.add(stage)
        weights = self._weights
        names = list(weights)
        before = sum(weights[name] for name in names[: names.index(stage)])
        reached = (before + min(max(share, 0.0), 1.0) * weights[stage]) / sum(weights.values())
        if self._began is None:  # a job that was found again may be far already
            self._began = (self._first, 0.0) if self._is_new else (now, reached)
        self.factor = max(self.factor, reached)
        seconds, done = now - self._began[0], self.factor - self._began[1]
        self.left = seconds / done * (1 - self.factor) if done >= KNOWN_FROM else math.inf

    def _see_kernels(self, share: float, now: float) -> None:
        """The time left is that of the compiler alone, whose pace has nothing to do with the job's."""
        if self._kernels_since is None:
            self._kernels_since = now - self._aside
        self._aside = now - self._kernels_since
        self.left = self._aside / share * (1 - share) if share >= KNOWN_FROM else math.inf

    def took(self, now: float) -> float | None:
        """Seconds a frame of a job that is done `now`, without compiling; None where it was not followed from its
        beginning, or was there already."""
        if not (self._is_new and self.frames and CLOTH in self._seen):
            return None
        return (now - self._first - self._aside) / self.frames


def words_of(stage: str) -> str:
    """The stage in an artist's words; one that is not known as it is called."""
    return STAGES[stage][0] if stage in STAGES else stage.replace("_", " ").capitalize()
