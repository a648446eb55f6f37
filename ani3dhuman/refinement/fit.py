"""Refinement: optimise the residual field until renderings match the restored video (METHOD, step 5).

Adam over few frames at a time, each frame of each view equally often. Frames kept from training, in all views, judge
the fit; the best field by their photometric loss is returned, and the coarse layer itself is among the candidates.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ani3d_formats.errors import Cancelled
from ani3d_formats.progress import Progress

from ..avatar.appearance import CHANNELS
from ..device import to_numpy
from ..fields.build import MotionField
from ..side_by_side import Workers, side_by_side
from ..storage.checkpoint import (
    fingerprint,
    load_checkpoint,
    pack_adam,
    save_checkpoint,
    unpack_adam,
    with_prefix,
    without_prefix,
)
from .config import RefinementConfig
from .fitted_fields import FittedFields
from .objective import loss_terms
from .problem import RefinementProblem
from .scene import FitScene, build_scene
from .schedule import Pair, RateSchedule, pairs_of_step, split_pairs
from .validation import validate

BETAS = (0.98, 0.999)  # of Adam: frames differ much, and 50 steps in a row see the whole clip
FRAMES_AT_ONCE = 8  # when the whole clip is evaluated
SAVE_EVERY = 60.0  # seconds between checkpoints


@dataclass(frozen=True)
class RefinementResult:
    """The refined layer.

    Attributes:
        vertices: (T,V,3) float32 world metres; equal to the coarse ones wherever the gate is 0.
        field: the residual field that made them.
        history: per step ``step``, ``total`` and every weighted loss term; ``validation_step`` and
            ``validation`` hold the validation losses; the first is taken before step 1.
        best_step: steps behind the returned field; 0 when the coarse layer was best.
        start_validation, best_validation: weighted picture terms of held-out frames, coarse and returned: the
            photometric loss, and the alpha term where it is used.
        message: one sentence for a person.
        appearance: (T,V,5) float32, see `avatar.appearance`: that of the problem and what was fitted to it; 0 wherever
            the gate is 0. None where the problem has none and none was asked for.
    """

    vertices: np.ndarray
    field: MotionField
    history: dict[str, list[float]]
    best_step: int
    start_validation: float
    best_validation: float
    message: str
    appearance: np.ndarray | None = None

    @property
    def improved(self) -> bool:
        return self.best_step > 0


def refine(
    problem: RefinementProblem,
    config: RefinementConfig,
    progress: Progress,
    checkpoint: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> RefinementResult:
    """Fit the residual field of one clip; on the CPU the same result for the same inputs and thread count.

    Args:
        problem: what to fit.
        config: how.
        progress: with `config.steps` as its total; advanced every step, with a preview at each validation.
        checkpoint: file to keep the state in, written at each validation and once a minute. A fit that was cancelled
            or killed goes on from it to the same result, and it is removed when the fit is done; one that belongs to
            other inputs is ignored and overwritten.
        clock: seconds.

    Raises:
        Cancelled: within one step, or as many frames looked at, of being asked to stop, after the checkpoint was
            written.
        Ani3DError: ``disk.full`` when the checkpoint cannot be written.
    """

    def check_cancelled() -> None:
        if progress.should_cancel():
            raise Cancelled(progress.stage)

    on_cpu = problem.compute.on_cpu
    repeatable = _reproducible() if on_cpu else nullcontext()
    with repeatable, side_by_side(config.frames_per_step, check_cancelled, on_cpu) as workers:
        fit = _Fit(problem, config, check_cancelled, workers)
        mark = fingerprint(problem, config, check_cancelled) if checkpoint else ""
        if checkpoint and (found := load_checkpoint(checkpoint, mark)):
            fit.restore(*found)
            progress.advance(fit.step, message=f"going on from step {fit.step}")
        saved = clock()
        try:
            fit.validate_if_due()
            while fit.step < fit.end:
                fit.advance()
                if checkpoint and clock() - saved >= SAVE_EVERY:
                    save_checkpoint(checkpoint, mark, *fit.state())
                    saved = clock()
                preview = fit.validate_if_due()
                if checkpoint and preview is not None:
                    save_checkpoint(checkpoint, mark, *fit.state())
                    saved = clock()
                loss = float(fit.history["total"][-1])
                progress.advance(message=f"loss {loss:.4f}", preview=preview, loss=loss)
            if fit.step < config.steps:
                progress.advance(config.steps - fit.step, message="converged")
            result = fit.result()
        except Cancelled:
            if checkpoint and fit.step:
                save_checkpoint(checkpoint, mark, *fit.state())
            raise
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    return result


@contextmanager
def _reproducible() -> Iterator[None]:
    """Sums in the same order on every run: torch's gather otherwise adds its gradients with atomics."""
    before = torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic  # torch's stubs miss its one attribute
    filling, memory.fill_uninitialized_memory = memory.fill_uninitialized_memory, False
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        memory.fill_uninitialized_memory = filling


@dataclass
class _Best:
    step: int
    value: float
    state: dict[str, Tensor]


@dataclass
class _Fit:
    """A fit in progress: everything that changes from step to step."""

    problem: RefinementProblem
    config: RefinementConfig
    check_cancelled: Callable[[], None]
    workers: Workers
    step: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        config = self.config
        self.scene = build_scene(self.problem, config.margin, self.check_cancelled)
        self.check_cancelled()
        self.fields = FittedFields.of(self.scene, config)
        groups = self.fields.parameter_groups()
        self.rates = [rate for _, rate in groups]
        self.parameters = [parameter for params, _ in groups for parameter in params]
        fused = self.parameters[0].device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.Adam(
            [{"params": params} for params, _ in groups], lr=1.0, betas=BETAS, eps=1e-12, fused=fused
        )
        self.training, self.held_out = split_pairs(self.scene.seen, config.held_out)
        self.best = _Best(0, math.inf, self.fields.state())
        self.schedule = RateSchedule.of(config)

    @property
    def end(self) -> int:
        return self.schedule.end

    @property
    def fitted(self) -> FittedFields:
        """The fields that learn at this step: that of appearance only once the learning rates decay."""
        return self.fields if self.step >= self.schedule.decay_from else replace(self.fields, appearance=None)

    def advance(self) -> None:
        """One optimiser step."""
        factor = self.schedule.factor(self.step)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        pairs = pairs_of_step(self.training, self.step, self.config.frames_per_step, self.config.seed)
        terms, gradients = zip(*self.workers(self._gradients, pairs), strict=True)
        for parameter, each in zip(self.parameters, zip(*gradients, strict=True), strict=True):
            parameter.grad = None if each[0] is None else torch.stack(each).mean(0)
        self.optimizer.step()
        self.step += 1
        self._note({"step": float(self.step), **mean_terms(terms)})

    def _note(self, found: dict[str, float]) -> None:
        """One entry of every term, 0 where a step has none: views differ, and appearance comes late."""
        terms = dict.fromkeys([*self.history, *found])
        for name in terms:
            if name not in ("validation", "validation_step"):
                self.history.setdefault(name, [0.0] * (self.step - 1)).append(found.get(name, 0.0))

    def _gradients(self, pair: Pair) -> tuple[dict[str, float], tuple[Tensor | None, ...]]:
        """The loss terms of a frame in a view, their sum as ``total``, and its gradient for each parameter."""
        terms = loss_terms(self.scene, self.fitted, *pair, self.config)
        total = torch.stack(list(terms.values())).sum()
        gradients = torch.autograd.grad(total, self.parameters, allow_unused=True)
        return {name: float(value.detach()) for name, value in {**terms, "total": total}.items()}, gradients

    def validate_if_due(self) -> np.ndarray | None:
        """Judge the fields by the held-out frames, keep them if they are the best; returns a preview picture.

        Due at the start, at the end and every so many steps, once each: a fit may have been stopped just before.
        """
        due = self.step % self.config.validate_every == 0 or self.step == self.end
        if not due or float(self.step) in self.history.get("validation_step", [])[-1:]:
            return None
        value, preview = validate(self.scene, self.fitted, self.held_out, self.config, self.workers)
        self.history.setdefault("validation_step", []).append(float(self.step))
        self.history.setdefault("validation", []).append(value)
        if value < self.best.value:
            self.best = _Best(self.step, value, self.fields.state())
        if self.step - self.best.step >= self.config.patience * self.config.validate_every:
            self.schedule.decay_now(self.step)
        return preview

    def state(self) -> tuple[dict[str, Tensor], dict]:
        """What a checkpoint holds."""
        tensors = self.fields.state()
        tensors |= with_prefix("best", self.best.state) | pack_adam(self.optimizer)
        notes = {"step": self.step, "decay_from": self.schedule.decay_from, "history": self.history}
        return tensors, {**notes, "best_step": self.best.step, "best_value": self.best.value}

    def restore(self, tensors: dict[str, Tensor], notes: dict) -> None:
        """Go on from a checkpoint."""
        self.fields.load(tensors)
        unpack_adam(self.optimizer, tensors)
        self.best = _Best(notes["best_step"], notes["best_value"], without_prefix("best", tensors))
        self.step, self.schedule.decay_from, self.history = notes["step"], notes["decay_from"], notes["history"]

    def result(self) -> RefinementResult:
        """The best fields there were, and the layer they make."""
        self.fields.load(self.best.state)
        start, best = self.history["validation"][0], self.best.value
        if self.best.step == 0:
            message = f"The coarse layer was kept: no field of {self.step} steps matched the held-out frames better."
        else:
            judged = "Photometric loss" + (" with alpha" if "alpha" in self.history else "")
            message = f"{judged} of held-out frames {start:.4f} -> {best:.4f} at step {self.best.step}."
        motion = self.fields.motion
        vertices = refined_vertices(self.problem, self.scene, motion, self.check_cancelled)
        appearance = refined_appearance(self.problem, self.scene, self.fields.appearance, self.check_cancelled)
        cast(nn.Module, motion).to("cpu")
        return RefinementResult(vertices, motion, self.history, self.best.step, start, best, message, appearance)


def mean_terms(frames: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each loss term over frames; one that has it not counts as 0."""
    names = dict.fromkeys(name for terms in frames for name in terms)
    return {name: sum(terms.get(name, 0.0) for terms in frames) / len(frames) for name in names}


def refined_vertices(
    problem: RefinementProblem,
    scene: FitScene,
    residual: MotionField,
    check_cancelled: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """The whole mesh (T,V,3) with the field added to its open vertices; `check_cancelled` as of `build_scene`."""
    vertices = np.array(problem.coarse_vertices, np.float32)
    ids, count = to_numpy(scene.open_ids), len(scene.points)
    with torch.no_grad():
        for start in range(0, scene.frames, FRAMES_AT_ONCE):
            check_cancelled()
            frames = range(start, min(start + FRAMES_AT_ONCE, scene.frames))
            offsets = residual(scene.points, torch.tensor([scene.time(t) for t in frames]), scene.gates)
            for t, moved in zip(frames, offsets, strict=True):
                vertices[t, ids] = to_numpy(scene.active_vertices(t, moved)[:count])
    return vertices


def refined_appearance(
    problem: RefinementProblem,
    scene: FitScene,
    appearance: MotionField | None,
    check_cancelled: Callable[[], None] = lambda: None,
) -> np.ndarray | None:
    """The appearance (T,V,5) of the whole mesh, that of the problem included; None where there is none."""
    if appearance is None:
        return problem.appearance
    whole = np.zeros((scene.frames, problem.vertices, CHANNELS), np.float32)
    with torch.no_grad():
        for t in range(scene.frames):
            check_cancelled()
            vertex_appearance = scene.open_appearance(t, appearance(scene.points, scene.time(t), scene.gates))
            assert vertex_appearance is not None
            whole[t, to_numpy(scene.open_ids)] = to_numpy(vertex_appearance)
    return whole
