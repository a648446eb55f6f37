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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress, Report

from ..storage.checkpoint import fingerprint
from .config import RefinementConfig
from .consensus import NOISE_TO_SIGNAL, UNSEEN_WEIGHT, Consensus
from .fit import RefinementResult
from .long_shots import refine_long, steps_of
from .problem import RefinementProblem, RestoredView, show_garment
from .round_state import Round, RoundsResult, RoundState
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


class Redraw(Protocol):
    """Renders the target of a view again, for priors that return a mesh."""

    def __call__(
        self,
        view: RestoredView,
        vertices: np.ndarray,
        appearance: np.ndarray | None,
        should_cancel: Callable[[], bool],
    ) -> RestoredView:
        """The view with vertices (T,V,3) world metres, and under appearance (T,V,5) or None, as its target."""


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
            raise _unusable_error(f"strengths are {self.strengths}", "Give falling numbers above 0 and up to 1")
        if self.sides_per_round < 1 or not self.seconds > 0:
            raise _unusable_error(
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


def refine_in_rounds(
    problem: RefinementProblem,
    restore: Restore,
    config: RoundsConfig,
    progress: Progress,
    checkpoint: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
    restoring: float = 0.0,
    redraw: Redraw | None = None,
) -> RoundsResult:
    """Refine a layer in rounds.

    The first round is `refine_long` of `problem` as it is, to the same bit. The others keep its cameras, and strain
    stays that of its coarse layer, so that many small steps are held back like one large one. Where a prior knows the
    mesh, each fits to the consensus of all its samples so far, those of former rounds too (`consensus`); where none
    does, to the pictures, and the problem's own proposals stay.

    Args:
        problem: the layer to start from and the user's view, restored already.
        restore: makes the views of the further rounds.
        config: how many rounds, of what.
        progress: with `config.steps(problem.frames, len(problem.views))` as its total.
        checkpoint: file that keeps the layer after every round, beside it one of the fit in progress. A run that was
            interrupted goes on with the round it was in; both are removed at the end.
        clock: seconds.
        restoring: seconds that restoring each of the problem's own views took; used to predict a second round's time.
        redraw: renders the consensus; needed where views have vertices.

    Raises:
        Cancelled: within a step of being asked to stop.
        Ani3DError: ``refinement.shape`` for a restored view that does not fit the problem; what `restore` raises;
            ``disk.full``.
    """
    state, mark = RoundState.start(problem, problem.views if config.strengths else ()), ""
    if checkpoint:
        inputs = fingerprint(problem, replace(config, seconds=1.0))
        mark = f"{inputs} {UNSEEN_WEIGHT} {NOISE_TO_SIGNAL}"
        state = state.loaded(checkpoint, mark)
    if state.done:
        before = replace(config, strengths=config.strengths[: len(state.done) - 1])
        reached = before.steps(problem.frames, len(problem.views))
        progress.advance(reached, message=f"{len(state.done)} rounds were done")

    ended = "out of time"
    while len(state.done) < config.rounds and in_time(config, state.done, restoring):
        started = clock()
        views, consensus = problem.views, state.consensus
        if state.done:
            views, consensus = _next_views(problem, state, restore, redraw, config, progress)
            if not views:
                ended = "the garment is out of sight by now"
                break
        fit = replace(config.fit, seed=config.fit.seed + len(state.done))
        result = _fit_round(_from_layer(problem, state, views), fit, progress, checkpoint)
        done = _round(config, state, problem.gates > 0, result, clock() - started)
        state = RoundState(result.vertices, result.appearance, consensus, (*state.done, done))
        if checkpoint:
            state.save(checkpoint, mark)

    if progress.step < progress.total:
        progress.advance(progress.total - progress.step, message=ended)
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    return RoundsResult(state.vertices, state.done, state.appearance)


def in_time(config: RoundsConfig, done: tuple[Round, ...], restoring: float) -> bool:
    """Whether another round would end within `config.seconds`, if it takes as long per view as the last one."""
    if not done:
        return True
    per_view = done[-1].seconds / (1 + len(done[-1].sides))
    if len(done) == 1:  # whose video was given
        per_view += restoring
    expected = per_view * (1 + len(config.sides(len(done))))
    return sum(entry.seconds for entry in done) + expected <= config.seconds


def _next_views(
    problem: RefinementProblem,
    state: RoundState,
    restore: Restore,
    redraw: Redraw | None,
    config: RoundsConfig,
    progress: Progress,
) -> tuple[tuple[RestoredView, ...], Consensus]:
    """The views of a round after the first, the user's cameras and then the sides, and the consensus with them.

    No view at all where none shows the garment any more.
    """
    number = len(state.done)
    own = [view.cameras for view in problem.views]
    sides = [side_cameras(problem.coarse_vertices, own[0], azimuth) for azimuth in config.sides(number)]
    views = []
    for place, cameras in enumerate([*own, *sides]):
        seed = seed_of(config, number, place)
        with part_of(progress, RESTORE_STEPS, 1) as part:
            views.append(restore(cameras, state.vertices, state.appearance, config.strengths[number - 1], seed, part))
    if not show_garment(views):
        return (), state.consensus
    replace(problem, views=tuple(views))  # which refuses what does not fit
    if redraw is None or any(view.vertices is None for view in views):
        return tuple(views), state.consensus
    consensus = state.consensus.joined(views)
    mesh = consensus.vertices
    return tuple(redraw(view, mesh, state.appearance, progress.should_cancel) for view in views), consensus


def seed_of(config: RoundsConfig, number: int, place: int) -> int:
    """Of the noise of a round's view; noise that differs averages out."""
    return config.fit.seed + SEEDS_PER_ROUND * number + place


def _fit_round(
    problem: RefinementProblem, fit: RefinementConfig, progress: Progress, checkpoint: Path | None
) -> RefinementResult:
    """Fit one round; its own checkpoint lies beside that of all rounds."""
    steps = steps_of(problem.frames, fit)
    own = checkpoint.with_name(checkpoint.name + ".fit") if checkpoint else None
    with part_of(progress, steps, steps) as part:
        return refine_long(problem, fit, part, own)


def _round(
    config: RoundsConfig, before: RoundState, is_open: np.ndarray, result: RefinementResult, seconds: float
) -> Round:
    """What a round did that led from the state `before` to `result`."""
    number = len(before.done)
    return Round(
        number=number,
        sides=config.sides(number),
        strength=config.strengths[number - 1] if number else None,
        start_validation=result.start_validation,
        best_validation=result.best_validation,
        best_step=result.best_step,
        moved=float(np.linalg.norm((result.vertices - before.vertices)[:, is_open], axis=-1).mean()),
        seconds=seconds,
        history=result.history,
        message=result.message,
    )


def _from_layer(problem: RefinementProblem, state: RoundState, views: tuple[RestoredView, ...]) -> RefinementProblem:
    """The problem of going on from the layer so far."""
    if views is problem.views:
        return problem
    start, proposed = problem.coarse_vertices, problem.vertex_targets
    if views[0].vertices is not None:
        proposed = views[0].vertices - state.vertices
    elif proposed is not None:
        proposed = proposed + (start - state.vertices)
    return replace(
        problem,
        coarse_vertices=state.vertices,
        views=views,
        appearance=state.appearance,
        unstrained=start if problem.unstrained is None else problem.unstrained,
        vertex_targets=proposed,
    )


@contextmanager
def part_of(progress: Progress, steps: int, total: int) -> Iterator[Progress]:
    """A progress of its own for work that counts `steps` in `progress`, whatever total it turns out to have."""
    first, goal = progress.step, progress.step + steps

    def listen(report: Report) -> None:
        reached = first + steps * report.step // max(report.total, 1)
        progress.advance(max(reached - progress.step, 0), report.message, report.preview)

    yield Progress(progress.stage, total, listen, progress.should_cancel)
    if progress.step < goal:
        progress.advance(goal - progress.step)


def _unusable_error(what: str, hint: str) -> Ani3DError:
    return Ani3DError("refinement.rounds", f"Rounds of refinement cannot be run: {what}.", f"{hint}.")
