"""Rounds of restoring and refining: the user's camera first, then further sides, always from the layer so far.

One restored video says little of depth, and nothing of the back. Each round after the first renders the current layer
from the user's cameras and from some further sides, has these videos restored, the more gently the later, and fits to
all of them together. What a round moves is added to what the rounds before it moved.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress, Report

from ..storage.checkpoint import fingerprint, load_checkpoint, save_checkpoint
from .config import RefinementConfig
from .consensus import NOISE_TO_SIGNAL, UNSEEN_WEIGHT, Consensus
from .long_shots import refine_long, steps_of
from .problem import RefinementProblem, RestoredView
from .side_views import side_cameras


class Restore(Protocol):
    """Makes the views of further rounds. The same arguments must give the same view, if an interrupted fit is to go on.

    Where a prior knows the mesh, its views have vertices.
    """

    def __call__(
        self,
        cameras: CameraPath,
        vertices: np.ndarray,
        appearance: np.ndarray | None,
        strength: float,
        seed: int,
        progress: Progress,
    ) -> RestoredView:
        """Render vertices (T,V,3) world metres under appearance (T,V,5) or None, and restore the video.

        Strength is in (0, 1]. The view's colours are those without appearance. It may set the total of the progress it
        is given, and should advance it, which is where a cancelled run stops.
        """

    def show(
        self, view: RestoredView, vertices: np.ndarray, appearance: np.ndarray | None, should_cancel: Callable[[], bool]
    ) -> RestoredView:
        """The view with its target rendered again from vertices (T,V,3); only for priors that return a mesh."""


SEEDS_PER_ROUND = 64
RESTORE_STEPS = 100  # what one restored video counts in the progress of all rounds


@dataclass(frozen=True)
class RoundsConfig:
    """How to go on after the first round.

    Attributes:
        strengths: of restoration, one for each further round, none greater than the one before.
        azimuths: further sides in the order in which they are added, degrees, see `side_views.side_cameras`.
        sides_per_round: how many each round adds, as long as there are some.
        seconds: no round is started that would not end by then, if it takes as long per view as the last one, for
            the first the time of its restoration included; that one always runs. Time before an interruption counts.
        fit: of every round; a round's number is added to its seed, and to that of restoration.

    Raises:
        Ani3DError: ``refinement.rounds`` for values out of range.
    """

    strengths: tuple[float, ...] = (0.5, 0.4, 0.3)
    azimuths: tuple[float, ...] = (90.0, -90.0, 180.0)
    sides_per_round: int = 1
    seconds: float = math.inf
    fit: RefinementConfig = field(default_factory=RefinementConfig)

    def __post_init__(self) -> None:
        falling = all(a >= b for a, b in zip(self.strengths, self.strengths[1:], strict=False))
        if not falling or not all(0 < strength <= 1 for strength in self.strengths):
            raise _unusable(f"strengths are {self.strengths}", "Give falling numbers above 0 and up to 1")
        if self.sides_per_round < 1 or not self.seconds > 0:
            raise _unusable(
                f"sides_per_round is {self.sides_per_round} and seconds is {self.seconds:g}", "Both must be above 0"
            )

    @property
    def rounds(self) -> int:
        return 1 + len(self.strengths)

    def sides(self, number: int) -> tuple[float, ...]:
        """The azimuths of a round; the first, number 0, has none."""
        return self.azimuths[: number * self.sides_per_round]

    def steps(self, frames: int, views: int = 1) -> int:
        """Steps of progress of all rounds for a problem of so many frames and views."""
        restored = sum(views + len(self.sides(number)) for number in range(1, self.rounds))
        return self.rounds * steps_of(frames, self.fit) + restored * RESTORE_STEPS


@dataclass(frozen=True)
class Round:
    """What one round did.

    Attributes:
        number: 0 for the first.
        sides: azimuths of the further views, degrees.
        strength: of restoration; None in the first round, whose video was given.
        start_validation, best_validation: photometric loss of held-out frames before and after, to this round's videos.
        best_step: steps behind the kept field; 0 where the layer stayed as it was.
        moved: metres, mean over frames and open vertices of what this round added.
        seconds: of restoring and fitting.
        history, message: see `RefinementResult`.
    """

    number: int
    sides: tuple[float, ...]
    strength: float | None
    start_validation: float
    best_validation: float
    best_step: int
    moved: float
    seconds: float
    history: dict[str, list[float]]
    message: str


@dataclass(frozen=True)
class RoundsResult:
    """The layer after the last round, and what each of the rounds did.

    Attributes:
        vertices: (T,V,3) float32 world metres.
        rounds: the rounds.
        appearance: (T,V,5) float32 as of `RefinementResult`, or None.
    """

    vertices: np.ndarray
    rounds: tuple[Round, ...]
    appearance: np.ndarray | None = None

    @property
    def message(self) -> str:
        """One sentence for a person."""
        if len(self.rounds) == 1:
            return self.rounds[0].message
        parts = [
            f"{1 + len(done.sides)} view{'s' if done.sides else ''} {done.start_validation:.4f} -> "
            f"{done.best_validation:.4f}"
            for done in self.rounds
        ]
        return f"Photometric loss of held-out frames in {len(parts)} rounds: {', '.join(parts)}."

    @property
    def history(self) -> dict[str, list[float]]:
        """That of all rounds one after the other, steps counted on; terms that a round lacks are 0 in it."""
        terms = {name for done in self.rounds for name in done.history if not name.endswith("step")}
        joined: dict[str, list[float]] = {}
        before = 0.0
        for done in self.rounds:
            validations = {"validation", "validation_step"}
            for name in sorted(terms | {"step", "validation_step"}):
                count = len(done.history["validation_step" if name in validations else "step"])
                values = done.history.get(name, [0.0] * count)
                shift = before if name.endswith("step") else 0.0
                joined.setdefault(name, []).extend(value + shift for value in values)
            before += done.history["step"][-1] if done.history["step"] else 0.0
        return joined


def refine_in_rounds(
    problem: RefinementProblem,
    restore: Restore,
    config: RoundsConfig,
    progress: Progress,
    checkpoint: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
    restoring: float = 0.0,
) -> RoundsResult:
    """Refine a layer in rounds.

    The first round is `refine_long` of `problem` as it is, to the same bit. The others keep its cameras, and strain
    stays that of its coarse layer, so that many small steps are held back like one large one. Where a prior knows the
    mesh, each fits to what all its samples so far agree on, those of former rounds too (`consensus`); where none does,
    to the pictures, and the problem's own proposals stay.

    Args:
        problem: the layer to start from and the user's view, restored already.
        restore: makes the views of the further rounds.
        config: how many rounds, of what.
        progress: with `config.steps(problem.frames, len(problem.views))` as its total.
        checkpoint: file that keeps the layer after every round, beside it one of the fit in progress. A run that was
            interrupted goes on with the round it was in; both are removed at the end.
        clock: seconds.
        restoring: seconds that restoring each of the problem's own views took; only to foretell a second round's time.

    Raises:
        Cancelled: within a step of being asked to stop.
        Ani3DError: ``refinement.shape`` for a restored view that does not fit the problem; what `restore` raises;
            ``disk.full``.
    """
    mark = (
        f"{fingerprint(problem, replace(config, seconds=1.0))} {UNSEEN_WEIGHT} {NOISE_TO_SIGNAL}" if checkpoint else ""
    )
    vertices, appearance, done = np.asarray(problem.coarse_vertices, np.float32), problem.appearance, list[Round]()
    agreed = Consensus.none(vertices).joined(problem.views if config.strengths else ())
    if checkpoint and (found := load_checkpoint(checkpoint, mark)):
        kept, done = {name: tensor.numpy() for name, tensor in found[0].items()}, [*map(_unpacked, found[1]["rounds"])]
        vertices, appearance = kept["vertices"], kept.get("appearance")
        agreed = replace(
            agreed,
            weighted_offsets=kept["weighted_offsets"],
            visibility=kept["visibility"],
            samples=found[1]["samples"],
        )
        reached = replace(config, strengths=config.strengths[: len(done) - 1]).steps(problem.frames, len(problem.views))
        progress.advance(reached, message=f"{len(done)} rounds were done")
    fit_checkpoint = checkpoint.with_name(checkpoint.name + ".fit") if checkpoint else None

    while len(done) < config.rounds and _in_time(config, done, restoring):
        started = clock()
        number = len(done)
        views = problem.views
        if number:
            views = _restored(problem, vertices, appearance, restore, config, number, progress)
            replace(problem, views=views)  # which refuses what does not fit
            if all(view.vertices is not None for view in views):
                agreed = agreed.joined(views)
                mesh = agreed.vertices
                views = tuple(restore.show(view, mesh, appearance, progress.should_cancel) for view in views)
        fit = replace(config.fit, seed=config.fit.seed + number)
        steps = steps_of(problem.frames, fit)
        with _part(progress, steps, steps) as part:
            result = refine_long(_from_layer(problem, vertices, appearance, views), fit, part, fit_checkpoint)
        moved = np.linalg.norm((result.vertices - vertices)[:, problem.gates > 0], axis=-1)
        vertices, appearance = result.vertices, result.appearance
        done.append(
            Round(
                number=number,
                sides=config.sides(number),
                strength=config.strengths[number - 1] if number else None,
                start_validation=result.start_validation,
                best_validation=result.best_validation,
                best_step=result.best_step,
                moved=float(moved.mean()),
                seconds=clock() - started,
                history=result.history,
                message=result.message,
            )
        )
        if checkpoint:
            notes = {"rounds": [asdict(entry) for entry in done], "samples": agreed.samples}
            layer = {"vertices": vertices, "weighted_offsets": agreed.weighted_offsets, "visibility": agreed.visibility}
            if appearance is not None:
                layer["appearance"] = appearance
            save_checkpoint(checkpoint, mark, {name: torch.from_numpy(array) for name, array in layer.items()}, notes)

    if progress.step < progress.total:
        progress.advance(progress.total - progress.step, message="out of time")
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    return RoundsResult(vertices, tuple(done), appearance)


def _in_time(config: RoundsConfig, done: list[Round], restoring: float) -> bool:
    if not done:
        return True
    per_view = done[-1].seconds / (1 + len(done[-1].sides))
    if len(done) == 1:  # whose video was given
        per_view += restoring
    expected = per_view * (1 + len(config.sides(len(done))))
    return sum(entry.seconds for entry in done) + expected <= config.seconds


def _restored(
    problem: RefinementProblem,
    vertices: np.ndarray,
    appearance: np.ndarray | None,
    restore: Restore,
    config: RoundsConfig,
    number: int,
    progress: Progress,
) -> tuple[RestoredView, ...]:
    """The views of a round after the first: the user's cameras, then the sides."""
    own = [view.cameras for view in problem.views]
    sides = [side_cameras(problem.coarse_vertices, own[0], azimuth) for azimuth in config.sides(number)]
    views = []
    strength, paths = config.strengths[number - 1], [*own, *sides]
    for place, cameras in enumerate(paths):
        seed = config.fit.seed + SEEDS_PER_ROUND * number + place  # samples that differ average out what each made up
        with _part(progress, RESTORE_STEPS, 1) as part:
            views.append(restore(cameras, vertices, appearance, strength, seed, part))
    return tuple(views)


def _from_layer(
    problem: RefinementProblem, vertices: np.ndarray, appearance: np.ndarray | None, views: tuple[RestoredView, ...]
) -> RefinementProblem:
    """The problem of going on from `vertices` (T,V,3) and `appearance` (T,V,5)."""
    if views is problem.views:
        return problem
    start = problem.coarse_vertices
    proposed, confidence = problem.vertex_targets, problem.vertex_confidence
    if views[0].vertices is not None:
        proposed = views[0].vertices - vertices
        confidence = np.broadcast_to(problem.gates, proposed.shape[:2]) if confidence is None else confidence
    elif proposed is not None:
        proposed = proposed + (start - vertices)
    return replace(
        problem,
        coarse_vertices=vertices,
        views=views,
        appearance=appearance,
        unstrained=start if problem.unstrained is None else problem.unstrained,
        vertex_targets=proposed,
        vertex_confidence=confidence,
    )


@contextmanager
def _part(progress: Progress, steps: int, total: int) -> Iterator[Progress]:
    """A progress of its own for work that counts `steps` in `progress`, whatever total it turns out to have."""
    first, goal = progress.step, progress.step + steps

    def listen(report: Report) -> None:
        reached = first + steps * report.step // max(report.total, 1)
        progress.advance(max(reached - progress.step, 0), report.message, report.preview)

    yield Progress(progress.stage, total, listen, progress.should_cancel)
    if progress.step < goal:
        progress.advance(goal - progress.step)


def _unpacked(entry: dict) -> Round:
    return Round(**{**entry, "sides": tuple(entry["sides"])})


def _unusable(what: str, hint: str) -> Ani3DError:
    return Ani3DError("refinement.rounds", f"Rounds of refinement cannot be run: {what}.", f"{hint}.")
