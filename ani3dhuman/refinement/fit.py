"""Refinement: optimise the residual field until renderings match the restored video (METHOD, step 5).

Adam over few frames at a time, each frame of each view equally often. Frames kept from training, in all views, judge
the fit; the best field by their photometric loss is returned, and the coarse layer itself is among the candidates.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ani3d_formats.errors import Cancelled
from ani3d_formats.progress import Progress

from ..avatar.appearance import CHANNELS
from ..fields.build import FIELDS, MotionField, build_field
from ..storage.checkpoint import (
    fingerprint,
    load_checkpoint,
    pack_adam,
    save_checkpoint,
    unpack_adam,
    with_prefix,
    without_prefix,
)
from . import losses
from .config import RefinementConfig
from .problem import RefinementProblem
from .scene import FitScene, build_scene
from .side_by_side import Workers, side_by_side
from .terms import loss_terms, picture_terms

Pair = tuple[int, int]  # a view and a frame, both as indices
PREVIEW_SIDE = 128
WARM_UP = 20  # steps until the full learning rate
FINAL_RATE = 0.02  # share of it at the end; at 0.1 the gradients of single frames still show
BETAS = (0.98, 0.999)  # of Adam: frames differ much, and 50 steps in a row see the whole clip
GOLDEN = (math.sqrt(5) - 1) / 2
FRAMES_AT_ONCE = 8  # when the whole clip is evaluated
SAVE_EVERY = 60.0  # seconds between checkpoints
APPEARANCE_REACH = 0.3  # of appearance per unit of a field's coefficients, where motion has metres


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
            photometric loss, and alpha, depth and perceptual terms where they are used.
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
    """Fit the residual field of one clip on the CPU; the same result for the same inputs and thread count.

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
        Ani3DError: ``disk.full`` when the checkpoint cannot be written; ``refinement.depth`` for a target's depth that
            is negative or not finite; ``metrics.weights`` where the perceptual term is wanted and not installed.
    """

    def check_cancelled() -> None:
        if progress.should_cancel():
            raise Cancelled(progress.stage)

    with _reproducible(), side_by_side(config.frames_per_step, check_cancelled) as workers:
        if config.weights.perceptual:
            losses.check_perceptual()
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
                progress.advance(message=f"loss {fit.history['total'][-1]:.4f}", preview=preview)
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
        points, edges, frames = self.scene.points, self.scene.edges, self.scene.frames
        self.field = build_field(config.field_kind, points, edges, frames, config.seed, config.field)
        self.appearance: MotionField | None = None
        if config.appearance:
            self.appearance = build_appearance(config, points, edges, frames)
        groups = [group for part in self.fields.values() for group in part.parameter_groups()]
        self.rates = [rate for _, rate in groups]
        self.parameters = [parameter for params, _ in groups for parameter in params]
        self.optimizer = torch.optim.Adam(
            [{"params": params} for params, _ in groups], lr=1.0, betas=BETAS, eps=1e-12, fused=True
        )
        self.training, self.held_out = split_pairs(self.scene.seen, config.held_out)
        self.best = _Best(0, math.inf, self._copy())
        self.decay_from = math.ceil(
            config.steps * (1 - config.cooldown)
        )  # step at which the learning rates begin to decay, or earlier

    @property
    def fields(self) -> dict[str, MotionField]:
        """All that is fitted, by name."""
        return {"field": self.field, **({"appearance": self.appearance} if self.appearance else {})}

    @property
    def appearance_now(self) -> MotionField | None:
        """The appearance field; None until the decay phase begins, when its training starts."""
        return self.appearance if self.step >= self.decay_from else None

    @property
    def end(self) -> int:
        """The last step: the decay takes the same share of all steps, whether it began as planned or early."""
        return min(self.config.steps, math.ceil(self.decay_from / (1 - self.config.cooldown)))

    @property
    def rate_factor(self) -> float:
        """Of the full learning rates: a short warm-up, a plateau, then half a cosine down to `FINAL_RATE`."""
        # gradients of single frames differ, and Adam knows their variance only after some of them
        share = min(1.0, (self.step + 1) / WARM_UP)
        if self.step >= self.decay_from:
            decayed = (self.step - self.decay_from) / max(self.end - self.decay_from, 1)
            share *= FINAL_RATE + (1 - FINAL_RATE) * (0.5 + 0.5 * math.cos(math.pi * decayed))
        return share

    def advance(self) -> None:
        """One optimiser step."""
        share = self.rate_factor
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * share
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
        terms = loss_terms(self.scene, self.field, *pair, self.config, self.appearance_now)
        total = torch.stack(list(terms.values())).sum()
        gradients = torch.autograd.grad(total, self.parameters, allow_unused=True)
        return {name: float(value.detach()) for name, value in {**terms, "total": total}.items()}, gradients

    def validate_if_due(self) -> np.ndarray | None:
        """Judge the field by the held-out frames, keep it if it is the best; returns a preview picture.

        Due at the start, at the end and every so many steps, once each: a fit may have been stopped just before.
        """
        due = self.step % self.config.validate_every == 0 or self.step == self.end
        if not due or float(self.step) in self.history.get("validation_step", [])[-1:]:
            return None
        results = list(self.workers(self._validate_pair, self.held_out))
        value = sum(value for value, _ in results) / len(results)
        self.history.setdefault("validation_step", []).append(float(self.step))
        self.history.setdefault("validation", []).append(value)
        if value < self.best.value:
            self.best = _Best(self.step, value, self._copy())
        waited = self.step - self.best.step
        if waited >= self.config.patience * self.config.validate_every:
            self.decay_from = min(self.decay_from, self.step)
        return results[len(results) // 2][1]

    @torch.no_grad()
    def _validate_pair(self, pair: Pair) -> tuple[float, np.ndarray]:
        (view, frame), scene = pair, self.scene
        given = scene.points, scene.time(frame), scene.gates
        vertex_appearance = scene.open_appearance(frame, self.appearance_now(*given) if self.appearance_now else None)
        image, alpha, depth = scene.draw(
            view, frame, scene.active_vertices(frame, self.field(*given)), vertex_appearance
        )
        value = float(sum(picture_terms(scene.views[view], frame, image, alpha, depth, self.config).values()))
        beside = torch.cat([image[0], scene.views[view].target(frame)[0]], 2).permute(1, 2, 0)
        thin = max(1, -(-max(beside.shape[:2]) // PREVIEW_SIDE))
        return value, (beside[::thin, ::thin].clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()

    def state(self) -> tuple[dict[str, Tensor], dict]:
        """What a checkpoint holds."""
        tensors = self._copy()
        tensors |= with_prefix("best", self.best.state) | pack_adam(self.optimizer)
        notes = {"step": self.step, "decay_from": self.decay_from, "history": self.history}
        return tensors, {**notes, "best_step": self.best.step, "best_value": self.best.value}

    def restore(self, tensors: dict[str, Tensor], notes: dict) -> None:
        """Go on from a checkpoint."""
        self._load(tensors)
        unpack_adam(self.optimizer, tensors)
        self.best = _Best(notes["best_step"], notes["best_value"], without_prefix("best", tensors))
        self.step, self.decay_from, self.history = notes["step"], notes["decay_from"], notes["history"]

    def result(self) -> RefinementResult:
        """The best field there was, and the layer it makes."""
        self._load(self.best.state)
        start, best = self.history["validation"][0], self.best.value
        if self.best.step == 0:
            message = f"The coarse layer was kept: no field of {self.step} steps matched the held-out frames better."
        else:
            more = [name for name in ("alpha", "depth", "perceptual") if name in self.history]
            judged = "Photometric loss" + (f" with {', '.join(more)}" if more else "")
            message = f"{judged} of held-out frames {start:.4f} -> {best:.4f} at step {self.best.step}."
        vertices = refined_vertices(self.problem, self.scene, self.field, self.check_cancelled)
        appearance = refined_appearance(self.problem, self.scene, self.appearance, self.check_cancelled)
        return RefinementResult(vertices, self.field, self.history, self.best.step, start, best, message, appearance)

    def _copy(self) -> dict[str, Tensor]:
        return {
            f"{name}.{key}": value.detach().clone()
            for name, part in self.fields.items()
            for key, value in part.state_dict().items()
        }

    def _load(self, state: dict[str, Tensor]) -> None:
        """Put back what `_copy` took."""
        for name, part in self.fields.items():
            part.load_state_dict(without_prefix(name, state))


def build_appearance(config: RefinementConfig, points: Tensor, edges: Tensor, frames: int) -> MotionField:
    """A field of appearance of the kind and size of the one of motion; arguments as of `build_field`."""
    size = replace(config.field or FIELDS[config.field_kind](), reach=APPEARANCE_REACH)
    return build_field(config.field_kind, points, edges, frames, config.seed, size, CHANNELS)


def split_pairs(seen: tuple[Pair, ...], every: int) -> tuple[list[Pair], list[Pair]]:
    """Training and held-out pairs of view and frame.

    A frame is held out in all views or in none: what another view shows of it would give it away. A clip too short to
    spare any is judged by the frames it learns from.
    """
    frames = sorted({frame for _, frame in seen})
    spared = frames[every // 2 :: every]
    training = [pair for pair in seen if pair[1] not in spared]
    held_out = [pair for pair in seen if pair[1] in spared]
    return (training, held_out) if held_out and training else (list(seen), list(seen))


def mean_terms(frames: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each loss term over frames; one that has it not counts as 0."""
    names = dict.fromkeys(name for terms in frames for name in terms)
    return {name: sum(terms.get(name, 0.0) for terms in frames) / len(frames) for name in names}


def pairs_of_step(training: list[Pair], step: int, count: int, seed: int) -> list[Pair]:
    """The pairs of one step: walking through all of them in each round, without state.

    A few steps in a row, over which Adam averages, see the whole clip evenly: the n-th pair of a round is the one whose
    place among all is that of n times the golden ratio, modulo 1, from a start of the round's own.
    """
    chosen = []
    for position in range(step * count, (step + 1) * count):
        turn, place = divmod(position, len(training))
        start = torch.rand(1, generator=torch.Generator().manual_seed(seed * 1_000_003 + turn), dtype=torch.float64)
        spots = (start + GOLDEN * torch.arange(len(training), dtype=torch.float64)) % 1
        chosen.append(training[int((spots < spots[place]).sum())])
    return chosen


def refined_vertices(
    problem: RefinementProblem,
    scene: FitScene,
    residual: MotionField,
    check_cancelled: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """The whole mesh (T,V,3) with the field added to its open vertices; `check_cancelled` as of `build_scene`."""
    vertices = np.array(problem.coarse_vertices, np.float32)
    ids, count = scene.open_ids.numpy(), len(scene.points)
    with torch.no_grad():
        for start in range(0, scene.frames, FRAMES_AT_ONCE):
            check_cancelled()
            frames = range(start, min(start + FRAMES_AT_ONCE, scene.frames))
            offsets = residual(scene.points, torch.tensor([scene.time(t) for t in frames]), scene.gates)
            for t, moved in zip(frames, offsets, strict=True):
                vertices[t, ids] = scene.active_vertices(t, moved)[:count].numpy()
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
            whole[t, scene.open_ids.numpy()] = vertex_appearance.numpy()
    return whole
