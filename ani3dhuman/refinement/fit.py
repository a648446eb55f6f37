"""Refinement: optimise the residual field until renderings match the restored video (METHOD, step 5).

Adam over few frames at a time, each frame of each view equally often. Frames kept from training, in all views, judge
the fit; the best field by their photometric loss is returned, and the coarse layer itself is among the candidates.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import Cancelled
from ..motion.fields import MotionField, build_field
from ..progress import Progress
from . import checkpoint as store
from . import losses
from .config import RefinementConfig
from .problem import RefinementProblem
from .scene import Scene, build_scene
from .scene_view import SceneView

Pair = tuple[int, int]  # a view and a frame, both as indices
PREVIEW_SIDE = 128
WARM_UP = 20  # steps until the full learning rate
FRAMES_AT_ONCE = 8  # when the whole clip is evaluated
SAVE_EVERY = 60.0  # seconds between checkpoints


@dataclass(frozen=True)
class RefinementResult:
    """The refined layer.

    Attributes:
        vertices: (T,V,3) float32 world metres; equal to the coarse ones wherever the gate is 0.
        field: the residual field that made them.
        history: per step ``step``, ``total`` and every weighted loss term; ``validation_step`` and
            ``validation`` hold the looks at the held-out frames, the first before any step.
        best_step: steps behind the returned field; 0 when the coarse layer was best.
        start_validation, best_validation: weighted likeness of held-out frames, coarse and returned: the photometric
            loss, and alpha, depth and perceptual terms where they are used.
        message: one sentence for a person.
    """

    vertices: np.ndarray
    field: MotionField
    history: dict[str, list[float]]
    best_step: int
    start_validation: float
    best_validation: float
    message: str

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
        Cancelled: within one step, or one frame looked at, of being asked to stop, after the checkpoint was written.
        Ani3DError: ``disk.full`` when the checkpoint cannot be written; ``refinement.depth`` for a target's depth that
            is negative or not finite; ``metrics.weights`` where the perceptual term is wanted and not installed.
    """

    def ask() -> None:
        if progress.should_cancel():
            raise Cancelled(progress.stage)

    with _reproducible():
        if config.weights.perceptual:
            losses.check_perceptual()
        fit = _Fit(problem, config, ask)
        mark = store.fingerprint(problem, config, ask) if checkpoint else ""
        if checkpoint and (found := store.load(checkpoint, mark)):
            fit.restore(*found)
            progress.advance(fit.step, message=f"going on from step {fit.step}")
        saved = clock()
        try:
            fit.validate_if_due()
            while fit.step < fit.end:
                fit.advance()
                if checkpoint and clock() - saved >= SAVE_EVERY:
                    store.save(checkpoint, mark, *fit.state())
                    saved = clock()
                preview = fit.validate_if_due()
                if checkpoint and preview is not None:
                    store.save(checkpoint, mark, *fit.state())
                    saved = clock()
                progress.advance(message=f"loss {fit.history['total'][-1]:.4f}", preview=preview)
            if fit.step < config.steps:
                progress.advance(config.steps - fit.step, message="converged")
            result = fit.result()
        except Cancelled:
            if checkpoint and fit.step:
                store.save(checkpoint, mark, *fit.state())
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
    ask: Callable[[], None]
    step: int = 0
    falls_from: int | None = None  # the step from which on the learning rates fall
    history: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        config = self.config
        self.scene = build_scene(self.problem, config.margin, self.ask)
        self.ask()
        points, edges, frames = self.scene.points, self.scene.edges, self.scene.frames
        self.field = build_field(config.field_kind, points, edges, frames, config.seed, config.field)
        groups = self.field.parameter_groups()
        self.rates = [rate for _, rate in groups]
        self.optimizer = torch.optim.Adam([{"params": params} for params, _ in groups], lr=1.0, eps=1e-12)
        self.training, self.held_out = split_pairs(self.scene.seen, config.held_out)
        self.best = _Best(0, math.inf, _copy(self.field))

    @property
    def end(self) -> int:
        """The last step: the rates' fall takes the same share of all steps, whether it began as planned or early."""
        if self.falls_from is None:
            return self.config.steps
        return min(self.config.steps, math.ceil(self.falls_from / (1 - self.config.cooldown)))

    @property
    def rate_share(self) -> float:
        """Of the full learning rates: a short warm-up, a plateau, then half a cosine down to a tenth."""
        # single frames pull in different directions, and Adam knows their spread only after some of them
        share = min(1.0, (self.step + 1) / WARM_UP)
        if self.falls_from is not None:
            fallen = (self.step - self.falls_from) / max(self.end - self.falls_from, 1)
            share *= 0.55 + 0.45 * math.cos(math.pi * fallen)
        return share

    def advance(self) -> None:
        """One optimiser step."""
        if self.falls_from is None and self.step >= (
            planned := math.ceil(self.config.steps * (1 - self.config.cooldown))
        ):
            self.falls_from = planned
        share = self.rate_share
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * share
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        pairs = pairs_of_step(self.training, self.step, self.config.frames_per_step, self.config.seed)
        for view, frame in pairs:
            self.ask()
            terms = loss_terms(self.scene, self.field, view, frame, self.config)
            total = torch.stack(list(terms.values())).sum() / len(pairs)
            total.backward()
            for name, value in {**terms, "total": total * len(pairs)}.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) / len(pairs)
        self.optimizer.step()
        self.step += 1
        for name, number in {"step": float(self.step), **sums}.items():
            self.history.setdefault(name, []).append(number)

    def validate_if_due(self) -> np.ndarray | None:
        """Judge the field by the held-out frames, keep it if it is the best; returns a preview picture.

        Due at the start, at the end and every so many steps, once each: a fit may have been stopped just before.
        """
        due = self.step % self.config.validate_every == 0 or self.step == self.end
        if not due or float(self.step) in self.history.get("validation_step", [])[-1:]:
            return None
        looks = []
        with torch.no_grad():
            for view, frame in self.held_out:
                self.ask()
                looks.append(self._look(view, frame))
        value = sum(value for value, _ in looks) / len(looks)
        self.history.setdefault("validation_step", []).append(float(self.step))
        self.history.setdefault("validation", []).append(value)
        if value < self.best.value:
            self.best = _Best(self.step, value, _copy(self.field))
        waited = self.step - self.best.step
        if self.falls_from is None and waited >= self.config.patience * self.config.validate_every:
            self.falls_from = self.step
        return looks[len(looks) // 2][1]

    def _look(self, view: int, frame: int) -> tuple[float, np.ndarray]:
        scene = self.scene
        offsets = self.field(scene.points, scene.time(frame), scene.gates)
        image, alpha, depth = scene.draw(view, frame, scene.active_vertices(frame, offsets))
        value = float(sum(picture_terms(scene.views[view], frame, image, alpha, depth, self.config).values()))
        pair = torch.cat([image[0], scene.views[view].target(frame)[0]], 2).permute(1, 2, 0)
        thin = max(1, -(-max(pair.shape[:2]) // PREVIEW_SIDE))
        return value, (pair[::thin, ::thin].clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()

    def state(self) -> tuple[dict[str, Tensor], dict]:
        """What a checkpoint holds."""
        tensors = store.with_prefix("field", self.field.state_dict())
        tensors |= store.with_prefix("best", self.best.state) | store.pack_adam(self.optimizer)
        notes = {"step": self.step, "falls_from": self.falls_from, "history": self.history}
        return tensors, {**notes, "best_step": self.best.step, "best_value": self.best.value}

    def restore(self, tensors: dict[str, Tensor], notes: dict) -> None:
        """Go on from a checkpoint."""
        self.field.load_state_dict(store.without_prefix("field", tensors))
        store.unpack_adam(self.optimizer, tensors)
        self.best = _Best(notes["best_step"], notes["best_value"], store.without_prefix("best", tensors))
        self.step, self.falls_from, self.history = notes["step"], notes["falls_from"], notes["history"]

    def result(self) -> RefinementResult:
        """The best field there was, and the layer it makes."""
        self.field.load_state_dict(self.best.state)
        start, best = self.history["validation"][0], self.best.value
        if self.best.step == 0:
            message = f"The coarse layer was kept: no field of {self.step} steps matched the held-out frames better."
        else:
            more = [name for name in ("alpha", "depth", "perceptual") if name in self.history]
            judged = "Photometric loss" + (f" with {', '.join(more)}" if more else "")
            message = f"{judged} of held-out frames {start:.4f} -> {best:.4f} at step {self.best.step}."
        vertices = refined_vertices(self.problem, self.scene, self.field, self.ask)
        return RefinementResult(vertices, self.field, self.history, self.best.step, start, best, message)


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


def pairs_of_step(training: list[Pair], step: int, count: int, seed: int) -> list[Pair]:
    """The pairs of one step: walking through a new shuffle of all of them in each round, without state."""
    chosen = []
    for position in range(step * count, (step + 1) * count):
        turn, place = divmod(position, len(training))
        order = torch.randperm(len(training), generator=torch.Generator().manual_seed(seed * 1_000_003 + turn))
        chosen.append(training[int(order[place])])
    return chosen


def picture_terms(
    view: SceneView, frame: int, image: Tensor, alpha: Tensor, depth: Tensor | None, config: RefinementConfig
) -> dict[str, Tensor]:
    """Weighted likeness of one drawn window, as from `Scene.draw`, to the restored frame."""
    mask, target, weights = view.mask(frame), view.target(frame), config.weights
    likeness = losses.photometric(image, target, mask, config.ssim_share, config.pyramid_levels)
    terms = {"photometric": weights.photometric * likeness}
    wanted = view.target_alpha(frame)
    if wanted is not None:
        terms["alpha"] = weights.alpha * losses.weighted_mean((alpha - wanted).abs(), mask)
    measured = view.target_depth(frame)
    if measured is not None and depth is not None:
        covered = mask * alpha.detach()  # what is not drawn has no depth
        terms["depth"] = weights.depth * losses.depth(depth, measured, covered, config.depth_scale)
    if weights.perceptual:
        unlike = losses.perceptual(image, target, mask, config.perceptual_side)
        terms["perceptual"] = weights.perceptual * unlike
    return terms


def loss_terms(
    scene: Scene, residual: MotionField, view: int, frame: int, config: RefinementConfig
) -> dict[str, Tensor]:
    """All weighted terms of one frame in one view; their sum is minimised."""
    weights, count = config.weights, len(scene.points)
    first = min(max(frame - 1, 0), max(scene.frames - 3, 0))
    near = range(first, min(first + 3, scene.frames))
    times = torch.tensor([scene.time(t) for t in near])
    offsets = residual(scene.points, times, scene.gates)
    now = offsets[frame - first]
    active = scene.active_vertices(frame, now)
    terms = picture_terms(scene.views[view], frame, *scene.draw(view, frame, active), config)

    lengths = losses.edge_lengths(active, scene.edges)
    terms["stretch"] = weights.stretch * losses.stretch(lengths, scene.shortest[frame], scene.longest[frame])
    tail, head = scene.arrows.T
    before = scene.unstrained[frame, head] - scene.unstrained[frame, tail]
    terms["rigidity"] = weights.rigidity * losses.rigidity(before, active[head] - active[tail], tail, count)
    if len(near) == 3:
        terms["acceleration"] = weights.acceleration * losses.acceleration(offsets)
    terms["magnitude"] = weights.magnitude * now.square().sum(-1).mean()
    terms["planes"] = weights.planes * residual.roughness()
    if scene.proposed is not None and scene.confidence is not None:
        moved = active[:count] - scene.coarse[frame, :count]
        far = losses.proposal(moved, scene.proposed[frame], scene.confidence[frame], config.proposal_scale)
        terms["proposal"] = weights.proposal * far
    if scene.body is not None:
        heights, body = scene.body.heights(frame, active[:count]), scene.body
        entered = losses.penetration(heights, body.wanted[frame], body.weights[frame], config.penetration_scale)
        terms["penetration"] = weights.penetration * entered
    return terms


def refined_vertices(
    problem: RefinementProblem, scene: Scene, residual: MotionField, ask: Callable[[], None] = lambda: None
) -> np.ndarray:
    """The whole mesh (T,V,3) with the field added to its open vertices; `ask` as of `build_scene`."""
    vertices = np.array(problem.coarse_vertices, np.float32)
    ids, count = scene.open_ids.numpy(), len(scene.points)
    with torch.no_grad():
        for start in range(0, scene.frames, FRAMES_AT_ONCE):
            ask()
            frames = range(start, min(start + FRAMES_AT_ONCE, scene.frames))
            offsets = residual(scene.points, torch.tensor([scene.time(t) for t in frames]), scene.gates)
            for t, moved in zip(frames, offsets, strict=True):
                vertices[t, ids] = scene.active_vertices(t, moved)[:count].numpy()
    return vertices


def _copy(residual: MotionField) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in residual.state_dict().items()}
