"""Refinement of long shots: a field for each of several overlapping windows of frames, blended into one layer.

Memory follows the window, not the shot: windows are fitted one after the other from slices of the problem's arrays, so
that what is a memory-map is read where it is needed, and of a finished window only its field stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress, Report

from ..avatar.appearance import CHANNELS
from ..fields.build import MotionField, build_field
from ..storage.checkpoint import fingerprint, load_checkpoint, save_checkpoint, with_prefix, without_prefix
from ..storage.frames_on_disk import Frames
from ..windows import window_slices
from .config import RefinementConfig
from .fit import RefinementResult, refine
from .problem import RefinementProblem, RestoredView
from .scene import build_scene

WINDOW = 121  # frames of a window at most
OVERLAP = 24  # frames that neighbours share at least


def refine_long(
    problem: RefinementProblem,
    config: RefinementConfig,
    progress: Progress,
    checkpoint: Path | None = None,
    window: int = WINDOW,
    overlap: int = OVERLAP,
) -> RefinementResult:
    """Fit a shot of any length; one of at most `window` frames is `refine`, to the same bit.

    Each window has a field of its own, its number added to the seed, and as many steps for its frames as `config.steps`
    are for a full window. Where windows overlap their world offsets are blended (`blend_weights`). A window in which no
    garment is seen keeps the coarse layer.

    Args:
        problem: what to fit; its arrays may be memory-maps.
        config: how.
        progress: with `steps_of(problem.frames, config, window, overlap)` as its total; see `refine`.
        checkpoint: file to keep the state of the running fit in, finished windows beside it. A run that was cancelled
            or killed goes on within the window it was in; all are removed at the end.
        window: frames of a window at most; windows of one shot are equally long.
        overlap: frames that neighbours share at least, 2 or more.

    Returns:
        As from `refine`. With several windows, `field` is a `WindowedField`; `best_step` is summed over the windows;
        `start_validation` and `best_validation` are means over those fitted, each by the held-out frames of its own,
        before blending. In `history` steps count as in `progress`, and ``validation`` is such a mean too: of the
        current window's latest validation, of what was kept of finished ones, and of the coarse layer in those to come.
        Appearance is blended like offsets.

    Raises:
        Cancelled: within one step of being asked to stop.
        Ani3DError: ``refinement.windows`` for an overlap that does not fit the window; ``disk.full``.
    """
    windows = frame_windows(problem.frames, window, overlap)
    if len(windows) == 1:
        return refine(problem, config, progress, checkpoint)
    steps = _steps_of_window(windows[0], config, window)
    vertices = np.array(problem.coarse_vertices, np.float32)
    weights = blend_weights(np.arange(problem.frames), windows).astype(np.float32)
    open_ids = np.flatnonzero(problem.gates > 0)
    appearance = _appearance_before(problem) if config.appearance else problem.appearance
    finished: dict[int, _Window] = {}
    apart: list[float] = []
    before: np.ndarray | None = None
    for number, frames in enumerate(windows):
        title = f"window {number + 1} of {len(windows)}"
        if not _sees_garment(problem, frames):
            progress.advance(steps, message=f"{title} shows no garment")
            before = None
            continue
        own = replace(config, steps=steps, seed=config.seed + number)
        moved, gained, finished[number] = _fitted(
            cut_problem(problem, frames), own, progress, checkpoint, number, title
        )
        share = weights[number, frames, None, None]
        vertices[frames, open_ids] += share * moved
        if appearance is not None and gained is not None:
            appearance[frames, open_ids] += share * gained
        if before is not None:
            shared = windows[number - 1].stop - frames.start
            apart.append(float(np.linalg.norm(before[-shared:] - moved[:shared], axis=-1).mean()))
        before = moved
    if checkpoint:
        for file in checkpoint.parent.iterdir():
            if file.name.startswith(_window_file(checkpoint).name):
                file.unlink()
    history = _joined_history(finished, steps, steps * len(windows))
    start, best = history["validation"][0], history["validation"][-1]
    return RefinementResult(
        vertices,
        WindowedField({number: done.field for number, done in finished.items()}, windows),
        history,
        best_step=sum(done.best_step for done in finished.values()),
        start_validation=start,
        best_validation=best,
        message=_message(finished, windows, apart, start, best),
        appearance=appearance,
    )


def steps_of(frames: int, config: RefinementConfig, window: int = WINDOW, overlap: int = OVERLAP) -> int:
    """Steps of progress that `refine_long` takes for so many frames. Raises ``refinement.windows``."""
    windows = frame_windows(frames, window, overlap)
    return config.steps if len(windows) == 1 else len(windows) * _steps_of_window(windows[0], config, window)


def frame_windows(frames: int, window: int = WINDOW, overlap: int = OVERLAP) -> list[slice]:
    """Equally long windows that cover a shot, as few as windows of at most `window` frames can be.

    Raises:
        Ani3DError: ``refinement.windows`` unless ``2 <= overlap < window``.
    """
    if not 2 <= overlap < window:
        raise Ani3DError(
            "refinement.windows",
            f"Windows of {window} frames cannot be blended over {overlap}.",
            f"Use an overlap of 2 to {window - 1} frames, in windows of 3 or more.",
        )
    if frames <= window:
        return [slice(0, frames)]
    count = len(window_slices(frames, window, overlap))
    return window_slices(frames, -(-(frames - overlap) // count) + overlap, overlap)  # no longer than they must be


def blend_weights(frames: np.ndarray, windows: list[slice]) -> np.ndarray:
    """How much each window counts at each moment (W,K), for `frames` (K,) that may lie between whole ones.

    From 0 at a window's first frame to 1 along half a cosine over what it shares with its neighbour, and back to 0 at
    its last frame, where a fit knows least; the ends of the shot stay at 1. All windows together make 1.
    """
    weights = np.ones((len(windows), len(frames)))
    for number, (left, right) in enumerate(pairwise(windows)):
        share = np.clip((frames - right.start) / (left.stop - 1 - right.start), 0, 1)
        rising = 0.5 - 0.5 * np.cos(np.pi * share)
        weights[number] *= 1 - rising
        weights[number + 1] *= rising
    return weights / weights.sum(0)


def cut_problem(problem: RefinementProblem, frames: slice) -> RefinementProblem:
    """The problem of some of its frames; arrays are slices of what they were, not copies.

    Raises:
        Ani3DError: ``refinement.nothing_moves`` where these frames show no garment.
    """
    part: dict[str, Any] = {"views": tuple(_cut_view(view, frames) for view in problem.views)}
    for name in (
        "coarse_vertices",
        "blended_rotations",
        "vertex_targets",
        "unstrained",
        "appearance",
    ):
        values = getattr(problem, name)
        part[name] = None if values is None else values[frames]
    if problem.scales.ndim == 3:
        part["scales"] = problem.scales[frames]
    return replace(problem, **part)


class WindowedField(nn.Module):
    """The fields of all windows, answering as one `MotionField` of the whole shot.

    Args:
        fields: by the number of their window; a window without one stays at zero.
        windows: the frames of each.
    """

    def __init__(self, fields: Mapping[int, MotionField], windows: list[slice]) -> None:
        super().__init__()
        self.slices = windows
        self.parts = nn.ModuleDict({str(number): cast(nn.Module, part) for number, part in fields.items()})

    @property
    def fields(self) -> dict[int, MotionField]:
        """By the number of their window."""
        return {int(number): cast(MotionField, part) for number, part in self.parts.items()}

    def forward(self, points: Tensor, times: Tensor | float, gates: Tensor | None = None) -> Tensor:
        """Offsets of `points` at one time or many, blended by `blend_weights`; see `ResidualField.forward`.

        Bone-local offsets of one moment share their rotations, so blending them is blending world offsets.

        Args:
            points: (P,3) bind pose, world metres.
            times: a number, or (T,); 0 is the first frame of the shot and 1 the last.
            gates: (P,) 0..1, how much of the offset each point takes; None means 1.

        Returns:
            (P,3) for one time, (T,P,3) for many: metres in the bone-local frame.
        """
        moments = torch.as_tensor(times, dtype=points.dtype)
        frames = moments.detach().reshape(-1).double().numpy().clip(0, 1) * (self.slices[-1].stop - 1)
        weights = blend_weights(frames, self.slices)
        offsets = points.new_zeros(len(frames), len(points), 3)
        for number, part in self.fields.items():
            here = np.flatnonzero(weights[number] > 0)
            if not len(here):
                continue
            window = self.slices[number]
            local = torch.from_numpy((frames[here] - window.start) / (window.stop - 1 - window.start)).to(points)
            share = torch.from_numpy(weights[number, here]).to(points)
            moved = share[:, None, None] * part(points, local, gates)
            offsets = offsets.index_add(0, torch.from_numpy(here), moved)
        return offsets if moments.ndim else offsets[0]

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Those of all windows."""
        return [group for part in self.fields.values() for group in part.parameter_groups()]

    def roughness(self) -> Tensor:
        """Mean over the windows that have a field; no unit."""
        return torch.stack([part.roughness() for part in self.fields.values()]).mean()


@dataclass(frozen=True)
class _Window:
    """The fit of a finished window; `start` and `best` as in `RefinementResult`."""

    field: MotionField
    history: dict[str, list[float]]
    best_step: int
    start: float
    best: float


def _joined_history(done: dict[int, _Window], steps: int, total: int) -> dict[str, list[float]]:
    """One history of the fits of windows of `steps` steps each, see `refine_long`; `total` is where it ends."""
    history: dict[str, list[float]] = {"validation_step": [], "validation": []}
    now = [window.start for window in done.values()]

    def note(step: float) -> None:
        history["validation_step"].append(step)
        history["validation"].append(sum(now) / len(now))

    for place, (number, window) in enumerate(done.items()):
        first = float(number * steps)
        for name, values in window.history.items():
            if not name.startswith("validation"):
                entries = [first + value for value in values] if name == "step" else values
                history.setdefault(name, []).extend(entries)
        for step, value in zip(window.history["validation_step"], window.history["validation"], strict=True):
            now[place] = value
            note(first + step)
        now[place] = window.best
    note(float(total))
    return history


def _message(done: dict[int, _Window], windows: list[slice], apart: list[float], start: float, best: float) -> str:
    """One sentence for a person."""
    parts = [f"Loss of held-out frames in {len(windows)} windows of {windows[0].stop} frames {start:.4f} -> {best:.4f}"]
    if kept := sum(window.best_step == 0 for window in done.values()):
        parts.append(f"{kept} kept the coarse layer")
    if unseen := len(windows) - len(done):
        parts.append(f"{unseen} showed no garment")
    if apart:
        parts.append(f"neighbours are {1000 * sum(apart) / len(apart):.1f} mm apart where they overlap")
    return f"{'; '.join(parts)}."


def _fitted(
    problem: RefinementProblem,
    config: RefinementConfig,
    progress: Progress,
    checkpoint: Path | None,
    number: int,
    title: str,
) -> tuple[np.ndarray, np.ndarray | None, _Window]:
    """Fit one window of F frames, or read what was kept of it.

    Returns:
        Offsets of open vertices (F,P,3) in world metres, of their appearance (F,P,5) where it is fitted, and the fit.
    """
    first = progress.step
    file = _window_file(checkpoint, number) if checkpoint else None
    mark = fingerprint(problem, config) if file else ""
    if file and (found := load_checkpoint(file, mark)):
        progress.advance(config.steps, message=f"{title} was done")
        gained = found[0]["gained"].numpy() if config.appearance else None
        return found[0]["moved"].numpy(), gained, _unpacked(problem, config, *found)

    def listen(report: Report) -> None:
        progress.advance(first + report.step - progress.step, f"{title}, {report.message}", report.preview)

    part = Progress(progress.stage, config.steps, listen, progress.should_cancel)
    result = refine(problem, config, part, checkpoint)
    is_open = problem.gates > 0
    moved, gained = (result.vertices - problem.coarse_vertices)[:, is_open], None
    if config.appearance and result.appearance is not None:
        gained = (result.appearance - _appearance_before(problem))[:, is_open]
    start, best = result.start_validation, result.best_validation
    if file:
        tensors = {"moved": torch.from_numpy(moved), **with_prefix("field", result.field.state_dict())}
        if gained is not None:
            tensors["gained"] = torch.from_numpy(gained)
        notes = {"history": result.history, "best_step": result.best_step, "start": start, "best": best}
        save_checkpoint(file, mark, tensors, notes)
    return moved, gained, _Window(result.field, result.history, result.best_step, start, best)


def _appearance_before(problem: RefinementProblem) -> np.ndarray:
    """A copy of the problem's appearance (T,V,5), zeros where it has none."""
    if problem.appearance is None:
        return np.zeros((problem.frames, problem.vertices, CHANNELS), np.float32)
    return np.array(problem.appearance, np.float32)


def _unpacked(
    problem: RefinementProblem, config: RefinementConfig, tensors: dict[str, Tensor], notes: dict[str, Any]
) -> _Window:
    """A finished window from its file; points and edges of its field are those of any frame it sees."""
    seen = next(t for t in range(problem.frames) if _sees_garment(problem, slice(t, t + 1)))
    scene = build_scene(cut_problem(problem, slice(seen, seen + 1)), config.margin)
    residual = build_field(config.field_kind, scene.points, scene.edges, problem.frames, config.seed, config.field)
    cast(nn.Module, residual).to("cpu")
    residual.load_state_dict(without_prefix("field", tensors))
    return _Window(residual, **notes)


def _window_file(checkpoint: Path, number: int | None = None) -> Path:
    """Where a finished window is kept; without a number, what all such names begin with."""
    return checkpoint.with_name(f"{checkpoint.name}.window{'' if number is None else number}")


def _steps_of_window(frames: slice, config: RefinementConfig, window: int) -> int:
    return -(-config.steps * (frames.stop - frames.start) // window)


def _sees_garment(problem: RefinementProblem, frames: slice) -> bool:
    return any((mask > 0).any() for view in problem.views for mask in view.garment_mask[frames])


def _cut_view(view: RestoredView, frames: slice) -> RestoredView:
    """All arrays of a view are of its frames."""
    cameras = replace(view.cameras, viewmats=view.cameras.viewmats[frames], Ks=view.cameras.Ks[frames])
    arrays = {name: value[frames] for name, value in vars(view).items() if isinstance(value, np.ndarray | Frames)}
    return replace(view, cameras=cameras, **arrays)
